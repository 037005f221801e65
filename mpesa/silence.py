"""How long PostgreSQL may say nothing on a connection before that connection is given up.

TCP notices a peer that is gone, not one that takes bytes and answers nothing: a pooler that stands,
a stopped process, a proxy without its other end. PostgreSQL's own time-outs do not help there, and
libpq's `connect_timeout` does not hold for the asynchronous connections of eventlet and gevent.
"""

import time
from collections.abc import Callable
from typing import Any

from psycopg2 import OperationalError, extensions

# Seconds for each step until a connection stands. One lost packet is sent again after 1 s and then
# 2 s; a network that needs longer than this carries no payments.
CONNECT_WITHIN = 4.0


class Silent(OperationalError):  # type: ignore[misc]  # psycopg2 ships no types
    """PostgreSQL took a statement and said nothing in time; psycopg2 closes the connection."""

    def __init__(self) -> None:
        super().__init__("the database did not answer in time")


class Connection(extensions.connection):  # type: ignore[misc]  # psycopg2 ships no types
    """A connection that knows how long to wait.

    Attributes:
        answers_within: seconds for one statement, its whole answer included.
    """

    answers_within = CONNECT_WITHIN


def wait(
    connection: Any,
    until_readable: Callable[[int, float | None, type[Exception]], object],
    until_writable: Callable[[int, float | None, type[Exception]], object],
) -> None:
    """Let others run while a query waits for its answer (psycopg2 docs, "coroutine libraries").

    Args:
        connection: its `answers_within` is the limit; one that has none is waited for without end.
        until_readable: waits for a file so many seconds, and raises that exception after them.
        until_writable: likewise.

    Raises:
        OperationalError: psycopg2 closes the connection then, whatever was on its way.
    """
    within: float | None = getattr(connection, "answers_within", None)
    end = None if within is None else time.monotonic() + within
    while (state := connection.poll()) != extensions.POLL_OK:
        left = None if end is None else end - time.monotonic()
        if left is not None and left <= 0:
            raise Silent
        if state == extensions.POLL_READ:
            until_readable(connection.fileno(), left, Silent)
        elif state == extensions.POLL_WRITE:
            until_writable(connection.fileno(), left, Silent)
        else:
            raise OperationalError(f"the connection is in an unknown state ({state})")

"""How long PostgreSQL may be silent on a connection before that connection is given up.

TCP notices a peer that is gone, but not one that takes bytes without an answer: a hanging pooler,
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
    """PostgreSQL took a statement and did not answer in time; psycopg2 closes the connection."""

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
    """Let other greenlets run while a query waits (psycopg2 docs, "coroutine libraries").

    Args:
        connection: its `answers_within` is the limit; without that, the wait has no end.
        until_readable: waits for a file a number of seconds, and raises the exception after them.
        until_writable: likewise.

    Raises:
        OperationalError: the time is over; psycopg2 closes the connection then.
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

"""One HTTP request to the merchant's server, within a hard limit, following nothing.

Each request has a connection of its own, so none meets one that the other side has just closed.
Only the status line and the headers are read: the body of a merchant's answer tells us nothing, and
may be of any length.
"""

import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import requests
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from mpesa.bounded_http import Call, Calls, Ended, Session

# Seconds from the name look-up to the end of the answer's headers, as docs/webhooks.md promises.
TIME_LIMIT = 15.0


class Failure(StrEnum):
    """Why no answer came."""

    TIMED_OUT = "timed_out"
    UNREACHABLE = "unreachable"
    TLS_FAILED = "tls_failed"
    BROKEN = "broken"


@dataclass(frozen=True)
class Answered:
    """The merchant's server answered.

    Attributes:
        retry_after: the text of its `Retry-After` header; None: it sent none.
    """

    status_code: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """No answer came; the message may have arrived all the same."""

    failure: Failure


Outcome = Answered | Unanswered


class Post:
    """Sends bodies to one address, from many threads or greenlets at once.

    Args:
        url: a user and a password in it are sent as Basic authentication.
        limit: seconds for everything, name look-up and slow drips included.
        tls: the authorities to be trusted; None for the machine's own.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        url: str,
        limit: float = TIME_LIMIT,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._limit = limit
        self._tls = tls or (ssl.create_default_context() if url[:6] == "https:" else None)
        self._monotonic = monotonic
        self._calls = Calls(monotonic)

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send once; a failure is an outcome, and is not raised."""
        try:
            return self._calls.run(lambda call: self._send(call, body, headers), self._limit)
        except Ended:
            return Unanswered(Failure.TIMED_OUT)

    def _send(self, call: Call[Outcome], body: bytes, headers: Mapping[str, str]) -> Outcome:
        try:
            with Session(self._tls, monotonic=self._monotonic) as session:
                session.carry(call)
                answer = session.post(
                    self._url,
                    data=body,
                    headers={**headers, "Connection": "close"},
                    timeout=self._limit,
                    allow_redirects=False,
                    stream=True,
                )
                answer.close()
                return Answered(answer.status_code, answer.headers.get("Retry-After"))
        except requests.exceptions.SSLError:
            return Unanswered(Failure.TLS_FAILED)
        except requests.exceptions.Timeout:
            return Unanswered(Failure.TIMED_OUT)
        except (OSError, HTTPError) as error:
            cause = getattr(error.args[0], "reason", None) if error.args else None
            unreachable = isinstance(cause, NewConnectionError | NameResolutionError)
            return Unanswered(Failure.UNREACHABLE if unreachable else Failure.BROKEN)
        finally:
            call.let_go()

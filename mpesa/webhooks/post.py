"""One HTTP request to the merchant's server, within a hard limit, following nothing.

Each request has a connection of its own, so none meets one that the other side has just closed.
Nothing but the status line and the headers is read: what a merchant's server writes into its body
is not for us, however long it is.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NameResolutionError, NewConnectionError

from mpesa.daraja.calls import Call, Calls
from mpesa.daraja.errors import DarajaError

# Seconds from the name look-up to the end of the answer's headers, as the README promises.
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
        retry_after: its header, as it came; None: it named none.
    """

    status_code: int
    retry_after: str | None = None


@dataclass(frozen=True)
class Unanswered:
    """No answer came; the message may have arrived all the same."""

    failure: Failure


Outcome = Answered | Unanswered


# A request has a thread, and so a context, of its own.
_under_way: ContextVar[Call[Outcome]] = ContextVar("webhook")


class _Connection(HTTPConnection):
    """A connection whose socket the request's end can shut, whatever it waits for."""

    def _new_conn(self) -> socket.socket:
        # Kept before it is held, so that it gets closed where the time is over already.
        self.sock: socket.socket = super()._new_conn()
        # A second handle, since TLS takes the first one over.
        second = socket.fromfd(self.sock.fileno(), self.sock.family, self.sock.type)
        _under_way.get().hold(second)
        return self.sock


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS, which starts after `_new_conn`."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Pools of our own; `tls` alone says who is trusted."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, *args: object) -> None:
        """Do not let requests load its own list of authorities into `tls`."""


class _Session(requests.Session):
    """A session that takes nothing from the environment, neither proxies nor passwords."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self.trust_env = False
        self.headers.clear()
        self.mount("https://", _Adapter(tls))
        self.mount("http://", _Adapter(None))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: else requests reads the whole answer, even where it is not to follow."""


class Post:
    """Sends bodies to one address, from many threads or greenlets at once.

    Args:
        url: a user and a password in it are sent as Basic authentication.
        limit: seconds for everything, name look-up and slow drips included.
        tls: who is trusted; None for the machine's own certificate authorities.
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
        self._calls = Calls(monotonic)

    def __call__(self, body: bytes, headers: Mapping[str, str]) -> Outcome:
        """Send once; what went wrong is an outcome, and nothing is raised for it."""
        try:
            return self._calls.run(lambda call: self._send(call, body, headers), self._limit)
        except DarajaError:  # the call's own word for "its time is over"
            return Unanswered(Failure.TIMED_OUT)

    def _send(self, call: Call[Outcome], body: bytes, headers: Mapping[str, str]) -> Outcome:
        _under_way.set(call)
        try:
            with (
                _Session(self._tls) as session,
                session.post(
                    self._url,
                    data=body,
                    headers={**headers, "Connection": "close"},
                    timeout=self._limit,
                    allow_redirects=False,
                    stream=True,
                ) as answer,
            ):
                return Answered(answer.status_code, answer.headers.get("Retry-After"))
        except (OSError, HTTPError) as error:
            return Unanswered(_failure(error))
        finally:
            call.let_go()


def _failure(error: OSError | HTTPError) -> Failure:
    if isinstance(error, requests.exceptions.SSLError):
        return Failure.TLS_FAILED
    if isinstance(error, requests.exceptions.Timeout):
        return Failure.TIMED_OUT
    cause = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(cause, NewConnectionError | NameResolutionError):
        return Failure.UNREACHABLE
    return Failure.BROKEN

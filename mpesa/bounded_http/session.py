"""The requests library, with connections that a call can shut at any time.

requests and urllib3 repeat, follow, remember and read from the environment; that is turned off
here. urllib3 is told to use connection and pool classes of our own, which add two things: a call
learns when the first byte of its request leaves, and holds the connection.
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from mpesa.bounded_http.calls import Call


@dataclass(frozen=True)
class _Exchange:
    """The request that a connection carries, as far as the connection has to know it."""

    call: Call[Any]
    counts: bool
    monotonic: Callable[[], float]
    longest_idle: float

    def hold(self, connected: socket.socket) -> None:
        # A second handle on the same TCP socket, since the first one, once TLS has taken it over,
        # must not be spoken to from two threads.
        self.call.hold(socket.fromfd(connected.fileno(), connected.family, connected.type))


# requests hands nothing of ours down to a connection; but a call has a thread of its own, and so a
# context of its own.
_under_way: ContextVar[_Exchange] = ContextVar("exchange")


class _Connection(HTTPConnection):
    """A connection that tells the call that uses it what it does."""

    # Without this, http.client would connect again by itself in the middle of a request.
    auto_open = 0
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether an idle connection may be used again."""
        exchange = _under_way.get()
        unused = exchange.monotonic() - self._used_at
        return unused < exchange.longest_idle and super().is_connected

    def _new_conn(self) -> socket.socket:
        # Kept before it is held, so that it is closed where the call is over already.
        self.sock: socket.socket = super()._new_conn()
        _under_way.get().hold(self.sock)
        return self.sock

    def request(self, *args: Any, **options: Any) -> None:
        """Announce the first byte, and send it."""
        exchange = _under_way.get()
        if self.is_closed:
            self.connect()
        exchange.hold(self.sock)
        exchange.call.about_to_send(counts=exchange.counts)
        self._used_at = exchange.monotonic()
        super().request(*args, **options)


class _TlsConnection(_Connection, HTTPSConnection):
    """The same with TLS, which starts after `_new_conn`."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection

    def _put_conn(self, conn: Any) -> None:
        # Another call may use the connection at once, and must not be cut off by this call's end.
        _under_way.get().call.let_go()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Pools of our own; `tls` alone decides which authorities are trusted."""

    def __init__(self, tls: ssl.SSLContext | None, most_idle: int) -> None:
        self._tls = tls
        super().__init__(pool_maxsize=most_idle, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, *args: object) -> None:
        """Do not let requests load its own list of authorities into `tls`, once a connection."""


class Session(requests.Session):
    """A session whose requests belong to calls; each request follows a `carry`.

    Args:
        tls: the authorities to be trusted; None where no request goes by https.
        most_idle: the most connections that are kept for later calls.
        longest_idle: seconds after which an idle connection is not used again.
        monotonic: seconds that only grow.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None,
        *,
        most_idle: int = 1,
        longest_idle: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._longest_idle = longest_idle
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers.clear()
        self.mount("https://", _Adapter(tls, most_idle))
        self.mount("http://", _Adapter(None, most_idle))

    def carry(self, call: Call[Any], *, counts: bool = True) -> None:
        """Let the present thread's next request belong to a call.

        Args:
            counts: the request's first byte makes the call a sent one.
        """
        _under_way.set(_Exchange(call, counts, self._monotonic, self._longest_idle))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """None: else requests reads the answer and the target, even if it is not to follow."""

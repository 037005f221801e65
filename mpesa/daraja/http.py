"""HTTP to one server, on requests: connections are kept alive; nothing is repeated or followed.

What requests and urllib3 do by themselves elsewhere is turned off. Two things are added, by
connection and pool classes of our own, which urllib3 is told to use: a call learns when the first
byte of its request leaves, and holds the connection, so that it can be shut at any time.
"""

import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

from mpesa import __version__, counters
from mpesa.daraja.answers import Answer, excerpt
from mpesa.daraja.calls import Call
from mpesa.domain.steps import skew

# Daraja's answers have less than 1 KiB and a firewall's page a few; more is not for us.
LARGEST_ANSWER = 64 * 1024
# Load balancers drop idle connections after 60 s or more. A push that meets that moment is of
# unknown outcome, so we are done with a connection long before.
LONGEST_IDLE = 15.0
# As many as keep a busy minute from paying a TLS handshake for each call.
MOST_IDLE = 10
# A token has 28 characters; one of a few would be found in an answer by chance.
SHORTEST_SECRET = 16

_COMMON_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": f"checkout/{__version__}",
}


@dataclass(frozen=True)
class Timeouts:
    """How long a single step may take, in seconds.

    Attributes:
        connect: for TCP and each step of the TLS handshake. Daraja connects in well under 1 s from
            Kenya; 5 s leaves room for one lost SYN (1 s) and a second (3 s).
        read: between two pieces of an answer. Daraja answers in about 1 s; 15 s is the shortest of
            the customary limits, and leaves some of the 20 s budget for the token.
    """

    connect: float = 5.0
    read: float = 15.0


DEFAULT_TIMEOUTS = Timeouts()


@dataclass(frozen=True)
class Request:
    """What is sent.

    Attributes:
        path: below the base URL, with its leading slash.
        authorization: the header; its secret is blanked wherever the answer repeats it.
        body: JSON; None for none.
        counts: it is the push or query itself, so that its first byte makes the call a sent one.
    """

    method: str
    path: str
    authorization: str = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    counts: bool = True

    @property
    def headers(self) -> dict[str, str]:
        """All but those that every request has."""
        # Without the type, Daraja reports an invalid BusinessShortCode (Daraja docs, M-PESA
        # Express, FAQ 9).
        kind = {"Content-Type": "application/json"} if self.body is not None else {}
        return {"Authorization": self.authorization, **kind}

    def blank(self, answer: bytearray) -> bytes:
        """The answer without our own secret in it."""
        secret = self.authorization.rpartition(" ")[2].encode()
        if len(secret) < SHORTEST_SECRET:
            return bytes(answer)
        return bytes(answer.replace(secret, b"[secret]"))


@dataclass(frozen=True)
class _Exchange:
    """What a connection has to know about the request that it carries."""

    call: Call[Any]
    counts: bool
    monotonic: Callable[[], float]

    def hold(self, connected: socket.socket) -> None:
        # A second handle on the same TCP socket, since the first one, once TLS has taken it over,
        # must not be spoken to from two threads.
        self.call.hold(socket.fromfd(connected.fileno(), connected.family, connected.type))


# Nothing of ours is handed down through requests to a connection; but a call has a thread, and so
# a context, of its own.
_under_way: ContextVar[_Exchange] = ContextVar("exchange")


class _Connection(HTTPConnection):
    """A connection that tells the call that uses it what it does."""

    # Without this, http.client would connect again by itself in the middle of a request.
    auto_open = 0
    _used_at = 0.0

    @property
    def is_connected(self) -> bool:
        """Whether an idle connection may be used again."""
        unused = _under_way.get().monotonic() - self._used_at
        return unused < LONGEST_IDLE and super().is_connected

    def _new_conn(self) -> socket.socket:
        # Kept before it is held, so that it gets closed where the call is over already.
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
        # Another call may use it at once, and must not be cut off by the end of this one.
        _under_way.get().call.let_go()
        super()._put_conn(conn)


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


class _Adapter(HTTPAdapter):
    """Pools of our own; `tls` alone says who is trusted."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        super().__init__(pool_maxsize=MOST_IDLE, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, ssl_context=self._tls)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def cert_verify(self, *args: object) -> None:
        """Do not let requests load its own list of authorities into `tls`, once a connection."""


class _Session(requests.Session):
    """A session that remembers nothing and takes nothing from the environment."""

    def __init__(self, scheme: str, tls: ssl.SSLContext | None) -> None:
        super().__init__()
        self.trust_env = False
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self.headers.clear()
        self.headers.update(_COMMON_HEADERS)
        self.mount(f"{scheme}://", _Adapter(tls))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere: else requests reads the whole answer and the target, even if not to follow."""


class Transport:
    """Requests to the server at `base_url`, from many threads or greenlets at once.

    Args:
        base_url: http or https; its path is put before every request's.
        tls: who is trusted; None for the machine's own certificate authorities.
        now: the wall clock, which is compared with the server's.
    """

    def __init__(
        self,
        base_url: str,
        timeouts: Timeouts,
        monotonic: Callable[[], float],
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a base URL is http:// or https:// and a host")
        # Without a user and password, which requests would prefer to our own credentials.
        host = parts.netloc.rpartition("@")[2]
        self._base_url = f"{parts.scheme}://{host}{parts.path.rstrip('/')}"
        self._timeouts = timeouts
        self._monotonic = monotonic
        self._now = now
        if parts.scheme == "https":
            tls = tls or ssl.create_default_context()
        self._session = _Session(parts.scheme, tls)

    def exchange(self, call: Call[Any], request: Request) -> Answer:
        """Send once, and read the whole answer.

        Raises:
            NotSent, UnknownOutcome: by what had been sent when it broke.
        """
        _under_way.set(_Exchange(call, request.counts, self._monotonic))
        body = bytearray()
        try:
            status = self._talk(request, body)
        except (OSError, HTTPError) as error:
            message = f"the connection broke ({type(error).__name__})"
            raise call.broken(message, excerpt(request.blank(body))) from error
        finally:
            call.let_go()
        call.go_on()
        blanked = request.blank(body)
        if len(body) > LARGEST_ANSWER:
            raise call.broken("the answer was too large", excerpt(blanked))
        return Answer(status, blanked)

    def close(self) -> None:
        """Drop the idle connections."""
        self._session.close()

    def _talk(self, request: Request, body: bytearray) -> int:
        sent_at = self._now()
        with self._session.request(
            request.method,
            self._base_url + request.path,
            data=request.body,
            headers=request.headers,
            timeout=(self._timeouts.connect, self._timeouts.read),
            allow_redirects=False,
            stream=True,
        ) as response:
            self._note_skew(response.headers.get("Date", ""), sent_at)
            # Not iter_content(), which keeps to itself the end of an answer that is cut short.
            while piece := response.raw.read1(LARGEST_ANSWER, decode_content=True):
                body += piece
                if len(body) > LARGEST_ANSWER:
                    break
            return response.status_code

    def _note_skew(self, date: str, sent_at: datetime) -> None:
        try:
            theirs = parsedate_to_datetime(date)
        except ValueError:
            return
        if theirs.tzinfo is not None:
            ours = skew(theirs, sent_at, self._now())
            counters.mark("daraja_clock_skew_seconds", ours.total_seconds())

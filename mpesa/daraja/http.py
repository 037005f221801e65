"""HTTP to one server: connections that are kept alive, never a retry, never a redirect.

Built on http.client rather than on a session that does more: here no layer resends, follows,
reconnects, keeps cookies, unpacks, or reads proxies and passwords from the environment, and it is
known exactly when the first byte of a request leaves.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mpesa.daraja.answers import Answer, excerpt
from mpesa.daraja.calls import Call, quietly

# Daraja's answers have less than 1 KiB and a firewall's page a few; more is not for us.
LARGEST_ANSWER = 64 * 1024
# Load balancers drop idle connections after 60 s or more. A push that meets that moment is of
# unknown outcome, so we are done with a connection long before.
LONGEST_IDLE = 15.0
# As many as keep a busy minute from paying a TLS handshake for each call.
MOST_IDLE = 10
# A token has 28 characters; one of a few would be found in an answer by chance.
SHORTEST_SECRET = 16

_COMMON_HEADERS = {"Accept": "application/json", "User-Agent": "checkout/1.0"}


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
        """All but those that follow from the connection and the body."""
        # Without the type, Daraja reports an invalid BusinessShortCode (Daraja docs, M-PESA
        # Express, FAQ 9).
        kind = {"Content-Type": "application/json"} if self.body is not None else {}
        return {"Authorization": self.authorization, **_COMMON_HEADERS, **kind}

    def blank(self, answer: bytes) -> bytes:
        """The answer without our own secret in it."""
        secret = self.authorization.rpartition(" ")[2].encode()
        return answer.replace(secret, b"[secret]") if len(secret) >= SHORTEST_SECRET else answer


class Line(http.client.HTTPConnection):
    """One connection, which another thread can shut at any time, TLS handshake included."""

    # Without this, http.client would connect again by itself after the peer has closed.
    auto_open = 0

    def __init__(self, host: str, port: int | None, timeouts: Timeouts, tls: ssl.SSLContext | None):
        self.default_port = 443 if tls else 80
        super().__init__(host, port)
        self._timeouts = timeouts
        self._tls = tls
        # A second handle on the same TCP socket: TLS takes over the first one for its handshake,
        # and must not be spoken to from two threads.
        self._raw: socket.socket | None = None
        self.last_used = 0.0

    def dial(self) -> None:
        """Look the name up and connect; a no-op on an open line. Raises OSError."""
        if self.sock is None:
            address = (self.host, self.port)
            self.sock = socket.create_connection(address, timeout=self._timeouts.connect)
            self._raw = self.sock.dup()
            self._raw.setblocking(False)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def secure(self) -> None:
        """Do the TLS handshake where one is due. Raises OSError."""
        if self._tls is not None and not isinstance(self.sock, ssl.SSLSocket):
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)
        self.sock.settimeout(self._timeouts.read)

    def is_quiet(self) -> bool:
        """Whether an idle line is still open: closed by the peer, it would have an end to read."""
        try:
            self._raw_socket().recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def shut(self) -> None:
        """Wake whoever is blocked on this line, with an end of file."""
        quietly(lambda: self._raw_socket().shutdown(socket.SHUT_RDWR))

    def drop(self) -> None:
        """Close everything."""
        quietly(self.close)
        if self._raw is not None:
            quietly(self._raw.close)

    def _raw_socket(self) -> socket.socket:
        if self._raw is None:
            raise OSError("not connected")
        return self._raw


class Transport:
    """Requests to the server at `base_url`, from many threads or greenlets at once.

    Args:
        base_url: http or https; its path is put before every request's.
        tls: who is trusted; None for the machine's own certificate authorities.
    """

    def __init__(
        self,
        base_url: str,
        timeouts: Timeouts,
        monotonic: Callable[[], float],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a base URL is http:// or https:// and a host")
        self._host, self._port = parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._timeouts = timeouts
        self._monotonic = monotonic
        self._tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None
        self._lock = threading.Lock()
        self._idle: list[Line] = []

    def exchange(self, call: Call[Any], request: Request) -> Answer:
        """Send once, and read the whole answer.

        Raises:
            NotSent, UnknownOutcome: by what had been sent when it broke.
        """
        line = self._idle_line() or Line(self._host, self._port, self._timeouts, self._tls)
        keep = False
        try:
            answer = self._talk(call, line, request)
            keep = line.sock is not None
        except (OSError, http.client.HTTPException) as error:
            raise call.broken(f"the connection broke ({type(error).__name__})") from error
        finally:
            if keep:
                self._keep(line)
            else:
                line.drop()
        return answer

    def close(self) -> None:
        """Drop the idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for line in idle:
            line.drop()

    def _talk(self, call: Call[Any], line: Line, request: Request) -> Answer:
        line.dial()
        call.hold(line)
        line.secure()
        call.about_to_send(counts=request.counts)
        line.request(request.method, self._prefix + request.path, request.body, request.headers)
        with closing(line.getresponse()) as response:
            body = _read(call, request, response)
        call.let_go()
        return Answer(response.status, body)

    def _idle_line(self) -> Line | None:
        while True:
            with self._lock:
                line = self._idle.pop() if self._idle else None
            if line is None:
                return None
            if self._monotonic() - line.last_used < LONGEST_IDLE and line.is_quiet():
                return line
            line.drop()

    def _keep(self, line: Line) -> None:
        line.last_used = self._monotonic()
        with self._lock:
            if len(self._idle) < MOST_IDLE:
                self._idle.append(line)
                return
        line.drop()


def _read(call: Call[Any], request: Request, response: http.client.HTTPResponse) -> bytes:
    body = response.read(LARGEST_ANSWER + 1)
    blanked = request.blank(body)
    if len(body) > LARGEST_ANSWER:
        raise call.broken("the answer was too large", excerpt(blanked))
    # With a size given, http.client does not complain about an answer that ends too early.
    if response.length:
        raise call.broken("the answer was cut short", excerpt(blanked))
    return blanked

"""Daraja's server: requests to it, over connections that are kept, and its answers."""

import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from urllib3.exceptions import HTTPError

from mpesa import __version__, counters
from mpesa.bounded_http import Call, Session
from mpesa.daraja.answers import Answer, excerpt
from mpesa.daraja.errors import of_ended
from mpesa.domain.steps import skew

# Daraja's answers have less than 1 KiB and a firewall's page has a few; more is no answer to us.
LARGEST_ANSWER = 64 * 1024
# Load balancers drop idle connections after 60 s or more. A push that meets that moment has an
# unknown outcome, so a connection is given up long before.
LONGEST_IDLE = 15.0
# Enough that calls of a busy minute need not pay a TLS handshake each.
MOST_IDLE = 10
# A token has 28 characters; a secret of a few would be found in an answer by chance.
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
    """A request to Daraja.

    Attributes:
        path: the path below the base URL, with its leading slash.
        authorization: the header's value, whose secret is blanked wherever the answer repeats it;
            None: the request has no such header.
        body: JSON; None: the request has no body.
        counts: it is the push or query itself, so that its first byte makes the call a sent one.
        largest: the most bytes that its answer may have.
    """

    method: str
    path: str
    authorization: str | None = field(repr=False)
    body: bytes | None = field(default=None, repr=False)
    counts: bool = True
    largest: int = LARGEST_ANSWER

    @property
    def headers(self) -> dict[str, str]:
        """The headers that not every request has."""
        # Without the type, Daraja reports an invalid BusinessShortCode (Daraja docs, M-PESA
        # Express, FAQ 9).
        kind = {"Content-Type": "application/json"} if self.body is not None else {}
        who = {"Authorization": self.authorization} if self.authorization is not None else {}
        return {**who, **kind}

    def blank(self, answer: bytearray) -> bytes:
        """The answer without our own secret in it."""
        secret = (self.authorization or "").rpartition(" ")[2].encode()
        if len(secret) < SHORTEST_SECRET:
            return bytes(answer)
        return bytes(answer.replace(secret, b"[secret]"))


class Transport:
    """Requests to the server at `base_url`, from many threads or greenlets at once.

    Args:
        base_url: http or https; its path is put before every request's.
        timeouts: of single steps; the call's own limit is a hard one.
        monotonic: seconds that only grow.
        tls: the authorities to be trusted; None for the machine's own.
        now: the wall clock, which is compared with the server's.

    Raises:
        ValueError: the base URL has another scheme, or no host.
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
        self._now = now
        if parts.scheme == "https":
            tls = tls or ssl.create_default_context()
        self._session = Session(
            tls, most_idle=MOST_IDLE, longest_idle=LONGEST_IDLE, monotonic=monotonic
        )
        self._session.headers.update(_COMMON_HEADERS)

    def exchange(self, call: Call[Any], request: Request) -> Answer:
        """Send a request once, and read the whole answer.

        Raises:
            NotSent: the connection broke before the push or query had begun to leave.
            UnknownOutcome: the connection broke later, or the answer was too large.
            OutOfTime: the call has ended.
        """
        self._session.carry(call, counts=request.counts)
        body = bytearray()
        try:
            status = self._talk(request, body)
        except (OSError, HTTPError) as error:
            message = f"the connection broke ({type(error).__name__})"
            raise of_ended(call.broken(message, excerpt(request.blank(body)))) from error
        finally:
            call.let_go()
        call.go_on()
        blanked = request.blank(body)
        if len(body) > request.largest:
            raise of_ended(call.broken("the answer was too large", excerpt(blanked)))
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
            with suppress(ValueError):  # a date that cannot be read tells nothing of their clock
                theirs = parsedate_to_datetime(response.headers.get("Date", ""))
                if theirs.tzinfo is not None:
                    ours = skew(theirs, sent_at, self._now())
                    counters.mark("daraja_clock_skew_seconds", ours.total_seconds())
            # Not iter_content(), which swallows the end of an answer that is cut short.
            while piece := response.raw.read1(LARGEST_ANSWER, decode_content=True):
                body += piece
                if len(body) > request.largest:
                    break
            return response.status_code

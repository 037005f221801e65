"""A merchant's server on loopback, which takes webhooks and can fail in every way."""

import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SO_LINGER, SOL_SOCKET

# Longer than any time limit that a test sets (seconds); cut short when the test ends.
_FOR_EVER = 30.0


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


class Handler(BaseHTTPRequestHandler):
    """Takes a POST, and answers what the receiver says; 204 by default."""

    server: "Receiver"

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        headers = {name.lower(): value for name, value in self.headers.items()}
        received = Received(self.path, headers, self.rfile.read(length))
        with self.server.entered():
            answer = self.server.note(received)
            answer(self)

    def do_GET(self) -> None:
        self.server.followed.append(self.path)
        reply(200)(self)

    def log_message(self, *_: object) -> None:
        """Not into the output of the tests."""


Answer = Callable[[Handler], None]


class Receiver(ThreadingHTTPServer):
    """Remembers what came.

    Attributes:
        answers: how the next requests are answered, in turn; after them `usual`.
        followed: what was asked for by GET, which nobody should.
        most_at_once: how many requests were under way at once, at the most.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[Received] = []
        self.answers: deque[Answer] = deque()
        self.usual: Answer = reply(204)
        self.followed: list[str] = []
        self.most_at_once = 0
        self.over = threading.Event()
        self._under_way = 0
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def note(self, received: Received) -> Answer:
        with self._lock:
            self.got.append(received)
            return self.answers.popleft() if self.answers else self.usual

    @contextmanager
    def entered(self) -> Iterator[None]:
        with self._lock:
            self._under_way += 1
            self.most_at_once = max(self.most_at_once, self._under_way)
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1

    def ids(self) -> list[str]:
        """The webhook-ids in the order of their coming."""
        return [each.headers["webhook-id"] for each in self.got]

    def handle_error(self, *_: object) -> None:
        """Connections that break are what is tried here."""


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Let a receiver run."""
    receiver = Receiver()
    if tls is not None:
        receiver.socket = tls.wrap_socket(receiver.socket, server_side=True)
    thread = threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.over.set()
        receiver.shutdown()
        receiver.server_close()


def reply(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer like this; underscores in header names are hyphens."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(handler: Handler) -> None:
    """Never answer."""
    handler.server.over.wait(_FOR_EVER)


def slowly(seconds: float, status: int = 204) -> Answer:
    """Answer late."""

    def answer(handler: Handler) -> None:
        time.sleep(seconds)
        reply(status)(handler)

    return answer


def drip(handler: Handler) -> None:
    """Send a header that never ends, a byte at a time."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"a")


def drip_body(handler: Handler) -> None:
    """Answer 200 at once, and never end the body."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while not handler.server.over.wait(0.05):
        handler.wfile.write(b"a")


def flood(handler: Handler) -> None:
    """Answer 200 with a body without end, as fast as it is taken."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while not handler.server.over.is_set():
        handler.wfile.write(b"<p>" * 20_000)


def reset(handler: Handler) -> None:
    """Break the connection."""
    handler.connection.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def babble(handler: Handler) -> None:
    """Answer something that is not HTTP."""
    handler.wfile.write(b"hello?\r\n\r\n")

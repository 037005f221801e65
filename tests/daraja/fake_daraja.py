"""A real HTTP server that answers by a script and remembers what it was asked."""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType

OAUTH = "/oauth/v1/generate"
PUSH = "/mpesa/stkpush/v1/processrequest"
QUERY = "/mpesa/stkpushquery/v1/query"

ACCEPTED = {
    "MerchantRequestID": "2654-4b64-97ff-b827b542881d3130",
    "CheckoutRequestID": "ws_CO_230920262019337708374149",
    "ResponseCode": "0",
    "ResponseDescription": "Success. Request accepted for processing",
    "CustomerMessage": "Success. Request accepted for processing",
}
PAID = {
    "ResponseCode": "0",
    "ResponseDescription": "The service request has been accepted successfully",
    "MerchantRequestID": "2654-4b64-97ff-b827b542881d3130",
    "CheckoutRequestID": "ws_CO_230920262019337708374149",
    "ResultCode": "0",
    "ResultDesc": "The service request is processed successfully.",
}


def refusal(code: str, message: str) -> dict[str, str]:
    return {"requestId": "11728-2929992-1", "errorCode": code, "errorMessage": message}


@dataclass(frozen=True)
class Asked:
    """A request as it arrived, and the client's port, which tells connections apart."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def fields(self) -> dict[str, object]:
        return json.loads(self.body)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body are two writes, and the second would wait 40 ms for the client's ACK.
    disable_nagle_algorithm = True
    server: "Server"
    extra_headers: Mapping[str, str] = MappingProxyType({})

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = Asked(self.command, self.path, dict(self.headers), body, self.client_address[1])
        self.server.fake.next_step(asked)(self)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Twenty at once must not wait for a lost SYN to be sent again.
    request_queue_size = 64
    fake: "FakeDaraja"

    def shutdown_request(self, request: object) -> None:
        super().shutdown_request(request)
        self.fake.hung_up.set()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is what some tests are about."""


Step = Callable[[Handler], None]


@dataclass
class FakeDaraja:
    """Daraja's three endpoints; each answers its script's next step, the last one for ever."""

    base_url: str = ""
    script: dict[str, list[Step]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    arrived: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    hung_up: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    tokens: int = 0

    def next_step(self, asked: Asked) -> Step:
        with self.lock:
            self.asked.append(asked)
            steps = self.script.get(asked.path.partition("?")[0], [])
            step = steps.pop(0) if len(steps) > 1 else steps[0] if steps else self.usual(asked)
        if not asked.path.startswith(OAUTH):
            self.arrived.set()
        return step

    def usual(self, asked: Asked) -> Step:
        if asked.path.startswith(OAUTH):
            self.tokens += 1
            return reply(200, token_number(self.tokens))
        return reply(200, PAID if asked.path == QUERY else ACCEPTED)

    def to(self, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path.partition("?")[0] == path]

    def silence(self, handler: Handler) -> None:
        """Say nothing until the client hangs up."""
        handler.connection.recv(1)
        self.left.set()
        handler.close_connection = True

    def drip(self, handler: Handler) -> None:
        """An answer whose pieces always come before any time-out between two of them."""
        try:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n")
            while not self.release.wait(0.05):
                handler.wfile.write(b" ")
        except OSError:
            self.left.set()
        handler.close_connection = True


def token_number(number: int) -> dict[str, object]:
    return {"access_token": f"token-number-{number:015d}", "expires_in": "3599"}


def reply(
    status: int, body: object = b"", *, kind: str = "application/json", close: bool = False
) -> Step:
    """A complete answer; `close`: the connection is then closed without being told so."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def step(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(raw)))
        for name, value in handler.extra_headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)
        handler.close_connection = close

    return step


def raw(sent: bytes, *, reset: bool = True) -> Step:
    """Some bytes, then the connection is gone."""

    def step(handler: Handler) -> None:
        handler.wfile.write(sent)
        if reset:
            linger = struct.pack("ii", 1, 0)
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        handler.close_connection = True

    return step


@contextmanager
def running_daraja(tls: ssl.SSLContext | None = None) -> Iterator[FakeDaraja]:
    fake = FakeDaraja()
    server = Server(("127.0.0.1", 0), Handler)
    server.fake = fake
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    fake.base_url = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.release.set()
        server.shutdown()
        server.server_close()

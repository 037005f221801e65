"""A proxy that sees what is asked and answered, and outlives whoever it stands before."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

# Longer than Daraja's client and the simulator wait (seconds).
PATIENCE = 30.0
_PASSED_ON = ("Authorization", "Content-Type", "Accept")


@dataclass(frozen=True)
class Seen:
    """A request and its answer.

    Attributes:
        status: None where nobody answered.
        may_have_run: False where Daraja said that its token is dead, and did nothing.
    """

    path: str
    body: bytes
    status: int | None
    may_have_run: bool = True


class Witness:
    """Stands before a server; never repeats a request.

    Attributes:
        under_way: requests that are not answered yet.
    """

    def __init__(self, target: str) -> None:
        self.target = target
        self.seen: list[Seen] = []
        self.under_way: set[int] = set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    @contextmanager
    def standing(self) -> Iterator["Witness"]:
        """Take requests for a while."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    def pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> "_Answer":
        """Ask the server behind, and remember."""
        self.under_way.add(threading.get_ident())
        try:
            return self._pass_on(method, path, headers, body)
        finally:
            self.under_way.discard(threading.get_ident())

    def _pass_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> "_Answer":
        with requests.Session() as session:
            session.trust_env = False
            try:
                answer = session.request(
                    method, f"{self.target}{path}", headers=headers, data=body, timeout=PATIENCE
                )
            except requests.RequestException:
                self.seen.append(Seen(path, body, None))
                return _Answer(502, "text/plain", b"")
        # Both codes of it: 404.001.03, and 401.003.01 where the app may not use the API.
        dead = answer.status_code in (401, 404) and b"Invalid Access Token" in answer.content
        self.seen.append(Seen(path, body, answer.status_code, may_have_run=not dead))
        kind = answer.headers.get("Content-Type", "text/plain")
        return _Answer(answer.status_code, kind, answer.content)


@dataclass(frozen=True)
class _Answer:
    status: int
    kind: str
    body: bytes


def _handler(witness: Witness) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name: self.headers[name] for name in _PASSED_ON if name in self.headers}
            answer = witness.pass_on(self.command, self.path, headers, body)
            try:
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.kind)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)
            except OSError:
                self.close_connection = True  # who asked was killed meanwhile

        def log_message(self, format: str, *arguments: object) -> None:
            """Addresses hold secrets, and nobody reads this."""

    return Handler

"""How fast Safaricom has its 200, alone and at a steady rate, and what a settled payment costs."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

from tests.bench.process import cpu_of
from tests.factories import API_KEY, order_fields, success_callback
from tests.servers import LIMITED, Server, from_address, running

PATIENCE = 30.0


@dataclass(frozen=True)
class Answered:
    """Seconds from a callback's first byte to its 200, and the server's CPU seconds a callback.

    A callback that was answered has settled its payment: it is judged before the answer.
    """

    answers: list[float]
    cpu: float


class TakesAll(ThreadingHTTPServer):
    """A Daraja that takes every push and remembers its callback address."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _TakesAll)
        self.callbacks: dict[str, str] = {}
        self.lock = threading.Lock()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _TakesAll(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: TakesAll

    def do_GET(self) -> None:
        self._answer({"access_token": "a-token-of-twenty-eight-char", "expires_in": "3599"})

    def do_POST(self) -> None:
        push = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if "PartyA" not in push:  # a query: the callback is still to come
            self._answer({"ResponseCode": "0", "ResultCode": "4999"})
            return
        msisdn = str(push["PartyA"])
        with self.server.lock:
            self.server.callbacks[msisdn] = push["CallBackURL"]
        self._answer(
            {
                "MerchantRequestID": f"2654-4b64-97ff-{msisdn}",
                "CheckoutRequestID": f"ws_CO_{msisdn}",
                "ResponseCode": "0",
                "ResponseDescription": "Success. Request accepted for processing",
                "CustomerMessage": "Success. Request accepted for processing",
            }
        )

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def _answer(self, document: dict[str, str]) -> None:
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def measure(
    folder: Path, url: str, callbacks: int, per_second: float, **settings: str
) -> dict[str, Answered]:
    """Answer callbacks one after another, then as many again at a rate."""
    with takes_all() as daraja, _served(folder, url, daraja, settings) as server:
        _push(server, 2 * callbacks)
        waiting = [_callback(number, daraja) for number in range(2 * callbacks)]
        return {
            "one after another": _deliver(server, waiting[:callbacks], None),
            f"{per_second:g} a second": _deliver(server, waiting[callbacks:], per_second),
        }


@contextmanager
def takes_all() -> Iterator[TakesAll]:
    """A Daraja that runs as long as the context."""
    daraja = TakesAll()
    threading.Thread(target=daraja.serve_forever, daemon=True).start()
    try:
        yield daraja
    finally:
        daraja.shutdown()
        daraja.server_close()


@contextmanager
def _served(folder: Path, url: str, daraja: TakesAll, settings: dict[str, str]) -> Iterator[Server]:
    given = {"DATABASE_URL": url, "DARAJA_BASE_URL": daraja.address, **LIMITED, **settings}
    with running(folder, **given) as server:
        yield server


def _push(server: Server, payments: int) -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        for done in [pool.submit(_push_one, server, number) for number in range(payments)]:
            done.result()


def _push_one(server: Server, number: int) -> None:
    order = server.post("/api/orders", json=order_fields(), headers=API_KEY).json()["order_id"]
    fields = {"order_id": order, "phone": _msisdn(number)}
    pushed = server.post("/stk-push", json=fields, headers=from_address(number))
    assert pushed.status_code == 202, pushed.text


def _msisdn(number: int) -> str:
    return f"2547{number:08d}"


def _callback(number: int, daraja: TakesAll) -> tuple[str, bytes]:
    """An address and a body; receipts are ten characters, as M-PESA's."""
    msisdn = _msisdn(number)
    ids = (f"ws_CO_{msisdn}", f"2654-4b64-97ff-{msisdn}")
    body = success_callback(*ids, receipt=f"U{number:09d}")
    return daraja.callbacks[msisdn], json.dumps(body).encode()


def _deliver(
    server: Server, waiting: list[tuple[str, bytes]], per_second: float | None
) -> Answered:
    """Send them; with a rate, each at its own time, whatever became of the one before."""
    before, begin = _cpu(server), time.monotonic()
    with ThreadPoolExecutor(max_workers=1 if per_second is None else 64) as pool:
        sent = [
            pool.submit(_post, url, body, begin + number / per_second if per_second else None)
            for number, (url, body) in enumerate(waiting)
        ]
        answers = [each.result() for each in sent]
    return Answered(answers, (_cpu(server) - before) / len(waiting))


_kept_alive = threading.local()


def _post(url: str, body: bytes, at: float | None) -> float:
    if not hasattr(_kept_alive, "session"):
        _kept_alive.session = requests.Session()
    begin = time.monotonic() if at is None else at
    time.sleep(max(0.0, begin - time.monotonic()))
    headers = {"Content-Type": "application/json;charset=UTF-8"}
    answer = _kept_alive.session.post(url, body, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    return time.monotonic() - begin


def _cpu(server: Server) -> float:
    """CPU seconds that the server's process has used."""
    assert server.process is not None
    return cpu_of(server.process.pid)

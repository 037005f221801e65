"""The server's own part: from a callback to what it emits, with a timer around each step."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from mpesa import ledger
from mpesa.models import db
from mpesa.runtime import database
from mpesa.web.http.services import services
from tests.factories import API_KEY, make_settings, order_fields, raw, success_callback
from tests.fakes import FakeDaraja
from tests.servers import LIMITED, from_address

PATIENCE = 5.0
# The first ones pay for connections, compiled statements and caches.
WARM_UP = 20

RECORD, EMIT = "store, decide and record it (commit)", "emit to the room"
REST, EMITTED, ANSWERED = (
    "everything else",
    "= received until emitted",
    "received until answered 200",
)


class Stopwatch:
    """Adds up the time that wrapped functions take, and keeps when the last one ended."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again from nothing."""
        self.spent: Counter[str] = Counter()
        self.ended: dict[str, float] = {}

    def around(self, step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, timed as this step."""

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.ended[step] = time.perf_counter()
                self.spent[step] += self.ended[step] - began  # type: ignore[assignment]

        return timed


def measure(url: str, callbacks: int) -> dict[str, list[float]]:
    """Take callbacks in, one after another; seconds of each step of each."""
    daraja = FakeDaraja()
    app = create_app(make_settings(DATABASE_URL=url, **LIMITED), daraja=daraja)  # type: ignore[arg-type]
    with app.app_context():
        database.migrate()
    rows: dict[str, list[float]] = {}
    with _timed(app) as watch:
        for number in range(1, WARM_UP + callbacks + 1):
            taken = _take(app, daraja, number, watch)
            if number > WARM_UP:
                for step, seconds in taken.items():
                    rows.setdefault(step, []).append(seconds)
    with app.app_context():
        db.engine.dispose()
    return rows


@contextmanager
def _timed(app: Flask) -> Iterator[Stopwatch]:
    """Timers around the steps where they are called; the path itself stays the real one."""
    watch = Stopwatch()
    with app.app_context():
        emitter = services().socketio
    with ExitStack() as timers:
        for owner, name, step in ((ledger, "record_callback", RECORD), (emitter, "emit", EMIT)):
            timed = watch.around(step, getattr(owner, name))
            timers.enter_context(patch.object(owner, name, timed))
        yield watch


def _take(app: Flask, daraja: FakeDaraja, number: int, watch: Stopwatch) -> dict[str, float]:
    client = app.test_client()
    page = _waiting_page(app, client, number)
    body = raw(
        success_callback(
            daraja.checkout_id(number), daraja.merchant_id(number), receipt=f"UKO{number:07d}"
        )
    )
    watch.reset()
    received = time.perf_counter()
    answer = client.post(f"/callback/{daraja.token_of(number)}", data=body)
    answered = time.perf_counter()
    assert answer.status_code == 200, answer.text
    _wait_for_success(page)
    page.disconnect()
    return _row(watch, received, answered)


def _row(watch: Stopwatch, received: float, answered: float) -> dict[str, float]:
    emitted = watch.ended[EMIT] - received
    steps = {step: float(watch.spent[step]) for step in (RECORD, EMIT)}
    rest = max(0.0, emitted - sum(steps.values()))
    return {**steps, REST: rest, EMITTED: emitted, ANSWERED: answered - received}


def _waiting_page(app: Flask, client: FlaskClient, number: int) -> Any:
    """A Socket.IO client in the room of a new transaction."""
    order = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
    wanted = {"order_id": order["order_id"], "phone": f"+2547{number:08d}"}
    shopper = from_address(number)
    transaction_id = client.post("/stk-push", json=wanted, headers=shopper).get_json()[
        "transaction_id"
    ]
    with app.app_context():
        emitter = services().socketio
    return emitter.test_client(app, auth={"tx_id": transaction_id, "lang": "en"})


def _wait_for_success(page: Any) -> None:
    give_up = time.monotonic() + PATIENCE
    while not any(each["args"][0]["status"] == "SUCCESS" for each in page.get_received()):
        assert time.monotonic() < give_up, f"nothing was emitted by {datetime.now(UTC)}"
        time.sleep(0.001)

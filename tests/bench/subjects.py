"""What is measured: our server, and two beside it. Each starts, and each can be seeded."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from mpesa.ids import new_callback_token
from mpesa.models import Order, Transaction
from tests.bench import rows
from tests.bench.daraja import Daraja
from tests.servers import LIMITED, Server, running, wait_until


@dataclass(frozen=True)
class Waiting:
    """A transaction that waits, and the callback that settles it."""

    transaction_id: str
    callback_path: str
    callback: bytes


class Subject(Protocol):
    """A server under measurement."""

    name: str

    def served(self, folder: Path, daraja: Daraja) -> Any:
        """A context with the running server, its tables made."""

    def seed(self, count: int, age: float = 0.0) -> list[Waiting]:
        """Commit transactions whose PIN is awaited, pushed `age` seconds ago."""

    def make_young(self, age: float) -> None:
        """Have all that wait pushed `age` seconds ago, where age changes anything."""


class Rival:
    """A server that ours is measured beside; both keep a payment in a row of the same columns.

    Args:
        name: of its program in this folder, without `_app.py`.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name, self._url, self._rows = name, url, rows.Rows(url)

    @contextmanager
    def served(self, folder: Path, daraja: Daraja) -> Iterator[Server]:
        """Start it."""
        program = (f"tests/bench/{self.name}_app.py",)
        given = {"DATABASE_URL": self._url, "DARAJA_BASE_URL": daraja.address}
        with running(folder, program, **given) as server:
            yield _ready(server)

    def seed(self, count: int, age: float = 0.0) -> list[Waiting]:
        """Rows as its POST /stk-push makes them."""
        now = datetime.now(UTC) - timedelta(seconds=age)
        payments, waiting = [], []
        for number in self._rows.numbers(count):
            ids = f"ws_CO_{uuid.uuid4().hex}", str(uuid.uuid4())
            row = rows.rivals_row(number, *ids, now)
            payments.append(row)
            waiting.append(Waiting(row["transaction_id"], "/callback", rows.body(number, *ids)))
        self._rows.insert({self._rows.reflected("payments"): payments})
        return waiting

    def make_young(self, age: float) -> None:
        """It knows no time."""


class Ours:
    """This project's server.

    Args:
        settings: environment on top of what every measurement needs.
    """

    name = "ours"

    def __init__(self, url: str, **settings: str) -> None:
        self._url, self._settings, self._rows = url, settings, rows.Rows(url)

    @contextmanager
    def served(self, folder: Path, daraja: Daraja) -> Iterator[Server]:
        """Start it."""
        given = {"DATABASE_URL": self._url, "DARAJA_BASE_URL": daraja.address}
        # What is measured is a payment, not the wait that would end in the middle of it.
        given["PAYMENT_WAIT_SECONDS"] = "3600"
        with running(folder, **given, **LIMITED, **self._settings) as server:
            yield _ready(server)

    def seed(self, count: int, age: float = 0.0) -> list[Waiting]:
        """Rows as an order and its accepted push leave them."""
        now = datetime.now(UTC) - timedelta(seconds=age)
        orders, transactions, waiting = [], [], []
        for number in self._rows.numbers(count):
            token, ids = new_callback_token(), (f"ws_CO_{number:020d}", f"2654-4b64-{number:08d}")
            order = rows.order(number, now)
            row = rows.transaction(number, order["id"], token, *ids, now)
            orders.append(order)
            transactions.append(row)
            waiting.append(Waiting(row["id"], f"/callback/{token}", rows.body(number, *ids)))
        self._rows.insert({Order.__table__: orders, Transaction.__table__: transactions})  # type: ignore[dict-item]
        return waiting

    def make_young(self, age: float) -> None:
        """Prompts end after 180 s, which is not what is measured."""
        self._rows.make_young(age)


def _ready(server: Server) -> Server:
    """It listens before its tables are there; any answer to a poll means that they are."""
    wait_until(lambda: server.get("/check-status?tx_id=none").status_code == 404, server.why)
    return server

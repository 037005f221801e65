"""Rows of transactions that wait, put straight into the database."""

import itertools
import json
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.ids import hash_token, new_id
from mpesa.models import Transaction
from tests.factories import success_callback


class Rows:
    """Connects as a bystander: what it writes is not part of what is measured."""

    def __init__(self, url: str) -> None:
        # Its own commits need not be durable, and take less of the machine then.
        self._engine = sa.create_engine(
            url.replace("postgresql://", "postgresql+psycopg2://"),
            connect_args={"options": "-c synchronous_commit=off"},
        )
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()

    def numbers(self, count: int) -> list[int]:
        """Numbers that no row had yet."""
        with self._lock:
            return list(itertools.islice(self._numbers, count))

    def insert(self, rows: dict[sa.Table, list[dict[str, Any]]]) -> None:
        """Commit rows, table by table; many at once get fresh statistics too."""
        with self._engine.begin() as connection:
            for table, some in rows.items():
                connection.execute(sa.insert(table), some)
                if len(some) > 100:
                    connection.execute(sa.text(f"ANALYZE {table.name}"))

    def make_young(self, age: float) -> None:
        """Have every open prompt pushed `age` seconds ago: one of 180 s ends, whoever measures."""
        young = sa.update(Transaction).where(Transaction.is_open)
        created = datetime.now(UTC) - timedelta(seconds=age)
        with self._engine.begin() as connection:
            connection.execute(young.values(created_at=created))

    def reflected(self, name: str) -> sa.Table:
        """A table as the database has it."""
        return sa.Table(name, sa.MetaData(), autoload_with=self._engine)


def body(number: int, checkout_id: str, merchant_id: str) -> bytes:
    """The callback that settles a row."""
    # Receipts are ten characters, as M-PESA's.
    body = success_callback(checkout_id, merchant_id, receipt=f"U{number:09d}")
    return json.dumps(body).encode()


def rivals_row(number: int, checkout_id: str, merchant_id: str, now: datetime) -> dict[str, Any]:
    """A row as POST /stk-push of the plain and of the fast server makes it."""
    return {
        "transaction_id": str(uuid.uuid4()),
        "order_id": str(uuid.uuid4()),
        "phone": f"2547{number:08d}",
        "amount": 150,
        "merchant_request_id": merchant_id,
        "checkout_request_id": checkout_id,
        "status": "PENDING",
        "message": "Enter your PIN on your phone.",
        "created_at": now,
        "updated_at": now,
    }


def order(number: int, now: datetime) -> dict[str, Any]:
    """An order as POST /api/orders makes it."""
    return {
        "id": new_id(),
        "amount": 150,
        "reference": f"INV-{number}",
        "description": "Two coffees",
        "status": "OPEN",
        "created_at": now,
        "updated_at": now,
    }


def transaction(
    number: int, order_id: str, token: str, checkout_id: str, merchant_id: str, now: datetime
) -> dict[str, Any]:
    """An attempt as its accepted push leaves it."""
    return {
        "id": new_id(),
        "order_id": order_id,
        "attempt": 1,
        "msisdn": f"2547{number:08d}",
        "amount": 150,
        "callback_token_hash": hash_token(token),
        "merchant_request_id": merchant_id,
        "checkout_request_id": checkout_id,
        "status": "PENDING",
        "reason": "awaiting_pin",
        "is_open": True,
        "seq": 2,
        "next_ask_at": now + FIRST_QUESTION,
        "created_at": now,
        "updated_at": now,
    }

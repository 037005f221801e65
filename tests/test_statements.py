"""What one whole payment costs the database, exactly, so that it cannot grow unnoticed."""

from collections import Counter

import psycopg2
import psycopg2.extensions
import pytest
from sqlalchemy import event

from mpesa.models import db
from tests.conftest import BOTH_DATABASES
from tests.factories import PAYER, success_callback

pytestmark = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)


class Meter:
    """Counts statements and commits since it was last read."""

    def __init__(self):
        self._counts: Counter[str] = Counter()

    def statement(self, sent):
        """Count a round trip; its COMMIT may be sent along with it."""
        self._counts["statements"] += 1
        self._counts["commits"] += sent.rstrip().endswith("COMMIT")

    def commit(self, *_):
        self._counts["commits"] += 1

    def read(self):
        """(statements, commits)"""
        counts, self._counts = self._counts, Counter()
        return counts["statements"], counts["commits"]


@pytest.fixture
def meter(app):
    """A meter on the application's database."""
    with app.app_context():
        engine = db.engine
    counted = Meter()
    if engine.dialect.name == "postgresql":
        event.listen(engine, "checkout", _counting_cursors(counted.statement))
    else:
        event.listen(engine, "before_cursor_execute", _without_begin(counted.statement))
    event.listen(engine, "commit", counted.commit)
    return counted


def _counting_cursors(count):
    """Counts below SQLAlchemy, which some statements go past."""

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, statement, values=None):
            text = statement.decode() if isinstance(statement, bytes) else statement
            if text != "SELECT 1":  # whether a connection that rested still stands
                count(text)
            super().execute(statement, values)

    def checked_out(connection, *_):
        connection.cursor_factory = Cursor

    return checked_out


def _without_begin(count):
    """SQLite's BEGIN is a statement of ours as well; PostgreSQL's is the driver's."""

    def listen(connection, cursor, statement, *rest):
        if statement not in ("BEGIN", "BEGIN IMMEDIATE"):
            count(statement)

    return listen


def test_a_whole_payment_costs_this_many_statements_and_commits(
    client,
    make_order,
    daraja,
    meter,
    database_url,
):
    order = make_order()
    meter.read()

    pushed = client.post(
        "/stk-push",
        json={"order_id": order, "phone": PAYER},
        headers={"Idempotency-Key": "press-1"},
    ).get_json()
    # Twice: key, order with its attempts, line. Row and key. Then order with its attempts; row,
    # evidence and decision. Snapshot. On PostgreSQL what is written goes in one round trip.
    assert meter.read() == ((5, 2) if _on_postgresql(database_url) else (8, 2))

    body = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    client.post(f"/callback/{daraja.token_of(1)}", json=body)
    # The order by its token, with its attempts; row, order, evidence, decision, receipt,
    # witness. On PostgreSQL all that is read in one round trip, and all that is written in another.
    assert meter.read() == ((2, 1) if _on_postgresql(database_url) else (7, 1))

    client.get(f"/check-status?tx_id={pushed['transaction_id']}")
    assert meter.read() == (1, 0)


def test_a_repeated_callback_changes_no_row(
    client,
    make_order,
    daraja,
    meter,
    database_url,
):
    client.post("/stk-push", json={"order_id": make_order(), "phone": PAYER})
    body = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    client.post(f"/callback/{daraja.token_of(1)}", json=body)
    meter.read()

    client.post(f"/callback/{daraja.token_of(1)}", json=body)

    # The order by its token, with its attempts; evidence, decision, witness.
    assert meter.read() == ((2, 1) if _on_postgresql(database_url) else (4, 1))


def _on_postgresql(database_url):
    return database_url.startswith("postgresql")

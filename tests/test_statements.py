"""What one whole payment costs the database, exactly, so that it cannot grow unnoticed."""

from collections import Counter

import psycopg2
import psycopg2.extensions
import pytest
from sqlalchemy import event

from mpesa.models import db
from tests.conftest import BOTH_DATABASES
from tests.factories import API_KEY, PAYER, confirmation, success_callback

C2B_TOKEN = "c2b0" * 8

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


@pytest.fixture
def app(make_app):
    """A migrated application that takes in confirmations."""
    return make_app(C2B_TOKEN=C2B_TOKEN)


def test_a_confirmation_costs_this_many_statements_and_commits(
    client, make_order, meter, database_url
):
    """One that locks and reads all that decides, and one that writes."""
    at_postgresql = _on_postgresql(database_url)
    order = make_order(reference="INV-1001")
    code = client.get(f"/api/orders/{order}", headers=API_KEY).get_json()["pay_code"]
    client.post("/stk-push", json={"order_id": order, "phone": PAYER})
    meter.read()

    # Of a push: its row, order, evidence, decision, receipt, witness.
    _confirm(client, "INV-1001")
    assert meter.read() == ((2, 1) if at_postgresql else (7, 1))

    # By hand, for an order that is paid: a row of its own, evidence, decision, receipt, witness.
    _confirm(client, code, receipt="UKO2ABCDEF")
    assert meter.read() == ((2, 1) if at_postgresql else (6, 1))

    # Nobody's: receipt, witness; no order is locked. Then who typed it as a code.
    _confirm(client, "HELLO", receipt="UKO3ABCDEF")
    assert meter.read() == ((3, 1) if at_postgresql else (4, 1))

    # Told once more it is counted.
    _confirm(client, "INV-1001")
    assert meter.read() == (2, 1)


# A prompt shows the last 12 characters of the second.
@pytest.mark.parametrize("reference", ["INV-1001", "SHOP-2026-001001"])
def test_a_confirmation_of_a_push_that_is_paid_costs_this_many(
    client, make_order, daraja, meter, database_url, reference
):
    client.post("/stk-push", json={"order_id": make_order(reference=reference), "phone": PAYER})
    body = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    client.post(f"/callback/{daraja.token_of(1)}", json=body)
    meter.read()

    # Receipt and witness.
    _confirm(client, reference[-12:])

    assert meter.read() == ((2, 1) if _on_postgresql(database_url) else (3, 1))


def _confirm(client, account, **changed):
    """Tell of a payment by hand."""
    body = confirmation(account, **changed)
    answer = client.post(f"/c2b/{C2B_TOKEN}/confirmation", json=body)
    assert answer.status_code == 200


def _on_postgresql(database_url):
    return database_url.startswith("postgresql")

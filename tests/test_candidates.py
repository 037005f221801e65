"""How the orders that a receipt may be the money of are looked up: at once, and by indexes."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text

from app import create_app
from mpesa import candidates, receipts
from mpesa.database import own_sessions
from mpesa.domain.matching import Heard
from mpesa.domain.told import Payer, Told, WitnessKind
from mpesa.models import db
from tests.conftest import on_both
from tests.factories import make_settings
from tests.payments import fill, fill_receipts

COUNT = 20_000
NAMED = {"organisation": "174379", "kind": "confirmation", "fingerprint": "0" * 64}
# By what an order is found, or is not.
WAYS = pytest.mark.parametrize(
    "told",
    [
        {"account": "200000077"},
        {"account": "INV-77"},
        {"account": "HELLO"},
        {"account": "", "payer": Payer(masked="2547*****678")},
        {"account": "", "payer": Payer(hashed="0" * 64)},
        {"account": ""},
    ],
    ids=["pay code", "reference", "nothing", "payer's mask", "payer's hash", "nobody"],
)


@pytest.fixture(scope="module")
def filled(postgres, migrated_postgres):
    """A database of many payments, receipts and witnesses."""
    app = create_app(make_settings(DATABASE_URL=postgres.new_database(migrated_postgres)))
    with app.app_context():
        engine = db.engine
    with engine.connect() as connection:
        fill(connection, COUNT)
        fill_receipts(connection, COUNT)
        for statement in (
            "UPDATE orders SET account_form = ltrim(substr(reference, 5), '0'),"
            " pay_code = 200000000 + substr(id, 2)::int",
            "UPDATE transactions SET account_reference = (SELECT reference FROM orders"
            " WHERE orders.id = order_id)",
            "INSERT INTO witnesses (receipt_id, kind, fingerprint, body, judged, received_at,"
            " told_last_at) SELECT id, 'confirmation', receipt, '', true, learned_at,"
            " learned_at FROM receipts",
            "VACUUM ANALYZE",
        ):
            connection.execute(text(statement))
    yield engine
    engine.dispose()


def read_of(told):
    """The read of a receipt of 150 KES and its orders, with its values."""
    now = datetime.now(UTC)
    paid = Told("R000000077", 15_000, paid_at=now - timedelta(seconds=9), **told)
    return candidates.statement(Heard(paid, frozenset({WitnessKind.CONFIRMATION}), now), NAMED)


def plan(engine, read):
    """The lines of the plan of the one statement that is sent."""
    sent = []

    def note(_c, _cursor, statement, parameters, *_):
        if statement.startswith("SELECT"):
            sent.append((statement, parameters))

    with engine.connect() as connection:
        event.listen(engine, "before_cursor_execute", note)
        try:
            read(connection)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        ((statement, parameters),) = sent
        explain = "EXPLAIN" if engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
        rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
        return [str(row[-1]) for row in rows]


@pytest.mark.postgres
@WAYS
def test_postgresql_reads_no_table_as_a_whole_and_locks_by_indexes(filled, told):
    read, values = read_of(told)
    lock_order, lock_receipt, look = read.locking.split("; ")[1:]

    with filled.connect() as connection:
        lines = [
            line
            for each in (lock_order, lock_receipt, look)
            for (line,) in connection.exec_driver_sql(f"EXPLAIN {each}", {**read.fixed, **values})
        ]

    assert sum("LockRows" in each for each in lines) == 2
    assert any("Index" in each for each in lines)
    assert not [each for each in lines if "Seq Scan" in each], "\n".join(lines)


@WAYS
def test_nor_does_sqlite(app, told):
    with app.app_context():
        read, values = read_of(told)
        lines = plan(db.engine, lambda connection: connection.execute(read.plain, values))

    tables = ("orders", "transactions", "receipts", "witnesses")
    scanned = [each for each in lines if each.split()[:1] == ["SCAN"] and each.split()[1] in tables]
    assert any(each.startswith("SEARCH") for each in lines)
    assert not scanned, "\n".join(lines)


@pytest.mark.postgres
def test_whether_a_receipt_is_known_is_read_by_an_index(filled):
    lines = plan(
        filled,
        lambda connection: receipts.is_known(own_sessions(filled)(bind=connection), "R000000077"),
    )

    assert "uq_receipts_organisation_receipt_direction" in "\n".join(lines)


@on_both
def test_of_named_orders_that_are_closed_the_newest_few_are_read(shop, clock):
    closed = []
    for _ in range(candidates.MOST_CLOSED + 1):
        closed.append(shop.order(reference="INV-1001"))
        clock.pass_(seconds=60)
        shop.cancel(closed[-1])
    clock.pass_(seconds=60)
    now = clock()
    told = Told("UKO1ABCDEF", 15_000, account="INV-1001", paid_at=now)
    heard = Heard(told, frozenset({WitnessKind.CONFIRMATION}), now)

    with shop.sessions() as session:
        found = [each.order.id for each in candidates.accounts_for(session, heard)]

    assert found == closed[:0:-1]
    is_open = shop.order(reference="INV-1001")
    with shop.sessions() as session:
        assert [each.order.id for each in candidates.accounts_for(session, heard)] == [is_open]


@on_both
def test_among_very_many_pushes_of_one_price_none_is_meant(shop, monkeypatch):
    monkeypatch.setattr(candidates, "MOST_PUSHES", 1)
    shop.attempt(msisdn="254712345678")
    now = shop.now()
    told = Told("UKO1ABCDEF", 15_000, account="", payer=Payer(masked="2547*****678"), paid_at=now)
    heard = Heard(told, frozenset({WitnessKind.CONFIRMATION}), now)
    with shop.sessions() as session:
        assert len(candidates.accounts_for(session, heard)) == 1

    shop.attempt(msisdn="254722000678")

    with shop.sessions() as session:
        assert candidates.accounts_for(session, heard) == []

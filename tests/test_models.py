"""What the tables themselves refuse, and how a write begins and ends."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import psycopg2.extensions
import pytest
from sqlalchemy import bindparam, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, StatementError

from mpesa.database import rows_at_once, writing
from mpesa.domain.result_codes import FAILED_REASONS, PENDING_REASONS, SUCCESS_REASONS
from mpesa.ids import new_id
from mpesa.ledger import lock_order
from mpesa.models import Order, Transaction
from tests.conftest import BOTH_DATABASES, on_both

NOON = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


@pytest.fixture
def reader(shop):
    """Another connection."""
    with shop.sessions() as session:
        yield session


def order(**changed):
    fields = {"amount": 150, "reference": "INV-1", "description": "x", "status": "OPEN"}
    times = {"created_at": NOON, "updated_at": NOON}
    return Order(**{"id": new_id(), **fields, **times, **changed})


def transaction(order_id, **changed):
    fields = {
        "id": new_id(),
        "order_id": order_id,
        "attempt": 1,
        "msisdn": "254712345678",
        "amount": 150,
        "callback_token_hash": new_id(),
        "status": "PENDING",
        "reason": "awaiting_pin",
        "is_open": False,
        "seq": 1,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Transaction(**{**fields, **changed})


def add(shop, *rows):
    for row in rows:
        with shop.sessions() as session, writing(session):
            session.add(row)


def two_orders(shop):
    first, second = order(), order()
    add(shop, first, second)
    return first.id, second.id


# -- what is unique ------------------------------------------------------------------------------


@on_both
def test_an_order_has_one_open_attempt(shop):
    mine, _other = two_orders(shop)
    add(shop, transaction(mine, is_open=True))

    with pytest.raises(IntegrityError):
        add(shop, transaction(mine, attempt=2, is_open=True, msisdn="254722000111"))


@on_both
def test_a_line_has_one_open_attempt(shop):
    mine, other = two_orders(shop)
    add(shop, transaction(mine, is_open=True))

    with pytest.raises(IntegrityError):
        add(shop, transaction(other, is_open=True))


@on_both
def test_closed_attempts_stand_in_nobodys_way(shop):
    mine, other = two_orders(shop)

    add(
        shop,
        transaction(mine),
        transaction(mine, attempt=2),
        transaction(other),
        transaction(mine, attempt=3, is_open=True),
    )

    assert len(shop.transactions()) == 4


@on_both
def test_an_order_is_settled_once(shop):
    mine, other = two_orders(shop)
    success = {"status": "SUCCESS", "reason": "paid", "settles_order": True}
    add(shop, transaction(mine, **success), transaction(other, **success))

    with pytest.raises(IntegrityError):
        add(shop, transaction(mine, attempt=2, **success))


@on_both
@pytest.mark.parametrize(
    "same",
    [
        {"receipt": "UKO1ABCDEF", "status": "SUCCESS", "reason": "paid"},
        {"checkout_request_id": "ws_CO_1"},
        {"callback_token_hash": "0" * 64},
    ],
    ids=lambda same: next(iter(same)),
)
def test_what_names_a_payment_names_one(shop, same):
    mine, other = two_orders(shop)
    add(shop, transaction(mine, **same))

    with pytest.raises(IntegrityError):
        add(shop, transaction(other, **same))


@on_both
def test_attempts_of_an_order_are_numbered_apart(shop):
    mine, _other = two_orders(shop)
    add(shop, transaction(mine))

    with pytest.raises(IntegrityError):
        add(shop, transaction(mine))


# -- what must fit -------------------------------------------------------------------------------

_FITS = [
    *(("PENDING", reason) for reason in PENDING_REASONS),
    *(("SUCCESS", reason) for reason in SUCCESS_REASONS),
    *(("FAILED", reason) for reason in FAILED_REASONS),
]


@on_both
def test_every_reason_fits_its_state(shop):
    mine, _other = two_orders(shop)

    add(
        shop,
        *(
            transaction(mine, attempt=number, status=status, reason=reason.value)
            for number, (status, reason) in enumerate(sorted(_FITS), 1)
        ),
    )

    assert len(shop.transactions()) == len(_FITS)


@on_both
@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "SUCCESS", "reason": "awaiting_pin"},
        {"status": "FAILED", "reason": "paid"},
        {"status": "PENDING", "reason": "cancelled"},
        {"status": "PAID", "reason": "paid"},
        {"reason": "made_up"},
        {"status": "FAILED", "reason": "cancelled", "is_open": True},
        {"status": "FAILED", "reason": "cancelled", "settles_order": True},
        {"order_id": "nowhere"},
        {"amount": None},
    ],
    ids=str,
)
def test_a_transaction_that_cannot_be_is_refused(shop, wrong):
    mine, _other = two_orders(shop)

    with pytest.raises(IntegrityError):
        add(shop, transaction(**{"order_id": mine, **wrong}))


@on_both
@pytest.mark.parametrize("wrong", [{"amount": 0}, {"amount": -5}, {"status": "DONE"}], ids=str)
def test_an_order_that_cannot_be_is_refused(shop, wrong):
    with pytest.raises(IntegrityError):
        add(shop, order(**wrong))


# -- times ---------------------------------------------------------------------------------------


def test_a_time_without_a_zone_is_refused(shop):
    with pytest.raises(StatementError, match="a time without a zone"):
        add(shop, order(created_at=datetime(2026, 11, 24, 12, 0)))  # noqa: DTZ001


@on_both
def test_a_time_comes_back_as_aware_utc(shop):
    nairobi = timezone(timedelta(hours=3))
    mine = order(expires_at=datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=nairobi))
    add(shop, mine)

    found = shop.order_row(mine.id)

    assert found.expires_at == datetime(2026, 11, 24, 9, 0, 0, 123456, tzinfo=UTC)
    assert found.expires_at is not None
    assert found.expires_at.utcoffset() == timedelta(0)


@on_both
def test_times_are_compared_as_moments(shop, reader):
    mine = order(created_at=datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=3))))
    add(shop, mine)

    found = select(Order.id).where(Order.created_at <= NOON)

    assert reader.scalars(found).all() == [mine.id]


# -- a write -------------------------------------------------------------------------------------


@on_both
def test_a_write_is_seen_by_others_when_it_is_over(shop, reader):
    mine = order()
    with shop.sessions() as session:
        with writing(session):
            session.add(mine)
            session.flush()
            during = reader.scalars(select(Order.id)).all()
        reader.rollback()

        assert during == []
        assert reader.scalars(select(Order.id)).all() == [mine.id]


@on_both
def test_a_write_that_fails_leaves_nothing(shop, reader):
    class Stumble(BaseException):
        pass

    def write_and_stumble(session):
        with writing(session):
            session.add(order())
            session.flush()
            raise Stumble

    with shop.sessions() as session:
        with pytest.raises(Stumble):
            write_and_stumble(session)

        assert not session.in_transaction()
        assert reader.scalars(select(Order.id)).all() == []


@on_both
def test_a_session_with_forgotten_changes_is_not_written_with(shop):
    def write(session):
        with writing(session):
            pass

    with shop.sessions() as session:
        session.add(order())

        with pytest.raises(RuntimeError, match="uncommitted changes"):
            write(session)


def test_a_changed_row_is_a_forgotten_change_too(shop):
    mine = order()
    add(shop, mine)

    def write(session):
        with writing(session):
            pass

    with shop.sessions() as session:
        session.get_one(Order, mine.id).description = "changed"

        with pytest.raises(RuntimeError, match="uncommitted changes"):
            write(session)


@on_both
def test_a_write_ends_what_the_session_was_reading(shop):
    mine = order()
    add(shop, mine)
    with shop.sessions() as session:
        before = session.get_one(Order, mine.id).description
        with shop.sessions() as other, writing(other):
            other.get_one(Order, mine.id).description = "changed meanwhile"

        with writing(session):
            inside = session.get_one(Order, mine.id).description

    assert (before, inside) == ("x", "changed meanwhile")


# -- SQLite --------------------------------------------------------------------------------------


def test_sqlite_keeps_its_promises(shop):
    with shop.engine.connect() as connection:
        pragmas = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("foreign_keys", "journal_mode", "synchronous", "busy_timeout")
        }

    # 2 is FULL: what was committed outlives a power cut.
    assert pragmas == {
        "foreign_keys": 1,
        "journal_mode": "wal",
        "synchronous": 2,
        "busy_timeout": 5000,
    }


def test_every_sqlite_connection_keeps_them(shop):
    with shop.engine.connect() as first, shop.engine.connect() as second:
        found = [each.exec_driver_sql("PRAGMA foreign_keys").scalar() for each in (first, second)]

    assert found == [1, 1]


def test_a_write_takes_sqlites_lock_at_its_beginning(shop):
    begun: list[str] = []

    def listen(_c, _cursor, statement, *_):
        if statement.startswith("BEGIN"):
            begun.append(statement)

    event.listen(shop.engine, "before_cursor_execute", listen)
    with shop.sessions() as session, writing(session), shop.engine.connect() as other:
        other.exec_driver_sql("PRAGMA busy_timeout = 0")
        with pytest.raises(OperationalError, match="locked"):
            other.execute(text("UPDATE orders SET amount = 1"))
    event.remove(shop.engine, "before_cursor_execute", listen)

    assert begun[0] == "BEGIN IMMEDIATE"


def test_reading_blocks_no_writer(shop):
    mine = order()
    add(shop, mine)
    with shop.sessions() as reading:
        reading.get_one(Order, mine.id)

        add(shop, order())

        assert len(reading.scalars(select(Order.id)).all()) == 1


def test_a_connection_that_wrote_reads_without_the_lock_afterwards(shop):
    with shop.sessions() as session:
        with writing(session):
            session.add(order())
        session.scalars(select(Order.id)).all()

        add(shop, order())


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_orders_lock_keeps_a_second_writer_waiting_on_postgresql(shop):
    mine = order()
    add(shop, mine)
    with shop.sessions() as session, writing(session):
        lock_order(session, mine.id)

        with shop.engine.connect() as other, pytest.raises(DBAPIError, match="lock"):
            other.execute(text("SELECT id FROM orders FOR UPDATE NOWAIT"))


# -- one read without a session --------------------------------------------------------------------

on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
PRICES = select(Order.id, Order.amount, Order.created_at).where(Order.id == bindparam("id"))


def begins_nothing(shop):
    """What the driver says of the connection that the pool gives out next; sqlite3 before 3.12 is
    silent, and later says that it was left to its isolation level (-1), which is no truth value."""
    with shop.engine.connect() as connection:
        return getattr(connection.connection.dbapi_connection, "autocommit", None)


@on_both
def test_rows_read_at_once_have_names_and_leave_the_connection_as_it_was(shop):
    with shop.sessions() as session:
        priced = shop.order(amount=70)
        before = begins_nothing(shop)
        (row,) = rows_at_once(shop.engine, PRICES, {"id": priced})
        nothing = rows_at_once(shop.engine, PRICES, {"id": "nobody"})
        with writing(session):
            session.get_one(Order, priced).amount = 80

    assert (row.id, row.amount, row.created_at) == (priced, 70, shop.now())
    assert not nothing
    assert begins_nothing(shop) == before
    assert rows_at_once(shop.engine, PRICES, {"id": priced})[0].amount == 80
    assert shop.engine.pool.checkedout() == 0


@on_both
def test_a_query_may_have_values_of_its_own(shop):
    shop.order(amount=70)
    query = select(Order.amount).where(Order.amount < bindparam("most"), Order.status == "OPEN")

    assert [each.amount for each in rows_at_once(shop.engine, query, {"most": 71})] == [70]


@on_postgresql
def test_a_connection_that_broke_costs_a_read_nothing(shop):
    priced = shop.order(amount=70)
    with shop.engine.connect() as rests:
        pid = rests.scalar(text("SELECT pg_backend_pid()"))
    with create_engine(shop.engine.url).connect() as other:
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})

    found = rows_at_once(shop.engine, PRICES, {"id": priced})

    assert [each.amount for each in found] == [70]


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_asked_once_and_is_an_error_of_sqlalchemy():
    engine, tried = create_engine("postgresql+psycopg2://127.0.0.1:1/none"), []
    event.listen(engine, "do_connect", lambda *_: tried.append(1))

    with pytest.raises(OperationalError):
        rows_at_once(engine, PRICES, {"id": "whatever"})

    assert len(tried) == 1


@on_both
def test_a_query_that_the_database_refuses_is_an_error_of_sqlalchemy(shop):
    with pytest.raises(DBAPIError):
        rows_at_once(shop.engine, select(text("nonsense")), {})
    assert shop.engine.pool.checkedout() == 0


@on_postgresql
def test_a_read_that_is_ended_halfway_leaves_its_connection_to_nobody(shop):
    class Ended(BaseException):
        pass

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, *_):
            raise Ended

    def halfway(connection, *_):
        used.append(connection)
        connection.cursor_factory = Cursor

    used: list[Any] = []
    shop.order()
    event.listen(shop.engine, "checkout", halfway)
    with pytest.raises(Ended):
        rows_at_once(shop.engine, PRICES, {"id": "whatever"})
    event.remove(shop.engine, "checkout", halfway)

    assert [each.closed for each in used] == [1]
    assert shop.engine.pool.checkedout() == 0

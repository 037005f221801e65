"""Daraja's answer to a push and a callback come once; the database may fail just then."""

import threading
import time
from typing import Any

import psycopg2
import pytest
from psycopg2 import errors
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, ProgrammingError

from mpesa import checkout, ledger
from tests.factories import success_callback

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_url(request):
    """PostgreSQL, where a lock is waited for less long than usually."""
    template: str = request.getfixturevalue("migrated_postgres")
    address: str = request.getfixturevalue("postgres").new_database(template)
    return f"{address}{'&' if '?' in address else '?'}options=-c%20lock_timeout%3D300ms"


@pytest.fixture
def other(database_url):
    """A session of somebody else's."""
    connection = psycopg2.connect(database_url)
    yield connection
    connection.close()


def refuse_connections(shop, seconds):
    """The database is restarted, and takes no connection for so long."""
    shop.engine.dispose()
    until = time.monotonic() + seconds

    def refuse(*_):
        if time.monotonic() < until:
            raise psycopg2.OperationalError("could not connect to server: Connection refused")

    event.listen(shop.engine, "do_connect", refuse)


def fail_next(shop, failures):
    """The next statements fail, each with one of these, as if the driver had said so."""
    execute = shop.engine.dialect.do_execute

    def do_execute(*args, **more):
        if failures:
            raise failures.pop(0)
        execute(*args, **more)

    shop.engine.dialect.do_execute = do_execute


def test_the_answer_of_a_push_outlives_a_restart_of_the_database(shop):
    shop.daraja.answers.append(lambda _: refuse_connections(shop, 0.7))

    started = shop.start(shop.order())

    row = shop.transaction(started.transaction_id)
    assert (row.reason, row.checkout_request_id) == ("awaiting_pin", shop.daraja.checkout_id(1))
    assert len(shop.daraja.pushes) == 1


def test_the_answer_of_a_push_outlives_a_lock_that_is_held_for_long(shop, other):
    def hold(_push):
        other.cursor().execute("LOCK TABLE transactions IN ACCESS EXCLUSIVE MODE")
        threading.Timer(1.0, other.rollback).start()

    shop.daraja.answers.append(hold)

    started = shop.start(shop.order())

    assert shop.transaction(started.transaction_id).checkout_request_id is not None


@pytest.mark.parametrize(
    "failure",
    [
        errors.DeadlockDetected,
        errors.QueryCanceled,
        errors.LockNotAvailable,
        errors.ReadOnlySqlTransaction,
        errors.TooManyConnections,
    ],
)
def test_the_answer_of_a_push_outlives_what_passes(shop, failure):
    shop.daraja.answers.append(lambda _: fail_next(shop, [failure(), failure(), failure()]))

    started = shop.start(shop.order())

    assert shop.transaction(started.transaction_id).checkout_request_id is not None
    assert len(shop.daraja.pushes) == 1


def test_an_answer_of_a_push_that_was_recorded_is_not_recorded_otherwise_again(
    shop, clock, monkeypatch
):
    """The COMMIT's answer is lost, and so is the connection after it."""
    execute, lost = shop.engine.dialect.do_execute, list[Any]()

    def lose(cursor, statement, *more):
        execute(cursor, statement, *more)
        if statement.endswith("COMMIT") and shop.daraja.pushes and not lost:
            lost.append(vars(shop.transactions()[0]))
            cursor.connection.close()
            clock.pass_(seconds=3)
            refuse_connections(shop, 0.5)
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(shop.engine.dialect, "do_execute", lose)

    started = shop.start(shop.order())

    row, recorded = vars(shop.transaction(started.transaction_id)), lost[0]
    assert recorded["checkout_request_id"] is not None
    assert {name: row[name] for name in row if name[0] != "_"} == {
        name: recorded[name] for name in recorded if name[0] != "_"
    }
    assert len(shop.evidence(started.transaction_id)) == 2


def test_a_database_that_stays_away_ends_the_request(shop, monkeypatch):
    monkeypatch.setattr(checkout, "_RECORD_FOR", 0.5)
    shop.daraja.answers.append(lambda _: refuse_connections(shop, 2.0))
    began = time.monotonic()

    with pytest.raises(OperationalError):
        shop.start(shop.order())

    assert 0.5 <= time.monotonic() - began < 1.5


def test_what_the_database_will_say_again_is_not_asked_again(shop):
    failures: list[Exception] = [errors.UndefinedTable(), errors.UndefinedTable()]
    shop.daraja.answers.append(lambda _: fail_next(shop, failures))

    with pytest.raises(ProgrammingError):
        shop.start(shop.order())

    assert len(failures) == 1


def test_the_wait_for_the_line_takes_its_time_from_the_push(shop, monkeypatch):
    budgets: list[float] = []
    push = shop.daraja.push

    def note(*args, budget):
        budgets.append(budget)
        return push(*args, budget=budget)

    def wait(_connection, _cursor, statement, *_):
        if statement.startswith("INSERT INTO transactions"):
            time.sleep(0.6)

    monkeypatch.setattr(shop.daraja, "push", note)
    event.listen(shop.engine, "before_cursor_execute", wait)

    shop.start(shop.order())

    assert 10 < budgets[0] < 19.5


def test_a_callback_outlives_a_writer_that_was_lost_before_its_commit(shop, other):
    transaction = shop.attempt()
    other.cursor().execute(
        "SELECT id FROM orders FOR UPDATE; UPDATE transactions SET receipt = 'UKOTHER123'"
    )
    threading.Timer(1.0, other.rollback).start()

    shop.callback(1, success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))

    assert [each.kind for each in shop.evidence(transaction)] == ["push_answer", "callback"]


def test_a_callback_waits_for_no_lock_longer_than_postgresql_leaves_to_a_lost_writer(
    shop, other, monkeypatch
):
    monkeypatch.setattr(ledger, "_LOST_WRITER", 0.5)
    shop.attempt()
    other.cursor().execute("UPDATE transactions SET receipt = 'UKOTHER123'")
    began = time.monotonic()

    with pytest.raises(OperationalError):
        shop.callback(1, success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))

    assert time.monotonic() - began < 3

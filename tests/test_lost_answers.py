"""Daraja's answer to a push and a callback come once; the database may fail just then."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from flask import Flask
from psycopg2 import errors
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, ProgrammingError

from mpesa import checkout, ledger
from tests.desk import Desk
from tests.factories import success_callback
from tests.fakes import Clock, FakeDaraja

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """PostgreSQL, where a lock is waited for less long than usually."""
    template: str = request.getfixturevalue("migrated_postgres")
    address: str = request.getfixturevalue("postgres").new_database(template)
    return f"{address}{'&' if '?' in address else '?'}options=-c%20lock_timeout%3D300ms"


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


@pytest.fixture
def other(database_url: str) -> Iterator[Any]:
    """A session of somebody else's."""
    connection = psycopg2.connect(database_url)
    yield connection
    connection.close()


def refuse_connections(desk: Desk, seconds: float) -> None:
    """The database is restarted, and takes no connection for so long."""
    desk.engine.dispose()
    until = time.monotonic() + seconds

    def refuse(*_: Any) -> None:
        if time.monotonic() < until:
            raise psycopg2.OperationalError("could not connect to server: Connection refused")

    event.listen(desk.engine, "do_connect", refuse)


def fail_next(desk: Desk, failures: list[Exception]) -> None:
    """The next statements fail, each with one of these, as if the driver had said so."""
    execute = desk.engine.dialect.do_execute

    def do_execute(*args: Any, **more: Any) -> None:
        if failures:
            raise failures.pop(0)
        execute(*args, **more)

    desk.engine.dialect.do_execute = do_execute  # type: ignore[method-assign]


def test_the_answer_of_a_push_outlives_a_restart_of_the_database(desk: Desk) -> None:
    desk.daraja.answers.append(lambda _: refuse_connections(desk, 0.7))

    started = desk.start(desk.order())

    row = desk.transaction(started.transaction_id)
    assert (row.reason, row.checkout_request_id) == ("awaiting_pin", desk.daraja.checkout_id(1))
    assert len(desk.daraja.pushes) == 1


def test_the_answer_of_a_push_outlives_a_lock_that_is_held_for_long(desk: Desk, other: Any) -> None:
    def hold(_push: object) -> None:
        other.cursor().execute("LOCK TABLE transactions IN ACCESS EXCLUSIVE MODE")
        threading.Timer(1.0, other.rollback).start()

    desk.daraja.answers.append(hold)

    started = desk.start(desk.order())

    assert desk.transaction(started.transaction_id).checkout_request_id is not None


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
def test_the_answer_of_a_push_outlives_what_passes(
    desk: Desk, failure: type[psycopg2.Error]
) -> None:
    desk.daraja.answers.append(lambda _: fail_next(desk, [failure(), failure(), failure()]))

    started = desk.start(desk.order())

    assert desk.transaction(started.transaction_id).checkout_request_id is not None
    assert len(desk.daraja.pushes) == 1


def test_an_answer_of_a_push_that_was_recorded_is_not_recorded_otherwise_again(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The COMMIT's answer is lost, and so is the connection after it."""
    execute, lost = desk.engine.dialect.do_execute, list[Any]()

    def lose(cursor: Any, statement: str, *more: Any) -> None:
        execute(cursor, statement, *more)
        if statement.endswith("COMMIT") and desk.daraja.pushes and not lost:
            lost.append(vars(desk.transactions()[0]))
            cursor.connection.close()
            clock.pass_(seconds=3)
            refuse_connections(desk, 0.5)
            raise psycopg2.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(desk.engine.dialect, "do_execute", lose)

    started = desk.start(desk.order())

    row, recorded = vars(desk.transaction(started.transaction_id)), lost[0]
    assert recorded["checkout_request_id"] is not None
    assert {name: row[name] for name in row if name[0] != "_"} == {
        name: recorded[name] for name in recorded if name[0] != "_"
    }
    assert len(desk.evidence(started.transaction_id)) == 2


def test_a_database_that_stays_away_ends_the_request(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "_RECORD_FOR", 0.5)
    desk.daraja.answers.append(lambda _: refuse_connections(desk, 2.0))
    began = time.monotonic()

    with pytest.raises(OperationalError):
        desk.start(desk.order())

    assert 0.5 <= time.monotonic() - began < 1.5


def test_what_the_database_will_say_again_is_not_asked_again(desk: Desk) -> None:
    failures: list[Exception] = [errors.UndefinedTable(), errors.UndefinedTable()]
    desk.daraja.answers.append(lambda _: fail_next(desk, failures))

    with pytest.raises(ProgrammingError):
        desk.start(desk.order())

    assert len(failures) == 1


def test_the_wait_for_the_line_takes_its_time_from_the_push(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[float] = []
    push = desk.daraja.push

    def note(*args: Any, budget: float) -> Any:
        budgets.append(budget)
        return push(*args, budget=budget)

    def wait(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO transactions"):
            time.sleep(0.6)

    monkeypatch.setattr(desk.daraja, "push", note)
    event.listen(desk.engine, "before_cursor_execute", wait)

    desk.start(desk.order())

    assert 10 < budgets[0] < 19.5


def test_a_callback_outlives_a_writer_that_was_lost_before_its_commit(
    desk: Desk, other: Any
) -> None:
    transaction = desk.attempt()
    other.cursor().execute(
        "SELECT id FROM orders FOR UPDATE; UPDATE transactions SET receipt = 'UKOTHER123'"
    )
    threading.Timer(1.0, other.rollback).start()

    desk.callback(1, success_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1)))

    assert [each.kind for each in desk.evidence(transaction)] == ["push_answer", "callback"]


def test_a_callback_waits_for_no_lock_longer_than_postgresql_leaves_to_a_lost_writer(
    desk: Desk, other: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "_LOST_WRITER", 0.5)
    desk.attempt()
    other.cursor().execute("UPDATE transactions SET receipt = 'UKOTHER123'")
    began = time.monotonic()

    with pytest.raises(OperationalError):
        desk.callback(1, success_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1)))

    assert time.monotonic() - began < 3

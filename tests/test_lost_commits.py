"""A push whose row was committed, or not, while the answer to the COMMIT was lost on its way."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from mpesa import checkout
from tests.desk import Desk
from tests.factories import failure_callback, success_callback
from tests.fakes import Clock, FakeDaraja

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """PostgreSQL: between a program and an SQLite file no answer is lost."""
    template: str = request.getfixturevalue("migrated_postgres")
    address: str = request.getfixturevalue("postgres").new_database(template)
    return address


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


class Line:
    """What lies between the program and its database; it breaks at a COMMIT, once."""

    def __init__(self, desk: Desk) -> None:
        self.engine = desk.engine
        self.takes_effect = True
        self.meanwhile: Callable[[], Any] = lambda: None
        self._breaks = False
        self._execute = desk.engine.dialect.do_execute

    def break_at_the_row(self, _msisdn: str) -> None:
        """The limits are counted right before the row is written."""
        self._breaks = True

    def execute(self, cursor: Any, statement: str, *more: Any) -> None:
        if not (self._breaks and statement.endswith("COMMIT")):
            self._execute(cursor, statement, *more)
            return
        self._breaks = False
        if self.takes_effect:
            self._execute(cursor, statement, *more)
        cursor.connection.close()
        self.meanwhile()
        raise psycopg2.OperationalError("server closed the connection unexpectedly")


@pytest.fixture
def line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Line:
    between = Line(desk)
    monkeypatch.setattr(desk.engine.dialect, "do_execute", between.execute)
    return between


@pytest.fixture
def away(desk: Desk, line: Line, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """The database stays away after the lost answer, until the list is emptied."""
    gone: list[bool] = []

    def refuse(*_: Any) -> None:
        if gone:
            raise psycopg2.OperationalError("could not connect to server")

    def go() -> None:
        desk.engine.dispose()
        gone.append(True)

    monkeypatch.setattr(checkout, "_LOOK_FOR_ROW", 0.5)
    line.meanwhile = go
    event.listen(desk.engine, "do_connect", refuse)
    yield gone
    event.remove(desk.engine, "do_connect", refuse)


@pytest.mark.parametrize("takes_effect", [True, False])
def test_the_push_goes_out_once(desk: Desk, line: Line, takes_effect: bool) -> None:
    line.takes_effect = takes_effect
    order = desk.order()

    started = desk.start(order, key="a", check_limits=line.break_at_the_row)

    row = desk.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.is_open) == ("PENDING", "awaiting_pin", True)
    assert row.checkout_request_id == desk.daraja.checkout_id(1)
    assert [len(desk.daraja.pushes), len(desk.transactions())] == [1, 1]
    assert desk.start(order, key="a") == started


def test_who_joins_meanwhile_joins_the_same_push(desk: Desk, line: Line) -> None:
    order, joined = desk.order(), list[checkout.Started]()
    line.meanwhile = lambda: joined.append(desk.start(order))

    started = desk.start(order, check_limits=line.break_at_the_row)

    assert joined == [checkout.Started(started.transaction_id, 200)]
    assert len(desk.daraja.pushes) == 1


def test_no_push_goes_out_for_an_order_that_was_paid_meanwhile(desk: Desk, line: Line) -> None:
    order = desk.order()
    desk.start(order)
    first = (desk.daraja.checkout_id(1), desk.daraja.merchant_id(1))
    desk.callback(1, failure_callback(*first))
    line.meanwhile = lambda: desk.callback(1, success_callback(*first))

    second = desk.start(order, check_limits=line.break_at_the_row)

    row = desk.transaction(second.transaction_id)
    assert desk.order_row(order).status == "PAID"
    assert (row.status, row.reason, row.is_open) == ("FAILED", "system_busy", False)
    assert len(desk.daraja.pushes) == 1


@pytest.mark.parametrize("takes_effect", [True, False])
def test_nothing_is_sent_while_the_database_stays_away(
    desk: Desk, line: Line, away: list[bool], clock: Clock, takes_effect: bool
) -> None:
    line.takes_effect = takes_effect
    order = desk.order()
    with pytest.raises(DBAPIError):
        desk.start(order, check_limits=line.break_at_the_row)
    away.clear()
    clock.pass_(seconds=25)

    desk.tick()

    reasons = [each.reason for each in desk.transactions()]
    assert reasons == (["push_unconfirmed"] if takes_effect else [])
    assert desk.daraja.pushes == []


def test_a_slow_commit_takes_its_time_from_the_push(
    desk: Desk, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    budgets: list[float] = []
    push = desk.daraja.push

    def note(*args: Any, budget: float) -> Any:
        budgets.append(budget)
        return push(*args, budget=budget)

    monkeypatch.setattr(desk.daraja, "push", note)
    line.meanwhile = lambda: time.sleep(0.6)

    desk.start(desk.order(), check_limits=line.break_at_the_row)

    assert 10 < budgets[0] < 19.5

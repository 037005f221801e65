"""A push whose row was committed, or not, while the answer to the COMMIT was lost on its way."""

import time
from collections.abc import Callable
from typing import Any

import psycopg2
import pytest
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError

from mpesa import checkout
from tests.factories import failure_callback, success_callback

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_url(request):
    """PostgreSQL: between a program and an SQLite file no answer is lost."""
    template: str = request.getfixturevalue("migrated_postgres")
    address: str = request.getfixturevalue("postgres").new_database(template)
    return address


class Line:
    """What lies between the program and its database; it breaks at a COMMIT, once."""

    def __init__(self, shop):
        self.engine = shop.engine
        self.takes_effect = True
        self.meanwhile: Callable[[], Any] = lambda: None
        self._breaks = False
        self._execute = shop.engine.dialect.do_execute

    def break_at_the_row(self, _msisdn):
        """The limits are counted right before the row is written."""
        self._breaks = True

    def execute(self, cursor, statement, *more):
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
def line(shop, monkeypatch):
    between = Line(shop)
    monkeypatch.setattr(shop.engine.dialect, "do_execute", between.execute)
    return between


@pytest.fixture
def away(shop, line, monkeypatch):
    """The database stays away after the lost answer, until the list is emptied."""
    gone: list[bool] = []

    def refuse(*_):
        if gone:
            raise psycopg2.OperationalError("could not connect to server")

    def go():
        shop.engine.dispose()
        gone.append(True)

    monkeypatch.setattr(checkout, "_LOOK_FOR_ROW", 0.5)
    line.meanwhile = go
    event.listen(shop.engine, "do_connect", refuse)
    yield gone
    event.remove(shop.engine, "do_connect", refuse)


@pytest.mark.parametrize("takes_effect", [True, False])
def test_the_push_goes_out_once(shop, line, takes_effect):
    line.takes_effect = takes_effect
    order = shop.order()

    started = shop.start(order, key="a", check_limits=line.break_at_the_row)

    row = shop.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.is_open) == ("PENDING", "awaiting_pin", True)
    assert row.checkout_request_id == shop.daraja.checkout_id(1)
    assert [len(shop.daraja.pushes), len(shop.transactions())] == [1, 1]
    assert shop.start(order, key="a") == started


def test_who_joins_meanwhile_joins_the_same_push(shop, line):
    order, joined = shop.order(), list[checkout.Started]()
    line.meanwhile = lambda: joined.append(shop.start(order))

    started = shop.start(order, check_limits=line.break_at_the_row)

    assert joined == [checkout.Started(started.transaction_id, 200)]
    assert len(shop.daraja.pushes) == 1


def test_no_push_goes_out_for_an_order_that_was_paid_meanwhile(shop, line):
    order = shop.order()
    shop.start(order)
    first = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, failure_callback(*first))
    line.meanwhile = lambda: shop.callback(1, success_callback(*first))

    second = shop.start(order, check_limits=line.break_at_the_row)

    row = shop.transaction(second.transaction_id)
    assert shop.order_row(order).status == "PAID"
    assert (row.status, row.reason, row.is_open) == ("FAILED", "system_busy", False)
    assert len(shop.daraja.pushes) == 1


@pytest.mark.parametrize("takes_effect", [True, False])
def test_nothing_is_sent_while_the_database_stays_away(shop, line, away, clock, takes_effect):
    line.takes_effect = takes_effect
    order = shop.order()
    with pytest.raises(DBAPIError):
        shop.start(order, check_limits=line.break_at_the_row)
    away.clear()
    clock.pass_(seconds=25)

    shop.tick()

    reasons = [each.reason for each in shop.transactions()]
    assert reasons == (["push_unconfirmed"] if takes_effect else [])
    assert shop.daraja.pushes == []


def test_a_slow_commit_takes_its_time_from_the_push(shop, line, monkeypatch):
    budgets: list[float] = []
    push = shop.daraja.push

    def note(*args, budget):
        budgets.append(budget)
        return push(*args, budget=budget)

    monkeypatch.setattr(shop.daraja, "push", note)
    line.meanwhile = lambda: time.sleep(0.6)

    shop.start(shop.order(), check_limits=line.break_at_the_row)

    assert 10 < budgets[0] < 19.5

"""Orders: made once, found again, cancelled while nobody can pay."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from mpesa import orders
from mpesa.domain.attempt import Order, OrderStatus
from mpesa.domain.refusals import AttemptOpen, KeyReused, OrderNotFound, OrderPaid
from mpesa.orders import MerchantKey, NewOrder
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk, at_once
from tests.factories import failure_callback, success_callback
from tests.fakes import Clock, FakeDaraja

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
COFFEE = NewOrder(150, "INV-1", "Two coffees")


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def create(desk: Desk, new: NewOrder = COFFEE, key: MerchantKey | None = None) -> Order:
    with desk.sessions() as session:
        return orders.create(session, new, desk.now(), key).order


def all_orders(desk: Desk, reference: str = "INV-1") -> list[str]:
    with desk.sessions() as session:
        return [each.order.id for each in orders.find_by_reference(session, reference)]


def status(desk: Desk, order_id: str) -> OrderStatus:
    with desk.sessions() as session:
        return orders.account(session, order_id).status(desk.now())


def fail(desk: Desk, push: int = 1) -> None:
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    desk.callback(push, failure_callback(*ids))


def pay(desk: Desk, push: int = 1) -> None:
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    desk.callback(push, success_callback(*ids))


# -- made and found ------------------------------------------------------------------------------


@on_both
def test_an_order_is_found_as_it_was_made(desk: Desk, clock: Clock) -> None:
    until = clock() + timedelta(hours=1)
    new = NewOrder(1500, "A/b_1.-", "Kahawa mbili", "https://shop.example/back", until)

    order = create(desk, new)

    found = desk.order_row(order.id)
    assert (found.amount, found.reference, found.description) == (1500, "A/b_1.-", "Kahawa mbili")
    assert (found.return_url, found.expires_at) == ("https://shop.example/back", until)
    assert (found.status, found.created_at) == ("OPEN", clock())


def test_order_ids_cannot_be_guessed(desk: Desk) -> None:
    ids = {create(desk).id for _ in range(20)}

    assert len(ids) == 20
    assert all(len(each) >= 22 for each in ids)


def test_an_order_that_was_never_made_is_not_found(desk: Desk) -> None:
    with desk.sessions() as session, pytest.raises(OrderNotFound):
        orders.account(session, "nowhere")


def test_orders_of_a_reference_come_newest_first(desk: Desk, clock: Clock) -> None:
    first = create(desk).id
    clock.pass_(seconds=1)
    second = create(desk).id
    create(desk, NewOrder(150, "INV-2", "Another"))

    assert all_orders(desk) == [second, first]


# -- the same request twice ----------------------------------------------------------------------


@on_both
def test_the_same_key_makes_one_order(desk: Desk) -> None:
    key = MerchantKey("merchant", "a")

    first, again = create(desk, key=key), create(desk, key=key)

    assert again.id == first.id
    assert all_orders(desk) == [first.id]


def test_the_same_key_with_another_amount_is_refused(desk: Desk) -> None:
    create(desk, key=MerchantKey("merchant", "a"))

    with pytest.raises(KeyReused):
        create(desk, NewOrder(151, "INV-1", "Two coffees"), MerchantKey("merchant", "a"))


def test_the_same_moment_in_another_zone_is_the_same_order(desk: Desk, clock: Clock) -> None:
    until = clock() + timedelta(hours=1)
    key = MerchantKey("merchant", "a")
    first = create(desk, NewOrder(1, "A", "b", expires_at=until), key)

    nairobi = until.astimezone(ZoneInfo("Africa/Nairobi"))

    assert create(desk, NewOrder(1, "A", "b", expires_at=nairobi), key).id == first.id


def test_a_key_belongs_to_its_api_key(desk: Desk) -> None:
    first = create(desk, key=MerchantKey("merchant", "a"))

    assert create(desk, key=MerchantKey("another merchant", "a")).id != first.id


def test_a_key_is_good_for_an_order_that_was_paid_meanwhile(desk: Desk) -> None:
    order = create(desk, key=MerchantKey("merchant", "a"))
    desk.start(order.id)
    pay(desk)

    again = create(desk, key=MerchantKey("merchant", "a"))

    assert (again.id, again.status) == (order.id, "PAID")


@on_both
def test_twenty_requests_with_one_key_at_once_make_one_order(desk: Desk) -> None:
    outcomes = at_once([lambda: create(desk, key=MerchantKey("merchant", "a"))] * 20)

    assert {order.id for order in outcomes} == set(all_orders(desk))
    assert len(all_orders(desk)) == 1


# -- cancelled -----------------------------------------------------------------------------------


@on_both
def test_a_cancelled_order_tells_its_attempts(desk: Desk) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    fail(desk)
    before = desk.snapshot(transaction)

    told = desk.cancel(order)

    after = desk.snapshot(transaction)
    assert told == [transaction]
    assert (after["order_status"], after["seq"]) == ("CANCELLED", before["seq"] + 1)
    assert not after["can_retry"]


def test_cancelling_twice_changes_nothing_more(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    fail(desk)
    desk.cancel(order)

    assert desk.cancel(order) == []
    assert desk.order_row(order).status == "CANCELLED"


def test_an_order_with_an_open_prompt_cannot_be_cancelled(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)

    with pytest.raises(AttemptOpen):
        desk.cancel(order)

    assert desk.order_row(order).status == "OPEN"


def test_an_order_can_be_cancelled_once_no_prompt_can_be_answered(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    desk.start(order)
    clock.pass_(seconds=180)

    desk.cancel(order)

    assert desk.order_row(order).status == "CANCELLED"


def test_a_paid_order_cannot_be_cancelled(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    pay(desk)

    with pytest.raises(OrderPaid):
        desk.cancel(order)


def test_an_order_that_was_never_made_cannot_be_cancelled(desk: Desk) -> None:
    with pytest.raises(OrderNotFound):
        desk.cancel("nowhere")


@on_both
def test_a_push_and_a_cancellation_at_once_do_not_both_succeed(desk: Desk) -> None:
    order = desk.order()

    pushed, cancelled = at_once([lambda: desk.start(order), lambda: desk.cancel(order)])

    refused = [isinstance(each, Exception) for each in (pushed, cancelled)]
    assert sorted(refused) == [False, True]
    assert len(desk.daraja.pushes) == (0 if refused[0] else 1)


# -- expired -------------------------------------------------------------------------------------


def test_an_order_expires_at_its_time(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    clock.pass_(seconds=9)
    before = status(desk, order)
    clock.pass_(seconds=1)

    assert (before, status(desk, order)) == (OrderStatus.OPEN, OrderStatus.EXPIRED)


def test_an_order_does_not_expire_while_its_prompt_may_be_answered(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    desk.start(order)
    clock.pass_(seconds=179)
    during = status(desk, order)
    clock.pass_(seconds=1)

    assert (during, status(desk, order)) == (OrderStatus.OPEN, OrderStatus.EXPIRED)


def test_an_order_expires_when_its_open_prompt_is_settled(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    desk.start(order)
    clock.pass_(seconds=20)

    fail(desk)

    assert status(desk, order) is OrderStatus.EXPIRED


def test_a_paid_order_does_not_expire(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    desk.start(order)
    pay(desk)
    clock.pass_(days=1)

    assert status(desk, order) is OrderStatus.PAID


def test_an_expired_order_may_still_be_cancelled(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    clock.pass_(seconds=10)

    desk.cancel(order)

    assert desk.order_row(order).status == "CANCELLED"

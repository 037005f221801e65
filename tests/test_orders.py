"""Orders: made once, found again, cancelled while nobody can pay."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from mpesa import orders
from mpesa.domain.attempt import OrderStatus
from mpesa.domain.refusals import AttemptOpen, KeyReused, OrderNotFound, OrderPaid
from mpesa.orders import MerchantKey, NewOrder
from tests.conftest import on_both
from tests.factories import failure_callback, success_callback
from tests.shop import at_once

COFFEE = NewOrder(150, "INV-1", "Two coffees")


def create(shop, new=COFFEE, key=None):
    with shop.sessions() as session:
        return orders.create(session, new, shop.now(), key).order


def all_orders(shop, reference="INV-1"):
    with shop.sessions() as session:
        return [each.order.id for each in orders.find_by_reference(session, reference)]


def status(shop, order_id):
    with shop.sessions() as session:
        return orders.account(session, order_id).status(shop.now())


def fail(shop, push=1):
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, failure_callback(*ids))


def pay(shop, push=1):
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, success_callback(*ids))


# -- made and found ------------------------------------------------------------------------------


@on_both
def test_an_order_is_found_as_it_was_made(shop, clock):
    until = clock() + timedelta(hours=1)
    new = NewOrder(1500, "A/b_1.-", "Kahawa mbili", "https://shop.example/back", until)

    order = create(shop, new)

    found = shop.order_row(order.id)
    assert (found.amount, found.reference, found.description) == (1500, "A/b_1.-", "Kahawa mbili")
    assert (found.return_url, found.expires_at) == ("https://shop.example/back", until)
    assert (found.status, found.created_at) == ("OPEN", clock())


def test_order_ids_cannot_be_guessed(shop):
    ids = {create(shop).id for _ in range(20)}

    assert len(ids) == 20
    assert all(len(each) >= 22 for each in ids)


def test_an_order_that_was_never_made_is_not_found(shop):
    with shop.sessions() as session, pytest.raises(OrderNotFound):
        orders.account(session, "nowhere")


def test_orders_of_a_reference_come_newest_first(shop, clock):
    first = create(shop).id
    clock.pass_(seconds=1)
    second = create(shop).id
    create(shop, NewOrder(150, "INV-2", "Another"))

    assert all_orders(shop) == [second, first]


# -- the same request twice ----------------------------------------------------------------------


@on_both
def test_the_same_key_makes_one_order(shop):
    key = MerchantKey("merchant", "a")

    first, again = create(shop, key=key), create(shop, key=key)

    assert again.id == first.id
    assert all_orders(shop) == [first.id]


def test_the_same_key_with_another_amount_is_refused(shop):
    create(shop, key=MerchantKey("merchant", "a"))

    with pytest.raises(KeyReused):
        create(shop, NewOrder(151, "INV-1", "Two coffees"), MerchantKey("merchant", "a"))


def test_the_same_moment_in_another_zone_is_the_same_order(shop, clock):
    until = clock() + timedelta(hours=1)
    key = MerchantKey("merchant", "a")
    first = create(shop, NewOrder(1, "A", "b", expires_at=until), key)

    nairobi = until.astimezone(ZoneInfo("Africa/Nairobi"))

    assert create(shop, NewOrder(1, "A", "b", expires_at=nairobi), key).id == first.id


def test_a_key_belongs_to_its_api_key(shop):
    first = create(shop, key=MerchantKey("merchant", "a"))

    assert create(shop, key=MerchantKey("another merchant", "a")).id != first.id


def test_a_key_is_good_for_an_order_that_was_paid_meanwhile(shop):
    order = create(shop, key=MerchantKey("merchant", "a"))
    shop.start(order.id)
    pay(shop)

    again = create(shop, key=MerchantKey("merchant", "a"))

    assert (again.id, again.status) == (order.id, "PAID")


@on_both
def test_twenty_requests_with_one_key_at_once_make_one_order(shop):
    outcomes = at_once([lambda: create(shop, key=MerchantKey("merchant", "a"))] * 20)

    assert {order.id for order in outcomes} == set(all_orders(shop))
    assert len(all_orders(shop)) == 1


# -- cancelled -----------------------------------------------------------------------------------


@on_both
def test_a_cancelled_order_tells_its_attempts(shop):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    fail(shop)
    before = shop.snapshot(transaction)

    told = shop.cancel(order)

    after = shop.snapshot(transaction)
    assert told == [transaction]
    assert (after["order_status"], after["seq"]) == ("CANCELLED", before["seq"] + 1)
    assert not after["can_retry"]


def test_cancelling_twice_changes_nothing_more(shop):
    order = shop.order()
    shop.start(order)
    fail(shop)
    shop.cancel(order)

    assert shop.cancel(order) == []
    assert shop.order_row(order).status == "CANCELLED"


def test_an_order_with_an_open_prompt_cannot_be_cancelled(shop):
    order = shop.order()
    shop.start(order)

    with pytest.raises(AttemptOpen):
        shop.cancel(order)

    assert shop.order_row(order).status == "OPEN"


def test_an_order_can_be_cancelled_once_no_prompt_can_be_answered(shop, clock):
    order = shop.order()
    shop.start(order)
    clock.pass_(seconds=180)

    shop.cancel(order)

    assert shop.order_row(order).status == "CANCELLED"


def test_a_paid_order_cannot_be_cancelled(shop):
    order = shop.order()
    shop.start(order)
    pay(shop)

    with pytest.raises(OrderPaid):
        shop.cancel(order)


def test_an_order_that_was_never_made_cannot_be_cancelled(shop):
    with pytest.raises(OrderNotFound):
        shop.cancel("nowhere")


@on_both
def test_a_push_and_a_cancellation_at_once_do_not_both_succeed(shop):
    order = shop.order()

    pushed, cancelled = at_once([lambda: shop.start(order), lambda: shop.cancel(order)])

    refused = [isinstance(each, Exception) for each in (pushed, cancelled)]
    assert sorted(refused) == [False, True]
    assert len(shop.daraja.pushes) == (0 if refused[0] else 1)


# -- expired -------------------------------------------------------------------------------------


def test_an_order_expires_at_its_time(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    clock.pass_(seconds=9)
    before = status(shop, order)
    clock.pass_(seconds=1)

    assert (before, status(shop, order)) == (OrderStatus.OPEN, OrderStatus.EXPIRED)


def test_an_order_does_not_expire_while_its_prompt_may_be_answered(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    shop.start(order)
    clock.pass_(seconds=179)
    during = status(shop, order)
    clock.pass_(seconds=1)

    assert (during, status(shop, order)) == (OrderStatus.OPEN, OrderStatus.EXPIRED)


def test_an_order_expires_when_its_open_prompt_is_settled(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    shop.start(order)
    clock.pass_(seconds=20)

    fail(shop)

    assert status(shop, order) is OrderStatus.EXPIRED


def test_a_paid_order_does_not_expire(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    shop.start(order)
    pay(shop)
    clock.pass_(days=1)

    assert status(shop, order) is OrderStatus.PAID


def test_an_expired_order_may_still_be_cancelled(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    clock.pass_(seconds=10)

    shop.cancel(order)

    assert shop.order_row(order).status == "CANCELLED"

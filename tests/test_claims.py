"""Receipts that are given to an order by word of a person or of the merchant's server."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import update

from mpesa import receipts
from mpesa.domain.refusals import (
    AlreadyClaimed,
    AlreadyReturned,
    AmountDiffers,
    NotProven,
    OrderNotFound,
    OrderPaid,
    ReceiptNotFound,
)
from mpesa.domain.settlement import QueryAnswered
from mpesa.models import Receipt
from mpesa.receipts import Claim
from tests.conftest import on_both
from tests.factories import RECEIPT
from tests.shop import at_once

SECOND = "UKO2GHIJKL"


def claim(shop, order, receipt=RECEIPT, **how):
    with shop.sessions() as session:
        wanted = Claim(receipt, order, "api:1a2b", **how)
        return receipts.claim(session, wanted, shop.receipt_needs())


def of(shop, order):
    return [each for each in shop.transactions() if each.order_id == order]


def make_returned(shop):
    """As a reversal does that M-PESA tells of."""
    with shop.sessions() as session:
        session.execute(update(Receipt).values(state="returned", returned_by=SECOND))
        session.commit()


# -- what a claim does ----------------------------------------------------------------------------


@on_both
def test_a_claim_pays_the_order_by_hand(shop, clock):
    order = shop.order()
    shop.confirm("JANE")
    clock.pass_(minutes=1)

    claimed = claim(shop, order, reason="She sent the SMS.")

    [paid] = of(shop, order)
    assert (paid.channel, paid.status, paid.reason, paid.receipt) == (
        "hand", "SUCCESS", "paid", RECEIPT,
    )  # fmt: skip
    assert (paid.settles_order, paid.needs_review, paid.receipt_amount) == (True, False, None)
    assert shop.order_row(order).status == "PAID"
    assert (claimed.state, claimed.transaction_id) == ("claimed", paid.id)
    assert claimed.changed_at == clock()
    assert claimed.unclaimed_from is None
    assert shop.announced == [paid.id]


@on_both
def test_it_is_kept_who_claimed_it_and_why(shop):
    order = shop.order()
    shop.confirm("JANE")

    claim(shop, order, reason="She sent the SMS.")

    [evidence] = shop.evidence(of(shop, order)[0].id)
    assert (evidence.kind, evidence.source) == ("operator", "api:1a2b")
    assert json.loads(evidence.body) == {
        "act": "claim", "receipt": RECEIPT, "reason": "She sent the SMS.",
    }  # fmt: skip


@on_both
def test_the_transaction_by_hand_that_waits_is_paid(shop):
    order = shop.order()
    waiting = shop.by_hand(order)
    shop.confirm("JANE")

    claim(shop, order)

    assert [each.id for each in of(shop, order)] == [waiting]
    assert shop.snapshot(waiting)["view"] == "paid"


@on_both
def test_the_same_claim_once_more_changes_nothing(shop, clock):
    order = shop.order()
    shop.confirm("JANE")
    first = claim(shop, order)
    clock.pass_(minutes=1)

    again = claim(shop, order)

    assert again == first
    assert len(shop.evidence(of(shop, order)[0].id)) == 1
    assert len(shop.announced) == 1


@on_both
def test_suggestions_are_gone_once_it_is_claimed(shop):
    orders = [shop.order(reference="INV-1001") for _ in range(2)]
    shop.confirm("INV-1001")
    assert len(shop.suggestions()) == 2

    claim(shop, orders[0])

    assert shop.suggestions() == []
    assert shop.order_row(orders[1]).status == "OPEN"


@on_both
def test_what_a_witness_adds_later_changes_no_claim(shop):
    order = shop.order()
    shop.confirm("JANE")
    claim(shop, order)

    shop.confirm("JANE", FirstName="WANJIKU")

    assert shop.receipt().state == "claimed"
    assert not of(shop, order)[0].needs_review


# -- amounts --------------------------------------------------------------------------------------


@on_both
def test_another_amount_is_refused_unless_it_is_accepted(shop):
    order = shop.order()
    shop.confirm("JANE", amount="149.50")

    with pytest.raises(AmountDiffers):
        claim(shop, order)

    assert shop.receipt().state == "unclaimed"
    assert of(shop, order) == []


@on_both
def test_an_accepted_amount_pays_the_order_and_is_shown(shop):
    order = shop.order()
    shop.confirm("JANE", amount="149.50")

    claim(shop, order, accepts_amount=True, reason="The rest in cash.")

    [paid] = of(shop, order)
    assert (paid.status, paid.amount, paid.receipt_amount) == ("SUCCESS", 150, 14_950)
    assert shop.snapshot(paid.id)["receipt_amount"] == "149.50"


@on_both
def test_the_amount_that_a_pushs_own_callback_told_is_accepted_for_that_push(shop):
    push = shop.attempt()
    order = shop.transaction(push).order_id
    shop.callback(1, shop.paid(amount=100))
    assert shop.receipt().state == "unclaimed"

    claim(shop, order, accepts_amount=True, reason="A discount.")

    [paid] = of(shop, order)
    assert (paid.id, paid.status, paid.receipt) == (push, "SUCCESS", RECEIPT)
    assert paid.receipt_amount == 10_000


# -- orders that are over -------------------------------------------------------------------------


@on_both
def test_an_order_that_is_paid_takes_no_other_receipt(shop):
    order = shop.order()
    shop.confirm(shop.order_row(order).pay_code)
    shop.confirm("JANE", receipt=SECOND)

    with pytest.raises(OrderPaid):
        claim(shop, order, SECOND)

    assert shop.receipt(SECOND).state == "unclaimed"


@on_both
def test_nor_does_one_that_is_paid_by_darajas_word_alone(shop):
    push = shop.attempt()
    shop.record(push, QueryAnswered("0"))
    shop.confirm("JANE", MSISDN="2547 ***** 111")

    with pytest.raises(OrderPaid):
        claim(shop, shop.transaction(push).order_id)


@on_both
def test_a_cancelled_order_is_paid_and_looked_at(shop):
    order = shop.order()
    shop.cancel(order)
    shop.confirm("JANE")

    claim(shop, order)

    assert shop.order_row(order).status == "PAID"
    assert of(shop, order)[0].needs_review


@on_both
@pytest.mark.parametrize(("ends_after", "needs_review"), [(60, False), (5, True)])
def test_money_that_came_before_an_order_expired_was_in_time(shop, clock, ends_after, needs_review):
    order = shop.order(expires_at=clock() + timedelta(seconds=ends_after))
    shop.confirm("JANE")
    clock.pass_(minutes=5)
    shop.tick()

    claim(shop, order)

    assert shop.order_row(order).status == "PAID"
    assert of(shop, order)[0].needs_review is needs_review


# -- what is refused ------------------------------------------------------------------------------


@on_both
def test_a_receipt_of_another_order_stays_there(shop):
    order, other = shop.order(), shop.order()
    shop.confirm(shop.order_row(order).pay_code)

    with pytest.raises(AlreadyClaimed):
        claim(shop, other)

    assert of(shop, other) == []


@on_both
def test_a_receipt_that_nothing_proves_is_not_claimed(shop):
    order = shop.order()
    shop.confirm("JANE", proof_from=1)

    with pytest.raises(NotProven):
        claim(shop, order)


@on_both
def test_money_that_went_back_is_not_claimed(shop):
    order = shop.order()
    shop.confirm("JANE")
    make_returned(shop)

    with pytest.raises(AlreadyReturned):
        claim(shop, order)


@on_both
def test_there_has_to_be_such_a_receipt_and_such_an_order(shop):
    order = shop.order()
    with pytest.raises(ReceiptNotFound):
        claim(shop, order)
    shop.confirm("JANE")

    with pytest.raises(OrderNotFound):
        claim(shop, "no-order-of-this-shop")


# -- races ----------------------------------------------------------------------------------------


@on_both
def test_of_claims_for_two_orders_at_once_one_wins(shop):
    orders = [shop.order() for _ in range(2)]
    shop.confirm("JANE")

    outcomes = at_once([lambda each=each: claim(shop, each) for each in orders * 3])

    refused = [each for each in outcomes if isinstance(each, Exception)]
    assert {type(each) for each in refused} == {AlreadyClaimed}
    assert len(refused) == 3
    assert sorted(shop.order_row(each).status for each in orders) == ["OPEN", "PAID"]


@on_both
def test_a_claim_and_a_late_callback_of_the_same_money_are_one_payment(shop):
    push = shop.attempt()
    order = shop.transaction(push).order_id
    shop.confirm("JANE")

    outcomes = at_once([lambda: claim(shop, order), lambda: shop.callback(1, shop.paid())])

    assert not [e for e in outcomes if isinstance(e, Exception) and not isinstance(e, OrderPaid)]
    assert shop.order_row(order).status == "PAID"
    assert [each.receipt for each in of(shop, order) if each.receipt] == [RECEIPT]
    assert not any(each.needs_review for each in of(shop, order))

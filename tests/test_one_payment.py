"""One receipt is one payment, where two transactions of an order are told of it."""

import csv
from io import StringIO

import pytest
from sqlalchemy import select

from mpesa.domain.period import Period
from mpesa.domain.receipt import nairobi_day
from mpesa.domain.settlement import QueryAnswered
from mpesa.models import WebhookMessage
from mpesa.statements import side_by_side
from mpesa.statements.comparing import compare
from mpesa.web.console import stats
from tests.conftest import on_both
from tests.factories import RECEIPT
from tests.shop import Shop
from tests.statements.desk import Desk
from tests.statements.files import Entry, Made
from tests.statements.test_closing import next_morning

pytestmark = on_both


@pytest.fixture
def shop(make_app, clock, daraja):
    """A shop whose server is told by webhook."""
    app = make_app(WEBHOOK_URL="http://127.0.0.1:9/", WEBHOOK_SECRET="whsec_" + "a2tr" * 8)
    return Shop(app, clock, daraja)


@pytest.fixture
def push(shop):
    """A push that failed, and was paid all the same: its confirmation comes before its callback.

    By the rules the confirmation pays the order by hand, since the push has failed for good.
    """
    push = shop.attempt(reference="SHOES-1001")
    shop.callback(1, shop.failed(1, 2001))
    shop.confirm("SHOES-1001")
    shop.callback(1, shop.paid())
    return push


def test_both_are_paid_and_no_person_has_to_look(shop, push):
    by_hand = shop.transaction(shop.receipt().transaction_id)

    assert (by_hand.channel, by_hand.status, by_hand.receipt) == ("hand", "SUCCESS", RECEIPT)
    assert shop.snapshot(push)["status"] == "SUCCESS"
    assert shop.snapshot(push)["receipt"] == RECEIPT
    assert shop.snapshot(push)["receipt_amount"] is None
    assert not by_hand.needs_review
    assert not shop.transaction(push).needs_review


def test_so_it_is_where_a_query_proves_what_the_callback_told(shop):
    push = shop.attempt(reference="SHOES-1001")
    shop.callback(1, shop.failed(1, 2001))
    shop.confirm("SHOES-1001")
    told = shop.paid()
    told["Body"]["stkCallback"].pop("MerchantRequestID")

    shop.callback(1, told)
    shop.record(push, QueryAnswered("0"))

    assert shop.transaction(push).receipt_amount == 0
    assert shop.snapshot(push)["receipt"] == RECEIPT
    assert not shop.transaction(push).needs_review
    assert not shop.transaction(shop.receipt().transaction_id).needs_review


def test_a_query_counts_no_push_by_anothers_own_receipt(shop):
    """M-PESA told the second push its receipt, and says that the first is paid, by some receipt."""
    first = shop.attempt()
    shop.callback(1, shop.failed(1, 2001))
    second = shop.start(shop.transaction(first).order_id).transaction_id
    shop.callback(2, shop.paid(2))
    told = shop.paid()
    told["Body"]["stkCallback"].pop("MerchantRequestID")

    shop.callback(1, told)
    shop.record(first, QueryAnswered("0"))

    assert shop.transaction(first).needs_review
    assert shop.transaction(first).receipt_amount is None
    assert shop.transaction(second).receipt == RECEIPT


def test_another_receipt_of_that_push_is_money_twice(shop, push):
    shop.callback(1, shop.paid(1, receipt="UKO1SECOND"))

    second = shop.transaction(shop.receipt("UKO1SECOND").transaction_id)
    assert (second.channel, second.needs_review) == ("hand", True)
    assert shop.transaction(push).needs_review
    assert shop.transaction(push).receipt is None


def test_the_merchant_hears_of_one_success(shop, push):
    with shop.sessions() as session:
        of_type = select(WebhookMessage.transaction_id).where(
            WebhookMessage.type == "transaction.succeeded"
        )
        told = session.scalars(of_type).all()

    assert told == [shop.receipt().transaction_id]
    assert push not in told


def test_its_money_is_counted_once(shop, push):
    today = nairobi_day(shop.now())
    with shop.sessions() as session:
        day = stats.read_day(session, shop.now())
        span = stats.read_days(session, Period(today, today))

    for figures in (day, span):
        assert (figures.total.taken, figures.hand.taken) == (0, 15_000)
        assert sum(each.taken for each in figures.parts) == 0
        assert (figures.total.paid, figures.hand.paid) == (1, 1)


def test_the_day_before_counts_it_once_as_well(shop, push, clock):
    next_morning(clock)
    with shop.sessions() as session:
        day = stats.read_day(session, shop.now())

    assert (day.before.taken, day.before_by_now.taken) == (0, 0)


def test_the_closed_day_misses_no_number(shop, push, clock):
    day = nairobi_day(shop.now())
    next_morning(clock)
    Desk(shop).import_(Made(Entry(RECEIPT, 150, account="SHOES-1001")))
    with shop.sessions() as session:
        compared = compare(session, day)
        rows = list(
            csv.DictReader(StringIO("".join(side_by_side.of_a_day(session, day, with_people=True))))
        )

    assert compared.differences == ()
    assert [each["kind"] for each in rows] == ["in_both"]

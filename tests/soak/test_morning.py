"""What the soak calls explained when a day is closed."""

from datetime import date

import pytest

from mpesa.domain.period import Period
from mpesa.domain.statement_lines import Balances
from mpesa.models import Transaction, db
from mpesa.statements.comparing import Compared, Difference, DifferenceKind, Sum
from tests.soak.morning import _against_the_figures, _unexplained
from tests.soak.shopper import ByHand

DAY, RECEIPT, WHOLE = date(2026, 11, 24), "UKO1ABCDEF", Balances(0, 0)


def a_day(*differences, balances=WHOLE):
    sums = dict.fromkeys(
        ("push", "hand", "unclaimed", "returned", "charges", "swept", "other", "ours"), Sum()
    )
    return Compared(
        day=DAY, closed=None, balances=balances, vouched=False, waits=False,
        differences=differences, **sums,
    )  # fmt: skip


def test_money_that_was_sent_for_no_order_is_explained():
    difference = Difference(DifferenceKind.UNCLAIMED, "k", DAY, 15_000, receipt=RECEIPT)

    assert _unexplained(a_day(difference), {RECEIPT: ByHand("SOAK-1", "slip")}, set()) == []


def test_money_that_a_refund_holds_is_explained():
    difference = Difference(DifferenceKind.UNCLAIMED, "k", DAY, 15_000, receipt=RECEIPT)

    assert _unexplained(a_day(difference), {}, {RECEIPT}) == []


@pytest.mark.parametrize(("held", "wrong"), [({"t1"}, False), (set(), True)])
def test_a_push_whose_money_a_refund_took_before_its_number_was_told_is_explained(held, wrong):
    difference = Difference(DifferenceKind.NO_NUMBER, "k", DAY, 15_000, transaction_id="t1")

    assert bool(_unexplained(a_day(difference), {}, held)) is wrong


@pytest.mark.parametrize("kind", [each for each in DifferenceKind if each != "unclaimed"])
def test_any_other_difference_is_wrong(kind):
    difference = Difference(kind, "k", DAY, 15_000, receipt=RECEIPT)

    assert _unexplained(a_day(difference), {RECEIPT: ByHand("SOAK-1", "slip")}, set())


@pytest.mark.parametrize("by_hand", [{}, {RECEIPT: ByHand("SOAK-1", "code")}])
def test_money_of_a_push_or_rightly_sent_that_no_order_has_is_wrong(by_hand):
    difference = Difference(DifferenceKind.UNCLAIMED, "k", DAY, 15_000, receipt=RECEIPT)

    assert _unexplained(a_day(difference), by_hand, set())


def test_a_day_that_no_statement_covers_is_wrong():
    assert _unexplained(a_day(balances=None), {}, set())


@pytest.mark.parametrize(("cents", "wrong"), [(None, []), (0, ["the console has 0 cents"])])
def test_what_the_console_calls_received_is_what_the_receipts_bring(shop, cents, wrong):
    push = shop.attempt()
    shop.callback(1, shop.paid())

    with shop.app.app_context():
        db.session.get_one(Transaction, push).receipt_amount = cents
        db.session.commit()
        found = _against_the_figures(Period(DAY, DAY))

    assert [each.split(",")[0] for each in found] == wrong

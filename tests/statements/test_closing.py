"""A day is compared, closed once with a word on each difference, and never changes again."""

import csv
from datetime import date, timedelta
from io import StringIO

import pytest
from sqlalchemy import select

from mpesa.domain.statement_lines import Balances
from mpesa.models import StatementLine
from mpesa.receipts import Claim, claim
from mpesa.statements import closing, comparing, importing, reversals
from mpesa.statements.closing import AlreadyClosed, NotCovered, NotOver, NoWord, Standing
from mpesa.statements.comparing import DifferenceKind, Sum
from tests.conftest import on_both
from tests.factories import RECEIPT
from tests.statements.desk import Desk
from tests.statements.files import NAME_OF_B, NOON, Entry, Made, charge, reversal, sweep
from tests.test_refunds import Desk as RefundDesk

DAY = date(2026, 11, 24)
NEXT = DAY + timedelta(days=1)
BY_HAND, NOBODYS, REVERSAL = "UKO2GHIJKL", "UKO3NOBODY", "UKO9REVERS"
LATER = NOON + timedelta(minutes=5)


class Office:
    """A manager's desk."""

    def __init__(self, shop):
        self.shop = shop
        self.desk = Desk(shop)

    def import_(self, made, **how):
        return self.desk.import_(made, **how)

    def compare(self, day=DAY):
        with self.shop.sessions() as session:
            return comparing.compare(session, day)

    def close(self, day=DAY, word="looked at", words=None):
        with self.shop.sessions() as session:
            return closing.close(session, day, "baraka", self.shop.now, words or {}, word)

    def csv(self, day=DAY):
        with self.shop.sessions() as session:
            return list(csv.DictReader(StringIO("".join(closing.csv_of(session, day)))))

    def standing(self, day=DAY):
        with self.shop.sessions() as session:
            [glance] = closing.glances(session, day, day, NEXT + timedelta(days=9))
            return glance

    def kinds(self, day=DAY):
        return [each.kind for each in self.compare(day).differences]


@pytest.fixture
def office(shop):
    return Office(shop)


@pytest.fixture
def paid(shop):
    """A push of 150 that was paid at noon."""
    transaction = shop.attempt()
    shop.callback(1, shop.paid())
    return transaction


@pytest.fixture
def by_hand(shop):
    """An order of 99 that somebody paid by hand."""
    order = shop.order(amount=99, reference="ORD-99")
    code = shop.order_row(order).pay_code
    shop.confirm(code, receipt=BY_HAND, amount="99.00")
    return code


def next_morning(clock):
    clock.pass_(seconds=20 * 3600)


def whole_day(code):
    """A day with all that may happen."""
    return [
        Entry(RECEIPT, 150),
        charge(RECEIPT, 0.83),
        Entry(BY_HAND, 99, account=code),
        Entry("UKO4BACKED", 40, account="X", at=LATER),
        reversal(REVERSAL, 40, "UKO4BACKED", at=LATER),
        sweep("UKO5SWEEPS", 1000, at=LATER),
    ]


# -- the comparison ------------------------------------------------------------------------------


@on_both
def test_a_day_tells_what_was_taken_and_given_back_charged_and_swept(
    shop, office, clock, paid, by_hand
):
    next_morning(clock)
    office.import_(Made(*whole_day(by_hand)))

    day = office.compare()

    assert (day.push, day.hand, day.unclaimed) == (Sum(1, 15_000), Sum(1, 9_900), Sum(1, 4_000))
    assert (day.returned, day.charges, day.swept) == (Sum(1, -4_000), Sum(1, -83), Sum(1, -100_000))
    assert day.balances == Balances(100_000, 24_817)
    assert day.balances.opening + day.moved == day.balances.closing
    assert day.differences == ()
    assert office.standing().standing is Standing.PROVED


def test_money_that_no_order_has_is_only_at_mpesa(shop, office, clock):
    next_morning(clock)
    office.import_(Made(Entry(NOBODYS, 77, account="JANE")))

    [difference] = office.compare().differences

    assert (difference.kind, difference.receipt, difference.amount) == (
        *(DifferenceKind.UNCLAIMED, NOBODYS),
        7_700,
    )


def test_what_the_statement_lacks_is_only_here(shop, office, clock, paid):
    next_morning(clock)
    office.import_(Made())

    [difference] = office.compare().differences

    assert (difference.kind, difference.receipt, difference.transaction_id) == (
        *(DifferenceKind.ONLY_HERE, RECEIPT),
        paid,
    )


def test_amounts_that_differ_are_both_told(shop, office, clock, paid):
    next_morning(clock)
    office.import_(Made(Entry(RECEIPT, 149)))

    [difference] = office.compare().differences

    assert (difference.kind, difference.amount, difference.ours) == ("amount", 14_900, 15_000)


def test_a_movement_that_nobody_knows_is_a_difference(shop, office, clock):
    next_morning(clock)
    office.import_(Made(Entry("UKO7STRANG", -30, "Something new", reason="")))

    assert office.kinds() == [DifferenceKind.OTHER]


def test_a_day_that_opens_with_another_balance_than_the_one_before_closed_with_differs(
    shop, office, clock
):
    clock.pass_(seconds=44 * 3600)
    office.import_(Made())
    office.import_(Made(opening=900, day=NOON + timedelta(days=1)))

    [difference] = office.compare(NEXT).differences

    assert (difference.kind, difference.amount) == (DifferenceKind.BALANCE, -10_000)


def test_a_reversal_without_a_link_suggests_the_one_refund_that_fits(shop, office, clock, paid):
    money = RefundDesk(shop)
    refund = money.sent()
    next_morning(clock)
    office.import_(Made(Entry(RECEIPT, 150), reversal(REVERSAL, 150, at=LATER)))

    [difference] = office.compare().differences
    assert (difference.kind, difference.refund_id) == (DifferenceKind.REVERSAL, refund)

    means = reversals.Needs(shop.now, shop.announce)
    with shop.sessions() as session:
        outcome = reversals.link(session, REVERSAL, RECEIPT, "amina", means)
    assert outcome is reversals.Outcome.RETURNED
    assert money.read(refund).reversal_receipt == REVERSAL
    assert office.kinds() == []


def test_two_statements_of_both_families_count_each_movement_once(
    shop, office, clock, paid, by_hand
):
    next_morning(clock)
    entries = whole_day(by_hand)
    office.import_(Made(*entries))
    before = office.compare()
    # B shows no link, and masks nothing differently here.
    office.import_(Made(*entries, family="b"), name=NAME_OF_B)

    after = office.compare()

    assert (after.push, after.hand, after.moved) == (before.push, before.hand, before.moved)
    assert after.differences == ()


# -- closing -------------------------------------------------------------------------------------


@on_both
def test_a_closed_day_keeps_its_sums(shop, office, clock, paid, by_hand):
    next_morning(clock)
    office.import_(Made(*whole_day(by_hand)))

    closed = office.close().closed

    assert (closed.taken_push, closed.taken_hand, closed.unclaimed) == (15_000, 9_900, 4_000)
    assert (closed.returned, closed.charges, closed.swept) == (4_000, 83, -100_000)
    assert (closed.opening, closed.closing, closed.closed_by) == (100_000, 24_817, "baraka")
    assert office.standing().standing is Standing.CLOSED


def test_a_day_is_closed_once(shop, office, clock):
    next_morning(clock)
    office.import_(Made())
    office.close()

    with pytest.raises(AlreadyClosed):
        office.close()


def test_a_day_that_no_statement_covers_is_not_closed(shop, office, clock, paid):
    next_morning(clock)
    with pytest.raises(NotCovered):
        office.close()
    assert office.standing().standing is Standing.WAITS


def test_a_day_that_is_not_over_is_not_closed(office):
    with pytest.raises(NotOver):
        office.close()


def test_a_day_whose_statement_is_still_being_imported_is_not_closed(shop, office, clock):
    next_morning(clock)
    file_id, _ = office.desk.keep(Made(Entry(RECEIPT, 150)))
    with shop.sessions() as session:
        importing.begin(session, file_id, clock())

    with pytest.raises(NotCovered):
        office.close()


def test_each_difference_needs_a_word(shop, office, clock, paid):
    next_morning(clock)
    office.import_(Made(Entry(NOBODYS, 77, account="JANE")))

    with pytest.raises(NoWord) as without:
        office.close(word="")
    assert len(without.value.differences) == 2
    assert office.compare().closed is None
    with shop.sessions() as session:
        assert session.scalars(select(StatementLine.booked_on)).all() == [None]

    words = {(DifferenceKind.UNCLAIMED, f"{NOBODYS} payment"): "asked the payer"}
    told = office.close(word="the other short code", words=words).differences
    assert {each.kind: each.word for each in told} == {
        "unclaimed": "asked the payer",
        "only_here": "the other short code",
    }


def shown(day):
    """What a closed day shows of itself."""
    sums = (day.push, day.hand, day.unclaimed, day.returned, day.charges, day.swept, day.other)
    return *sums, day.balances, day.differences


# -- what comes later ----------------------------------------------------------------------------


@on_both
def test_what_comes_later_for_a_closed_day_is_a_difference_of_the_next_close(shop, office, clock):
    next_morning(clock)
    first = [Entry(NOBODYS, 77, account="JANE")]
    office.import_(Made(*first))
    office.close()
    before = shown(office.compare())
    clock.pass_(seconds=86_400)

    # An export of the same day that has one row more, from another account of the portal.
    more = Made(Entry("UKO6LATEST", 5, account="MARY", at=LATER), opening=0)
    more.preamble[2][1] = "Merchant Account"
    office.import_(more)
    shop.confirm("PETER", receipt="UKO8TARDYS", amount="20.00")
    with shop.sessions() as session:
        order = shop.order(amount=77)
        claim(session, Claim(NOBODYS, order, "amina"), shop.receipt_needs())
    office.import_(Made(day=NOON + timedelta(days=1), opening=1082))

    assert shown(office.compare()) == before
    told = {each.kind: each for each in office.close(NEXT).differences}
    assert {kind: (each.receipt, each.of_day) for kind, each in told.items()} == {
        "late_line": ("UKO6LATEST", DAY),
        "late_receipt": ("UKO8TARDYS", DAY),
        "claimed_later": (NOBODYS, DAY),
    }
    clock.pass_(seconds=86_400)
    office.import_(Made(day=NOON + timedelta(days=2), opening=1082))
    assert office.kinds(NEXT + timedelta(days=1)) == []


# -- for the book-keeper -------------------------------------------------------------------------


def test_a_closed_day_is_a_bank_statement(shop, office, clock, paid, by_hand):
    next_morning(clock)
    office.import_(Made(*whole_day(by_hand)))
    office.close()

    rows = office.csv()

    assert [tuple(each.values()) for each in rows] == [
        ("2026-11-24", "150.00", "TEST", "Payment, INV-1", RECEIPT),
        ("2026-11-24", "-0.83", "M-PESA", "M-PESA charge", RECEIPT),
        ("2026-11-24", "99.00", "TEST", "Payment, ORD-99", BY_HAND),
        ("2026-11-24", "40.00", "TEST", "Payment, X", "UKO4BACKED"),
        ("2026-11-24", "-40.00", "M-PESA", "Payment given back", REVERSAL),
        ("2026-11-24", "-1000.00", "M-PESA", "Transfer between M-PESA and bank", "UKO5SWEEPS"),
    ]
    assert sum(round(float(each["Amount"]) * 100) for each in rows) == 24_817 - 100_000


def test_a_long_day_is_had_in_parts_as_long_as_the_programs_take(shop, office, clock, monkeypatch):
    monkeypatch.setattr(closing, "PART", 2)
    next_morning(clock)
    number = "254712345678"
    office.import_(Made(*(Entry(f"UKO1A2B3C{n}", 5, account=number) for n in range(3))))
    office.close()

    with shop.sessions() as session:
        parts = closing.parts_of(session, DAY)
        files = [list(closing.csv_of(session, DAY, part=each + 1)) for each in range(parts)]
        whole = list(closing.csv_of(session, DAY))

    assert [len(each) for each in files] == [3, 2]
    assert [files[0][0], *files[0][1:], *files[1][1:]] == whole
    assert number not in "".join(whole)


def test_no_cell_of_it_is_a_formula(shop, office, clock):
    next_morning(clock)
    party = "25470****149 - =CMD|x **** Y"
    details = f"Pay Bill from {party} Acc. =1+1"
    office.import_(Made(Entry(RECEIPT, 5, details, party=party, account="=1+1")))
    office.close()

    [row] = office.csv()

    assert (row["Payee"], row["Description"]) == ("'=CMD|x", "Payment, =1+1")

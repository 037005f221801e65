"""A statement's lines become receipts, and money that went back is told of; nothing twice."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from mpesa import refunds, retention
from mpesa.domain.receipt import Direction
from mpesa.domain.refund import RefundStatus
from mpesa.domain.statement_lines import LineKind, StatementDefect
from mpesa.models import (
    Receipt,
    StatementFile,
    StatementLine,
    Transaction,
    WebhookMessage,
    Witness,
)
from mpesa.statements import importing
from tests.conftest import on_both
from tests.factories import PAYER_MSISDN, RECEIPT
from tests.statements.desk import Desk
from tests.statements.files import NAME_OF_B, NOON, Entry, Made, charge, reversal, sweep
from tests.test_refunds import Desk as RefundDesk

SECOND, REVERSAL = "UKO2GHIJKL", "UKO9REVERS"
LATER = NOON + timedelta(minutes=5)


@pytest.fixture
def desk(shop):
    return Desk(shop)


@pytest.fixture
def paid(shop, clock):
    """An order that was paid by push at noon; the id of the transaction."""
    transaction = shop.attempt()
    shop.callback(1, shop.paid())
    return transaction


def next_morning(clock):
    clock.pass_(seconds=20 * 3600)


def counts(shop):
    """How many rows there are of each kind."""
    tables = (Receipt, Witness, StatementLine, StatementFile, WebhookMessage)
    with shop.sessions() as session:
        return [session.scalar(select(func.count()).select_from(each)) for each in tables]


def reversed_row(shop, number=REVERSAL):
    with shop.sessions() as session:
        return session.scalars(
            select(Receipt).where(Receipt.receipt == number, Receipt.direction == "out")
        ).one_or_none()


def messages(shop):
    with shop.sessions() as session:
        return list(session.scalars(select(WebhookMessage.type)))


# -- payments ------------------------------------------------------------------------------------


@on_both
def test_a_payment_that_nobody_told_is_given_to_its_order(shop, desk, clock):
    order = shop.order()
    code = shop.order_row(order).pay_code
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150, account=code), charge(RECEIPT, 0.83)))

    receipt = shop.receipt()
    assert (receipt.state, receipt.paid_at, receipt.payer_name) == ("claimed", NOON, "TEST")
    assert shop.order_row(order).status == "PAID"


@on_both
def test_a_known_payment_gets_one_more_witness_and_no_second_receipt(shop, desk, clock, paid):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150)))

    assert (shop.receipt().state, shop.transaction(paid).needs_review) == ("claimed", False)
    with shop.sessions() as session:
        kinds = set(session.scalars(select(Witness.kind)))
    assert kinds == {"callback", "statement"}


@on_both
def test_a_push_that_was_silent_is_paid_by_the_statement(shop, desk, clock):
    transaction = shop.attempt()
    next_morning(clock)

    payer, at = "25471****678 - JANE **** DOE", NOON + timedelta(seconds=30)
    details = f"Pay Bill from {payer} Acc. INV-1"
    desk.import_(Made(Entry(RECEIPT, 150, details, at=at, party=payer, account="INV-1")))

    row = shop.transaction(transaction)
    assert (row.status, row.receipt) == ("SUCCESS", RECEIPT)


def test_a_payment_for_nobody_is_kept_unclaimed(shop, desk, clock):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 77, account="JANE")))

    assert shop.receipt().state == "unclaimed"


def test_charges_and_sweeps_are_no_receipts(shop, desk, clock):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 500), charge(RECEIPT, 2.75), sweep("UKO4SWEEPS", 900)))

    receipts, _, lines, *_ = counts(shop)
    assert (receipts, lines) == (1, 3)


def test_another_amount_than_was_told_needs_review(shop, desk, clock, paid):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 149)))

    assert shop.receipt().needs_review
    assert shop.transaction(paid).needs_review


# -- nothing twice -------------------------------------------------------------------------------


@on_both
def test_the_same_file_changes_nothing_the_second_time(shop, desk, clock):
    next_morning(clock)
    made = Made(Entry(RECEIPT, 150), charge(RECEIPT, 0.83))
    first = desk.import_(made)
    before = counts(shop)

    file_id, new = desk.keep(made)

    assert (file_id, new) == (first, False)
    assert desk.settle(file_id, made) is False
    assert counts(shop) == before


@pytest.mark.parametrize("second", ["a", "b"])
def test_an_overlapping_file_adds_its_new_lines_alone(shop, desk, clock, second):
    next_morning(clock)
    entries = [Entry(RECEIPT, 150), charge(RECEIPT, 0.83)]
    desk.import_(Made(*entries))
    more = [*entries, Entry(SECOND, 99, at=LATER), reversal(REVERSAL, 150, RECEIPT, at=LATER)]

    found = desk.look(Made(*more, family=second), name=NAME_OF_B)
    desk.import_(Made(*more, family=second), name=NAME_OF_B)

    receipts, witnesses, lines, files, _ = counts(shop)
    assert found.before == 2
    assert (receipts, witnesses, lines, files) == (3, 3, 4, 2)


def test_an_earlier_statement_with_another_amount_refuses_the_file(shop, desk, clock):
    next_morning(clock)
    desk.import_(Made(Entry(RECEIPT, 150)))

    with pytest.raises(StatementDefect, match="line 8: an earlier statement"):
        desk.keep(Made(Entry(RECEIPT, 160)))


def test_times_that_are_hours_away_from_what_was_told_refuse_the_file(shop, desk, clock):
    shop.confirm("JANE")
    next_morning(clock)

    with pytest.raises(StatementDefect, match="hours away"):
        desk.keep(Made(Entry(RECEIPT, 150, at=NOON - timedelta(hours=3))))


@on_both
def test_an_import_that_was_cut_off_anywhere_is_carried_on(shop, desk, clock, monkeypatch):
    next_morning(clock)
    monkeypatch.setattr(importing, "BATCH", 2)
    entries = [Entry(f"UKO1A2B3C{n}", 100 + n) for n in range(5)]
    made = Made(*entries, reversal(REVERSAL, 100, "UKO1A2B3C0", at=LATER))
    file_id, _ = desk.keep(made)

    class Cut(Exception):
        pass

    tries = 0
    for after in range(1, 40):
        left = after

        def rest():
            nonlocal left
            left -= 1
            if not left:
                raise Cut

        cutting = importing.Needs(desk.needs.receipts, shop.now, rest)
        tries += 1
        try:
            with shop.sessions() as session:
                importing.settle(session, file_id, cutting)
        except Cut:
            clock.pass_(seconds=301)  # its lease is over
            continue
        break

    assert tries > 4
    receipts, _, lines, *_ = counts(shop)
    assert (receipts, lines) == (6, 6)
    with shop.sessions() as session:
        file = session.get_one(StatementFile, file_id)
        assert (file.settled, file.done_at) == (6, clock())


def test_one_process_imports_a_file_at_a_time(shop, desk, clock):
    next_morning(clock)
    made = Made(Entry(RECEIPT, 150))
    file_id, _ = desk.keep(made)
    seen = []

    def rest():
        seen.append(desk.settle(file_id, made))

    with shop.sessions() as session:
        assert importing.settle(
            session, file_id, importing.Needs(desk.needs.receipts, shop.now, rest)
        )
    assert not any(seen)


def test_a_file_that_was_only_looked_at_goes_after_a_day(shop, desk, clock):
    next_morning(clock)
    desk.keep(Made(Entry(RECEIPT, 150)))

    for hours, left in ((23, 1), (2, 0)):
        clock.pass_(seconds=hours * 3600)
        with shop.sessions() as session:
            importing.drop_looked_at(session, clock())
        assert counts(shop)[3] == left


# -- reversals -----------------------------------------------------------------------------------


@on_both
def test_a_linked_reversal_returns_its_payment_and_tells_so(shop, desk, clock, paid):
    next_morning(clock)
    made = Made(Entry(RECEIPT, 150), reversal(REVERSAL, 150, RECEIPT, at=LATER))

    desk.import_(made)

    receipt, back = shop.receipt(), reversed_row(shop)
    assert (receipt.state, receipt.returned_by) == ("returned", REVERSAL)
    assert (back.amount, back.returned_by, back.paid_at) == (15_000, RECEIPT, LATER)
    row = shop.transaction(paid)
    assert (row.status, row.returned, row.needs_review) == ("SUCCESS", True, True)
    assert shop.snapshot(paid)["money"] == "returned"


@on_both
@pytest.mark.parametrize("stands", [RefundStatus.SENT, RefundStatus.UNKNOWN])
def test_a_reversal_ends_the_refund_that_was_sent(shop, desk, clock, paid, stands):
    money = RefundDesk(shop)
    refund = money.sent()
    if stands is RefundStatus.UNKNOWN:
        clock.pass_(seconds=601)
        money.tick()
    assert money.read(refund).status is stands
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150), reversal(REVERSAL, 150, RECEIPT, at=LATER)))

    read = money.read(refund)
    assert (read.status, read.reversal_receipt) == (RefundStatus.SUCCEEDED, REVERSAL)
    assert shop.receipt().returned_by == REVERSAL
    row = shop.transaction(paid)
    assert (row.returned, row.refund_status, row.needs_review) == (True, "succeeded", False)
    assert "receipt.returned" not in messages(shop)


@pytest.mark.parametrize("released", [False, True])
def test_a_reversal_refuses_a_refund_that_was_not_sent(shop, desk, clock, paid, released):
    money = RefundDesk(shop)
    refund = money.ask()
    if released:
        money.release(refund)
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150), reversal(REVERSAL, 150, RECEIPT, at=LATER)))

    assert money.read(refund).status is RefundStatus.REFUSED
    receipt = shop.receipt()
    assert (receipt.state, receipt.refund_id) == ("returned", None)
    assert shop.transaction(paid).needs_review
    assert money.send() == 0


def test_a_reversal_names_a_refund_that_succeeded_without_one(shop, desk, clock, paid):
    money = RefundDesk(shop)
    refund = money.sent()
    with shop.sessions() as session:
        refunds.note_returned(session, RECEIPT, money.needs)
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150), reversal(REVERSAL, 150, RECEIPT, at=LATER)))

    read = money.read(refund)
    assert (read.status, read.reversal_receipt) == (RefundStatus.SUCCEEDED, REVERSAL)
    assert shop.receipt().returned_by == REVERSAL
    assert not shop.transaction(paid).needs_review


@on_both
def test_a_reversal_of_a_smaller_amount_returns_nothing_and_needs_review(shop, desk, clock, paid):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150), reversal(REVERSAL, 50, RECEIPT, at=LATER)))

    receipt = shop.receipt()
    assert (receipt.state, receipt.needs_review) == ("claimed", True)
    assert shop.transaction(paid).needs_review
    assert reversed_row(shop).returned_by is None


@pytest.mark.parametrize("linked", ["", "UKO8NOBODY"])
def test_a_reversal_of_a_payment_that_nobody_knows_is_kept(shop, desk, clock, paid, linked):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 150), reversal(REVERSAL, 150, linked, at=LATER)))

    assert shop.receipt().state == "claimed"
    assert reversed_row(shop).returned_by is None
    with shop.sessions() as session:
        verdicts = session.execute(select(StatementLine.kind, StatementLine.verdict)).all()
    assert (LineKind.REVERSAL.value, "kept") in [tuple(each) for each in verdicts]


@on_both
def test_money_for_nobody_that_went_back_is_told_as_a_receipt(shop, desk, clock):
    next_morning(clock)

    desk.import_(Made(Entry(RECEIPT, 77, account="X"), reversal(REVERSAL, 77, RECEIPT, at=LATER)))

    assert shop.receipt().state == "returned"
    with shop.sessions() as session:
        found = session.scalars(select(Receipt.direction)).all()
    assert sorted(found) == [Direction.IN, Direction.OUT]
    with shop.sessions() as session:
        assert session.scalar(select(func.count()).select_from(Transaction)) == 0


# -- before anything is changed ------------------------------------------------------------------


def test_a_look_says_what_would_be_found_and_changes_nothing(shop, desk, clock, paid):
    shop.confirm("JANE", receipt="UKO7ONLYUS", amount="20.00")
    next_morning(clock)
    before = counts(shop)
    made = Made(Entry(RECEIPT, 149), Entry(SECOND, 99, at=LATER), charge(SECOND, 1, at=LATER))

    found = desk.look(made)

    assert (found.both, found.only_there, found.differ, found.only_here) == (0, 1, 1, 1)
    assert found.sums[LineKind.PAYMENT] == 24_800
    assert found.sums[LineKind.CHARGE] == -100
    assert counts(shop) == before


# -- forgetting ----------------------------------------------------------------------------------


def kept_of_people(shop):
    with shop.sessions() as session:
        file = session.scalars(select(StatementFile)).one()
        lines = session.execute(
            select(StatementLine.details, StatementLine.account, StatementLine.name)
        ).all()
        return file.raw is not None, any(any(each) for each in lines)


def test_files_and_lines_are_forgotten_by_age_and_sums_stay(shop, desk, clock):
    next_morning(clock)
    failed = Entry(SECOND, 20, at=LATER, account="JANE", status="Failed")
    sent = Entry(REVERSAL, -30, "Business Payment to 25470****149 - JANE DOE", at=LATER)
    desk.import_(Made(Entry(RECEIPT, 150, account="JANE"), failed, sent))
    assert kept_of_people(shop) == (True, True)
    clock.pass_(seconds=400 * 86_400)

    with shop.sessions() as session:
        retention.by_age(session, clock(), timedelta(days=365), "amina")

    assert kept_of_people(shop) == (False, False)
    with shop.sessions() as session:
        lines = session.execute(select(StatementLine.amount, StatementLine.key)).all()
    assert [each.amount for each in lines] == [15_000, -3_000, 2_000]
    assert not any("jane" in each.key.lower() for each in lines)


def test_files_and_lines_of_one_phones_payments_are_forgotten_on_request(shop, desk, clock, paid):
    next_morning(clock)
    desk.import_(Made(Entry(RECEIPT, 150)))
    mark = shop.receipt_needs().mark_of(PAYER_MSISDN)

    with shop.sessions() as session:
        retention.by_line(session, PAYER_MSISDN, mark, clock(), "amina")

    assert kept_of_people(shop) == (False, False)

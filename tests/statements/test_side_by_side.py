"""A statement beside our books as CSV: every row has its kind, before an import and after it."""

import csv
from datetime import timedelta
from io import StringIO

import pytest

from mpesa.domain.evidence import Kind
from mpesa.domain.settlement import QueryAnswered
from mpesa.models import StatementFile
from mpesa.statements import side_by_side
from tests.conftest import on_both
from tests.factories import RECEIPT
from tests.statements.desk import Desk, Read
from tests.statements.files import NOON, Entry, Made, charge, reversal, sweep
from tests.statements.test_closing import BY_HAND, DAY, next_morning

LATER = NOON + timedelta(minutes=5)
WHOLE = [
    Entry(RECEIPT, 150),
    charge(RECEIPT, 0.83),
    Entry(BY_HAND, 98, account="INV-1"),
    Entry("UKO3NOBODY", 20, account="=JANE", at=LATER),
    Entry("UKO4FAILED", 30, at=LATER, status="Failed"),
    reversal("UKO9REVERS", 7, "UKO8NOBODY", at=LATER),
    sweep("UKO5SWEEPS", 60, at=LATER),
    Entry("UKO6OTHERS", -5, "Something new", reason="", at=LATER),
]
KINDS = {
    RECEIPT: "in_both",
    "charge": "charge",
    BY_HAND: "amounts_differ",
    "UKO3NOBODY": "only_at_mpesa",
    "UKO4FAILED": "not_completed",
    "UKO9REVERS": "reversal",
    "UKO5SWEEPS": "sweep",
    "UKO6OTHERS": "other",
    "UKO7ONLYUS": "only_here",
}


@pytest.fixture
def desk(shop, clock):
    """The morning after a day with a push, a payment told wrongly, and one that M-PESA lacks."""
    shop.attempt()
    shop.callback(1, shop.paid())
    shop.confirm("JANE", receipt=BY_HAND, amount="99.00")
    shop.confirm("JANE", receipt="UKO7ONLYUS", amount="20.00")
    next_morning(clock)
    return Desk(shop)


def table(lines):
    return list(csv.DictReader(StringIO("".join(lines))))


def kinds(rows):
    return {
        "charge" if each["kind"] == "charge" else each["receipt"]: each["kind"] for each in rows
    }


def before_an_import(shop, desk, **how):
    given = desk.given(Made(*WHOLE))
    statement = Read(given.raw, desk.asked(given))
    with shop.sessions() as session:
        days = sorted(statement.head.balances)
        return table(side_by_side.of_lines(session, statement.lines(), days, **how))


def of_the_file(shop, file_id, **how):
    with shop.sessions() as session:
        file = session.get_one(StatementFile, file_id)
        return table(side_by_side.of_a_file(session, file, **how))


def of_the_day(shop, **how):
    with shop.sessions() as session:
        return table(side_by_side.of_a_day(session, DAY, **how))


@on_both
def test_each_row_has_its_kind_before_an_import_and_after_it(shop, desk):
    looked_at = before_an_import(shop, desk, with_people=True)
    file_id = desk.import_(Made(*WHOLE))

    assert kinds(looked_at) == KINDS
    assert kinds(of_the_file(shop, file_id, with_people=True)) == KINDS
    assert kinds(of_the_day(shop, with_people=True)) == KINDS


def test_a_line_tells_both_sides(shop, desk):
    desk.import_(Made(*WHOLE))

    rows = {each["kind"]: each for each in of_the_day(shop, with_people=True)}

    assert rows["in_both"] == {
        "kind": "in_both", "completed_at": "2026-11-24T12:00:00+03:00", "receipt": RECEIPT,
        "at_mpesa": "150.00", "here": "150.00", "state": "claimed", "reference": "INV-1",
        "account": "INV-1", "gives_back": "",
    }  # fmt: skip
    assert (rows["amounts_differ"]["at_mpesa"], rows["amounts_differ"]["here"]) == (
        "98.00",
        "99.00",
    )
    assert (rows["only_here"]["at_mpesa"], rows["only_here"]["here"]) == ("", "20.00")
    assert (rows["reversal"]["at_mpesa"], rows["reversal"]["gives_back"]) == ("-7.00", "UKO8NOBODY")


def test_no_cell_is_a_formula_and_viewers_see_nobody(shop, desk):
    desk.import_(Made(*WHOLE))

    seen, masked = (of_the_day(shop, with_people=each) for each in (True, False))

    assert [each["account"] for each in seen if each["kind"] == "only_at_mpesa"] == ["'=JANE"]
    assert [each["account"] for each in masked if each["kind"] == "only_at_mpesa"] == [""]


def test_an_overlapping_statement_has_the_rows_of_the_first_one_too(shop, desk):
    desk.import_(Made(*WHOLE[:3]))
    second = desk.import_(Made(*WHOLE))

    assert kinds(of_the_file(shop, second, with_people=True)) == KINDS


def test_a_payment_without_a_number_is_told_as_one(shop, clock):
    push = shop.attempt(reference="INV-2")
    shop.record(push, QueryAnswered("0"), Kind.QUERY)
    next_morning(clock)
    Desk(shop).import_(Made(charge(RECEIPT, 1)))

    rows = {each["kind"]: each for each in of_the_day(shop, with_people=True)}

    assert (rows["no_number"]["reference"], rows["no_number"]["here"]) == ("INV-2", "150.00")

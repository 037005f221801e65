"""What a row of a statement is, and whether all of a statement adds up."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpesa.domain.statement_lines import (
    Asked,
    Balances,
    Family,
    Line,
    LineKind,
    StatementDefect,
    in_order,
    kind_of,
    read,
    without_people,
)
from tests.statements.files import (
    NAME_OF_B,
    NEXT_MORNING,
    NOON,
    PAYER,
    Entry,
    Made,
    charge,
    reversal,
    sweep,
)

DAY = date(2026, 11, 24)


def asked(**changed):
    return Asked(**{"numbers": frozenset({"174379"}), "now": NEXT_MORNING, **changed})


def rows(made):
    return enumerate(made.rows, start=1)


def refused(made, **changed):
    with pytest.raises(StatementDefect) as defect:
        read(rows(made), asked(**changed))
    return str(defect.value)


@pytest.fixture
def day():
    """A payment with its charge, a second one that went back, and a sweep."""
    return (
        Entry("UKO1A2B3C4", 500),
        charge("UKO1A2B3C4", 2.75),
        Entry("UKO2A2B3C4", 150, at=NOON + timedelta(minutes=1), account=""),
        reversal("UKO3A2B3C4", 150, "UKO2A2B3C4", at=NOON + timedelta(minutes=2)),
        sweep("UKO4A2B3C4", 1000, at=NOON + timedelta(minutes=3)),
    )


@pytest.fixture
def made(day):
    return Made(*day)


# -- what a row is -------------------------------------------------------------------------------

IN, OUT = 100, -100
KINDS = [
    (f"Pay Bill from {PAYER} Acc. ORD-17", "Pay Utility", IN, "payment"),
    (f"Pay Bill Online from {PAYER} Acc. 1", "Pay Bill Online", IN, "payment"),
    (f"Small Business Pay Bill from {PAYER} Acc.", "", IN, "payment"),
    ("Merchant Pay Utility Received from 5551234 - SHOP Acc. 7", "", IN, "payment"),
    ("Business Pay Bill via API by 600111 - SHOP Acc. 7", "", IN, "payment"),
    ("FSI to Pay Bill by 600222 - EXAMPLE BANK Acc. 7 via WEB by clerk", "", IN, "payment"),
    (f"Merchant Payment from {PAYER}", "Pay Merchant", IN, "payment"),
    ("Something new", "Pay Utility with OD via STK", IN, "payment"),
    ("Something new", "Standing Order Pay Bill", IN, "payment"),
    (f"Pay Bill from {PAYER} - CHARGE Acc. 1", "Pay Utility", IN, "payment"),
    ("Pay Bill Charge", "Pay Utility", OUT, "charge"),
    ("Pay merchant Charge", "Pay Merchant", OUT, "charge"),
    (r"Pay Utility Reversal by EXAMPLE SHOP\clerk1", "", OUT, "reversal"),
    ("Pay Merchant Reversal", "Pay Utility", OUT, "reversal"),
    ("Pay Utility Reversal", "Pay Utility", IN, "other"),
    ("Utility Account to Organization Settlement Account", "Settlement", OUT, "sweep"),
    ("Utility Account to Organization Settlement Account", "", OUT, "sweep"),
    ("Organization Settlement Account to MMF Account", "", IN, "sweep"),
    ("Real Time Settlement to bank", "", OUT, "sweep"),
    ("Agency Withdrawal of funds to Bank", "", OUT, "sweep"),
    ("Business Payment to Customer via API to 2547****149", "Business Payment", OUT, "other"),
    ("Something new", "", IN, "other"),
    ("Pay Bill from 2547****149 - X Acc. 1", "", OUT, "other"),
]


@pytest.mark.parametrize(("details", "reason", "amount", "kind"), KINDS)
def test_a_row_is_what_mpesa_calls_it(details, reason, amount, kind):
    assert kind_of(details, reason, amount) == kind


@pytest.mark.parametrize("status", ["Cancelled", "Failed", "Declined", "Attempted"])
def test_what_was_not_completed_moved_nothing(day, status):
    made = Made(*day, Entry("UKO9A2B3C4", 700, at=NOON + timedelta(hours=1), status=status))

    statement = read(rows(made), asked())

    assert statement.lines[-1].kind is LineKind.VOID
    assert statement.balances == {DAY: Balances(100_000, 49_725)}


@pytest.mark.parametrize("family", Family)
def test_a_payment_tells_its_account_payer_time_and_amount(day, family):
    statement = read(rows(Made(*day, family=family)), asked(name=NAME_OF_B))

    paid, fee, second, back, swept = statement.lines
    told = paid.told(statement.short_code)
    assert (told.receipt, told.amount, told.short_code) == ("UKO1A2B3C4", 50_000, "174379")
    assert (told.account, told.name, told.paid_at) == ("INV-1", "TEST", NOON)
    assert told.payer.masked == "25470****149"
    assert (fee.kind, fee.amount, fee.account) == (LineKind.CHARGE, -275, None)
    assert second.account == ""
    assert (back.kind, swept.kind) == (LineKind.REVERSAL, LineKind.SWEEP)
    assert back.linked == ("UKO2A2B3C4" if family is Family.A else None)


def test_an_account_may_end_before_who_typed_it():
    details = "FSI to Pay Bill by 600222 - EXAMPLE BANK Acc. ORD-17 via WEB by clerk"
    made = Made(Entry("UKO1A2B3C4", 5, details))

    [line] = read(rows(made), asked()).lines

    assert (line.kind, line.account) == (LineKind.PAYMENT, "ORD-17")


def test_a_till_has_no_accounts():
    details = f"Merchant Payment from {PAYER}"
    made = Made(Entry("UKO1A2B3C4", 5, details, reason="Pay Merchant", party=PAYER))

    [line] = read(rows(made), asked()).lines

    assert (line.account, line.payer, line.name) == ("", "25470****149", "TEST")


def test_no_name_behind_the_first_word_is_kept_and_no_whole_number():
    details = "Pay Bill from 25470****149 - TEST **** PAYER Acc. 0712345678"

    assert without_people(details) == "Pay Bill from 25470****149 - TEST Acc. 2547*****678"


def test_a_payment_is_the_same_in_both_families(day):
    a, b = (read(rows(Made(*day, family=each)), asked(name=NAME_OF_B)) for each in Family)

    assert [each.key for each in a.lines] == [each.key for each in b.lines]


# -- whether it adds up --------------------------------------------------------------------------


@pytest.mark.parametrize("family", Family)
def test_a_sound_statement_tells_what_its_day_opened_and_closed_with(day, family):
    statement = read(rows(Made(*day, family=family)), asked(name=NAME_OF_B))

    assert statement.balances == {DAY: Balances(100_000, 49_725)}
    assert statement.vouched is (family is Family.B)


def test_a_day_without_rows_is_covered_too():
    assert read(rows(Made()), asked()).balances == {DAY: Balances(100_000, 100_000)}


def test_a_row_that_is_missing_is_noticed(made):
    del made.body[2]
    assert "line 9: the balance does not follow" in refused(made)


@pytest.mark.parametrize("place", [0, -1])
def test_a_row_that_is_missing_at_an_end_is_noticed_by_the_balances_of_the_preamble(made, place):
    del made.body[place]
    refused(made)


def test_an_amount_that_was_changed_is_noticed(made):
    made.body[-1][5] = "600.00"
    assert "does not follow" in refused(made)


def test_an_amount_that_was_changed_with_its_balance_is_noticed():
    made = Made(Entry("UKO1A2B3C4", 500))
    made.body[0][5], made.body[0][7] = "600.00", "1600.00"
    assert "another sum than the preamble" in refused(made)


def test_a_row_twice_is_noticed(made):
    made.body.insert(0, made.body[-1])
    assert "appears twice" in refused(made)


def test_rows_of_one_second_may_stand_in_any_order_that_adds_up():
    entries = [Entry(f"UKO1A2B3C{n}", 100 + n) for n in range(9)]
    made = Made(*entries)
    made.body = [made.body[n] for n in (3, 1, 4, 0, 5, 8, 2, 6, 7)]

    statement = read(rows(made), asked())

    assert [each.receipt for each in statement.lines] == [each.receipt for each in entries]


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=12), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_whatever_moved_in_one_second_is_put_in_an_order_that_adds_up(amounts, random):
    lines, balance = [], 7
    for place, amount in enumerate(amounts):
        balance += amount
        lines.append(Line(place, f"UKO1A2B{place:03}", NOON, "", LineKind.OTHER, amount, balance))
    random.shuffle(lines)

    ordered = in_order(lines, 7)

    assert sorted(each.place for each in ordered) == list(range(len(amounts)))
    before = 7
    for each in ordered:
        assert before + each.amount == each.balance
        before = each.balance
    # Who does not know the opening balance finds an order as well.
    assert len(in_order(lines, None)) == len(lines)


def test_without_an_opening_balance_the_first_row_sets_it(made):
    del made.preamble[-1]
    assert read(rows(made), asked()).balances == {DAY: Balances(100_000, 49_725)}


# -- whose it is, and when -----------------------------------------------------------------------


def test_another_short_codes_statement_is_refused(day):
    assert "line 2: the statement is another short code's" in refused(
        Made(*day, short_code="600999")
    )
    name = NAME_OF_B.replace("174379", "600999")
    assert "another short code's" in refused(Made(*day, family="b"), name=name)


def test_family_b_covers_the_days_that_its_name_tells_or_a_person(day):
    made = Made(*day, family="b")

    assert "which days it covers" in refused(made, name="statement.csv")
    statement = read(rows(made), asked(days=(DAY, DAY)))

    assert (statement.short_code, statement.vouched) == (None, True)
    assert list(statement.balances) == [DAY]


def test_a_day_that_is_not_over_is_not_covered(made):
    made.preamble[4][-1] = "24-11-2026 18:00:00"

    assert read(rows(made), asked()).balances == {}


def test_a_part_of_a_day_does_not_cover_it(made):
    made.preamble[3][2] = "24-11-2026 08:00:00"

    assert read(rows(made), asked()).balances == {}


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        (1, "24-13-2026 12:00:00", "a time that cannot be"),
        (1, "24-11-2026 12:00", "a time that cannot be"),
        (1, "23-11-2026 12:00:00", "outside the days"),
        (1, "٢٤-11-2026 12:00:00", "a time that cannot be"),
        (0, "not one", "no receipt number"),
        (4, "", "cut short"),
        (7, "", "cut short"),
        (5, "=1+1", "an amount that is none"),
        (6, "500.001", "an amount that is none"),
        (6, "-3.00", "in and out at once"),
        (5, "-500.00", "in and out at once"),
    ],
)
def test_what_cannot_be_is_refused_with_its_line(made, column, value, why):
    made.body[-1][column] = value
    told = refused(made)
    assert told.startswith("line 12: ")
    assert why in told


def test_a_time_that_has_not_come_yet_is_refused(made):
    assert "has not come yet" in refused(made, now=NOON - timedelta(hours=1))


def test_swapped_days_and_months_are_seen_by_the_receipts():
    made = Made(Entry("UKC1A2B3C4", 500), day=NOON + timedelta(days=7))
    made.body[0][1] = "12-11-2026 12:00:00"  # M-PESA's number says the eleventh of ... none
    made = Made(Entry("UJ1A2B3C4D", 500), family="b")
    made.body[0][1] = "10/01/2026 10:15:07"

    told = refused(
        made, days=(date(2026, 1, 1), date(2026, 12, 31)), now=NEXT_MORNING.replace(year=2027)
    )

    assert "day and month are swapped" in told


@pytest.mark.parametrize("name", ["Receipt No.", "Paid In", "Balance"])
def test_a_statement_without_a_needed_column_is_refused(made, name):
    made.header[made.header.index(name)] = "Nothing"
    refused(made)


def test_columns_are_found_by_their_names_wherever_they_stand(made):
    order = [0, 7, 1, 6, 5, 3, 4, 2, 8, 9, 10, 11, 12]
    made.header = [made.header[each] for each in order]
    made.body = [[row[each] for each in order] for row in made.body]

    assert read(rows(made), asked()).balances == {DAY: Balances(100_000, 49_725)}


def test_numbers_of_a_spreadsheet_are_exact_to_the_cent():
    made = Made(Entry("UKO1A2B3C4", 0.29), opening=0.01)
    made.body[0][5], made.body[0][7] = Decimal("0.28999999999999998"), Decimal("0.3")

    [line] = read(rows(made), asked()).lines

    assert line.amount == 29

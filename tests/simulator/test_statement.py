import csv
import itertools
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO

import pytest
from openpyxl import load_workbook

from tests.simulator.shop import Shop

NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)  # in Nairobi


class Clock:
    """Each look is a second later."""

    now = NOON

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shop(clock):
    return Shop(now=clock)


@pytest.fixture
def day(shop):
    """A day with four payments, one of which went back, and a sweep."""
    shop.receipts = [shop.pay(amount=amount).json["receipt"] for amount in (100, 500, 1500, 90)]
    shop.back = shop.give_back(shop.receipts[0]).json["receipt"]
    shop.http.post("/sweep")
    return shop


def export(shop, path="/statement.csv", **wishes):
    return shop.http.get(path, query_string={"day": "2026-11-24"} | wishes)


def rows(answer):
    return list(csv.reader(StringIO(answer.data.decode("utf-8-sig"), newline="")))


def table(found):
    """The rows below the header, by column, in the order of the file."""
    at = next(n for n, row in enumerate(found) if row[0].startswith("Receipt No"))
    return [dict(zip(found[at], row, strict=False)) for row in found[at + 1 :]]


def preamble(found):
    """The labels and values above the header of family A."""
    cells = [cell for row in found[:6] for cell in row]
    return dict(itertools.pairwise(cells))


def amount(text):
    return Decimal(text.replace(",", "") or 0)


def adds_up(found, paid_in, withdrawn, balance):
    """Whether each balance follows from the one before it, oldest first."""
    oldest_first = list(reversed(found))
    return all(
        amount(before[balance]) + amount(row[paid_in]) + amount(row[withdrawn])
        == amount(row[balance])
        for before, row in itertools.pairwise(oldest_first)
    )


A = ("Paid In", "Withdrawn", "Balance")
B = ("Paid In (KSHs)", "Withdrawn (KSHs)", "Balance (KSHs)")


# -- family A ------------------------------------------------------------------------------------


def test_a_charge_stands_above_its_payment_with_the_same_receipt(day):
    found = table(rows(export(day)))

    charge, paid = [row for row in found if row["Receipt No."] == day.receipts[1]]
    assert (charge["Details"], charge["Withdrawn"], charge["Other Party Info"]) == (
        *("Pay Bill Charge", "-2.75"),
        "SP",
    )
    assert re.fullmatch(
        r"Pay Bill from 25471\*\*\*\*678 - [A-Z]+ \*\*\*\* [A-Z]+ Acc. 234567890", paid["Details"]
    )
    assert (paid["Paid In"], paid["Withdrawn"], paid["A/C No."]) == ("500.00", "", "234567890")
    assert (paid["Reason Type"], charge["Reason Type"]) == ("Pay Utility", "Pay Utility")
    assert re.fullmatch(r"24-11-2026 12:[0-9:]{5}", paid["Completion Time"])


def test_the_preamble_tells_whose_account_it_is_and_its_sums(day):
    found = rows(export(day))

    told = preamble(found)
    assert (told["Short Code:"], told["Account:"]) == ("174379", "Utility Account")
    assert (told["From"], told["To"]) == ("24-11-2026 00:00:00", "24-11-2026 23:59:59")
    assert (told["Opening Balance:"], told["Closing Balance:"]) == ("10000.00", "0.00")
    assert amount(told["Total Paid In:"]) == sum(amount(row["Paid In"]) for row in table(found))
    assert amount(told["Total Withdrawn:"]) == sum(amount(row["Withdrawn"]) for row in table(found))


@pytest.mark.parametrize(("family", "columns"), [("a", A), ("b", B)])
def test_balances_add_up(day, family, columns):
    found = table(rows(export(day, family=family)))

    assert len(found) >= 8
    assert adds_up(found, *columns)


def test_a_reversal_names_what_it_gave_back_where_it_is_linked(day):
    day.organise(float=1000)
    unlinked = day.give_back(day.receipts[1], linked=False).json["receipt"]

    found = {row["Receipt No."]: row for row in table(rows(export(day)))}

    linked, other = found[day.back], found[unlinked]
    assert linked["Details"] == r"Pay Utility Reversal by Duka la Mfano\clerk1"
    assert (linked["Withdrawn"], linked["Linked Transaction ID"]) == ("-100.00", day.receipts[0])
    assert other["Linked Transaction ID"] == ""


def test_a_till_has_a_merchant_account(shop):
    shop.pay(short_code="5174380", account=None)

    found = rows(export(shop, short_code="5174380"))

    assert preamble(found)["Account:"] == "Merchant Account"
    assert preamble(found)["Short Code:"] == "5174380"
    assert table(found)[0]["Details"] == "Pay merchant Charge"
    assert table(found)[1]["Details"].startswith("Merchant Payment from 25471****678")


def test_a_day_opens_with_what_the_day_before_closed(day, clock):
    clock.now += timedelta(days=1)
    day.pay(amount=200)

    told = preamble(rows(export(day, day="2026-11-25")))

    assert (told["Opening Balance:"], told["Closing Balance:"]) == ("0.00", "200.00")
    assert preamble(rows(export(day)))["Closing Balance:"] == "0.00"


def test_a_day_is_nairobis(shop, clock):
    clock.now = datetime(2026, 11, 24, 20, 59, 50, tzinfo=UTC)
    before = shop.pay(amount=1).json["receipt"]
    clock.now = datetime(2026, 11, 24, 21, 0, 0, tzinfo=UTC)
    after = shop.pay(amount=1).json["receipt"]

    days = [table(rows(export(shop, day=f"2026-11-{day}"))) for day in (24, 25)]

    assert [[row["Receipt No."] for row in found] for found in days] == [[before], [after]]


def test_an_empty_day_has_its_header(shop):
    found = rows(export(shop))

    assert table(found) == []
    assert preamble(found)["Closing Balance:"] == "10000.00"


def test_what_a_validation_turned_down_is_shown_if_asked_for(shop):
    shop.register()
    shop.organise(validation=True)
    shop.answer_to_validation = b'{"ResultCode": "C2B00012"}'
    shop.pay()

    (row,) = table(rows(export(shop, rows="all")))
    assert (row["Transaction Status"], row["Paid In"], row["Balance"]) == (
        *("Cancelled", "500.00"),
        "10000.00",
    )
    assert table(rows(export(shop))) == []


def test_a_file_is_named_as_the_portal_names_it(day):
    named = export(day).headers["Content-Disposition"]
    newer = export(day, family="b").headers["Content-Disposition"]

    assert re.search(r'"ORG_174379_Utility Account_Completed_20261124[0-9]{6}.csv"', named)
    assert '"Statements for 174379 from 2026-11-24 to 2026-11-24.csv"' in newer
    assert export(day).data.endswith(b"\r\n")


def test_odd_ones_have_a_mark_and_a_currency(day):
    day.organise(shapes="odd")

    answer = export(day)

    assert answer.data.startswith(b"\xef\xbb\xbf")
    assert {row["Currency"] for row in table(rows(answer))} == {"KES"}


# -- family B ------------------------------------------------------------------------------------


def test_family_b_has_no_preamble_and_amounts_as_text(day):
    found = rows(export(day, family="b"))

    paid = next(row for row in table(found) if row["Paid In (KSHs)"] == "1,500.00")
    assert found[0][0] == "Receipt No"
    assert paid["Withdrawn (KSHs)"] == "0.00"
    assert re.fullmatch(r"24/11/2026 12:[0-9:]{5}", paid["Completion Time"])


def test_family_b_shows_a_sweep_as_a_pair_with_one_receipt(day):
    found = table(rows(export(day, family="b")))

    pair = [row for row in found if row["Details"].startswith("Utility Account to Organization")]
    bank = [row for row in found if row["Details"] == "Agency Withdrawal of funds to Bank"]
    assert len({row["Receipt No"] for row in pair}) == 1
    assert sorted(amount(row["Paid In (KSHs)"]) > 0 for row in pair) == [False, True]
    assert [row["Balance (KSHs)"] for row in bank] == ["0.00"]


# -- workbooks -----------------------------------------------------------------------------------


def test_a_workbook_says_the_same_with_numbers_for_amounts(day):
    book = load_workbook(BytesIO(export(day, "/statement.xlsx").data))

    sheet = [[cell.value for cell in row] for row in book["transaction"]]
    header = next(n for n, row in enumerate(sheet) if row[0] == "Receipt No.")
    told = rows(export(day))
    assert [row[0] for row in sheet[header:]] == [row[0] for row in told[header:]]
    assert [row[7] for row in sheet[header + 1 :]] == [float(row[7]) for row in told[header + 1 :]]


def test_a_workbook_of_family_b_is_text(day):
    book = load_workbook(BytesIO(export(day, "/statement.xlsx", family="b").data))

    sheet = [[cell.value for cell in row] for row in book["Statements"]]
    assert sheet == rows(export(day, family="b"))


def test_what_a_payer_typed_is_never_a_formula(shop):
    shop.pay(account="=1+1")
    shop.pay(account="a\x01b")

    book = load_workbook(BytesIO(export(shop, "/statement.xlsx").data))

    found = {row[12].value: row[12].data_type for row in book["transaction"]}
    assert found["=1+1"] == "s"
    assert "ab" in found


# -- defects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("defect", ["hole", "twice", "edited"])
@pytest.mark.parametrize(("family", "columns"), [("a", A), ("b", B)])
def test_a_spoilt_statement_does_not_add_up(day, defect, family, columns):
    found = table(rows(export(day, family=family, defect=defect)))

    assert not adds_up(found, *columns)


@pytest.mark.parametrize("family", ["a", "b"])
def test_a_cut_statement_ends_in_the_middle_of_a_row(day, family):
    whole, cut = (rows(export(day, family=family, **each)) for each in ({}, {"defect": "cut"}))

    assert len(cut) < len(whole)
    assert len(cut[-1]) == 4
    assert cut[-2] == whole[len(cut) - 2]


def test_a_statement_may_be_somebody_elses(day):
    found = rows(export(day, defect="other_short_code"))
    newer = export(day, family="b", defect="other_short_code")

    assert preamble(found)["Short Code:"] == "247247"
    assert "Statements for 247247" in newer.headers["Content-Disposition"]


def test_a_day_without_a_payment_has_nothing_to_spoil(shop):
    answer = export(shop, defect="hole")

    assert (answer.status_code, answer.json["code"]) == (409, "no_payments")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("day", "24-11-2026"),
        ("family", "c"),
        ("defect", "none"),
        ("short_code", "247247"),
        ("account", "working"),
        ("rows", "some"),
        ("page", "1"),
    ],
)
def test_a_wrong_wish_is_named(shop, field, value):
    answer = export(shop, **{field: value})

    assert (answer.status_code, answer.json["field"]) == (400, field)

"""The organisation portal's export of a day, in two of its families, sound or spoilt.

Family A is the classic one: an account with a preamble. Family B is newer: no preamble, amounts as
text, and the transfers between the organisation's accounts as pairs.
"""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from io import BytesIO, StringIO

from openpyxl import Workbook
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from mpesa.simulator.books import COMPLETED, Account, Entry
from mpesa.simulator.ids import NAIROBI

# What a family's name in the preamble or file becomes where it is somebody else's.
_OTHER_SHORT_CODE = "247247"
_INITIATION = timedelta(
    seconds=2
)  # as in a real export, where the payer's PIN comes before the money
_CUT_TO = 4  # cells
_EDIT = 100_00  # cents

_COLUMNS_OF_A = (
    *("Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status"),
    *("Paid In", "Withdrawn", "Balance", "Balance Confirmed", "Reason Type", "Other Party Info"),
    *("Linked Transaction ID", "A/C No."),
)
_COLUMNS_OF_B = (
    *("Receipt No", "Completion Time", "Details", "Transaction Status", "Paid In (KSHs)"),
    *("Withdrawn (KSHs)", "Balance (KSHs)"),
)

Cell = str | Decimal
Row = list[Cell]


class Family(StrEnum):
    """The form of the export."""

    A = "a"
    B = "b"


class Defect(StrEnum):
    """What is wrong with a statement: a payment is missing, stands twice, has another amount, or is
    where the file ends; or the statement is somebody else's."""

    HOLE = "hole"
    TWICE = "twice"
    EDITED = "edited"
    CUT = "cut"
    OTHER_SHORT_CODE = "other_short_code"


class NothingToSpoil(Exception):
    """A defect needs a payment, and the day has none."""


@dataclass(frozen=True)
class Day:
    """A day of an organisation, oldest entry first, each with the balance of what is shown.

    Attributes:
        account: the one that family A shows.
        opening: in cents.
        made_at: when the export was made.
    """

    business: str
    shortcode: str
    account: Account
    date: date
    opening: int
    entries: Sequence[Entry]
    made_at: datetime


@dataclass(frozen=True)
class Statement:
    """A file before it is written.

    Attributes:
        name: the file's, without what tells its format.
    """

    name: str
    sheet: str
    rows: Sequence[Row]


def entries_of(
    day: date, entries: Iterable[Entry], accounts: Iterable[Account], held: int
) -> tuple[int, list[Entry]]:
    """Pick the entries of a day in Nairobi from those of some accounts, and add up as one.

    Args:
        held: what is in these accounts now, in cents.

    Returns:
        The opening balance, and the entries, oldest first, with their balances.
    """
    start = datetime.combine(day, datetime.min.time(), NAIROBI)
    end = start + timedelta(days=1)
    chosen = set(accounts)
    # M-PESA's clock may have been set back between two entries.
    since = sorted(
        (each for each in entries if each.account in chosen and each.at >= start),
        key=lambda entry: entry.at,
    )
    opening = balance = held - sum(each.amount for each in since if each.status == COMPLETED)
    shown = []
    for entry in since:
        balance += entry.amount if entry.status == COMPLETED else 0
        if entry.at < end:
            shown.append(replace(entry, balance=balance))
    return opening, shown


def statement(day: Day, family: Family, defect: Defect | None, *, is_odd: bool) -> Statement:
    """Make a statement.

    Args:
        is_odd: family A has its newer column *Currency* as well.

    Raises:
        NothingToSpoil: the defect needs a payment.
    """
    number = _OTHER_SHORT_CODE if defect is Defect.OTHER_SHORT_CODE else day.shortcode
    newest_first = list(reversed(_spoilt(day.entries, defect)))
    head: list[Row]
    if family is Family.A:
        made_at = f"{day.made_at.astimezone(NAIROBI):%Y%m%d%H%M%S}"
        name, sheet = f"ORG_{number}_{day.account}_Completed_{made_at}", "transaction"
        head = [*_preamble(day, number), [*_COLUMNS_OF_A, *(["Currency"] if is_odd else [])]]
        body = [[*_row_of_a(entry), *(["KES"] if is_odd else [])] for entry in newest_first]
    else:
        name, sheet = f"Statements for {number} from {day.date} to {day.date}", "Statements"
        head = [[*_COLUMNS_OF_B]]
        body = [_row_of_b(entry) for entry in newest_first]
    if defect is Defect.CUT:
        last = newest_first.index(_victim(day.entries))
        body = [*body[:last], body[last][:_CUT_TO]]
    return Statement(name, sheet, [*head, *body])


def as_csv(made: Statement, *, is_odd: bool) -> bytes:
    """Write a statement as CSV; odd: with a byte order mark."""
    file = StringIO()
    csv.writer(file, lineterminator="\r\n").writerows(made.rows)
    return file.getvalue().encode("utf-8-sig" if is_odd else "utf-8")


def as_xlsx(made: Statement) -> bytes:
    """Write a statement as a workbook."""
    book = Workbook()
    book.remove(book.worksheets[0])
    sheet = book.create_sheet(made.sheet)
    for number, row in enumerate(made.rows, start=1):
        for column, value in enumerate(row, start=1):
            cell = sheet.cell(number, column)
            if isinstance(value, Decimal):
                cell.value = value
            elif value:
                cell.value = ILLEGAL_CHARACTERS_RE.sub("", value)
                # What a payer typed is never a formula.
                cell.data_type = "s"
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def _spoilt(entries: Sequence[Entry], defect: Defect | None) -> list[Entry]:
    if defect in (None, Defect.OTHER_SHORT_CODE):
        return list(entries)
    victim = _victim(entries)
    at = entries.index(victim)
    before, after = entries[:at], entries[at + 1 :]
    match defect:
        case Defect.HOLE:
            return [*before, *after]
        case Defect.TWICE:
            return [*before, victim, victim, *after]
        case Defect.EDITED:
            return [*before, replace(victim, amount=victim.amount + _EDIT), *after]
        case _:
            return list(entries)


def _victim(entries: Sequence[Entry]) -> Entry:
    """The payment in the middle, so that rows before and after it tell that something is wrong."""
    payments = [each for each in entries if each.is_payment and each.status == COMPLETED]
    if not payments:
        raise NothingToSpoil
    return payments[len(payments) // 2]


def _preamble(day: Day, number: str) -> list[Row]:
    done = [each for each in day.entries if each.status == COMPLETED]
    closing = done[-1].balance if done else day.opening
    on = f"{day.date:%d-%m-%Y}"
    return [
        ["Account Holder:", day.business.upper()],
        ["Short Code:", number],
        ["Account:", day.account],
        ["Time Period:", "From", f"{on} 00:00:00", "To", f"{on} 23:59:59"],
        [
            *("Operator:", "clerk1", "Organization:", day.business.upper()),
            *("Date of Report:", _moment(day.made_at)),
        ],
        [
            *("Opening Balance:", _kes(day.opening), "Closing Balance:", _kes(closing)),
            *("Available Balance:", ""),
            *("Total Paid In:", _kes(sum(each.amount for each in done if each.amount > 0))),
            *("Total Withdrawn:", _kes(sum(each.amount for each in done if each.amount < 0))),
        ],
    ]


def _row_of_a(entry: Entry) -> Row:
    return [
        entry.receipt,
        _moment(entry.at),
        _moment(entry.at - _INITIATION),
        entry.details,
        entry.status,
        _kes(entry.amount) if entry.amount > 0 else "",
        _kes(entry.amount) if entry.amount < 0 else "",
        _kes(entry.balance),
        "true",
        entry.reason,
        entry.other_party,
        entry.linked,
        entry.account_number,
    ]


def _row_of_b(entry: Entry) -> Row:
    return [
        entry.receipt,
        f"{entry.at.astimezone(NAIROBI):%d/%m/%Y %H:%M:%S}",
        entry.details,
        entry.status,
        f"{_kes(max(entry.amount, 0)):,}",
        f"{_kes(min(entry.amount, 0)):,}",
        f"{_kes(entry.balance):,}",
    ]


def _moment(at: datetime) -> str:
    return f"{at.astimezone(NAIROBI):%d-%m-%Y %H:%M:%S}"


def _kes(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)

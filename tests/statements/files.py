"""Statements as the organisation's portal writes them, made up line by line."""

import csv
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO

from openpyxl import Workbook

HEADER_A = (
    "Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status", "Paid In",
    "Withdrawn", "Balance", "Balance Confirmed", "Reason Type", "Other Party Info",
    "Linked Transaction ID", "A/C No.",
)  # fmt: skip
HEADER_B = (
    "Receipt No", "Completion Time", "Details", "Transaction Status", "Paid In (KSHs)",
    "Withdrawn (KSHs)", "Balance (KSHs)",
)  # fmt: skip
PAYER = "25470****149 - TEST **** PAYER"
# Noon in Nairobi, on the day that most statements here are about.
NOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
NEXT_MORNING = NOON + timedelta(hours=20)
NAME_OF_B = "Statements for 174379 from 2026-11-24 to 2026-11-24 (1).csv"


class Entry:
    """One row: a movement of an account, before it has a balance."""

    def __init__(self, receipt, amount, details=None, at=NOON, **more):
        self.receipt, self.cents, self.at = receipt, round(amount * 100), at
        self.account = more.get("account", "INV-1")
        self.details = details or f"Pay Bill from {PAYER} Acc. {self.account}"
        self.reason = more.get("reason", "Pay Utility")
        self.party = more.get("party", PAYER if details is None else "SP")
        self.linked = more.get("linked", "")
        self.status = more.get("status", "Completed")
        if details is not None:
            self.account = more.get("account", "")


def reversal(receipt, amount, linked="", **more):
    """The reversal of a payment by somebody at the portal."""
    fields = {"reason": "Pay Utility Reversal", "party": PAYER, "linked": linked, **more}
    return Entry(receipt, -amount, r"Pay Utility Reversal by EXAMPLE SHOP\clerk1", **fields)


def charge(receipt, amount, **more):
    """What M-PESA takes for a payment."""
    return Entry(receipt, -amount, "Pay Bill Charge", **more)


def sweep(receipt, amount, **more):
    """Money that goes to the organisation's settlement account."""
    details = "Utility Account to Organization Settlement Account"
    return Entry(receipt, -amount, details, reason="Settlement", party="", **more)


class Made:
    """A statement that is sound until it is changed.

    Attributes:
        preamble, header, body: rows of texts; the body is newest first.
    """

    def __init__(self, *entries, family="a", opening=1000, short_code="174379", day=None):
        day = day or NOON
        self.family = family
        on = f"{day:%d-%m-%Y}"
        balance = round(opening * 100)
        rows, paid_in, withdrawn = [], 0, 0
        for each in entries:
            if each.status == "Completed":
                balance += each.cents
                paid_in += max(each.cents, 0)
                withdrawn += min(each.cents, 0)
            rows.append(self._row(each, balance))
        self.header = list(HEADER_A if family == "a" else HEADER_B)
        self.body = rows[::-1]
        self.preamble = []
        if family == "a":
            self.preamble = [
                ["Account Holder:", "EXAMPLE SHOP"],
                ["Short Code:", short_code],
                ["Account:", "Utility Account"],
                ["Time Period:", "From", f"{on} 00:00:00", "To", f"{on} 23:59:59"],
                ["Operator:", "clerk1", "Organization:", "EXAMPLE SHOP", "Date of Report:",
                 f"{day + timedelta(days=1):%d-%m-%Y} 07:00:00"],
                ["Opening Balance:", kes(opening * 100), "Closing Balance:", kes(balance),
                 "Available Balance:", "", "Total Paid In:", kes(paid_in), "Total Withdrawn:",
                 kes(withdrawn)],
            ]  # fmt: skip

    def _row(self, entry, balance):
        local = entry.at + timedelta(hours=3)
        if self.family == "b":
            return [
                entry.receipt, f"{local:%d/%m/%Y %H:%M:%S}", entry.details, entry.status,
                kes(max(entry.cents, 0), ","), kes(min(entry.cents, 0), ","), kes(balance, ","),
            ]  # fmt: skip
        moment = f"{local:%d-%m-%Y %H:%M:%S}"
        paid_in = kes(entry.cents) if entry.cents > 0 else ""
        withdrawn = kes(entry.cents) if entry.cents < 0 else ""
        return [
            entry.receipt, moment, moment, entry.details, entry.status,
            paid_in, withdrawn, kes(balance),
            "true", entry.reason, entry.party, entry.linked, entry.account,
        ]  # fmt: skip

    @property
    def rows(self):
        return [*self.preamble, self.header, *self.body]

    @property
    def first_line(self):
        """The line in the file of the first row below the header."""
        return len(self.preamble) + 2

    def as_csv(self, encoding="utf-8", delimiter=","):
        file = StringIO()
        csv.writer(file, lineterminator="\r\n", delimiter=delimiter).writerows(self.rows)
        return file.getvalue().encode(encoding)

    def as_xlsx(self, *, sheets_before=(), amounts=float):
        book = Workbook()
        book.remove(book.worksheets[0])
        for name in sheets_before:
            book.create_sheet(name).append(["Nothing"])
        sheet = book.create_sheet("transaction")
        for row in self.rows:
            sheet.append([_typed(cell, amounts) for cell in row])
        for row in sheet.iter_rows():
            for cell in row:
                if isinstance(cell.value, str):
                    cell.data_type = "s"
        file = BytesIO()
        book.save(file)
        return file.getvalue()

    def as_xls(self):
        return xls([[_typed(cell, float) for cell in row] for row in self.rows])


def kes(cents, thousands=""):
    return format(Decimal(round(cents)).scaleb(-2), f"{thousands}.2f")


def _typed(cell, amounts):
    try:
        return amounts(cell)
    except ValueError:
        return cell


# -- the old binary workbook, which no library of ours writes (MS-CFB, MS-XLS) --------------------

_SECTOR, _FREE, _END = 512, 0xFFFFFFFF, 0xFFFFFFFE


def xls(rows):
    """A workbook of one sheet, of texts and floats."""
    sheet = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0010, 0, 0, 0, 0))
    for y, row in enumerate(rows):
        for x, cell in enumerate(row):
            if isinstance(cell, float):
                sheet += _record(0x0203, struct.pack("<HHHd", y, x, 0, cell))
            elif cell:
                text = cell.encode("utf-16-le")
                sheet += _record(0x0204, struct.pack("<HHHHB", y, x, 0, len(cell), 1) + text)
    sheet += _record(0x000A)
    name = b"transaction"
    globals_ = _record(0x0809, struct.pack("<HHHHII", 0x0600, 0x0005, 0, 0, 0, 0))
    bound = 4 + 8 + len(name)
    offset = len(globals_) + bound + 4
    globals_ += _record(0x0085, struct.pack("<IHBB", offset, 0, len(name), 0) + name)
    globals_ += _record(0x000A)
    return _compound(globals_ + sheet)


def _record(kind, body=b""):
    return struct.pack("<HH", kind, len(body)) + body


def _compound(stream):
    stream += b"\0" * max(4096 - len(stream), 0)  # shorter ones stand elsewhere
    count = -(-len(stream) // _SECTOR)
    tables = -(-(count + 2) // (_SECTOR // 4 - 1))
    fat = [0xFFFFFFFD] * tables + [_END]
    first = tables + 1
    fat += [first + n + 1 for n in range(count - 1)] + [_END]
    fat += [_FREE] * (tables * _SECTOR // 4 - len(fat))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 16
    head += struct.pack("<HHHHH6xIIIIIIIII", 0x3E, 3, 0xFFFE, 9, 6, 0, tables, tables, 0, 4096,
                        _END, 0, _END, 0)  # fmt: skip
    head += struct.pack("<109I", *range(tables), *[_FREE] * (109 - tables))
    directory = _entry("Root Entry", 5, 1, _END, 0) + _entry(
        "Workbook", 2, _FREE, first, len(stream)
    )
    directory = directory.ljust(_SECTOR, b"\0")
    body = struct.pack(f"<{len(fat)}I", *fat) + directory
    return head + body + stream.ljust(count * _SECTOR, b"\0")


def _entry(name, kind, child, start, size):
    text = name.encode("utf-16-le") + b"\0\0"
    return (
        text.ljust(64, b"\0")
        + struct.pack("<HBBIII", len(text), kind, 1, _FREE, _FREE, child)
        + b"\0" * 36
        + struct.pack("<IQ", start, size)
    )

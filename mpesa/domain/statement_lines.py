"""Read the organisation portal's statement: what each row is, and whether all of it adds up.

Pure: no I/O, no clock. `statements` makes rows of files. The portal documents no format; the forms
here are those of exports that people published, in two families: A has a preamble and one account,
B has neither, and its amounts are texts. A statement that contradicts itself is refused as a whole,
since nobody can say which of its rows is true.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from hashlib import sha256
from itertools import groupby, pairwise

from mpesa.domain.callback import parse_receipt
from mpesa.domain.cut_people import mask_numbers
from mpesa.domain.people_text import is_sound
from mpesa.domain.receipt import day_of, nairobi_day
from mpesa.domain.told import Told
from mpesa.domain.wire_words import NAIROBI, first_word, nairobi_time, read_payer

# A cell as a file has it: a text, a number, or a time of Nairobi without its zone.
Cell = str | Decimal | datetime | None
Row = tuple[int, Sequence[Cell]]

# More rows than a busy shop has in a month; a longer statement is exported in parts.
MOST_ROWS = 200_000
# The header stands below a preamble of some six rows.
_MOST_ABOVE = 60
_LONGEST_TEXT = 500
# The clocks of M-PESA and of this server may differ by this much.
_CLOCKS = timedelta(minutes=5)
_DAY = timedelta(days=1)
COMPLETED = "completed"


class Family(StrEnum):
    """The form of an export."""

    A = "a"
    B = "b"


class LineKind(StrEnum):
    """What a row of a statement is."""

    PAYMENT = "payment"
    CHARGE = "charge"
    REVERSAL = "reversal"
    SWEEP = "sweep"  # between the organisation's own accounts and its bank, either way
    OTHER = "other"
    VOID = "void"  # not completed: nothing moved


class StatementDefect(ValueError):
    """The statement cannot be believed; the message says why, and repeats nothing of it.

    Attributes:
        line: of the file, from 1; None: it is the file as a whole.
    """

    def __init__(self, why: str, line: int | None = None) -> None:
        super().__init__(why)
        self.line = line

    def __str__(self) -> str:
        """One line for a person."""
        why = super().__str__()
        return why if self.line is None else f"line {self.line}: {why}"


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a statement.

    Attributes:
        place: its line in the file, from 1.
        receipt: ten letters and digits; a payment and its charge share one.
        at: when it was completed, aware UTC.
        details: M-PESA's words, without what tells more of a payer than a confirmation does.
        amount: in cents; negative: it left the account.
        balance: of the account after it, in cents; of a void row, whatever stands there.
        linked: the receipt that a reversal undoes; None: not told.
        account: what the payer typed; None: not told.
        payer: their masked number.
        name: the first word of their name.
        again: how many rows above it tell of the same movement in the same words.
    """

    place: int
    receipt: str
    at: datetime
    details: str
    kind: LineKind
    amount: int
    balance: int
    linked: str | None = None
    account: str | None = None
    payer: str | None = None
    name: str | None = None
    again: int = 0

    @property
    def day(self) -> date:
        """The day in Nairobi."""
        return nairobi_day(self.at)

    @property
    def key(self) -> str:
        """What tells it from all other lines of the organisation, in whatever file they stand.

        Files mask numbers differently, so a payment's words are no part of it.
        """
        if self.kind in (LineKind.PAYMENT, LineKind.REVERSAL):
            return f"{self.receipt} {self.kind}"
        side = "in" if self.amount >= 0 else "out"
        words = _words(self.details)[:100]
        if self.kind in (LineKind.OTHER, LineKind.VOID):
            # They may tell of people, and the key outlives what is forgotten of them.
            words = sha256(f"{self.receipt} {words}".encode()).hexdigest()[:32]
        return f"{self.receipt} {self.kind} {side} {self.again} {words}"

    def told(self, short_code: str | None) -> Told:
        """What a payment tells as a witness of its receipt."""
        return Told(
            receipt=self.receipt,
            amount=self.amount,
            short_code=short_code,
            account=self.account,
            payer=read_payer(self.payer),
            name=self.name,
            paid_at=self.at,
        )


@dataclass(frozen=True, slots=True)
class Balances:
    """What an account held as a day began and as it ended, in cents."""

    opening: int
    closing: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a file beside its content.

    Attributes:
        numbers: the short codes and tills of the shop.
        now: aware UTC.
        name: the file's; the portal writes short code and days into it.
        days: the first and the last day that it covers, by a person's word; None: not said.
    """

    numbers: frozenset[str]
    now: datetime
    name: str = ""
    days: tuple[date, date] | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that adds up.

    Attributes:
        short_code: whose; None: neither the file nor its name tells.
        account: its account, by the portal's name; `""`: not told.
        since, until: what it covers, aware UTC; the second is not included.
        vouched: content alone does not tell what is covered: the name does, or a person.
        lines: oldest first, in an order in which the balances follow from each other.
        balances: by day, of the days that it covers whole.
    """

    family: Family
    short_code: str | None
    account: str
    since: datetime
    until: datetime
    vouched: bool
    lines: tuple[Line, ...]
    balances: Mapping[date, Balances]


def read(rows: Iterable[Row], asked: Asked) -> Statement:
    """Read a statement, and prove that it adds up.

    Args:
        rows: each with its line in the file, from 1.

    Raises:
        StatementDefect: it has no header row, is another short code's, does not say what it covers,
            or has a row cut short, a time that cannot be, a balance that does not follow from the
            one before it, or other sums than its preamble.
    """
    rows = iter(rows)
    preamble, columns, header_at = _header(rows)
    name = _Name.read(asked.name)
    short_code = preamble.text("shortcode") or name.short_code
    if short_code is not None and short_code not in asked.numbers:
        raise StatementDefect("the statement is another short code's", preamble.line("shortcode"))
    since, until, vouched = _covered(preamble, name, asked)
    lines = list(_lines(rows, columns))
    made_at = preamble.time("dateofreport")
    _check_times(lines, since, until, min(made_at or asked.now, asked.now) + _CLOCKS)
    moved = [each for each in lines if each.kind is not LineKind.VOID]
    opening = preamble.cents("openingbalance")
    ordered = in_order(moved, opening)
    _check_sums(ordered, opening, preamble, header_at)
    whole = _whole_days(since, until, min(made_at or asked.now, asked.now))
    return Statement(
        family=Family.A if "reasontype" in columns.places else Family.B,
        short_code=short_code,
        account=preamble.text("account") or name.account or "",
        since=since,
        until=until,
        vouched=vouched,
        lines=(*ordered, *(each for each in lines if each.kind is LineKind.VOID)),
        balances=_balances(ordered, opening, whole),
    )


def in_order(lines: Sequence[Line], opening: int | None) -> list[Line]:
    """Order rows by time, those of one second so that the balances follow from each other.

    A row leads from the balance before it to the one after it. An order in which all rows of a
    second follow from each other is a walk over all of them, each once: an Eulerian trail.

    Args:
        lines: completed ones, in the order of the file, the newest or the oldest first.
        opening: the balance before the oldest; None: the first row sets it.

    Raises:
        StatementDefect: there is no such order; it names the line.
    """
    oldest_first = list(lines)
    if lines and lines[0].at >= lines[-1].at:
        oldest_first.reverse()
    oldest_first.sort(key=lambda each: each.at)  # stable
    balance, ordered = opening, list[Line]()
    for _, of_a_second in groupby(oldest_first, key=lambda each: each.at):
        group = list(of_a_second)
        walk = _as_they_stand(group, balance) or _as_they_stand(group[::-1], balance)
        walk = walk or _trail(group, balance)
        if walk is None:
            # Named is the first that follows from no other row of its second.
            ends = {balance, *(each.balance for each in group)}
            culprit = next((each for each in group if _begin(each) not in ends), group[0])
            raise StatementDefect("the balance does not follow from the row before", culprit.place)
        ordered += walk
        balance = walk[-1].balance
    return ordered


def _as_they_stand(group: Sequence[Line], start: int | None) -> list[Line] | None:
    before = _begin(group[0]) if start is None else start
    for each in group:
        if _begin(each) != before:
            return None
        before = each.balance
    return list(group)


def _trail(group: Sequence[Line], start: int | None) -> list[Line] | None:
    """Walk over all rows, each once, by Hierholzer's algorithm; None: there is no such walk."""
    leaving: dict[int, list[Line]] = defaultdict(list)
    surplus: dict[int, int] = defaultdict(int)
    for each in reversed(group):
        leaving[_begin(each)].append(each)
        surplus[_begin(each)] += 1
        surplus[each.balance] -= 1
    if start is None:
        start = next((at for at, more in surplus.items() if more > 0), _begin(group[0]))
    trail: list[Line] = []
    path: list[tuple[int, Line | None]] = [(start, None)]
    while path:
        at, arrived_by = path[-1]
        if leaving[at]:
            step = leaving[at].pop()
            path.append((step.balance, step))
            continue
        path.pop()
        if arrived_by is not None:
            trail.append(arrived_by)
    trail.reverse()
    return _as_they_stand(trail, start) if len(trail) == len(group) else None


def _begin(line: Line) -> int:
    return line.balance - line.amount


def _check_sums(
    ordered: Sequence[Line], opening: int | None, preamble: "_Preamble", header_at: int
) -> None:
    last = ordered[-1].balance if ordered else opening
    sums = {
        "closingbalance": last,
        "totalpaidin": sum(each.amount for each in ordered if each.amount > 0),
        "totalwithdrawn": sum(each.amount for each in ordered if each.amount < 0),
    }
    for label, found in sums.items():
        told = preamble.cents(label)
        if told is None or found is None:
            continue
        if abs(told) != abs(found):
            why = "the rows have another sum than the preamble: some are missing, or were changed"
            raise StatementDefect(why, preamble.line(label) or header_at)


def _check_times(lines: Sequence[Line], since: datetime, until: datetime, latest: datetime) -> None:
    for each in lines:
        if each.at > latest:
            raise StatementDefect("a time that has not come yet", each.place)
        if not since <= each.at < until:
            raise StatementDefect("a time outside the days of this statement", each.place)
    told = [(each, day_of(each.receipt)) for each in lines]
    days = [(each, day) for each, day in told if day is not None and day != each.day]
    swapped = [
        each for each, day in days if (day.year, day.day, day.month) == each.day.timetuple()[:3]
    ]
    # A spreadsheet of another country reads 01-10 as the tenth of January.
    if swapped and len(swapped) == sum(1 for _, day in told if day is not None):
        raise StatementDefect("day and month are swapped: export it again", swapped[0].place)


def _whole_days(since: datetime, until: datetime, made_at: datetime) -> list[date]:
    """The days in Nairobi that are covered from their first moment to their last."""
    first = nairobi_day(since + _DAY - timedelta(microseconds=1))
    end = min(until, made_at)
    return [
        day
        for day in (first + n * _DAY for n in range(max((until - since) // _DAY, 0) + 1))
        if start_of(day) >= since and start_of(day + _DAY) <= end
    ]


def start_of(day: date) -> datetime:
    """The first moment of a day in Nairobi, aware UTC."""
    return datetime.combine(day, time(), NAIROBI).astimezone(UTC)


def _balances(
    ordered: Sequence[Line], opening: int | None, days: Iterable[date]
) -> dict[date, Balances]:
    by_day: dict[date, list[Line]] = defaultdict(list)
    for each in ordered:
        by_day[each.day].append(each)
    before = opening if opening is not None else (_begin(ordered[0]) if ordered else None)
    found = {}
    last = before
    wanted = set(days)
    for day in sorted(wanted | set(by_day)):
        first = last
        if by_day[day]:
            last = by_day[day][-1].balance
        if day in wanted and first is not None and last is not None:
            found[day] = Balances(first, last)
    return found


# -- the preamble, the header, the name ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Preamble:
    """What stands above the header: labels with their values, by the label's letters."""

    values: Mapping[str, tuple[int, Cell]]

    def line(self, label: str) -> int | None:
        return self.values[label][0] if label in self.values else None

    def text(self, label: str) -> str | None:
        _, value = self.values.get(label, (0, None))
        return _text(value) or None

    def time(self, label: str) -> datetime | None:
        line, value = self.values.get(label, (None, None))
        return _time(value, line) if _text(value) else None

    def cents(self, label: str) -> int | None:
        line, value = self.values.get(label, (None, None))
        return _cents(value, line) if _text(value) else None


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where each column stands, by the letters of its name."""

    places: Mapping[str, int]
    width: int

    def of(self, cells: Sequence[Cell], name: str) -> Cell:
        place = self.places.get(name)
        return cells[place] if place is not None and place < len(cells) else None


_NEEDED = (
    "receiptno", "completiontime", "details", "transactionstatus", "paidin", "withdrawn", "balance",
)  # fmt: skip


def _header(rows: Iterator[Row]) -> tuple[_Preamble, _Columns, int]:
    values: dict[str, tuple[int, Cell]] = {}
    for number, (line, cells) in enumerate(rows):
        if cells and _letters(cells[0]) == "receiptno":
            return _Preamble(values), _columns(cells, line), line
        for label, value in pairwise(cells):
            named = _letters(label)
            if named in ("from", "to") or (named and _text(label).endswith(":")):
                values.setdefault(named, (line, value))
        if number >= _MOST_ABOVE:
            break
    raise StatementDefect("there is no header row: no row begins with Receipt No.")


def _columns(cells: Sequence[Cell], line: int) -> _Columns:
    names = [_letters(each) for each in cells]
    while names and not names[-1]:
        names.pop()
    for name in _NEEDED:
        if names.count(name) != 1:
            raise StatementDefect("a column is missing, or appears twice", line)
    return _Columns({name: place for place, name in enumerate(names) if name}, len(names))


@dataclass(frozen=True, slots=True)
class _Name:
    """What the portal writes into a file's name."""

    short_code: str | None = None
    account: str | None = None
    days: tuple[date, date] | None = None

    @classmethod
    def read(cls, name: str) -> "_Name":
        if of_a := _NAME_OF_A.match(name):
            return cls(of_a[1], of_a[2])
        of_b = _NAME_OF_B.match(name)
        if of_b is None:
            return cls()
        try:
            days = date.fromisoformat(of_b[2]), date.fromisoformat(of_b[3])
        except ValueError:
            return cls(of_b[1])
        return cls(of_b[1], days=days if days[0] <= days[1] else None)


_NAME_OF_A = re.compile(r"ORG_([0-9]{5,7})_([A-Za-z ]{1,40}?)_", re.ASCII)
_NAME_OF_B = re.compile(
    r"Statements for ([0-9]{5,7}) from ([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r" to ([0-9]{4}-[0-9]{2}-[0-9]{2})(?![0-9])",
    re.ASCII,
)
# Longer than the portal exports at once.
_MOST_DAYS = 400


def _covered(preamble: _Preamble, name: _Name, asked: Asked) -> tuple[datetime, datetime, bool]:
    """From when to when, and whether only the name or a person says so."""
    since, until = preamble.time("from"), preamble.time("to")
    vouched = since is None or until is None
    if since is not None and until is not None:
        until += timedelta(seconds=1)  # its last second is included
    else:
        days = asked.days or name.days
        if days is None:
            why = "the file does not say which days it covers: name them"
            raise StatementDefect(why)
        since, until = start_of(days[0]), start_of(days[1] + _DAY)
    if not timedelta(0) < until - since <= _MOST_DAYS * _DAY:
        raise StatementDefect("the days that it covers cannot be", preamble.line("from"))
    return since, until, vouched


# -- the rows ------------------------------------------------------------------------------------


def _lines(rows: Iterator[Row], columns: _Columns) -> Iterator[Line]:
    seen: dict[str, int] = defaultdict(int)
    count = 0
    for place, cells in rows:
        if not any(_text(each) for each in cells):
            continue
        count += 1
        if count > MOST_ROWS:
            raise StatementDefect("more than 200,000 rows: export it in parts", place)
        line = _line(place, cells, columns)
        again = seen[line.key]
        seen[line.key] += 1
        if again and line.kind in (LineKind.PAYMENT, LineKind.REVERSAL):
            raise StatementDefect("the same payment or reversal appears twice", place)
        yield replace(line, again=again) if again else line


def _line(place: int, cells: Sequence[Cell], columns: _Columns) -> Line:
    if any(_text(each) for each in cells[columns.width :]):
        raise StatementDefect("more cells than the header has", place)
    receipt = parse_receipt(_text(columns.of(cells, "receiptno")))
    status, balance = columns.of(cells, "transactionstatus"), columns.of(cells, "balance")
    if receipt is None:
        raise StatementDefect("no receipt number", place)
    if not _text(status) or not _text(balance):
        raise StatementDefect("the row is cut short", place)
    at = _time(columns.of(cells, "completiontime"), place)
    paid_in = _cents(columns.of(cells, "paidin"), place)
    withdrawn = _cents(columns.of(cells, "withdrawn"), place)
    if paid_in < 0 or (paid_in and withdrawn):
        raise StatementDefect("money in and out at once", place)
    amount = paid_in - abs(withdrawn)
    details = _text(columns.of(cells, "details"))
    reason = _text(columns.of(cells, "reasontype"))
    is_done = _words(_text(status)) == COMPLETED
    kind = kind_of(details, reason, amount) if is_done else LineKind.VOID
    bare = Line(
        place=place,
        receipt=receipt,
        at=at,
        details=without_people(details),
        kind=kind,
        amount=amount,
        balance=_cents(balance, place),
        linked=parse_receipt(_text(columns.of(cells, "linkedtransactionid"))),
    )
    if kind is not LineKind.PAYMENT:
        return bare
    party = _PARTY.search(_text(columns.of(cells, "otherpartyinfo"))) or _PARTY.search(details)
    name = first_word(party[2]) if party else None
    return replace(
        bare,
        linked=None,
        account=_account(details, _text(columns.of(cells, "acno"))),
        payer=party[1] if party else None,
        name=None if name is None or "*" in name else name,
    )


def kind_of(details: str, reason: str, amount: int) -> LineKind:
    """Say what a completed row is, by M-PESA's words and its side.

    Args:
        details: the column Details.
        reason: the column Reason Type; `""` in family B.
        amount: in cents; negative: it left the account.
    """
    words, reason = _words(details), _words(reason)
    if words.startswith(_REVERSALS) and amount < 0:
        return LineKind.REVERSAL
    if _CHARGE.fullmatch(words):
        return LineKind.CHARGE
    if reason.startswith("settlement") or _SWEEP.match(words):
        return LineKind.SWEEP
    is_paid = words.startswith(_PAYMENTS) or reason.startswith(_PAYMENT_REASONS)
    if amount > 0 and is_paid and not words.startswith(_REVERSALS):
        return LineKind.PAYMENT
    return LineKind.OTHER


# A row begins with M-PESA's own words; what people typed and are called comes behind them.
_REVERSALS = ("pay utility reversal", "pay merchant reversal")
_CHARGE = re.compile(
    r"(?:pay|merchant|business|small|customer)(?: [a-z]+){0,5} charge(?: reversal)?"
)
_SWEEP = re.compile(
    r"(?:utility account|merchant account|organi[sz]ation settlement account) to "
    r"|real ?time settlement|agency (?:withdrawal|deposit) of funds|organi[sz]ation withdrawal"
)
_PAYMENTS = (
    "pay bill from", "pay bill online from", "small business pay bill from",
    "merchant pay utility received from", "business pay bill via api by", "fsi to pay bill by",
    "merchant payment", "customer merchant payment",
)  # fmt: skip
_PAYMENT_REASONS = (
    "pay utility", "pay bill", "standing order pay bill", "pay merchant", "small business pay bill",
)  # fmt: skip
_TILLS = ("merchant payment", "customer merchant payment")
# "25470****149 - TEST **** PAYER"
_PARTY = re.compile(r"([0-9]{2,6}\*{2,8}[0-9]{2,4})\s*-\s*(.+)", re.ASCII)
_ACCOUNT = re.compile(r" Acc\.(?: (.*?))?(?: via [A-Z]+ by .*)?$", re.IGNORECASE | re.DOTALL)
_LONGEST_ACCOUNT = 64


def _account(details: str, cell: str) -> str | None:
    """What the payer typed; `""` for a till, which has none; None: not told."""
    if cell:
        return cell[:_LONGEST_ACCOUNT]
    found = _ACCOUNT.search(details)
    if found:
        return (found[1] or "").strip()[:_LONGEST_ACCOUNT]
    return "" if _words(details).startswith(_TILLS) else None


_PERSON = re.compile(
    r"([0-9]{2,6}\*{2,8}[0-9]{2,4}\s*-\s*[^\s*]+)(.*?)(?= Acc\.| via |$)", re.DOTALL
)


def without_people(details: str) -> str:
    """M-PESA's words without whole phone numbers and without names after their first word."""
    return _PERSON.sub(r"\1", mask_numbers(details))


# -- the cells -----------------------------------------------------------------------------------

_BLANKS = re.compile(r"\s+")
_BESIDE_LETTERS = re.compile(r"\s*\([^)]*\)|[^a-z]+")
_AMOUNT = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,12})(?:\.[0-9]{1,2})?", re.ASCII)
# Far above every balance; it fits into a column of 64 bits.
_LARGEST = 10**14
_TIMES = {
    "%d-%m-%Y %H:%M:%S": re.compile(r"[0-9]{2}-[0-9]{2}-[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    "%d/%m/%Y %H:%M:%S": re.compile(r"[0-9]{2}/[0-9]{2}/[0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    "%Y-%m-%d %H:%M:%S": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
}


def _text(cell: Cell) -> str:
    """A cell as a text on one line; a number without the point that a spreadsheet adds."""
    if cell is None:
        return ""
    # Nearly all cells; the rest takes several times as long.
    if isinstance(cell, str) and cell.isascii() and cell.isprintable() and "  " not in cell:
        return cell.strip()[:_LONGEST_TEXT]
    if isinstance(cell, Decimal):
        whole = cell.is_finite() and cell == cell.to_integral_value() and cell.adjusted() < 30
        return str(int(cell)) if whole else str(cell)
    if isinstance(cell, datetime):
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    text = _BLANKS.sub(" ", cell).strip()[:_LONGEST_TEXT]
    return "".join(each if is_sound(each) else "\N{REPLACEMENT CHARACTER}" for each in text)


def _words(text: str) -> str:
    return _BLANKS.sub(" ", text).strip().lower()


def _letters(cell: Cell) -> str:
    """The letters of a name alone, in small ones: `Paid In (KSHs)` is `paidin`."""
    return _BESIDE_LETTERS.sub("", _text(cell).lower())


def _cents(cell: Cell, line: int | None) -> int:
    """An amount in cents; an empty cell is 0.

    Raises:
        StatementDefect: it is no amount.
    """
    if isinstance(cell, Decimal) and cell.is_finite() and abs(cell) < _LARGEST:
        # A spreadsheet keeps 1497.25 as a binary fraction near it.
        cents = round(cell * 100)
        if abs(cell * 100 - cents) < Decimal("0.0001"):
            return cents
        raise StatementDefect("an amount that is none", line)
    text = _text(cell)
    if not text:
        return 0
    if isinstance(cell, datetime) or not _AMOUNT.fullmatch(text):
        raise StatementDefect("an amount that is none", line)
    return int(Decimal(text.replace(",", "")) * 100)


def _time(cell: Cell, line: int | None) -> datetime:
    """A time of Nairobi, as aware UTC.

    Raises:
        StatementDefect: it is no time since M-PESA began.
    """
    text = _text(cell)
    for directives, form in _TIMES.items():
        if form.fullmatch(text) and (found := nairobi_time(text, directives)):
            return found
    raise StatementDefect("a time that cannot be", line)

"""Close a day: its sums and its differences are written down, and never change again."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mpesa import records
from mpesa.database import writing
from mpesa.domain.people_text import harmless, read_line
from mpesa.domain.receipt import Direction, State
from mpesa.domain.receipt_shown import account_shown
from mpesa.domain.statement_lines import LineKind, start_of
from mpesa.domain.wire_words import NAIROBI
from mpesa.models import (
    ClosedDay,
    DayDifference,
    Order,
    Receipt,
    StatementDay,
    StatementFile,
    StatementLine,
    Transaction,
)
from mpesa.statements.comparing import (
    MOST,
    Compared,
    Difference,
    DifferenceKind,
    compare,
)
from mpesa.statements.csv_lines import csv_line, plain_amount

# Characters of a word on a difference.
LONGEST_WORD = 100
_DAY = timedelta(days=1)
# Lines that Xero and QuickBooks Online take from one file; Odoo takes more.
PART = 1000
CSV_COLUMNS = ("Date", "Amount", "Payee", "Description", "Reference")


class NotClosed(Exception):
    """The day cannot be closed now; nothing was written."""


class AlreadyClosed(NotClosed):
    """It is closed."""


class NotOver(NotClosed):
    """It is not over."""


class NotCovered(NotClosed):
    """No statement covers it whole, or one is still being imported."""


class ChangedMeanwhile(NotClosed):
    """It is not as the manager saw it."""


class TooMany(NotClosed):
    """It differs in more than can be listed: a statement is missing, or is another account's."""


@dataclass
class NoWord(NotClosed):
    """Differences have no word.

    Attributes:
        differences: those.
    """

    differences: list[Difference]


def close(
    session: Session,
    day: date,
    by: str,
    now: Callable[[], datetime],
    words: Mapping[tuple[DifferenceKind, str], str],
    word: str = "",
    as_seen: str | None = None,
) -> Compared:
    """Close a day.

    Args:
        by: the manager.
        words: on each difference, by its kind and key.
        word: on those that have none of their own.
        as_seen: the mark of the day as the manager saw it; None: as it is now.

    Returns:
        The day as it is closed.

    Raises:
        NotClosed: why it cannot be.
        SQLAlchemyError: nothing was written, or the answer to the COMMIT was lost.
    """
    if start_of(day + _DAY) > now():
        raise NotOver
    try:
        with writing(session):
            _close_locked(session, day, by, now(), words, word, as_seen)
    except IntegrityError:  # somebody else was faster
        raise AlreadyClosed from None
    return compare(session, day)


def _close_locked(
    session: Session,
    day: date,
    by: str,
    now: datetime,
    words: Mapping[tuple[DifferenceKind, str], str],
    word: str,
    as_seen: str | None,
) -> None:
    organisation = records.shop_of(session.connection()).short_code
    text = day.isoformat()
    # What is counted is marked first: a line that another process stores meanwhile is late.
    session.execute(
        update(StatementLine)
        .where(
            StatementLine.organisation == organisation,
            StatementLine.day == text,
            StatementLine.booked_on.is_(None),
        )
        .values(booked_on=text)
        .execution_options(synchronize_session=False)
    )
    found = compare(session, day, closing=True)
    if found.closed is not None:
        raise AlreadyClosed
    if found.balances is None or found.waits:
        raise NotCovered
    if as_seen is not None and mark_of(found) != as_seen:
        raise ChangedMeanwhile
    said = [
        (each, read_line(words.get((each.kind, each.key)) or word, LONGEST_WORD))
        for each in found.differences
    ]
    if without := [each for each, line in said if line is None]:
        raise NoWord(without)
    of_each_kind = Counter(each.kind for each in found.differences)
    if any(count >= MOST for count in of_each_kind.values()):
        raise TooMany
    _write_down(session, organisation, found, said, by, now)


def _write_down(
    session: Session,
    organisation: str,
    found: Compared,
    said: Sequence[tuple[Difference, str | None]],
    by: str,
    now: datetime,
) -> None:
    text, balances = found.day.isoformat(), found.balances
    if balances is None:
        raise NotCovered
    session.execute(
        insert(ClosedDay).values(
            organisation=organisation,
            day=text,
            closed_by=by,
            closed_at=now,
            taken_push=found.push.cents,
            taken_hand=found.hand.cents,
            unclaimed=found.unclaimed.cents,
            returned=-found.returned.cents,
            charges=-found.charges.cents,
            swept=found.swept.cents,
            other=found.other.cents,
            opening=balances.opening,
            closing=balances.closing,
            vouched=found.vouched,
        )
    )
    late = [each.key for each in found.differences if each.kind is DifferenceKind.LATE_LINE]
    if late:
        session.execute(
            update(StatementLine)
            .where(StatementLine.organisation == organisation, StatementLine.key.in_(late))
            .values(booked_on=text)
            .execution_options(synchronize_session=False)
        )
    if said:
        session.execute(
            insert(DayDifference),
            [
                {
                    "organisation": organisation,
                    "day": text,
                    "kind": each.kind.value,
                    "key": each.key,
                    "of_day": each.of_day.isoformat(),
                    "receipt": each.receipt,
                    "amount": each.amount,
                    "word": line,
                }
                for each, line in said
            ],
        )


def mark_of(day: Compared) -> str:
    """What tells a day, with all its numbers and differences, from the same day later."""
    numbers = (day.moved, day.push, day.hand, day.unclaimed, day.balances)
    differences = [(each.kind.value, each.key, each.amount) for each in day.differences]
    return hashlib.sha256(repr((numbers, differences)).encode()).hexdigest()[:32]


class Standing(StrEnum):
    """How far a day is proved, at a glance."""

    EMPTY = "empty"  # nothing moved, as far as we know
    WAITS = "waits"  # money came, and no statement covers it
    DIFFERS = "differs"
    PROVED = "proved"  # covered, and nothing differs
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Glance:
    """A day in the calendar.

    Attributes:
        taken: cents that our books have of it.
        differences: how many; of a closed day those that were told.
    """

    day: date
    standing: Standing
    taken: int
    differences: int


def glances(session: Session, first: date, last: date, today: date) -> list[Glance]:
    """The days from one to another, both included, as the calendar shows them.

    Args:
        today: in Nairobi; what comes after it is empty.
    """
    organisation = records.shop_of(session.connection()).short_code
    between = (first.isoformat(), last.isoformat())
    closed = {
        each.day: each
        for each in session.scalars(
            select(ClosedDay).where(
                ClosedDay.organisation == organisation, ClosedDay.day.between(*between)
            )
        )
    }
    counted = (
        select(DayDifference.day, func.count().label("count"))
        .where(DayDifference.organisation == organisation, DayDifference.day.between(*between))
        .group_by(DayDifference.day)
    )
    told = {each.day: int(each[1]) for each in session.execute(counted)}
    covered = set(
        session.scalars(
            select(StatementDay.day)
            .join(StatementFile, StatementFile.id == StatementDay.file_id)
            .where(
                StatementFile.organisation == organisation,
                StatementFile.begun_at.is_not(None),
                StatementDay.day.between(*between),
            )
        )
    )
    found = []
    for day in (first + n * _DAY for n in range((last - first).days + 1)):
        text = day.isoformat()
        if text in closed:
            row = closed[text]
            taken = row.taken_push + row.taken_hand + row.unclaimed
            found.append(Glance(day, Standing.CLOSED, taken, told.get(text, 0)))
        elif text in covered and day <= today:
            found.append(_covered_glance(session, day))
        else:
            taken = _taken(session, organisation, day) if day <= today else 0
            found.append(Glance(day, Standing.WAITS if taken else Standing.EMPTY, taken, 0))
    return found


def _covered_glance(session: Session, day: date) -> Glance:
    compared = compare(session, day)
    count = len(compared.differences)
    standing = Standing.DIFFERS if count else Standing.PROVED
    if compared.waits:
        standing = Standing.WAITS
    taken = compared.push.cents + compared.hand.cents + compared.unclaimed.cents
    return Glance(day, standing, taken, count)


def _taken(session: Session, organisation: str, day: date) -> int:
    paid = select(func.coalesce(func.sum(Receipt.amount), 0)).where(
        Receipt.organisation == organisation,
        Receipt.direction == Direction.IN.value,
        Receipt.state != State.UNPROVEN.value,
        Receipt.paid_at >= start_of(day),
        Receipt.paid_at < start_of(day + _DAY),
    )
    return int(session.scalar(paid) or 0)


def parts_of(session: Session, day: date) -> int:
    """In how many files of `PART` lines a closed day fits."""
    organisation = records.shop_of(session.connection()).short_code
    count = select(func.count(StatementLine.id)).where(*_booked_on(organisation, day))
    return max(-(-(session.scalar(count) or 0) // PART), 1)


def csv_of(
    session: Session, day: date, *, with_people: bool = True, part: int | None = None
) -> Iterator[str]:
    """A closed day as a bank statement: a line for each movement, charges as lines of their own.

    Dates are `YYYY-MM-DD`, amounts plain numbers with two places, negative where money left:
    what the imports of Xero, QuickBooks and Odoo take. Lines that came later for a day that was
    closed before stand in the file of the day whose close told of them, so that none is in two.

    Args:
        with_people: names, and accounts that may be one, are in it.
        part: of the files of `PART` lines, from 1; None: all in one file.
    """
    organisation = records.shop_of(session.connection()).short_code
    yield csv_line(CSV_COLUMNS)
    query = (
        select(StatementLine, Receipt.payer_name, Order.reference)
        .outerjoin(
            Receipt,
            (Receipt.organisation == StatementLine.organisation)
            & (Receipt.receipt == StatementLine.receipt)
            & (Receipt.direction == Direction.IN.value),
        )
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .outerjoin(Order, Transaction.order_id == Order.id)
        .where(*_booked_on(organisation, day))
        .order_by(StatementLine.at, StatementLine.turn, StatementLine.id)
    )
    if part is not None:
        query = query.offset(PART * (part - 1)).limit(PART)
    for row in session.execute(query, execution_options={"yield_per": 500}):
        line: StatementLine = row.StatementLine
        is_paid = line.kind == LineKind.PAYMENT.value
        name = (line.name or row.payer_name) if with_people else None
        payee = (name or "M-PESA customer") if is_paid else "M-PESA"
        has_letters = any(each.isalpha() for each in line.account or "")
        typed = account_shown(line.account if with_people or not has_letters else None)
        about = row.reference or typed if is_paid else None
        described = f"{_DESCRIBED[LineKind(line.kind)]}{f', {about}' if about else ''}"
        yield csv_line(
            (
                f"{line.at.astimezone(NAIROBI):%Y-%m-%d}",
                plain_amount(line.amount),
                harmless(payee),
                harmless(described),
                harmless(line.receipt),
            )
        )


def _booked_on(organisation: str, day: date) -> tuple[ColumnElement[bool], ...]:
    """The lines of a closed day's file."""
    return (
        StatementLine.organisation == organisation,
        StatementLine.booked_on == day.isoformat(),
        StatementLine.kind != LineKind.VOID.value,
        # QuickBooks refuses a file with a zero in it, and nothing moved.
        StatementLine.amount != 0,
    )


_DESCRIBED = {
    LineKind.PAYMENT: "Payment",
    LineKind.CHARGE: "M-PESA charge",
    LineKind.REVERSAL: "Payment given back",
    LineKind.SWEEP: "Transfer between M-PESA and bank",
    LineKind.OTHER: "Other movement at M-PESA",
}

"""A statement beside our own books as CSV: each of its rows, and what it lacks, with its kind."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from mpesa import records
from mpesa.domain.people_text import harmless
from mpesa.domain.receipt import Direction, State
from mpesa.domain.receipt_shown import account_shown
from mpesa.domain.statement_lines import LineKind, start_of
from mpesa.domain.wire_words import NAIROBI
from mpesa.models import Order, Receipt, StatementDay, StatementFile, StatementLine, Transaction
from mpesa.statements.comparing import paid_on, paid_without_number
from mpesa.statements.csv_lines import csv_line, plain_amount
from mpesa.statements.importing import Needs, batches, read_again

COLUMNS = (
    "kind", "completed_at", "receipt", "at_mpesa", "here", "state", "reference", "account",
    "gives_back",
)  # fmt: skip
# Lines whose receipts are looked up at once.
_AT_ONCE = 500
_DAY = timedelta(days=1)


class Kind(StrEnum):
    """What a line of the comparison is."""

    IN_BOTH = "in_both"
    ONLY_AT_MPESA = "only_at_mpesa"  # no order has it
    ONLY_HERE = "only_here"
    NO_NUMBER = "no_number"  # paid by M-PESA's word, and no receipt is known
    AMOUNTS_DIFFER = "amounts_differ"
    CHARGE = "charge"
    SWEEP = "sweep"
    REVERSAL = "reversal"
    OTHER = "other"
    NOT_COMPLETED = "not_completed"


_KIND_OF = {
    LineKind.CHARGE: Kind.CHARGE,
    LineKind.SWEEP: Kind.SWEEP,
    LineKind.REVERSAL: Kind.REVERSAL,
    LineKind.OTHER: Kind.OTHER,
    LineKind.VOID: Kind.NOT_COMPLETED,
}


class Told(Protocol):
    """A row of a statement: a `Line` that was just read, or one that is stored."""

    @property
    def receipt(self) -> str:
        """Its number."""

    @property
    def at(self) -> datetime:
        """When it was completed, aware UTC."""

    @property
    def kind(self) -> str:
        """A `LineKind`."""

    @property
    def amount(self) -> int:
        """In cents."""

    @property
    def account(self) -> str | None:
        """What the payer typed."""

    @property
    def linked(self) -> str | None:
        """The receipt that a reversal undoes."""


@dataclass(frozen=True, slots=True)
class Ours:
    """A receipt as our books have it, with the reference of its order."""

    amount: int
    state: State
    reference: str | None


def kind_of(line: Told, ours: Ours | None) -> Kind:
    """Say what a row of a statement is beside our books.

    Args:
        ours: the receipt of its number; None: there is none.
    """
    kind = LineKind(line.kind)
    if kind is not LineKind.PAYMENT:
        return _KIND_OF[kind]
    if ours is None:
        return Kind.ONLY_AT_MPESA
    if ours.amount != line.amount:
        return Kind.AMOUNTS_DIFFER
    has_an_order = ours.state in (State.CLAIMED, State.RETURNED)
    return Kind.IN_BOTH if has_an_order else Kind.ONLY_AT_MPESA


def ours_of(session: Session, organisation: str, numbers: Iterable[str]) -> dict[str, Ours]:
    """Look up receipts of money in by their numbers; those that are not known are left out."""
    found = session.execute(
        select(Receipt.receipt, Receipt.amount, Receipt.state, Order.reference)
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .outerjoin(Order, Transaction.order_id == Order.id)
        .where(
            Receipt.organisation == organisation,
            Receipt.direction == Direction.IN.value,
            Receipt.receipt.in_(list(numbers)),
        )
    )
    return {each.receipt: Ours(each.amount, State(each.state), each.reference) for each in found}


def of_a_day(session: Session, day: date, *, with_people: bool) -> Iterator[str]:
    """The lines of one day in Nairobi, by all statements, as CSV."""
    since, until = start_of(day), start_of(day + _DAY)
    covered = session.scalars(
        select(StatementDay.day)
        .join(StatementFile, StatementFile.id == StatementDay.file_id)
        .where(StatementDay.day == day.isoformat(), StatementFile.begun_at.is_not(None))
        .limit(1)
    ).all()
    lines = _stored(session, StatementLine.at >= since, StatementLine.at < until)
    return of_lines(session, lines, [day] if covered else [], with_people=with_people)


def of_a_file(session: Session, file: StatementFile, *, with_people: bool) -> Iterator[str]:
    """The lines of a statement that was imported, as CSV.

    A line that an earlier statement of the same account had is stored as that one's.
    """
    same = select(StatementFile.id).where(StatementFile.organisation == file.organisation)
    if file.account:  # family B, which has none, shows all accounts as one
        same = same.where(StatementFile.account.in_((file.account, "")))
    lines = _stored(
        session,
        StatementLine.at >= file.since,
        StatementLine.at < file.until,
        StatementLine.file_id.in_(same),
    )
    days = session.scalars(select(StatementDay.day).where(StatementDay.file_id == file.id))
    whole = sorted(date.fromisoformat(each) for each in days)
    return of_lines(session, lines, whole, with_people=with_people)


def of_a_look(
    session: Session, file: StatementFile, needs: Needs, *, with_people: bool
) -> Iterator[str]:
    """The same of a statement that was only looked at, whose lines are nowhere but in the file.

    Raises:
        ReaderBusy: before the first line: other statements are being read.
    """
    with read_again(session, file, needs) as statement:
        whole = sorted(statement.head.balances)
        yield from of_lines(session, statement.lines(), whole, with_people=with_people)


def of_lines(
    session: Session, lines: Iterable[Told], days: Sequence[date], *, with_people: bool
) -> Iterator[str]:
    """The comparison, a line of CSV at a time, so that any number needs the same memory.

    Args:
        days: that the lines cover whole: what they lack is only here.
        with_people: accounts that may be a name are in it.
    """
    organisation = records.shop_of(session.connection()).short_code
    yield csv_line(COLUMNS)
    told = set[str]()
    for batch in batches(lines, _AT_ONCE):
        paid = [each.receipt for each in batch if each.kind == LineKind.PAYMENT]
        told.update(paid)
        ours = ours_of(session, organisation, paid)
        for each in batch:
            yield _line(each, ours, with_people=with_people)
    for day in days:
        yield from _only_here(session, organisation, day, told)


def _stored(session: Session, *which: ColumnElement[bool]) -> Iterator[Any]:
    columns = (StatementLine.receipt, StatementLine.at, StatementLine.kind, StatementLine.amount)
    organisation = records.shop_of(session.connection()).short_code
    query = select(*columns, StatementLine.account, StatementLine.linked).where(
        StatementLine.organisation == organisation, *which
    )
    in_order = query.order_by(StatementLine.at, StatementLine.turn, StatementLine.id)
    return iter(session.execute(in_order, execution_options={"yield_per": _AT_ONCE}))


def _line(line: Told, ours: Mapping[str, Ours], *, with_people: bool) -> str:
    is_paid = line.kind == LineKind.PAYMENT
    known = ours.get(line.receipt) if is_paid else None
    names_somebody = not (known and known.reference) and any(map(str.isalpha, line.account or ""))
    account = "" if names_somebody and not with_people else account_shown(line.account) or ""
    return csv_line(
        (
            kind_of(line, known),
            _nairobi(line.at),
            harmless(line.receipt),
            plain_amount(line.amount),
            plain_amount(known.amount) if known else "",
            known.state if known else "",
            harmless((known.reference if known else None) or ""),
            harmless(account),
            harmless(line.linked or ""),
        )
    )


def _only_here(session: Session, organisation: str, day: date, told: "set[str]") -> Iterator[str]:
    ours = (
        select(Receipt.receipt, Receipt.amount, Receipt.state, Receipt.paid_at, Order.reference)
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .outerjoin(Order, Transaction.order_id == Order.id)
        .where(paid_on(organisation, day))
        .order_by(Receipt.learned_at, Receipt.id)
    )
    for row in session.execute(ours, execution_options={"yield_per": _AT_ONCE}):
        if row.receipt not in told:
            yield _ours_alone(Kind.ONLY_HERE, row.paid_at, row.receipt, row.amount, row)
    unnamed = (
        select(Transaction.settled_at, Transaction.amount, Order.reference)
        .join(Order)
        .where(paid_without_number(day))
        .order_by(Transaction.settled_at, Transaction.id)
    )
    for paid in session.execute(unnamed, execution_options={"yield_per": _AT_ONCE}):
        yield _ours_alone(Kind.NO_NUMBER, paid.settled_at, "", paid.amount * 100, paid)


def _ours_alone(kind: Kind, at: datetime | None, number: str, amount: int, row: Any) -> str:
    state = row.state if kind is Kind.ONLY_HERE else ""
    reference = harmless(row.reference or "")
    return csv_line(
        (kind, _nairobi(at), harmless(number), "", plain_amount(amount), state, reference, "", "")
    )


def _nairobi(moment: datetime | None) -> str:
    return moment.astimezone(NAIROBI).isoformat(timespec="seconds") if moment else ""

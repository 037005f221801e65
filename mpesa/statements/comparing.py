"""Compare a day as statements tell it with our own books, row by row."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from mpesa import records
from mpesa.domain.attempt import Channel
from mpesa.domain.receipt import Direction, State, nairobi_day
from mpesa.domain.refund import RefundStatus
from mpesa.domain.result_codes import Status
from mpesa.domain.statement_lines import Balances, LineKind, start_of
from mpesa.models import (
    ClosedDay,
    DayDifference,
    Order,
    Receipt,
    Refund,
    StatementDay,
    StatementFile,
    StatementLine,
    Transaction,
)

# More of one kind are not listed one by one: something is wrong as a whole, or a file is missing.
MOST = 500
_DAY = timedelta(days=1)


class DifferenceKind(StrEnum):
    """In what the statement and our books differ, or what a person should know of a day."""

    UNCLAIMED = "unclaimed"  # at M-PESA, and no order has it
    ONLY_HERE = "only_here"  # in our books, and not in the statement
    NO_NUMBER = "no_number"  # paid by M-PESA's word, without a receipt number
    AMOUNT = "amount"
    REVERSAL = "reversal"  # money that went back, nobody knows of which payment
    OTHER = "other"  # a movement of a kind that is not known
    BALANCE = "balance"  # a day opens with another balance than the one before closed with
    SUM = "sum"  # what moved does not lead from the opening to the closing balance
    LATE_LINE = "late_line"  # these three belong to days that were closed before
    LATE_RECEIPT = "late_receipt"
    CLAIMED_LATER = "claimed_later"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference.

    Attributes:
        key: what it is about; the same is told by one close only.
        of_day: the day that it belongs to.
        amount: in cents, of what differs.
        receipt: None: it is about no single one.
        ours: in cents, as our books have it, where the amounts differ.
        transaction_id: whose money it is.
        refund_id: the refund that a reversal without a link may be of.
        word: a manager's, once the day is closed.
    """

    kind: DifferenceKind
    key: str
    of_day: date
    amount: int
    receipt: str | None = None
    ours: int | None = None
    transaction_id: str | None = None
    refund_id: str | None = None
    word: str = ""


@dataclass(frozen=True, slots=True)
class Sum:
    """So many lines, and cents in all; negative: they left.

    Attributes:
        count: None: only the sum was kept, when the day was closed.
    """

    count: int | None = 0
    cents: int = 0


@dataclass(frozen=True)
class Compared:
    """A day, as statements and our books have it.

    Attributes:
        closed: its row, once it is closed.
        push, hand, unclaimed: payments, by whose money they are.
        returned, charges, swept, other: what else moved.
        balances: of its accounts together; None: no statement covers it whole.
        vouched: only a file's name, or a person, says that it is covered.
        waits: lines of it are not settled yet.
        ours: receipts of it in our own books, whatever a statement tells.
    """

    day: date
    closed: ClosedDay | None
    push: Sum
    hand: Sum
    unclaimed: Sum
    returned: Sum
    charges: Sum
    swept: Sum
    other: Sum
    balances: Balances | None
    vouched: bool
    waits: bool
    ours: Sum
    differences: Sequence[Difference] = field(default_factory=tuple)

    @property
    def moved(self) -> int:
        """All that moved, in cents."""
        sums = (self.push, self.hand, self.unclaimed, self.returned, self.charges, self.swept)
        return sum(each.cents for each in (*sums, self.other))

    @property
    def is_covered(self) -> bool:
        """Whether statements cover it whole, and all of them is settled."""
        return self.balances is not None and not self.waits


def compare(session: Session, day: date, *, closing: bool = False) -> Compared:
    """Compare one day in Nairobi.

    Args:
        closing: its lines are marked as counted in this same commit, and no others count.
    """
    organisation = records.shop_of(session.connection()).short_code
    text = day.isoformat()
    closed = session.get(ClosedDay, (organisation, text), populate_existing=True)
    own = (StatementLine.organisation == organisation, StatementLine.day == text)
    counted = and_(*own, StatementLine.booked_on == text) if closed or closing else and_(*own)
    sums = _sums(session, counted)
    covering = _covering(session, organisation, day)
    unsettled = select(StatementLine.id).where(*own, StatementLine.verdict.is_(None))
    waits = session.scalar(unsettled.limit(1))
    unfinished = any(each.done_at is None for each in covering)
    compared = Compared(
        day=day,
        closed=closed,
        push=sums[LineKind.PAYMENT, Channel.PUSH.value],
        hand=sums[LineKind.PAYMENT, Channel.HAND.value],
        unclaimed=sums[LineKind.PAYMENT, None],
        returned=_of_kind(sums, LineKind.REVERSAL),
        charges=_of_kind(sums, LineKind.CHARGE),
        swept=_of_kind(sums, LineKind.SWEEP),
        other=_of_kind(sums, LineKind.OTHER),
        balances=_together(covering),
        vouched=any(each.vouched for each in covering),
        waits=waits is not None or unfinished,
        ours=_ours(session, organisation, day),
    )
    if closed is not None:
        # With the sums that were written down: whose money it is may have changed since.
        return replace(
            compared,
            push=Sum(None, closed.taken_push),
            hand=Sum(None, closed.taken_hand),
            unclaimed=Sum(None, closed.unclaimed),
            balances=Balances(closed.opening, closed.closing),
            vouched=closed.vouched,
            waits=False,
            differences=tuple(_told(session, organisation, text)),
        )
    found = [*_of_lines(session, organisation, day)]
    if compared.balances is not None:
        found += _only_here(session, organisation, day)
        found += _of_balances(session, organisation, compared)
    found += _came_later(session, organisation, day)
    return replace(compared, differences=tuple(found))


def lines_of(
    session: Session, day: date, kind: LineKind, channel: Channel | None = None
) -> Sequence[Row[Any]]:
    """The rows behind a number: the lines of one kind, each with what our books have of it.

    Args:
        channel: of payments: whose money they are; None: nobody's. It counts for payments only.
    """
    organisation = records.shop_of(session.connection()).short_code
    query = _joined(StatementLine, Receipt.state, Transaction.channel, Order.reference).outerjoin(
        Order, Transaction.order_id == Order.id
    )
    query = query.where(
        StatementLine.organisation == organisation,
        StatementLine.day == day.isoformat(),
        StatementLine.kind == kind.value,
    )
    if kind is LineKind.PAYMENT:
        fits = Transaction.channel == channel.value if channel else Transaction.channel.is_(None)
        query = query.where(fits)
    return session.execute(query.order_by(StatementLine.at, StatementLine.turn).limit(MOST)).all()


def _joined(*columns: Any) -> Select[Any]:
    """Lines, each with the receipt of money in of its number, and whose that is."""
    return (
        select(*columns)
        .select_from(StatementLine)
        .outerjoin(
            Receipt,
            and_(
                Receipt.organisation == StatementLine.organisation,
                Receipt.receipt == StatementLine.receipt,
                Receipt.direction == Direction.IN.value,
            ),
        )
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
    )


def _sums(
    session: Session, counted: ColumnElement[bool]
) -> "defaultdict[tuple[LineKind, str | None], Sum]":
    query = _joined(
        StatementLine.kind,
        Transaction.channel,
        func.count().label("count"),
        func.sum(StatementLine.amount).label("cents"),
    )
    query = query.where(counted).group_by(StatementLine.kind, Transaction.channel)
    found: defaultdict[tuple[LineKind, str | None], Sum] = defaultdict(Sum)
    for row in session.execute(query):
        found[LineKind(row.kind), row.channel] = Sum(row[2], int(row.cents))
    return found


def _of_kind(sums: "dict[tuple[LineKind, str | None], Sum]", kind: LineKind) -> Sum:
    own = [each for (of, _), each in sums.items() if of is kind]
    return Sum(sum(each.count or 0 for each in own), sum(each.cents for each in own))


def _covering(session: Session, organisation: str, day: date) -> Sequence[Any]:
    """The statements that cover a day whole, the newest first, with the day's balances."""
    query = (
        select(
            StatementFile.short_code,
            StatementFile.account,
            StatementFile.vouched,
            StatementFile.done_at,
            StatementDay.opening,
            StatementDay.closing,
        )
        .join(StatementFile, StatementFile.id == StatementDay.file_id)
        .where(
            StatementFile.organisation == organisation,
            StatementFile.begun_at.is_not(None),
            StatementDay.day == day.isoformat(),
        )
        .order_by(StatementFile.kept_at.desc())
    )
    return session.execute(query).all()


def _together(covering: Sequence[Any]) -> Balances | None:
    """What the accounts of all statements held together.

    Family B shows all accounts of a short code as one, so where it is there it counts alone.
    """
    newest: dict[tuple[str, str], Any] = {}
    for each in covering:
        newest.setdefault((each.short_code or "", each.account), each)
    whole = {code for code, account in newest if not account}
    counted = [each for (code, account), each in newest.items() if not account or code not in whole]
    if not counted:
        return None
    return Balances(sum(each.opening for each in counted), sum(each.closing for each in counted))


def _ours(session: Session, organisation: str, day: date) -> Sum:
    """What our own books have of a day: receipts of money in that are proven."""
    count, cents = session.execute(
        select(func.count(), func.coalesce(func.sum(Receipt.amount), 0)).where(
            paid_on(organisation, day), Receipt.state != State.UNPROVEN.value
        )
    ).one()
    return Sum(count, int(cents))


def paid_on(organisation: str, day: date) -> ColumnElement[bool]:
    """Receipts of money in that were paid on a day, or learned of where nobody told when."""
    since, until = start_of(day), start_of(day + _DAY)
    return and_(
        Receipt.organisation == organisation,
        Receipt.direction == Direction.IN.value,
        or_(
            and_(Receipt.paid_at >= since, Receipt.paid_at < until),
            and_(
                Receipt.paid_at.is_(None),
                Receipt.learned_at >= since,
                Receipt.learned_at < until,
            ),
        ),
    )


def paid_without_number(day: date) -> ColumnElement[bool]:
    """Payments that M-PESA called paid on a day, and whose receipt nobody told."""
    return and_(
        Transaction.status == Status.SUCCESS.value,
        Transaction.receipt.is_(None),
        func.coalesce(Transaction.receipt_amount, Transaction.amount) > 0,
        Transaction.settled_at >= start_of(day),
        Transaction.settled_at < start_of(day + _DAY),
    )


def _has_line(organisation: str) -> ColumnElement[bool]:
    told = select(StatementLine.id).where(
        StatementLine.organisation == organisation,
        StatementLine.receipt == Receipt.receipt,
        StatementLine.kind == LineKind.PAYMENT.value,
    )
    return told.correlate(Receipt).exists()


def _told(session: Session, organisation: str, day: str) -> list[Difference]:
    """The differences that were told when a day was closed."""
    rows = session.scalars(
        select(DayDifference)
        .where(DayDifference.organisation == organisation, DayDifference.day == day)
        .order_by(DayDifference.id)
    )
    return [
        Difference(
            kind=DifferenceKind(each.kind),
            key=each.key,
            of_day=date.fromisoformat(each.of_day),
            amount=each.amount,
            receipt=each.receipt,
            word=each.word,
        )
        for each in rows
    ]


def _of_lines(session: Session, organisation: str, day: date) -> Iterator[Difference]:
    query = _joined(
        StatementLine, Receipt.state, Receipt.amount.label("ours"), Receipt.transaction_id
    ).where(StatementLine.organisation == organisation, StatementLine.day == day.isoformat())
    odd = or_(
        and_(
            StatementLine.kind == LineKind.PAYMENT.value,
            or_(
                Receipt.amount != StatementLine.amount,
                Receipt.state == State.UNCLAIMED.value,
                Receipt.state == State.UNPROVEN.value,
            ),
        ),
        StatementLine.kind.in_((LineKind.REVERSAL.value, LineKind.OTHER.value)),
    )
    for row in session.execute(query.where(odd).order_by(StatementLine.at).limit(MOST)):
        line: StatementLine = row.StatementLine
        told = Difference(
            kind=DifferenceKind.OTHER,
            key=line.key,
            of_day=day,
            amount=line.amount,
            receipt=line.receipt,
            transaction_id=row.transaction_id,
        )
        match LineKind(line.kind):
            case LineKind.PAYMENT if row.ours != line.amount:
                yield replace(told, kind=DifferenceKind.AMOUNT, ours=row.ours)
            case LineKind.PAYMENT:
                yield replace(told, kind=DifferenceKind.UNCLAIMED)
            case LineKind.REVERSAL:
                if not _is_settled_reversal(session, organisation, line.receipt):
                    refund_id = suggested_refund(session, -line.amount, line.at)
                    yield replace(told, kind=DifferenceKind.REVERSAL, refund_id=refund_id)
            case _:
                yield told


def _is_settled_reversal(session: Session, organisation: str, number: str) -> bool:
    gave_back = select(Receipt.returned_by).where(
        Receipt.organisation == organisation,
        Receipt.receipt == number,
        Receipt.direction == Direction.OUT.value,
    )
    return session.scalars(gave_back).one_or_none() is not None


def suggested_refund(session: Session, amount: int, at: datetime) -> str | None:
    """The refund that a reversal without a link may be of: the only one that fits; else None.

    Args:
        amount: in cents.
        at: when the money went back; the refund was sent before.
    """
    fits = select(Refund.id).where(
        Refund.status.in_(
            (RefundStatus.SENT.value, RefundStatus.UNKNOWN.value, RefundStatus.SUCCEEDED.value)
        ),
        Refund.reversal_receipt.is_(None),
        Refund.amount == amount,
        Refund.sent_at <= at,
    )
    found = session.scalars(fits.limit(2)).all()
    return found[0] if len(found) == 1 else None


def _only_here(session: Session, organisation: str, day: date) -> Iterator[Difference]:
    ours = select(Receipt.receipt, Receipt.amount, Receipt.transaction_id).where(
        paid_on(organisation, day), ~_has_line(organisation)
    )
    for row in session.execute(ours.order_by(Receipt.learned_at).limit(MOST)):
        yield Difference(
            kind=DifferenceKind.ONLY_HERE,
            key=row.receipt,
            of_day=day,
            amount=row.amount,
            receipt=row.receipt,
            transaction_id=row.transaction_id,
        )
    unnamed = select(Transaction.id, Transaction.amount).where(paid_without_number(day))
    for paid in session.execute(unnamed.order_by(Transaction.settled_at).limit(MOST)):
        yield Difference(
            kind=DifferenceKind.NO_NUMBER,
            key=paid.id,
            of_day=day,
            amount=paid.amount * 100,
            transaction_id=paid.id,
        )


def _of_balances(session: Session, organisation: str, compared: Compared) -> Iterator[Difference]:
    held = compared.balances
    if held is None:
        return
    missing = held.closing - held.opening - compared.moved
    if missing:
        yield Difference(DifferenceKind.SUM, compared.day.isoformat(), compared.day, missing)
    before = _together(_covering(session, organisation, compared.day - _DAY))
    if before is not None and before.closing != held.opening:
        yield Difference(
            DifferenceKind.BALANCE,
            compared.day.isoformat(),
            compared.day,
            held.opening - before.closing,
        )


def _came_later(session: Session, organisation: str, day: date) -> Iterator[Difference]:
    """What was learned of earlier days after they were closed, and no close has told yet."""
    closed = {
        date.fromisoformat(each)
        for each in session.scalars(
            select(ClosedDay.day).where(
                ClosedDay.organisation == organisation, ClosedDay.day < day.isoformat()
            )
        )
    }
    if not closed:
        return
    lines = select(StatementLine).where(
        StatementLine.organisation == organisation,
        StatementLine.booked_on.is_(None),
        StatementLine.day.in_([each.isoformat() for each in closed]),
        StatementLine.kind != LineKind.VOID.value,
    )
    for line in session.scalars(lines.order_by(StatementLine.at).limit(MOST)):
        yield Difference(
            kind=DifferenceKind.LATE_LINE,
            key=line.key,
            of_day=date.fromisoformat(line.day),
            amount=line.amount,
            receipt=line.receipt,
        )
    yield from _late_receipts(session, organisation, closed)
    yield from _claimed_later(session, organisation)


def _late_receipts(session: Session, organisation: str, closed: set[date]) -> Iterator[Difference]:
    told = select(DayDifference.id).where(
        DayDifference.organisation == organisation,
        DayDifference.receipt == Receipt.receipt,
        DayDifference.kind.in_((DifferenceKind.ONLY_HERE, DifferenceKind.LATE_RECEIPT)),
    )
    receipts = select(Receipt).where(
        Receipt.organisation == organisation,
        Receipt.direction == Direction.IN.value,
        Receipt.paid_at >= start_of(min(closed)),
        Receipt.paid_at < start_of(max(closed) + _DAY),
        ~_has_line(organisation),
        ~told.correlate(Receipt).exists(),
    )
    for receipt in session.scalars(receipts.order_by(Receipt.paid_at).limit(MOST)):
        if receipt.paid_at is not None and nairobi_day(receipt.paid_at) in closed:
            yield Difference(
                kind=DifferenceKind.LATE_RECEIPT,
                key=receipt.receipt,
                of_day=nairobi_day(receipt.paid_at),
                amount=receipt.amount,
                receipt=receipt.receipt,
                transaction_id=receipt.transaction_id,
            )


def _claimed_later(session: Session, organisation: str) -> Iterator[Difference]:
    later = aliased(DayDifference)
    told = select(later.id).where(
        later.organisation == organisation,
        later.kind == DifferenceKind.CLAIMED_LATER.value,
        later.key == DayDifference.key,
    )
    claimed = (
        select(DayDifference, Receipt.transaction_id)
        .join(
            Receipt,
            and_(
                Receipt.organisation == organisation,
                Receipt.receipt == DayDifference.receipt,
                Receipt.direction == Direction.IN.value,
            ),
        )
        .where(
            DayDifference.organisation == organisation,
            DayDifference.kind == DifferenceKind.UNCLAIMED.value,
            Receipt.transaction_id.is_not(None),
            ~told.correlate(DayDifference).exists(),
        )
    )
    for row in session.execute(claimed.limit(MOST)):
        earlier: DayDifference = row.DayDifference
        yield Difference(
            kind=DifferenceKind.CLAIMED_LATER,
            key=earlier.key,
            of_day=date.fromisoformat(earlier.of_day),
            amount=earlier.amount,
            receipt=earlier.receipt,
            transaction_id=row.transaction_id,
        )

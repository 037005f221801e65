"""The figures of a period's payments, by few queries that let the database do the adding."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Integer,
    Select,
    TextClause,
    case,
    cast,
    extract,
    func,
    literal_column,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from mpesa import vitals
from mpesa.domain.attempt import Channel
from mpesa.domain.period import Named, Period, named
from mpesa.domain.receipt import Direction, State, nairobi_day
from mpesa.domain.result_codes import Reason, Status, status_of
from mpesa.models import NOT_CLAIMED, Receipt, Transaction

_DAY = timedelta(days=1)
# A chart of more days would have columns that nobody can tell apart.
MOST_DAYS = 366
# Hours. Kenya has no summer time (IANA tz database, Africa/Nairobi), so the hours of its day begin
# with those of UTC.
_AHEAD = 3

# Reasons that no payer causes: when these pile up, M-PESA or the way to it is in trouble.
AT_MPESA = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.EXPIRED,
        Reason.SYSTEM_BUSY,
        Reason.MISCONFIGURED,
        Reason.PUSH_REFUSED,
        Reason.UNKNOWN_CODE,
    }
)
# An hour or a day is bad if this share of it failed at M-PESA, and if its success rate is this much
# below the usual one; fewer settled payments than the last number prove nothing.
_MUCH_FAILED, _WORSE_BY, _WORTH_JUDGING = 0.2, 0.1, 8
# Seconds; longer waits count as this one. It is longer than a prompt can be answered.
_LONGEST = 600


@dataclass
class Outcomes:
    """The payments that began in some span of time, by their outcome.

    Attributes:
        taken: in cents, what came rather than what was asked for.
    """

    paid: int = 0
    by_payer: int = 0
    at_mpesa: int = 0
    waiting: int = 0
    taken: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Payments that were settled without money."""
        return self.by_payer + self.at_mpesa

    @property
    def ended(self) -> int:
        """Payments that have a result."""
        return self.paid + self.failed

    @property
    def all(self) -> int:
        """All payments that began in that time."""
        return self.paid + self.failed + self.waiting

    @property
    def rate(self) -> float | None:
        """The share of settled payments that were paid; None if none is settled."""
        return self.paid / self.ended if self.ended else None

    def add(self, status: str, reason: str, count: int, amount: int) -> None:
        """Add payments with the same outcome.

        Args:
            amount: what they brought together, in cents.
        """
        if status == Status.SUCCESS:
            self.paid += count
            self.taken += amount
        elif status == Status.PENDING:
            self.waiting += count
        else:
            self.reasons[Reason(reason)] += count
            if reason in AT_MPESA:
                self.at_mpesa += count
            else:
                self.by_payer += count


@dataclass(frozen=True)
class Waits:
    """Whole seconds from push to result.

    Attributes:
        middle: half of the results came sooner.
        upper: nine of ten came sooner.
    """

    middle: int
    upper: int


@dataclass(frozen=True)
class Sum:
    """Some receipts together.

    Attributes:
        amount: in cents.
    """

    count: int = 0
    amount: int = 0


@dataclass(frozen=True)
class Figures:
    """The pushes of a period, and the money beside them.

    Attributes:
        parts: the 24 hours of one day, or each of several days.
        hand: what was paid by hand; nobody was asked for it, so it has no rate and no wait.
        returned: what went back to its payers, whenever it had come.
    """

    period: Period
    total: Outcomes
    parts: Sequence[Outcomes]
    hand: Outcomes
    returned: Sum

    @property
    def usual_rate(self) -> float | None:
        """The success rate that each part is compared with."""
        return self.total.rate

    def is_bad(self, part: int) -> bool:
        """Whether clearly fewer payments than usual were paid in a part, because of M-PESA."""
        tally, usual = self.parts[part], self.usual_rate
        if tally.rate is None or usual is None or tally.ended < _WORTH_JUDGING:
            return False
        return tally.rate < usual - _WORSE_BY and tally.at_mpesa >= tally.ended * _MUCH_FAILED


@dataclass(frozen=True)
class Day(Figures):
    """One day in Nairobi, beside the day before.

    Attributes:
        waits: by hour, for the hours with a result.
        before: the whole day before.
        before_by_now: the day before, up to the same time of day.
        hand_before_by_now: what was paid by hand until then.
    """

    waits: dict[int, Waits]
    all_waits: Waits | None
    before: Outcomes
    before_by_now: Outcomes
    hand_before_by_now: Outcomes

    @property
    def usual_rate(self) -> float | None:
        """The success rate of the day before; if it had none, that of the day itself."""
        return self.total.rate if self.before.rate is None else self.before.rate


@dataclass(frozen=True)
class Open:
    """What is not done yet, of all days.

    Attributes:
        pending: pushes.
        needs_review: payments, and receipts that witnesses contradict each other about.
        unclaimed: money that is no order's yet.
    """

    pending: int
    overdue: vitals.Pending
    needs_review: int
    unclaimed: Sum = Sum()


def read_day(session: Session, now: datetime, day: Period | None = None) -> Day:
    """Add up a day and the day before.

    Args:
        now: aware UTC.
        day: None: today.
    """
    day = day or named(Named.TODAY, nairobi_day(now))
    begin, end = day.begin, day.end
    today = cast(case((Transaction.created_at >= begin, 1), else_=0), Integer).label("today")
    by_now = case((Transaction.created_at <= now - _DAY, 1), else_=0).label("by_now")
    keys = (
        Transaction.channel, today, by_now, _hour(session).label("hour"), Transaction.status,
        Transaction.reason,
    )  # fmt: skip
    came = func.coalesce(Transaction.receipt_amount, Transaction.amount * 100)
    outcomes = session.execute(
        select(*keys, func.count().label("many"), func.sum(came).label("amount"))
        .where(Transaction.created_at >= begin - _DAY, Transaction.created_at < end)
        .group_by(
            Transaction.channel, "today", "by_now", "hour", Transaction.status, Transaction.reason
        )
    )
    hours, total = [Outcomes() for _ in range(24)], Outcomes()
    before, before_by_now = Outcomes(), Outcomes()
    hand, hand_before_by_now = Outcomes(), Outcomes()
    for row in outcomes:
        tallies: list[Outcomes]
        if row.channel == Channel.HAND:
            tallies = [hand] if row.today else [hand_before_by_now] if row.by_now else []
        elif row.today:
            tallies = [hours[(row.hour + _AHEAD) % 24], total]
        else:
            tallies = [before, before_by_now] if row.by_now else [before]
        for tally in tallies:
            tally.add(row.status, row.reason, row.many, int(row.amount))
    waits = _waits(session, begin, end)
    every = [each for hour in waits.values() for each in hour]
    return Day(
        period=day,
        total=total,
        parts=hours,
        waits={hour: found for hour, each in waits.items() if (found := _measure(each))},
        all_waits=_measure(every),
        before=before,
        before_by_now=before_by_now,
        hand=hand,
        hand_before_by_now=hand_before_by_now,
        returned=_returned(session, day),
    )


def read_days(session: Session, span: Period) -> Figures:
    """Add up each day of a period, by one statement.

    Each day is a range of `ix_transactions_begun`, which has all that is added up: a million
    payments of one month take half the time that their table would, and no time is worked with.
    """
    differs = Transaction.receipt_amount - Transaction.amount * 100
    of_days: list[Select[*tuple[Any, ...]]] = [
        select(
            literal_column(str(part)).label("part"),
            Transaction.channel,
            Transaction.reason,
            func.count().label("many"),
            func.sum(Transaction.amount).label("asked"),
            func.coalesce(func.sum(differs), 0).label("differs"),
        )
        .where(Transaction.created_at >= day.begin, Transaction.created_at < day.end)
        .group_by(Transaction.channel, Transaction.reason)
        for part, day in enumerate(Period(each, each) for each in span.days)
    ]
    parts, total, hand = [Outcomes() for _ in of_days], Outcomes(), Outcomes()
    for row in session.execute(union_all(*of_days)):
        tallies = [hand] if row.channel == Channel.HAND else [parts[row.part], total]
        amount = int(row.asked) * 100 + int(row.differs)
        for tally in tallies:
            tally.add(status_of(Reason(row.reason)), row.reason, row.many, amount)
    return Figures(span, total, parts, hand, _returned(session, span))


def read_open(session: Session) -> Open:
    """Count what is pending and what a person must decide."""
    pending = vitals.pending(session)
    pending.pop(Reason.AWAITING_PAYMENT, None)
    review = session.scalar(select(func.count()).where(Transaction.needs_review)) or 0
    doubted = session.scalar(select(func.count()).where(Receipt.needs_review)) or 0
    return Open(
        pending=sum(each.count for each in pending.values()),
        overdue=pending.get(Reason.OVERDUE, vitals.Pending()),
        needs_review=review + doubted,
        unclaimed=_sum_of(session, text(NOT_CLAIMED), Receipt.state == State.UNCLAIMED.value),
    )


def _returned(session: Session, span: Period) -> Sum:
    return _sum_of(
        session,
        Receipt.state == State.RETURNED.value,
        Receipt.changed_at >= span.begin,
        Receipt.changed_at < span.end,
    )


def _sum_of(session: Session, *which: ColumnElement[bool] | TextClause) -> Sum:
    money_in = Receipt.direction == Direction.IN.value
    added = select(func.count(), func.coalesce(func.sum(Receipt.amount), 0))
    count, amount = session.execute(added.where(money_in, *which)).one()
    return Sum(count, int(amount))


def _waits(session: Session, begin: datetime, end: datetime) -> dict[int, list[tuple[int, int]]]:
    """How often each wait from push to result occurred, in seconds, by the hour of the push.

    Only pushes that Daraja took count: a refusal comes at once and says nothing about M-PESA's
    speed.
    """
    begun, settled = Transaction.created_at, Transaction.settled_at
    seconds: ColumnElement[int]
    if session.get_bind().dialect.name == "postgresql":
        seconds = cast(func.floor(extract("epoch", settled - begun)), Integer)
    else:
        seconds = cast(func.strftime("%s", settled), Integer) - cast(
            func.strftime("%s", begun), Integer
        )
    found = session.execute(
        select(_hour(session).label("hour"), seconds.label("seconds"), func.count())
        .where(
            Transaction.created_at >= begin,
            Transaction.created_at < end,
            Transaction.settled_at.is_not(None),
            Transaction.checkout_request_id.is_not(None),
        )
        .group_by("hour", "seconds")
    )
    by_hour: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for utc_hour, wait, many in found:
        by_hour[(utc_hour + _AHEAD) % 24].append((min(_LONGEST, max(0, int(wait))), many))
    return by_hour


def _measure(waits: Sequence[tuple[int, int]]) -> Waits | None:
    if not waits:
        return None
    ordered = sorted(waits)
    many = sum(count for _, count in ordered)
    return Waits(_quantile(ordered, many * 0.5), _quantile(ordered, many * 0.9))


def _quantile(ordered: Sequence[tuple[int, int]], rank: float) -> int:
    passed = 0
    for seconds, count in ordered:
        passed += count
        if passed >= rank:
            return seconds
    return ordered[-1][0]


def _hour(session: Session) -> ColumnElement[int]:
    """The hour of the push in UTC, in whichever time zone the database's session is."""
    created = Transaction.created_at
    if session.get_bind().dialect.name == "postgresql":
        return cast(extract("hour", func.timezone("UTC", created)), Integer)
    return cast(func.strftime("%H", created), Integer)

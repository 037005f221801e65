"""What time alone changes: waits that are over, prompts too old to be answered, lost answers.

`Watch` puts right what a change of the clock itself made wrong.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, or_, select, text, union
from sqlalchemy.orm import Session

from mpesa import books, ledger, logs
from mpesa.domain import schedule, settlement, steps
from mpesa.domain.attempt import OPEN_FOR, OPEN_UNANSWERED, Channel, OrderStatus, Times
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.result_codes import RULES, Reason, Status
from mpesa.domain.schedule import RECEIPT_EXPECTED, SILENT_WITH_ID, SILENT_WITHOUT_ID
from mpesa.domain.steps import CLOCKS_DIFFER, Step
from mpesa.domain.view import RESULT_BEHIND
from mpesa.ledger import Announce, Now
from mpesa.models import Order, Transaction

log = logging.getLogger(__name__)

# A push takes 20 s at most; a row that has no answer by then was left by a crash.
UNANSWERED_AFTER = timedelta(seconds=25)
# Money by hand is waited for as long; it is taken later, too.
BY_HAND_FOR = timedelta(hours=24)
# The most that a tick does of each kind; the rest waits for the next tick, a second later.
_AT_ONCE = 200
# The wall clock is corrected all the time, by milliseconds; a busy computer reads the two clocks
# some moments apart.
SMALLEST_STEP = timedelta(seconds=2)
# The longest wait of a failure (600 s, where the shop is set up wrongly).
_LONGEST_WAIT = timedelta(seconds=max(rule.wait_seconds for rule in RULES.values()))


def run_once(
    session: Session,
    clock: Now,
    wait: timedelta,
    announce: Announce,
    stepped: Callable[[], bool] = lambda: False,
) -> int:
    """Record everything that became due, oldest first.

    Args:
        clock: the time, asked anew for each change: a tick may have hundreds to write.
        wait: how long a shopper waits before a silent payment is overdue.
        announce: tells rooms about transactions that changed.
        stepped: whether the clock was changed a moment ago; the time then ends nothing.

    Returns:
        How many transactions and orders were due.

    Raises:
        SQLAlchemyError: the database failed; what is not done yet stays due.
    """
    now = clock()
    if stepped():
        return 0
    due = _due(session, now, wait)
    for transaction_id, evidence in due:
        with logs.about(transaction_id=transaction_id):
            recorded = ledger.record(session, transaction_id, evidence, Raw(Kind.CLOCK), clock)
            announce(recorded.changes)
    # An order does not expire while one of its prompts may still be answered.
    prompts = select(Transaction.id).where(Transaction.order_id == Order.id, Transaction.is_open)
    over = select(Order.id).where(
        Order.status == OrderStatus.OPEN.value, Order.expires_at <= now, ~prompts.exists()
    )
    expired = session.scalars(over.order_by(Order.expires_at).limit(_AT_ONCE)).all()
    for order_id in expired:
        with logs.about(order_id=order_id):
            announce(ledger.expire_order(session, order_id, clock))
    return len(due) + len(expired)


def shown_differently(session: Session, since: datetime, now: datetime) -> Sequence[str]:
    """Find the transactions whose page says something else by now, though no row has changed.

    Daraja may tell that an attempt failed while its prompt can still be answered. Once no prompt
    lives that long, the money is no longer in doubt, and there is no prompt to cancel. A push that
    was paid by its receipt leaves a prompt to cancel if its own result is not heard soon. And money
    in sight is in sight for a while.

    Args:
        since: the time of the last search, aware UTC.
        now: aware UTC.

    Returns:
        The ids of all transactions of the orders concerned.
    """
    over = select(Transaction.order_id).where(
        Transaction.status == Status.FAILED.value,
        Transaction.final.is_(False),
        Transaction.prompt_ends_at > since,
        Transaction.prompt_ends_at <= now,
        # No older than such a prompt can be: the age has an index, and the prompt's end has none.
        Transaction.created_at > since - OPEN_UNANSWERED - UNANSWERED_AFTER,
        Transaction.created_at <= now - OPEN_FOR,
    )
    unheard = select(Transaction.order_id).where(
        Transaction.by_rule,
        or_(
            Transaction.settled_at.between(since - RESULT_BEHIND, now - RESULT_BEHIND),
            Transaction.prompt_ends_at.between(since, now),
        ),
        Transaction.created_at > since - OPEN_UNANSWERED - UNANSWERED_AFTER,
    )
    sighted = select(Order.id).where(
        Order.in_sight_until.between(since, now),
        Order.status == OrderStatus.OPEN.value,
    )
    concerned = union(over, unheard, sighted)
    return session.scalars(select(Transaction.id).where(Transaction.order_id.in_(concerned))).all()


def _due(session: Session, now: datetime, wait: timedelta) -> list[tuple[str, settlement.Evidence]]:
    pending = select(Transaction.id).where(Transaction.status == Status.PENDING.value)
    unanswered = pending.where(
        Transaction.reason == Reason.AWAITING_PIN.value,
        Transaction.checkout_request_id.is_(None),
        Transaction.created_at <= now - UNANSWERED_AFTER,
    )
    silent = pending.where(
        Transaction.reason != Reason.OVERDUE.value,
        Transaction.channel == Channel.PUSH.value,
        Transaction.created_at <= now - wait,
    )
    by_hand = pending.where(
        Transaction.reason == Reason.AWAITING_PAYMENT.value,
        Transaction.created_at <= now - BY_HAND_FOR,
    )
    over = select(Transaction.id).where(
        Transaction.is_open,
        or_(
            Transaction.prompt_ends_at <= now,
            and_(
                Transaction.prompt_ends_at.is_(None),
                Transaction.created_at <= now - OPEN_UNANSWERED,
            ),
        ),
    )
    # A transaction that is to be asked about at once is asked about first, however old it is.
    unheard = pending.where(Transaction.next_ask_at.is_not(None), ~Transaction.ask_urgently).where(
        or_(
            Transaction.created_at <= now - SILENT_WITH_ID,
            and_(
                Transaction.checkout_request_id.is_(None),
                Transaction.created_at <= now - SILENT_WITHOUT_ID,
            ),
        )
    )
    unreceipted = select(Transaction.id).where(
        Transaction.status == Status.SUCCESS.value,
        Transaction.final.is_(False),
        Transaction.next_ask_at <= now,
        Transaction.settled_at <= now - RECEIPT_EXPECTED,
    )
    kinds: list[tuple[settlement.Evidence, list[str]]] = [
        (evidence, list(session.scalars(found.order_by(Transaction.created_at).limit(_AT_ONCE))))
        for evidence, found in (
            (settlement.PushUnconfirmed(), unanswered),
            (settlement.WaitOver(), silent),
            (settlement.NotReceived(), by_hand),
            (settlement.PromptOver(), over),
            (settlement.SilenceTooLong(), unheard),
            (settlement.SilenceTooLong(), unreceipted),
        )
    ]
    return [(each, evidence) for evidence, ids in kinds for each in ids]


# -- a clock that steps --------------------------------------------------------------------------

_TIMES = (
    "created_at", "updated_at", "settled_at", "retry_at", "prompt_ends_at", "next_ask_at",
    "ask_urgently",
)  # fmt: skip
# As the partial index says it: SQLite does not find that in SQLAlchemy's "is_open = 1".
_IS_OPEN = text("transactions.is_open")
_SEEN = select(Transaction.id, *(Transaction.__table__.c[name] for name in _TIMES))
# Rows with an end that the shopper or the shop waits for: living prompts, and waits after failures.
# Two queries, since SQLite would read the whole table for one.
_UNDER_WAY = (
    _SEEN.where(_IS_OPEN),
    _SEEN.where(
        Transaction.status == Status.FAILED.value, Transaction.updated_at > bindparam("since")
    ),
)


# Rows that changed since a look. The answer to a push sets the end of its prompt, and no time that
# shows when: so rows that are young enough to be answered are read again.
_SEEN_OR_OVER = _SEEN.add_columns(
    Transaction.status.notin_((Status.PENDING.value, Status.FAILED.value))
)
_CHANGED = (
    _SEEN_OR_OVER.where(Transaction.created_at > bindparam("begun")),
    _SEEN_OR_OVER.where(Transaction.updated_at > bindparam("changed")),
)
# A change may be committed this long after its time, or be written by a worker whose clock is
# behind.
_OVERLAP = timedelta(seconds=5)
# Seconds after which nothing that was under way still is: no prompt, and no wait of a failure.
_FORGOTTEN_AFTER = (_LONGEST_WAIT + OPEN_UNANSWERED).total_seconds()


@dataclass(frozen=True)
class _Look:
    """The readings of both clocks at a tick."""

    wall: datetime
    monotonic: float


class _UnderWay:
    """The times of the attempts under way, as they were at the last look.

    Thousands may wait at once, so a look reads only what changed since the one before.
    """

    def __init__(self) -> None:
        # By transaction, with the monotonic time of reading, the oldest first.
        self._read: dict[str, tuple[float, Times]] = {}

    def before(self, transaction_id: str) -> Times | None:
        """The times of a transaction at the last look; None where it was not under way."""
        _, times = self._read.get(transaction_id, (0.0, None))
        return times

    def read_all(self, session: Session, look: _Look) -> None:
        """Read all attempts under way: at the start, and after a step."""
        found = _under_way(session, look.wall)
        self._read = {each: (look.monotonic, times) for each, times in found.items()}

    def read_changed(self, session: Session, since: _Look, look: _Look) -> None:
        """Read the attempts that changed since a look, and forget those that are over."""
        changed = since.wall - _OVERLAP
        bounds = {"changed": changed, "begun": changed - UNANSWERED_AFTER}
        rows = [row for query in _CHANGED for row in session.execute(query, bounds)]
        for transaction_id, *times, is_over in rows:
            self._read.pop(transaction_id, None)
            if not is_over:
                self._read[transaction_id] = (look.monotonic, Times(*times))
        session.rollback()
        while self._read:
            oldest, (read_at, _) = next(iter(self._read.items()))
            if read_at > look.monotonic - _FORGOTTEN_AFTER:
                break
            del self._read[oldest]


# This clock cannot be set, and it goes on while the machine sleeps: an hour of sleep is no step. On
# Linux, CLOCK_MONOTONIC stands still meanwhile (clock_gettime(2)).
_GOES_ON: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """Seconds since the machine started, its sleep included."""
    return time.clock_gettime(_GOES_ON)


class Watch:
    """Notices that the wall clock stepped, and puts right the times that were written before.

    Each worker has a watch. What the first of them put right, the others leave alone.

    Args:
        now: the wall clock, aware UTC.
        monotonic: seconds of a clock that cannot be set, from any beginning.

    Attributes:
        steps_back: how often the clock went back so far, for code that keeps other times.
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._last: _Look | None = None
        self._under_way = _UnderWay()
        self.steps_back = 0

    def stepped(self) -> bool:
        """Whether the clock has stepped since the last look, so that times are not reliable."""
        return self._last is not None and abs(self._step(self._last)) > SMALLEST_STEP

    def look(self, session: Session, announce: Announce) -> int:
        """Put right what a step made wrong; at a tick, before the time is used for anything else.

        Args:
            session: each write is a commit of its own, under its order's lock.
            announce: tells rooms about transactions that changed.

        Returns:
            How many transactions were put right.

        Raises:
            SQLAlchemyError: the database failed; the next look finds the same step.
        """
        last, wall, monotonic = self._last, self._now(), self._monotonic()
        look = _Look(wall, monotonic)
        by = timedelta(0) if last is None else self._step(last)
        wrong: list[tuple[str, settlement.Evidence]] = []
        if last is not None and abs(by) > SMALLEST_STEP:
            log.warning("the clock stepped by %+.0f s", by.total_seconds())
            step = Step(by, timedelta(seconds=monotonic - last.monotonic), wall)
            # What was under way before the step: seen at the last look, or begun since.
            for each, times in _under_way(session, min(wall, last.wall)).items():
                before = self._under_way.before(each)
                if steps.concerns(times, before, step):
                    wrong.append((each, settlement.ClockStepped(step, before)))
            self._record(session, wrong, announce)
        else:
            by = timedelta(0)
        ahead = _ahead(session, wall, everything=last is None or by < timedelta(0))
        wrong_too: list[tuple[str, settlement.Evidence]] = [
            (each, settlement.TimesAhead(min(by, timedelta(0)))) for each in ahead
        ]
        self._record(session, wrong_too, announce)
        if last is None or by:
            self._under_way.read_all(session, look)
        else:
            self._under_way.read_changed(session, last, look)
        self._last = look
        self.steps_back += by < timedelta(0)
        return len(wrong) + len(wrong_too)

    def _step(self, last: _Look) -> timedelta:
        passed = timedelta(seconds=self._monotonic() - last.monotonic)
        return self._now() - last.wall - passed

    def _record(
        self,
        session: Session,
        wrong: Sequence[tuple[str, settlement.Evidence]],
        announce: Announce,
    ) -> None:
        for transaction_id, evidence in wrong:
            raw = Raw(Kind.CLOCK)
            with logs.about(transaction_id=transaction_id):
                recorded = ledger.record(session, transaction_id, evidence, raw, self._now)
                announce(recorded.changes)


def _under_way(session: Session, now: datetime) -> dict[str, Times]:
    since = {"since": now - _LONGEST_WAIT}
    rows = [row for query in _UNDER_WAY for row in session.execute(query, since)]
    session.rollback()
    return {row[0]: Times(*row[1:]) for row in rows}


def _ahead(session: Session, now: datetime, *, everything: bool) -> list[str]:
    """Find the transactions with a time that lies further in the future than its rule allows.

    Args:
        everything: also look at planned questions, each of which has a rule of its own.
    """
    later = now + CLOCKS_DIFFER
    may_change = or_(
        Transaction.status == Status.PENDING.value,
        Transaction.final.is_(False),
        Transaction.retry_at > now,
    )
    begun, changed = (
        select(Transaction.id).where(column > later, may_change).limit(_AT_ONCE)
        for column in (Transaction.created_at, Transaction.updated_at)
    )
    too_long = select(Transaction.id).where(
        _IS_OPEN, Transaction.prompt_ends_at > later + OPEN_UNANSWERED
    )
    found = [each for query in (begun, changed, too_long) for each in session.scalars(query)]
    if everything:
        for attempt in books.attempts_where(session, Transaction.next_ask_at > later):
            in_time = replace(
                attempt,
                created_at=min(attempt.created_at, now),
                settled_at=attempt.settled_at and min(attempt.settled_at, now),
            )
            planned = now if attempt.ask_urgently else schedule.next_question(in_time, now)
            asked = attempt.next_ask_at
            if planned is not None and asked is not None and asked > planned + CLOCKS_DIFFER:
                found.append(attempt.id)
    session.rollback()
    return list(dict.fromkeys(found))

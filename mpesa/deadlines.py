"""What time alone changes: waits that are over, prompts too old to be answered, lost answers.

And what becomes of all that where the clock itself is changed.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, or_, select, text
from sqlalchemy.orm import Session

from mpesa import books, ledger, logs
from mpesa.domain import schedule, settlement, steps
from mpesa.domain.attempt import OPEN_FOR, OPEN_UNANSWERED, Attempt, OrderStatus, Times
from mpesa.domain.result_codes import RULES, Reason, Status
from mpesa.domain.schedule import RECEIPT_EXPECTED, SILENT_WITH_ID, SILENT_WITHOUT_ID
from mpesa.domain.steps import CLOCKS_DIFFER, Step
from mpesa.ledger import Announce, Kind, Now, Raw
from mpesa.models import Order, Transaction

log = logging.getLogger(__name__)

# A push is over after 20 s at the most; a row without an answer then was left by a crash.
UNANSWERED_AFTER = timedelta(seconds=25)
# A tick does so many of each kind; the rest waits for the next one, a second later.
_AT_ONCE = 200
# The wall clock is corrected all the time, by milliseconds; a computer that is busy reads the two
# clocks a little apart.
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
        stepped: whether the clock was changed a moment ago; nothing is then ended by the time.

    Returns:
        How many transactions and orders were looked at.
    """
    now = clock()
    if stepped():
        return 0
    due = _due(session, now, wait)
    for transaction_id, evidence in due:
        with logs.about(transaction_id=transaction_id):
            announce(ledger.record(session, transaction_id, evidence, Raw(Kind.CLOCK), clock))
    expired = _expired_orders(session, now)
    for order_id in expired:
        with logs.about(order_id=order_id):
            announce(ledger.expire_order(session, order_id, clock))
    return len(due) + len(expired)


def said_otherwise(session: Session, since: datetime, now: datetime) -> Sequence[str]:
    """Transactions of which the page says something else by now, though no row has changed.

    Daraja may tell that an attempt failed while its prompt can still be answered; once no prompt
    lives that long, the money is in doubt no longer, and nobody has a prompt to cancel.

    Args:
        since: when this was asked before.

    Returns:
        The ids of all transactions of the orders concerned.
    """
    over = select(Transaction.order_id).where(
        Transaction.status == Status.FAILED.value,
        Transaction.final.is_(False),
        Transaction.prompt_ends_at > since,
        Transaction.prompt_ends_at <= now,
        # As young as such a prompt is: there is an index for that, and none for its end.
        Transaction.created_at > since - OPEN_UNANSWERED - UNANSWERED_AFTER,
        Transaction.created_at <= now - OPEN_FOR,
    )
    return session.scalars(select(Transaction.id).where(Transaction.order_id.in_(over))).all()


def _due(session: Session, now: datetime, wait: timedelta) -> list[tuple[str, settlement.Evidence]]:
    pending = select(Transaction.id).where(Transaction.status == Status.PENDING.value)
    unanswered = pending.where(
        Transaction.reason == Reason.AWAITING_PIN.value,
        Transaction.checkout_request_id.is_(None),
        Transaction.created_at <= now - UNANSWERED_AFTER,
    )
    silent = pending.where(
        Transaction.reason != Reason.OVERDUE.value, Transaction.created_at <= now - wait
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
    # What is to be asked about at once is asked about first, however old.
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
            (settlement.PromptOver(), over),
            (settlement.SilenceTooLong(), unheard),
            (settlement.SilenceTooLong(), unreceipted),
        )
    ]
    return [(each, evidence) for evidence, ids in kinds for each in ids]


def _expired_orders(session: Session, now: datetime) -> list[str]:
    """Open orders past their end, none of whose prompts may still be answered."""
    still_open = select(Transaction.id).where(Transaction.order_id == Order.id, Transaction.is_open)
    statement = select(Order.id).where(
        Order.status == OrderStatus.OPEN.value, Order.expires_at <= now, ~still_open.exists()
    )
    return list(session.scalars(statement.order_by(Order.expires_at).limit(_AT_ONCE)))


# -- a clock that steps --------------------------------------------------------------------------

_TIMES = (
    "created_at", "updated_at", "settled_at", "retry_at", "prompt_ends_at", "next_ask_at",
    "ask_urgently",
)  # fmt: skip
# As the partial index says it: SQLite does not find that in SQLAlchemy's "is_open = 1".
_IS_OPEN = text("transactions.is_open")
_SEEN = select(Transaction.id, *(Transaction.__table__.c[name] for name in _TIMES))
# What has an end that the shopper or the shop waits for: living prompts, and failures' waits. Two
# queries, since SQLite reads the whole table for one.
_UNDER_WAY = (
    _SEEN.where(_IS_OPEN),
    _SEEN.where(
        Transaction.status == Status.FAILED.value, Transaction.updated_at > bindparam("since")
    ),
)


# What changed since a look. The answer to a push sets the end of its prompt, and nothing else that
# shows when: so what is young enough to be answered is read again.
_SEEN_OR_OVER = _SEEN.add_columns(
    Transaction.status.notin_((Status.PENDING.value, Status.FAILED.value))
)
_CHANGED = (
    _SEEN_OR_OVER.where(Transaction.created_at > bindparam("begun")),
    _SEEN_OR_OVER.where(Transaction.updated_at > bindparam("changed")),
)
# A change is committed this long after its time, or written by a worker whose clock is behind.
_OVERLAP = timedelta(seconds=5)
# Seconds after which nothing that was under way still is: no prompt, and no wait of a failure.
_FORGOTTEN_AFTER = (_LONGEST_WAIT + OPEN_UNANSWERED).total_seconds()


@dataclass(frozen=True)
class _Look:
    """What both clocks showed at a tick."""

    wall: datetime
    monotonic: float


class _UnderWay:
    """The times of what is under way, as they were at the last look.

    Thousands may wait at once, so a look reads what changed since the one before.
    """

    def __init__(self) -> None:
        # With the monotonic time of reading, the oldest first.
        self._read: dict[str, tuple[float, Times]] = {}

    def before(self, transaction_id: str) -> Times | None:
        """The times of a transaction at the last look; None where it was not under way."""
        _, times = self._read.get(transaction_id, (0.0, None))
        return times

    def read_all(self, session: Session, look: _Look) -> None:
        """Begin anew: at the start, and after a step."""
        found = _under_way(session, look.wall)
        self._read = {each: (look.monotonic, times) for each, times in found.items()}

    def read_changed(self, session: Session, since: _Look, look: _Look) -> None:
        """Take in what changed since a look, and forget what is over."""
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


# Nobody can set this clock, and it goes on while the machine sleeps: an hour of sleep is no step.
# On Linux CLOCK_MONOTONIC stands meanwhile (clock_gettime(2)).
_GOES_ON: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def since_boot() -> float:
    """Seconds since the machine started, its sleep included."""
    return time.clock_gettime(_GOES_ON)


class Watch:
    """Notices that the wall clock stepped, and puts right the times that were written before.

    Each worker has one. What the first of them put right, the others leave alone.

    Args:
        now: the wall clock, aware UTC.
        monotonic: seconds of a clock that nobody can set, from any beginning.

    Attributes:
        steps_back: how often it went back so far, for those who keep times of other things.
    """

    def __init__(self, now: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._now = now
        self._monotonic = monotonic
        self._last: _Look | None = None
        self._under_way = _UnderWay()
        self.steps_back = 0

    def stepped(self) -> bool:
        """Whether the clock has stepped since the last look: times are not to be believed."""
        return self._last is not None and abs(self._step(self._last)) > SMALLEST_STEP

    def look(self, session: Session, announce: Announce) -> int:
        """Put right what a step made wrong; at a tick, before anything else is judged by the time.

        Args:
            session: writes are commits of their own, each under its order's lock.
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
            passed = timedelta(seconds=monotonic - last.monotonic)
            wrong += self._under_way_before(session, last, Step(by, passed, wall))
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
                announce(ledger.record(session, transaction_id, evidence, raw, self._now))

    def _under_way_before(
        self, session: Session, last: _Look, step: Step
    ) -> list[tuple[str, settlement.Evidence]]:
        """What was under way before the step: seen at the last look, or begun since."""
        earlier = min(step.noticed_at, last.wall)
        return [
            (each, settlement.ClockStepped(step, self._under_way.before(each)))
            for each, times in _under_way(session, earlier).items()
            if steps.concerns(times, self._under_way.before(each), step)
        ]


def _under_way(session: Session, now: datetime) -> dict[str, Times]:
    since = {"since": now - _LONGEST_WAIT}
    rows = [row for query in _UNDER_WAY for row in session.execute(query, since)]
    session.rollback()
    return {row[0]: Times(*row[1:]) for row in rows}


def _ahead(session: Session, now: datetime, *, everything: bool) -> list[str]:
    """Transactions with a time that lies further in the future than its rule allows.

    Args:
        everything: look at planned questions too, each of which has a rule of its own.
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
        planned = books.attempts_where(session, Transaction.next_ask_at > later)
        found += [each.id for each in planned if _asked_too_late(each, now)]
    session.rollback()
    return list(dict.fromkeys(found))


def _asked_too_late(attempt: Attempt, now: datetime) -> bool:
    """Whether a question is planned for later than the plan's next moment."""
    if attempt.next_ask_at is None:
        return False
    begun = replace(
        attempt,
        created_at=min(attempt.created_at, now),
        settled_at=attempt.settled_at and min(attempt.settled_at, now),
    )
    planned = now if attempt.ask_urgently else schedule.next_question(begun, now)
    return planned is not None and attempt.next_ask_at > planned + CLOCKS_DIFFER

"""How far the clock is off, and what becomes of a transaction's times when it steps.

A machine whose clock ran ahead is put right, or the other way round: what was written before was
told by another clock. A time that lies further in the future than its own rule allows was written
before a step back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mpesa.domain import schedule
from mpesa.domain.result_codes import RULES, Reason, Status
from mpesa.domain.snapshot import OPEN_UNANSWERED

# As much as the clocks of several workers may differ by themselves: this alone is no step.
CLOCKS_DIFFER = timedelta(seconds=10)


# The password of a push is made from the time, and nobody says how much Daraja forgives; a machine
# whose clock is kept is off by less than one second.
MOST_SKEW = timedelta(seconds=30)


def skew(theirs: datetime, sent_at: datetime, got_at: datetime) -> timedelta:
    """How far our clock is ahead of a server's, at least; negative: behind; zero: none that shows.

    Args:
        theirs: what its answer's `Date` says (RFC 9110, 6.6.1): whole seconds, rounded down, and
            told at some time while the request was under way.
        sent_at, got_at: when it was sent and answered, by our clock.
    """
    least = sent_at - theirs - timedelta(seconds=1)
    most = got_at - theirs
    return max(least, min(most, timedelta(0)))


@dataclass(frozen=True)
class Times:
    """The times of a transaction that decide about something.

    Attributes:
        ask_urgently: it is to be asked about at once.
    """

    created_at: datetime
    updated_at: datetime
    settled_at: datetime | None
    retry_at: datetime | None
    prompt_ends_at: datetime | None
    next_ask_at: datetime | None
    ask_urgently: bool = False


def stepped(times: Times, seen: Times, by: timedelta) -> Times | None:
    """The same times by the clock after a step that was measured.

    Args:
        seen: before the step. What is another time by now was told by the clock as it is.
        by: how far the clock stepped; negative: back.

    Returns:
        None where another worker has done it.
    """
    if times.created_at != seen.created_at:
        return None

    def moved(now: datetime | None, before: datetime | None) -> datetime | None:
        return now if now is None or now != before else now + by

    return Times(
        created_at=times.created_at + by,
        updated_at=times.updated_at,
        settled_at=moved(times.settled_at, seen.settled_at),
        retry_at=moved(times.retry_at, seen.retry_at),
        prompt_ends_at=moved(times.prompt_ends_at, seen.prompt_ends_at),
        next_ask_at=moved(times.next_ask_at, seen.next_ask_at),
        ask_urgently=times.ask_urgently,
    )


def within_their_rules(
    times: Times,
    now: datetime,
    by: timedelta,
    *,
    status: Status,
    reason: Reason,
    final: bool,
    has_id: bool,
) -> Times:
    """The times of a transaction, none further in the future than its own rule allows.

    Args:
        now: aware UTC.
        by: how far the clock was seen to step back; zero where nobody saw it.
        status, reason, final, has_id: the transaction's.
    """

    def back(moment: datetime, longest: timedelta) -> datetime:
        if moment - longest <= now + CLOCKS_DIFFER:
            return moment
        return min(moment + by, now + longest)

    created_at = back(times.created_at, timedelta(0))
    settled_at = times.settled_at and back(times.settled_at, timedelta(0))
    standing = schedule.Standing(status, final, has_id, created_at, settled_at)
    wait = timedelta(seconds=RULES[reason].wait_seconds if reason in RULES else 0)
    return Times(
        created_at=created_at,
        updated_at=back(times.updated_at, timedelta(0)),
        settled_at=settled_at,
        retry_at=times.retry_at and back(times.retry_at, wait),
        prompt_ends_at=times.prompt_ends_at and back(times.prompt_ends_at, OPEN_UNANSWERED),
        next_ask_at=_next_question(times, standing, now),
        ask_urgently=times.ask_urgently,
    )


def _next_question(times: Times, standing: schedule.Standing, now: datetime) -> datetime | None:
    if times.next_ask_at is None:
        return None
    planned = now if times.ask_urgently else schedule.next_question(standing, now)
    return min(times.next_ask_at, planned or times.next_ask_at)

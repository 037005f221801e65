"""How far the clock is off, and what becomes of a transaction's times when it steps.

A machine whose clock ran ahead is put right, or the other way round: what was written before was
told by another clock. A time that lies further in the future than its own rule allows was written
before a step back.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mpesa.domain import schedule
from mpesa.domain.attempt import OPEN_UNANSWERED, Attempt, Times
from mpesa.domain.result_codes import RULES

# As much as the clocks of several workers may differ by themselves: this alone is no step.
CLOCKS_DIFFER = timedelta(seconds=10)
_A_SECOND = timedelta(seconds=1)


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
class Step:
    """A step of the clock, as a worker noticed it.

    Attributes:
        by: how far the clock stepped; negative: back.
        passed: since the look before, by a clock that does not step; the step lies within.
        noticed_at: by the clock after the step.
    """

    by: timedelta
    passed: timedelta
    noticed_at: datetime

    def is_told_since(self, moment: datetime, now: datetime) -> bool:
        """Whether what happened at a moment, by the row, may have been told by the clock as it is.

        Args:
            now: no earlier than `noticed_at`.
        """
        return self.noticed_at - self.passed - _A_SECOND <= moment <= now + _A_SECOND


def concerns(times: Times, seen: Times | None, step: Step) -> bool:
    """Whether a step came after an attempt was begun, and no other worker has put it right."""
    if seen is not None:
        return times.created_at == seen.created_at
    before = step.noticed_at - step.by  # what the clock would show without the step
    begun_before = before - step.passed - _A_SECOND <= times.created_at <= before + _A_SECOND
    return begun_before and not step.is_told_since(times.created_at, step.noticed_at)


def stepped(
    times: Times, seen: Times | None, step: Step, now: datetime, wait: timedelta
) -> Times | None:
    """The same times by the clock after a step that was measured.

    Args:
        seen: at the look before the step; None: begun since.
        now: by the clock after the step.
        wait: the longest that `retry_at` may lie in the future.

    Returns:
        None where another worker has done it.
    """
    if not concerns(times, seen, step):
        return None

    def before(name: str) -> datetime | None:
        told: datetime | None = getattr(seen, name, None)
        return told

    def happened(name: str) -> datetime | None:
        moment: datetime | None = getattr(times, name)
        if moment is None or (moment != before(name) and step.is_told_since(moment, now)):
            return moment
        return moment + step.by

    def ends(name: str, longest: timedelta) -> datetime | None:
        """An end that was told since the look may be by either clock: by one that it can be.

        Where it can be by both, the later: to wait a little longer does no harm.
        """
        moment: datetime | None = getattr(times, name)
        if moment is None or moment == before(name):
            return moment and moment + step.by
        possible = [each for each in (moment, moment + step.by) if now < each <= now + longest]
        return max(possible, default=moment)

    planned = times.next_ask_at
    return Times(
        created_at=times.created_at + step.by,
        updated_at=times.updated_at,
        settled_at=happened("settled_at"),
        retry_at=ends("retry_at", wait),
        prompt_ends_at=ends("prompt_ends_at", OPEN_UNANSWERED),
        # Too early does no harm; too late is put right by `within_their_rules`.
        next_ask_at=planned + step.by if planned and planned == before("next_ask_at") else planned,
        ask_urgently=times.ask_urgently,
    )


def within_their_rules(attempt: Attempt, now: datetime, by: timedelta) -> Times:
    """The times of an attempt, none further in the future than its own rule allows.

    Args:
        now: aware UTC.
        by: how far the clock was seen to step back; zero where nobody saw it.
    """

    def back(moment: datetime, longest: timedelta) -> datetime:
        if moment - longest <= now + CLOCKS_DIFFER:
            return moment
        return min(moment + by, now + longest)

    rule = RULES.get(attempt.reason)
    wait = timedelta(seconds=rule.wait_seconds if rule else 0)
    put_right = replace(
        attempt,
        created_at=back(attempt.created_at, timedelta(0)),
        updated_at=back(attempt.updated_at, timedelta(0)),
        settled_at=attempt.settled_at and back(attempt.settled_at, timedelta(0)),
        retry_at=attempt.retry_at and back(attempt.retry_at, wait),
        prompt_ends_at=attempt.prompt_ends_at and back(attempt.prompt_ends_at, OPEN_UNANSWERED),
    )
    return replace(put_right.times, next_ask_at=_next_question(put_right, now))


def _next_question(attempt: Attempt, now: datetime) -> datetime | None:
    if attempt.next_ask_at is None:
        return None
    planned = now if attempt.ask_urgently else schedule.next_question(attempt, now)
    return min(attempt.next_ask_at, planned or attempt.next_ask_at)

"""How far the clock is off, and what becomes of a transaction's times when it steps.

When a clock that ran ahead is put right, or the other way round, the times that were written before
belong to another clock. A time that lies further in the future than its own rule allows was written
before a step back.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mpesa.domain import schedule
from mpesa.domain.attempt import OPEN_UNANSWERED, Attempt, Times
from mpesa.domain.result_codes import RULES

# The clocks of several workers may differ by this much without a step.
CLOCKS_DIFFER = timedelta(seconds=10)
_A_SECOND = timedelta(seconds=1)


# The password of a push is made from the time, and it is not documented how much Daraja forgives; a
# clock that is kept is off by less than one second.
MOST_SKEW = timedelta(seconds=30)


def skew(theirs: datetime, sent_at: datetime, got_at: datetime) -> timedelta:
    """Measure how far our clock is ahead of a server's, at least.

    Args:
        theirs: the `Date` of its answer (RFC 9110, 6.6.1): whole seconds, rounded down, and read at
            some time while the request was under way.
        sent_at: when the request was sent, by our clock.
        got_at: when it was answered, by our clock.

    Returns:
        Negative: our clock is behind; zero: no difference shows.
    """
    least = sent_at - theirs - timedelta(seconds=1)
    most = got_at - theirs
    return max(least, min(most, timedelta(0)))


@dataclass(frozen=True)
class Step:
    """A step of the clock, as a worker noticed it.

    Attributes:
        by: how far the clock stepped; negative: back.
        passed: the time since the look before, by a clock that does not step; the step lies within.
        noticed_at: when the step was noticed, by the clock after it.
    """

    by: timedelta
    passed: timedelta
    noticed_at: datetime

    def is_told_since(self, moment: datetime, now: datetime) -> bool:
        """Whether a moment in a row may have been read from the clock after the step.

        Args:
            moment: as the row has it.
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
    """Move times to the clock after a step that was measured.

    Args:
        times: the attempt's, now.
        seen: the attempt's at the look before the step; None: it was begun since.
        now: by the clock after the step.
        wait: the longest time for which `retry_at` may lie in the future.

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
        """An end that was written since the look may be by either clock.

        If it can be by both, the later end counts: to wait a little longer does no harm.
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
        # A question too early does no harm; one too late is put right by `within_their_rules`.
        next_ask_at=planned + step.by if planned and planned == before("next_ask_at") else planned,
        ask_urgently=times.ask_urgently,
    )


def within_their_rules(attempt: Attempt, now: datetime, by: timedelta) -> Times:
    """Put right the times of an attempt that lie further in the future than their rules allow.

    Args:
        now: aware UTC.
        by: how far the clock was seen to step back; zero where no worker saw it.
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
    asked = attempt.next_ask_at
    if asked is not None:
        planned = now if attempt.ask_urgently else schedule.next_question(put_right, now)
        asked = min(asked, planned or asked)
    return replace(put_right.times, next_ask_at=asked)

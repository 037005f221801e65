"""What comes next where a shopper asks for a push. Pure: no I/O, no clock."""

from dataclasses import dataclass
from datetime import datetime

from mpesa.domain.attempt import Account, Attempt, OrderStatus
from mpesa.domain.refusals import (
    AttemptOpen,
    LineBusy,
    OrderClosed,
    OrderError,
    OrderPaid,
    RetryLater,
)
from mpesa.domain.result_codes import Status
from mpesa.domain.snapshot import seconds_left, wait_left


@dataclass(frozen=True, slots=True)
class Seen:
    """What decides about a push.

    Attributes:
        on_line: other orders' attempts that are marked open on the same line.
    """

    account: Account
    on_line: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What was done about this request already.

    Attributes:
        counted: it counts against the limits of its line and its address.
        asked: the attempts that Daraja was to be asked about.
    """

    counted: bool = False
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CloseOld:
    """Do what the clock should have done by now: these prompts' lives are over."""

    transaction_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """No push goes out, and this is why."""

    refusal: OrderError


@dataclass(frozen=True, slots=True)
class Join:
    """A prompt of this order is open on this very phone."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class Count:
    """Count it against the limits: nothing but they can stop the push now."""


@dataclass(frozen=True, slots=True)
class AskFirst:
    """Have Daraja asked about these once more, before the shopper is asked again.

    A silent attempt may have been paid. So may one that a query alone called failed while its
    prompt could still be answered: such answers are known to be wrong at times.
    """

    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class SendPush:
    """Write the row, and send the push."""


Step = CloseOld | Refuse | Join | Count | AskFirst | SendPush


def next_step(seen: Seen, msisdn: str, now: datetime, done: Done) -> Step:
    """Say what comes next, in the order in which refusals are told (README, `POST /stk-push`).

    Args:
        seen: before the order's lock, or under it: there nothing but Join and SendPush can be done.
        msisdn: the line that the push is for.
        now: aware UTC.
    """
    attempts = seen.account.attempts
    marked_open = [each for each in (*attempts, *seen.on_line) if each.is_open]
    over = tuple(each.id for each in marked_open if not each.prompt_may_live(now))
    if over:
        return CloseOld(over)
    status = seen.account.status(now)
    if status is OrderStatus.PAID:
        return Refuse(OrderPaid())
    if status is not OrderStatus.OPEN:
        return Refuse(OrderClosed())
    for each in attempts:
        if each.is_open:
            same_phone = each.msisdn == msisdn
            return Join(each.id) if same_phone else Refuse(AttemptOpen(_left(each, now)))
    wait = wait_left(attempts[0], now) if attempts else None
    if wait:
        return Refuse(RetryLater(wait))
    if seen.on_line:
        return Refuse(LineBusy(_left(seen.on_line[0], now)))
    if not done.counted:
        return Count()
    doubtful = tuple(e for e in attempts if e.id not in done.asked and _may_be_paid(e, now))
    return AskFirst(doubtful) if doubtful else SendPush()


def _left(attempt: Attempt, now: datetime) -> int:
    """Whole seconds until the prompt is over; it is not, so at least one."""
    return seconds_left(attempt.prompt_end(now), now) or 1


def _may_be_paid(attempt: Attempt, now: datetime) -> bool:
    if not attempt.has_id:
        return False
    if attempt.status is Status.PENDING:
        return not attempt.is_open
    return attempt.failed_by_query and now < attempt.prompt_end(now)

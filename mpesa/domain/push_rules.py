"""The next step when a shopper asks for a push. Pure: no I/O, no clock."""

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
    """The facts that decide about a push.

    Attributes:
        on_line: other orders' attempts that are marked open on the same line.
    """

    account: Account
    on_line: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The steps that were already taken for this request.

    Attributes:
        counted: it was counted against the limits of its line and its sender.
        asked: the ids of the attempts that Daraja was asked about, or was to be.
    """

    counted: bool = False
    asked: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CloseOld:
    """Close these attempts, as the clock should have done: the lives of their prompts are over."""

    transaction_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """No push goes out, and this is why."""

    refusal: OrderError


@dataclass(frozen=True, slots=True)
class Join:
    """Join the prompt of this order that is open on this very phone."""

    transaction_id: str


@dataclass(frozen=True, slots=True)
class Count:
    """Count the request against the limits: only they can stop the push now."""


@dataclass(frozen=True, slots=True)
class AskFirst:
    """Have Daraja asked about these attempts once more, before the shopper is asked again.

    A silent attempt may have been paid. So may one that only a query called failed while its prompt
    could still be answered: such answers are known to be wrong at times.
    """

    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class SendPush:
    """Write the row, and send the push."""


Step = CloseOld | Refuse | Join | Count | AskFirst | SendPush


def next_step(seen: Seen, msisdn: str, now: datetime, done: Done) -> Step:
    """Say what comes next, in the order of the refusals.

    Args:
        seen: read without the order's lock, or under it, where only Join and SendPush can be done.
        msisdn: the line that the push is for.
        now: aware UTC.
        done: the steps that were taken since the request came.
    """
    attempts = seen.account.pushes
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
    if seen.account.money_in_sight(now):
        return Refuse(RetryLater(seconds_left(seen.account.order.in_sight_until, now) or 1))
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
    """Whole seconds until the prompt is over, at least one."""
    return seconds_left(attempt.prompt_end(now), now) or 1


def _may_be_paid(attempt: Attempt, now: datetime) -> bool:
    if not attempt.has_id:
        return False
    if attempt.status is Status.PENDING:
        return not attempt.is_open
    return attempt.failed_by_query and now < attempt.prompt_end(now)

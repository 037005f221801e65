"""The page's three words about a transaction, decided once: view, money, next step.

The checkout page, with and without its script, polls, sockets, the merchant's API and mobile
clients all show these three words, and none of them decides on its own.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from mpesa.domain.attempt import Account, Attempt, OrderStatus
from mpesa.domain.result_codes import Reason, Status

# Daraja reports these failures while the prompt may still be on the phone, to be answered.
_OUTLIVED_BY_THE_PROMPT = frozenset(
    {Reason.UNREACHABLE, Reason.EXPIRED, Reason.SYSTEM_BUSY, Reason.CLOSED_BY_OPERATOR}
)
# Failures that lie with the line or the number, so that the same number would fail again.
_ANOTHER_NUMBER_HELPS = frozenset(
    {Reason.PIN_LOCKED, Reason.OVER_LIMIT, Reason.DECLINED, Reason.PUSH_REFUSED}
)

# Another push would fail in the same way, and money sent by hand would not.
_BY_HAND_HELPS = frozenset({Reason.UNREACHABLE, Reason.SYSTEM_BUSY, Reason.MISCONFIGURED})
# A push's own result is this long behind its receipt.
RESULT_BEHIND = timedelta(seconds=15)


class View(StrEnum):
    """The kind of page that is shown."""

    PHONE = "phone"
    WAITING = "waiting"
    CHECKING = "checking"
    PAID = "paid"
    FAILED = "failed"
    CLOSED = "closed"
    BY_HAND = "by_hand"


class Money(StrEnum):
    """Whether money was taken, as far as is known now."""

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"
    RETURNED = "returned"


class Next(StrEnum):
    """The shopper's next step; `can_retry` and `retry_after` say when.

    Where a shop does not offer `pay_by_hand`, its clients are told `retry` instead.
    """

    ENTER_PIN = "enter_pin"
    WAIT = "wait"
    CANCEL_PROMPT = "cancel_prompt"
    RETRY = "retry"
    OTHER_NUMBER = "other_number"
    PAY_BY_HAND = "pay_by_hand"
    NONE = "none"


@dataclass(frozen=True)
class Said:
    """The three words that a page shows of a transaction."""

    view: View
    money: Money
    next: Next


def prompt_left(account: Account, now: datetime) -> bool:
    """Whether a prompt of the order may still be on a phone, and be answered there."""
    return any(_may_be_answered(each, now) for each in account.pushes)


def _may_be_answered(push: Attempt, now: datetime) -> bool:
    match push.status:
        case Status.PENDING:
            return push.prompt_may_live(now)
        case Status.FAILED:
            return _money_in_doubt(push, now) and now < push.prompt_end(now)
        case Status.SUCCESS:
            # Paid by a receipt, and its own result is missing: the payer may have paid by hand.
            # Mostly the callback is only a few seconds behind.
            settled = push.settled_at or push.created_at
            return push.by_rule and settled + RESULT_BEHIND <= now < push.prompt_end(now)


def say(account: Account, attempt: Attempt | None, now: datetime) -> Said:
    """Decide what a page says of an attempt; the first rule that applies counts.

    Args:
        attempt: one of the account's; None for the page of an order that has none yet.
        now: aware UTC.
    """
    if attempt is not None and attempt.returned:
        return Said(View.PAID, Money.RETURNED, Next.NONE)
    status = account.status(now)
    if status is OrderStatus.PAID or (attempt and attempt.status is Status.SUCCESS):
        way_on = Next.CANCEL_PROMPT if prompt_left(account, now) else Next.NONE
        return Said(View.PAID, Money.TAKEN, way_on)
    if account.money_in_sight(now) and attempt is not None:
        return Said(View.CHECKING, Money.UNKNOWN, Next.WAIT)
    if status is not OrderStatus.OPEN:
        if attempt and not attempt.by_hand and attempt.status is Status.PENDING:
            return Said(View.CLOSED, Money.UNKNOWN, Next.CANCEL_PROMPT)
        return Said(View.CLOSED, Money.NOT_TAKEN, Next.NONE)
    if attempt is None:
        return Said(View.PHONE, Money.NOT_TAKEN, Next.NONE)
    if attempt.by_hand:
        seen = View.BY_HAND if attempt.status is Status.PENDING else View.FAILED
        return Said(seen, Money.NOT_TAKEN, Next.PAY_BY_HAND)
    return _say_push(account, attempt, now)


def next_without_by_hand(reason: str, said: str) -> str:
    """The next step where the shop does not offer to pay by hand.

    Args:
        reason: the attempt's.
        said: its next step where that is offered.
    """
    if said != Next.PAY_BY_HAND:
        return said
    return Next.NONE if reason == Reason.MISCONFIGURED else Next.RETRY


def _say_push(account: Account, attempt: Attempt, now: datetime) -> Said:
    """Say it of a push whose order can still be paid."""
    pending = attempt.status is Status.PENDING
    beside = any(each.by_hand and each.status is Status.PENDING for each in account.attempts)
    if pending and attempt.prompt_may_live(now) and attempt.reason is not Reason.OVERDUE:
        unconfirmed = attempt.reason is Reason.PUSH_UNCONFIRMED
        way_on = Next.WAIT if unconfirmed else Next.ENTER_PIN
        return Said(View.WAITING, Money.UNKNOWN, Next.CANCEL_PROMPT if beside else way_on)
    if pending:
        left = beside and attempt.prompt_may_live(now)
        return Said(View.CHECKING, Money.UNKNOWN, Next.CANCEL_PROMPT if left else Next.WAIT)
    money = Money.UNKNOWN if _money_in_doubt(attempt, now) else Money.NOT_TAKEN
    if attempt.reason in _ANOTHER_NUMBER_HELPS:
        return Said(View.FAILED, money, Next.OTHER_NUMBER)
    by_hand = attempt.reason in _BY_HAND_HELPS
    return Said(View.FAILED, money, Next.PAY_BY_HAND if by_hand else Next.RETRY)


def _money_in_doubt(failed: Attempt, now: datetime) -> bool:
    if failed.reason is Reason.UNKNOWN_CODE or failed.failed_by_query:
        return True
    outlived = failed.reason in _OUTLIVED_BY_THE_PROMPT and not failed.final
    return outlived and now < failed.prompt_end(now)

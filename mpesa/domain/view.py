"""The page's three words about a transaction, decided once: view, money, next step.

The checkout page, with and without its script, polls, sockets, the merchant's API and mobile
clients all show these three words, and none of them decides on its own.
"""

from dataclasses import dataclass
from datetime import datetime
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


class View(StrEnum):
    """The kind of page that is shown."""

    PHONE = "phone"
    WAITING = "waiting"
    CHECKING = "checking"
    PAID = "paid"
    FAILED = "failed"
    CLOSED = "closed"


class Money(StrEnum):
    """Whether money was taken, as far as is known now."""

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"


class Next(StrEnum):
    """The shopper's next step; `can_retry` and `retry_after` say when."""

    ENTER_PIN = "enter_pin"
    WAIT = "wait"
    CANCEL_PROMPT = "cancel_prompt"
    RETRY = "retry"
    OTHER_NUMBER = "other_number"
    NONE = "none"


@dataclass(frozen=True)
class Said:
    """The three words that a page shows of a transaction."""

    view: View
    money: Money
    next: Next


def prompt_left(account: Account, now: datetime) -> bool:
    """Whether a prompt of the order may still be on a phone, and be answered there."""
    for each in account.attempts:
        if each.status is Status.PENDING:
            may_be_answered = each.prompt_may_live(now)
        else:
            doubtful = each.status is Status.FAILED and _money_in_doubt(each, now)
            may_be_answered = doubtful and now < each.prompt_end(now)
        if may_be_answered:
            return True
    return False


def say(account: Account, attempt: Attempt | None, now: datetime) -> Said:
    """Decide what a page says of an attempt; the first rule that applies counts.

    Args:
        attempt: one of the account's; None for the page of an order that has none yet.
        now: aware UTC.
    """
    status = account.status(now)
    pending = attempt is not None and attempt.status is Status.PENDING
    if status is OrderStatus.PAID or (attempt and attempt.status is Status.SUCCESS):
        way_on = Next.CANCEL_PROMPT if prompt_left(account, now) else Next.NONE
        return Said(View.PAID, Money.TAKEN, way_on)
    if status is not OrderStatus.OPEN:
        if pending:
            return Said(View.CLOSED, Money.UNKNOWN, Next.CANCEL_PROMPT)
        return Said(View.CLOSED, Money.NOT_TAKEN, Next.NONE)
    if attempt is None:
        return Said(View.PHONE, Money.NOT_TAKEN, Next.NONE)
    if pending and attempt.prompt_may_live(now) and attempt.reason is not Reason.OVERDUE:
        unconfirmed = attempt.reason is Reason.PUSH_UNCONFIRMED
        return Said(View.WAITING, Money.UNKNOWN, Next.WAIT if unconfirmed else Next.ENTER_PIN)
    if pending:
        return Said(View.CHECKING, Money.UNKNOWN, Next.WAIT)
    money = Money.UNKNOWN if _money_in_doubt(attempt, now) else Money.NOT_TAKEN
    if attempt.reason in _ANOTHER_NUMBER_HELPS:
        return Said(View.FAILED, money, Next.OTHER_NUMBER)
    misconfigured = attempt.reason is Reason.MISCONFIGURED
    return Said(View.FAILED, money, Next.NONE if misconfigured else Next.RETRY)


def _money_in_doubt(failed: Attempt, now: datetime) -> bool:
    if failed.reason is Reason.UNKNOWN_CODE or failed.failed_by_query:
        return True
    outlived = failed.reason in _OUTLIVED_BY_THE_PROMPT and not failed.final
    return outlived and now < failed.prompt_end(now)

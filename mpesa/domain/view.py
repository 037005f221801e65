"""What the page says of a transaction, decided once: what is seen, the money, the next step.

The checkout page, with and without its script, polls, sockets, the merchant's API and mobile
clients all show these three words; none of them decides anything of its own.
"""

from dataclasses import dataclass

from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Money, Next, OrderStatus, Said, View

# Daraja tells of these while the prompt may still be on the phone, to be answered.
_OUTLIVED_BY_THE_PROMPT = frozenset(
    {Reason.UNREACHABLE, Reason.EXPIRED, Reason.SYSTEM_BUSY, Reason.CLOSED_BY_OPERATOR}
)
# Where the line is the reason, or the number, the same one would fail again.
_ANOTHER_NUMBER_HELPS = frozenset(
    {Reason.PIN_LOCKED, Reason.OVER_LIMIT, Reason.DECLINED, Reason.PUSH_REFUSED}
)


@dataclass(frozen=True)
class Standing:
    """What of an attempt decides what is said of it.

    Attributes:
        is_open: PENDING, and its prompt may still be answered.
        within_prompt_life: the longest life of its prompt is not over, whatever was heard since.
        failed_by_query: FAILED by the word of a query alone.
    """

    status: Status
    reason: Reason
    final: bool
    is_open: bool
    within_prompt_life: bool
    failed_by_query: bool


def prompt_may_live(attempt: Standing) -> bool:
    """Whether a prompt of the attempt may still be on a phone, and be answered there."""
    if attempt.status is Status.PENDING:
        return attempt.is_open
    doubtful = attempt.status is Status.FAILED and _money_in_doubt(attempt)
    return doubtful and attempt.within_prompt_life


def say(order: OrderStatus, attempt: Standing | None, *, prompt_left: bool) -> Said:
    """Decide what is said of an attempt; the first rule that fits counts.

    Args:
        order: its status now.
        attempt: None for the page of an order that has none yet.
        prompt_left: `prompt_may_live` of any attempt of the order.
    """
    pending = attempt is not None and attempt.status is Status.PENDING
    if order is OrderStatus.PAID or (attempt and attempt.status is Status.SUCCESS):
        return Said(View.PAID, Money.TAKEN, Next.CANCEL_PROMPT if prompt_left else Next.NONE)
    if order is not OrderStatus.OPEN:
        if pending:
            return Said(View.CLOSED, Money.UNKNOWN, Next.CANCEL_PROMPT)
        return Said(View.CLOSED, Money.NOT_TAKEN, Next.NONE)
    if attempt is None:
        return Said(View.PHONE, Money.NOT_TAKEN, Next.NONE)
    if pending and attempt.is_open and attempt.reason is not Reason.OVERDUE:
        unconfirmed = attempt.reason is Reason.PUSH_UNCONFIRMED
        return Said(View.WAITING, Money.UNKNOWN, Next.WAIT if unconfirmed else Next.ENTER_PIN)
    if pending:
        return Said(View.CHECKING, Money.UNKNOWN, Next.WAIT)
    money = Money.UNKNOWN if _money_in_doubt(attempt) else Money.NOT_TAKEN
    return Said(View.FAILED, money, _way_on(attempt.reason))


def _money_in_doubt(failed: Standing) -> bool:
    if failed.reason is Reason.UNKNOWN_CODE or failed.failed_by_query:
        return True
    outlived = failed.reason in _OUTLIVED_BY_THE_PROMPT and not failed.final
    return outlived and failed.within_prompt_life


def _way_on(reason: Reason) -> Next:
    if reason in _ANOTHER_NUMBER_HELPS:
        return Next.OTHER_NUMBER
    return Next.NONE if reason is Reason.MISCONFIGURED else Next.RETRY

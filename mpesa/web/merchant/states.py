"""The states of a snapshot, as the domain decides them: what each shows, and what a client does."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from mpesa.domain.attempt import OPEN_FOR, Account, Attempt, Channel, Order, OrderStatus
from mpesa.domain.result_codes import (
    FAILED_REASONS,
    PENDING_REASONS,
    RULES,
    Reason,
    Status,
    WaitFrom,
)
from mpesa.domain.view import (
    Money,
    Next,
    Said,
    View,
    next_without_by_hand,
    say,
)

# Any moment will do: only what lies before and after it counts.
_NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_BY_HAND = (Reason.AWAITING_PAYMENT, Reason.NOT_RECEIVED)

_WHILE_OPEN = f"for {int(OPEN_FOR.total_seconds()) // 60} minutes after the push"
_OFFER = "Offer another push."
_DOUBT = "Ask whether an M-PESA SMS came, since money may have been taken."
# What a client does, by the three words that decide it.
_DO = {
    (View.WAITING, Money.UNKNOWN, Next.ENTER_PIN): "Ask the payer to enter the M-PESA PIN.",
    (View.WAITING, Money.UNKNOWN, Next.WAIT): "Say that the prompt may come, and wait.",
    (View.WAITING, Money.UNKNOWN, Next.CANCEL_PROMPT): (
        "Ask the payer to cancel the prompt first, or to answer it instead of paying by hand."
    ),
    (View.CHECKING, Money.UNKNOWN, Next.WAIT): (
        "Say that it is being checked, and that a payer with an M-PESA SMS should not pay again."
    ),
    (View.CHECKING, Money.UNKNOWN, Next.CANCEL_PROMPT): (
        "Ask the payer to cancel the prompt first, if it is still there."
    ),
    (View.BY_HAND, Money.NOT_TAKEN, Next.PAY_BY_HAND): (
        "Show where to send the money, as `pay_by_hand` says."
    ),
    (View.PAID, Money.TAKEN, Next.NONE): "Say that it is paid. Ship, once for each order.",
    (View.PAID, Money.TAKEN, Next.CANCEL_PROMPT): (
        "Say that it is paid, and that a prompt which is still on a phone is to be cancelled."
    ),
    (View.PAID, Money.RETURNED, Next.NONE): "Say that the money went back to the payer.",
    (View.CLOSED, Money.NOT_TAKEN, Next.NONE): "Say that the order is over. Make a new one.",
    (View.CLOSED, Money.UNKNOWN, Next.CANCEL_PROMPT): (
        "Say that the order is over, and that the prompt is to be cancelled."
    ),
    (View.FAILED, Money.NOT_TAKEN, Next.RETRY): _OFFER,
    (View.FAILED, Money.UNKNOWN, Next.RETRY): f"{_DOUBT} If none did, offer another push.",
    (View.FAILED, Money.NOT_TAKEN, Next.OTHER_NUMBER): "Offer another push, to another number.",
    (View.FAILED, Money.UNKNOWN, Next.OTHER_NUMBER): (
        f"{_DOUBT} If none did, offer another push, to another number."
    ),
    (View.FAILED, Money.NOT_TAKEN, Next.PAY_BY_HAND): (
        "Offer to pay by hand, as `pay_by_hand` says."
    ),
    (View.FAILED, Money.UNKNOWN, Next.PAY_BY_HAND): f"{_DOUBT} If none did, offer to pay by hand.",
}


@dataclass(frozen=True)
class State:
    """A row of the table.

    Attributes:
        when: what has to be so beside the reason; empty: nothing.
        said: the words that the snapshot shows.
        reason: None where the row holds for any.
        again: when another push is taken; empty: not now.
    """

    when: str
    said: Said
    reason: Reason | None = None
    again: str = ""

    @property
    def not_by_hand(self) -> str | None:
        """The word of `next` where the shop offers nothing by hand; None: the same."""
        if self.reason is None or self.said.view is not View.FAILED:
            return None
        other = next_without_by_hand(self.reason, self.said.next)
        return None if other == self.said.next else str(other)

    @property
    def advice(self) -> str:
        """What a client does."""
        return _DO[self.said.view, self.said.money, self.said.next]


def of_any_reason() -> list[State]:
    """What holds whatever the reason is; the first that applies counts, before those of reasons."""
    pending, failed = _attempt(Reason.AWAITING_PIN), _attempt(Reason.CANCELLED)
    by_hand, prompt = _attempt(Reason.AWAITING_PAYMENT), replace(pending, id="another")
    returned = replace(_attempt(Reason.PAID), returned=True)
    paid, over = _order(OrderStatus.PAID), _order(OrderStatus.CANCELLED)
    in_sight = replace(_order(), in_sight_until=_NOW + timedelta(minutes=1))
    overdue = _attempt(Reason.OVERDUE)
    cases = {
        "M-PESA gave the money of its receipt back": Account(paid, (returned,)),
        "The order is PAID, a prompt of it is on a phone": Account(paid, (failed, prompt)),
        "The order is PAID by another transaction": Account(paid, (failed,)),
        "Money for the order came, and is not proven yet": Account(in_sight, (failed,)),
        "The order is CANCELLED or EXPIRED, a push is PENDING": Account(over, (pending,)),
        "The order is CANCELLED or EXPIRED": Account(over, (failed,)),
        "A prompt is on a phone, the shopper chose to pay by hand": (
            Account(_order(), (pending, by_hand))
        ),
        "The same with a prompt that is overdue": Account(_order(), (overdue, by_hand)),
    }
    return [State(when, say(account, account.attempts[0], _NOW)) for when, account in cases.items()]


def of_status(status: Status) -> list[State]:
    """The states, by reason, of an order's only transaction."""
    states = []
    for attempt in map(_attempt, Reason):
        if attempt.status is not status:
            continue
        over = replace(attempt, is_open=False, prompt_ends_at=_NOW)
        soon = State("", _alone(attempt), attempt.reason, _again(attempt))
        later = State("", _alone(over), attempt.reason, _again(over))
        if soon == later:
            states.append(soon)
        else:
            states += [replace(soon, when=_WHILE_OPEN), replace(later, when="after that")]
    return states


def _order(status: OrderStatus = OrderStatus.OPEN) -> Order:
    return Order("order", 1, "", "", status, None, _NOW, _NOW)


def _alone(attempt: Attempt) -> Said:
    """What is said of it where its order has no other."""
    paid = attempt.status is Status.SUCCESS
    order = _order(OrderStatus.PAID if paid else OrderStatus.OPEN)
    return say(Account(order, (attempt,)), attempt, _NOW)


def _attempt(reason: Reason) -> Attempt:
    """One that has this reason since a moment ago."""
    pending, failed = reason in PENDING_REASONS, reason in FAILED_REASONS
    by_hand = reason in _BY_HAND
    return Attempt(
        status=Status.PENDING if pending else Status.FAILED if failed else Status.SUCCESS,
        reason=reason,
        final=RULES[reason].final if failed else not pending,
        amount=1,
        created_at=_NOW,
        updated_at=_NOW,
        id="one",
        order_id="order",
        attempt=1,
        callback_token_hash="",
        is_open=pending and not by_hand,
        prompt_ends_at=_NOW + OPEN_FOR,
        channel=Channel.HAND if by_hand else Channel.PUSH,
    )


def _again(attempt: Attempt) -> str:
    if attempt.status is Status.SUCCESS or attempt.prompt_may_live(_NOW):
        return ""
    rule = RULES.get(attempt.reason)
    if rule is None or not rule.wait_seconds:
        return "at once"
    start = "the push" if rule.wait_from is WaitFrom.PUSH else "it failed"
    return f"{rule.wait_seconds} s after {start}"

"""The one view of a transaction that pushes and polls both deliver; web adds the message."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from mpesa.domain import view
from mpesa.domain.attempt import Account, Attempt, OrderStatus
from mpesa.domain.money import cents_text
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.result_codes import RULES, Status


class RefundShown(TypedDict):
    """What a snapshot tells of the refund of its receipt."""

    refund_id: str
    status: str
    amount: str
    receipt: str | None
    updated_at: str


class Snapshot(TypedDict):
    """The snapshot without its message; its fields are written in this order.

    `pay_by_hand` is the pay code of an order that can be paid; the number that is paid is added for
    clients, where the shop offers it.
    """

    transaction_id: str
    order_id: str
    order_status: str
    channel: str
    status: str
    reason: str
    view: str
    money: str
    next: str
    final: bool
    can_retry: bool
    retry_after: int | None
    again_at: str | None
    amount: int
    currency: str
    phone: str | None
    receipt: str | None
    receipt_amount: str | None
    settled_by: str | None
    refund: RefundShown | None
    pay_by_hand: str | None
    created_at: str
    updated_at: str
    seq: int
    poll_after: int


@dataclass(frozen=True)
class Retry:
    """Whether the order's next push would be taken.

    Attributes:
        allowed: the page may offer it.
        after: whole seconds still to wait; None: there is no wait, or it is not allowed.
    """

    allowed: bool
    after: int | None = None


def may_retry(
    *, order_open: bool, attempt_open: bool, newest: Attempt | None, now: datetime
) -> Retry:
    """Decide whether a page may offer another push.

    Args:
        order_open: the order is neither paid, cancelled nor expired.
        attempt_open: an attempt of the order is open, also by the clock, or its money is in sight.
        newest: its newest push; None: there was none.
        now: aware UTC.
    """
    if not order_open or attempt_open:
        return Retry(allowed=False)
    if newest is None:
        return Retry(allowed=True)
    if newest.status is Status.SUCCESS:
        return Retry(allowed=False)
    left = wait_left(newest, now)
    if newest.status is Status.FAILED and RULES[newest.reason].blocks_retry and left:
        return Retry(allowed=False)
    return Retry(allowed=True, after=left)


def wait_left(newest: Attempt, now: datetime) -> int | None:
    """Whole seconds of the wait after the newest attempt's failure; None where none are left.

    They are never more than the rule's: an end further away was written before the clock stepped
    back.
    """
    if newest.retry_at is None or newest.reason not in RULES:
        return None
    longest = now + timedelta(seconds=RULES[newest.reason].wait_seconds)
    return seconds_left(min(newest.retry_at, longest), now)


def seconds_left(until: datetime | None, now: datetime) -> int | None:
    """Whole seconds from `now` to `until`, rounded up; None where nothing is left."""
    if until is None or until <= now:
        return None
    return math.ceil((until - now).total_seconds())


def poll_after(status: Status, *, final: bool, prompt_lives: bool) -> int:
    """Seconds until a client's next poll: few while a PIN is likely, more after a long silence."""
    if final:
        return 60
    if status is not Status.PENDING:
        return 10
    return 3 if prompt_lives else 10


# A payer by hand needs a few minutes; a page that is left open costs little after that.
_BY_HAND_SOON = timedelta(minutes=10)


def of_account(account: Account, now: datetime) -> list[Snapshot]:
    """Draw the snapshots of an order's transactions, newest first."""
    return [draw(account, each, now) for each in account.attempts]


def draw(account: Account, attempt: Attempt, now: datetime) -> Snapshot:
    """Draw a transaction's snapshot; times are UTC with whole seconds, and the phone is masked.

    Args:
        attempt: one of the account's.
        now: aware UTC.
    """
    status, said = account.status(now), view.say(account, attempt, now)
    retry = may_retry(
        order_open=status is OrderStatus.OPEN,
        attempt_open=account.attempt_open(now) or account.money_in_sight(now),
        newest=next(iter(account.pushes), None),
        now=now,
    )
    # Empty where the number was forgotten, None where no push needed one.
    phone = None if attempt.by_hand else mask_msisdn(attempt.msisdn) if attempt.msisdn else ""
    if attempt.by_hand and attempt.status is Status.PENDING:
        poll = 5 if now - attempt.created_at < _BY_HAND_SOON else 30
    else:
        lives = attempt.prompt_may_live(now)
        poll = poll_after(attempt.status, final=attempt.final, prompt_lives=lives)
    receipt = attempt.receipt
    if attempt.shares_receipt:
        receipt = next((each.receipt for each in account.attempts if each.settles_order), None)
    return Snapshot(
        transaction_id=attempt.id,
        order_id=attempt.order_id,
        order_status=status.value,
        channel=attempt.channel.value,
        status=attempt.status.value,
        reason=attempt.reason.value,
        view=said.view.value,
        money=said.money.value,
        next=said.next.value,
        final=attempt.final,
        can_retry=retry.allowed,
        retry_after=retry.after,
        again_at=_again_at(account, now),
        amount=attempt.amount,
        currency="KES",
        phone=phone,
        receipt=receipt,
        receipt_amount=None if attempt.shares_receipt else cents_text(attempt.receipt_amount),
        settled_by=account.settled_by,
        refund=_refund(attempt),
        pay_by_hand=account.pay_code_at(now),
        created_at=utc_text(attempt.created_at),
        updated_at=utc_text(attempt.updated_at),
        seq=attempt.seq,
        poll_after=poll,
    )


def _again_at(account: Account, now: datetime) -> str | None:
    """When the next push would be taken at the latest, while a prompt or money in sight bars it.

    None where nothing bars it, or where the order will have expired by then.
    """
    if account.status(now) is not OrderStatus.OPEN:
        return None
    order = account.order
    ends = [each.prompt_end(now) for each in account.pushes if each.prompt_may_live(now)]
    if account.money_in_sight(now) and order.in_sight_until is not None:
        ends.append(order.in_sight_until)
    end = max(ends, default=None)
    if end is None or (order.expires_at is not None and order.expires_at <= end):
        return None
    return utc_text(end)


def _refund(attempt: Attempt) -> RefundShown | None:
    if attempt.refund_id is None or attempt.refund_status is None:
        return None
    amount = cents_text(attempt.receipt_amount or attempt.amount * 100)
    changed = attempt.refund_at or attempt.updated_at
    return RefundShown(
        refund_id=attempt.refund_id,
        status=attempt.refund_status,
        amount=amount or "",
        receipt=attempt.receipt,
        updated_at=utc_text(changed),
    )


def utc_text(moment: datetime) -> str:
    """Write a time as `2026-11-24T09:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

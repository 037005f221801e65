"""The one picture of a transaction that push and poll both deliver; web adds the message."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypedDict

from mpesa.domain.phone import mask_msisdn
from mpesa.domain.result_codes import RULES, Reason, Status

# The longest documented life of a prompt (Daraja's older FAQ: "1-3 minutes depending on phone"),
# from the push's answer: after it, silence blocks neither the order nor the line any longer.
OPEN_FOR = timedelta(seconds=180)
# From the row, while the push has no answer: Daraja may take it until its 20 s are over.
OPEN_UNANSWERED = OPEN_FOR + timedelta(seconds=20)


class Snapshot(TypedDict):
    """The snapshot without its message, in the order in which it is written."""

    transaction_id: str
    order_id: str
    order_status: str
    status: str
    reason: str
    view: str
    money: str
    next: str
    final: bool
    can_retry: bool
    retry_after: int | None
    amount: int
    currency: str
    phone: str
    receipt: str | None
    created_at: str
    updated_at: str
    seq: int
    poll_after: int


class OrderStatus(StrEnum):
    """Where an order stands."""

    OPEN = "OPEN"
    PAID = "PAID"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


class View(StrEnum):
    """What the page shows."""

    PHONE = "phone"
    WAITING = "waiting"
    CHECKING = "checking"
    PAID = "paid"
    FAILED = "failed"
    CLOSED = "closed"


class Money(StrEnum):
    """Whether money was taken, as far as anybody can say now."""

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"


class Next(StrEnum):
    """The one thing for the shopper to do; `can_retry` and `retry_after` say when."""

    ENTER_PIN = "enter_pin"
    WAIT = "wait"
    CANCEL_PROMPT = "cancel_prompt"
    RETRY = "retry"
    OTHER_NUMBER = "other_number"
    NONE = "none"


@dataclass(frozen=True)
class Said:
    """What the page says of a transaction; `domain.view` decides it."""

    view: View
    money: Money
    next: Next


def order_status(
    stored: str, expires_at: datetime | None, *, attempt_open: bool, now: datetime
) -> OrderStatus:
    """The order's status at `now`: its end may have passed before anybody wrote that down.

    An order whose prompt may still be answered does not expire.
    """
    status = OrderStatus(stored)
    expired = expires_at is not None and expires_at <= now and not attempt_open
    return OrderStatus.EXPIRED if status is OrderStatus.OPEN and expired else status


@dataclass(frozen=True)
class Retry:
    """Whether the order's next push would be taken.

    Attributes:
        allowed: the page may offer it.
        after: whole seconds still to wait; None: none, or not allowed.
    """

    allowed: bool
    after: int | None = None


@dataclass(frozen=True)
class Newest:
    """What the order's newest attempt says about the next one."""

    status: Status
    reason: Reason
    retry_at: datetime | None


def may_retry(*, order_open: bool, attempt_open: bool, newest: Newest, now: datetime) -> Retry:
    """Decide whether a page may offer another push.

    Args:
        order_open: the order is neither paid, cancelled nor expired.
        attempt_open: any attempt of the order is open, the clock considered.
        newest: its newest attempt.
        now: aware UTC.
    """
    if not order_open or attempt_open or newest.status is Status.SUCCESS:
        return Retry(allowed=False)
    left = wait_left(newest, now)
    if newest.status is Status.FAILED and RULES[newest.reason].blocks_retry and left:
        return Retry(allowed=False)
    return Retry(allowed=True, after=left)


def wait_left(newest: Newest, now: datetime) -> int | None:
    """Whole seconds that the newest attempt's failure asks to wait; None where none are left.

    Never more than its rule: an end further away was written before a step back of the clock.
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
    """Seconds until a client's next poll: soon while a PIN is likely, thinning out with silence."""
    if final:
        return 60
    if status is not Status.PENDING:
        return 10
    return 3 if prompt_lives else 10


@dataclass(frozen=True)
class Picture:
    """What a snapshot is drawn from.

    Attributes:
        prompt_lives: the prompt may still be answered.
    """

    transaction_id: str
    order_id: str
    order_status: str
    status: Status
    reason: Reason
    final: bool
    prompt_lives: bool
    amount: int
    msisdn: str | None
    receipt: str | None
    created_at: datetime
    updated_at: datetime
    seq: int


def draw(picture: Picture, retry: Retry, said: Said) -> Snapshot:
    """Draw the snapshot; times are UTC with whole seconds, the phone is masked."""
    return Snapshot(
        transaction_id=picture.transaction_id,
        order_id=picture.order_id,
        order_status=picture.order_status,
        status=picture.status.value,
        reason=picture.reason.value,
        view=said.view.value,
        money=said.money.value,
        next=said.next.value,
        final=picture.final,
        can_retry=retry.allowed,
        retry_after=retry.after,
        amount=picture.amount,
        currency="KES",
        phone=mask_msisdn(picture.msisdn) if picture.msisdn else "",
        receipt=picture.receipt,
        created_at=utc_text(picture.created_at),
        updated_at=utc_text(picture.updated_at),
        seq=picture.seq,
        poll_after=poll_after(
            picture.status, final=picture.final, prompt_lives=picture.prompt_lives
        ),
    )


def utc_text(moment: datetime) -> str:
    """`2026-11-24T09:00:00Z`."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

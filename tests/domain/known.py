"""An order and an attempt as they begin; a test names what is otherwise."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mpesa.domain.attempt import Attempt, Order, OrderStatus
from mpesa.domain.result_codes import Reason, Status

PUSHED_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_ORDER = Order("o" * 22, 150, "INV-1", "Two coffees", OrderStatus.OPEN, None, PUSHED_AT, PUSHED_AT)
_ATTEMPT = Attempt(
    status=Status.PENDING,
    reason=Reason.AWAITING_PIN,
    final=False,
    amount=150,
    created_at=PUSHED_AT,
    updated_at=PUSHED_AT,
    id="t" * 22,
    order_id="o" * 22,
    attempt=1,
    callback_token_hash="c" * 64,
    is_open=True,
    msisdn="254712345678",
)


def order(**changed: Any) -> Order:
    """An open order without an end."""
    return replace(_ORDER, **changed)


def attempt(**changed: Any) -> Attempt:
    """An attempt right after its row was written: nothing was heard of it yet."""
    return replace(_ATTEMPT, **changed)

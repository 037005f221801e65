"""A refund as merchants and operators are shown it."""

from typing import TypedDict

from mpesa.domain.money import cents_text
from mpesa.domain.refund import Refund
from mpesa.domain.snapshot import utc_text


class RefundShown(TypedDict):
    """A refund; its fields are written in this order."""

    refund_id: str
    receipt: str
    order_id: str | None
    amount: str
    status: str
    reason: str
    requested_by: str
    released_by: str | None
    reversal_receipt: str | None
    created_at: str
    updated_at: str
    seq: int


def draw(refund: Refund) -> RefundShown:
    """Draw a refund; times are UTC with whole seconds, and the amount has two places."""
    return RefundShown(
        refund_id=refund.id,
        receipt=refund.receipt,
        order_id=refund.order_id,
        amount=cents_text(refund.amount) or "",
        status=refund.status.value,
        reason=refund.reason,
        requested_by=refund.requested_by,
        released_by=refund.released_by,
        reversal_receipt=refund.reversal_receipt,
        created_at=utc_text(refund.created_at),
        updated_at=utc_text(refund.updated_at),
        seq=refund.seq,
    )

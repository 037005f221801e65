"""One payment request, from the push to its ending."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.script import Answer, Script
from mpesa.simulator.validation import PushRequest

LARGEST_AMOUNT = 250_000  # KES in one payment (Daraja docs, M-PESA Express FAQ)


@dataclass
class Payment:
    """What a push set going; `outcome` is None while the prompt is open."""

    id: str
    merchant_request_id: str
    request: PushRequest
    script: Script
    created_at: datetime
    outcome: Outcome | None = None
    receipt: str | None = None
    paid_at: datetime | None = None
    # Set once the push's answer has left, and once the first callback was tried.
    is_acknowledged: bool = field(default=False, compare=False)
    is_reported: bool = field(default=False, compare=False)

    def acknowledge(self) -> None:
        """Note that the push's answer has left."""
        self.is_acknowledged = True

    @property
    def msisdn(self) -> str:
        """The line that gets the prompt."""
        return self.request.msisdn

    @property
    def shows_prompt(self) -> bool:
        """False where the phone is out of reach or Daraja stops the payment before the phone."""
        return self.doomed_to is None and self.script.answer is not Answer.UNREACHABLE

    @property
    def doomed_to(self) -> Outcome | None:
        """The ending that was certain when the push was taken, None if the payer decides."""
        if self.request.is_misrouted:
            return Outcome.WRONG_PARTY
        return Outcome.OVER_LIMIT if self.request.amount > LARGEST_AMOUNT else None


def prompt_as_json(payment: Payment, business: str) -> dict[str, Any]:
    """Return the open prompt as `GET /prompts` lists it."""
    return {
        "id": payment.id,
        "msisdn": payment.msisdn,
        "amount": payment.request.amount,
        "reference": payment.request.reference,
        "business": business,
        "created_at": iso(payment.created_at),
    }


def entry_as_json(payment: Payment) -> dict[str, Any]:
    """Return a payment that moved money as `GET /ledger` lists it."""
    return {
        "receipt": payment.receipt,
        "checkout_request_id": payment.id,
        "msisdn": payment.msisdn,
        "amount": payment.request.amount,
        "reference": payment.request.reference,
        "paid_at": iso(payment.paid_at) if payment.paid_at else None,
    }


def iso(moment: datetime) -> str:
    """Return an aware time as ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

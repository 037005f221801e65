"""One payment request, from the push to its ending."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.script import Answer, Script
from mpesa.simulator.validation import PAYBILL, PushRequest

LARGEST_AMOUNT = 250_000  # KES in one payment (Daraja docs, M-PESA Express FAQ)


@dataclass
class Payment:
    """What a push set going; `outcome` is None while the prompt is open."""

    id: str
    merchant_request_id: str
    request: PushRequest
    script: Script
    created_at: datetime
    # The ending that was certain when the push was taken, None if the payer decides.
    doomed_to: Outcome | None = None
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
        stopped = self.doomed_to or self.script.result
        return stopped is None and self.script.answer != Answer.UNREACHABLE


def doom_of(request: PushRequest) -> Outcome | None:
    """Return the ending that the push asks for by what it says, None if it is sound."""
    if request.is_astray:
        # Who mixes up store and till was seen to get 2029, who does so with a PayBill SFC_IC0003.
        return Outcome.WRONG_PARTY if request.kind == PAYBILL else Outcome.WRONG_TILL
    return Outcome.OVER_LIMIT if request.amount > LARGEST_AMOUNT else None


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

"""One payment request, from the push to its ending."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mpesa.simulator.movement import iso
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.script import Answer, Script
from mpesa.simulator.validation import PAYBILL, PushRequest

LARGEST_AMOUNT = 250_000  # KES in one payment (Daraja docs, M-PESA Express FAQ)


@dataclass
class Payment:
    """A payment that a push began.

    Attributes:
        doomed_to: the ending that was certain when the push came; None: the payer decides.
        outcome: None while the prompt is open.
        is_acknowledged: the push's answer has left.
        is_reported: the first callback was tried.
    """

    id: str
    merchant_request_id: str
    request: PushRequest
    script: Script
    created_at: datetime
    doomed_to: Outcome | None = None
    outcome: Outcome | None = None
    receipt: str | None = None
    paid_at: datetime | None = None
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
        """Whether a prompt is on the phone: Daraja sends it, and the phone can be reached."""
        stopped = self.doomed_to or self.script.result
        return stopped is None and self.script.answer != Answer.UNREACHABLE


def doom_of(request: PushRequest) -> Outcome | None:
    """Find the ending that the fields of a push make certain; None where they are sound."""
    if request.is_astray:
        # A mix-up of store and till was seen to end with 2029, one with a PayBill with SFC_IC0003.
        return Outcome.WRONG_PARTY if request.kind == PAYBILL else Outcome.WRONG_TILL
    return Outcome.OVER_LIMIT if request.amount > LARGEST_AMOUNT else None


def prompt_as_json(payment: Payment, business: str) -> dict[str, Any]:
    """Make the entry of an open prompt in `GET /prompts`."""
    return {
        "id": payment.id,
        "msisdn": payment.msisdn,
        "amount": payment.request.amount,
        "reference": payment.request.reference,
        "business": business,
        "created_at": iso(payment.created_at),
    }

"""Reversal: give one payment back to its payer, in full (Daraja docs, Reversals).

The answer comes later, to the result address; `mpesa.domain.results` reads it.
"""

from dataclasses import dataclass, field

from mpesa.daraja.acceptance import Accepted, read_acceptance
from mpesa.daraja.client import Daraja
from mpesa.daraja.initiators import Initiator

REVERSAL_PATH = "/mpesa/reversal/v1/request"
# An acknowledgement that takes longer is none: the fate of the money is then unknown.
ACKNOWLEDGED_WITHIN = 25.0
# The organisation that holds the money; older collections have "4".
_ORGANISATION = "11"


@dataclass(frozen=True)
class ReversalOrder:
    """An order to give one payment back.

    Attributes:
        receipt: the payment's.
        amount: all of it, in whole shillings.
        short_code: our own, which gives it back.
        remarks: 2 to 100 characters, which Safaricom keeps.
        result_url: where the result is posted; it holds a secret.
        timeout_url: where Daraja says that it took too long; likewise.
    """

    receipt: str
    amount: int
    short_code: str
    remarks: str
    result_url: str = field(repr=False)
    timeout_url: str = field(repr=False)


def reversal_body(initiator: Initiator, order: ReversalOrder) -> dict[str, str | int]:
    """Make the JSON fields of `POST /mpesa/reversal/v1/request`.

    Raises:
        ValueError: the amount is not positive, or the remarks have another length.
    """
    if order.amount <= 0:
        raise ValueError("money that is given back is a positive amount")
    if not 2 <= len(order.remarks) <= 100:
        raise ValueError("remarks have 2 to 100 characters")
    return {
        "Initiator": initiator.name,
        "SecurityCredential": initiator.credential,
        "CommandID": "TransactionReversal",
        "TransactionID": order.receipt,
        "Amount": str(order.amount),
        "ReceiverParty": order.short_code,
        # Spelt like that on the wire: Daraja refuses the right spelling.
        "RecieverIdentifierType": _ORGANISATION,
        "ResultURL": order.result_url,
        "QueueTimeOutURL": order.timeout_url,
        "Remarks": order.remarks,
    }


def reverse(
    daraja: Daraja,
    initiator: Initiator,
    order: ReversalOrder,
    *,
    budget: float = ACKNOWLEDGED_WITHIN,
) -> Accepted:
    """Send the order, once: it is repeated only after "token dead", when it did not run.

    Args:
        budget: seconds for everything; a hard limit.

    Raises:
        ValueError: Daraja takes no such order.
        NotSent: nothing was sent.
        Refused: Daraja's clear no.
        UnknownOutcome: the money may be on its way back; the order must never be sent again.
    """
    return read_acceptance(
        daraja.post(REVERSAL_PATH, reversal_body(initiator, order), budget=budget)
    )

"""Transaction Status: ask what became of one receipt (Daraja docs, Transaction Status).

The answer comes later, to the result address; `mpesa.domain.status_answer` reads it.
"""

from dataclasses import dataclass, field

from mpesa.daraja.acceptance import Accepted, read_acceptance
from mpesa.daraja.client import BUDGET_SECONDS, Daraja
from mpesa.daraja.initiators import Initiator

STATUS_PATH = "/mpesa/transactionstatus/v1/query"
# A short code of an organisation; 1 is a phone's number and 2 a till's.
_ORGANISATION = "4"


@dataclass(frozen=True)
class StatusQuestion:
    """A question about one receipt.

    Attributes:
        receipt: ten letters and digits.
        short_code: our own, in whose books it is looked up.
        result_url: where the answer is posted; it holds a secret.
        timeout_url: where Daraja says that it took too long; likewise.
    """

    receipt: str
    short_code: str
    result_url: str = field(repr=False)
    timeout_url: str = field(repr=False)


def status_body(initiator: Initiator, question: StatusQuestion) -> dict[str, str | int]:
    """Make the JSON fields of `POST /mpesa/transactionstatus/v1/query`."""
    return {
        "Initiator": initiator.name,
        "SecurityCredential": initiator.credential,
        "CommandID": "TransactionStatusQuery",
        "TransactionID": question.receipt,
        "PartyA": question.short_code,
        "IdentifierType": _ORGANISATION,
        "ResultURL": question.result_url,
        "QueueTimeOutURL": question.timeout_url,
        "Remarks": "Status",
    }


def ask_status(
    daraja: Daraja,
    initiator: Initiator,
    question: StatusQuestion,
    *,
    budget: float = BUDGET_SECONDS,
) -> Accepted:
    """Ask; the acknowledgement says nothing about the receipt, nor about the credential.

    Args:
        budget: seconds for everything; a hard limit.

    Raises:
        NotSent: nothing was sent.
        Refused: Daraja's clear no.
        UnknownOutcome: an answer may come, or none.
    """
    return read_acceptance(
        daraja.post(STATUS_PATH, status_body(initiator, question), budget=budget)
    )

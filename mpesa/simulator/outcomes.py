"""How a payment request can end, with the code and the words that Daraja uses for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Wording:
    """The code of an ending and its texts; callbacks and queries may word one code differently.

    A code that has letters is a JSON string on the wire, any other a number (Daraja docs,
    M-PESA Express result codes; seen in real callbacks).
    """

    code: int | str
    callback_text: str
    query_text: str


def _same(code: int | str, text: str) -> Wording:
    return Wording(code, text, text)


class Outcome(Enum):
    """The ending of one payment request. Texts vary in real life: only the code means something."""

    PAID = _same(0, "The service request is processed successfully.")
    INSUFFICIENT = _same(1, "The balance is insufficient for the transaction.")
    UNDER_LIMIT = _same(2, "Declined due to limit rule: less than the minimum amount.")
    OVER_LIMIT = _same(3, "Declined due to limit rule: greater than the maximum amount.")
    DAILY_LIMIT = _same(4, "Declined due to limit rule: would exceed the daily limit.")
    FULL_ACCOUNT = _same(8, "Declined due to limit rule: would exceed the maximum balance.")
    INVALID_STATE = _same(11, "The DebitParty is in an invalid state.")
    SAME_AMOUNT = _same(17, "Rule limited.")
    TRAFFIC = _same(26, "Traffic blocking condition in place.")
    LINE_BUSY = _same(1001, "Unable to lock subscriber.")
    EXPIRED = _same(1019, "Transaction expired. No MO has been received.")
    NOT_SENT = _same(1025, "An error occurred while sending a push request.")
    CANCELLED = _same(1032, "Request cancelled by user")
    UNANSWERED = _same(1036, "SMSC ACK timeout.")
    IGNORED = Wording(1037, "No response from user.", "DS timeout user cannot be reached")
    UNREACHABLE = _same(1037, "DS timeout user cannot be reached")
    WRONG_PIN = _same(2001, "The initiator information is invalid.")
    DECLINED = _same(2006, "Declined due to account rule.")
    WRONG_PRODUCT = _same(2028, "The request is not permitted according to product assignment.")
    WRONG_TILL = _same(2029, "Failed due to an unresolved reason type.")
    NO_EVIDENCE = _same(2032, "No evidence was found.")
    PIN_LOCKED = _same(8006, "The security credential is locked.")
    INTERNAL = _same(9999, "An error occurred while sending a push request.")
    WRONG_PARTY = _same("SFC_IC0003", "The operator does not exist.")
    BAD_DEBT = _same("E3008", "Error, the user has a bad debt contract.")

    @property
    def code(self) -> int | str:
        """The ResultCode, in the JSON type that a callback has."""
        return self.value.code

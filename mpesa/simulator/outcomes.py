"""How a payment request can end, with the code and the words that Daraja uses for it."""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True)
class Wording:
    """The code of an ending and its texts; callbacks and queries may use different ones.

    A code that has letters is a JSON string on the wire, any other a number (Daraja docs,
    M-PESA Express result codes; seen in real callbacks).
    """

    code: int | str
    callback_text: str
    query_text: str


def _worded(code: int | str, text: str) -> Wording:
    return Wording(code, text, text)


class Outcome(Enum):
    """The ending of a payment request. Texts vary in real life, and only the code has a meaning."""

    PAID = _worded(0, "The service request is processed successfully.")
    INSUFFICIENT = _worded(1, "The balance is insufficient for the transaction.")
    UNDER_LIMIT = _worded(2, "Declined due to limit rule: less than the minimum amount.")
    OVER_LIMIT = _worded(3, "Declined due to limit rule: greater than the maximum amount.")
    DAILY_LIMIT = _worded(4, "Declined due to limit rule: would exceed the daily limit.")
    FULL_ACCOUNT = _worded(8, "Declined due to limit rule: would exceed the maximum balance.")
    INVALID_STATE = _worded(11, "The DebitParty is in an invalid state.")
    SAME_AMOUNT = _worded(17, "Rule limited.")
    TRAFFIC = _worded(26, "Traffic blocking condition in place.")
    LINE_BUSY = _worded(1001, "Unable to lock subscriber.")
    EXPIRED = _worded(1019, "Transaction expired. No MO has been received.")
    NOT_SENT = _worded(1025, "An error occurred while sending a push request.")
    CANCELLED = _worded(1032, "Request cancelled by user")
    UNANSWERED = _worded(1036, "SMSC ACK timeout.")
    IGNORED = Wording(1037, "No response from user.", "DS timeout user cannot be reached")
    UNREACHABLE = _worded(1037, "DS timeout user cannot be reached")
    WRONG_PIN = _worded(2001, "The initiator information is invalid.")
    DECLINED = _worded(2006, "Declined due to account rule.")
    WRONG_PRODUCT = _worded(2028, "The request is not permitted according to product assignment.")
    WRONG_TILL = _worded(2029, "Failed due to an unresolved reason type.")
    NO_EVIDENCE = _worded(2032, "No evidence was found.")
    PIN_LOCKED = _worded(8006, "The security credential is locked.")
    INTERNAL = _worded(9999, "An error occurred while sending a push request.")
    WRONG_PARTY = _worded("SFC_IC0003", "The operator does not exist.")
    BAD_DEBT = _worded("E3008", "Error, the user has a bad debt contract.")

    @property
    def code(self) -> int | str:
        """The ResultCode, in the JSON type that a callback has."""
        return self.value.code

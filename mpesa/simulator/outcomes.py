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
    """The ending of one payment request."""

    PAID = _same(0, "The service request is processed successfully.")
    INSUFFICIENT = _same(1, "The balance is insufficient for the transaction.")
    OVER_LIMIT = _same(3, "Declined due to limit rule: greater than the maximum amount.")
    CANCELLED = _same(1032, "Request cancelled by user")
    IGNORED = Wording(1037, "No response from user.", "DS timeout user cannot be reached")
    UNREACHABLE = _same(1037, "DS timeout user cannot be reached")
    WRONG_PIN = _same(2001, "The initiator information is invalid.")
    WRONG_PARTY = _same("SFC_IC0003", "The operator does not exist.")

    @property
    def code(self) -> int | str:
        """The ResultCode, in the JSON type that a callback has."""
        return self.value.code

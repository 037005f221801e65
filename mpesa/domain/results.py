"""Read a result: what Daraja posts some time after it took a question or an order.

Reversal, Transaction Status and Account Balance share one form (Daraja docs, "Result" on each of
their pages), and its traps: codes as numbers or texts, parameters as a list, one object or none,
keys without a value, keys that stand twice, and a placeholder where there is no receipt.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime

from mpesa.domain.callback import parse_id, parse_receipt
from mpesa.domain.money import cents_told
from mpesa.domain.untrusted_json import Unreadable, read_code, read_json, read_text
from mpesa.domain.wire_words import read_nairobi_time

# "00" for one API and "00000000" for another mean success as well (both seen).
_SUCCESS = re.compile(r"0+")
# The beginning of a receipt number, which tells the day, and noughts: "UJ10000000".
_PLACEHOLDER = re.compile(r"[A-Z0-9]{3}0{7}")
_LONGEST_DESCRIPTION = 200
# An account balance of all accounts has a few hundred characters.
_LONGEST_VALUE = 4000


class UnreadableResult(Unreadable):
    """The body cannot be understood as a result; the message says why."""


@dataclass(frozen=True, slots=True)
class Result:
    """The claims of a result.

    Attributes:
        code: as text; every code of noughts alone is `"0"`.
        description: Daraja's sentence, trimmed; `""` without one.
        conversation_id: Daraja's id of the request; None where missing or unusable.
        originator_conversation_id: likewise.
        receipt: `TransactionID`, the receipt of what was just done; None where it is missing or a
            placeholder, as always with Status and Balance.
        parameters: name and value of each, in the order of the body; a value is text, trimmed, and
            None where there is none. One name may stand here twice.
    """

    code: str
    description: str = field(repr=False)
    conversation_id: str | None
    originator_conversation_id: str | None
    receipt: str | None
    parameters: tuple[tuple[str, str | None], ...] = field(repr=False)

    @property
    def went_well(self) -> bool:
        """Whether the request was carried out; of a question: whether it was answered."""
        return self.code == "0"

    def values(self, name: str) -> tuple[str, ...]:
        """All different values of a parameter, in the order of the body."""
        told = (value for each, value in self.parameters if each == name and value)
        return tuple(dict.fromkeys(told))

    def value(self, name: str) -> str | None:
        """The value of a parameter; None where there is none, or where two disagree."""
        values = self.values(name)
        return values[0] if len(values) == 1 else None

    def disagrees(self, name: str) -> bool:
        """Whether a parameter stands there with two different values."""
        return len(self.values(name)) > 1

    def amount(self, name: str) -> int | None:
        """A parameter in cents; None where it is no positive amount, or two disagree."""
        amounts = {cents_told(each) for each in self.values(name)}
        return amounts.pop() if len(amounts) == 1 else None

    def time(self, name: str) -> datetime | None:
        """A parameter as aware UTC; None where it is no time, or two disagree."""
        return read_nairobi_time(self.value(name))

    def receipt_of(self, name: str) -> str | None:
        """A parameter as a receipt number; None where it is none, or two disagree."""
        return read_receipt(self.value(name))


def read_receipt(value: object) -> str | None:
    """Read a receipt number, upper-cased; None for a placeholder and for all that is none."""
    receipt = parse_receipt(value)
    return None if receipt is None or _PLACEHOLDER.fullmatch(receipt) else receipt


def parse_result(body: bytes) -> Result:
    """Read the body of a POST to a result address or to a timeout address.

    Args:
        body: the raw bytes of the POST.

    Raises:
        UnreadableResult: the body is no JSON, or has no `Result` or no usable `ResultCode`. A
            missing, null or boolean code is never 0.
    """
    try:
        document = read_json(body)
        result = document.get("Result") if isinstance(document, dict) else None
        if not isinstance(result, dict):
            raise UnreadableResult("no Result")
        code = read_code(result.get("ResultCode"))
    except UnreadableResult:
        raise
    except Unreadable as why:
        raise UnreadableResult(str(why)) from None
    told = result.get("ResultParameters")
    listed = told.get("ResultParameter") if isinstance(told, dict) else None
    if isinstance(listed, dict):  # one parameter comes without its list
        listed = [listed]
    return Result(
        code="0" if _SUCCESS.fullmatch(code) else code,
        description=read_text(result.get("ResultDesc"), _LONGEST_DESCRIPTION) or "",
        conversation_id=parse_id(result.get("ConversationID")),
        originator_conversation_id=parse_id(result.get("OriginatorConversationID")),
        receipt=read_receipt(result.get("TransactionID")),
        parameters=tuple(
            (each["Key"].strip(), read_text(each.get("Value"), _LONGEST_VALUE))
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict) and isinstance(each.get("Key"), str)
        ),
    )

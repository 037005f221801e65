"""The results of API users' requests, in the shapes that were seen on the wire."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from random import Random
from typing import Any

from mpesa.simulator import ids
from mpesa.simulator.organisation import Shapes

SUCCESS_TEXT = "The service request is processed successfully."

# A value that is missing: the item is a Key alone.
NO_VALUE = object()


class Failure(Enum):
    """A code and its text, by Daraja's docs. Texts vary in real life; only codes have a meaning."""

    TOO_LITTLE_MONEY = ("1", "The balance is insufficient for the transaction.")
    BELOW_MINIMUM = ("2", "Declined due to limit rule: less than the minimum transaction amount.")
    ABOVE_MAXIMUM = ("3", "Declined due to limit rule: greater than the maximum amount.")
    NO_ROLE = ("21", "The initiator is not allowed to initiate this request.")
    WRONG_INITIATOR = ("2001", "The initiator information is invalid.")
    NO_SUCH_RECEIPT = ("2032", "The transaction receipt number does not exist.")
    # The text ends with a blank (sandbox, October 2026).
    LOCKED = ("8006", "The security credential is locked. ")
    ALREADY_REVERSED = ("R000001", "The transaction has already been reversed.")
    NOT_REVERSIBLE = ("R000002", "The OriginalTransactionID is invalid.")
    NO_PERMISSION = ("TP40153", "The operator has no permission for this API.")
    NO_PARTY = ("SFC_IC0003", "The operator does not exist.")


@dataclass(frozen=True)
class Amount:
    """Cents that are written as a JSON number with two places, like 500.00."""

    cents: int


Parameters = Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Result:
    """What came of a request.

    Attributes:
        parameters: names and values in wire order.
        receipt: the one that the request made; None: a placeholder is told.
        is_text: the code is a string even where it is a number (Account Balance).
    """

    code: str
    text: str
    parameters: Parameters = ()
    receipt: str | None = None
    is_text: bool = False

    @classmethod
    def of(cls, failure: Failure) -> "Result":
        """The result of a request that failed."""
        return cls(*failure.value)


@dataclass(frozen=True)
class Conversation:
    """The two ids that a request was acknowledged with."""

    originator: str
    id: str


def acknowledgement(conversation: Conversation) -> dict[str, str]:
    """Make the answer to a request that was taken, which says nothing about how it ends."""
    return {
        "OriginatorConversationID": conversation.originator,
        "ConversationID": conversation.id,
        "ResponseCode": "0",
        "ResponseDescription": "Accept the service request successfully.",
    }


def result_body(
    result: Result, conversation: Conversation, now: datetime, api: str, shapes: Shapes
) -> bytes:
    """Make the body of a result.

    Args:
        api: the word for it in Safaricom's internal address.
        shapes: odd: each type and form differs from the plain one, as other captures do.
    """
    is_odd = shapes is Shapes.ODD
    is_number = result.code.isdecimal() and result.is_text is is_odd
    told: dict[str, Any] = {
        "ResultType": "0" if is_odd else 0,
        "ResultCode": int(result.code) if is_number else result.code,
        "ResultDesc": result.text,
        "OriginatorConversationID": conversation.originator,
        "ConversationID": conversation.id,
        "TransactionID": result.receipt or ids.placeholder_receipt(now),
    }
    parameters = [_item(name, value, is_odd) for name, value in result.parameters]
    if parameters:
        told["ResultParameters"] = {"ResultParameter": parameters}
    elif is_odd:
        # One entry alone is no list (sandbox captures of failed requests).
        finished = int(f"{now.astimezone(ids.NAIROBI):%Y%m%d%H%M%S}")
        told["ResultParameters"] = {
            "ResultParameter": {"Key": "BOCompletedTime", "Value": finished}
        }
    reference = {
        "Key": "QueueTimeoutURL",
        "Value": f"https://internalapi.safaricom.co.ke/mpesa/{api}/v1/submit",
    }
    told["ReferenceData"] = {
        "ReferenceItem": [reference, {"Key": "Occasion"}] if is_odd else reference
    }
    body = json.dumps({"Result": told}, separators=(",", ":"))
    # json would write 500.0.
    return re.sub(r'"<([0-9.-]+)>"', r"\1", body).encode()


def timeout_body(conversation: Conversation, shapes: Shapes, chance: Random) -> bytes:
    """Make the body for a QueueTimeOutURL, which nobody has documented or captured.

    Args:
        shapes: odd: one of three others, by chance.
    """
    both = {
        "OriginatorConversationID": conversation.originator,
        "ConversationID": conversation.id,
    }
    if shapes is Shapes.ODD:
        alone = json.dumps({"OriginatorConversationID": conversation.originator}).encode()
        return chance.choice([b"", alone, b"<html>The request timed out.</html>"])
    told = {"ResultType": 1, "ResultCode": "1", "ResultDesc": "The service request timed out."}
    return json.dumps({"Result": told | both}, separators=(",", ":")).encode()


def _item(name: str, value: object, is_odd: bool) -> dict[str, object]:
    match value:
        case Amount(cents):
            text = f"{cents // 100}.{cents % 100:02d}"
            value = text if is_odd else f"<{text}>"
        case int() if is_odd:
            value = str(value)
    return {"Key": name} if value is NO_VALUE else {"Key": name, "Value": value}

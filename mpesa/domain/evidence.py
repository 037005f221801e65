"""A piece of evidence as it arrived, before anything is made of it."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """Where a piece of evidence came from."""

    PUSH_ANSWER = "push_answer"
    CALLBACK = "callback"
    QUERY = "query"
    CLOCK = "clock"
    SMS_CODE = "sms_code"
    OPERATOR = "operator"
    FORGOTTEN = "forgotten"
    CLAIM = "claim"
    RECEIPT = "receipt"
    HAND = "hand"


@dataclass(frozen=True)
class Raw:
    """Evidence as it arrived.

    Attributes:
        source: the address or the person that it came from.
        stored_id: its row's id where it was stored before.
        share: a mark of the stranger that caused it; that stranger's share of the questions to
            Daraja pays for the one that it calls for. None: no stranger caused it.
    """

    kind: Kind
    body: bytes = b""
    source: str | None = None
    stored_id: int | None = None
    share: str | None = None

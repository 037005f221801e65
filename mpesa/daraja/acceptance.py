"""Whether a request whose result comes later was taken, did not run, or may have run.

One place for all of Daraja's refusals, since money hangs on it: what may have run is never sent
again. A code alone decides nothing: 500.002.1001 means a duplicate as well as an internal error,
and 403.002.1001 within a 500 proves nothing (Daraja docs, and reports of its users).
"""

import re
from dataclasses import dataclass, field

from mpesa.daraja.answers import Answer, field_named, says_token_is_dead, text_of
from mpesa.daraja.errors import Refused, UnknownOutcome
from mpesa.domain.callback import parse_id
from mpesa.domain.result_codes import Reason

# "0" here, "00" and "00000000" elsewhere.
_SUCCESS = re.compile(r"0+")
_ERROR_CODE = re.compile(r"[0-9]{3}\.[0-9.]{1,16}")
# A gateway counts calls before it lets them through: "spike arrest" and "quota".
_COUNTED = frozenset({"500.003.02", "500.003.03"})
_COUNTED_WORDS = ("spike arrest", "quota violation", "rate limit")
# These name what is wrong with a request, and such a request goes no further.
_REFUSING = frozenset({400, 401, 403, 404, 405, 415, 429})


@dataclass(frozen=True)
class Accepted:
    """Daraja took the request, which proves nothing about credential, receipt or money.

    Attributes:
        conversation_id: Daraja's id of it; None where it gave none.
        originator_conversation_id: likewise.
        body: the whole answer, as evidence.
    """

    conversation_id: str | None
    originator_conversation_id: str | None
    body: bytes = field(repr=False)


def read_acceptance(answer: Answer) -> Accepted:
    """Read the answer to Reversal, Transaction Status, or another request with a later result.

    Raises:
        Refused: the request did not run; `SYSTEM_BUSY` where it may be made again later.
        UnknownOutcome: it may have run.
    """
    fields = answer.fields or {}
    if answer.status == 200 and _SUCCESS.fullmatch(text_of(fields.get("ResponseCode")) or ""):
        return Accepted(
            conversation_id=parse_id(fields.get("ConversationID")),
            originator_conversation_id=parse_id(
                # Spelt in both ways on the wire.
                fields.get("OriginatorConversationID") or fields.get("OriginatorCoversationID")
            ),
            body=answer.body,
        )
    if reason := refusal_of(answer):
        named = field_named(answer)
        told = f"refused: {answer}" + (f" ({named})" if named else "")
        raise Refused(reason, told, answer.excerpt)
    raise UnknownOutcome(f"unclear: {answer}", answer.excerpt)


def refusal_of(answer: Answer) -> Reason | None:
    """Why a request did not run; None: it did, or may have."""
    fields = answer.fields
    if fields is None:  # a firewall's page, or a proxy's
        return None
    if says_token_is_dead(answer):
        return Reason.MISCONFIGURED
    code = answer.error_code or ""
    text = answer.body.decode("utf-8", "replace").lower()
    counted = code in _COUNTED or any(each in text for each in _COUNTED_WORDS)
    if answer.status in (429, 500) and counted:
        return Reason.SYSTEM_BUSY
    if answer.status in _REFUSING and _ERROR_CODE.fullmatch(code):
        return Reason.SYSTEM_BUSY if answer.status == 429 else Reason.MISCONFIGURED
    return None

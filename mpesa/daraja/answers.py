"""The meaning of Daraja's answers. Pure: a status and a body in, a meaning or an error out.

Only a JSON object can be a clear no. Everything else may come from a firewall, a proxy or a gateway
that lost the real answer, so it proves nothing about what became of a push.
"""

import json
import re
from dataclasses import dataclass, field

from mpesa.daraja.errors import NoAnswer, NotSent, Refused, UnknownOutcome
from mpesa.domain.callback import parse_id
from mpesa.domain.result_codes import Reason

# Enough to recognise a firewall's page, and little enough to keep as evidence.
EXCERPT_BYTES = 500
# Daraja docs, Authorization page: a token lives for 3,600 s and says 3599.
_USUAL_LIFETIME = 3599

_ERROR_CODE = re.compile(r"[0-9]{3}\.[0-9.]{1,16}")
_SECONDS = re.compile(r"[0-9]{1,9}")
_TOKEN = re.compile(r"[!-~]{1,4096}")
_TOKEN_IN_BODY = re.compile(rb'("access_token"\s*:\s*")[^"]*')

# A gateway says these before the request reaches M-PESA, so the same call may be made once more.
_DEAD_TOKEN_CODES = frozenset({"404.001.03", "401.003.01", "400.003.01"})
_REFUSED_CREDENTIALS_CODES = frozenset({"400.008.01", "400.008.02"})

# By text, since 500.001.1001 alone has at least six meanings, one of them "internal error".
_REASON_OF_TEXT = {
    "unable to lock subscriber": Reason.LINE_BUSY,
    "duplicated msisdn": Reason.LINE_BUSY,
    "existing ussd session": Reason.LINE_BUSY,
    "existing session": Reason.LINE_BUSY,
    "wrong credentials": Reason.MISCONFIGURED,
    "merchant does not exist": Reason.MISCONFIGURED,
    "merchant not allowed": Reason.MISCONFIGURED,
}
_REASON_OF_CODE = {"500.003.02": Reason.SYSTEM_BUSY, "500.003.03": Reason.SYSTEM_BUSY}
_REASON_OF_STATUS = {
    **dict.fromkeys((401, 403, 404, 405), Reason.MISCONFIGURED),
    429: Reason.SYSTEM_BUSY,
}

# A 400 names the field that it dislikes, in words ("Bad Request - Invalid PhoneNumber", "Invalid
# phone number"). The payer chose the number, and the merchant's settings make all the others.
_PAYERS_FIELDS = ("PhoneNumber", "PartyA", "MSISDN", "Phone")
_MERCHANTS_FIELDS = (
    "BusinessShortCode", "ShortCode", "Password", "Passkey", "Timestamp", "TransactionType",
    "Amount", "PartyB", "CallBackURL", "AccountReference", "Remarks", "TransactionDesc",
    "AccessToken", "InitiatorName", "Initiator", "SecurityCredential", "CommandID", "TransactionID",
    "RecieverIdentifierType", "IdentifierType", "ReceiverParty", "ResultURL", "QueueTimeOutURL",
    "ConfirmationURL", "ValidationURL", "ResponseType", "NominatedNumber",
)  # fmt: skip
_FIELDS = {each.lower(): each for each in (*_PAYERS_FIELDS, *_MERCHANTS_FIELDS)}
# "Invalid Request Payload" and the like name no field.
_INVALID_SOMETHING = re.compile(r"invalid[\s:_-]*(?!request|payload|json)[a-z]")


@dataclass(frozen=True)
class Answer:
    """A complete answer over HTTP."""

    status: int
    body: bytes = field(repr=False)

    @property
    def fields(self) -> dict[str, object] | None:
        """The body as a JSON object; None where it is anything else."""
        try:
            parsed = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return parsed if isinstance(parsed, dict) else None

    @property
    def error_code(self) -> str | None:
        """Daraja's `errorCode`; None without one."""
        return text_of((self.fields or {}).get("errorCode"))

    @property
    def excerpt(self) -> bytes:
        """The first bytes of the body, see `excerpt()`."""
        return excerpt(self.body)

    def __str__(self) -> str:
        code = self.error_code or ""
        shown = f" with {code}" if _ERROR_CODE.fullmatch(code) else ""
        return f"Daraja answered HTTP {self.status}{shown}"


@dataclass(frozen=True)
class AccessToken:
    """An OAuth token.

    Attributes:
        expires_in: its lifetime in seconds, counted from the request for it.
    """

    value: str = field(repr=False)
    expires_in: int = _USUAL_LIFETIME


@dataclass(frozen=True)
class PushAccepted:
    """Daraja took the push, which does not yet mean that a prompt was shown.

    Attributes:
        checkout_request_id: it contains the payer's number, so it is personal data.
        body: the whole answer, as evidence.
    """

    merchant_request_id: str
    checkout_request_id: str = field(repr=False)
    body: bytes = field(repr=False)


@dataclass(frozen=True)
class QueryAnswer:
    """The answer to a query about a payment; the domain says what its code means.

    Attributes:
        merchant_request_id: as Daraja gave it; None where it gave none.
        checkout_request_id: likewise; it is not compared with the one that was asked about.
        body: the whole answer, as evidence.
    """

    result_code: str
    result_description: str = field(repr=False)
    merchant_request_id: str | None
    checkout_request_id: str | None = field(repr=False)
    body: bytes = field(repr=False)


def excerpt(body: bytes) -> bytes:
    """The first 500 bytes of an answer, with a token in them blanked."""
    return _TOKEN_IN_BODY.sub(rb"\1[token]", body)[:EXCERPT_BYTES]


def says_token_is_dead(answer: Answer) -> bool:
    """Whether the call did not run, since its token has expired or was replaced."""
    return 400 <= answer.status < 500 and answer.error_code in _DEAD_TOKEN_CODES


def read_token(answer: Answer) -> AccessToken:
    """Read the token in an answer of the OAuth endpoint (Daraja docs, Authorization page).

    Raises:
        NotSent: there is none; `MISCONFIGURED` where the credentials were refused.
    """
    fields = answer.fields or {}
    value = fields.get("access_token")
    if answer.status == 200 and isinstance(value, str) and _TOKEN.fullmatch(value):
        seconds = text_of(fields.get("expires_in")) or ""
        lifetime = int(seconds) if _SECONDS.fullmatch(seconds) else 0
        return AccessToken(value, lifetime or _USUAL_LIFETIME)
    # Daraja answers unknown credentials with a 400 that has no body at all.
    empty_400 = answer.status == 400 and not answer.body.strip()
    forbidden = answer.status == 403 and answer.fields is not None
    named = answer.error_code in _REFUSED_CREDENTIALS_CODES
    refused = empty_400 or forbidden or named or answer.status == 401
    reason = Reason.MISCONFIGURED if refused else Reason.SYSTEM_BUSY
    raise NotSent(reason, f"no token: {answer}", answer.excerpt)


def read_push(answer: Answer) -> PushAccepted:
    """Read the ids in an answer to a push.

    Raises:
        Refused: a clear no.
        UnknownOutcome: neither a clear yes nor a clear no.
    """
    fields = answer.fields or {}
    merchant_id = parse_id(fields.get("MerchantRequestID"))
    checkout_id = parse_id(fields.get("CheckoutRequestID"))
    if _is_accepted(answer) and merchant_id and checkout_id:
        return PushAccepted(merchant_id, checkout_id, answer.body)
    if reason := _refusal(answer):
        named = _field_in(_message(answer)) if answer.status == 400 else None
        told = f"push refused: {answer}" + (f" ({named})" if named else "")
        raise Refused(reason, told, answer.excerpt)
    raise UnknownOutcome(f"push unclear: {answer}", answer.excerpt)


def read_query(answer: Answer) -> QueryAnswer:
    """Read the result in an answer to a query, with any code.

    Raises:
        NoAnswer: the answer says nothing about the payment.
    """
    fields = answer.fields or {}
    code = text_of(fields.get("ResultCode"))
    if not _is_accepted(answer) or not code:
        raise NoAnswer(f"query unclear: {answer}", answer.excerpt)
    return QueryAnswer(
        result_code=code,
        result_description=text_of(fields.get("ResultDesc")) or "",
        merchant_request_id=parse_id(fields.get("MerchantRequestID")),
        checkout_request_id=parse_id(fields.get("CheckoutRequestID")),
        body=answer.body,
    )


def text_of(value: object) -> str | None:
    """A string, or an integer as one; None for anything else, since False must never read as 0."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() if isinstance(value, str) else None


def field_named(answer: Answer) -> str | None:
    """The field that a refusal names, by our own word for it; None: it names none."""
    return _field_in(_message(answer))


def _is_accepted(answer: Answer) -> bool:
    return answer.status == 200 and text_of((answer.fields or {}).get("ResponseCode")) == "0"


def _refusal(answer: Answer) -> Reason | None:
    if answer.fields is None or answer.status < 400:
        return None
    message = _message(answer)
    for text, reason in _REASON_OF_TEXT.items():
        if text in message:
            return reason
    if says_token_is_dead(answer):
        return Reason.MISCONFIGURED
    if by_code := _REASON_OF_CODE.get(answer.error_code or ""):
        return by_code
    if answer.status == 400:
        whose = _field_in(message)
        return Reason.PUSH_REFUSED if whose in (None, *_PAYERS_FIELDS) else Reason.MISCONFIGURED
    return _REASON_OF_STATUS.get(answer.status)


def _message(answer: Answer) -> str:
    return (text_of((answer.fields or {}).get("errorMessage")) or "").lower()


def _field_in(message: str) -> str | None:
    """The field that a refusal names first, by our own word for it; None: it names none.

    Args:
        message: in lower case. No part of it is returned, since it may repeat what was sent.
    """
    letters = re.sub("[^a-z]", "", message)
    # Of names that begin at the same place the longest counts: "phone" is in "phonenumber" too.
    found = [(letters.find(name), -len(name), each) for name, each in _FIELDS.items()]
    named = min((each for each in found if each[0] >= 0), default=None)
    if named is not None:
        return named[2]
    return "a field that we do not know" if _INVALID_SOMETHING.search(message) else None

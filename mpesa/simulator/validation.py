"""Daraja's checks of a push and of a query, in the order in which it names the wrong field."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from urllib.parse import urlsplit

from mpesa.simulator.organisation import CallbackWords, Organisation, TillMismatch
from mpesa.simulator.refusals import core_error, invalid
from mpesa.simulator.script import MSISDN

SHORTCODE = "174379"  # the sandbox's PayBill
# A till of our own, since the sandbox publishes none: the store that went live, and its till.
STORE, STORE_TILL = "174380", "5174380"
# The sandbox's passkey, which Safaricom publishes with its test credentials.
PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"

PAYBILL = "CustomerPayBillOnline"
TILL = "CustomerBuyGoodsOnline"

# Safaricom's rule for callback addresses (Daraja docs, Customer to Business Register URL); "exec"
# contains "exe". That the push obeys it too was reported once, the contrary more often.
_FORBIDDEN_WORDS = ("mpesa", "m-pesa", "safaricom", "exe", "cmd", "sql", "query")
_PARTY = r"[0-9]{5,7}"


@dataclass(frozen=True)
class PushRequest:
    """A push that passed every check; `amount` in whole KES."""

    shortcode: str
    msisdn: str
    amount: int
    party: str
    kind: str
    callback_url: str
    reference: str

    @property
    def is_astray(self) -> bool:
        """True for money to a party of somebody else: taken, but it fails later (Daraja docs)."""
        if self.shortcode == STORE:
            return self.party != STORE_TILL
        return self.kind == PAYBILL and self.party != SHORTCODE


def read_push(body: Mapping[str, object], merchant: Organisation) -> PushRequest:
    """Return what a push asks for; raises Refusal at the first field that Daraja would refuse."""
    _check_shape_of_credentials(body)
    kind = _kind(body, merchant.till_mismatch)
    amount = _amount(body)
    request = PushRequest(
        shortcode=_text(body, "BusinessShortCode"),
        kind=kind,
        amount=amount,
        msisdn=_matching(body, "PhoneNumber", MSISDN.pattern),
        party=_parties(body),
        callback_url=_callback_url(body, merchant.callback_words),
        reference=_words(body, "AccountReference", "AccountReference"),
    )
    _words(body, "TransactionDesc", "Remarks")
    _check_credentials(body)
    return request


def read_query(body: Mapping[str, object]) -> str:
    """Return the CheckoutRequestID that a query asks about; raises Refusal like `read_push`."""
    _check_shape_of_credentials(body)
    checkout_request_id = _matching(body, "CheckoutRequestID", r"[A-Za-z0-9_.-]{1,64}")
    _check_credentials(body)
    return checkout_request_id


def _check_shape_of_credentials(body: Mapping[str, object]) -> None:
    _matching(body, "BusinessShortCode", _PARTY)
    _words(body, "Password", "Password")
    timestamp = _matching(body, "Timestamp", r"[0-9]{14}")
    try:
        # The zone is not checked by Daraja either: any real point in time will do.
        datetime.strptime(f"{timestamp}+0300", "%Y%m%d%H%M%S%z")
    except ValueError:
        raise invalid("Timestamp") from None


def _check_credentials(body: Mapping[str, object]) -> None:
    shortcode = _text(body, "BusinessShortCode")
    if shortcode not in (SHORTCODE, STORE):
        raise core_error("Merchant does not exist")
    signed = b64encode(f"{shortcode}{PASSKEY}{_text(body, 'Timestamp')}".encode())
    if not compare_digest(signed, _text(body, "Password").encode()):
        raise core_error("Wrong credentials")


def _text(body: Mapping[str, object], name: str) -> str:
    """Numbers and strings mean the same to Daraja; anything else is as good as missing."""
    value = body.get(name)
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _matching(body: Mapping[str, object], name: str, pattern: str) -> str:
    text = _text(body, name)
    if not re.fullmatch(pattern, text):
        raise invalid(name)
    return text


def _words(body: Mapping[str, object], name: str, public_name: str) -> str:
    text = _text(body, name).strip()
    if not text:
        raise invalid(public_name)
    return text


def _kind(body: Mapping[str, object], mismatch: TillMismatch) -> str:
    kind = body.get("TransactionType")
    allowed = [PAYBILL, TILL] if mismatch is TillMismatch.TAKEN else [PAYBILL]
    if _text(body, "BusinessShortCode") == STORE:
        allowed = [TILL]
    if kind not in allowed:
        raise invalid("TransactionType")
    return str(kind)


def _parties(body: Mapping[str, object]) -> str:
    """Return who is paid; a bad number is blamed on PhoneNumber before anybody looks at PartyA."""
    _matching(body, "PartyA", MSISDN.pattern)
    return _matching(body, "PartyB", _PARTY)


def _amount(body: Mapping[str, object]) -> int:
    value = body.get("Amount")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = _text({"Amount": value}, "Amount")
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) < 1:
        raise invalid("Amount")
    return int(text)


def _callback_url(body: Mapping[str, object], words: CallbackWords) -> str:
    url = _text(body, "CallBackURL")
    if not _is_allowed(url, words):
        raise invalid("CallBackURL")
    return url


def _is_allowed(url: str, words: CallbackWords) -> bool:
    """Plain http and unknown hosts pass, as in the sandbox; the strict rule spares host names."""
    if not re.fullmatch(r"https?://[^\s<>\"]{1,2000}", url):
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    said = f"{parts.path}?{parts.query}".lower()
    is_strict = words is CallbackWords.REFUSED
    return bool(host) and not (is_strict and any(word in said for word in _FORBIDDEN_WORDS))

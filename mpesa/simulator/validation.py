"""Daraja's checks of a push and of a query, in the order in which it names the wrong field."""

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
# contains "exe". One report says that pushes obey it too, and several say the contrary.
_FORBIDDEN_WORDS = ("mpesa", "m-pesa", "safaricom", "exe", "cmd", "sql", "query")
_PARTY = r"[0-9]{5,7}"


@dataclass(frozen=True)
class PushRequest:
    """A push that passed every check.

    Attributes:
        amount: whole KES.
        party: PartyB, which is to be paid.
        kind: the TransactionType.
    """

    shortcode: str
    msisdn: str
    amount: int
    party: str
    kind: str
    callback_url: str
    reference: str

    @property
    def is_astray(self) -> bool:
        """Whether another merchant would be paid: such a push fails later (Daraja docs)."""
        if self.shortcode == STORE:
            return self.party != STORE_TILL
        return self.kind == PAYBILL and self.party != SHORTCODE


def read_push(body: Mapping[str, object], merchant: Organisation) -> PushRequest:
    """Read a push.

    Raises:
        Refusal: names the first field that Daraja would refuse.
    """
    _check_shape_of_credentials(body)
    shortcode, kind = _text(body, "BusinessShortCode"), body.get("TransactionType")
    allowed = [PAYBILL, TILL] if merchant.till_mismatch is TillMismatch.TAKEN else [PAYBILL]
    if kind not in ([TILL] if shortcode == STORE else allowed):
        raise invalid("TransactionType")
    amount = body.get("Amount")
    if isinstance(amount, float) and amount.is_integer():
        amount = int(amount)
    shillings = _text({"Amount": amount}, "Amount")
    if not re.fullmatch(r"[0-9]{1,12}", shillings) or int(shillings) < 1:
        raise invalid("Amount")
    # Daraja looks at PhoneNumber before PartyA, so that a bad number is blamed on it.
    msisdn = _matching(body, "PhoneNumber", MSISDN.pattern)
    _matching(body, "PartyA", MSISDN.pattern)
    request = PushRequest(
        shortcode=shortcode,
        kind=str(kind),
        amount=int(shillings),
        msisdn=msisdn,
        party=_matching(body, "PartyB", _PARTY),
        callback_url=_callback_url(body, merchant.callback_words),
        reference=_words(body, "AccountReference", "AccountReference"),
    )
    _words(body, "TransactionDesc", "Remarks")
    _check_credentials(body)
    return request


def read_query(body: Mapping[str, object]) -> str:
    """Read the CheckoutRequestID of a query.

    Raises:
        Refusal: names the first field that Daraja would refuse.
    """
    _check_shape_of_credentials(body)
    checkout_request_id = _matching(body, "CheckoutRequestID", r"[A-Za-z0-9_.-]{1,64}")
    _check_credentials(body)
    return checkout_request_id


def _check_shape_of_credentials(body: Mapping[str, object]) -> None:
    _matching(body, "BusinessShortCode", _PARTY)
    _words(body, "Password", "Password")
    timestamp = _matching(body, "Timestamp", r"[0-9]{14}")
    try:
        # Daraja does not check the zone either: any real point in time will do.
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
    """A field as text: Daraja treats numbers like strings, and other types like missing fields."""
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


def _callback_url(body: Mapping[str, object], words: CallbackWords) -> str:
    """The address; plain http and unknown hosts pass, as in the sandbox."""
    url = _text(body, "CallBackURL")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise invalid("CallBackURL") from None
    if not host or not re.fullmatch(r"https?://[^\s<>\"]{1,2000}", url):
        raise invalid("CallBackURL")
    # The strict rule does not look at the host name.
    behind_host = f"{parts.path}?{parts.query}".lower()
    if words is CallbackWords.REFUSED and any(word in behind_host for word in _FORBIDDEN_WORDS):
        raise invalid("CallBackURL")
    return url

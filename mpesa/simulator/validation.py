"""Daraja's checks of a push and of a query, in the order in which it names the wrong field."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from hmac import compare_digest
from urllib.parse import urlsplit

from mpesa.simulator.fields import (
    FORBIDDEN_WORDS,
    PARTY,
    Body,
    address,
    matching,
    shillings,
    text,
    words,
)
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


def read_push(body: Body, merchant: Organisation) -> PushRequest:
    """Read a push.

    Raises:
        Refusal: names the first field that Daraja would refuse.
    """
    _check_shape_of_credentials(body)
    shortcode, kind = text(body, "BusinessShortCode"), body.get("TransactionType")
    allowed = [PAYBILL, TILL] if merchant.till_mismatch is TillMismatch.TAKEN else [PAYBILL]
    if kind not in ([TILL] if shortcode == STORE else allowed):
        raise invalid("TransactionType")
    amount = shillings(body, "Amount")
    # Daraja looks at PhoneNumber before PartyA, so that a bad number is blamed on it.
    msisdn = matching(body, "PhoneNumber", MSISDN.pattern)
    matching(body, "PartyA", MSISDN.pattern)
    request = PushRequest(
        shortcode=shortcode,
        kind=str(kind),
        amount=amount,
        msisdn=msisdn,
        party=matching(body, "PartyB", PARTY),
        callback_url=_callback_url(body, merchant.callback_words),
        reference=words(body, "AccountReference", "AccountReference"),
    )
    words(body, "TransactionDesc", "Remarks")
    _check_credentials(body)
    return request


def read_query(body: Body) -> str:
    """Read the CheckoutRequestID of a query.

    Raises:
        Refusal: names the first field that Daraja would refuse.
    """
    _check_shape_of_credentials(body)
    checkout_request_id = matching(body, "CheckoutRequestID", r"[A-Za-z0-9_.-]{1,64}")
    _check_credentials(body)
    return checkout_request_id


def _check_shape_of_credentials(body: Body) -> None:
    matching(body, "BusinessShortCode", PARTY)
    words(body, "Password", "Password")
    timestamp = matching(body, "Timestamp", r"[0-9]{14}")
    try:
        # Daraja does not check the zone either: any real point in time will do.
        datetime.strptime(f"{timestamp}+0300", "%Y%m%d%H%M%S%z")
    except ValueError:
        raise invalid("Timestamp") from None


def _check_credentials(body: Body) -> None:
    shortcode = text(body, "BusinessShortCode")
    if shortcode not in (SHORTCODE, STORE):
        raise core_error("Merchant does not exist")
    signed = b64encode(f"{shortcode}{PASSKEY}{text(body, 'Timestamp')}".encode())
    if not compare_digest(signed, text(body, "Password").encode()):
        raise core_error("Wrong credentials")


def _callback_url(body: Body, rule: CallbackWords) -> str:
    url = address(body, "CallBackURL")
    parts = urlsplit(url)
    # The strict rule does not look at the host name.
    behind_host = f"{parts.path}?{parts.query}".lower()
    if rule is CallbackWords.REFUSED and any(word in behind_host for word in FORBIDDEN_WORDS):
        raise invalid("CallBackURL")
    return url

"""The bodies of the push and of the query (Daraja docs, M-PESA Express)."""

import base64
from dataclasses import dataclass, field
from datetime import datetime

from mpesa.config import AccountType
from mpesa.daraja.plain_text import transaction_desc
from mpesa.domain.reference import account_reference
from mpesa.domain.wire_words import NAIROBI

_TRANSACTION_TYPES = {
    AccountType.PAYBILL: "CustomerPayBillOnline",
    AccountType.TILL: "CustomerBuyGoodsOnline",
}


@dataclass(frozen=True)
class Merchant:
    """The merchant that is paid, with the credentials of its requests.

    Attributes:
        short_code: the PayBill number; for a till the store (head office) number of the go-live.
        till: the till number, which is then PartyB; None for a PayBill.

    Raises:
        ValueError: a till account without its till number.
    """

    consumer_key: str = field(repr=False)
    consumer_secret: str = field(repr=False)
    short_code: str
    passkey: str = field(repr=False)
    account_type: AccountType = AccountType.PAYBILL
    till: str | None = None

    def __post_init__(self) -> None:
        if self.account_type is AccountType.TILL and not self.till:
            raise ValueError("a till account needs its till number")

    @property
    def party_b(self) -> str:
        """The number that receives the money."""
        if self.account_type is AccountType.TILL and self.till:
            return self.till
        return self.short_code


@dataclass(frozen=True)
class Push:
    """A prompt to be shown on a phone.

    Attributes:
        msisdn: the payer, `2547…` or `2541…`.
        amount: whole Kenyan shillings.
        reference: 1 to 64 of `A-Z a-z 0-9 . _ / -`; Daraja gets the last 12 of them.
        description: any text; Daraja gets a plain 13 characters of it.
        callback_url: where Safaricom posts the result; it holds a secret.
    """

    msisdn: str = field(repr=False)
    amount: int
    reference: str
    description: str
    callback_url: str = field(repr=False)


def push_body(merchant: Merchant, push: Push, now: datetime) -> dict[str, str | int]:
    """Make the JSON fields of `POST /mpesa/stkpush/v1/processrequest`.

    Args:
        now: aware; Daraja gets it in Nairobi time.

    Raises:
        ValueError: the reference has another form.
    """
    return {
        **_signature(merchant, now),
        "TransactionType": _TRANSACTION_TYPES[merchant.account_type],
        "Amount": push.amount,
        "PartyA": push.msisdn,
        "PartyB": merchant.party_b,
        "PhoneNumber": push.msisdn,
        "CallBackURL": push.callback_url,
        "AccountReference": account_reference(push.reference),
        "TransactionDesc": transaction_desc(push.description),
    }


def query_body(merchant: Merchant, checkout_request_id: str, now: datetime) -> dict[str, str | int]:
    """Make the JSON fields of `POST /mpesa/stkpushquery/v1/query`; `now` is aware."""
    return {**_signature(merchant, now), "CheckoutRequestID": checkout_request_id}


def _signature(merchant: Merchant, now: datetime) -> dict[str, str]:
    timestamp = now.astimezone(NAIROBI).strftime("%Y%m%d%H%M%S")
    password = f"{merchant.short_code}{merchant.passkey}{timestamp}".encode()
    return {
        "BusinessShortCode": merchant.short_code,
        "Password": base64.b64encode(password).decode("ascii"),
        "Timestamp": timestamp,
    }

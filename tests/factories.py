"""Settings, orders, callbacks: what most tests begin with."""

import json
from typing import Any

from mpesa.config import Settings

API_KEY = {"Authorization": "Bearer development-api-key"}
PAYER = "0712345678"
PAYER_MSISDN = "254712345678"
SECOND_PAYER = "0722000111"
SECOND_PAYER_MSISDN = "254722000111"
RECEIPT = "UKO1ABCDEF"


def make_settings(**named: str) -> Settings:
    """Settings as from an environment that has only these names."""
    return Settings.from_env(named)


def order_fields(**changed: Any) -> dict[str, Any]:
    """The body of a good POST /api/orders."""
    return {"amount": 150, "reference": "INV-1", "description": "Two coffees", **changed}


def success_callback(
    checkout_id: str,
    merchant_id: str,
    *,
    amount: object = 150.0,
    receipt: object = RECEIPT,
    **changed: Any,
) -> dict[str, Any]:
    """The body of a callback that claims a payment, as Daraja sends it."""
    items = [
        {"Name": "Amount", "Value": amount},
        {"Name": "MpesaReceiptNumber", "Value": receipt},
        {"Name": "Balance"},
        {"Name": "TransactionDate", "Value": 20261124120010},
        {"Name": "PhoneNumber", "Value": 254712345678},
    ]
    callback = {
        "MerchantRequestID": merchant_id,
        "CheckoutRequestID": checkout_id,
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": {"Item": items},
        **changed,
    }
    return {"Body": {"stkCallback": callback}}


def failure_callback(checkout_id: str, merchant_id: str, code: object = 1032) -> dict[str, Any]:
    """The body of a callback that tells of a failure."""
    callback = {
        "MerchantRequestID": merchant_id,
        "CheckoutRequestID": checkout_id,
        "ResultCode": code,
        "ResultDesc": "Request cancelled by user",
    }
    return {"Body": {"stkCallback": callback}}


def raw(document: object) -> bytes:
    """A body as bytes."""
    return json.dumps(document).encode()


def confirmation(
    account: str | None, *, receipt: str = RECEIPT, amount: str = "150.00", **changed: Any
) -> dict[str, Any]:
    """The body of a confirmation, version 2, of money that was paid at the beginning of a test."""
    body = {
        "TransactionType": "Pay Bill",
        "TransID": receipt,
        "TransTime": "20261124120010",
        "TransAmount": amount,
        "BusinessShortCode": "174379",
        "BillRefNumber": account,
        "InvoiceNumber": "",
        "OrgAccountBalance": "1500.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 678",
        "FirstName": "WANJIKU",
    }
    return {name: value for name, value in {**body, **changed}.items() if value is not None}

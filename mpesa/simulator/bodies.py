"""The bodies that Daraja sends, with its JSON types: answers to calls are strings throughout."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.script import Metadata

_ACCEPTED = "Success. Request accepted for processing"
_STILL_OPEN = "4999"  # undocumented, but what every live run sees while a prompt is open

INCAPSULA_PAGE = """<html style="height:100%"><head><META NAME="ROBOTS" CONTENT="NOINDEX, NOFOLLOW">
<title></title></head><body style="margin:0px;height:100%">
<iframe id="main-iframe" src="/_Incapsula_Resource?CWUDNSAI=9"
 frameborder=0 width="100%" height="100%">
Request unsuccessful. Incapsula incident ID: 1074000310123456789-61862093510</iframe></body></html>
"""

# Apigee's own shape, without errorCode: the gateway answers before Daraja is reached.
SPIKE_ARREST = {
    "fault": {
        "faultstring": (
            "Spike arrest violation. Allowed rate : "
            "MessageRate{messagesPerPeriod=5, periodInMicroseconds=60000000, "
            "maxBurstMessageCount=1.0}"
        ),
        "detail": {"errorcode": "policies.ratelimit.SpikeArrestViolation"},
    }
}


def token(access_token: str, lifetime: int) -> dict[str, str]:
    """Return the answer to a token request; `lifetime` in seconds, sent as a string."""
    return {"access_token": access_token, "expires_in": str(lifetime)}


def error(request_id: str, code: str, message: str) -> dict[str, str]:
    """Return Daraja's error object."""
    return {"requestId": request_id, "errorCode": code, "errorMessage": message}


def accepted(payment: Payment) -> dict[str, str]:
    """Return the answer to a push that was taken, which does not say that a prompt was shown."""
    return {
        "MerchantRequestID": payment.merchant_request_id,
        "CheckoutRequestID": payment.id,
        "ResponseCode": "0",
        "ResponseDescription": _ACCEPTED,
        "CustomerMessage": _ACCEPTED,
    }


def query_answer(payment: Payment, outcome: Outcome | None) -> dict[str, str]:
    """Return the answer to a query that tells of `outcome`, None being a prompt that is open."""
    code, text = _STILL_OPEN, "The transaction is still under processing"
    if outcome is not None:
        code, text = str(outcome.code), outcome.value.query_text
    return {
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successfully",
        "MerchantRequestID": payment.merchant_request_id,
        "CheckoutRequestID": payment.id,
        "ResultCode": code,
        "ResultDesc": text,
    }


def callback(payment: Payment, metadata: Metadata = Metadata.CLASSIC) -> bytes:
    """Return the callback of a payment that has ended; raises ValueError if it has not."""
    if payment.outcome is None:
        raise ValueError("an open payment has no result yet")
    result: dict[str, Any] = {
        "MerchantRequestID": payment.merchant_request_id,
        "CheckoutRequestID": payment.id,
        "ResultCode": payment.outcome.code,
        "ResultDesc": payment.outcome.value.callback_text,
    }
    if payment.receipt and payment.paid_at:
        items = _items(payment, payment.receipt, payment.paid_at, metadata)
        result["CallbackMetadata"] = {"Item": items}
    body = json.dumps({"Body": {"stkCallback": result}}, separators=(",", ":"))
    # json writes 150.0 at best, but Daraja writes the cents of a JSON number in full: 150.00
    return body.replace('"<amount>"', f"{payment.request.amount}.00").encode()


def garbled(body: bytes) -> bytes:
    """Return the body as a broken connection would leave it: cut in the middle, no longer JSON."""
    return body[: len(body) // 2]


def _items(
    payment: Payment, receipt: str, paid_at: datetime, metadata: Metadata
) -> list[dict[str, Any]]:
    whole = metadata is Metadata.WHOLE_AMOUNT
    items: list[dict[str, Any]] = [
        {"Name": "Amount", "Value": payment.request.amount if whole else "<amount>"},
        {"Name": "MpesaReceiptNumber", "Value": receipt},
        {"Name": "Balance"},
        {"Name": "TransactionDate", "Value": int(f"{paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}")},
        {"Name": "PhoneNumber", "Value": _phone(payment.msisdn, metadata)},
    ]
    missing = {Metadata.NO_BALANCE: "Balance", Metadata.NO_PHONE: "PhoneNumber"}.get(metadata)
    return [item for item in items if item["Name"] != missing]


def _phone(msisdn: str, metadata: Metadata) -> int | str:
    """Masked as Daraja masks it in a C2B confirmation (Daraja docs, Customer To Business)."""
    if metadata is Metadata.MASKED_PHONE:
        return f"{msisdn[:4]} ***** {msisdn[-3:]}"
    return int(msisdn)

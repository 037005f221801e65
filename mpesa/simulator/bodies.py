"""The bodies that Daraja sends, with its JSON types: answers to calls are strings throughout."""

import json
from typing import Any

from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.people import masked
from mpesa.simulator.script import Metadata

_ACCEPTED = "Success. Request accepted for processing"
_STILL_OPEN = "4999"  # undocumented; every live run sees it while a prompt is open

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
    """Make the answer to a token request; `lifetime` in seconds, sent as a string."""
    return {"access_token": access_token, "expires_in": str(lifetime)}


def error(request_id: str, code: str, message: str) -> dict[str, str]:
    """Make Daraja's error object."""
    return {"requestId": request_id, "errorCode": code, "errorMessage": message}


def accepted(payment: Payment) -> dict[str, str]:
    """Make the answer to an accepted push, which does not say that a prompt was shown."""
    return {
        "MerchantRequestID": payment.merchant_request_id,
        "CheckoutRequestID": payment.id,
        "ResponseCode": "0",
        "ResponseDescription": _ACCEPTED,
        "CustomerMessage": _ACCEPTED,
    }


def query_answer(payment: Payment, outcome: Outcome | None) -> dict[str, str]:
    """Make the answer to a query.

    Args:
        outcome: the one to be told; None: the prompt is open.
    """
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
    """Make the callback of a payment that has ended.

    Raises:
        ValueError: it has not ended.
    """
    if payment.outcome is None:
        raise ValueError("an open payment has no result yet")
    result: dict[str, Any] = {
        "MerchantRequestID": payment.merchant_request_id,
        "CheckoutRequestID": payment.id,
        "ResultCode": payment.outcome.code,
        "ResultDesc": payment.outcome.value.callback_text,
    }
    if payment.receipt and payment.paid_at:
        phone: int | str = int(payment.msisdn)
        if metadata is Metadata.MASKED_PHONE:
            # As in a C2B confirmation (Daraja docs, Customer To Business).
            phone = masked(payment.msisdn)
        whole = metadata is Metadata.WHOLE_AMOUNT
        paid_at = f"{payment.paid_at.astimezone(NAIROBI):%Y%m%d%H%M%S}"
        items: list[dict[str, Any]] = [
            {"Name": "Amount", "Value": payment.request.amount if whole else "<amount>"},
            {"Name": "MpesaReceiptNumber", "Value": payment.receipt},
            {"Name": "Balance"},
            {"Name": "TransactionDate", "Value": int(paid_at)},
            {"Name": "PhoneNumber", "Value": phone},
        ]
        missing = {Metadata.NO_BALANCE: "Balance", Metadata.NO_PHONE: "PhoneNumber"}.get(metadata)
        items = [item for item in items if item["Name"] != missing]
        result["CallbackMetadata"] = {"Item": items}
    body = json.dumps({"Body": {"stkCallback": result}}, separators=(",", ":"))
    # Daraja writes the cents of a JSON number in full, as 150.00; json would write 150.0.
    return body.replace('"<amount>"', f"{payment.request.amount}.00").encode()


def garbled(body: bytes) -> bytes:
    """Cut a body in the middle, as a broken connection would, so that it is no longer JSON."""
    return body[: len(body) // 2]

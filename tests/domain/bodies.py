"""What Safaricom posts and answers about money that no push of ours asked for."""

import json
from typing import Any

from tests.factories import PAYER_MSISDN, RECEIPT

SHORT_CODE = "600999"


def confirmation(**changed: Any) -> dict[str, Any]:
    """A confirmation of version 2, as production sends it."""
    return {
        "TransactionType": "Pay Bill",
        "TransID": RECEIPT,
        "TransTime": "20261124120010",
        "TransAmount": "500.00",
        "BusinessShortCode": SHORT_CODE,
        "BillRefNumber": "ORD-17",
        "InvoiceNumber": "",
        "OrgAccountBalance": "1500.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 678",
        "FirstName": "JUMA",
        **changed,
    }


def pull_row(**changed: Any) -> dict[str, Any]:
    """A payment in an answer to Pull Transactions."""
    return {
        "transactionId": RECEIPT,
        "trxDate": "2026-11-24T12:00:10Z",
        "msisdn": PAYER_MSISDN,
        "sender": "MPESA",
        "transactiontype": "c2b-pay-bill-debit",
        "billreference": "ORD-17",
        "amount": "500.00",
        "organizationname": "EXAMPLE SHOP",
        **changed,
    }


def pull_answer(*rows: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """An answer to Pull Transactions with these payments, in the lists that Daraja puts there."""
    return {
        "ResponseRefID": "26178-42530161-2",
        "ResponseCode": "1000",
        "ResponseMessage": "Success",
        "Response": [list(rows)],
        **changed,
    }


def parameter(key: str, *value: object) -> dict[str, object]:
    """One parameter of a result; without a value as Daraja writes those that are empty."""
    return {"Key": key, **({"Value": value[0]} if value else {})}


STATUS_PARAMETERS = [
    parameter("DebitPartyName", f"{PAYER_MSISDN} - JUMA OTIENO"),
    parameter("CreditPartyName", f"{SHORT_CODE} - EXAMPLE SHOP   "),
    parameter("OriginatorConversationID"),
    parameter("InitiatedTime", 20261124120005),
    parameter("CreditPartyCharges"),
    parameter("DebitAccountType", "MMF Account For Customer"),
    parameter("TransactionReason"),
    parameter("ReasonType", "Pay Utility"),
    parameter("TransactionStatus", "Completed"),
    parameter("FinalisedTime", 20261124120010),
    parameter("Amount", 500.0),
    parameter("ConversationID", "AG_20261124_0100204kq7x0b3m9zr1t"),
    parameter("ReceiptNo", RECEIPT),
]


def result(parameters: object = None, **changed: Any) -> dict[str, Any]:
    """A result; its parameters as a list, or whatever else stands in their place."""
    listed = {} if parameters is None else {"ResultParameters": {"ResultParameter": parameters}}
    return {
        "Result": {
            "ResultType": 0,
            "ResultCode": 0,
            "ResultDesc": "The service request is processed successfully.",
            "OriginatorConversationID": "4d1c-47ab-9e02-7b6f0a51c3de88121",
            "ConversationID": "AG_20261124_0100204kq7x0b3m9zr1t",
            "TransactionID": "UKO0000000",
            **listed,
            "ReferenceData": {
                "ReferenceItem": {
                    "Key": "QueueTimeoutURL",
                    "Value": "https://internalapi.safaricom.co.ke/mpesa/status/v1/submit",
                }
            },
            **changed,
        }
    }


def raw(document: object) -> bytes:
    """A body as bytes."""
    return json.dumps(document).encode()

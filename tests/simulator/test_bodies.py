import json
from datetime import UTC, datetime

import pytest

from mpesa.simulator import bodies
from mpesa.simulator.organisation import Organisation
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.script import Metadata, Script
from mpesa.simulator.validation import read_push
from tests.simulator.shop import push_body

NOW = datetime(2026, 11, 24, 10, 15, 9, tzinfo=UTC)


def a_payment(outcome=None, receipt=None):
    return Payment(
        id="ws_CO_1",
        merchant_request_id="2654-1",
        request=read_push(push_body(), Organisation()),
        script=Script(),
        created_at=NOW,
        outcome=outcome,
        receipt=receipt,
        paid_at=NOW if receipt else None,
    )


def result_of(payment, *metadata):
    return json.loads(bodies.callback(payment, *metadata))["Body"]["stkCallback"]


def test_a_success_carries_its_receipt_in_darajas_types():
    items = result_of(a_payment(Outcome.PAID, "UKO1ABCDEF"))["CallbackMetadata"]["Item"]

    assert items == [
        {"Name": "Amount", "Value": 150.0},
        {"Name": "MpesaReceiptNumber", "Value": "UKO1ABCDEF"},
        {"Name": "Balance"},
        {"Name": "TransactionDate", "Value": 20261124131509},
        {"Name": "PhoneNumber", "Value": 254712345678},
    ]


def test_the_amount_is_a_json_number_with_its_cents_written_out():
    wire = bodies.callback(a_payment(Outcome.PAID, "UKO1ABCDEF"))

    assert b'{"Name":"Amount","Value":150.00}' in wire


@pytest.mark.parametrize(
    ("metadata", "name", "wire"),
    [
        (Metadata.NO_BALANCE, "Balance", None),
        (Metadata.NO_PHONE, "PhoneNumber", None),
        (Metadata.MASKED_PHONE, "PhoneNumber", b'"Value":"2547 ***** 678"'),
        (Metadata.WHOLE_AMOUNT, "Amount", b'"Value":150}'),
    ],
)
def test_a_success_has_other_forms_in_real_life(metadata, name, wire):
    payment = a_payment(Outcome.PAID, "UKO1ABCDEF")
    classic = result_of(payment)["CallbackMetadata"]["Item"]

    items = result_of(payment, metadata)["CallbackMetadata"]["Item"]

    others = [item for item in items if item["Name"] != name]
    assert others == [item for item in classic if item["Name"] != name]
    assert (len(items) == len(classic)) is (wire is not None)
    assert wire is None or wire in bodies.callback(payment, metadata)


def test_a_failure_carries_no_metadata():
    result = result_of(a_payment(Outcome.CANCELLED))

    assert result == {
        "MerchantRequestID": "2654-1",
        "CheckoutRequestID": "ws_CO_1",
        "ResultCode": 1032,
        "ResultDesc": "Request cancelled by user",
    }


def test_a_code_with_letters_is_a_string():
    assert result_of(a_payment(Outcome.WRONG_PARTY))["ResultCode"] == "SFC_IC0003"


def test_an_open_payment_has_no_callback():
    with pytest.raises(ValueError, match="no result yet"):
        bodies.callback(a_payment())


def test_a_garbled_callback_is_no_json():
    garbled = bodies.garbled(bodies.callback(a_payment(Outcome.CANCELLED)))

    with pytest.raises(json.JSONDecodeError):
        json.loads(garbled)


def test_every_value_of_a_query_answer_is_a_string():
    answer = bodies.query_answer(a_payment(), Outcome.CANCELLED)

    assert all(type(value) is str for value in answer.values())
    assert answer["ResultCode"] == "1032"

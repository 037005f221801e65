"""Money by hand and C2B: who is asked, what moves, and what the merchant hears of it."""

import json
import queue
import re
import time
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from hashlib import sha256

import pytest

from mpesa.simulator.simulator import Timing
from tests.simulator.shop import (
    CONFIRMATION_URL,
    PAYER,
    SECOND_PAYER,
    VALIDATION_URL,
    Shop,
    push_body,
)


def is_silent(shop):
    with pytest.raises(queue.Empty):
        shop.confirmations.get(timeout=0.2)
    return True


def said(answer):
    return answer.status_code, answer.json["errorCode"], answer.json["errorMessage"]


# -- money by hand -------------------------------------------------------------------------------


def test_money_by_hand_moves_and_is_in_the_ledger(shop):
    answer = shop.pay()

    (entry,) = shop.get("/ledger")
    assert answer.status_code == 201
    assert answer.json == {"receipt": entry["receipt"], "paid_at": entry["paid_at"]}
    assert (entry["direction"], entry["channel"], entry["checkout_request_id"]) == (
        *("in", "hand"),
        None,
    )
    assert (entry["short_code"], entry["account"], entry["amount"]) == ("174379", "234567890", 500)
    assert shop.get(f"/lines/{PAYER}")["balance"] == 49_500


def test_a_merchant_who_registered_nothing_may_hear_of_money_by_hand_and_of_no_push():
    shop = Shop(unregistered={"174379": CONFIRMATION_URL.removesuffix("/confirmation")})
    shop.script(answer="pay")

    shop.asked_to_pay()
    shop.next_callback()
    receipt = shop.pay().json["receipt"]

    assert shop.next_confirmation()["TransID"] == receipt
    assert is_silent(shop)


def test_the_payer_gets_an_sms_with_the_receipt(shop):
    receipt = shop.pay().json["receipt"]

    (message,) = shop.get(f"/lines/{PAYER}")["messages"]

    assert message["text"].startswith(f"{receipt} Confirmed. Ksh500.00 sent to Duka la Mfano for")
    assert message["is_receipt"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"pin": "4321"}, "wrong_pin"),
        ({"amount": 50_001}, "insufficient_funds"),
        ({"amount": 250_001}, "over_limit"),
    ],
)
def test_what_the_phone_would_refuse_moves_nothing(shop, changes, code):
    shop.register()

    answer = shop.pay(**changes)

    assert (answer.status_code, answer.json["code"]) == (409, code)
    assert shop.get("/ledger") == []
    assert is_silent(shop)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"msisdn": "0712345678"}, "msisdn"),
        ({"short_code": "17437"}, None),
        ({"short_code": 174379}, "short_code"),
        ({"short_code": "x"}, "short_code"),
        ({"account": None}, "account"),
        ({"account": "a" * 21}, "account"),
        ({"short_code": "5174380"}, "account"),
        ({"amount": 0}, "amount"),
        ({"amount": "500"}, "amount"),
        ({"amount": True}, "amount"),
        ({"pin": "12"}, "pin"),
        ({"reference": "1"}, "reference"),
    ],
)
def test_a_field_that_no_phone_would_let_pass_is_named(shop, changes, field):
    answer = shop.pay(**changes)

    assert answer.status_code == (400 if field else 201)
    assert answer.json.get("field") == field


def test_a_till_is_paid_without_an_account_and_its_confirmation_has_none(shop):
    shop.register(ShortCode="174380")

    shop.pay(short_code="5174380", account=None)

    told = shop.next_confirmation()
    assert (told["TransactionType"], told["BusinessShortCode"]) == ("Buy Goods", "5174380")
    assert told["BillRefNumber"] == ""


def test_somebody_elses_number_is_paid_and_tells_nothing(shop):
    shop.register()

    shop.pay(short_code="247247")

    (entry,) = shop.get("/ledger")
    (message,) = shop.get(f"/lines/{PAYER}")["messages"]
    assert entry["short_code"] == "247247"
    assert "sent to Duka Jingine" in message["text"]
    assert is_silent(shop)


# -- the confirmation ----------------------------------------------------------------------------


def test_a_confirmation_of_version_2_has_a_masked_number_and_one_name(shop):
    shop.register("v2")

    receipt = shop.pay().json["receipt"]

    url, body, shortcode = shop.confirmations.get(timeout=5)
    told = json.loads(body)
    assert (url, shortcode) == (CONFIRMATION_URL, "174379")
    assert re.fullmatch(r"20[0-9]{12}", told.pop("TransTime"))
    assert re.fullmatch(r"[A-Z]+", told.pop("FirstName"))
    assert told == {
        "TransactionType": "Pay Bill",
        "TransID": receipt,
        "TransAmount": "500.00",
        "BusinessShortCode": "174379",
        "BillRefNumber": "234567890",
        "InvoiceNumber": "",
        "OrgAccountBalance": "10500.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 678",
    }


def test_a_confirmation_of_version_1_has_a_hash_and_three_names(shop):
    shop.register("v1")

    shop.pay()

    told = shop.next_confirmation()
    assert told["MSISDN"] == sha256(PAYER.encode()).hexdigest()
    assert told.keys() >= {"FirstName", "MiddleName", "LastName"}


@pytest.mark.parametrize(
    ("form", "number"),
    [("plain", PAYER), ("absent", None), ("hashed", sha256(PAYER.encode()).hexdigest())],
)
def test_the_payers_number_takes_the_form_that_is_asked_for(shop, form, number):
    shop.register()
    shop.organise(msisdn=form)

    shop.pay()

    assert shop.next_confirmation().get("MSISDN") == number


def test_the_merchants_charge_is_taken_after_the_confirmation(shop):
    shop.register()

    told = []
    for _ in range(2):
        shop.pay(amount=500)
        told.append(shop.next_confirmation()["OrgAccountBalance"])

    assert told == ["10500.00", "10997.25"]


@pytest.mark.parametrize(("confirmation", "times"), [("once", 1), ("twice", 2), ("never", 0)])
def test_a_confirmation_comes_as_often_as_it_is_told_to(shop, confirmation, times):
    shop.register()
    shop.organise(confirmation=confirmation)

    shop.pay()

    heard = [shop.next_confirmation() for _ in range(times)]
    assert is_silent(shop)
    assert all(each == heard[0] for each in heard)


def test_a_late_confirmation_waits():
    shop = Shop(timing=Timing(late=0.3, acknowledgement=0.02))
    shop.register()
    shop.organise(confirmation="late")

    shop.pay()

    assert is_silent(shop)
    assert shop.next_confirmation()


def test_a_confirmation_of_what_was_forgotten_is_not_sent(shop):
    shop.register()
    shop.organise(confirmation_after=0.1)
    shop.pay()

    shop.http.post("/reset")

    assert is_silent(shop)


def test_addresses_outlast_a_reset(shop):
    shop.register()

    shop.http.post("/reset")
    shop.pay()

    assert shop.next_confirmation()


def test_mpesas_clock_may_be_ahead(shop):
    shop.register()
    shop.organise(clock_ahead=86_400)

    shop.pay()

    told = shop.next_confirmation()
    assert told["TransTime"] > time.strftime("%Y%m%d%H%M%S", time.gmtime(time.time() + 86_400))


# -- a push is confirmed too ---------------------------------------------------------------------


def test_a_paid_push_is_confirmed_with_its_receipt_and_reference_after_the_callback(shop):
    shop.register()
    shop.script(answer="pay")

    shop.push(AccountReference="INV-7")

    told = shop.next_confirmation()
    (entry,) = shop.get("/ledger")
    assert (told["TransID"], told["BillRefNumber"]) == (entry["receipt"], "INV-7")
    assert shop.told == [push_body()["CallBackURL"], CONFIRMATION_URL]


def test_the_confirmation_may_come_before_the_callback(shop):
    shop.register()
    shop.organise(confirmation="before_push_callback")
    shop.script(answer="pay")

    shop.push()

    assert shop.next_callback()["ResultCode"] == 0
    assert shop.told == [CONFIRMATION_URL, push_body()["CallBackURL"]]


@pytest.mark.parametrize(
    ("switches", "answer"), [({"push_confirmation": False}, "pay"), ({}, "cancel")]
)
def test_a_push_is_not_confirmed_where_it_failed_or_is_told_not_to(shop, switches, answer):
    shop.register()
    shop.organise(**switches)
    shop.script(answer=answer)

    shop.push()

    shop.next_callback()
    assert is_silent(shop)


def test_a_push_whose_callback_is_lost_is_confirmed_all_the_same(shop):
    shop.register()
    shop.script(answer="pay", callback="never")

    shop.push()

    assert shop.next_confirmation()["TransAmount"] == "150.00"


def test_a_confirmation_may_keep_the_account_to_itself(shop):
    shop.register()
    shop.organise(confirmation_account="empty")

    shop.pay()

    assert shop.next_confirmation()["BillRefNumber"] == ""
    assert shop.get("/ledger")[0]["account"] == "234567890"


# -- validation ----------------------------------------------------------------------------------


def test_a_merchant_is_asked_before_the_money_moves_where_he_wants_to_be(shop):
    shop.register()
    shop.organise(validation=True)

    receipt = shop.pay().json["receipt"]

    ((url, asked),) = shop.asked
    assert (url, asked["TransID"], asked["OrgAccountBalance"]) == (VALIDATION_URL, receipt, "")


def test_a_merchant_is_not_asked_unless_that_is_enabled(shop):
    shop.register()

    shop.pay()

    assert shop.asked == []


@pytest.mark.parametrize("code", ["C2B00012", "C2B00016", "1", 1])
def test_a_merchant_may_turn_a_payment_down(shop, code):
    shop.register()
    shop.organise(validation=True)
    shop.answer_to_validation = json.dumps({"ResultCode": code, "ResultDesc": "Rejected"}).encode()

    answer = shop.pay()

    (message,) = shop.get(f"/lines/{PAYER}")["messages"]
    assert (answer.status_code, answer.json["code"]) == (409, "rejected")
    assert (shop.get("/ledger"), message["is_receipt"]) == ([], False)


@pytest.mark.parametrize("silence", [None, b"", b"<html>", b"[]", b"{}", b'{"ResultCode": false}'])
@pytest.mark.parametrize(("response_type", "status"), [("Completed", 201), ("Cancelled", 409)])
def test_without_an_answer_the_registration_decides(shop, silence, response_type, status):
    shop.register(ResponseType=response_type)
    shop.organise(validation=True)
    shop.answer_to_validation = silence

    assert shop.pay().status_code == status


def test_what_a_validation_answers_as_its_own_id_comes_back_in_the_confirmation(shop):
    shop.register()
    shop.organise(validation=True)
    shop.answer_to_validation = b'{"ResultCode": 0, "ThirdPartyTransID": "17"}'

    shop.pay()

    assert shop.next_confirmation()["ThirdPartyTransID"] == "17"


# -- register and simulate -----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("shortcode", ["174379", "600999", "174380", "5174380", 600000])
def test_addresses_are_registered_under_the_misspelt_id(shop, version, shortcode):
    answer = shop.register(version, ShortCode=shortcode)

    assert answer.status_code == 200
    assert answer.json.keys() == {
        *("OriginatorCoversationID", "ResponseCode", "ResponseDescription")
    }
    assert answer.json["ResponseCode"] == "0"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"ShortCode": "247247"}, "ShortCode"),
        ({"ResponseType": "completed"}, "ResponseType"),
        ({"ConfirmationURL": "shop"}, "ConfirmationURL"),
        ({"ValidationURL": ""}, "ValidationURL"),
    ],
)
def test_a_wrong_field_of_a_registration_is_named(shop, changes, field):
    refused = shop.register(**changes)

    assert said(refused) == (400, "400.002.02", f"Bad Request - Invalid {field}")


@pytest.mark.parametrize("word", ["mpesa", "M-PESA", "safaricom", "exec", "cmd", "SQL", "query"])
def test_an_address_with_a_word_of_safaricoms_list_is_not_registered(shop, word):
    refused = shop.register(ValidationURL=f"https://shop.example.com/c2b?a={word}")

    found = "EXE" if word == "exec" else word.upper()
    assert said(refused) == (
        *(400, "400.003.02"),
        f"Invalid ValidationURL - URL has the word {found}",
    )


def test_in_production_addresses_are_registered_once_until_they_are_deleted(shop):
    shop.organise(c2b_mode="production")
    shop.register()

    again = shop.register()
    shop.http.delete("/registrations/174379")

    assert said(again) == (500, "500.003.1001", "Urls are already registered")
    assert shop.register().status_code == 200


def test_the_sandbox_lets_addresses_be_registered_anew(shop):
    shop.register("v1")
    shop.register("v2")

    shop.pay()

    assert "LastName" not in shop.next_confirmation()


SIMULATED = {
    "ShortCode": 600999,
    "CommandID": "CustomerPayBillOnline",
    "Amount": 70,
    "Msisdn": int(SECOND_PAYER),
    "BillRefNumber": "INV-9",
}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_simulated_payment_is_acknowledged_and_then_paid(shop, version):
    shop.register(ShortCode="600999")

    answer = shop.call(f"/mpesa/c2b/{version}/simulate", SIMULATED)

    told = shop.next_confirmation()
    assert answer.json["ResponseCode"] == "0"
    assert (told["BusinessShortCode"], told["BillRefNumber"]) == ("600999", "INV-9")
    assert shop.get(f"/lines/{SECOND_PAYER}")["balance"] == 49_930


def test_a_simulated_payment_of_goods_has_no_account(shop):
    shop.register(ShortCode="600999")
    body = SIMULATED | {"CommandID": "CustomerBuyGoodsOnline", "BillRefNumber": None}

    shop.call("/mpesa/c2b/v2/simulate", body)

    assert shop.next_confirmation()["TransactionType"] == "Buy Goods"


@pytest.mark.parametrize("field", ["ShortCode", "CommandID", "Amount", "Msisdn", "BillRefNumber"])
def test_a_wrong_field_of_a_simulation_is_named(shop, field):
    refused = shop.call("/mpesa/c2b/v2/simulate", SIMULATED | {field: ""})

    assert said(refused) == (400, "400.002.02", f"Bad Request - Invalid {field}")


def test_production_simulates_nothing(shop):
    shop.organise(c2b_mode="production")

    assert shop.call("/mpesa/c2b/v2/simulate", SIMULATED).status_code == 401


def test_a_registration_needs_a_living_token(shop):
    refused = shop.http.post("/mpesa/c2b/v2/registerurl", json={})

    assert said(refused) == (404, "404.001.04", "Invalid Authentication Header")


# -- products and the gateway --------------------------------------------------------------------


@pytest.mark.parametrize(("product", "other"), [("v1", "v2"), ("v2", "v1")])
def test_the_apps_product_decides_the_version(shop, product, other):
    shop.organise(c2b_product=product)

    assert shop.register(product).status_code == 200
    assert said(shop.register(other))[:2] == (401, "401.003.01")


@pytest.mark.parametrize(
    ("gateway", "status", "code"),
    [
        ("busy_500", 500, "500.003.02"),
        ("quota", 500, "500.003.03"),
        ("dead_token", 404, "404.001.03"),
        ("no_product", 401, "401.003.01"),
        ("rate_429", 429, None),
        ("html_503", 503, None),
    ],
)
def test_the_gateway_may_turn_every_call_down_before_it_runs(shop, gateway, status, code):
    receipt = shop.pay().json["receipt"]
    shop.organise(gateway=gateway)

    answers = [shop.register(), shop.ask_status(receipt), shop.reverse(receipt)]

    assert {answer.status_code for answer in answers} == {status}
    assert {(answer.json or {}).get("errorCode") for answer in answers if code} <= {code}
    assert shop.get("/ledger")[0]["returned_by"] is None
    assert shop.push().status_code == 200


def test_answers_are_dated_by_mpesas_clock(shop):
    shop.organise(clock_ahead=3600)

    told = parsedate_to_datetime(shop.register().headers["Date"])

    assert told - datetime.now(UTC) > timedelta(minutes=59)

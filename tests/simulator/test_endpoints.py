import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from tests.simulator.shop import PAYER, Shop, push_body

OAUTH = "/oauth/v1/generate?grant_type=client_credentials"
PUSH = "/mpesa/stkpush/v1/processrequest"
QUERY = "/mpesa/stkpushquery/v1/query"


def said(answer):
    """Status, code and words of a refusal, which must have a requestId."""
    assert answer.json["requestId"]
    return answer.status_code, answer.json["errorCode"], answer.json["errorMessage"]


def basic(text):
    return {"Authorization": "Basic " + b64encode(text.encode()).decode()}


def test_any_key_and_secret_get_a_token(shop):
    answer = shop.http.get(OAUTH, auth=("whoever", "whatever"))

    assert answer.status_code == 200
    assert len(answer.json["access_token"]) == 28
    assert answer.json["expires_in"] == "3599"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc"},
        {"Authorization": "Basic"},
        {"Authorization": "Basic ***"},
        basic("no colon"),
    ],
)
def test_a_token_needs_basic_authentication(shop, headers):
    answer = shop.http.get(OAUTH, headers=headers)

    assert said(answer) == (400, "400.008.01", "Invalid Authentication passed")


@pytest.mark.parametrize("empty", [":secret", "key:", ":"])
def test_empty_credentials_get_400_and_nothing_else(shop, empty):
    answer = shop.http.get(OAUTH, headers=basic(empty))

    assert (answer.status_code, answer.data) == (400, b"")
    assert answer.mimetype == "text/plain"


def test_the_key_wrong_is_as_unknown_as_a_key_can_be(shop):
    answer = shop.http.get(OAUTH, auth=("wrong", "secret"))

    assert (answer.status_code, answer.data, answer.mimetype) == (400, b"", "text/plain")


def test_the_key_busy_meets_the_firewall(shop):
    answer = shop.http.get(OAUTH, auth=("busy", "secret"))

    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "Incapsula incident ID" in answer.text


@pytest.mark.parametrize("query", ["", "?grant_type=password", "?grant_type=client_credentials%20"])
def test_another_grant_type_is_refused(shop, query):
    answer = shop.http.get("/oauth/v1/generate" + query, auth=("key", "secret"))

    assert said(answer) == (400, "400.008.02", "Invalid grant type passed")


@pytest.mark.parametrize("path", [PUSH, QUERY])
@pytest.mark.parametrize("header", [None, "Basic abc", "Bearer", "Bearer "])
def test_a_call_needs_a_bearer_token(shop, path, header):
    headers = {"Authorization": header} if header else {}

    answer = shop.http.post(path, json={}, headers=headers)

    assert said(answer) == (404, "404.001.04", "Invalid Authentication Header")


def test_a_token_that_was_never_given_is_dead(shop):
    answer = shop.http.post(PUSH, json={}, headers={"Authorization": "Bearer abc"})

    assert said(answer) == (404, "404.001.03", "Invalid Access Token")


def test_a_new_token_kills_the_one_before(shop):
    first = shop.token()
    shop.token()

    answer = shop.http.post(PUSH, json={}, headers={"Authorization": f"Bearer {first}"})

    assert said(answer) == (404, "404.001.03", "Invalid Access Token")


def test_a_new_token_leaves_the_others_alive_where_all_live(shop):
    shop.organise(tokens="all")
    first = shop.token()
    shop.token()

    headers = {"Authorization": f"Bearer {first}"}
    answer = shop.http.post(PUSH, json=push_body(), headers=headers)

    assert answer.status_code == 200


def test_once_only_the_newest_lives_again_it_kills_all_that_were_given_before(shop):
    shop.organise(tokens="all")
    before = [shop.token(), shop.token()]
    shop.organise(tokens="newest")
    shop.token()

    for token in before:
        answer = shop.http.post(PUSH, json={}, headers={"Authorization": f"Bearer {token}"})
        assert said(answer) == (404, "404.001.03", "Invalid Access Token")


def test_the_token_of_another_key_lives_on(shop):
    first = shop.token("one key")
    shop.token("another key")

    headers = {"Authorization": f"Bearer {first}"}
    answer = shop.http.post(PUSH, json=push_body(), headers=headers)

    assert answer.status_code == 200


def test_a_token_lives_for_an_hour():
    time = [datetime(2026, 11, 24, tzinfo=UTC)]
    shop = Shop(now=lambda: time[0])
    headers = shop.bearer()

    time[0] += timedelta(seconds=3599)
    answer = shop.http.post(PUSH, json=push_body(), headers=headers)

    assert said(answer) == (404, "404.001.03", "Invalid Access Token")


def test_an_accepted_push_answers_in_strings(shop):
    answer = shop.push()

    assert answer.status_code == 200
    assert answer.json.pop("MerchantRequestID")
    assert answer.json["CheckoutRequestID"].startswith("ws_CO_")
    assert answer.json["CheckoutRequestID"].endswith("712345678")
    assert answer.json["ResponseCode"] == "0"
    assert answer.json["CustomerMessage"] == "Success. Request accepted for processing"
    assert answer.json["ResponseDescription"] == "Success. Request accepted for processing"


def test_a_wrong_field_is_a_400(shop):
    answer = shop.push(PhoneNumber="0712345678")

    assert said(answer) == (400, "400.002.02", "Bad Request - Invalid PhoneNumber")


def test_a_wrong_password_is_a_500(shop):
    answer = shop.push(Password="bm9uc2Vuc2U=")

    assert said(answer) == (500, "500.001.1001", "Wrong credentials")


@pytest.mark.parametrize("body", ["", "{", "[]", "null", "[" * 100_000, b"\xff"])
def test_a_body_that_is_no_json_object_is_refused(shop, body):
    headers = shop.bearer() | {"Content-Type": "application/json"}

    answer = shop.http.post(PUSH, data=body, headers=headers)

    assert said(answer) == (400, "400.002.05", "Invalid Request Payload")


def test_without_its_content_type_the_first_field_is_blamed(shop):
    answer = shop.http.post(PUSH, data="{}", headers=shop.bearer())

    assert said(answer) == (400, "400.002.02", "Bad Request - Invalid BusinessShortCode")


@pytest.mark.parametrize(("method", "path"), [("POST", OAUTH), ("GET", PUSH), ("PUT", QUERY)])
def test_another_method_is_refused(shop, method, path):
    answer = shop.http.open(path, method=method)

    assert said(answer) == (405, "405.001", "Method Not Allowed")


@pytest.mark.parametrize(
    "path",
    [
        "/mpesa/c2b/v3/registerurl",
        "/oauth/v2/generate",
        "/mpesa/b2c/v1/paymentrequest",
        "/mpesa/b2c/v3/paymentrequest",
        "/mpesa/b2b/v1/paymentrequest",
        "/mpesa/b2b/v1/remittax",
        "/v1/billmanager-invoice/optin",
        "/standingorder/v1/createStandingOrderExternal",
        "/v1/ussdpush/get-msisdn",
        "/mpesa",
        "/",
    ],
)
@pytest.mark.parametrize("prefix", ["", "/simulator"])
def test_a_path_that_daraja_lacks_is_not_found(prefix, path):
    answer = Shop(prefix=prefix).http.post(prefix + path, json={"ShortCode": "174379"})

    assert said(answer) == (404, "404.001.01", "Resource not found")


def test_a_line_with_an_open_prompt_is_locked(shop):
    shop.push()

    answer = shop.push()

    assert said(answer) == (
        500,
        "500.001.1001",
        "Unable to lock subscriber, a transaction is already in process for the current subscriber",
    )


def test_the_same_sum_twice_in_a_minute_is_taken(shop):
    first = shop.asked_to_pay()
    shop.answer(first, pin="1234")

    assert shop.push().status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/reset"), ("POST", "/ledger"), ("DELETE", f"/lines/{PAYER}"), ("PUT", "/prompts")],
)
@pytest.mark.parametrize("prefix", ["", "/simulator"])
def test_the_phones_own_routes_say_that_the_method_is_wrong(prefix, method, path):
    answer = Shop(prefix=prefix).http.open(prefix + path, method=method)

    assert said(answer) == (405, "405.001", "Method Not Allowed")


def keys_in_order(answer):
    return list(json.loads(answer.data))


def test_answers_have_their_fields_in_darajas_order_whatever_the_app_does_with_json(shop):
    assert shop.http.application.json.sort_keys  # what the app itself writes is sorted

    pushed, refused = shop.push(), shop.push()

    assert keys_in_order(shop.http.get(OAUTH, auth=("k", "s"))) == ["access_token", "expires_in"]
    assert keys_in_order(refused) == ["requestId", "errorCode", "errorMessage"]
    assert keys_in_order(pushed) == [
        "MerchantRequestID",
        "CheckoutRequestID",
        "ResponseCode",
        "ResponseDescription",
        "CustomerMessage",
    ]


def test_an_unknown_id_does_not_exist(shop):
    answer = shop.query("ws_CO_24112026131500000712345678")

    assert said(answer) == (500, "500.001.1001", "The transaction does not Exist")


def test_a_query_sees_a_payment_pending_and_then_paid(shop):
    payment = shop.asked_to_pay()

    before = shop.query(payment).json
    shop.answer(payment, pin="1234")
    after = shop.query(payment).json

    assert (before["ResponseCode"], before["ResultCode"]) == ("0", "4999")
    assert (after["ResultCode"], after["CheckoutRequestID"]) == ("0", payment)


def test_it_works_under_a_prefix():
    shop = Shop(prefix="/simulator")

    payment = shop.asked_to_pay()

    assert shop.get(f"/prompts?msisdn={PAYER}")[0]["id"] == payment

"""/api/refunds as the shop's server uses it."""

import pytest

from tests.factories import API_KEY, PAYER, success_callback

REFUND_KEY = {"Authorization": "Bearer a-key-that-may-ask-for-refunds-0001"}
SETTINGS = {"REFUND_API_KEYS": "a-key-that-may-ask-for-refunds-0001"}
RECEIPT = "UKO1ABCDEF"


@pytest.fixture
def till(make_app, clock, daraja):
    """A shop's client whose one order is paid."""
    client = make_app(**SETTINGS).test_client()
    order = client.post(
        "/api/orders",
        json={"amount": 150, "reference": "INV-1", "description": "Two coffees"},
        headers=API_KEY,
    ).get_json()["order_id"]
    client.post("/stk-push", json={"order_id": order, "phone": PAYER})
    body = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    client.post(f"/callback/{daraja.token_of(1)}", json=body)
    client.order = order
    return client


def ask(till, receipt=RECEIPT, reason="paid twice", headers=REFUND_KEY, **more):
    return till.post(
        "/api/refunds", json={"receipt": receipt, "reason": reason, **more}, headers=headers
    )


def test_a_refund_is_asked_for_and_read(till):
    asked = ask(till)

    told = asked.get_json()
    assert asked.status_code == 201
    assert list(told) == [
        "refund_id", "receipt", "order_id", "amount", "status", "reason", "requested_by",
        "released_by", "reversal_receipt", "created_at", "updated_at", "seq",
    ]  # fmt: skip
    assert (told["amount"], told["status"], told["order_id"]) == ("150.00", "requested", till.order)
    assert told["requested_by"].startswith("api:")
    assert len(told["requested_by"]) == len("api:1234")
    for headers in (API_KEY, REFUND_KEY):
        read = till.get(f"/api/refunds/{told['refund_id']}", headers=headers)
        assert read.get_json() == told


def test_a_second_request_names_the_first(till):
    first = ask(till).get_json()["refund_id"]

    again = ask(till, reason="another reason")

    assert (again.status_code, again.get_json()["code"]) == (409, "refund_exists")
    assert again.get_json()["refund_id"] == first


def test_the_same_key_is_answered_as_before_and_other_fields_are_refused(till):
    headers = {**REFUND_KEY, "Idempotency-Key": "press-1"}
    first, again = ask(till, headers=headers), ask(till, headers=headers)
    other = ask(till, reason="another reason", headers=headers)

    assert first.get_json() == again.get_json()
    assert (again.status_code, other.status_code) == (201, 422)
    assert other.get_json()["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [(API_KEY, 401, "unauthorized"), ({}, 401, "unauthorized")],
)
def test_only_a_key_for_refunds_may_ask(till, headers, status, code):
    answer = ask(till, headers=headers)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"receipt": "UKO0NOTHER"}, 404, "receipt_not_found"),
        ({"receipt": "short"}, 404, "receipt_not_found"),
        ({"receipt": 7}, 400, "invalid_request"),
        ({"reason": "x"}, 400, "invalid_request"),
        ({"reason": "x" * 101}, 400, "invalid_request"),
        ({"reason": None}, 400, "invalid_request"),
        ({"returns_all": "yes"}, 400, "invalid_request"),
    ],
)
def test_what_is_wrong_is_said(till, changed, status, code):
    answer = ask(till, **changed)

    assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_refunds_are_off_without_an_api_user(make_app):
    client = make_app(
        **SETTINGS,
        DARAJA_ENV="sandbox",
        DARAJA_CONSUMER_KEY="key",
        DARAJA_CONSUMER_SECRET="secret",
        PUBLIC_URL="https://pay.example",
        SECRET_KEY="4f9d2c7be1a86035d7c2f0a9b3e8d641",
        API_KEYS="e2b7f4c19a6d8035b1c4e7f2a9d60853",
    ).test_client()

    answer = client.post(
        "/api/refunds",
        json={"receipt": RECEIPT, "reason": "paid twice"},
        headers=REFUND_KEY,
        base_url="https://pay.example",
    )

    assert (answer.status_code, answer.get_json()["code"]) == (403, "refunds_off")


def test_there_is_no_such_refund(till):
    for refund_id in ("n" * 22, "nonsense"):
        answer = till.get(f"/api/refunds/{refund_id}", headers=API_KEY)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "refund_not_found")


def test_refunds_are_listed_by_a_cursor_that_leaves_none_out(till, clock):
    told = ask(till).get_json()

    at_once = till.get("/api/refunds", headers=API_KEY).get_json()
    clock.pass_(seconds=15)
    later = till.get("/api/refunds", headers=API_KEY).get_json()
    rest = till.get(f"/api/refunds?cursor={later['next']}", headers=API_KEY).get_json()

    assert at_once == {"refunds": [], "next": None}
    assert later["refunds"] == [told]
    assert rest["refunds"] == []


def test_the_shopper_is_told(till):
    ask(till)

    (told,) = till.get(f"/api/orders/{till.order}", headers=API_KEY).get_json()["transactions"]
    page = till.get(f"/checkout/{till.order}").text

    assert told["message"] == "You have paid. The shop was asked to give the money back."
    assert told["message"] in page

"""POST /stk-push and GET /check-status, as contract-minded clients use them."""

import re

import pytest

from mpesa.daraja import NotSent, Refused, UnknownOutcome
from mpesa.domain.pay_code import is_pay_code
from mpesa.domain.result_codes import Reason
from tests.conftest import on_both
from tests.factories import API_KEY, PAYER, RECEIPT, SECOND_PAYER
from tests.web.steps import call_back, fail, problem, push, push_form, pushed, rows, status_of

SNAPSHOT = [
    "transaction_id",
    "order_id",
    "order_status",
    "channel",
    "status",
    "reason",
    "message",
    "view",
    "money",
    "next",
    "final",
    "can_retry",
    "retry_after",
    "again_at",
    "amount",
    "currency",
    "phone",
    "receipt",
    "receipt_amount",
    "settled_by",
    "refund",
    "pay_by_hand",
    "created_at",
    "updated_at",
    "seq",
    "poll_after",
]


def poll(client, transaction_id, **more):
    return client.get("/check-status", query_string={"tx_id": transaction_id}, **more)


# -- the push ----------------------------------------------------------------------------------


@on_both
def test_a_push_answers_202_and_the_snapshot(client, make_order, daraja):
    order_id = make_order()

    answer = push(client, order_id)

    snapshot = answer.get_json()
    assert answer.status_code == 202
    assert answer.content_type == "application/json"
    assert list(snapshot) == SNAPSHOT
    pay_code = snapshot["pay_by_hand"]["account"]
    assert is_pay_code(pay_code)
    assert snapshot | {"transaction_id": "", "seq": 0} == {
        "transaction_id": "",
        "order_id": order_id,
        "order_status": "OPEN",
        "channel": "push",
        "status": "PENDING",
        "reason": "awaiting_pin",
        "message": "Enter your M-PESA PIN on your phone.",
        "view": "waiting",
        "money": "unknown",
        "next": "enter_pin",
        "final": False,
        "can_retry": False,
        "retry_after": None,
        "again_at": "2026-11-24T09:03:00Z",
        "amount": 150,
        "currency": "KES",
        "phone": "0712•••678",
        "receipt": None,
        "receipt_amount": None,
        "settled_by": None,
        "refund": None,
        "pay_by_hand": {
            "kind": "paybill",
            "number": "174379",
            "account": pay_code,
            "amount": 150,
        },
        "created_at": "2026-11-24T09:00:00Z",
        "updated_at": "2026-11-24T09:00:00Z",
        "seq": 0,
        "poll_after": 3,
    }


def test_the_push_asks_for_what_the_server_knows_not_for_what_the_browser_says(
    client, make_order, daraja
):
    order_id = make_order(amount=150)
    fields = {"order_id": order_id, "phone": PAYER, "amount": 1, "reference": "FREE"}

    client.post("/stk-push", json=fields)

    (sent,) = daraja.pushes
    assert (sent.amount, sent.reference, sent.msisdn) == (150, "INV-1", "254712345678")


def test_the_callback_address_is_ours_and_its_token_is_long_lower_case_hexadecimal(
    client, make_order, daraja
):
    pushed(client, make_order())

    address = daraja.pushes[0].callback_url

    base, token = address.rsplit("/", 1)
    assert base == "http://127.0.0.1:8000/callback"
    assert len(token) >= 32
    assert set(token) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "typed", ["0712345678", "712345678", "+254712345678", "254712345678", "0712 345-678"]
)
def test_a_number_is_taken_in_every_way_that_people_write_it(client, make_order, daraja, typed):
    pushed(client, make_order(), typed)

    assert daraja.pushes[0].msisdn == "254712345678"


def test_the_new_lines_that_begin_with_01_are_taken(client, make_order, daraja):
    pushed(client, make_order(), "0110 345 678")

    assert daraja.pushes[0].msisdn == "254110345678"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "0712",
        "0202222222",
        "+255712345678",
        "\u0660\u0667\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668",
        "07123456789",
        "0712345678\0",
        "x",
    ],
)
def test_a_number_that_is_no_kenyan_mobile_is_refused_at_its_field(
    client, app, make_order, daraja, typed
):
    order_id = make_order()
    before = rows(app)

    answer = push(client, order_id, typed)

    problem(answer, 400, "invalid_phone", "phone")
    assert rows(app) == before
    assert not daraja.pushes


@pytest.mark.parametrize("typed", [None, 712345678, ["0712345678"], {"a": 1}, True])
def test_a_phone_that_is_no_text_is_refused_at_its_field(client, make_order, typed):
    answer = push(client, make_order(), typed)

    problem(answer, 400, "invalid_phone", "phone")


@pytest.mark.parametrize("order_id", ["", None, 7, ["x"], {}])
def test_an_order_id_that_is_no_text_is_refused_at_its_field(client, order_id):
    problem(push(client, order_id), 400, "invalid_request", "order_id")


@pytest.mark.parametrize("order_id", ["nope", "A" * 22, "A" * 5000, "\0" * 22, "../../etc"])
def test_an_unknown_order_is_not_found(client, order_id):
    problem(push(client, order_id), 404, "order_not_found")


def test_a_wrong_field_is_told_before_an_unknown_order(client):
    problem(push(client, "A" * 22, "x"), 400, "invalid_phone", "phone")


def test_a_body_that_is_neither_json_nor_a_form_is_refused(client):
    answer = client.post("/stk-push", data=b"<a/>", content_type="text/xml")

    problem(answer, 415, "unsupported_media_type")


def test_the_same_phone_joins_the_open_attempt(client, make_order, daraja):
    order_id = make_order()
    first = pushed(client, order_id)

    second = push(client, order_id, "+254 712 345 678")

    assert second.status_code == 200
    assert second.get_json() == first
    assert len(daraja.pushes) == 1


def test_another_phone_does_not_join_the_open_attempt(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)

    problem(push(client, order_id, SECOND_PAYER), 409, "attempt_open")
    assert len(daraja.pushes) == 1


def test_a_line_with_an_open_prompt_is_busy_for_another_order(client, make_order, clock):
    pushed(client, make_order())
    clock.pass_(seconds=100)

    answer = push(client, make_order())

    problem(answer, 429, "line_busy")
    assert answer.headers["Retry-After"] == "80"


def test_a_prompt_blocks_nobody_once_it_is_180_seconds_old(client, make_order, clock, daraja):
    order_id = make_order()
    pushed(client, order_id)
    clock.pass_(seconds=180)

    assert push(client, make_order()).status_code == 202


def test_a_push_before_the_wait_is_over_is_told_to_come_back(client, make_order, daraja, clock):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1037)
    clock.pass_(seconds=50)

    answer = push(client, order_id)

    problem(answer, 429, "retry_later")
    assert answer.headers["Retry-After"] == "70"


def test_a_cancelled_prompt_may_be_followed_by_another_at_once(client, make_order, daraja):
    order_id = make_order()
    first = pushed(client, order_id)
    fail(client, daraja, 1032)

    second = pushed(client, order_id)

    assert second["transaction_id"] != first["transaction_id"]
    assert len(daraja.pushes) == 2


def test_a_paid_order_takes_no_push(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    call_back(client, daraja)

    problem(push(client, order_id), 409, "order_paid")


def test_a_cancelled_order_takes_no_push(client, make_order):
    order_id = make_order()
    client.post(f"/api/orders/{order_id}/cancel", headers=API_KEY)

    problem(push(client, order_id), 409, "order_closed")


def test_an_expired_order_takes_no_push(client, make_order, clock):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    clock.pass_(minutes=10)

    problem(push(client, order_id), 409, "order_closed")


def test_a_clear_refusal_is_202_and_the_snapshot_says_failed(client, make_order, daraja):
    daraja.answers.append(Refused(Reason.PUSH_REFUSED, "Bad Request", b"{}"))

    snapshot = pushed(client, make_order())

    assert (snapshot["status"], snapshot["reason"]) == ("FAILED", "push_refused")
    assert snapshot["can_retry"]


def test_a_push_that_was_never_sent_is_202_and_may_be_tried_in_a_minute(client, make_order, daraja):
    daraja.answers.append(NotSent(Reason.SYSTEM_BUSY, "no connection"))

    snapshot = pushed(client, make_order())

    assert (snapshot["status"], snapshot["reason"]) == ("FAILED", "system_busy")
    assert (snapshot["can_retry"], snapshot["retry_after"]) == (True, 60)
    assert snapshot["final"]


def test_a_push_whose_answer_never_came_stays_pending(client, make_order, daraja):
    daraja.answers.append(UnknownOutcome())

    snapshot = pushed(client, make_order())

    assert (snapshot["status"], snapshot["reason"]) == ("PENDING", "push_unconfirmed")


# -- Idempotency-Key ---------------------------------------------------------------------------


def test_the_same_key_gives_the_first_status_and_the_present_snapshot(client, make_order, daraja):
    order_id, key = make_order(), {"Idempotency-Key": "k-1"}
    first = pushed(client, order_id, headers=key)
    call_back(client, daraja)

    again = push(client, order_id, "+254712345678", headers=key)

    assert again.status_code == 202
    assert again.get_json()["transaction_id"] == first["transaction_id"]
    assert again.get_json()["status"] == "SUCCESS"
    assert len(daraja.pushes) == 1


def test_the_same_key_with_another_number_is_refused(client, make_order):
    order_id, key = make_order(), {"Idempotency-Key": "k-1"}
    pushed(client, order_id, headers=key)

    problem(push(client, order_id, SECOND_PAYER, headers=key), 422, "idempotency_mismatch")


def test_a_request_that_joined_keeps_its_key_too(client, make_order, daraja):
    order_id, key = make_order(), {"Idempotency-Key": "k-2"}
    first = pushed(client, order_id)
    assert push(client, order_id, headers=key).status_code == 200
    fail(client, daraja, 1032)

    again = push(client, order_id, headers=key)

    assert again.status_code == 200
    assert again.get_json()["transaction_id"] == first["transaction_id"]
    assert len(daraja.pushes) == 1


def test_a_key_belongs_to_its_order(client, make_order, daraja):
    key = {"Idempotency-Key": "k-1"}
    pushed(client, make_order(), headers=key)

    other = pushed(client, make_order(), SECOND_PAYER, headers=key)

    assert other["phone"] == "0722•••111"
    assert len(daraja.pushes) == 2


def test_a_refused_request_uses_up_no_key(client, make_order, daraja):
    order_id, key = make_order(), {"Idempotency-Key": "k-1"}
    pushed(client, order_id, SECOND_PAYER)
    assert push(client, order_id, headers=key).status_code == 409
    fail(client, daraja, 1032)

    assert push(client, order_id, headers=key).status_code == 202


@pytest.mark.parametrize("key", ["", "  ", "k" * 256, "ké"])
def test_a_key_that_is_empty_too_long_or_no_ascii_is_refused(client, app, make_order, key):
    order_id = make_order()
    before = rows(app)

    answer = push(client, order_id, headers={"Idempotency-Key": key})

    problem(answer, 400, "invalid_request", "Idempotency-Key")
    assert rows(app) == before


def test_a_key_of_255_characters_is_taken(client, make_order):
    pushed(client, make_order(), headers={"Idempotency-Key": "k" * 255})


# -- plain forms -------------------------------------------------------------------------------


def test_a_form_is_sent_to_the_page_of_its_order(client, make_order):
    order_id = make_order()

    answer = push_form(client, order_id)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/checkout/{order_id}"


def test_a_form_keeps_its_language(client, make_order):
    order_id = make_order()

    answer = push_form(client, order_id, query_string={"lang": "sw-KE"})

    assert answer.headers["Location"] == f"/checkout/{order_id}?lang=sw"


def test_a_wrong_number_in_a_form_comes_back_in_the_page_at_its_field(client, make_order):
    order_id = make_order()

    answer = push_form(client, order_id, "0712<b>")

    assert answer.status_code == 400
    assert answer.mimetype == "text/html"
    assert 'aria-invalid="true"' in answer.text
    assert "This is not a Kenyan mobile number." in answer.text
    assert 'value="0712&lt;b&gt;"' in answer.text


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("", "Enter the number that pays with M-PESA."),
        ("\u200b", "Enter the number that pays with M-PESA."),
        (None, "Enter the number that pays with M-PESA."),
        (254712345678, "Enter the number that pays with M-PESA."),
        ("0712", "This number is too short: 10 digits, like 0712\u00a0345\u00a0678."),
        ("07123456789", "This number is too long: 10 digits, like 0712\u00a0345\u00a0678."),
        (
            "+255712345678",
            "This is not a Kenyan mobile number. Enter it like 0712\u00a0345\u00a0678.",
        ),
    ],
)
def test_a_number_is_refused_with_a_sentence_for_what_is_wrong(client, make_order, typed, told):
    answer = push(client, make_order(), typed)

    problem(answer, 400, "invalid_phone", "phone")
    assert answer.get_json()["detail"] == told


@pytest.mark.parametrize(
    "pasted",
    [
        "\u202a+254 712 345 678\u202c",
        "\u2068+254 712-345678\u2069",
        "0712\u00a0345\u00a0678",
        "0712\u2011345\u2011678",
        "(0712) 345 678",
        "00254712345678",
    ],
)
def test_a_number_is_taken_as_people_paste_it(client, make_order, pasted, daraja):
    assert push(client, make_order(), pasted).status_code == 202
    assert daraja.pushes[-1].msisdn == "254712345678"


def test_a_form_for_a_busy_line_gets_the_page_under_the_same_status(client, make_order):
    pushed(client, make_order())

    answer = push_form(client, make_order())

    assert answer.status_code == 429
    assert answer.mimetype == "text/html"
    assert answer.headers["Retry-After"] == "180"
    assert re.search(r'id="form-error" role="alert">[^<]*.*is open on this phone', answer.text)


def test_a_form_before_the_wait_is_over_gets_the_page_under_the_same_status(
    client, make_order, daraja
):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1037)

    answer = push_form(client, order_id)

    assert (answer.status_code, answer.mimetype) == (429, "text/html")
    assert answer.headers["Retry-After"] == "120"


def test_a_form_for_a_closed_order_gets_the_page_under_the_same_status(client, make_order):
    order_id = make_order()
    client.post(f"/api/orders/{order_id}/cancel", headers=API_KEY)

    answer = push_form(client, order_id)

    assert (answer.status_code, answer.mimetype) == (409, "text/html")


def test_a_form_that_meets_another_phones_attempt_is_sent_to_the_page(client, make_order):
    order_id = make_order()
    pushed(client, order_id)

    answer = push_form(client, order_id, SECOND_PAYER)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/checkout/{order_id}"


def test_a_form_for_a_paid_order_is_sent_to_the_page(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    call_back(client, daraja)

    answer = push_form(client, order_id)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/checkout/{order_id}"


def test_a_form_for_an_unknown_order_is_not_found(client):
    answer = push_form(client, "A" * 22, headers={"Accept": "text/html"})

    assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_a_form_without_an_order_is_refused(client):
    problem(push_form(client, ""), 400, "invalid_request", "order_id")


def test_a_form_with_files_is_a_form(client, make_order):
    fields = {"order_id": make_order(), "phone": PAYER}

    answer = client.post("/stk-push", data=fields, content_type="multipart/form-data")

    assert answer.status_code == 303


# -- /check-status -----------------------------------------------------------------------------


def test_a_poll_gets_the_snapshot(client, make_order):
    snapshot = pushed(client, make_order())

    answer = poll(client, snapshot["transaction_id"])

    assert answer.status_code == 200
    assert answer.get_json() == snapshot


def test_a_poll_after_the_result_has_the_receipt(client, make_order, daraja):
    transaction_id = pushed(client, make_order())["transaction_id"]
    call_back(client, daraja)

    snapshot = status_of(client, transaction_id)

    assert (snapshot["status"], snapshot["reason"]) == ("SUCCESS", "paid")
    assert (snapshot["order_status"], snapshot["receipt"]) == ("PAID", RECEIPT)
    assert snapshot["final"]


def test_a_poll_without_an_id_is_refused(client):
    problem(client.get("/check-status"), 400, "invalid_request", "tx_id")
    problem(client.get("/check-status?tx_id="), 400, "invalid_request", "tx_id")


@pytest.mark.parametrize("tx_id", ["nope", "A" * 22, "A" * 9000, "\0", "%00", "🙂" * 20])
def test_a_poll_for_an_unknown_transaction_is_not_found(client, tx_id):
    problem(poll(client, tx_id), 404, "transaction_not_found")


def test_an_order_id_is_no_transaction_id(client, make_order):
    problem(poll(client, make_order()), 404, "transaction_not_found")


def test_a_poll_is_304_while_nothing_changed(client, make_order):
    transaction_id = pushed(client, make_order())["transaction_id"]
    tag = poll(client, transaction_id).headers["ETag"]

    answer = poll(client, transaction_id, headers={"If-None-Match": tag})

    assert (answer.status_code, answer.data) == (304, b"")
    assert answer.headers["ETag"] == tag


@pytest.mark.parametrize("written", ["W/{}", '"other", W/{}', "{}, W/{}", "*"])
def test_a_poll_is_304_also_where_a_proxy_weakened_the_tag(client, make_order, written):
    """One that compresses has to (RFC 9110, 8.8.1)."""
    transaction_id = pushed(client, make_order())["transaction_id"]
    tag = poll(client, transaction_id).headers["ETag"]

    answer = poll(client, transaction_id, headers={"If-None-Match": written.replace("{}", tag)})

    assert (answer.status_code, answer.data) == (304, b"")


@pytest.mark.parametrize("path", ["/checkout/{}", "/openapi.json", "/docs/api"])
def test_every_tag_is_known_again_when_it_was_weakened(client, make_order, path):
    address = path.format(make_order())
    tag = client.get(address).headers["ETag"]

    assert client.get(address, headers={"If-None-Match": f"W/{tag}"}).status_code == 304


def test_a_change_is_another_etag(client, make_order, daraja):
    transaction_id = pushed(client, make_order())["transaction_id"]
    tag = poll(client, transaction_id).headers["ETag"]
    fail(client, daraja, 1)

    answer = poll(client, transaction_id, headers={"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.get_json()["reason"] == "insufficient_funds"


def test_another_language_is_another_etag(client, make_order):
    transaction_id = pushed(client, make_order())["transaction_id"]
    tag = poll(client, transaction_id).headers["ETag"]

    by_header = {"If-None-Match": tag, "Accept-Language": "sw"}
    by_query = {"tx_id": transaction_id, "lang": "sw"}

    assert poll(client, transaction_id, headers=by_header).status_code == 200
    answer = client.get("/check-status", query_string=by_query, headers={"If-None-Match": tag})
    assert answer.status_code == 200


def test_a_retry_that_becomes_possible_by_time_alone_is_another_etag(
    client, make_order, daraja, clock
):
    transaction_id = pushed(client, make_order())["transaction_id"]
    tag = poll(client, transaction_id).headers["ETag"]
    clock.pass_(seconds=180)

    answer = poll(client, transaction_id, headers={"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.get_json()["can_retry"]


def test_money_that_is_sure_by_time_alone_is_another_etag(client, make_order, daraja, clock):
    transaction_id = pushed(client, make_order())["transaction_id"]
    fail(client, daraja, 1037)
    clock.pass_(seconds=179)
    before = poll(client, transaction_id)
    clock.pass_(seconds=1)

    answer = poll(client, transaction_id, headers={"If-None-Match": before.headers["ETag"]})

    assert before.get_json()["money"] == "unknown"
    assert answer.status_code == 200
    assert answer.get_json()["money"] == "not_taken"
    assert answer.get_json()["seq"] == before.get_json()["seq"]


def test_an_order_that_expires_by_time_alone_is_another_etag(client, make_order, daraja, clock):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    transaction_id = pushed(client, order_id)["transaction_id"]
    fail(client, daraja, 2028)  # no retry for ten minutes: only the order's status will change
    tag = poll(client, transaction_id).headers["ETag"]
    clock.pass_(seconds=600)

    answer = poll(client, transaction_id, headers={"If-None-Match": tag})

    assert answer.status_code == 200
    assert answer.get_json()["order_status"] == "EXPIRED"


def test_a_payment_of_the_order_raises_the_seq_of_its_other_attempts(client, make_order, daraja):
    order_id = make_order()
    first = pushed(client, order_id)["transaction_id"]
    fail(client, daraja, 1032)
    seq = status_of(client, first)["seq"]
    pushed(client, order_id)
    call_back(client, daraja, 2)

    snapshot = status_of(client, first)

    assert (snapshot["status"], snapshot["order_status"]) == ("FAILED", "PAID")
    assert snapshot["seq"] == seq + 1
    assert snapshot["message"] == "Already paid. If a prompt is still on your phone, cancel it."


def test_a_snapshot_is_cached_nowhere_without_asking(client, make_order):
    transaction_id = pushed(client, make_order())["transaction_id"]

    headers = poll(client, transaction_id).headers

    assert headers["Cache-Control"] == "private, no-cache"
    assert "Accept-Language" in headers["Vary"]


def test_the_wait_that_is_left_is_counted_from_the_answer(client, make_order, daraja, clock):
    transaction_id = pushed(client, make_order())["transaction_id"]
    fail(client, daraja, 1019)
    clock.pass_(seconds=45)

    snapshot = status_of(client, transaction_id)

    assert (snapshot["can_retry"], snapshot["retry_after"]) == (True, 15)


def test_a_poll_by_another_method_is_not_allowed(client):
    answer = client.post("/check-status")

    problem(answer, 405, "method_not_allowed")
    assert "GET" in answer.headers["Allow"]

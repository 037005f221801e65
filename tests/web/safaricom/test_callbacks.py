"""POST /callback/<token>: what is kept, what is answered, and to whom."""

import json
import sys

import pytest
from sqlalchemy import select

from mpesa.models import EvidenceRow, db
from tests.conftest import on_both
from tests.factories import API_KEY, failure_callback, order_fields, raw, success_callback
from tests.web.steps import call_back, problem, pushed, rows, status_of

ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
LARGEST = 64 * 1024


def kept(app):
    """The bodies of all callbacks, as they arrived."""
    with app.app_context():
        found = (
            select(EvidenceRow.body).where(EvidenceRow.kind == "callback").order_by(EvidenceRow.id)
        )
        return list(db.session.scalars(found))


@pytest.fixture
def transaction_id(client, make_order):
    return pushed(client, make_order())["transaction_id"]


@on_both
def test_a_callback_is_stored_as_it_came_and_accepted(client, app, daraja, transaction_id):
    body = raw(success_callback(daraja.checkout_id(1), daraja.merchant_id(1)))

    answer = call_back(client, daraja, body=body)

    assert (answer.status_code, answer.get_json()) == (200, ACCEPTED)
    assert kept(app) == [body]
    assert status_of(client, transaction_id)["status"] == "SUCCESS"


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b"{",
    b"\x00\x01\xff\xfe",
    b"<html>Request unsuccessful. Incapsula incident ID</html>",
    b"[" * 60_000,
    b'{"Body": {"stkCallback": []}}',
    b'{"Body": {"stkCallback": {"ResultCode": false}}}',
    b'{"Body": {"stkCallback": {"ResultCode": null}}}',
    b'{"Body": {"stkCallback": {"ResultCode": 0, "ResultCode": 1}}}',
    b'{"Body": {"stkCallback": {"ResultCode": ' + b"9" * 5000 + b"}}}",
    b'{"Body": {"stkCallback": {"ResultCode": 1e999}}}',
    '{"Body": "\ud800"}'.encode("utf-8", "surrogatepass"),
    '{"Body": {"stkCallback": {"ResultCode": 0}}}'.encode("utf-16"),
]


def test_a_callback_walks_through_no_room_but_its_own_and_is_counted(
    client, daraja, transaction_id
):
    walked = set()

    def note(frame, _event, _argument):
        _before, in_web, after = frame.f_code.co_filename.rpartition("/mpesa/web/")
        if in_web:
            walked.add(after.split("/")[0])

    sys.setprofile(note)
    try:
        answer = call_back(client, daraja)
    finally:
        sys.setprofile(None)

    assert answer.status_code == 200
    assert walked == {"safaricom", "http", "monitor"}
    assert status_of(client, transaction_id)["status"] == "SUCCESS"


@pytest.mark.parametrize("body", GARBAGE, ids=range(len(GARBAGE)))
@on_both
def test_garbage_is_kept_accepted_and_changes_nothing(client, app, daraja, transaction_id, body):
    before = status_of(client, transaction_id)

    answer = call_back(client, daraja, body=body)

    assert (answer.status_code, answer.get_json()) == (200, ACCEPTED)
    assert kept(app) == [body]
    assert status_of(client, transaction_id) == before


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain; charset=nonsense",
        "",
        "\x7f",
    ],
)
def test_a_result_counts_whatever_content_type_it_claims(
    client, app, daraja, transaction_id, content_type
):
    body = raw(failure_callback(daraja.checkout_id(1), daraja.merchant_id(1)))

    answer = client.post(
        f"/callback/{daraja.token_of(1)}", data=body, headers={"Content-Type": content_type}
    )

    assert answer.status_code == 200
    assert kept(app) == [body]
    assert status_of(client, transaction_id)["reason"] == "cancelled"


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": "text/html"},
        {"Idempotency-Key": "x" * 3000},
        {"Authorization": "Basic ::"},
        {"Content-Encoding": "gzip"},
        {"Accept-Language": ";;;q=x," * 50},
        {"Cookie": "session=forged"},
        {"X-Forwarded-For": "a" * 500},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_odd_headers_keep_no_callback_out(client, app, daraja, transaction_id, headers):
    answer = call_back(client, daraja, headers=headers)

    assert (answer.status_code, answer.get_json()) == (200, ACCEPTED)
    assert len(kept(app)) == 1


def test_a_repeated_callback_is_kept_and_accepted_each_time(client, app, daraja, transaction_id):
    call_back(client, daraja)
    settled = status_of(client, transaction_id)

    answer = call_back(client, daraja)

    assert answer.status_code == 200
    assert len(kept(app)) == 2
    assert status_of(client, transaction_id) == settled


def test_a_body_of_64_kib_is_kept_in_full(client, app, daraja, transaction_id):
    document = json.dumps(success_callback(daraja.checkout_id(1), daraja.merchant_id(1))).encode()
    body = document + b" " * (LARGEST - len(document))

    answer = call_back(client, daraja, body=body)

    assert answer.status_code == 200
    assert kept(app) == [body]
    assert status_of(client, transaction_id)["status"] == "SUCCESS"


@pytest.mark.parametrize("size", [LARGEST + 1, 1024 * 1024])
def test_a_body_above_64_kib_is_refused(client, app, daraja, transaction_id, size):
    before = rows(app)

    answer = call_back(client, daraja, body=b"x" * size)

    problem(answer, 413, "payload_too_large")
    assert rows(app) == before


@pytest.mark.parametrize(
    "token",
    ["0" * 64, "A" * 64, "0" * 63, "0" * 65, "x", "%00", "\u0660" * 64, "..%2f..", "0" * 20_000],
    ids=range(9),
)
def test_an_unknown_token_is_not_found_and_nothing_is_kept(
    client, app, transaction_id, daraja, token
):
    before = rows(app)

    answer = client.post(f"/callback/{token}", json=success_callback("ws_CO_1", "1"))

    problem(answer, 404, "not_found")
    assert rows(app) == before


def test_a_token_opens_in_lower_case_only_and_only_whole(client, daraja, transaction_id):
    token = daraja.token_of(1)

    for other in (token.upper(), token[:-1], token + "0", f"{token}/x", f"x{token}"):
        assert client.post(f"/callback/{other}", data=b"{}").status_code == 404


@on_both
def test_a_slash_behind_the_token_keeps_no_callback_out(client, daraja, transaction_id):
    body = raw(success_callback(daraja.checkout_id(1), daraja.merchant_id(1)))

    answer = client.post(f"/callback/{daraja.token_of(1)}/", data=body)

    assert (answer.status_code, answer.get_json()) == (200, ACCEPTED)
    assert status_of(client, transaction_id)["status"] == "SUCCESS"


def test_the_hash_of_a_token_opens_nothing(client, app, daraja, transaction_id):
    with app.app_context():
        (stored,) = db.session.execute(db.text("SELECT callback_token_hash FROM transactions"))

    assert client.post(f"/callback/{stored[0]}", data=b"{}").status_code == 404


@pytest.mark.parametrize("method", ["get", "put", "delete", "patch"])
def test_a_callback_by_another_method_is_not_allowed(client, daraja, transaction_id, method):
    answer = getattr(client, method)(f"/callback/{daraja.token_of(1)}")

    problem(answer, 405, "method_not_allowed")


def test_a_callback_that_cannot_be_stored_is_503_and_not_200(make_app, daraja):
    app = make_app()
    client = app.test_client()
    with app.app_context():
        db.session.execute(db.text("DROP TABLE decisions"))
        db.session.execute(db.text("DROP TABLE evidence"))
        db.session.execute(db.text("DROP TABLE transactions"))
        db.session.commit()

    answer = client.post(f"/callback/{'0' * 64}", data=b"{}")

    problem(answer, 503, "unavailable")
    assert answer.headers["Retry-After"]


def test_from_an_address_that_is_not_listed_it_is_kept_but_not_believed(make_app, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    client = app.test_client()
    transaction_id = order_and_push(client)

    answer = call_back(client, daraja)

    assert answer.status_code == 200
    assert len(kept(app)) == 1
    assert status_of(client, transaction_id)["status"] == "PENDING"


def test_a_forwarded_address_is_not_believed_without_a_proxy(make_app, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    client = app.test_client()
    transaction_id = order_and_push(client)

    call_back(client, daraja, headers={"X-Forwarded-For": "196.201.212.69"})

    assert status_of(client, transaction_id)["status"] == "PENDING"


def test_behind_one_proxy_only_the_address_that_it_saw_counts(make_app, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24", TRUSTED_PROXIES="1")
    client = app.test_client()
    transaction_id = order_and_push(client)

    call_back(client, daraja, headers={"X-Forwarded-For": "196.201.212.69, 203.0.113.9"})
    forged = status_of(client, transaction_id)["status"]
    call_back(client, daraja, headers={"X-Forwarded-For": "203.0.113.9, 196.201.212.69"})

    assert forged == "PENDING"
    assert status_of(client, transaction_id)["status"] == "SUCCESS"


@on_both
def test_an_absurd_forwarded_address_loses_no_callback(make_app, daraja):
    app = make_app(TRUSTED_PROXIES="1")
    client = app.test_client()
    order_and_push(client)

    answer = call_back(client, daraja, headers={"X-Forwarded-For": "a" * 500})

    assert answer.status_code == 200
    assert len(kept(app)) == 1


def order_and_push(client):
    order = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
    return pushed(client, order["order_id"])["transaction_id"]

"""/api/orders for merchants' servers; /healthz and /readyz for load balancers."""

import html
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mpesa import __version__
from mpesa.daraja.requests_to_daraja import Merchant, push_body
from mpesa.models import Transaction, db
from tests.conftest import on_both
from tests.factories import API_KEY, SECOND_PAYER, order_fields
from tests.servers import free_port
from tests.web.steps import call_back, fail, problem, pushed, rows

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def merchant():
    return Merchant("key", "secret", "174379", "passkey")


def create(client, headers=API_KEY, **fields):
    return client.post("/api/orders", json=order_fields(**fields), headers=headers)


def read(client, order_id):
    answer = client.get(f"/api/orders/{order_id}", headers=API_KEY)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def cancel(client, order_id):
    return client.post(f"/api/orders/{order_id}/cancel", headers=API_KEY)


# -- create ------------------------------------------------------------------------------------


@on_both
def test_a_new_order_is_201_with_its_checkout_url(client):
    answer = create(
        client, return_url="https://shop.example/done", expires_at="2026-11-24T12:30:00+03:00"
    )

    order = answer.get_json()
    order_id = order["order_id"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/orders/{order_id}"
    assert order == {
        "order_id": order_id,
        "checkout_url": f"http://127.0.0.1:8000/checkout/{order_id}",
        "status": "OPEN",
        "amount": 150,
        "currency": "KES",
        "reference": "INV-1",
        "description": "Two coffees",
        "return_url": "https://shop.example/done",
        "expires_at": "2026-11-24T09:30:00Z",
        "created_at": "2026-11-24T09:00:00Z",
        "pay_code": order["pay_code"],
        "settled_by": None,
        "needs_review": False,
        "transactions": [],
    }
    assert re.fullmatch("[2345689][0-9]{8}", order["pay_code"])


def test_order_ids_are_url_safe_and_never_alike(client, make_order):
    ids = {make_order() for _ in range(20)}

    assert len(ids) == 20
    assert all(len(each) >= 22 and each.isascii() for each in ids)


ROUTES = [
    ("post", "/api/orders"),
    ("get", "/api/orders?reference=INV-1"),
    ("get", "/api/orders/AAAAAAAAAAAAAAAAAAAAAA"),
    ("post", "/api/orders/AAAAAAAAAAAAAAAAAAAAAA/cancel"),
]
NO_KEYS = [
    {},
    {"Authorization": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer "},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer development-api-key2"},
    {"Authorization": "Bearer développement"},
    {"Authorization": "Basic ZGV2ZWxvcG1lbnQtYXBpLWtleTo="},
    {"Authorization": "development-api-key"},
    {"X-Api-Key": "development-api-key"},
    {"Cookie": "Authorization=Bearer development-api-key"},
]


@pytest.mark.parametrize("headers", NO_KEYS, ids=range(len(NO_KEYS)))
@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_a_key_nothing_is_told_or_done(client, app, method, path, headers):
    before = rows(app)

    answer = getattr(client, method)(path, headers=headers)

    problem(answer, 401, "unauthorized")
    assert rows(app) == before


def test_a_wrong_key_is_told_before_a_wrong_body(client):
    answer = client.post("/api/orders", data=b"{", content_type="application/json")

    problem(answer, 401, "unauthorized")


def test_each_of_several_keys_opens(make_app):
    client = make_app(API_KEYS="first, second").test_client()

    for key in ("first", "second"):
        assert create(client, {"Authorization": f"Bearer {key}"}).status_code == 201
    problem(create(client, {"Authorization": "Bearer first, second"}), 401, "unauthorized")


AMOUNTS = [0, -1, 250_001, 10**30, "150", 150.0, 1.5, True, None, [150], {}, "", float("nan")]


@pytest.mark.parametrize("amount", AMOUNTS, ids=map(repr, AMOUNTS))
def test_an_amount_is_a_json_integer_within_bounds(client, app, amount):
    before = rows(app)

    problem(create(client, amount=amount), 400, "invalid_request", "amount")
    assert rows(app) == before


@pytest.mark.parametrize("amount", [1, 250_000])
def test_both_ends_of_the_amounts_are_taken(client, amount):
    assert create(client, amount=amount).get_json()["amount"] == amount


def test_the_largest_amount_is_a_setting(make_app):
    client = make_app(DARAJA_MAX_AMOUNT="150").test_client()

    assert create(client, amount=150).status_code == 201
    problem(create(client, amount=151), 400, "invalid_request", "amount")


REFERENCES = [
    "",
    "A" * 65,
    "INV 1",
    "INV#1",
    "INV\n",
    "INV\0",
    "\u0418\u041d\u0412",
    "\u0661\u0662\u0663",
    1,
    None,
    True,
    [],
]


@pytest.mark.parametrize("reference", REFERENCES, ids=map(repr, REFERENCES))
def test_a_reference_is_1_to_64_plain_characters(client, reference):
    answer = create(client, reference=reference)

    problem(answer, 400, "invalid_request", "reference")
    assert "1 to 64 of A-Z, a-z, 0-9" in answer.get_json()["detail"]


@on_both
def test_a_long_reference_is_the_orders_own_and_its_end_is_what_the_payer_sees(client, app, daraja):
    reference = "A" * 49 + "ORD-2026-000123"
    order_id = create(client, reference=reference).get_json()["order_id"]
    transaction_id = pushed(client, order_id)["transaction_id"]
    found = client.get("/api/orders", query_string={"reference": reference}, headers=API_KEY)

    assert read(client, order_id)["reference"] == reference
    assert [each["order_id"] for each in found.get_json()["orders"]] == [order_id]
    with app.app_context():
        kept = db.session.get_one(Transaction, transaction_id)
        assert kept.account_reference == "-2026-000123"
        assert push_body(merchant(), daraja.pushes[0], NOW)["AccountReference"] == "-2026-000123"


CURRENCIES = ["USD", "kes", "", "KES ", 404, True, ["KES"], {}]


@pytest.mark.parametrize("currency", CURRENCIES, ids=map(repr, CURRENCIES))
def test_another_currency_is_never_taken_for_shillings(client, app, currency):
    before = rows(app)

    problem(create(client, currency=currency), 400, "invalid_request", "currency")
    assert rows(app) == before


@pytest.mark.parametrize("fields", [{}, {"currency": "KES"}, {"currency": None}])
def test_the_currency_may_be_said_and_is_answered(client, fields):
    assert create(client, **fields).get_json()["currency"] == "KES"


def test_every_character_of_a_reference_is_taken(client):
    assert create(client, reference="Az09._/-Az09").get_json()["reference"] == "Az09._/-Az09"


TEXTS = json.loads((Path(__file__).parents[2] / "cases" / "texts.json").read_text())
TAKEN = [(each["text"], each["read"]) for each in TEXTS if each["read"] is not None]
DESCRIPTIONS = [*(each["text"] for each in TEXTS if each["read"] is None), 1, None, True, ["x"]]


@pytest.mark.parametrize("description", DESCRIPTIONS, ids=map(ascii, DESCRIPTIONS))
def test_a_description_is_1_to_200_characters_and_none_that_controls(client, description):
    problem(create(client, description=description), 400, "invalid_request", "description")


@on_both
def test_a_description_may_be_in_any_script(client):
    for description, kept in TAKEN:
        order = create(client, description=description).get_json()

        assert order["description"] == kept
        assert read(client, order["order_id"])["description"] == kept
        assert kept in html.unescape(client.get(f"/checkout/{order['order_id']}").text)


EXPIRIES = [
    "2026-11-24T09:00:00Z",
    "2020-01-01T00:00:00Z",
    "2030-01-01T00:00:00",
    "2030-01-01",
    "tomorrow",
    "",
    "2036-11-24T09:00:01Z",
    "2036-11-24T23:00:01+14:00",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59+14:00",
    "2030-12-31T23:59:60Z",
    "2030-12-31T24:00:00Z",
    "2030-01-01T00:00:00+24:00",
    "0001-01-01T00:00:00+12:00",
    "2030-02-30T00:00:00Z",
    "\u0662\u0660\u0663\u0660-\u0660\u0661-\u0660\u0661T\u0660\u0660:\u0660\u0660:\u0660\u0660Z",
    "2030-01-01T00:00:00Z\0",
    1900000000,
    True,
    ["2030-01-01T00:00:00Z"],
    {},
]


@pytest.mark.parametrize("expires_at", EXPIRIES, ids=map(repr, EXPIRIES))
def test_an_expiry_is_a_time_with_its_zone_in_the_future(client, app, expires_at):
    before = rows(app)

    problem(create(client, expires_at=expires_at), 400, "invalid_request", "expires_at")
    assert rows(app) == before


@on_both
@pytest.mark.parametrize(
    ("expires_at", "told"),
    [
        ("2036-11-24T09:00:00Z", "2036-11-24T09:00:00Z"),
        ("2036-11-24T23:00:00+14:00", "2036-11-24T09:00:00Z"),
        ("2026-11-23T21:00:01-12:00", "2026-11-24T09:00:01Z"),
        ("2028-02-29T23:59:59.999999+03:00", "2028-02-29T20:59:59Z"),
        ("2030-01-01T00:00:00+23:59", "2029-12-31T00:01:00Z"),
    ],
)
def test_an_expiry_within_ten_years_is_read_everywhere(client, expires_at, told):
    order_id = create(client, expires_at=expires_at).get_json()["order_id"]

    assert read(client, order_id)["expires_at"] == told
    assert client.get(f"/checkout/{order_id}").status_code == 200


def test_without_an_expiry_an_order_stays_open(client, clock, make_order):
    order_id = make_order(expires_at=None)
    clock.pass_(days=10_000)

    assert read(client, order_id)["status"] == "OPEN"


BODIES = [
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'"x"', "application/json", 400),
    (b"null", "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b"[" * 60_000, "application/json", 400),
    (
        b'{"amount": 150, "amount": 1, "reference": "A", "description": "x"}',
        "application/json",
        400,
    ),
    (b'{"amount": ' + b"9" * 5000 + b"}", "application/json", 400),
    (b"amount=150&reference=A&description=x", "application/x-www-form-urlencoded", 415),
    (b'{"amount": 150, "reference": "A", "description": "x"}', "text/plain", 415),
    (b'{"amount": 150, "reference": "A", "description": "x"}', "", 415),
]


@pytest.mark.parametrize(("body", "content_type", "status"), BODIES, ids=range(len(BODIES)))
def test_a_body_that_is_no_json_object_is_refused(client, app, body, content_type, status):
    before = rows(app)

    answer = client.post("/api/orders", data=body, content_type=content_type, headers=API_KEY)

    code = "invalid_request" if status == 400 else "unsupported_media_type"
    problem(answer, status, code)
    assert rows(app) == before


def test_a_body_above_64_kib_is_refused(client):
    problem(create(client, description="x" * 70_000), 413, "payload_too_large")


# -- return_url --------------------------------------------------------------------------------

GOOD_RETURNS = [
    "https://shop.example/done",
    "HTTPS://shop.example/done",
    "https://shop.example:8443/a?b=c#d",
    "https://shop.example",
    "http://127.0.0.1:8000/done",
    "http://localhost/done",
    "http://[::1]:8000/",
]
BAD_RETURNS = [
    "//evil.example",
    "///evil.example",
    "/done",
    "shop.example/done",
    "",
    " https://shop.example/",
    "https://shop.example/a b",
    "https:/evil.example",
    "https:evil.example",
    "https:///evil.example",
    "https://",
    "https://?x=1",
    "https:\\\\evil.example",
    "https://shop.example\\@evil.example",
    "https://shop.example\\.evil.example",
    "https://shop.example@evil.example",
    "https://user:pass@shop.example/",
    "https://shop.example:99999/",
    "https://shop.example:x/",
    "https://[::1",
    "https://shop.example/\n",
    "ht\ttps://shop.example/",
    "https://shop.example/\0",
    "https://bücher.example/",
    "https://shop。example/",
    "http://shop.example/done",
    "http://127.0.0.1.evil.example/",
    "http://localhost.evil.example/",
    "javascript:alert(1)",
    "JaVaScRiPt://shop.example/%0aalert(1)",
    "data:text/html,x",
    "ftp://shop.example/",
    "https://shop.example/" + "x" * 3000,
    1,
    True,
    ["https://shop.example/"],
    {"url": "https://shop.example/"},
]


@pytest.mark.parametrize("return_url", GOOD_RETURNS)
def test_a_return_url_may_be_https_or_loopback_with_the_simulator(client, return_url):
    assert create(client, return_url=return_url).get_json()["return_url"] == return_url


def test_a_refused_return_url_is_told_what_would_do(make_app):
    listed = make_app(RETURN_URL_HOSTS="shop.example,localhost").test_client()
    plain = create(make_app().test_client(), return_url="http://shop.example/done")
    elsewhere = create(listed, return_url="https://evil.example/")

    assert plain.get_json()["detail"] == (
        "An https address, at most 2,000 ASCII characters."
        " With the simulator, http on a loopback address will do."
    )
    assert "a host of RETURN_URL_HOSTS: shop.example, localhost." in elsewhere.get_json()["detail"]


@pytest.mark.parametrize("return_url", BAD_RETURNS, ids=range(len(BAD_RETURNS)))
def test_a_return_url_that_may_lead_elsewhere_is_refused(client, app, return_url):
    before = rows(app)

    problem(create(client, return_url=return_url), 400, "invalid_request", "return_url")
    assert rows(app) == before


@pytest.mark.parametrize(
    "return_url",
    [
        "https://shop.example/done",
        "https://SHOP.example:8443/done",
        "https://www.shop.example/",
    ],
)
def test_where_hosts_are_listed_those_are_taken(make_app, return_url):
    client = make_app(RETURN_URL_HOSTS="shop.example, www.shop.example").test_client()

    assert create(client, return_url=return_url).status_code == 201


@pytest.mark.parametrize(
    "return_url",
    [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://evil.example/shop.example",
        "https://evil.example?shop.example",
        "https://evil.example#shop.example",
        "https://notshop.example/",
        "https://sub.shop.example/",
        "https://shop.example./",
        "https://shop.example;evil.example/",
        "https://shop.example%2eevil.example/",
        "https://evil.example\\shop.example",
        "http://127.0.0.1/",
    ],
)
def test_where_hosts_are_listed_no_other_is_taken(make_app, return_url):
    client = make_app(RETURN_URL_HOSTS="shop.example").test_client()

    problem(create(client, return_url=return_url), 400, "invalid_request", "return_url")


@pytest.mark.parametrize("listed", ["[::1]", "::1"])
def test_an_address_is_listed_with_its_brackets_or_without_them(make_app, listed):
    client = make_app(RETURN_URL_HOSTS=listed).test_client()

    assert create(client, return_url="https://[::1]:8443/done").status_code == 201
    elsewhere = create(client, return_url="https://[::2]/")
    problem(elsewhere, 400, "invalid_request", "return_url")


def test_hosts_are_listed_in_any_case(make_app):
    client = make_app(RETURN_URL_HOSTS="Shop.Example").test_client()

    assert create(client, return_url="https://shop.example/").status_code == 201


# -- Idempotency-Key ---------------------------------------------------------------------------


def test_the_same_key_makes_one_order(client, app):
    key = API_KEY | {"Idempotency-Key": "order-1"}
    first = create(client, key)

    again = create(client, key)

    assert again.status_code == 201
    assert again.get_json() == first.get_json()
    assert rows(app)[0] == 1


def test_the_same_key_with_other_fields_is_refused(client):
    key = API_KEY | {"Idempotency-Key": "order-1"}
    create(client, key)

    problem(create(client, key, amount=151), 422, "idempotency_mismatch")


def test_fields_are_compared_after_normalising(client):
    key = API_KEY | {"Idempotency-Key": "order-1"}
    first = create(client, key, expires_at="2026-11-24T12:30:00+03:00")

    again = create(client, key, expires_at="2026-11-24T09:30:00Z", description=" Two coffees ")

    assert again.get_json() == first.get_json()


def test_a_key_belongs_to_its_api_key(make_app):
    app = make_app(API_KEYS="first,second")
    client = app.test_client()
    for key in ("first", "second"):
        create(client, {"Authorization": f"Bearer {key}", "Idempotency-Key": "order-1"})

    assert rows(app)[0] == 2


def test_a_refused_order_uses_up_no_key(client):
    key = API_KEY | {"Idempotency-Key": "order-1"}
    create(client, key, amount=0)

    assert create(client, key).status_code == 201


def test_the_same_key_gives_the_order_as_it_is_now(client, daraja):
    key = API_KEY | {"Idempotency-Key": "order-1"}
    pushed(client, create(client, key).get_json()["order_id"])
    call_back(client, daraja)

    again = create(client, key)

    assert (again.status_code, again.get_json()["status"]) == (201, "PAID")


def test_the_same_key_still_answers_after_the_order_expired(client, clock):
    key = API_KEY | {"Idempotency-Key": "order-1"}
    first = create(client, key, expires_at="2026-11-24T09:10:00Z")
    clock.pass_(minutes=11)

    again = create(client, key, expires_at="2026-11-24T09:10:00Z")

    assert again.status_code == 201
    assert again.get_json() == first.get_json() | {"status": "EXPIRED"}


# -- read, find, cancel ------------------------------------------------------------------------


def test_an_order_shows_its_transactions_newest_first(client, make_order, daraja, clock):
    order_id = make_order()
    first = pushed(client, order_id)["transaction_id"]
    fail(client, daraja, 1032)
    clock.pass_(seconds=5)
    second = pushed(client, order_id)["transaction_id"]

    order = read(client, order_id)

    assert [each["transaction_id"] for each in order["transactions"]] == [second, first]
    assert [each["status"] for each in order["transactions"]] == ["PENDING", "FAILED"]


def test_a_paid_order_says_so(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    call_back(client, daraja)

    order = read(client, order_id)

    assert (order["status"], order["needs_review"]) == ("PAID", False)


def test_an_order_that_a_person_must_look_at_says_so(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 12345)

    assert read(client, order_id)["needs_review"]


def test_an_expired_order_says_so(client, make_order, clock):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    clock.pass_(minutes=10)

    assert read(client, order_id)["status"] == "EXPIRED"


def test_an_order_with_an_open_attempt_does_not_expire(client, make_order, clock):
    order_id = make_order(expires_at="2026-11-24T09:01:00Z")
    pushed(client, order_id)
    clock.pass_(seconds=179)
    assert read(client, order_id)["status"] == "OPEN"

    clock.pass_(seconds=1)

    assert read(client, order_id)["status"] == "EXPIRED"


@pytest.mark.parametrize("order_id", ["A" * 22, "x", "%00", "A" * 5000, "..", "🙂"])
def test_an_unknown_order_is_not_found(client, order_id):
    answer = client.get(f"/api/orders/{order_id}", headers=API_KEY)

    assert answer.status_code == 404
    assert answer.get_json()["code"] in ("order_not_found", "not_found")


def test_orders_are_found_by_their_reference_newest_first(client, make_order, clock):
    first = make_order(reference="A-1")
    clock.pass_(seconds=1)
    second = make_order(reference="A-1")
    make_order(reference="A-2")

    found = client.get("/api/orders?reference=A-1", headers=API_KEY).get_json()["orders"]

    assert [each["order_id"] for each in found] == [second, first]


def test_a_reference_that_nobody_used_finds_nothing(client):
    answer = client.get("/api/orders?reference=NONE", headers=API_KEY)

    assert (answer.status_code, answer.get_json()) == (200, {"orders": []})


@pytest.mark.parametrize(
    "query", ["", "?reference=", "?reference=%25", "?reference=A%00", "?ref=A"]
)
def test_nothing_is_listed_without_a_reference(client, make_order, query):
    make_order()

    answer = client.get(f"/api/orders{query}", headers=API_KEY)

    problem(answer, 400, "invalid_request", "reference")


def test_cancelling_is_200_also_the_second_time(client, make_order):
    order_id = make_order()

    answers = [cancel(client, order_id), cancel(client, order_id)]

    assert [each.status_code for each in answers] == [200, 200]
    assert [each.get_json()["status"] for each in answers] == ["CANCELLED", "CANCELLED"]


def test_an_order_with_an_open_attempt_is_not_cancelled(client, make_order):
    order_id = make_order()
    pushed(client, order_id)

    problem(cancel(client, order_id), 409, "attempt_open")
    assert read(client, order_id)["status"] == "OPEN"


def test_a_silent_attempt_is_no_hindrance_once_it_is_180_seconds_old(client, make_order, clock):
    order_id = make_order()
    pushed(client, order_id)
    clock.pass_(seconds=180)

    assert cancel(client, order_id).get_json()["status"] == "CANCELLED"


def test_a_paid_order_is_not_cancelled(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    call_back(client, daraja)

    problem(cancel(client, order_id), 409, "order_paid")


def test_cancelling_raises_the_seq_of_its_transactions_once(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1032)
    seq = read(client, order_id)["transactions"][0]["seq"]

    (cancelled,) = cancel(client, order_id).get_json()["transactions"]
    (again,) = cancel(client, order_id).get_json()["transactions"]

    assert cancelled["seq"] == again["seq"] == seq + 1
    assert (cancelled["order_status"], cancelled["can_retry"]) == ("CANCELLED", False)


def test_money_for_a_cancelled_order_makes_it_paid_and_needs_review(client, make_order, daraja):
    order_id = make_order()
    pushed(client, order_id)
    fail(client, daraja, 1032)
    cancel(client, order_id)

    call_back(client, daraja)

    order = read(client, order_id)
    assert (order["status"], order["needs_review"]) == ("PAID", True)


def test_money_for_an_expired_order_makes_it_paid_and_needs_review(
    client, make_order, daraja, clock
):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    pushed(client, order_id)
    clock.pass_(minutes=11)

    call_back(client, daraja)

    order = read(client, order_id)
    assert (order["status"], order["needs_review"]) == ("PAID", True)


def test_cancelling_an_expired_order_is_answered_200(client, make_order, clock):
    order_id = make_order(expires_at="2026-11-24T09:10:00Z")
    clock.pass_(minutes=11)

    assert cancel(client, order_id).status_code == 200


def test_cancelling_an_unknown_order_is_not_found(client):
    problem(cancel(client, "A" * 22), 404, "order_not_found")


def test_the_orders_of_two_payers_do_not_show_each_others_transactions(client, make_order):
    order_id, other = make_order(), make_order()
    pushed(client, order_id)
    second = pushed(client, other, SECOND_PAYER)["transaction_id"]

    shown = [each["transaction_id"] for each in read(client, order_id)["transactions"]]

    assert second not in shown
    assert len(shown) == 1


# -- probes ------------------------------------------------------------------------------------


def test_the_process_says_that_it_serves_also_without_a_database(make_app):
    app = make_app()
    with app.app_context():
        db.drop_all()

    answer = app.test_client().get("/healthz")

    assert (answer.status_code, answer.get_json()) == (
        200,
        {"status": "ok", "version": __version__},
    )


def test_a_server_whose_database_answers_is_ready(client):
    answer = client.get("/readyz")

    assert (answer.status_code, answer.get_json()) == (200, {"status": "ready"})


def test_a_database_that_is_not_migrated_is_named(make_app):
    app = make_app()
    with app.app_context():
        db.session.execute(db.text("DROP TABLE alembic_version"))
        db.session.commit()

    body = problem(app.test_client().get("/readyz"), 503, "unavailable")

    assert "not migrated" in body["detail"]


def test_a_database_that_does_not_answer_is_named(make_app, tmp_path):
    app = make_app()
    client = app.test_client()
    with app.app_context():
        db.engine.dispose()
    file = tmp_path / "mpesa.sqlite"
    for each in tmp_path.glob("mpesa.sqlite*"):
        each.unlink()
    file.mkdir()

    body = problem(client.get("/readyz"), 503, "unavailable")

    assert "database" in body["detail"]


def test_a_redis_that_does_not_answer_is_named(make_app):
    client = make_app(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0").test_client()

    body = problem(client.get("/readyz"), 503, "unavailable")

    assert "Redis" in body["detail"]
    assert "database" not in body["detail"]


@pytest.mark.redis
def test_a_server_whose_redis_answers_is_ready(make_app, redis_url):
    client = make_app(REDIS_URL=redis_url).test_client()

    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("password", ["s3cret-of-redis"])
def test_a_probe_tells_no_address_or_password(make_app, password):
    client = make_app(REDIS_URL=f"redis://:{password}@127.0.0.1:{free_port()}/0").test_client()

    answer = client.get("/readyz")

    assert password not in answer.text
    assert "127.0.0.1" not in answer.text

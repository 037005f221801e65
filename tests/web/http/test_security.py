"""Headers, host names, proxies and bounds, on every answer."""

import base64
import hashlib
import re

import pytest

from tests.factories import API_KEY, order_fields
from tests.web.shopper.test_pages import SANDBOX
from tests.web.steps import problem, push, pushed

PATHS = ["/", "/healthz", "/readyz", "/nothing", "/check-status", "/api/orders"]


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_the_security_headers(client, path):
    headers = client.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


def test_no_page_has_inline_script_or_style_that_the_policy_would_stop(client, make_order):
    waiting = make_order()
    push(client, waiting)
    for path in ("/", f"/checkout/{make_order()}", f"/checkout/{waiting}"):
        answer = client.get(path)
        text, policy = answer.text, answer.headers["Content-Security-Policy"]
        assert " style=" not in text
        assert " onclick=" not in text
        inline = re.findall(r"<(script|style)(?![^>]* src=)[^>]*>(.*?)</", text, re.DOTALL)
        assert [kind for kind, _text in inline].count("style") == 1
        for _kind, content in inline:
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert f"'sha256-{digest}'" in policy


def test_what_belongs_to_a_payer_is_kept_in_no_cache(client, make_order):
    order_id = make_order()
    answers = [
        push(client, order_id),
        client.get(f"/checkout/{order_id}"),
        client.get(f"/api/orders/{order_id}", headers=API_KEY),
    ]

    assert {each.headers["Cache-Control"] for each in answers} == {"no-store"}


def test_no_cookie_is_set_on_a_shopper(client, make_order):
    order_id = make_order()
    answers = [push(client, order_id), client.get(f"/checkout/{order_id}"), client.get("/")]

    assert not any("Set-Cookie" in each.headers for each in answers)


def test_https_is_insisted_on_where_public_url_is_https(make_app):
    client = make_app(**SANDBOX).test_client()

    answer = client.get("/healthz", headers={"Host": "pay.example.com"})

    assert "max-age" in answer.headers["Strict-Transport-Security"]


def test_https_is_not_insisted_on_elsewhere(client):
    assert "Strict-Transport-Security" not in client.get("/healthz").headers


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:8000", "[::1]:8000"])
def test_our_own_host_names_are_answered(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "[::1", ""]
)
def test_other_host_names_are_refused(client, host):
    problem(client.get("/healthz", headers={"Host": host}), 400, "invalid_request")


def test_a_forwarded_host_is_not_believed_without_a_proxy(client):
    forwarded = {"Host": "evil.example", "X-Forwarded-Host": "127.0.0.1"}

    assert client.get("/healthz", headers=forwarded).status_code == 400
    unaffected = client.get("/healthz", headers={"X-Forwarded-Host": "evil.example"})
    assert unaffected.status_code == 200


PASSED_ON = [
    ("X-Forwarded-For", "203.0.113.7"), ("X-Forwarded-Host", "shop.example.com"),
    ("X-Forwarded-Proto", "https"), ("X-Forwarded-Prefix", "/"), ("Forwarded", "for=203.0.113.7"),
    ("X-Real-IP", "203.0.113.7"), ("Via", "1.1 tunnel"), ("CF-Connecting-IP", "203.0.113.7"),
]  # fmt: skip
OF_THE_SIMULATOR = [
    ("GET", "/simulator/"), ("GET", "/simulator/prompts?msisdn=254712345678"),
    ("PUT", "/simulator/lines/254712345678"), ("POST", "/simulator/reset"),
    ("GET", "/simulator/oauth/v1/generate?grant_type=client_credentials"),
]  # fmt: skip


@pytest.mark.parametrize("header", PASSED_ON, ids=str)
@pytest.mark.parametrize("proxies", ["0", "1"])
def test_the_simulator_answers_no_proxy_that_wrote_our_own_name(make_app, header, proxies):
    """As nginx does by default: Host is then where it passes things on to."""
    client = make_app(TRUSTED_PROXIES=proxies).test_client()
    asked = dict([header, ("Host", "127.0.0.1")])

    for method, path in OF_THE_SIMULATOR:
        answer = client.open(path, method=method, json={}, headers=asked)
        # Where the proxy is believed, the name that was asked for is looked at before.
        told = problem(answer, 400, "invalid_request")
        assert "SIMULATOR_PUBLIC" in told["detail"] or (proxies, header[0]) == (
            "1",
            PASSED_ON[1][0],
        )


def test_the_simulator_answers_this_machine(client):
    assert client.get("/simulator/", headers={"Host": "localhost:8000"}).status_code == 200


def test_the_simulator_answers_proxies_where_it_is_public(make_app):
    client = make_app(SIMULATOR_PUBLIC="on").test_client()

    assert client.get("/simulator/ledger", headers=dict(PASSED_ON)).status_code == 200


def test_host_names_are_a_setting(make_app):
    client = make_app(ALLOWED_HOSTS="Pay.example.com, other.example").test_client()

    for host in ("pay.example.com", "other.example", "PAY.example.com"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    assert client.get("/healthz", headers={"Host": "127.0.0.1"}).status_code == 400


def test_addresses_that_are_told_come_from_the_setting_not_from_the_request(client):
    answer = client.post(
        "/api/orders", json=order_fields(), headers=API_KEY | {"Host": "localhost:9"}
    )

    assert answer.get_json()["checkout_url"].startswith("http://127.0.0.1:8000/checkout/")


@pytest.mark.parametrize("path", ["/healthz", "/stk-push", "/api/orders", "/"])
def test_other_sites_are_not_let_in_by_cors(client, path):
    answer = client.options(
        path, headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )

    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", ["/../app.py", "/static/../app.py", "/static/%2e%2e/app.py"])
def test_static_files_lead_nowhere_else(client, path):
    assert client.get(path).status_code == 404


class TestLimits:
    """Each push of a line, and of an address, is counted."""

    def test_a_line_that_asks_too_often_is_told_when_to_come_back(self, make_app, daraja, clock):
        client = make_app(STK_PUSH_LIMIT_PER_PHONE="2/10minutes").test_client()
        for _ in range(2):
            pushed(client, new_order(client))
            clock.pass_(seconds=180)

        answer = push(client, new_order(client))

        problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["Retry-After"]) <= 601
        assert len(daraja.pushes) == 2

    def test_an_address_that_asks_too_often_is_told_when_to_come_back(self, make_app, daraja):
        client = make_app(STK_PUSH_LIMIT_PER_IP="2/minute").test_client()
        for phone in ("0712000001", "0712000002"):
            pushed(client, new_order(client), phone)

        problem(push(client, new_order(client), "0712000003"), 429, "rate_limited")
        assert len(daraja.pushes) == 2

    def test_a_forwarded_address_escapes_no_limit_without_a_proxy(self, make_app):
        client = make_app(STK_PUSH_LIMIT_PER_IP="1/minute").test_client()
        pushed(client, new_order(client), "0712000001")

        answer = push(
            client, new_order(client), "0712000002", headers={"X-Forwarded-For": "198.51.100.7"}
        )

        problem(answer, 429, "rate_limited")

    def test_behind_a_proxy_each_shopper_has_a_limit_of_their_own(self, make_app):
        client = make_app(STK_PUSH_LIMIT_PER_IP="1/minute", TRUSTED_PROXIES="1").test_client()

        first = push(client, new_order(client), "0712000001", headers=forwarded("198.51.100.7"))
        second = push(client, new_order(client), "0712000002", headers=forwarded("198.51.100.8"))
        third = push(
            client, new_order(client), "0712000003", headers=forwarded("9.9.9.9, 198.51.100.8")
        )

        assert (first.status_code, second.status_code) == (202, 202)
        problem(third, 429, "rate_limited")

    def test_joining_an_open_attempt_is_not_counted(self, make_app):
        client = make_app(STK_PUSH_LIMIT_PER_PHONE="1/minute").test_client()
        order_id = new_order(client)
        pushed(client, order_id)

        assert [push(client, order_id).status_code for _ in range(3)] == [200, 200, 200]

    def test_refused_requests_are_not_counted(self, make_app):
        client = make_app(STK_PUSH_LIMIT_PER_IP="1/minute").test_client()
        for _ in range(3):
            push(client, "A" * 22)
            push(client, new_order(client), "x")

        assert push(client, new_order(client)).status_code == 202

    def test_a_form_that_is_limited_gets_the_page_under_the_same_status(self, make_app):
        client = make_app(STK_PUSH_LIMIT_PER_IP="1/minute").test_client()
        pushed(client, new_order(client), "0712000001")

        answer = client.post(
            "/stk-push", data={"order_id": new_order(client), "phone": "0712000002"}
        )

        assert (answer.status_code, answer.mimetype) == (429, "text/html")
        assert answer.headers["Retry-After"]


def new_order(client):
    return client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()["order_id"]


def forwarded(address):
    return {"X-Forwarded-For": address}

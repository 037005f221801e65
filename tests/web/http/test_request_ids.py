"""Which request a line of the log is about, and who may say so."""

import logging
import re
from urllib.parse import quote

import pytest

from mpesa.models import db
from tests.factories import API_KEY, order_fields
from tests.web.steps import call_back, pushed

PROXIED = {"TRUSTED_PROXIES": "1"}


def id_of(answer):
    return answer.headers["X-Request-ID"]


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", 200), ("/nowhere", 404), ("/api/orders", 401)]
)
def test_every_answer_says_its_own_id(client, path, status):
    first, second = client.get(path), client.get(path)

    assert first.status_code == status
    assert re.fullmatch("[0-9a-f]{32}", id_of(first))
    assert id_of(first) != id_of(second)


@pytest.mark.parametrize("told", ["0123456789abcdef" * 2, "8b6c-4e2a_1.x", "a", "A" * 64])
def test_an_id_is_taken_from_our_proxy(make_app, told):
    client = make_app(**PROXIED).test_client()

    assert id_of(client.get("/healthz", headers={"X-Request-ID": told})) == told


def test_a_shopper_without_a_proxy_chooses_no_id(client):
    assert id_of(client.get("/healthz", headers={"X-Request-ID": "chosen"})) != "chosen"


@pytest.mark.parametrize(
    "told",
    ["", " ", "a b", "a,b", "a=b", 'a"', "a\\n", "\x1b[2J", "\u00e4", "\u0661", "a" * 65, "{}"],
)
def test_what_could_be_more_than_one_word_of_a_line_is_no_id(make_app, told):
    environ = {"HTTP_X_REQUEST_ID": told}

    answer = make_app(**PROXIED).test_client().get("/healthz", environ_overrides=environ)

    assert re.fullmatch("[0-9a-f]{32}", id_of(answer))


def test_the_lines_of_a_payment_say_order_transaction_and_request(client, daraja, log_lines):
    order = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
    transaction_id = pushed(client, order["order_id"])["transaction_id"]
    call = call_back(client, daraja)

    sent, paid = log_lines
    for line in log_lines:
        assert line["order_id"] == order["order_id"]
        assert line["transaction_id"] == transaction_id
    assert (sent["message"], paid["message"]) == ("a push is sent", "now SUCCESS paid")
    assert re.fullmatch("[0-9a-f]{32}", sent["request_id"])
    assert paid["request_id"] == id_of(call)


def test_an_error_says_what_the_request_was_about(app, client, make_order, log_lines):
    order_id = make_order()
    transaction_id = pushed(client, order_id)["transaction_id"]
    with app.app_context():
        db.session.execute(db.text("ALTER TABLE evidence RENAME TO gone"))
        db.session.execute(db.text("ALTER TABLE orders RENAME TO gone_too"))
        db.session.commit()
    log_lines.clear()

    polled = client.get("/check-status", query_string={"tx_id": transaction_id})
    opened = client.get(f"/checkout/{order_id}")

    poll, page = log_lines
    assert (polled.status_code, opened.status_code) == (503, 503)
    assert (poll["transaction_id"], poll["request_id"]) == (transaction_id, id_of(polled))
    assert (page["order_id"], page["request_id"]) == (order_id, id_of(opened))
    assert "transaction_id" not in page


@pytest.mark.parametrize("typed", ["x\ny", "254712345678 ", "../" * 9, '{"level": "error"}'])
def test_what_a_stranger_sends_for_an_id_is_nothing_that_a_line_is_about(client, typed, log_lines):
    sent = [
        lambda: client.get("/check-status", query_string={"tx_id": typed}),
        lambda: client.post("/sms-code", json={"tx_id": typed, "code": "UKO1ABCDEF"}),
        lambda: client.post("/stk-push", json={"order_id": typed, "phone": "0712345678"}),
        lambda: client.get(f"/checkout/{quote(typed)}"),
        lambda: client.get(f"/api/orders/{quote(typed)}", headers=API_KEY),
    ]
    for ask in sent:
        assert ask().status_code == 404
        logging.getLogger("mpesa").info("what the server itself says of that request")

    assert len(log_lines) == len(sent)
    for line in log_lines:
        assert {"order_id", "transaction_id"}.isdisjoint(line)

"""The address of a request is read once, before limits, lists, evidence and logs look at it."""

import logging

import pytest
from flask import request
from sqlalchemy import select

from mpesa.models import EvidenceRow, db
from mpesa.web.http.senders import sender_mark
from tests.factories import API_KEY, order_fields
from tests.web.console.steps import NAME, hire, try_login
from tests.web.steps import call_back, push, pushed, status_of

SAFARICOM = "196.201.214.0/24, 2001:db8::/32"


def new_order(client):
    return client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()["order_id"]


def sources(app):
    with app.app_context():
        callbacks = select(EvidenceRow.source).where(EvidenceRow.kind == "callback")
        return list(db.session.scalars(callbacks))


def forwarded(address):
    return {"X-Forwarded-For": address}


@pytest.mark.parametrize(
    ("written", "kept_as"),
    [
        ("196.201.214.200", "196.201.214.200"),
        ("196.201.214.200:53211", "196.201.214.200"),
        ("203.0.113.9, 196.201.214.200:53211", "196.201.214.200"),
        ("::ffff:196.201.214.200", "196.201.214.200"),
        ("[::ffff:196.201.214.200]:53211", "196.201.214.200"),
        ("[2001:db8::7]:443", "2001:db8::7"),
        ("2001:db8::7%eth0", "2001:db8::7"),
    ],
)
def test_a_listed_address_is_believed_however_the_proxy_writes_it(
    make_app, daraja, written, kept_as
):
    app = make_app(TRUSTED_PROXIES="1", CALLBACK_ALLOWED_IPS=SAFARICOM)
    client = app.test_client()
    transaction_id = pushed(client, new_order(client))["transaction_id"]

    call_back(client, daraja, headers=forwarded(written))

    assert status_of(client, transaction_id)["status"] == "SUCCESS"
    assert sources(app) == [kept_as]


@pytest.mark.parametrize("written", ["unknown", "_hidden", "a" * 500, "196.201.214.200:x", "::x"])
def test_what_is_no_address_is_on_no_list(make_app, daraja, written):
    app = make_app(TRUSTED_PROXIES="1", CALLBACK_ALLOWED_IPS="0.0.0.0/0, ::/0")
    client = app.test_client()
    transaction_id = pushed(client, new_order(client))["transaction_id"]

    call_back(client, daraja, headers=forwarded(written))

    assert status_of(client, transaction_id)["status"] == "PENDING"
    assert sources(app) == ["unknown"]


@pytest.mark.parametrize("peer", ["::ffff:196.201.214.200", "::ffff:196.201.214.200%eth0"])
def test_a_socket_for_both_families_shows_a_listed_address(make_app, daraja, peer):
    app = make_app(CALLBACK_ALLOWED_IPS=SAFARICOM)
    client = app.test_client()
    transaction_id = pushed(client, new_order(client))["transaction_id"]

    call_back(client, daraja, environ_base={"REMOTE_ADDR": peer})

    assert status_of(client, transaction_id)["status"] == "SUCCESS"


@pytest.mark.parametrize(
    "written",
    ["198.51.100.7:{}", "::ffff:198.51.100.7%{}", "[2001:db8::{}]:443", "nonsense-{}", ":{}"],
)
def test_a_new_port_zone_or_word_is_no_new_address(make_app, written):
    client = make_app(TRUSTED_PROXIES="1", STK_PUSH_LIMIT_PER_IP="3/minute").test_client()

    answers = [
        push(client, new_order(client), f"071200000{number}", headers=forwarded(address))
        for number, address in enumerate(written.format(1000 + each) for each in range(5))
    ]

    assert [each.status_code for each in answers] == [202] * 3 + [429] * 2


def test_the_log_names_the_bare_address(make_app, caplog):
    app = make_app(TRUSTED_PROXIES="1")
    hire(app)
    with caplog.at_level(logging.INFO, logger="mpesa"):
        for written in ("198.51.100.7:53211", "x forged"):
            client = app.test_client()
            client.environ_base["HTTP_X_FORWARDED_FOR"] = written
            try_login(client)

    lines = [each.getMessage() for each in caplog.records if "login" in each.getMessage()]
    assert lines == [f"login taken: {NAME} from 198.51.100.7", f"login taken: {NAME} from unknown"]


def test_a_sockets_handshake_shows_the_bare_address(make_app):
    seen = []
    app = make_app(TRUSTED_PROXIES="1")
    engine = app.extensions["mpesa"].socketio.server.eio

    def handle(environ, start_response):
        seen.append(environ["REMOTE_ADDR"])
        start_response("200 OK", [])
        return [b""]

    engine.handle_request = handle

    app.test_client().get("/socket.io/", headers=forwarded("[2001:db8::7]:443"))

    assert seen == ["2001:db8::7"]


def mark(app, address):
    with app.test_request_context(environ_base={"REMOTE_ADDR": address}):
        assert request.remote_addr == address
        return sender_mark()


def test_the_networks_of_one_customer_have_one_share_of_the_questions(make_app):
    app = make_app()

    marks = {mark(app, f"2001:db8:7:{network:x}::1") for network in range(0, 0x10000, 0x1111)}

    assert len(marks) == 1
    assert mark(app, "2001:db8:8::1") not in marks


def test_the_limits_count_the_networks_of_one_customer_one_by_one(make_app):
    client = make_app(TRUSTED_PROXIES="1", STK_PUSH_LIMIT_PER_IP="1/minute").test_client()

    answers = [
        push(
            client,
            new_order(client),
            f"071200000{each}",
            headers=forwarded(f"2001:db8:7:{each}::1"),
        )
        for each in range(3)
    ]

    assert [each.status_code for each in answers] == [202] * 3


def test_a_mark_names_a_sender_to_nobody_and_is_another_under_another_key(make_app):
    app, other = make_app(), make_app(SECRET_KEY="another")

    assert mark(app, "2001:db8:0:1::5") == mark(app, "2001:db8:0:1::6")
    assert mark(app, "198.51.100.7") != mark(app, "198.51.100.8")
    assert mark(app, "198.51.100.7") != mark(other, "198.51.100.7")
    assert "198.51" not in mark(app, "198.51.100.7")

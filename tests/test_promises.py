"""Promises that no other test holds, and the documents that list all of them."""

import ast
import dataclasses
import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app import create_app
from mpesa import inbox, ledger, turns
from mpesa.daraja import UnknownOutcome
from mpesa.daraja.answers import Answer, read_push
from mpesa.domain.evidence import Kind, Raw
from mpesa.ledger import Change
from mpesa.live.admission import Rooms
from mpesa.models import Transaction
from mpesa.runtime import loops
from mpesa.simulator.postman import post_callback
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import (
    API_KEY,
    PAYER,
    PAYER_MSISDN,
    make_settings,
    order_fields,
    raw,
    success_callback,
)
from tests.integration.steps import Page, started
from tests.shop import Shop, ids_of
from tests.web.steps import problem, push, pushed, status_of

ROOT = Path(__file__).parents[1]
SANDBOX = {
    "DARAJA_ENV": "sandbox",
    "DARAJA_CONSUMER_KEY": "key",
    "DARAJA_CONSUMER_SECRET": "secret",
    "PUBLIC_URL": "https://pay.example.com",
    "SECRET_KEY": "s" * 43,
    "API_KEYS": "a" * 43,
}


def new_order(client):
    answer = client.post("/api/orders", json=order_fields(), headers=API_KEY)
    order_id: str = answer.get_json()["order_id"]
    return order_id


# -- what a room is told -------------------------------------------------------------------------


@on_both
def test_what_a_room_is_told_can_be_read_by_everybody_already(app, clock, daraja):
    shop = Shop(app, clock, daraja)
    shop.attempt()
    read: list[str] = []
    needs = dataclasses.replace(
        shop.inbox_needs(),
        announce=lambda told: read.extend(shop.transaction(each).status for each in ids_of(told)),
    )

    body = raw(success_callback(daraja.checkout_id(1), daraja.merchant_id(1)))
    with shop.sessions() as session:
        inbox.receive(session, inbox.Arrival(daraja.token_of(1), body, "196.201.212.69"), needs)

    assert read == ["SUCCESS"]


@pytest.mark.parametrize("field", ["room", "rooms", "transaction_id", "order_id"])
def test_only_the_id_that_was_checked_chooses_the_room(server, field):
    _, theirs = started(server)
    _, ours = started(server)

    with Page(server) as page:
        page.connect(tx_id=ours, **{field: theirs})

        assert page.snapshot()["transaction_id"] == ours


class Listening:
    """Stands in for the SocketIO object, with one page in the room of a transaction."""

    def __init__(self, transaction_id):
        self.heard: list[int] = []
        self.server = self.manager = self
        self.rooms = {"/": {f"{transaction_id}:en": {}}}

    def emit(self, event, snapshot, *, to):
        self.heard.append(snapshot["seq"])


def test_a_room_is_told_nothing_twice_and_nothing_old(app, clock, daraja):
    shop = Shop(app, clock, daraja)
    transaction_id = shop.attempt()
    page = Listening(transaction_id)
    rooms = Rooms(page, clock)
    older = shop.snapshot(transaction_id)
    shop.callback(1, success_callback(daraja.checkout_id(1), daraja.merchant_id(1)))

    with app.test_request_context():
        rooms.announce([Change(transaction_id, older["seq"] + 1)] * 2)
        rooms._tell_newer(older)  # a reader that read before the change comes late

    assert page.heard == [older["seq"] + 1]


def test_what_a_long_outage_left_unjudged_is_judged_when_it_is_over(app, clock, daraja):
    shop = Shop(app, clock, daraja)
    transaction_id = shop.attempt()
    body = raw(success_callback(daraja.checkout_id(1), daraja.merchant_id(1)))
    judge = loops._unjudged()
    with app.app_context():
        judge(services())
    with shop.sessions() as session:
        ledger.store(session, transaction_id, Raw(Kind.CALLBACK, body), clock)

    clock.pass_(hours=3)
    with app.app_context():
        judge(services())

    assert shop.transaction(transaction_id).status == "SUCCESS"


def test_a_code_typed_after_days_of_silence_is_still_asked_about(app, clock, daraja):
    shop = Shop(app, clock, daraja)
    transaction_id = shop.attempt()
    clock.pass_(hours=73)
    shop.tick()
    with shop.sessions() as session:
        inbox.take_code(session, transaction_id, "UKO1ABCDEF", shop.inbox_needs())

    shop.tick()

    with shop.sessions() as session:
        due = turns.most_urgent(session, clock())
    assert due is not None
    assert due.transaction_id == transaction_id


# -- limits --------------------------------------------------------------------------------------


def test_an_address_over_its_limit_uses_up_no_line(make_app):
    settings = {"STK_PUSH_LIMIT_PER_IP": "1/minute", "STK_PUSH_LIMIT_PER_PHONE": "2/minute"}
    client = make_app(TRUSTED_PROXIES="1", **settings).test_client()
    forger, payer = ({"X-Forwarded-For": each} for each in ("198.51.100.7", "198.51.100.8"))
    pushed(client, new_order(client), "0722000111", headers=forger)
    for _ in range(3):
        problem(push(client, new_order(client), PAYER, headers=forger), 429, "rate_limited")

    assert push(client, new_order(client), PAYER, headers=payer).status_code == 202


def test_each_line_has_a_limit_of_its_own(make_app):
    client = make_app(STK_PUSH_LIMIT_PER_PHONE="1/10minutes").test_client()
    pushed(client, new_order(client), PAYER)

    assert push(client, new_order(client), "0722000111").status_code == 202


@pytest.mark.redis
def test_redis_holds_no_phone_number(make_app, redis_url):
    limit = {"STK_PUSH_LIMIT_PER_PHONE": "9/minute"}
    client = make_app(REDIS_URL=redis_url, **limit).test_client()
    pushed(client, new_order(client), PAYER)

    stored = redis.Redis.from_url(redis_url).keys("*")

    assert len(stored) == 1
    assert "712345678" not in str(stored)


@pytest.mark.redis
def test_who_can_write_to_redis_stops_no_push(make_app, redis_url):
    limit = {"STK_PUSH_LIMIT_PER_IP": "9/minute"}
    client = make_app(REDIS_URL=redis_url, **limit).test_client()
    pushed(client, new_order(client))
    stranger = redis.Redis.from_url(redis_url)
    for key in stranger.keys("*"):
        stranger.delete(key)
        stranger.set(key, "garbage")

    assert push(client, new_order(client), "0722000111").status_code == 202


@pytest.mark.redis
def test_who_can_publish_on_redis_reaches_nobody(make_app, redis_url):
    client = make_app(REDIS_URL=redis_url).test_client()
    transaction_id = pushed(client, new_order(client))["transaction_id"]
    stranger = redis.Redis.from_url(redis_url)
    forged = json.dumps({"method": "emit", "event": "status", "data": {"status": "SUCCESS"}})

    # The names under which python-socketio and Flask-SocketIO would listen.
    heard = [stranger.publish(each, forged) for each in ("socketio", "flask-socketio")]

    assert heard == [0, 0]
    assert stranger.pubsub_channels("*") == []
    assert status_of(client, transaction_id)["status"] == "PENDING"


# -- error texts ---------------------------------------------------------------------------------


@on_both
def test_sqlalchemy_adds_no_parameter_to_an_error(session):
    with pytest.raises(DBAPIError) as raised:
        session.execute(text("SELECT :msisdn FROM nowhere"), {"msisdn": PAYER_MSISDN})

    # PostgreSQL's own text may quote a value: that is why only the kind of an error is logged.
    added = str(raised.value).replace(str(raised.value.orig), "")
    assert PAYER_MSISDN not in added


# -- what Daraja calls its payments --------------------------------------------------------------


def accepted(checkout_id):
    fields = {"ResponseCode": "0", "MerchantRequestID": "m", "CheckoutRequestID": checkout_id}
    return Answer(200, json.dumps(fields).encode())


@pytest.mark.parametrize("odd", ["w" * 65, "ws_CO_\x00", "ws_CO_\n1"], ids=repr)
def test_an_id_that_no_column_could_hold_leaves_the_push_unconfirmed(odd):
    with pytest.raises(UnknownOutcome):
        read_push(accepted(odd))


def test_the_longest_id_that_is_taken_fits_its_column():
    columns = Transaction.__table__.c

    taken = read_push(accepted("w" * 64)).checkout_request_id

    assert columns.checkout_request_id.type.length == len(taken)
    assert columns.merchant_request_id.type.length == len(taken)


# -- the simulator -------------------------------------------------------------------------------


def test_outside_its_environment_the_simulator_is_not_there(tmp_path):
    app = create_app(make_settings(DATABASE_URL=f"sqlite:///{tmp_path}/x.sqlite", **SANDBOX))

    assert [rule for rule in app.url_map.iter_rules() if "simulator" in rule.rule] == []
    assert app.test_client().get("/simulator/", base_url=SANDBOX["PUBLIC_URL"]).status_code == 404


def test_the_simulators_callback_follows_no_redirect():
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/inside")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        post_callback(f"http://127.0.0.1:{server.server_port}/callback", b"{}", "174379")
        server.shutdown()

    assert asked == ["/callback"]


def test_a_public_simulator_calls_this_server_only(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr("app.simulator.mount", lambda *_, **seams: given.update(seams))
    address = f"sqlite:///{tmp_path}/x.sqlite"

    create_app(make_settings(DATABASE_URL=address))
    alone = given["only"]
    public = {"SIMULATOR_PUBLIC": "on", "PUBLIC_URL": "http://pay.example.com:8000"}
    create_app(make_settings(DATABASE_URL=address, **public))

    assert (alone, given["only"]) == (None, "http://pay.example.com:8000")


# -- the documents -------------------------------------------------------------------------------

DOCUMENTS = [ROOT / "docs" / name for name in ("promises.md", "threats.md", "design.md")]
TEST = re.compile(r"`(tests/[\w/]+\.(?:py|mjs))::([^`]+)`")
CODE = re.compile(r"`((?:mpesa|migrations|static|templates)/[\w/.]+|app\.py)(?::([\w.]+))?`")


@cache
def names_in(path):
    """Functions, classes and constants of a module; members with their class before them."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        found |= named_by(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{each}" for member in node.body for each in named_by(member)}
    return frozenset(found)


def named_by(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else []
    if isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return {each.id for each in targets if isinstance(each, ast.Name)}


def is_test(file, name):
    path = ROOT / file
    if path.suffix == ".mjs":
        return path.is_file() and f'"{name}"' in path.read_text()
    return path.is_file() and name.replace("::", ".") in names_in(path)


def is_code(file, name):
    path = ROOT / file
    return path.exists() and (not name or name in names_in(path))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_names_exists(document):
    named = TEST.findall(document.read_text())

    assert len(named) > 20
    assert [f"{file}::{name}" for file, name in named if not is_test(file, name)] == []


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name
)
def test_every_piece_of_code_that_a_document_names_exists(document):
    named = CODE.findall(document.read_text())

    assert len(named) > 20
    assert [f"{file}:{name}" for file, name in named if not is_code(file, name)] == []


def test_every_promise_names_its_code_and_a_test():
    text = DOCUMENTS[0].read_text()
    promises = [line for line in text.splitlines() if re.match(r"\| [A-Z]", line)]

    assert len(promises) > 30
    assert [line for line in promises if not (TEST.search(line) and CODE.search(line))] == []


def test_every_answer_of_the_design_names_its_code_and_a_test():
    text = (ROOT / "docs" / "design.md").read_text()
    questions = [each for each in text.split("\n## ")[1:] if each.partition("\n")[0].endswith("?")]

    assert len(questions) > 20
    assert [each for each in questions if not (TEST.search(each) and CODE.search(each))] == []


def test_a_name_that_is_nowhere_is_noticed():
    assert not is_test("tests/test_promises.py", "test_that_nobody_wrote")
    assert not is_test("tests/test_nothing.py", "test_a_name_that_is_nowhere_is_noticed")
    assert not is_code("mpesa/ledger.py", "forget")

"""What the server decides about a payment is what everybody shows: page, poll, socket, API."""

import html
import json
import re

import pytest
from sqlalchemy import update

from mpesa.daraja import UnknownOutcome
from mpesa.domain.evidence import Kind
from mpesa.domain.settlement import OperatorSaysNotPaid, QueryAnswered, WaitOver
from mpesa.domain.view import Money, Next, View
from mpesa.live.admission import Rooms
from mpesa.models import Order, Transaction
from tests.factories import API_KEY, failure_callback, success_callback
from tests.shop import Shop

END = "2026-11-24T09:10:00Z"
NOT_AGAIN = {"en": "do not pay again", "sw": "usilipe tena"}
WORDS = ("view", "money", "next")


class World:
    """An order and what happens to it; `shown` is the attempt whose page is looked at."""

    def __init__(self, shop, client, clock, daraja, order_id):
        self.shop, self.client, self.clock, self.daraja = shop, client, clock, daraja
        self.order_id = order_id
        self.beside = None

    @property
    def shown(self):
        """A push that is open beside one by hand, else what was paid, else the newest."""
        if self.beside:
            return self.beside
        path = f"/api/orders/{self.order_id}"
        attempts = self.client.get(path, headers=API_KEY).get_json()["transactions"]
        paid = [each for each in attempts if each["status"] == "SUCCESS"]
        return (paid or attempts)[0]["transaction_id"]

    def push(self):
        return self.shop.start(self.order_id).transaction_id

    def fail(self, code, push=1):
        ids = self.daraja.checkout_id(push), self.daraja.merchant_id(push)
        self.shop.callback(push, failure_callback(*ids, code))

    def pay(self, push=1):
        ids = self.daraja.checkout_id(push), self.daraja.merchant_id(push)
        self.shop.callback(push, success_callback(*ids))

    def by_hand(self):
        answer = self.client.post("/pay-by-hand", json={"order_id": self.order_id})
        assert answer.status_code == 201

    def confirm(self, **changed):
        """M-PESA confirms money to the order's pay code."""
        code = self.shop.order_row(self.order_id).pay_code
        self.shop.confirm(code, **changed)

    def cancel(self):
        path = f"/api/orders/{self.order_id}/cancel"
        assert self.client.post(path, headers=API_KEY).status_code == 200


def waiting(world):
    world.push()


def unconfirmed(world):
    world.daraja.answers.append(UnknownOutcome())
    world.push()


def overdue(world):
    world.shop.record(world.push(), WaitOver(), Kind.CLOCK)


def too_old(world):
    world.push()
    world.clock.pass_(seconds=181)


def paid(world):
    world.push()
    world.pay()


def paid_by_query(world):
    world.shop.record(world.push(), QueryAnswered("0"), Kind.QUERY)


def paid_late(world):
    world.push()
    world.fail(1032)
    world.pay()


def paid_while_another_prompt_lives(world):
    world.push()
    world.fail(1037)
    world.clock.pass_(seconds=120)
    world.push()
    world.pay(1)


def failed(code):
    def happen(world):
        world.push()
        world.fail(code)

    happen.__name__ = f"failed_{code}"
    return happen


def unreachable_for_good(world):
    world.push()
    world.fail(1037)
    world.clock.pass_(seconds=180)


def failed_by_query(world):
    world.shop.record(world.push(), QueryAnswered("1032"), Kind.QUERY)


def closed_by_operator(world):
    world.shop.record(world.push(), OperatorSaysNotPaid(), Kind.OPERATOR)


def cancelled(world):
    world.push()
    world.fail(2001)
    world.cancel()


def expired_in_doubt(world):
    world.push()
    world.clock.pass_(minutes=11)


def by_hand(world):
    world.by_hand()


def by_hand_beside_a_prompt(world):
    world.beside = world.push()
    world.by_hand()


def by_hand_beside_an_overdue_prompt(world):
    world.beside = world.push()
    world.shop.record(world.beside, WaitOver(), Kind.CLOCK)
    world.by_hand()


def by_hand_after_a_prompt(world):
    world.push()
    world.fail(2001)
    world.by_hand()


def paid_by_hand(world):
    world.by_hand()
    world.confirm()


def paid_by_hand_beside_a_prompt(world):
    world.push()
    world.confirm()


def nothing_came_by_hand(world):
    with world.shop.sessions() as session:
        session.execute(update(Order).values(expires_at=None))
        session.commit()
    world.by_hand()
    world.clock.pass_(hours=24)
    world.shop.tick()


def in_sight(world):
    world.by_hand()
    world.confirm(proof_from=1)


def in_sight_after_a_failure(world):
    world.push()
    world.fail(2001)
    world.confirm(proof_from=1)


def in_sight_while_waiting(world):
    world.push()
    world.confirm(proof_from=1)


def in_sight_while_overdue(world):
    world.shop.record(world.push(), WaitOver(), Kind.CLOCK)
    world.confirm(proof_from=1)


def given_back(world):
    paid_by_hand(world)
    with world.shop.sessions() as session:
        session.execute(update(Transaction).values(returned=True))
        session.commit()


# What happens, and what is said of it: view, money, next.
STATES = {
    waiting: ("waiting", "unknown", "enter_pin"),
    unconfirmed: ("waiting", "unknown", "wait"),
    overdue: ("checking", "unknown", "wait"),
    too_old: ("checking", "unknown", "wait"),
    paid: ("paid", "taken", "none"),
    paid_by_query: ("paid", "taken", "none"),
    paid_late: ("paid", "taken", "none"),
    paid_while_another_prompt_lives: ("paid", "taken", "cancel_prompt"),
    failed(1032): ("failed", "not_taken", "retry"),
    failed(1): ("failed", "not_taken", "retry"),
    failed(2001): ("failed", "not_taken", "retry"),
    failed(8006): ("failed", "not_taken", "other_number"),
    failed(1037): ("failed", "unknown", "pay_by_hand"),
    failed(1019): ("failed", "unknown", "retry"),
    failed(17): ("failed", "not_taken", "retry"),
    failed(3): ("failed", "not_taken", "other_number"),
    failed(11): ("failed", "not_taken", "other_number"),
    failed(26): ("failed", "unknown", "pay_by_hand"),
    failed(2028): ("failed", "not_taken", "pay_by_hand"),
    failed(777): ("failed", "unknown", "retry"),
    unreachable_for_good: ("failed", "not_taken", "pay_by_hand"),
    failed_by_query: ("failed", "unknown", "retry"),
    closed_by_operator: ("failed", "unknown", "retry"),
    cancelled: ("closed", "not_taken", "none"),
    expired_in_doubt: ("closed", "unknown", "cancel_prompt"),
    by_hand: ("by_hand", "not_taken", "pay_by_hand"),
    by_hand_beside_a_prompt: ("waiting", "unknown", "cancel_prompt"),
    by_hand_beside_an_overdue_prompt: ("checking", "unknown", "cancel_prompt"),
    by_hand_after_a_prompt: ("by_hand", "not_taken", "pay_by_hand"),
    paid_by_hand: ("paid", "taken", "none"),
    paid_by_hand_beside_a_prompt: ("paid", "taken", "cancel_prompt"),
    nothing_came_by_hand: ("failed", "not_taken", "pay_by_hand"),
    in_sight: ("checking", "unknown", "wait"),
    in_sight_after_a_failure: ("checking", "unknown", "wait"),
    in_sight_while_waiting: ("checking", "unknown", "wait"),
    in_sight_while_overdue: ("checking", "unknown", "wait"),
    given_back: ("paid", "returned", "none"),
}


@pytest.fixture
def world(app, client, clock, daraja, make_order):
    return World(Shop(app, clock, daraja), client, clock, daraja, make_order(expires_at=END))


class Ear:
    """Stands where flask-socketio does, for one socket that enters its room."""

    def __init__(self):
        self.server = self.manager = self
        self.rooms = {"/": {}}
        self.heard = []

    def enter_room(self, sid, room, namespace):
        self.rooms[namespace].setdefault(room, set()).add(sid)

    def emit(self, event, told, to):
        self.heard.append(told)


def by_socket(app, clock, transaction_id, lang):
    ear = Ear()
    with app.app_context():
        rooms = Rooms(ear, clock)
        snapshot, mark = rooms.expect(transaction_id)
        rooms.enter("sid", snapshot, mark, lang)
    (told,) = ear.heard
    return told


def is_shown(field, values, snapshot):
    """The rule by which static/checkout/screen.js shows an element."""
    value = snapshot[field]
    written = "" if value is None else json.dumps(value).strip('"')
    return written in values.split(" ")


@pytest.mark.parametrize("lang", ["en", "sw"])
@pytest.mark.parametrize(
    ("happen", "words"), [pytest.param(*each, id=each[0].__name__) for each in STATES.items()]
)
def test_page_poll_socket_and_api_say_the_same(app, clock, client, world, happen, words, lang):
    happen(world)
    transaction_id = world.shown

    page = client.get(f"/checkout/{world.order_id}?lang={lang}").text
    polled = client.get("/check-status", query_string={"tx_id": transaction_id, "lang": lang})
    orders = client.get(f"/api/orders/{world.order_id}?lang={lang}", headers=API_KEY).get_json()

    told = polled.get_json()
    kept = json.loads(html.unescape(re.search(r'data-snapshot="([^"]*)"', page)[1]))
    (by_api,) = (e for e in orders["transactions"] if e["transaction_id"] == transaction_id)
    assert tuple(told[each] for each in WORDS) == words
    assert told == kept == by_api == by_socket(app, clock, transaction_id, lang)
    # What stands there without a script is what the script would show of the same snapshot.
    assert f'data-view="{told["view"]}" data-money="{told["money"]}"' in page
    assert told["message"] in re.sub(r"<[^>]+>", "", page)
    # Nobody is led to pay once more, whose money may be on its way.
    if told["view"] == "checking":
        assert NOT_AGAIN[lang] in told["message"]
    conditions = re.findall(r'data-if="(\w+)" data-is="([^"]*)"( hidden)?', page)
    assert {field for field, *_ in conditions} >= {*WORDS, "reason", "status", "can_retry"}
    for field, values, hidden in conditions:
        assert (not hidden) == is_shown(field, values, told), (field, values)


@pytest.mark.parametrize("happen", [failed(1037), failed(26), failed(2028), by_hand])
def test_where_nobody_may_pay_by_hand_the_next_step_is_another_one(make_app, clock, daraja, happen):
    app = make_app(MANUAL_PAYMENT="off")
    client, shop = app.test_client(), Shop(app, clock, daraja)
    world = World(shop, client, clock, daraja, shop.order())
    if happen is by_hand:
        shop.by_hand(world.order_id)  # before it was switched off
    else:
        happen(world)

    page = client.get(f"/checkout/{world.order_id}").text
    told = json.loads(html.unescape(re.search(r'data-snapshot="([^"]*)"', page)[1]))

    assert told["pay_by_hand"] is None
    assert told["next"] == ("none" if told["reason"] == "misconfigured" else "retry")
    assert 'action="/pay-by-hand' not in page
    assert not re.search(r'data-if="next" data-is="[^"]*pay_by_hand[^"]*">', page)


def test_every_word_is_met_among_these_states():
    for number, words in enumerate((set(View) - {View.PHONE}, set(Money), set(Next))):
        assert {said[number] for said in STATES.values()} == words

"""Who hears that something changed in the console, what they hear, and when that ends."""

import json
import time
from contextlib import closing

import pytest
import requests
import websocket

from mpesa import operators
from mpesa.ledger import Change
from mpesa.models import db
from mpesa.web.console import live
from mpesa.web.console.live import NAMESPACE, Watchers
from tests.browser.backstage import Backstage
from tests.integration.steps import started
from tests.servers import running, wait_until
from tests.web.console_steps import NAME, PASSWORD, logged_in, send, token_on

# Until a socket that was refused is closed (seconds), as the README promises.
SOON = 1.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with running(tmp_path_factory.mktemp("console")) as started_server:
        yield started_server


@pytest.fixture(scope="module")
def backstage(server):
    return Backstage(server.environment["DATABASE_URL"])


@pytest.fixture(scope="module")
def cookie(server, backstage):
    """The cookie of a login on the real server."""
    with backstage.app.app_context():
        now = backstage.app.extensions["mpesa"].now()
        operators.add(db.session(), NAME, PASSWORD, now)
    with requests.Session() as browser:
        page = browser.get(server.url("/console/login"), timeout=30)
        fields = {"name": NAME, "password": PASSWORD, "csrf_token": token_on(page.text)}
        browser.post(server.url("/console/login"), data=fields, timeout=30)
        return f"console={browser.cookies['console']}"


def connect(server, cookie=None, namespace=NAMESPACE, **more):
    """A bare socket that asked for the namespace."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    ws = websocket.create_connection(address, timeout=20, cookie=cookie, **more)
    assert ws.recv().startswith("0{")
    ws.send(f"40{namespace},")
    return closing(ws)


def changed(ws):
    """What the next word says changed, as pairs of id and seq."""
    while not (frame := ws.recv()).startswith("42"):
        assert frame[:1] == "2" or frame.startswith("40"), frame
    event, told = json.loads(frame.removeprefix(f"42{NAMESPACE},"))
    assert event == "changed"
    assert set(told) == {"transactions"}
    return told["transactions"]


def heard_of(ws, transaction_id, seq):
    """Listens until a transaction's change to `seq` is told."""
    while [transaction_id, seq] not in changed(ws):
        pass
    return True


@pytest.mark.parametrize("sent", [None, "console=forged", "console=", "other=1"])
def test_a_guest_is_refused_and_its_connection_closed_at_once(server, sent):
    with connect(server, sent) as ws:
        begun = time.monotonic()
        refusal = ws.recv()
        rest = ws.recv()

    assert json.loads(refusal.removeprefix(f"44{NAMESPACE},")) == {"message": "unauthorized"}
    assert rest in ("", "1")
    assert time.monotonic() - begun < SOON


def test_another_sites_page_gets_nothing_with_the_operators_cookie(server, cookie):
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(server, cookie, origin="https://evil.example")


def test_an_operator_hears_of_a_payment_by_its_id_and_seq_alone(server, cookie):
    with connect(server, cookie) as ws:
        assert ws.recv().startswith(f"40{NAMESPACE},")
        _, transaction_id = started(server)

        assert heard_of(ws, transaction_id, 1)


def test_an_operator_hears_of_what_another_process_changed(server, cookie, backstage):
    _, transaction_id = started(server)
    with connect(server, cookie) as ws:
        assert ws.recv().startswith(f"40{NAMESPACE},")
        backstage.say_not_paid(transaction_id)

        assert heard_of(ws, transaction_id, 2)


def test_a_shoppers_socket_hears_nothing_of_the_console(server, cookie):
    with connect(server, cookie) as ws, connect(server, None, "/") as shopper:
        assert ws.recv().startswith(f"40{NAMESPACE},")
        _, transaction_id = started(server)
        assert heard_of(ws, transaction_id, 1)

        assert shopper.recv().startswith("44")  # without a transaction it is refused
        assert shopper.recv() in ("", "1")


# -- in one process ------------------------------------------------------------------------------


class Hall:
    """Stands where flask-socketio does: work beside the request is done when `work` says so."""

    def __init__(self):
        self.server = self.manager = self
        self.rooms = {NAMESPACE: {"operators": ["a socket"]}}
        self.tasks = []
        self.said = []
        self.slept = []

    def start_background_task(self, task):
        self.tasks.append(task)

    def emit(self, event, told, to, namespace):
        self.said.append((event, told["transactions"], to, namespace))

    def sleep(self, seconds):
        self.slept.append(seconds)

    def work(self):
        while self.tasks:
            self.tasks.pop(0)()


@pytest.fixture
def hall():
    return Hall()


@pytest.fixture
def watchers(hall):
    return Watchers(None, hall, lambda: None)


def test_while_nobody_watches_an_announcement_starts_nothing(hall, watchers):
    hall.rooms.clear()

    watchers.announce([Change("t1", 2)])

    assert hall.tasks == []


def test_what_changes_at_once_is_told_in_one_word_a_second(hall, watchers):
    for seq in range(1, 6):
        watchers.announce([Change("t1", seq), Change("t2", seq)])
    hall.work()

    assert hall.said == [("changed", [("t1", 5), ("t2", 5)], "operators", NAMESPACE)]
    assert hall.slept == [1.0]


def test_a_change_that_the_outbox_finds_again_is_not_told_again(hall, watchers):
    watchers.announce([Change("t1", 2)])
    hall.work()
    watchers.announce([Change("t1", 2), Change("t1", 1)])
    hall.work()

    assert len(hall.said) == 1


def test_more_than_can_be_named_is_told_as_any(hall, watchers):
    watchers.announce([Change(f"t{number}", 1) for number in range(101)])
    hall.work()

    assert hall.said == [("changed", [], "operators", NAMESPACE)]


def test_what_was_told_is_not_remembered_for_ever(hall, watchers):
    for number in range(12_000):
        watchers.announce([Change(f"t{number}", 1)])

    assert len(watchers._told) <= 5001


def hang_on(app, client):
    """A console page's socket in this process."""
    socketio = app.extensions["mpesa"].socketio
    socket = socketio.test_client(app, namespace=NAMESPACE, flask_test_client=client)
    assert socket.is_connected(NAMESPACE)
    return socket


def look_again(app):
    """What the server does every twenty seconds."""
    app.extensions["mpesa.console"].end_sessions()


@pytest.fixture
def quiet(monkeypatch):
    """The look again comes when the test says so."""
    monkeypatch.setattr(live, "_LOOK_AGAIN", 3600.0)


def end_by_logout(app, client):
    send(client, "/console/logout")


def end_by_removal(app, _client):
    with app.app_context():
        operators.remove(db.session(), NAME)


def end_by_new_password(app, _client):
    with app.app_context():
        operators.add(db.session(), NAME, "another long password", app.extensions["mpesa"].now())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("end", [end_by_logout, end_by_removal, end_by_new_password])
def test_the_end_of_a_session_ends_its_socket(app, end):
    client = logged_in(app)
    socket = hang_on(app, client)

    end(app, client)
    look_again(app)

    assert [each["name"] for each in socket.queue] == ["ended"]
    assert not socket.is_connected(NAMESPACE)


@pytest.mark.usefixtures("quiet")
def test_twelve_hours_end_a_socket_too(app, clock):
    socket = hang_on(app, logged_in(app))

    clock.pass_(hours=12)
    look_again(app)

    assert not socket.is_connected(NAMESPACE)


@pytest.mark.usefixtures("quiet")
def test_a_session_that_lasts_keeps_its_socket(app):
    socket = hang_on(app, logged_in(app))

    look_again(app)

    assert socket.is_connected(NAMESPACE)
    assert socket.get_received(NAMESPACE) == []


def test_a_page_that_leaves_lets_the_watch_end(app, quiet):
    socket = hang_on(app, logged_in(app))

    socket.disconnect(NAMESPACE)

    wait_until(lambda: not app.extensions["mpesa.console"].is_watched())

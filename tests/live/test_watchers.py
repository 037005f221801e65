"""What the console's open pages are told of changes, and when a session's end ends their socket."""

import pytest

from mpesa import operators
from mpesa.ledger import Change
from mpesa.live.watchers import NAMESPACE, Watchers
from mpesa.models import db
from tests.servers import wait_until
from tests.web.console.steps import NAME, hire, logged_in, send


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
    monkeypatch.setattr("mpesa.live.watchers._LOOK_AGAIN", 3600.0)


def end_by_logout(app, client):
    send(client, "/console/logout")


def end_by_removal(app, _client):
    hire(app, "otieno")  # the last manager cannot be removed
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

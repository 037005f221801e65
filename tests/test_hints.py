"""What workers tell each other through Redis, and how little anybody else can do with it."""

import json
import logging
import pickle
import queue
import socket
import threading
import time

import pytest
import redis
from sqlalchemy import event

from mpesa.hints import CHANNEL, Hints, listeners
from mpesa.ledger import Change
from mpesa.models import db
from mpesa.web.http.services import services
from tests.factories import success_callback
from tests.servers import PATIENCE, free_port, redis_server, wait_until
from tests.shop import Shop

ID = "A" * 22
CHANGE = Change(ID, 3)


class Ear:
    """Remembers what was heard; each is true."""

    def __init__(self):
        self._heard: queue.Queue[Change] = queue.Queue()

    def __call__(self, change):
        self._heard.put(change)
        return True

    def next(self):
        return self._heard.get(timeout=PATIENCE)

    def heard_nothing(self):
        return self._heard.empty()


_threads: list[threading.Thread] = []


@pytest.fixture(autouse=True)
def none_outlives_its_test():
    """Redis has gone by then: whoever still said so would say it in the next test."""
    yield
    while _threads:
        _threads.pop().join(PATIENCE)


def in_background(work):
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    _threads.append(thread)
    return thread


def listening(hints):
    """Hears until Redis goes; lies cost no time here."""
    return in_background(lambda: hints.listen(lambda _seconds: None))


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def stranger(redis_url):
    """Somebody who can publish, and should not."""
    return redis.Redis.from_url(redis_url)


# -- from worker to worker -------------------------------------------------------------------------


@pytest.mark.redis
def test_what_one_worker_sends_every_worker_hears(redis_url):
    ears = [Ear(), Ear()]
    for each in ears:
        listening(Hints(redis_url, each))
    wait_until(lambda: listeners(redis_url) == 2)
    sender = Hints(redis_url, Ear())

    sender.send([CHANGE, Change(ID, 4)])
    sender.publish_next()
    sender.publish_next()

    assert [[each.next(), each.next()] for each in ears] == [[CHANGE, Change(ID, 4)]] * 2


@pytest.mark.redis
def test_a_worker_hears_again_once_redis_is_back_and_says_so_once(tmp_path, ear, caplog):
    caplog.set_level(logging.INFO)
    port = free_port()
    hints = Hints(f"redis://127.0.0.1:{port}/0", ear)
    for _attempt in range(3):
        hints.listen(time.sleep)

    with redis_server(tmp_path, port) as url:
        listening(hints)
        wait_until(lambda: listeners(url) == 1)
        redis.Redis.from_url(url).publish(CHANNEL, f"{ID} 3")
        heard = ear.next()

    assert heard == CHANGE
    said = [each.getMessage() for each in caplog.records if each.name == "mpesa.hints"]
    assert [each[:13] for each in said[:2]] == ["Redis is away", "Redis is back"]


def test_sending_waits_for_nobody_and_keeps_only_so_much():
    hints = Hints(f"redis://127.0.0.1:{free_port()}/0", Ear())

    hints.send([CHANGE] * 100_000)

    assert hints._waiting.full()


@pytest.fixture
def black_hole():
    """Takes connections and never answers, as a Redis that was stopped does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"redis://127.0.0.1:{listener.getsockname()[1]}/0"


@pytest.mark.parametrize("gone", ["refused", "silent"])
def test_what_cannot_be_published_is_dropped_with_all_that_waits_behind_it(gone, black_hole):
    url = black_hole if gone == "silent" else f"redis://127.0.0.1:{free_port()}/0"
    hints = Hints(url, Ear())
    hints.send([CHANGE] * 10)

    hints.publish_next()

    assert hints._waiting.empty()


def test_listening_to_a_redis_that_never_answers_ends(black_hole, ear):
    thread = listening(Hints(black_hole, ear))

    thread.join(PATIENCE)

    assert not thread.is_alive()


@pytest.mark.redis
def test_a_connection_whose_other_end_is_silent_is_given_up(redis_url, stranger, ear):
    thread = listening(Hints(redis_url, ear))
    wait_until(lambda: listeners(redis_url) == 1)

    stranger.client_pause(60_000)  # it takes what it is sent and answers nobody, pings included
    thread.join(PATIENCE)

    assert not thread.is_alive()


# -- from a stranger to a worker -------------------------------------------------------------------

FORGED = {
    "nothing": b"",
    "words": b"hello",
    "binary": bytes(range(256)),
    "a megabyte": b"A" * 1_000_000,
    "no seq": ID.encode(),
    "a negative seq": f"{ID} -1".encode(),
    "a fraction": f"{ID} 1.5".encode(),
    "a seq that no column holds": f"{ID} {10**30}".encode(),
    "another script's digits": f"{ID} ٣".encode(),
    "a second line": f"{ID} 3\n".encode(),
    "two": f"{ID} 3 {ID} 4".encode(),
    "a short id": b"A 3",
    "SQL": b"'; DROP TABLE orders; -- 3",
    "a snapshot": json.dumps({"transaction_id": ID, "status": "SUCCESS", "seq": 9}).encode(),
    "an emit": pickle.dumps({"method": "emit", "event": "status", "data": {"seq": 9}}),
}


@pytest.mark.redis
@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_what_is_no_hint_is_not_heard_and_ends_nothing(redis_url, stranger, ear, forged):
    listening(Hints(redis_url, ear))
    wait_until(lambda: listeners(redis_url) == 1)

    stranger.publish(CHANNEL, forged)
    stranger.publish(CHANNEL, f"{ID} 3")

    assert ear.next() == CHANGE
    assert ear.heard_nothing()


@pytest.mark.redis
@pytest.mark.parametrize("channel", ["socketio", "flask-socketio", f"{CHANNEL}:en"])
def test_nobody_listens_on_any_other_channel(redis_url, stranger, ear, channel):
    listening(Hints(redis_url, ear))
    wait_until(lambda: listeners(redis_url) == 1)

    assert stranger.publish(channel, f"{ID} 3") == 0


def take(hints, data, times):
    """Let it hear so many; returns the pauses that it made."""
    pauses: list[float] = []
    for _ in range(times):
        hints._take({"type": "message", "data": data}, pauses.append)
    return pauses


@pytest.mark.parametrize("data", [b"garbage", f"{ID} 999999999".encode()])
def test_whoever_sends_what_is_not_so_is_heard_ten_times_a_second_at_the_most(data):
    hints = Hints("redis://127.0.0.1:1/0", lambda _change: False)

    assert take(hints, data, times=5) == [0.1] * 5


def test_a_flood_of_hints_leaves_time_for_requests():
    hints = Hints("redis://127.0.0.1:1/0", lambda _change: True)

    pauses = take(hints, f"{ID} 3".encode(), times=1000)

    assert len(pauses) == 10
    assert all(each > 0 for each in pauses)


# -- from a hint to a page -------------------------------------------------------------------------


@pytest.fixture
def worker(make_app, redis_url):
    """An application that listens, and does nothing else beside its requests."""
    app = make_app(REDIS_URL=redis_url)
    with app.app_context():
        hints = services().hints
    assert hints is not None
    listening(hints)
    wait_until(lambda: listeners(redis_url) == 1)
    return app


@pytest.fixture
def elsewhere(worker, clock, daraja):
    """Another worker on the same database, which sends no hints by itself."""
    return Shop(worker, clock, daraja)


class Page:
    """A page's socket at the worker."""

    def __init__(self, app, transaction_id):
        with app.app_context():
            socketio = services().socketio
        auth = {"tx_id": transaction_id, "lang": "en"}
        self._client = socketio.test_client(app, auth=auth)
        self.first = self.heard()

    def heard(self):
        """What arrived since it was last asked."""
        return [event["args"][0] for event in self._client.get_received()]


@pytest.fixture
def reads(worker):
    """The statements that the worker sent to its database so far."""
    statements: list[str] = []

    def note(_connection, _cursor, statement, *_more):
        if statement.startswith("SELECT"):
            statements.append(statement)

    with worker.app_context():
        event.listen(db.engine, "before_cursor_execute", note)
    return statements


def pay(shop):
    ids = (shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    shop.callback(1, success_callback(*ids))


def heard_all(stranger, worker, *hints):
    """Publish these, and wait until all were heard."""
    with worker.app_context():
        ours = services().hints
    assert ours is not None
    before = ours._heard
    for each in hints:
        stranger.publish(CHANNEL, str(each))
    wait_until(lambda: ours._heard == before + len(hints))
    # What is counted is being looked at; the one after it shows that this has ended.
    stranger.publish(CHANNEL, "done")
    wait_until(lambda: ours._heard == before + len(hints) + 1)


@pytest.mark.redis
def test_a_hint_makes_a_page_hear_what_the_database_says(worker, elsewhere, stranger):
    transaction = elsewhere.attempt()
    page = Page(worker, transaction)
    pay(elsewhere)

    heard_all(stranger, worker, f"{transaction} 3")

    assert [each["status"] for each in page.first] == ["PENDING"]
    assert [each["status"] for each in page.heard()] == ["SUCCESS"]


@pytest.mark.redis
@pytest.mark.parametrize("seq", [0, 1, 2, 3, 999999999])
def test_a_hint_of_nothing_new_tells_a_page_nothing(worker, elsewhere, stranger, seq):
    transaction = elsewhere.attempt()
    page = Page(worker, transaction)

    heard_all(stranger, worker, f"{transaction} {seq}", f"{'B' * 22} {seq}")

    assert page.heard() == []


@pytest.mark.redis
def test_a_forged_seq_hides_no_later_change(worker, elsewhere, stranger):
    transaction = elsewhere.attempt()
    page = Page(worker, transaction)
    heard_all(stranger, worker, f"{transaction} 999999999")
    pay(elsewhere)
    seq = elsewhere.snapshot(transaction)["seq"]

    heard_all(stranger, worker, f"{transaction} {seq}")

    assert [each["status"] for each in page.heard()] == ["SUCCESS"]


@pytest.mark.redis
def test_what_a_room_has_heard_or_nobody_waits_for_is_not_read(worker, elsewhere, stranger, reads):
    transaction, other = elsewhere.attempt(), elsewhere.attempt("254722000111")
    page = Page(worker, transaction)
    told = page.first[-1]["seq"]
    reads.clear()

    heard_all(stranger, worker, *[f"{transaction} {told}", f"{other} 2", f"{'B' * 22} 9"] * 20)

    assert reads == []


@pytest.mark.redis
def test_a_hint_of_something_new_is_read_once_however_often_it_comes(
    worker, elsewhere, stranger, reads
):
    transaction = elsewhere.attempt()
    page = Page(worker, transaction)
    pay(elsewhere)
    seq = elsewhere.snapshot(transaction)["seq"]
    reads.clear()

    heard_all(stranger, worker, *[f"{transaction} {seq}"] * 20)

    assert len(page.heard()) == 1
    assert len(reads) == 1


@pytest.mark.redis
def test_our_own_pages_hear_before_other_workers(worker, elsewhere):
    transaction = elsewhere.attempt()
    page = Page(worker, transaction)
    pay(elsewhere)
    seq = elsewhere.snapshot(transaction)["seq"]

    with worker.app_context():
        ours = services()
        assert ours.hints is not None
        ours.announce([Change(transaction, seq)])

    assert [each["status"] for each in page.heard()] == ["SUCCESS"]
    assert ours.hints._waiting.get_nowait() == f"{transaction} {seq}"


def test_without_redis_pages_of_this_worker_hear_all_the_same(app, clock, daraja):
    shop = Shop(app, clock, daraja)
    transaction = shop.attempt()
    page = Page(app, transaction)
    pay(shop)
    seq = shop.snapshot(transaction)["seq"]

    with app.app_context():
        services().announce([Change(transaction, seq)])

    assert [each["status"] for each in page.heard()] == ["SUCCESS"]

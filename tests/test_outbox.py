"""What another process changed is announced here as well, and nothing twice."""

import threading
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError, OperationalError

from mpesa import ledger, outbox
from mpesa.database import writing
from mpesa.domain.settlement import QueryAnswered
from mpesa.ledger import Change
from mpesa.models import Announcement, db
from mpesa.outbox import Announced
from mpesa.web.http import snapshot_reads
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import SECOND_PAYER_MSISDN, failure_callback, success_callback
from tests.shop import Shop, ids_of


@pytest.fixture
def elsewhere(app, clock, daraja):
    """Another process on the same database: what it announces is not heard here."""
    return Shop(app, clock, daraja)


def changes(shop, since):
    """The transactions that one turn announces."""
    announced: list[Change] = []
    outbox.run_once(shop.engine, since, announced.extend)
    return ids_of(announced)


def pay(shop, push=1):
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, success_callback(*ids, receipt=f"UKO1ABCDE{push}"))


# -- what is announced ---------------------------------------------------------------------------


@on_both
def test_a_change_of_another_process_is_announced(elsewhere, clock):
    transaction = elsewhere.attempt()
    clock.pass_(seconds=20)
    looked_last = clock()
    clock.pass_(seconds=1)
    pay(elsewhere)

    assert changes(elsewhere, looked_last) == [transaction]


@on_both
@pytest.mark.parametrize("what", ["a question's answer", "a callback", "a cancellation"])
def test_a_change_that_waited_long_for_its_lock_is_announced(elsewhere, clock, what):
    order = elsewhere.order()
    transaction = elsewhere.start(order).transaction_id
    changing: dict[str, Callable[[], object]] = {
        "a question's answer": lambda: elsewhere.record(transaction, QueryAnswered("0")),
        "a callback": lambda: pay(elsewhere),
        "a cancellation": lambda: elsewhere.cancel(order),
    }
    if what == "a cancellation":
        elsewhere.callback(1, failure_callback(elsewhere.daraja.checkout_id(1),
                                               elsewhere.daraja.merchant_id(1)))  # fmt: skip
    clock.pass_(seconds=60)
    waiting = threading.Thread(target=changing[what], daemon=True)
    with elsewhere.sessions() as session, writing(session):
        ledger.lock_order(session, order)
        waiting.start()
        waiting.join(0.5)  # long enough to arrive at the lock, and to ask for the time too early
        clock.pass_(seconds=14)
        assert waiting.is_alive()
    waiting.join(10)

    looked_last = clock() - timedelta(seconds=1)

    assert changes(elsewhere, looked_last) == [transaction]


def test_what_changed_before_is_left_alone(elsewhere, clock):
    elsewhere.attempt()
    pay(elsewhere)
    clock.pass_(seconds=11)

    assert changes(elsewhere, clock()) == []


def test_evidence_that_changed_nothing_announces_nothing(elsewhere, clock):
    elsewhere.attempt()
    pay(elsewhere)
    clock.pass_(seconds=60)
    pay(elsewhere)

    assert changes(elsewhere, clock()) == []


def test_a_worker_whose_clock_is_behind_is_heard_too(elsewhere, clock):
    transaction = elsewhere.attempt()
    pay(elsewhere)

    assert changes(elsewhere, clock() + timedelta(seconds=9)) == [transaction]


@on_both
def test_what_was_found_the_last_time_is_not_announced_again(elsewhere, clock):
    first = elsewhere.attempt()
    second = elsewhere.attempt(SECOND_PAYER_MSISDN)
    known = outbox.run_once(elsewhere.engine, clock(), lambda _changes: None)
    pay(elsewhere, push=2)
    announced: list[Change] = []

    found = outbox.run_once(elsewhere.engine, clock(), announced.extend, known)

    assert set(found) == {first, second}
    assert [(each.transaction_id, each.seq) for each in announced] == [(second, found[second])]


def test_changes_are_announced_in_their_order(elsewhere, clock):
    first = elsewhere.attempt()
    second = elsewhere.attempt(SECOND_PAYER_MSISDN)
    clock.pass_(seconds=30)
    pay(elsewhere, push=2)
    clock.pass_(seconds=1)
    pay(elsewhere, push=1)

    assert changes(elsewhere, clock()) == [second, first]


def test_the_other_attempts_of_a_paid_order_are_announced_too(elsewhere, clock):
    order = elsewhere.order()
    first = elsewhere.start(order).transaction_id
    ids = (elsewhere.daraja.checkout_id(1), elsewhere.daraja.merchant_id(1))
    elsewhere.callback(1, failure_callback(*ids, 1032))
    second = elsewhere.start(order).transaction_id
    clock.pass_(seconds=30)

    pay(elsewhere, push=2)

    assert sorted(changes(elsewhere, clock())) == sorted([first, second])


# -- what a page hears -----------------------------------------------------------------------------


@pytest.fixture
def page(app):
    """Open a page's socket here; returns what it received since it was last asked."""
    with app.app_context():
        socketio = services().socketio

    def opened(transaction_id):
        client = socketio.test_client(app, auth={"tx_id": transaction_id, "lang": "en"})
        return lambda: [event["args"][0] for event in client.get_received()]

    return opened


def turn(app, since):
    """One turn of this process's outbox."""
    with app.app_context():
        outbox.run_once(db.engine, since, services().announce_here)


@on_both
def test_a_page_hears_of_another_processs_change_once(app, elsewhere, clock, page):
    received = page(elsewhere.attempt())
    received()
    pay(elsewhere)

    for _turn in range(3):
        turn(app, clock())

    assert [each["status"] for each in received()] == ["SUCCESS"]


def test_a_page_that_knows_it_already_hears_nothing(app, elsewhere, clock, page):
    transaction = elsewhere.attempt()
    pay(elsewhere)
    received = page(transaction)
    shown = received()

    turn(app, clock())

    assert [each["status"] for each in shown] == ["SUCCESS"]
    assert received() == []


def test_of_two_changes_between_two_turns_a_page_hears_the_last(app, elsewhere, clock, page):
    received = page(elsewhere.attempt())
    received()
    ids = (elsewhere.daraja.checkout_id(1), elsewhere.daraja.merchant_id(1))
    elsewhere.callback(1, failure_callback(*ids, 1037))
    pay(elsewhere)

    turn(app, clock())

    assert [each["reason"] for each in received()] == ["paid_late"]


@on_both
def test_what_pages_have_heard_and_what_nobody_waits_for_is_not_read_again(
    app,
    elsewhere,
    clock,
    page,
    monkeypatch,
):
    page(elsewhere.attempt())
    elsewhere.attempt(SECOND_PAYER_MSISDN)
    pay(elsewhere)
    turn(app, clock())
    read: list[Any] = []
    monkeypatch.setattr(snapshot_reads, "snapshot", lambda *args: read.append(args))

    turn(app, clock())

    assert read == []


def test_anothers_page_hears_nothing(app, elsewhere, clock, page):
    elsewhere.attempt()
    received = page(elsewhere.attempt(SECOND_PAYER_MSISDN))
    received()
    pay(elsewhere, push=1)

    turn(app, clock())

    assert received() == []


# -- what is written down of it --------------------------------------------------------------------


def announced(transaction_id, clock, count, most=None):
    """What one room was told, one `seq` after the other."""
    told = Announced(transaction_id, 0, "PENDING", "awaiting_pin", "OPEN", 1, clock())
    return deque((told._replace(seq=seq) for seq in range(1, count + 1)), most)


def written(shop):
    with shop.sessions() as session:
        return [*session.scalars(select(Announcement.seq).order_by(Announcement.id))]


@on_both
def test_what_was_announced_is_written_down_in_its_order(elsewhere, clock):
    waiting = announced(elsewhere.attempt(), clock, 120)

    with elsewhere.sessions() as session:
        rounds = 1
        while outbox.write_down(session, waiting):
            rounds += 1

    assert written(elsewhere) == [*range(1, 121)]
    assert (rounds, len(waiting)) == (3, 0)


@on_both
def test_what_could_not_be_written_down_waits_in_its_order(elsewhere, clock):
    waiting = announced(elsewhere.attempt(), clock, 3)
    before = list(waiting)
    waiting[1] = waiting[1]._replace(status=None)  # the database refuses

    with elsewhere.sessions() as session, pytest.raises(IntegrityError):
        outbox.write_down(session, waiting)

    assert [each.seq for each in waiting] == [each.seq for each in before]
    assert written(elsewhere) == []


def test_what_finds_no_room_any_more_is_the_oldest(elsewhere, clock):
    transaction = elsewhere.attempt()
    waiting = announced(transaction, clock, 60, most=60)
    newer = announced(transaction, clock, 20)

    class Broken:
        def __getattr__(self, _name):
            waiting.extend(newer)  # meanwhile
            raise OperationalError("INSERT", {}, Exception("gone"))

    with pytest.raises(OperationalError):
        outbox.write_down(Broken(), waiting)

    assert [each.seq for each in waiting] == [*range(21, 61), *range(1, 21)]


def test_another_process_that_writes_is_not_waited_for(elsewhere, clock):
    waiting, sent = announced(elsewhere.attempt(), clock, 3), []
    with elsewhere.sessions() as other, writing(other), elsewhere.sessions() as session:
        event.listen(elsewhere.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
        with pytest.raises(OperationalError, match="locked"):
            outbox.write_down(session, waiting)

    waits, _begin, waits_again = (each for each in sent if each.startswith(("PRAGMA", "BEGIN")))
    assert (waits, waits_again) == ("PRAGMA busy_timeout = 0", "PRAGMA busy_timeout = 5000")
    assert len(waiting) == 3

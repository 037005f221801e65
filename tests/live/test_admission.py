"""Who comes into a room sees what is so now, whatever was announced on the way there."""

import gc

import pytest
from flask import Request
from sqlalchemy.exc import OperationalError

from mpesa.ledger import Change
from mpesa.live.rooms import Rooms, room_of
from mpesa.web.http import snapshot_reads
from tests.factories import failure_callback, success_callback


class Hall:
    """Stands where flask-socketio does: rooms, and what was said into them or to one socket."""

    def __init__(self):
        self.server = self.manager = self
        self.rooms = {"/": {}}
        self.said = []

    def enter_room(self, sid, room, namespace):
        self.rooms[namespace].setdefault(room, set()).add(sid)

    def emit(self, event, told, to):
        self.said.append((event, told["status"], told["seq"], to))


@pytest.fixture
def hall():
    return Hall()


@pytest.fixture
def rooms(app, hall, clock):
    with app.app_context():
        yield Rooms(hall, clock)


def pay(shop):
    shop.callback(1, success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))


def fail(shop):
    shop.callback(1, failure_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))


def no_more_reads(monkeypatch):
    def refuse(*_):
        raise AssertionError("read once more")

    monkeypatch.setattr(snapshot_reads, "snapshot", refuse)


def announce(rooms, shop, transaction):
    rooms.announce([Change(transaction, shop.transaction(transaction).seq)])


def test_who_enters_is_shown_what_was_read_before_without_another_read(
    rooms, hall, shop, monkeypatch
):
    transaction = shop.attempt()
    snapshot, mark = rooms.expect(transaction)
    no_more_reads(monkeypatch)

    rooms.enter("sid", snapshot, mark, "en")

    assert hall.said == [("status", "PENDING", snapshot["seq"], room_of(transaction, "en"))]


def test_a_change_announced_between_the_read_and_the_room_is_shown(rooms, hall, shop):
    transaction = shop.attempt()
    snapshot, mark = rooms.expect(transaction)
    pay(shop)
    announce(rooms, shop, transaction)
    unheard = list(hall.said)

    rooms.enter("sid", snapshot, mark, "en")

    assert unheard == []
    assert [each[1] for each in hall.said] == ["SUCCESS"]


def test_a_change_announced_before_the_read_is_not_read_again(rooms, hall, shop, monkeypatch):
    transaction = shop.attempt()
    rooms.expect(transaction)
    pay(shop)
    announce(rooms, shop, transaction)
    snapshot, mark = rooms.expect(transaction)
    no_more_reads(monkeypatch)

    rooms.enter("sid", snapshot, mark, "en")

    assert [each[1] for each in hall.said] == ["SUCCESS"]


def test_a_second_socket_alone_hears_what_the_room_has_heard(rooms, hall, shop):
    transaction = shop.attempt()
    rooms.enter("first", *rooms.expect(transaction), "en")

    rooms.enter("second", *rooms.expect(transaction), "en")

    assert [each[3] for each in hall.said] == [room_of(transaction, "en"), "second"]


def test_one_that_is_expected_no_longer_reads_once_more(rooms, hall, shop):
    transaction = shop.attempt()
    snapshot, mark = rooms.expect(transaction)
    rooms.expect_no_longer(transaction)
    pay(shop)
    announce(rooms, shop, transaction)

    rooms.enter("sid", snapshot, mark, "en")

    assert [each[1] for each in hall.said] == ["SUCCESS"]


def test_a_mark_is_old_even_where_another_socket_set_out_since(rooms, hall, shop):
    transaction = shop.attempt()
    snapshot, mark = rooms.expect(transaction)
    pay(shop)
    announce(rooms, shop, transaction)
    rooms.expect_no_longer(transaction)
    rooms.expect(transaction)

    rooms.enter("slow", snapshot, mark, "en")

    assert [each[1] for each in hall.said] == ["SUCCESS"]


def test_two_sockets_on_their_way_are_both_shown_what_was_announced_meanwhile(rooms, hall, shop):
    transaction = shop.attempt()
    first, second = rooms.expect(transaction), rooms.expect(transaction)
    fail(shop)
    announce(rooms, shop, transaction)

    rooms.enter("first", *first, "en")
    rooms.enter("second", *second, "sw")

    assert [(each[1], each[3]) for each in hall.said] == [
        ("FAILED", room_of(transaction, "en")),
        ("FAILED", "second"),
    ]


def test_what_time_alone_changes_is_told_with_the_same_seq(rooms, hall, shop, clock):
    transaction = shop.attempt()
    fail(shop)
    rooms.enter("sid", *rooms.expect(transaction), "en")
    (before,) = hall.said

    rooms.tell_again([transaction])

    assert hall.said == [before, before]


def test_what_time_alone_changes_is_not_read_for_an_empty_room(rooms, hall, shop, monkeypatch):
    transaction = shop.attempt()
    no_more_reads(monkeypatch)

    rooms.tell_again([transaction])

    assert hall.said == []


def test_what_was_read_before_a_change_is_not_told_again_after_it(rooms, hall, shop, monkeypatch):
    transaction = shop.attempt()
    rooms.enter("sid", *rooms.expect(transaction), "en")
    older = snapshot_reads.snapshot(transaction, shop.now())
    pay(shop)
    announce(rooms, shop, transaction)
    monkeypatch.setattr(snapshot_reads, "snapshot", lambda *_: older)

    rooms.tell_again([transaction])

    assert [each[1] for each in hall.said] == ["PENDING", "SUCCESS"]


@pytest.mark.parametrize("unknown", [None, 7, [], "", "x" * 5000, "tx_" + "0" * 32, "0" * 32])
def test_an_unknown_transaction_is_expected_by_nobody(rooms, unknown):
    snapshot, _mark = rooms.expect(unknown)

    assert snapshot is None
    assert rooms._expected == {}


def test_an_id_that_nobody_has_is_looked_up_and_leaves_nothing_behind(rooms, shop):
    known = shop.attempt()
    unknown = known[:-1] + ("A" if known[-1] != "A" else "B")

    snapshot, _mark = rooms.expect(unknown)

    assert snapshot is None
    assert rooms._expected == {}


def test_a_read_that_fails_leaves_nothing_behind(rooms, shop, monkeypatch):
    transaction = shop.attempt()

    def broken(*_):
        raise OperationalError("SELECT 1", {}, RuntimeError("gone"))

    monkeypatch.setattr(snapshot_reads, "snapshot", broken)

    with pytest.raises(OperationalError):
        rooms.expect(transaction)

    assert rooms._expected == {}


def test_what_is_expected_no_longer_is_not_kept(rooms, shop):
    transaction = shop.attempt()
    rooms.expect(transaction)

    rooms.expect_no_longer(transaction)
    announce(rooms, shop, transaction)
    rooms.expect_no_longer(transaction)

    assert rooms._expected == {}


# -- what a join leaves behind ---------------------------------------------------------------------


def requests_in_memory():
    return sum(isinstance(each, Request) for each in gc.get_objects())


def test_a_join_leaves_nothing_for_the_garbage_collector(app, shop):
    auth = {"tx_id": shop.attempt(), "lang": "en"}
    socketio = app.extensions["mpesa"].socketio
    gc.collect()
    gc.disable()
    try:
        before = requests_in_memory()
        for _ in range(3):
            assert socketio.test_client(app, auth=auth).is_connected()

        assert requests_in_memory() == before
    finally:
        gc.enable()


# -- what is kept of it --------------------------------------------------------------------------


def kept(rooms):
    return [(each.status, each.seq, each.pages) for each in rooms.announced]


def test_a_change_that_was_told_is_kept_with_the_number_of_its_pages(rooms, shop, clock):
    transaction = shop.attempt()
    rooms.enter("first", *rooms.expect(transaction), "en")
    rooms.enter("second", *rooms.expect(transaction), "sw")
    pay(shop)
    announce(rooms, shop, transaction)
    announce(rooms, shop, transaction)

    (told,) = rooms.announced

    assert (told.status, told.reason, told.order_status) == ("SUCCESS", "paid", "PAID")
    assert (told.seq, told.pages) == (shop.transaction(transaction).seq, 2)
    assert told.announced_at == clock()


def test_what_nobody_heard_and_what_a_page_asked_for_is_not_kept(rooms, shop):
    transaction = shop.attempt()
    announce(rooms, shop, transaction)
    rooms.enter("sid", *rooms.expect(transaction), "en")
    rooms.enter("again", *rooms.expect(transaction), "en")
    announce(rooms, shop, transaction)

    assert kept(rooms) == []


def test_while_nothing_can_be_written_down_memory_stays_bounded(rooms, shop):
    transaction = shop.attempt()
    snapshot, _mark = rooms.expect(transaction)
    for number in range(20_010):
        rooms._keep_announced({**snapshot, "seq": number})

    assert len(rooms.announced) == 20_000
    assert rooms.announced[-1].seq == 20_009

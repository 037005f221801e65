"""A storm of pages that read: a few at once, the others in turn, and no connection kept."""

import threading
from contextlib import ExitStack

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as DatabaseTimeout

from mpesa import ledger
from mpesa.models import db
from mpesa.web.http import snapshot_reads
from tests.conftest import on_both
from tests.web.steps import problem

AT_ONCE = 2
PATIENCE = 10.0


class Held:
    """Stands where the ledger reads: nobody comes out before all are let go."""

    def __init__(self):
        self.inside = threading.Semaphore(0)
        self.let_go = threading.Event()

    def __call__(self, *_):
        self.inside.release()
        assert self.let_go.wait(PATIENCE)
        return {"seq": 1}


def read_in_threads(app, count, now):
    """Begin so many reads; returns their threads and what they will have read."""
    found = []

    def read():
        with app.app_context():
            found.append(snapshot_reads.snapshot("whatever", now))

    threads = [threading.Thread(target=read, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


def test_two_read_at_once_and_the_others_get_their_turn(app, clock, monkeypatch):
    held = Held()
    monkeypatch.setattr(ledger, "snapshot_of", held)

    threads, found = read_in_threads(app, 3 * AT_ONCE, clock())
    first = [held.inside.acquire(timeout=PATIENCE) for _ in range(AT_ONCE)]
    one_more = held.inside.acquire(timeout=0.1)
    held.let_go.set()
    for thread in threads:
        thread.join(PATIENCE)

    assert (first, one_more) == ([True] * AT_ONCE, False)
    assert len(found) == 3 * AT_ONCE


def test_who_waits_too_long_is_told_that_the_database_is_not_there(client, shop, monkeypatch):
    transaction = shop.attempt()
    monkeypatch.setattr(snapshot_reads, "_PATIENCE", 0.01)
    address = f"/check-status?tx_id={transaction}"

    with ExitStack() as turns:
        for _ in range(AT_ONCE):
            turns.enter_context(snapshot_reads._AT_ONCE)
        during = client.get(address)
    after = client.get(address)

    problem(during, 503, "unavailable")
    assert after.status_code == 200


def test_a_wait_in_vain_takes_nobody_elses_turn(app, clock, monkeypatch):
    monkeypatch.setattr(snapshot_reads, "_PATIENCE", 0.01)

    with ExitStack() as turns, app.app_context():
        for _ in range(AT_ONCE):
            turns.enter_context(snapshot_reads._AT_ONCE)
        for _ in range(2):
            with pytest.raises(DatabaseTimeout):
                snapshot_reads.snapshot("whatever", clock())


@on_both
def test_the_connection_is_given_back_with_the_answer(app, shop):
    transaction = shop.attempt()

    with app.app_context():
        snapshot = snapshot_reads.snapshot(transaction, shop.now())
        still_out = db.engine.pool.checkedout()

    assert (snapshot["transaction_id"], still_out) == (transaction, 0)


@on_both
def test_a_read_that_fails_gives_back_its_turn_and_its_connection(app, shop, monkeypatch):
    def fail(*_):
        raise OperationalError("SELECT 1", {}, RuntimeError("gone"))

    transaction = shop.attempt()
    with app.app_context():
        with monkeypatch.context() as broken:
            broken.setattr(ledger, "snapshot_of", fail)
            for _ in range(AT_ONCE + 1):
                with pytest.raises(OperationalError):
                    snapshot_reads.snapshot(transaction, shop.now())
                assert db.engine.pool.checkedout() == 0

        assert snapshot_reads.snapshot(transaction, shop.now()) is not None


def test_the_connection_is_given_back_before_the_turn(app, shop, monkeypatch):
    transaction = shop.attempt()
    out_at_release = []
    turns = snapshot_reads._AT_ONCE

    class Watched:
        acquire = turns.acquire

        @staticmethod
        def release():
            out_at_release.append(db.engine.pool.checkedout())
            turns.release()

    monkeypatch.setattr(snapshot_reads, "_AT_ONCE", Watched)
    with app.app_context():
        snapshot_reads.snapshot(transaction, shop.now())

    assert out_at_release == [0]


def test_there_is_no_snapshot_of_what_nobody_knows(app, clock):
    with app.app_context():
        assert snapshot_reads.snapshot("0" * 32, clock()) is None

"""Two workers, one PostgreSQL, one Redis: what one of them learns, pages at the other hear.

The push goes through the first worker, so that Daraja calls back there. The page is at the second.
"""

import json
import os
import signal
from contextlib import ExitStack, closing, contextmanager

import psycopg2
import pytest
import redis

from mpesa.hints import CHANNEL, listeners
from tests.crash.witness import Witness
from tests.integration.console import admitted, connect, heard_of, log_in
from tests.integration.steps import Phone, new_line, new_order, push, started, status_of, watching
from tests.servers import free_port, redis_server, running, wait_until

pytestmark = [pytest.mark.postgres, pytest.mark.redis]

# As often as the tests like, so that the limits are counted and refuse nobody.
LIMITS = {"STK_PUSH_LIMIT_PER_IP": "1000/minute", "STK_PUSH_LIMIT_PER_PHONE": "1000/minute"}


class Redis:
    """A Redis that can die, stand still, and come back."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._standing = ExitStack()

    def start(self):
        self._standing.enter_context(redis_server(self.folder, self.port))
        self.pid = redis.Redis.from_url(self.url).info("server")["process_id"]

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self):
        self._standing.close()

    @contextmanager
    def standing_still(self):
        """It takes connections and answers nobody."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


class House:
    """Both workers and what they share."""

    def __init__(self, first, second, redis, daraja, database, folder):
        self.first, self.second, self.redis, self.daraja = first, second, redis, daraja
        self.database = database
        self.doom, self.outbox_off = folder / "doom", folder / "outbox-off"

    def phone(self, msisdn):
        return Phone(self.daraja.target, msisdn)

    def wait_until_both_listen(self):
        wait_until(lambda: listeners(self.redis.url) == 2, self.second.why)

    @contextmanager
    def hints_alone(self):
        """The second worker looks into the database only where a hint sends it."""
        self.outbox_off.touch()
        try:
            yield
        finally:
            self.outbox_off.unlink()

    def sql(self, statement, *values):
        with closing(psycopg2.connect(self.database)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall() if cursor.description else []

    def asked(self, path):
        """What Daraja was asked there, by any worker."""
        return [each for each in self.daraja.seen if path in each.path]


@pytest.fixture(scope="module")
def house(tmp_path_factory, postgres):
    folder = tmp_path_factory.mktemp("workers")
    store = Redis(folder)
    store.start()
    port, database = str(free_port()), postgres.new_database()
    with (
        running(folder, ("-m", "mpesa.simulator", "--port", port), PORT=port) as simulator,
        Witness(simulator.address).standing() as daraja,
    ):
        shared = {
            "DATABASE_URL": database,
            "REDIS_URL": store.url,
            "DARAJA_BASE_URL": daraja.address,
            "DARAJA_QUERY_RATE": "600/minute",
            "DOOM": str(folder / "doom"),
            "OUTBOX_OFF": str(folder / "outbox-off"),
            **LIMITS,
        }
        with (
            running(folder, ("-m", "tests.crash.doomed"), **shared) as first,
            running(folder, ("-m", "tests.integration.hard_of_hearing"), **shared) as second,
        ):
            built = House(first, second, store, daraja, database, folder)
            built.wait_until_both_listen()
            yield built
    store.end()


def test_a_result_that_one_worker_is_told_reaches_the_page_at_another_by_a_hint(house):
    msisdn, transaction_id = started(house.first)
    with house.hints_alone(), watching(house.second, transaction_id) as page:
        house.phone(msisdn).answer(pin="1234")

        told = page.snapshot_with(status="SUCCESS")

    assert told["seq"] > page.first["seq"]
    assert told == status_of(house.second, transaction_id)


def test_pages_of_one_transaction_at_both_workers_hear_the_same_once(house):
    msisdn, transaction_id = started(house.first)
    with (
        watching(house.first, transaction_id) as here,
        watching(house.second, transaction_id) as there,
    ):
        house.phone(msisdn).answer(cancel=True)
        told = [page.snapshot_with(status="FAILED") for page in (here, there)]

        assert told[0] == told[1]
        assert there.hears_nothing(1.5)


def test_an_operators_page_at_one_worker_hears_of_a_payment_at_the_other(house):
    with connect(house.second, log_in(house.second)) as ws:
        assert admitted(ws)
        msisdn, transaction_id = started(house.first)
        assert heard_of(ws, transaction_id, 1)
        house.phone(msisdn).answer(pin="1234")
        wait_until(lambda: status_of(house.first, transaction_id)["final"])

        assert heard_of(ws, transaction_id, status_of(house.first, transaction_id)["seq"])


def test_without_redis_the_page_hears_all_the_same(house):
    msisdn, transaction_id = started(house.first)
    with watching(house.second, transaction_id) as page:
        house.redis.kill()
        house.phone(msisdn).answer(pin="1234")

        told = page.snapshot_with(status="SUCCESS")

    house.redis.start()
    assert told["reason"] == "paid"


def test_when_redis_is_back_every_worker_listens_and_hints_are_heard(house):
    house.redis.kill()
    msisdn, transaction_id = started(house.first)
    house.redis.start()

    house.wait_until_both_listen()

    with house.hints_alone(), watching(house.second, transaction_id) as page:
        house.phone(msisdn).answer(pin="1234")
        assert page.snapshot_with(status="SUCCESS")
    assert "Redis is back" in house.first.why()


def test_a_redis_that_stands_still_holds_up_no_request_and_no_page(house):
    house.wait_until_both_listen()
    msisdn = new_line()
    with house.redis.standing_still():
        transaction_id = push(house.first, new_order(house.first), msisdn)["transaction_id"]
        with (
            watching(house.first, transaction_id) as here,
            watching(house.second, transaction_id) as there,
        ):
            house.phone(msisdn).answer(pin="1234")
            told = [page.snapshot_with(status="SUCCESS") for page in (here, there)]
        polled = status_of(house.second, transaction_id)

    assert told == [polled] * 2
    house.wait_until_both_listen()


FORGED = [b"garbage", b"\x80\x04K\x01.", b"A" * 1_000_000, json.dumps({"method": "emit"}).encode()]


def test_who_can_publish_on_redis_changes_no_page_and_hides_nothing(house):
    house.wait_until_both_listen()
    msisdn, transaction_id = started(house.first)
    stranger = redis.Redis.from_url(house.redis.url)
    with house.hints_alone(), watching(house.second, transaction_id) as page:
        for forged in (*FORGED, f"{transaction_id} 999999999".encode()):
            assert stranger.publish(CHANNEL, forged) == 2
            assert stranger.publish("socketio", forged) == 0
        quiet = page.hears_nothing()
        house.phone(msisdn).answer(pin="1234")

        assert quiet
        assert page.snapshot_with(status="SUCCESS")
    assert "Traceback" not in house.second.why()


def test_a_worker_killed_before_it_could_announce_leaves_that_to_the_other(house):
    msisdn, transaction_id = started(house.first)
    with watching(house.second, transaction_id) as page:
        house.doom.write_text("die after the judgement of a callback")
        house.phone(msisdn).answer(pin="1234")

        told = page.snapshot_with(status="SUCCESS")

    assert house.first.process.wait(30) == -signal.SIGKILL
    house.first.start()
    assert told["order_status"] == "PAID"


def test_workers_share_token_and_budget_and_ask_about_no_transaction_twice(house):
    silent = []
    for worker in (house.first, house.second) * 5:
        msisdn = new_line()
        house.phone(msisdn).script(answer="ignore")
        silent.append(started(worker, msisdn)[1])
    ids = house.sql("SELECT checkout_request_id FROM transactions WHERE id = ANY(%s)", silent)
    house.daraja.seen.clear()

    # As if 40 s had passed: each is due, and not again for another 25 s.
    house.sql(
        "UPDATE transactions SET next_ask_at = now(), created_at = created_at - interval '40 s'"
        " WHERE id = ANY(%s)",
        silent,
    )
    wait_until(lambda: len(house.asked("query")) >= len(silent))
    wait_until(lambda: not due(house, silent))

    asked = [json.loads(each.body)["CheckoutRequestID"] for each in house.asked("query")]
    assert sorted(asked) == sorted(each for (each,) in ids)
    assert house.asked("oauth") == []
    assert house.sql("SELECT count(*) FROM daraja_access") == [(1,)]


def due(house, transaction_ids):
    return house.sql(
        "SELECT id FROM transactions WHERE id = ANY(%s) AND next_ask_at <= now()", transaction_ids
    )

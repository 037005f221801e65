"""Webhooks of a whole server: killed, stopped, and beside a merchant's server that hangs."""

import base64
import signal
import time
from typing import Any

import pytest
import requests
from sqlalchemy import create_engine, text
from standardwebhooks import Webhook

from tests import receiver as merchant
from tests.factories import API_KEY, PAYER, PAYER_MSISDN, order_fields
from tests.receiver import receiving
from tests.servers import PATIENCE, running, wait_until

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
# A request that waited for the merchant's server would take 15 s or more; without, far less than
# this (seconds), also on a machine that is shared.
AT_ONCE = 5.0


@pytest.fixture
def receiver():
    with receiving() as started:
        yield started


@pytest.fixture(params=["eventlet", "gevent"])
def server(request, tmp_path, receiver):
    """Our server on each async server, which tells the receiver."""
    named = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "ASYNC_MODE": request.param}
    with running(tmp_path, **named) as started:
        script = {"answer": "pay", "after": 0, "callback_after": 0}
        requests.put(started.url(f"/simulator/lines/{PAYER_MSISDN}"), json=script, timeout=PATIENCE)
        yield started


def pay(server):
    """A payer pays; returns the snapshot once it says so."""
    order = server.post("/api/orders", json=order_fields(), headers=API_KEY).json()
    pushed = server.post("/stk-push", json={"order_id": order["order_id"], "phone": PAYER}).json()
    path = f"/check-status?tx_id={pushed['transaction_id']}"
    wait_until(lambda: server.get(path).json()["status"] == "SUCCESS", server.why, 10)
    snapshot: dict[str, Any] = server.get(path).json()
    return snapshot


def time_passes(server, seconds):
    """Move what is waited for back; the server cannot tell that from waiting."""
    engine = create_engine(server.environment["DATABASE_URL"])
    moved = ", ".join(
        f"{each} = datetime({each}, '-{seconds} seconds')"
        for each in ("next_attempt_at", "claimed_until")
    )
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE webhook_messages SET {moved}"))  # noqa: S608
    engine.dispose()


def test_a_killed_server_sends_again_what_it_could_not_write_down(server, receiver):
    receiver.answers.append(merchant.hang)
    paid = pay(server)
    wait_until(lambda: receiver.got, server.why, 10)

    server.stop(signal.SIGKILL)
    time_passes(server, 61)
    server.start()
    wait_until(lambda: len(receiver.got) == 2, server.why, 10)

    told = [Webhook(SECRET).verify(each.body, each.headers)["data"] for each in receiver.got]
    assert [each["transaction_id"] for each in told] == [paid["transaction_id"]] * 2
    assert len(set(receiver.ids())) == 1


def test_a_merchants_server_that_hangs_delays_neither_payments_nor_the_end(server, receiver):
    receiver.usual = merchant.hang
    started = time.monotonic()
    for _ in range(3):
        pay(server)
    wait_until(lambda: len(receiver.got) == 3, server.why, 10)
    paid = time.monotonic() - started

    stopping = time.monotonic()
    status = server.stop()

    assert status == 0, server.why()
    assert time.monotonic() - stopping < AT_ONCE
    assert paid < 3 * AT_ONCE

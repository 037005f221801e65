"""One PIN, two watchers: a Socket.IO client in the room, and a client that polls every 3 s."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import requests
import socketio

from tests.factories import API_KEY, order_fields
from tests.servers import Server, from_address

# What tutorials of STK push checkouts write: setInterval(..., 3000) from the push's answer on.
POLL_EVERY = 3.0
PATIENCE = 30.0


@dataclass(frozen=True)
class Seen:
    """Seconds from the PIN until each client had the result."""

    pushed: float
    polled: float


def watch(server: Server, payments: int, per_second: float) -> list[Seen]:
    """Take payments at an even pace and watch each one.

    Raises:
        TimeoutError: a result was never seen.
    """
    start = time.monotonic()
    # A payment lives at most two rounds of polling, and has two threads.
    with ThreadPoolExecutor(max_workers=payments) as pool:
        futures = [
            pool.submit(_one, server, number, start + number / per_second)
            for number in range(payments)
        ]
        return [future.result() for future in futures]


def _one(server: Server, number: int, begin: float) -> Seen:
    time.sleep(max(0.0, begin - time.monotonic()))
    msisdn = f"2547{number:08d}"
    transaction_id = _push(server, msisdn, from_address(number))
    first_poll = time.monotonic() + POLL_EVERY
    with socketio.SimpleClient() as page, ThreadPoolExecutor(max_workers=1) as beside:
        page.connect(server.address, transports=["websocket"], auth={"tx_id": transaction_id})
        polled = beside.submit(_poll, server, transaction_id, first_poll)
        # A person's PIN falls anywhere between two polls.
        time.sleep(random.uniform(0, POLL_EVERY))
        entered = _enter_pin(server, msisdn)
        pushed = _pushed(page)
        return Seen(pushed - entered, polled.result() - entered)


def _push(server: Server, msisdn: str, shopper: dict[str, str]) -> str:
    order_id = _taken(server.post("/api/orders", json=order_fields(), headers=API_KEY))["order_id"]
    wanted = {"order_id": order_id, "phone": f"+{msisdn}"}
    pushed = _taken(server.post("/stk-push", json=wanted, headers=shopper))
    transaction_id: str = pushed["transaction_id"]
    return transaction_id


def _taken(answer: requests.Response) -> dict[str, Any]:
    assert answer.ok, answer.text
    body: dict[str, Any] = answer.json()
    return body


def _enter_pin(server: Server, msisdn: str) -> float:
    """Type the PIN on the virtual phone; returns the moment at which it was sent."""
    prompt = server.get(f"/simulator/prompts?msisdn={msisdn}").json()[0]["id"]
    entered = time.monotonic()
    _taken(server.post(f"/simulator/prompts/{prompt}/answer", json={"pin": "1234"}))
    return entered


def _pushed(page: socketio.SimpleClient) -> float:
    while True:
        _event, snapshot = page.receive(timeout=PATIENCE)
        if snapshot["status"] == "SUCCESS":
            return time.monotonic()


def _poll(server: Server, transaction_id: str, at: float) -> float:
    address = server.url(f"/check-status?tx_id={transaction_id}")
    give_up = at + PATIENCE
    with requests.Session() as session:
        while at < give_up:
            time.sleep(max(0.0, at - time.monotonic()))
            snapshot: dict[str, Any] = session.get(address, timeout=PATIENCE).json()
            if snapshot["status"] == "SUCCESS":
                return time.monotonic()
            at += POLL_EVERY
    raise TimeoutError("a poller never saw its result")

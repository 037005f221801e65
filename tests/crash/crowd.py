"""Many payers at once, who try again with the same key until somebody answers."""

import time
from concurrent.futures import Future, ThreadPoolExecutor
from random import Random

import requests

from tests.crash.world import World
from tests.factories import API_KEY, order_fields
from tests.servers import wait_until

# A server that is not back by then will not come (seconds).
PATIENCE = 60.0
# What is left of a push whose callback was lost is found on the schedule's first questions.
LATER = 36
# Silence without an id is for a person after an hour, and no wait is longer than that.
MUCH_LATER = 3601


class Crowd:
    """Payers of one order each, whose habits are drawn from `chance`."""

    def __init__(self, world: World, chance: Random, size: int) -> None:
        self.world = world
        self.chance = chance
        self.size = size
        self.orders: list[str] = []
        self._threads = ThreadPoolExecutor(size)
        self._payers: list[Future[str]] = []

    def come(self, within: float) -> None:
        """Let all of them pay, spread over this many seconds."""
        for number in range(self.size):
            msisdn = f"2547000{number:05d}"
            self.world.line(msisdn, **self._habits())
            late = self.chance.uniform(0, within)
            self._payers.append(self._threads.submit(self._pay, number, msisdn, late))

    def wait(self) -> None:
        """Until everybody was answered and no prompt is open."""
        self.orders = [payer.result(PATIENCE) for payer in self._payers]
        wait_until(lambda: self.world.simulator.get("/prompts").json() == [])

    def wait_until_known(self) -> None:
        """Let time pass until nothing is left to be found out."""
        for seconds in (LATER, MUCH_LATER):
            self.world.time_passes(seconds)
            self._wait_for_none("next_ask_at <= now() AND checkout_request_id IS NOT NULL")
        self._wait_for_none("is_open")
        self._wait_for_none(
            "status = 'PENDING' AND checkout_request_id IS NULL AND NOT needs_review"
        )

    def stuck(self) -> list[str]:
        """Orders that are neither paid nor may be paid."""
        newest = [self.world.attempts(order_id)[-1]["id"] for order_id in self.orders]
        told = [self.world.server.get("/check-status", params={"tx_id": i}).json() for i in newest]
        return [t for t in told if t["order_status"] != "PAID" and not t["can_retry"]]

    def _habits(self) -> dict[str, object]:
        return {
            "answer": self.chance.choice(["pay", "pay", "pay", "pay", "cancel", "wrong_pin"]),
            "after": round(self.chance.uniform(0, 1), 2),
            "callback": self.chance.choice(["once", "once", "once", "twice", "never"]),
            "callback_after": round(self.chance.uniform(0, 0.5), 2),
        }

    def _pay(self, number: int, msisdn: str, late: float) -> str:
        time.sleep(late)
        order = order_fields(reference=f"CROWD-{number}")
        key = {"Idempotency-Key": f"payer-{number}"}
        answer = self._insist("/api/orders", order, {**API_KEY, **key})
        order_id: str = answer["order_id"]
        self._insist("/stk-push", {"order_id": order_id, "phone": f"+{msisdn}"}, key)
        return order_id

    def _insist(self, path: str, body: object, headers: dict[str, str]) -> dict[str, str]:
        """Ask until somebody answers; what a dying server left unsaid is asked again."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                answer = self.world.server.post(path, json=body, headers=headers)
            except requests.RequestException:
                answer = None
            if answer is not None and answer.status_code < 500:
                assert answer.ok, answer.text
                fields: dict[str, str] = answer.json()
                return fields
            time.sleep(0.2)
        raise AssertionError(f"{path} was not answered in {PATIENCE} s")

    def _wait_for_none(self, condition: str) -> None:
        """Until no unpaid row is like this; the clock and the reconciler see to it."""
        statement = f"SELECT * FROM transactions WHERE status != 'SUCCESS' AND {condition}"  # noqa: S608
        wait_until(
            lambda: not self.world.rows(statement),
            lambda: f"{condition}: {self.world.rows(statement)}",
        )

"""One shopper of the soak: an order, a line with habits, a page or a poller, a second try.

Some pay by hand, at once or after a push that failed, as the page says or not quite so.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import requests
import websocket

from tests.factories import API_KEY, order_fields
from tests.integration.steps import watching
from tests.servers import Server, from_address

# A prompt lives 60 s, a late success comes up to 40 s later, and by then silence was asked about.
PATIENCE = 150.0
# As often as the page asks while its socket is up (seconds).
BACKSTOP = 10.0

HABITS: dict[str, list[object]] = {
    "answer": [
        *["pay"] * 14,
        *["cancel", "wrong_pin", "ignore", "unreachable", "busy"],
        *["code:17", "code:1019", "code:2029", "code:SFC_IC0003"],
    ],
    "callback": ["once"] * 6 + ["twice", "never", "before_response", "garbled"],
    "push": [
        *["normal"] * 20,
        *["timeout", "error_500", "html_503", "refused"],
        *["busy_500", "quota", "rate_429", "dead_token"],
    ],
    "query": [
        *["honest"] * 9,
        *["pending", "wrong_failed", "flaky", "rate_limited", "pending_500", "too_early"],
    ],
    "metadata": ["classic", "no_balance", "masked_phone", "no_phone", "whole_amount"],
    "balance": [50_000] * 9 + [10],
}

# How M-PESA tells the shop of money by hand, for whoever pays just then.
TELLINGS: dict[str, list[object]] = {
    "confirmation": ["once"] * 6 + ["twice", "never", "late", "before_push_callback"],
    "confirmation_after": [0, 0, 0.5, 5],
    "push_confirmation": [True, True, False],
    "confirmation_account": ["sent"] * 5 + ["empty"],
    "msisdn": ["masked"] * 4 + ["hashed", "plain", "absent"],
    "status": ["normal"] * 4 + ["not_found_first", "silent"],
    "result": [
        *["once"] * 12,
        *["twice", "late", "before_ack", "timeout", "error_500_after", "never"],
    ],
    "gateway": ["open"] * 14
    + ["busy_500", "quota", "rate_429", "html_503", "dead_token", "no_product"],
}
SINCERE = {"gateway": "open", "result": "once"}
# What a payer by hand types as account: mostly what the page says.
ACCOUNTS = ["code"] * 8 + ["reference", "code with blanks", "slip", "another amount"]
# The rest have nothing to do with the order, or not its price.
RIGHT = ("code", "code with blanks", "reference")
SHORT_CODE = "174379"


@dataclass(frozen=True)
class ByHand:
    """A payment by hand.

    Attributes:
        reference: the order's.
        kind: what was typed, one of `ACCOUNTS`.
    """

    reference: str
    kind: str


@dataclass
class Notes:
    """What all shoppers saw; `broken` is empty at the end of a good run.

    Attributes:
        by_hand: the payments by hand, by receipt.
    """

    seen: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    scripts: dict[str, dict[str, Any]] = field(default_factory=dict)
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    by_hand: dict[str, ByHand] = field(default_factory=dict)


def habits(chance: Random) -> dict[str, Any]:
    """A line's script, every misbehaviour now and then."""
    script: dict[str, Any] = {name: chance.choice(words) for name, words in HABITS.items()}
    script["after"] = round(chance.uniform(0, 8), 1)
    script["callback_after"] = round(chance.choice([0, 0, 0, chance.uniform(0, 20)]), 1)
    script["late_success_after"] = chance.choice([None] * 9 + [round(chance.uniform(5, 40), 1)])
    return script


def telling(chance: Random) -> dict[str, object]:
    """The organisation's switches for a while."""
    return {name: chance.choice(words) for name, words in TELLINGS.items()}


class Shopper:
    """Comes once.

    Args:
        number: gives the order's reference and the lines, which nobody else has.
    """

    def __init__(
        self, server: Server, simulator: Server, notes: Notes, number: int, chance: Random
    ) -> None:
        self.server, self.simulator, self.notes = server, simulator, notes
        self.number, self.chance = number, chance
        # M-PESA tells the last three digits. Where it tells no account, money of that amount and
        # those digits belongs to the push that misses its receipt (`matching`). So that the ledger
        # can tell payers apart, no two of an hour have both in common.
        thousands, last = divmod(number, 1000)
        self.lines = iter(f"2547{thousands:04d}{line}{last:03d}" for line in (1, 2))
        self.prices = 2 * (thousands % 8)

    def come(self) -> None:
        """Pay, look on, try once more where the page would offer it; notes what is wrong."""
        try:
            amount = self.chance.choice([150] * 9 + [600]) + self.prices
            order = order_fields(reference=f"SOAK-{self.number}", amount=amount)
            made = self.server.post("/api/orders", json=order, headers=API_KEY)
            order_id = made.json()["order_id"]
            if self.chance.random() < 0.25:
                self._pay_by_hand(order_id, order, next(self.lines))
                return
            last = self._attempt(order_id, first := next(self.lines))
            if last and self._tries_again(last, self.notes.scripts[first]):
                if self.chance.random() < 0.3:
                    self._pay_by_hand(order_id, order, next(self.lines))
                else:
                    self._attempt(order_id, next(self.lines))
        except (requests.RequestException, websocket.WebSocketException, OSError) as error:
            self.notes.broken.append(f"{self.number}: not served ({type(error).__name__})")
        except Exception as error:  # noqa: BLE001 - whatever it is, the soak tells it
            self.notes.broken.append(f"{self.number}: {type(error).__name__}: {error}")

    def _tries_again(self, last: dict[str, Any], script: dict[str, Any]) -> bool:
        """Where the page offers it, and Daraja's last word is its last: money after that is double.

        (Our side flags such money for a person; tests/test_money_machine.py looks at that.)
        """
        offered = last["final"] and last["can_retry"] and last["retry_after"] is None
        return bool(offered and script["late_success_after"] is None)

    def _pay_by_hand(self, order_id: str, order: dict[str, Any], msisdn: str) -> None:
        """As the page says, or not quite so; who paid rightly waits until it is seen."""
        chosen = self.server.post(
            "/pay-by-hand", json={"order_id": order_id}, headers=from_address(self.number)
        )
        assert chosen.status_code in (200, 201), chosen.text
        code: str = chosen.json()["pay_by_hand"]["account"]
        kind = self.chance.choice(ACCOUNTS)
        accounts = {
            "code with blanks": f"{code[:3]} {code[3:6]} {code[6:]}",
            "reference": f" {order['reference'].lower()}",
            "slip": code[:-1] + str((int(code[-1]) + 1) % 10),
        }
        time.sleep(self.chance.uniform(0, 4))
        paid = self.simulator.post(
            "/payments",
            json={
                "msisdn": msisdn,
                "short_code": SHORT_CODE,
                "account": accounts.get(kind, code),
                "amount": order["amount"] + (kind == "another amount"),
            },
        )
        assert paid.status_code == 201, paid.text
        self.notes.by_hand[paid.json()["receipt"]] = ByHand(order["reference"], kind)
        self.notes.seen[f"by hand: {kind}"] += 1
        if kind in RIGHT and self.chance.random() < 0.7:
            look = self._listen if self.chance.random() < 0.7 else self._poll
            self._follow(look(chosen.json()["transaction_id"]))

    def _attempt(self, order_id: str, msisdn: str) -> dict[str, Any] | None:
        script = self.notes.scripts[msisdn] = habits(self.chance)
        requests.put(f"{self.simulator.address}/lines/{msisdn}", json=script, timeout=30)
        push = {"order_id": order_id, "phone": f"+{msisdn}"}
        answer = self.server.post("/stk-push", json=push, headers=from_address(self.number))
        assert answer.status_code == 202, answer.text
        # A prompt may be cancelled while its push times out: pressing again is another attempt.
        if self.chance.random() < 0.1 and script["late_success_after"] is None:
            again = {"json": push, "headers": from_address(self.number)}
            pressed_again = self.server.post("/stk-push", **again)
            assert pressed_again.status_code in (200, 202, 409, 429), pressed_again.text
        transaction_id = answer.json()["transaction_id"]
        way = self.chance.choice(["socket"] * 6 + ["poll"] * 2 + ["leave"])
        self.notes.seen[way] += 1
        if way == "leave":
            return None
        look = self._listen if way == "socket" else self._poll
        return self._follow(look(transaction_id))

    def _follow(self, snapshots: Iterator[dict[str, Any]]) -> dict[str, Any] | None:
        """Look until it is settled or patience ends; a settled shopper stays for a moment."""
        last: dict[str, Any] | None = None
        for snapshot in snapshots:
            if last is not None and snapshot["seq"] < last["seq"]:
                self.notes.broken.append(f"{self.number}: seq went back")
            if last is not None and last["status"] == "SUCCESS" != snapshot["status"]:
                self.notes.broken.append(f"{self.number}: a success went away")
            last = self.notes.last[snapshot["transaction_id"]] = snapshot
            if snapshot["status"] == "SUCCESS" or snapshot["final"]:
                break
        self.notes.seen[last["reason"] if last else "nothing"] += 1
        return last

    def _poll(self, transaction_id: str) -> Iterator[dict[str, Any]]:
        for until in _for(PATIENCE):
            answer = self.server.get("/check-status", params={"tx_id": transaction_id})
            assert answer.status_code == 200, answer.text
            yield answer.json()
            time.sleep(min(answer.json()["poll_after"], until))

    def _listen(self, transaction_id: str) -> Iterator[dict[str, Any]]:
        """What the socket says; every ten seconds a poll has to say the same."""
        with watching(self.server, transaction_id, timeout=BACKSTOP) as page:
            shown, missed = page.first, 0
            yield shown
            for _ in _for(PATIENCE):
                try:
                    shown, missed = page.snapshot(), 0
                    yield shown
                except websocket.WebSocketTimeoutException:
                    missed += self._knows_more(transaction_id, shown)
                    assert missed < 2, "the socket did not hear what a poll said"

    def _knows_more(self, transaction_id: str, shown: dict[str, Any]) -> bool:
        told = self.server.get("/check-status", params={"tx_id": transaction_id}).json()
        return bool(told["seq"] > shown["seq"])


def _for(seconds: float) -> Iterator[float]:
    """What is left of that time, until nothing is."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        yield left

"""Our books beside the world's: what every commit may do, and what must be true between steps."""

import sqlite3
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mpesa.ids import hash_token
from tests.money_world import Prompt, World

_TRANSACTIONS = """
    SELECT t.*, o.status AS order_status, o.reference, o.expires_at
    FROM transactions t JOIN orders o ON o.id = t.order_id ORDER BY t.created_at, t.attempt
"""
_EVIDENCE = """
    SELECT e.id, e.transaction_id, e.kind, e.body, e.source, e.received_at,
           count(d.id) AS decisions, min(d.id) AS decided
    FROM evidence e LEFT JOIN decisions d ON d.evidence_id = e.id GROUP BY e.id ORDER BY e.id
"""
# What a snapshot shows, apart from what the clock alone changes in it.
_SHOWN = (
    "status",
    "reason",
    "final",
    "receipt",
    "retry_at",
    "is_open",
    "order_status",
    "created_at",
)
_CLOSED = ("PAID", "CANCELLED", "EXPIRED")

Row = dict[str, Any]


class Books:
    """A connection of its own that reads after every commit of the application.

    Attributes:
        ended_orders: that were cancelled or expired at some time, whatever they are now.
    """

    def __init__(self, file: str) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._version = -1
        self._evidence: list[tuple[Any, ...]] = []
        self.transactions: dict[str, Row] = {}
        self.ended_orders: set[str] = set()
        self.broken: list[str] = []

    def close(self) -> None:
        self._connection.close()

    def look(self, *_: object) -> None:
        """Compare what was committed with what was there before; a listener of the pool."""
        version = self._connection.execute("PRAGMA data_version").fetchone()[0]
        if version == self._version:
            return
        self._version = version
        now = {row["id"]: dict(row) for row in self._connection.execute(_TRANSACTIONS)}
        for transaction_id, before in self.transactions.items():
            self._compare(before, now[transaction_id])
        self.transactions = now
        ended = (row for row in now.values() if row["order_status"] in ("CANCELLED", "EXPIRED"))
        self.ended_orders.update(row["order_id"] for row in ended)

    def evidence(self) -> dict[str, list[Row]]:
        """All evidence by transaction; complains where any of it was changed or taken away."""
        rows = [dict(row) for row in self._connection.execute(_EVIDENCE)]
        kept = [(row["id"], row["kind"], row["body"], row["source"]) for row in rows]
        if kept[: len(self._evidence)] != self._evidence:
            self.broken.append("evidence was changed")
        self._evidence = kept
        found: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            found[row["transaction_id"]].append(row)
        return found

    def order_is_open(self, reference: str) -> bool:
        """Whether the order is open, by its row."""
        statement = "SELECT status FROM orders WHERE reference = ?"
        (found,) = self._connection.execute(statement, (reference,)).fetchall()
        return found["status"] == "OPEN"

    def _compare(self, before: Row, after: Row) -> None:
        put_back = after["updated_at"] < before["updated_at"]
        shown = put_back or any(before[name] != after[name] for name in _SHOWN)
        if after["seq"] != before["seq"] + shown:
            self._break(f"seq went from {before['seq']} to {after['seq']}", before, after)
        if before["status"] == "SUCCESS" and after["status"] != "SUCCESS":
            self._break("a success left", before, after)
        if before["receipt"] not in (None, after["receipt"]):
            self._break("a receipt changed", before, after)
        if before["checkout_request_id"] not in (None, after["checkout_request_id"]):
            self._break("an id changed", before, after)
        if before["needs_review"] and not after["needs_review"]:
            self._break("a review went away by itself", before, after)
        if before["amount"] != after["amount"]:
            self._break("an amount changed", before, after)
        if after["status"] == "SUCCESS" != before["status"]:
            self._compare_success(before, after)

    def _compare_success(self, before: Row, after: Row) -> None:
        if before["order_status"] in _CLOSED and not after["needs_review"]:
            self._break("money for a closed order that nobody looks at", before, after)
        if after["order_status"] != "PAID":
            self._break("money that did not pay its order", before, after)

    def _break(self, promise: str, before: Row, after: Row) -> None:
        changed = {
            name: (before[name], after[name]) for name in after if before[name] != after[name]
        }
        self.broken.append(f"{promise}: {changed}")


@dataclass(frozen=True)
class Account:
    """One transaction of ours, and all that the world and our evidence know about it.

    Attributes:
        prompt: None where Daraja never let its push through.
    """

    row: Row
    evidence: list[Row]
    prompt: Prompt | None
    world: World

    @property
    def token(self) -> str:
        return self.prompt.token if self.prompt else ""

    @property
    def paid(self) -> bool:
        return self.token in self.world.payments

    @property
    def proven(self) -> bool:
        """Evidence of its payment was heard, believable, and decided on."""
        return self._decided_on(self.world.proofs[self.token]) or self.proven_by_query

    @property
    def proven_by_query(self) -> bool:
        """Daraja answered a question with 0, and no callback had told another amount by then."""
        said = self._first_decision(self.world.answered_paid[self.token])
        return said is not None and (self.disputed is None or said < self.disputed)

    @property
    def disputed(self) -> int | None:
        """When a right callback first told another amount, by the number of its decision."""
        return self._first_decision(self.world.disputes[self.token])

    @property
    def told_roughly(self) -> bool:
        """A callback told the receipt in a way that is no proof."""
        return self._decided_on(self.world.rough[self.token])

    @property
    def claim_was_answered(self) -> bool:
        """Daraja was asked after such a callback, and what came of that was recorded."""
        told = self._first_decision(self.world.rough[self.token])
        asked = [each["decided"] for each in self.evidence if each["kind"] == "query"]
        return told is not None and any(each > told for each in asked if each is not None)

    @property
    def told_failed(self) -> bool:
        """A callback told a failure, believably, and was decided on."""
        return self._decided_on(self.world.failures[self.token])

    @property
    def claimed(self) -> bool:
        """Something claimed a payment that must not be believed."""
        return self._decided_on(self.world.unbelievable[self.token])

    def age(self, now: datetime) -> timedelta:
        return now - _moment(self.row["created_at"])

    def settled_for(self, now: datetime) -> timedelta:
        return now - _moment(self.row["settled_at"])

    def _decided_on(self, bodies: set[bytes]) -> bool:
        return self._first_decision(bodies) is not None

    def _first_decision(self, bodies: set[bytes]) -> int | None:
        numbers = (each["decided"] for each in self.evidence if each["body"] in bodies)
        return min((each for each in numbers if each is not None), default=None)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def accounts(books: Books, world: World) -> list[Account]:
    """Every transaction of ours beside the world's truth."""
    prompts = {hash_token(prompt.token): prompt for prompt in world.prompts}
    evidence = books.evidence()
    return [
        Account(row, evidence[row["id"]], prompts.get(row["callback_token_hash"]), world)
        for row in books.transactions.values()
    ]


def broken_promises(account: Account) -> list[str]:
    """What is not true of a transaction that has to be, whatever has happened."""
    row, status = account.row, account.row["status"]
    refused = {hash_token(token) for token in account.world.without_prompt}
    no_prompt = account.prompt is None and row["callback_token_hash"] in refused
    told_failed = account.prompt is not None and account.prompt.told_failed
    promises = {
        "a success without a shilling": status != "SUCCESS" or account.paid,
        "a success that nothing proves": status != "SUCCESS" or account.proven,
        "proven money that is no success": status == "SUCCESS" or not account.proven,
        "a failure that nobody told": status != "FAILED" or told_failed or no_prompt,
        "a failure that was told and not taken": status != "PENDING" or not account.told_failed,
        "a claim that nobody looks at": row["needs_review"] or not account.claimed,
        "a receipt that was told and not kept": (
            status != "SUCCESS" or row["receipt"] or not account.told_roughly
        ),
        "a claim of a failure's success that nobody looks at": (
            status != "FAILED" or row["needs_review"] or not account.claim_was_answered
        ),
        "another's receipt": row["receipt"] in (None, account.prompt and account.prompt.receipt),
        "a decision was made twice": all(each["decisions"] <= 1 for each in account.evidence),
        "settles its order and is no success": status == "SUCCESS" or not row["settles_order"],
        "a payment more, and nobody looks": (
            status != "SUCCESS" or row["settles_order"] or row["needs_review"]
        ),
    }
    return [promise for promise, kept in promises.items() if not kept]


def broken_orders(found: list[Account]) -> list[str]:
    """What is not true of orders and receipts, across transactions."""
    receipts = [each.row["receipt"] for each in found if each.row["receipt"]]
    broken = [] if len(receipts) == len(set(receipts)) else ["a receipt is used twice"]
    orders: dict[str, list[Row]] = defaultdict(list)
    for each in found:
        orders[each.row["order_id"]].append(each.row)
    for rows in orders.values():
        settling = sum(row["settles_order"] for row in rows)
        if settling != (rows[0]["order_status"] == "PAID"):
            broken.append(f"{settling} payments settle an order that is {rows[0]['order_status']}")
    return broken

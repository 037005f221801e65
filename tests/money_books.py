"""Our books beside the world's: what every commit may do, and what must be true between steps."""

import sqlite3
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from mpesa.domain import attempt as truth
from mpesa.domain import snapshot
from mpesa.domain.receipt import Trust
from mpesa.domain.result_codes import Reason, Status
from mpesa.ids import hash_token
from tests.money_world import Payment, Prompt, World

_TRANSACTIONS = """
    SELECT t.*, o.status AS order_status, o.reference, o.expires_at
    FROM transactions t JOIN orders o ON o.id = t.order_id ORDER BY t.created_at, t.attempt
"""
_RECEIPTS = "SELECT * FROM receipts"
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
# What every attempt's snapshot says about the next push; a page shows the newest attempt's.
_OF_THE_NEWEST = ("can_retry", "retry_after", "again_at")
# The number itself is no part of what changes, and the time of a change is not what it changes.
_BESIDE = ("seq", "updated_at")

Row = dict[str, Any]


class Books:
    """A connection of its own that reads after every commit of the application.

    Args:
        now: the clock, by which snapshots are drawn.

    Attributes:
        receipts: rows by number.
        ended_orders: that were cancelled or expired at some time, whatever they are now.
    """

    def __init__(self, file: str, now: Callable[[], datetime]) -> None:
        self._connection = sqlite3.connect(file, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._now = now
        self._version = -1
        self._evidence: list[tuple[Any, ...]] = []
        self._orders: dict[str, Row] = {}
        self.transactions: dict[str, Row] = {}
        self.receipts: dict[str, Row] = {}
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
        orders = {row["id"]: dict(row) for row in self._connection.execute("SELECT * FROM orders")}
        receipts = {row["receipt"]: dict(row) for row in self._connection.execute(_RECEIPTS)}
        for number, before in self.receipts.items():
            self._compare_receipt(before, receipts[number])
        self.receipts = receipts
        shown = self._differ(now, orders)
        for transaction_id, before in self.transactions.items():
            self._compare(before, now[transaction_id], shown)
        self.transactions, self._orders = now, orders
        self._hold_receipts_against_transactions()
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
        return bool(found["status"] == "OPEN")

    def order(self, order_id: str) -> Row:
        """An order's row."""
        self.look()
        return self._orders[order_id]

    def unjudged(self) -> int:
        """How many witnesses wait to be judged."""
        (found,) = self._connection.execute("SELECT count(*) FROM witnesses WHERE NOT judged")
        return int(found[0])

    def _differ(self, now: dict[str, Row], orders: dict[str, Row]) -> dict[str, list[str]]:
        """What differs in the snapshot of a transaction since the last commit, at this moment.

        Only transactions of an order of which any row has changed are named.
        """
        concerned = {
            row["order_id"] for each, row in now.items() if _but_seq(row) != self._but_seq(each)
        }
        concerned |= {each for each, row in orders.items() if row != self._orders.get(each)}
        moment = self._now()
        differ: dict[str, list[str]] = {}
        for order_id in concerned & self._orders.keys():
            before = _account(self._orders[order_id], self.transactions)
            after = _account(orders[order_id], now)
            # Its end is the clock's, and written down in its turn.
            unsure = any(_expires_by_clock(each, moment) for each in (before, after))
            for each in before.attempts:
                was = snapshot.draw(before, each, moment)
                is_ = snapshot.draw(after, after.attempt(each.id), moment)
                beside = (
                    _BESIDE
                    if _but_seq(now[each.id]) != self._but_seq(each.id)
                    else _BESIDE + _OF_THE_NEWEST
                )
                if _nearer(was["again_at"], is_["again_at"]):
                    beside += ("again_at",)
                differ[each.id] = [
                    name for name, _ in is_.items() - was.items() if not (unsure or name in beside)
                ]
        return differ

    def _but_seq(self, transaction_id: str) -> Row | None:
        before = self.transactions.get(transaction_id)
        return before and _but_seq(before)

    def _compare(self, before: Row, after: Row, shown: dict[str, list[str]]) -> None:
        changed = [name for name in _SHOWN if before[name] != after[name]]
        changed += shown.get(after["id"], [])
        put_back = after["updated_at"] < before["updated_at"]
        changed += ["put back"] * put_back
        grown = after["seq"] - before["seq"]
        if grown not in (0, 1) or (grown == 0 and changed):
            told = f"seq went from {before['seq']} to {after['seq']}, and {changed} changed"
            self._break(told, before, after)
        if grown and after["id"] not in shown and not put_back:
            self._break("seq grew, and nothing has changed in its order", before, after)
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

    def _compare_receipt(self, before: Row, after: Row) -> None:
        if before["amount"] != after["amount"] and before["trust"] < Trust.UNLISTED:
            self._break("the amount of a receipt changed", before, after)
        if before["state"] == "claimed" != after["state"]:
            self._break("a claim was undone", before, after)
        if before["transaction_id"] not in (None, after["transaction_id"]):
            self._break("a receipt was given to another", before, after)
        if before["needs_review"] and not after["needs_review"]:
            self._break("a review of a receipt went away by itself", before, after)
        if before["learned_at"] != after["learned_at"]:
            self._break("a receipt was learned of anew", before, after)

    def _hold_receipts_against_transactions(self) -> None:
        """A receipt is claimed if and only if one transaction is SUCCESS with it."""
        having = {row["receipt"]: row for row in self.transactions.values() if row["receipt"]}
        for number, row in self.receipts.items():
            owner = having.pop(number, None)
            if (row["state"] == "claimed") != (owner is not None):
                self.broken.append(f"{number} is {row['state']}, and its transaction is {owner}")
            elif owner and (owner["status"] != "SUCCESS" or owner["id"] != row["transaction_id"]):
                self.broken.append(f"{number} is {row['transaction_id']}'s, not {owner}")
        self.broken += [f"no receipt is known for {row}" for row in having.values()]

    def _compare_success(self, before: Row, after: Row) -> None:
        receipt = self.receipts.get(after["receipt"], {})
        paid_at, ends = receipt.get("paid_at"), after["expires_at"]
        in_time = before["order_status"] == "EXPIRED" and paid_at and ends and paid_at < ends
        closed = before["order_status"] in _CLOSED and not in_time
        if closed and not after["needs_review"] and not shares_a_receipt(after):
            self._break("money for a closed order that nobody looks at", before, after)
        if after["order_status"] != "PAID":
            self._break("money that did not pay its order", before, after)

    def _break(self, promise: str, before: Row, after: Row) -> None:
        changed = {
            name: (before[name], after[name]) for name in after if before[name] != after[name]
        }
        self.broken.append(f"{promise}: {changed}")


def shares_a_receipt(row: Row) -> bool:
    """Whether another transaction of its order has the receipt of the same money."""
    return bool(
        row["status"] == "SUCCESS"
        and row["final"]
        and row["receipt"] is None
        and row["receipt_amount"] == 0
    )


def _nearer(was: str | None, is_: str | None) -> bool:
    """Whether the next push may come sooner than was told: a bound "at the latest" still holds."""
    return was is not None and is_ is not None and is_ < was


def _but_seq(row: Row) -> Row:
    return {name: value for name, value in row.items() if name not in _BESIDE}


def _expires_by_clock(account: truth.Account, now: datetime) -> bool:
    written = account.order.status
    return written is truth.OrderStatus.OPEN is not account.status(now)


def _account(order: Row, transactions: dict[str, Row]) -> truth.Account:
    """An order with its attempts, as the code has it."""
    own = [row for row in transactions.values() if row["order_id"] == order["id"]]
    attempts = [_converted(row, truth.Attempt) for row in own]
    attempts.sort(key=lambda each: -each.attempt)
    return truth.Account(_converted(order, truth.Order), tuple(attempts))


def _converted(row: Row, to: type[Any]) -> Any:
    """A row of SQLite as one of our classes, whose fields are called as its columns."""
    values = {}
    for each in fields(to):
        (kind,) = {each.type, *get_args(each.type)} & _READ.keys() or {str}
        value = row[each.name]
        values[each.name] = value if value is None else _READ[kind](value)
    return to(**values)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


_READ: dict[Any, Callable[[Any], Any]] = {
    datetime: _moment,
    **{each: each for each in (str, int, bool, Status, Reason, truth.OrderStatus, truth.Channel)},
}


@dataclass(frozen=True)
class Account:
    """One transaction of ours, and all that the world and our evidence know about it.

    Attributes:
        prompt: None where it was begun by hand, or Daraja never let its push through.
        held: receipts that transactions of its order have.
    """

    row: Row
    evidence: list[Row]
    prompt: Prompt | None
    world: World
    held: frozenset[str] = frozenset()

    @property
    def by_hand(self) -> bool:
        return bool(self.row["channel"] == "hand")

    @property
    def payment(self) -> Payment | None:
        """The money whose receipt it has, or that its own prompt moved."""
        own = self.prompt.receipt if self.prompt else ""
        return self.world.moved.get(self.row["receipt"] or own)

    @property
    def may_have_its_receipt(self) -> bool:
        """It is its own prompt's, or one of money that may be its order's."""
        receipt = self.row["receipt"]
        own = self.prompt.receipt if self.prompt else None
        moved = self.world.moved.get(receipt or "")
        return receipt in (None, own) or (
            moved is not None and self.row["reference"] in moved.names
        )

    @property
    def token(self) -> str:
        return self.prompt.token if self.prompt else ""

    @property
    def paid(self) -> bool:
        return self.token in self.world.payments

    @property
    def same_money(self) -> bool:
        """Another transaction of its order has the receipt of its own prompt."""
        return self.prompt is not None and self.prompt.receipt in self.held

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


def accounts(books: Books, world: World) -> list[Account]:
    """Every transaction of ours beside the world's truth."""
    prompts = {hash_token(prompt.token): prompt for prompt in world.prompts}
    evidence = books.evidence()
    held: dict[str, set[str]] = defaultdict(set)
    for row in books.transactions.values():
        held[row["order_id"]] |= {row["receipt"]} - {None}
    return [
        Account(
            row,
            evidence[row["id"]],
            prompts.get(row["callback_token_hash"]),
            world,
            frozenset(held[row["order_id"]]),
        )
        for row in books.transactions.values()
    ]


def broken_promises(account: Account) -> list[str]:
    """What is not true of a transaction that has to be, whatever has happened."""
    row, status = account.row, account.row["status"]
    refused = {hash_token(token) for token in account.world.without_prompt}
    no_prompt = account.prompt is None and row["callback_token_hash"] in refused
    told_failed = account.prompt is not None and account.prompt.told_failed
    by_receipt = row["receipt"] in account.world.moved
    promises = {
        "a success without a shilling": status != "SUCCESS" or account.paid or by_receipt,
        "a success that nothing proves": status != "SUCCESS" or account.proven or by_receipt,
        "proven money that is no success": status == "SUCCESS" or not account.proven,
        "a failure that nobody told": (
            status != "FAILED" or told_failed or no_prompt or account.by_hand
        ),
        "a failure that was told and not taken": status != "PENDING" or not account.told_failed,
        "a claim that nobody looks at": row["needs_review"] or not account.claimed,
        "a receipt that was told and not kept": (
            status != "SUCCESS" or row["receipt"] or account.same_money or not account.told_roughly
        ),
        "a claim of a failure's success that nobody looks at": (
            status != "FAILED" or row["needs_review"] or not account.claim_was_answered
        ),
        "another's receipt": account.may_have_its_receipt,
        "a decision was made twice": all(each["decisions"] <= 1 for each in account.evidence),
        "settles its order and is no success": status == "SUCCESS" or not row["settles_order"],
        "a payment more, and nobody looks": (
            status != "SUCCESS"
            or row["settles_order"]
            or row["needs_review"]
            or (shares_a_receipt(row) and account.same_money)
        ),
        "waits by hand for an order that is over": (
            not account.by_hand or status != "PENDING" or row["order_status"] == "OPEN"
        ),
    }
    return [promise for promise, kept in promises.items() if not kept]


def broken_orders(found: list[Account]) -> list[str]:
    """What is not true of orders and receipts, across transactions."""
    receipts = [each.row["receipt"] for each in found if each.row["receipt"]]
    broken = [] if len(receipts) == len(set(receipts)) else ["a receipt is used twice"]
    orders: dict[str, list[Account]] = defaultdict(list)
    for each in found:
        orders[each.row["order_id"]].append(each)
    for own in orders.values():
        rows = [each.row for each in own]
        settling = sum(row["settles_order"] for row in rows)
        if settling != (rows[0]["order_status"] == "PAID"):
            broken.append(f"{settling} payments settle an order that is {rows[0]['order_status']}")
        taken = {each.payment.receipt for each in own if each.payment and _is_taken(each)}
        if len(taken) > 1 and not any(row["needs_review"] for row in rows):
            broken.append(f"an order was paid {len(taken)} times, and nobody looks: {rows}")
    return broken


def _is_taken(account: Account) -> bool:
    return bool(account.row["status"] == "SUCCESS")


def broken_receipts(books: Books, world: World) -> list[str]:
    """What is not true of the receipts of ours beside the world's ledger."""
    broken = []
    for number, row in books.receipts.items():
        moved = world.moved.get(number)
        if moved is None:
            # A forger's, or of a callback that contradicts its push.
            if row["state"] == "claimed":
                broken.append(f"money that never moved was given away: {row}")
        elif row["amount"] != moved.amount * 100 and not (
            row["needs_review"] or row["trust"] == Trust.DOUBTED or not moved.told_truly
        ):
            broken.append(f"another amount than was paid: {row}")
    for each in world.moved.values():
        if each.witnesses:
            broken += _broken_receipt(each, books)
    return broken


def _broken_receipt(told: Payment, books: Books) -> list[str]:
    """What is not true of money of which a witness has told that may be believed."""
    row = books.receipts.get(told.receipt)
    if row is None:
        return [f"money that was told and dropped: {told}"]
    if row["state"] == "unproven" and told.is_proven:
        return [f"money that was proven, and is not: {row}"]
    if told.pays is None or told.disputed or not (told.is_proven and told.named):
        return []
    owner = books.transactions.get(row["transaction_id"])
    if owner is None or owner["reference"] != told.pays:
        return [f"money that was sent with the right code and is not its order's: {told}, {row}"]
    return []

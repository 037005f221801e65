"""The middle without the web: orders, pushes, callbacks, each on a session of its own."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from flask import Flask
from sqlalchemy import select

from mpesa import checkout, deadlines, inbox, ledger, orders, receipts
from mpesa.checkout import PushRequest, Started
from mpesa.config import Rate
from mpesa.daraja_access import Access, QueryBudget
from mpesa.database import own_sessions
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import Evidence
from mpesa.domain.snapshot import Snapshot
from mpesa.ledger import Change
from mpesa.models import (
    DecisionRow,
    EvidenceRow,
    Order,
    Receipt,
    Suggestion,
    Transaction,
    db,
)
from mpesa.orders import NewOrder
from tests.factories import (
    PAYER_MSISDN,
    RECEIPT,
    confirmation,
    failure_callback,
    raw,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja

# A crowd that does not finish in this time hangs (seconds).
_PATIENCE = 60.0


class Shop:
    """One merchant's shop on an application's database; safe to use from many threads."""

    def __init__(self, app: Flask, now: Clock, daraja: FakeDaraja) -> None:
        with app.app_context():
            self.engine = db.engine
        self.app = app
        self.sessions = own_sessions(self.engine)
        self.now = now
        self.daraja = daraja
        self.budget = QueryBudget(self.sessions, "the merchant", now, Rate(5, 60))
        self.announced: list[str] = []
        self.limited: list[str] = []
        self.watch = deadlines.Watch(now, now.monotonic)

    def order(self, **fields: Any) -> str:
        """Make an order; returns its id."""
        new = NewOrder(
            **{"amount": 150, "reference": "INV-1", "description": "Two coffees", **fields}
        )
        with self.sessions() as session:
            return orders.create(session, new, self.now()).order.id

    def cancel(self, order_id: str) -> list[str]:
        """Cancel an order; returns the transactions that hear of it."""
        with self.sessions() as session:
            return ids_of(orders.cancel(session, order_id, self.now, self.watch.stepped))

    def start(
        self,
        order_id: str,
        msisdn: str = PAYER_MSISDN,
        key: str | None = None,
        check_limits: Callable[[str], None] | None = None,
        sender: str | None = None,
    ) -> Started:
        """Ask for a push.

        Args:
            sender: a mark of who asks.
        """
        needs = checkout.Needs(
            access=Access(self.daraja, self.budget, self.now),
            callback_url=lambda token: f"https://pay.example/callback/{token}",
            check_limits=check_limits or self.limited.append,
            announce=self.announce,
            clock_stepped=self.watch.stepped,
        )
        with self.sessions() as session:
            return checkout.start(session, PushRequest(order_id, msisdn, key, sender), needs)

    def attempt(self, msisdn: str = PAYER_MSISDN, sender: str | None = None, **fields: Any) -> str:
        """An order of its own with an open attempt; returns the transaction's id."""
        return self.start(self.order(**fields), msisdn, sender=sender).transaction_id

    def inbox_needs(self, listed: Callable[[str | None], bool] = lambda _: True) -> inbox.Needs:
        """What the inbox needs."""
        return inbox.Needs(now=self.now, announce=self.announce, listed=listed)

    def callback(self, push: int, document: object, source: str = "196.201.212.69") -> None:
        """Let a callback arrive at the address that the n-th push named, from 1."""
        body = document if isinstance(document, bytes) else raw(document)
        arrival = inbox.Arrival(self.daraja.token_of(push), body, source)
        with self.sessions() as session:
            inbox.receive(session, arrival, self.inbox_needs())

    def paid(self, push: int = 1, **changed: Any) -> dict[str, Any]:
        """The success callback of the n-th push, with other values where they are named."""
        ids = {
            "checkout_id": self.daraja.checkout_id(push),
            "merchant_id": self.daraja.merchant_id(push),
        }
        return success_callback(**ids | changed)

    def failed(self, push: int = 1, code: object = 1032) -> dict[str, Any]:
        """The failure callback of the n-th push."""
        return failure_callback(self.daraja.checkout_id(push), self.daraja.merchant_id(push), code)

    def receipt_needs(self, **changed: Any) -> receipts.Needs:
        """What money in needs."""
        fields = {
            "now": self.now,
            "announce": self.announce,
            "numbers": frozenset({"174379"}),
            "secret": "secret",
            "proof_from": None,
            "listed": lambda _: True,
        }
        return receipts.Needs(**{**fields, **changed})

    def confirm(
        self, account: str | None, *, source: str = "196.201.212.69", **changed: Any
    ) -> None:
        """Let a confirmation arrive of money that was sent to an account."""
        needs = {name: changed.pop(name) for name in ("proof_from", "listed") if name in changed}
        body = raw(confirmation(account, **changed))
        with self.sessions() as session:
            receipts.receive(session, body, source, self.receipt_needs(**needs))

    def receipt(self, number: str = RECEIPT) -> Receipt:
        """A receipt's row, as another connection sees it."""
        with self.sessions() as session:
            return session.scalars(select(Receipt).where(Receipt.receipt == number)).one()

    def suggestions(self, number: str = RECEIPT) -> list[str]:
        """The orders that are suggested for a receipt, the likeliest first."""
        of_receipt = select(Suggestion.order_id).join(Receipt, Receipt.id == Suggestion.receipt_id)
        with self.sessions() as session:
            found = of_receipt.where(Receipt.receipt == number).order_by(Suggestion.place)
            return list(session.scalars(found))

    def by_hand(self, order_id: str) -> str:
        """Choose to pay an order by hand; returns the transaction's id."""
        with self.sessions() as session:
            recorded, _ = ledger.begin_by_hand(session, order_id, self.now)
            return recorded.attempt.id

    def type_code(self, transaction_id: str, sender: str | None = None) -> None:
        """Let a code be typed for a transaction."""
        with self.sessions() as session:
            inbox.take_code(session, transaction_id, "UKO1ABCDEF", self.inbox_needs(), sender)

    def record(
        self, transaction_id: str, evidence: Evidence, kind: Kind = Kind.CALLBACK
    ) -> list[str]:
        """Record evidence; returns the transactions that changed."""
        with self.sessions() as session:
            recorded = ledger.record(session, transaction_id, evidence, Raw(kind, b"{}"), self.now)
            return ids_of(recorded.changes)

    def tick(self, wait: float = 60) -> int:
        """Let the clock look once; returns how many were due."""
        with self.sessions() as session:
            self.watch.look(session, self.announce)
            return deadlines.run_once(
                session, self.now, timedelta(seconds=wait), self.announce, self.watch.stepped
            )

    def announce(self, changes: Sequence[Change]) -> None:
        """Remember who was told."""
        self.announced.extend(ids_of(changes))

    def transaction(self, transaction_id: str) -> Transaction:
        """Its row, as another connection sees it."""
        with self.sessions() as session:
            return session.get_one(Transaction, transaction_id)

    def snapshot(self, transaction_id: str) -> Snapshot:
        """What everybody is shown of it."""
        found = ledger.snapshot_of(self.engine, transaction_id, self.now())
        assert found is not None
        return found

    def order_row(self, order_id: str) -> Order:
        """Its row, as another connection sees it."""
        with self.sessions() as session:
            return session.get_one(Order, order_id)

    def transactions(self) -> Sequence[Transaction]:
        """Every transaction, oldest first."""
        with self.sessions() as session:
            statement = select(Transaction).order_by(Transaction.created_at, Transaction.attempt)
            return session.scalars(statement).all()

    def evidence(self, transaction_id: str) -> Sequence[EvidenceRow]:
        """Everything that was heard of it, oldest first."""
        with self.sessions() as session:
            statement = select(EvidenceRow).where(EvidenceRow.transaction_id == transaction_id)
            return session.scalars(statement.order_by(EvidenceRow.id)).all()

    def decisions(self, transaction_id: str) -> Sequence[DecisionRow]:
        """Everything that was decided on it, oldest first."""
        with self.sessions() as session:
            statement = select(DecisionRow).where(DecisionRow.transaction_id == transaction_id)
            return session.scalars(statement.order_by(DecisionRow.id)).all()


def ids_of(changes: Sequence[Change]) -> list[str]:
    """The transactions that changed."""
    return [each.transaction_id for each in changes]


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run them all in threads that start together; returns results, or exceptions as they are."""
    together = threading.Barrier(len(works))
    outcomes: list[Any] = [None] * len(works)

    def run(place: int, work: Callable[[], Any]) -> None:
        together.wait(_PATIENCE)
        try:
            outcomes[place] = work()
        except Exception as error:  # noqa: BLE001 (the test says which ones it expects)
            outcomes[place] = error

    threads = [threading.Thread(target=run, args=each, daemon=True) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_PATIENCE)
    assert not any(thread.is_alive() for thread in threads), "still running"
    return outcomes

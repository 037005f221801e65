"""Take in what a statement tells of a reversal: money that went back, no matter who sent it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import books, receipt_lists, records, refunds
from mpesa.books import HeldReceipt, Write
from mpesa.database import writing_apart
from mpesa.domain import settlement
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.receipt import Direction, Receipt, State, Trust
from mpesa.domain.refund import Event, RefundStatus, after
from mpesa.domain.settlement import ReceiptReturned
from mpesa.domain.told import WitnessKind
from mpesa.domain.webhook import MessageType
from mpesa.ids import new_id
from mpesa.ledger import Announce, Change, changes_of
from mpesa.models import Refund as RefundRow

# A receipt that changes under each of so many tries is left for the next round.
_TRIES = 5


class Outcome(StrEnum):
    """What became of a reversal."""

    KNOWN = "known"
    RETURNED = "returned"
    DIFFERS = "differs"  # it gave back another amount, or another reversal did before
    KEPT = "kept"  # nobody knows of which payment


@dataclass(frozen=True, slots=True)
class Reversal:
    """A reversal, as a statement tells it.

    Attributes:
        receipt: its own number.
        amount: that went back, in cents.
        at: when, aware UTC.
        linked: the receipt of the payment; None: the statement does not tell.
        body: what was told, as evidence.
        by: the operator who says to which payment it belongs; None: the statement does.
    """

    receipt: str
    amount: int
    at: datetime
    linked: str | None
    body: bytes
    by: str | None = None


@dataclass(frozen=True)
class Needs:
    """The means to take in a reversal.

    Attributes:
        now: the clock, aware UTC.
        announce: tells rooms about transactions that changed.
    """

    now: Callable[[], datetime]
    announce: Announce


def take_in(session: Session, told: Reversal, needs: Needs) -> Outcome:
    """Take in a reversal; where its payment is known, that is returned.

    Args:
        session: a read that it had begun is ended.

    Raises:
        SQLAlchemyError: nothing was written, or the answer to the COMMIT was lost.
    """
    for _ in range(_TRIES):
        try:
            outcome, changes = _take_in_once(session, told, needs.now)
        except (IntegrityError, books.Moved):
            continue  # the refund's own result was faster, or another process
        needs.announce(changes)
        return outcome
    raise SQLAlchemyError("the receipt changed under every try")


def link(session: Session, number: str, paid: str, by: str, needs: Needs) -> Outcome | None:
    """Say which payment a reversal gave back, that the statement does not link.

    Args:
        number: of the reversal.
        paid: the receipt of the payment.
        by: the operator.

    Returns:
        None: there is no such reversal, or its payment is known.
    """
    connection = session.connection()
    organisation = records.shop_of(connection).short_code
    known = books.receipt(connection, organisation, number, Direction.OUT)
    if known is None or known.returned_by is not None or known.paid_at is None:
        return None
    said = json.dumps({"act": "link", "receipt": number, "linked": paid}).encode()
    told = Reversal(number, known.amount, known.paid_at, paid, said, by)
    return take_in(session, told, needs)


def _take_in_once(
    session: Session, told: Reversal, now: Callable[[], datetime]
) -> tuple[Outcome, list[Change]]:
    session.rollback()
    connection = session.connection()
    organisation = records.shop_of(connection).short_code
    known = books.receipt(connection, organisation, told.receipt, Direction.OUT)
    paid = books.receipt(connection, organisation, told.linked) if told.linked else None
    if paid is None or (known is not None and known.returned_by is not None):
        moment = now()
        returned = known.returned_by if known else None
        row = _row(told, organisation, known, moment, returned=returned)
        rows = [books.kept(row, known), _witness(told, organisation, moment)]
        with writing_apart(session) as apart:
            books.write_and_commit(apart, rows, begin=True)
        return (Outcome.KEPT if known is None else Outcome.KNOWN), []
    with books.receipt_taken_out(session, paid.id) as held:
        again = books.receipt(held.connection, organisation, told.receipt, Direction.OUT, lock=True)
        if again != known:
            raise books.Moved
        return _with_payment(held, told, known, now())


def _with_payment(
    held: HeldReceipt, told: Reversal, known: Receipt | None, now: datetime
) -> tuple[Outcome, list[Change]]:
    """Take in a reversal whose payment's lock is held."""
    paid = held.receipt
    other_before = paid.returned_by not in (None, told.receipt)
    differs = told.amount != paid.amount or other_before
    row = _row(told, paid.organisation, known, now, returned=None if differs else paid.receipt)
    rows = [books.kept(row, known), _witness(told, paid.organisation, now)]
    if differs:
        if paid.needs_review and known is not None:  # a person looks at it already
            held.put_back(held.taken.account if held.taken else None, *rows)
            return Outcome.KNOWN, []
        return Outcome.DIFFERS, _doubted(held, told, replace(paid, needs_review=True), rows, now)
    if paid.state is State.RETURNED:
        return Outcome.RETURNED, _named(held, told, rows, now)
    refund = books.refund(held.connection, paid.refund_id, lock=True) if paid.refund_id else None
    ended = after(refund, Event.RETURNED_OTHERWISE, now) if refund else None
    if ended is not None and ended.status is RefundStatus.SUCCEEDED:
        named = replace(ended, reversal_receipt=told.receipt)
        changes = refunds.put_back(
            held, refund, named, Event.RETURNED_OTHERWISE, now, body=told.body, reversal=rows
        )
        return Outcome.RETURNED, changes
    shop = records.shop_of(held.connection)
    if refund is not None and ended is not None:
        rows += records.of_refund(shop, refund, ended, Event.RETURNED_OTHERWISE, now)
    returned = replace(
        paid,
        state=State.RETURNED,
        returned_by=told.receipt,
        refund_id=None,
        changed_at=now,
        unclaimed_from=None,
    )
    shown = receipt_lists.for_webhook(held.connection, returned)
    rows += records.of_message(shop, MessageType.RETURNED, returned, shown, now)
    return Outcome.RETURNED, _doubted(held, told, returned, rows, now)


def _doubted(
    held: HeldReceipt, told: Reversal, paid: Receipt, rows: list[Write], now: datetime
) -> list[Change]:
    """Write down the payment's receipt, and have a person look at the transaction that has it."""
    rows = [books.kept(paid, held.receipt), *rows]
    if held.taken is None or paid.transaction_id is None:
        held.put_back(None, *rows)
        return []
    account = held.taken.account
    attempt = account.attempt(paid.transaction_id)
    decision = settlement.decide(attempt, ReceiptReturned(told.receipt), now)
    changed, decision = settlement.apply(account, attempt, decision, now)
    then = changed.attempt(attempt.id)
    if paid.state is State.RETURNED and not then.returned:
        then = replace(then, returned=True, refund_id=None, refund_status=None, refund_at=None)
        changed = changed.changed(then if then.seq > attempt.seq else then.with_next_seq(now))
    raw = Raw(Kind.RECEIPT, told.body)
    rows += records.of_decision(held.taken, attempt, changed, decision, raw, now)
    held.put_back(changed, *rows)
    return changes_of(account, changed, now)


def _named(held: HeldReceipt, told: Reversal, rows: list[Write], now: datetime) -> list[Change]:
    """Fill in the reversal's number for a receipt that is known to have gone back."""
    paid = held.receipt
    rows = [books.kept(replace(paid, returned_by=told.receipt), paid), *rows]
    unnamed = select(RefundRow.id).where(
        RefundRow.receipt_id == paid.id,
        RefundRow.status == RefundStatus.SUCCEEDED.value,
        RefundRow.reversal_receipt.is_(None),
    )
    refund_id = held.connection.scalars(unnamed).first()
    refund = books.refund(held.connection, refund_id, lock=True) if refund_id else None
    if refund is not None:
        named = after(refund, Event.RETURNED_OTHERWISE, now)
        named = replace(named, reversal_receipt=told.receipt)
        shop = records.shop_of(held.connection)
        rows += records.of_refund(shop, refund, named, Event.RETURNED_OTHERWISE, now)
    held.put_back(held.taken.account if held.taken else None, *rows)
    return []


def _row(
    told: Reversal,
    organisation: str,
    known: Receipt | None,
    now: datetime,
    *,
    returned: str | None,
) -> Receipt:
    """The reversal as a movement of its own; `returned` is the payment that it gave back."""
    new = Receipt(
        id=new_id(),
        organisation=organisation,
        receipt=told.receipt,
        direction=Direction.OUT,
        amount=told.amount,
        state=State.RETURNED,
        listed=True,
        learned_at=now,
        changed_at=now,
        trust=Trust.ASKED,
    )
    return replace(
        known or new,
        paid_at=told.at,
        paid_at_doubtful=False,
        returned_by=returned,
        needs_review=(known is not None and known.needs_review),
    )


def _witness(told: Reversal, organisation: str, now: datetime) -> Write:
    values = {
        "organisation": organisation,
        "receipt": told.receipt,
        "kind": (WitnessKind.OPERATOR if told.by else WitnessKind.STATEMENT).value,
        "fingerprint": records.fingerprint(told.body),
        "body": told.body,
        "source": told.by,
        "transaction_id": None,
        "judged": True,
        "received_at": now,
    }
    return Write(books.ADD_WITNESS_OF_REVERSAL, values)

"""Codes that shoppers typed out of an SMS, and the receipts that they name: one pays, or waits."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, Connection, or_, select, update
from sqlalchemy.orm import Session

from mpesa import books, ledger, records
from mpesa.books import By
from mpesa.database import writing
from mpesa.domain import matching, pay_code
from mpesa.domain.attempt import Account, OrderStatus
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.matching import Heard
from mpesa.domain.receipt import State
from mpesa.domain.settlement import ReceiptClaimed
from mpesa.domain.told import Told, WitnessKind
from mpesa.ledger import Announce
from mpesa.models import EvidenceRow, Order, StatusQuestion, Witness

# A code that was typed longer ago than this proves nothing by itself, and nobody waits for it.
TYPED_WITHIN = timedelta(hours=1)
# An answer by Transaction Status, or a confirmation that is late, mostly comes in this time.
_FOUND_WITHIN = timedelta(minutes=5)
# Letters and digits, in which a reference may differ from what was typed.
_SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_AT_ONCE = 50


class Means(Protocol):
    """What is needed to give a receipt to an order; `receipts.Needs` has it."""

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock, aware UTC."""

    @property
    def announce(self) -> Announce:
        """Tells rooms about transactions that changed."""

    def mark_of(self, msisdn: str) -> str:
        """The keyed hash under which a number is kept."""


def claim_for_who_typed(session: Session, number: str, means: Means) -> bool:
    """Give a receipt that is nobody's to the order for which its code was typed lately.

    An order for which it proves nothing is put into review.

    Returns:
        Whether it was given.
    """
    lately = StatusQuestion.typed_at > means.now() - TYPED_WITHIN
    for _, transaction_id, typed_at in _typed(session, lately, StatusQuestion.receipt == number):
        given = claim_typed(session, number, transaction_id, typed_at, means)
        _done(session, number, transaction_id)
        if given:
            return True
        review(session, transaction_id, number, means)
    return False


def claim_typed(
    session: Session, number: str, transaction_id: str, typed_at: datetime, means: Means
) -> bool:
    """Give an unclaimed receipt to the order for which its code was typed, if it proves itself.

    Args:
        transaction_id: the order's, for which it was typed.
        typed_at: aware UTC.

    Returns:
        Whether the order has it now, or had it before.
    """
    with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
        now, connection, account = means.now(), taken.connection, taken.account
        organisation = records.shop_of(connection).short_code
        receipt = books.receipt(connection, organisation, number, lock=True)
        if receipt is not None and receipt.transaction_id in {e.id for e in account.attempts}:
            return True
        if receipt is None or receipt.state is not State.UNCLAIMED:
            return False
        if receipt.refund_id is not None or receipt.needs_review:
            return False
        kinds = select(Witness.kind).where(Witness.receipt_id == receipt.id).distinct()
        told_by = frozenset(WitnessKind(each) for each in connection.scalars(kinds))
        heard = Heard(receipt.told, told_by, receipt.learned_at)
        other = _another_named(connection, receipt.told, account, heard.earliest)
        proof = matching.Typed(typed_at, names_another=other)
        if not matching.proves_itself(heard, account, proof, now, means.mark_of):
            return False
        push = matching.push_paid_by(heard, account, means.mark_of)
        changes = ledger.record_receipt(taken, receipt, receipt, push, [], now)
    means.announce(changes)
    return True


def review(session: Session, transaction_id: str, number: str, means: Means) -> None:
    """Have a person look at a transaction for which a code was typed that proves nothing, once."""
    before = select(EvidenceRow.id).where(
        EvidenceRow.transaction_id == transaction_id,
        EvidenceRow.kind == Kind.CLAIM.value,
        EvidenceRow.body == number.encode(),
    )
    if session.scalars(before.limit(1)).first() is None:
        raw, claimed = Raw(Kind.CLAIM, number.encode()), ReceiptClaimed(number)
        means.announce(ledger.record(session, transaction_id, claimed, raw, means.now).changes)


def leave_to_a_person(session: Session, means: Means) -> int:
    """Have a person look at codes that found no receipt, where their order can still be paid.

    Returns:
        How many codes were looked at; a few at most, the rest waits for the next round.
    """
    waited = StatusQuestion.typed_at <= means.now() - _FOUND_WITHIN
    found = _typed(session, waited)
    for number, transaction_id, _ in found:
        account = books.seen(session, By.TRANSACTION, transaction_id)
        if account.status(means.now()) is OrderStatus.OPEN:
            review(session, transaction_id, number, means)
        _done(session, number, transaction_id)
    return len(found)


def _typed(session: Session, *where: ColumnElement[bool]) -> list[tuple[str, str, datetime]]:
    """Codes that nothing was made of yet: the receipt, its transaction, when it was typed."""
    codes = (
        select(StatusQuestion.receipt, StatusQuestion.transaction_id, StatusQuestion.typed_at)
        .where(StatusQuestion.transaction_id.is_not(None), ~StatusQuestion.done, *where)
        .order_by(StatusQuestion.typed_at, StatusQuestion.id)
        .limit(_AT_ONCE)
    )
    return [(receipt, its, at) for receipt, its, at in session.execute(codes).all() if its]


def _done(session: Session, number: str, transaction_id: str) -> None:
    with writing(session):
        session.execute(
            update(StatusQuestion)
            .where(
                StatusQuestion.receipt == number, StatusQuestion.transaction_id == transaction_id
            )
            .values(done=True)
            .execution_options(synchronize_session=False)
        )


def _another_named(connection: Connection, told: Told, account: Account, paid_at: datetime) -> bool:
    """Whether an account is the name of another order than this one, or one slip from it.

    Args:
        paid_at: an order that had ended by then is not meant.
    """
    form = matching.normalised(told.account or "")
    own = account.order
    if not form or form == own.pay_code:
        return False
    payable = or_(Order.status == OrderStatus.OPEN.value, Order.updated_at > paid_at)
    near_codes = pay_code.near(form) if len(form) == pay_code.LENGTH and form.isdigit() else []
    # Exactly this order's reference is meant for it, however near another one's is.
    exact = form == matching.normalised(own.reference)
    names = [form] if exact else [form, *_one_slip_from(form)]
    named = select(Order.id).where(
        or_(
            Order.pay_code.in_([form, *near_codes]),
            Order.account_form.in_(names) & payable,
        ),
        Order.id != own.id,
    )
    return connection.scalar(named.limit(1)) is not None


def _one_slip_from(form: str) -> list[str]:
    """Every text that differs by one letter or digit, or by a swap of two neighbours."""
    found = set()
    for place, sign in enumerate(form):
        found |= {form[:place] + other + form[place + 1 :] for other in _SIGNS}
        if place + 1 < len(form):
            found.add(form[:place] + form[place + 1] + sign + form[place + 2 :])
    return sorted(found - {form})

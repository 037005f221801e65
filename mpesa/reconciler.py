"""Ask Daraja about what stayed silent, within the budget; its rows are all it remembers."""

from datetime import datetime, timedelta

from sqlalchemy import Row, and_, case, not_, select
from sqlalchemy.orm import Session

from mpesa import asking, ledger
from mpesa.asking import Line, Question
from mpesa.domain.result_codes import Status
from mpesa.ledger import Announce
from mpesa.models import Transaction

# Somebody may be looking at the page of a payment that is younger than this.
_YOUNG = timedelta(minutes=10)


def run_once(session: Session, line: Line, announce: Announce) -> int:
    """Ask about the one transaction that needs it most, if the budget allows.

    Args:
        announce: tells rooms about transactions that changed.

    Returns:
        How many were asked about, 0 or 1.
    """
    due = most_urgent(session, line.now())
    if due is None or not line.budget.take():
        return 0
    transaction_id, checkout_request_id, next_ask_at = due
    if not ledger.claim_question(session, transaction_id, next_ask_at, line.now):
        return 0
    announce(asking.ask(session, Question(transaction_id, checkout_request_id), line))
    return 1


def run_until_idle(session: Session, line: Line, announce: Announce) -> int:
    """Ask about all that is due, as far as the budget goes; returns how many."""
    asked = 0
    while run_once(session, line, announce):
        asked += 1
    return asked


def most_urgent(session: Session, now: datetime) -> Row[str, str, datetime] | None:
    """The transaction to ask about now; None where none is due.

    What was heard of comes first, but once it was asked about, whatever else is heard of it comes
    after young payments that never were: anybody may type codes. Then payments whose shopper may
    be waiting, those asked about least before others and the newest first; then old silence; then
    failures that may be mended.
    """
    is_old, is_new = Transaction.created_at <= now - _YOUNG, Transaction.times_asked == 0
    waits = and_(is_new, not_(is_old), Transaction.status == Status.PENDING.value)
    rank = case(
        (and_(Transaction.ask_urgently, is_new), 0),
        (waits, 1),
        (Transaction.ask_urgently, 2),
        else_=3,
    )
    failed = case((Transaction.status == Status.FAILED.value, 1), else_=0)
    old = case((is_old, 1), else_=0)
    due = (
        select(Transaction.id, Transaction.checkout_request_id, Transaction.next_ask_at)
        .where(
            Transaction.next_ask_at <= now,
            Transaction.checkout_request_id.is_not(None),
            Transaction.status != Status.SUCCESS.value,
        )
        .order_by(
            rank,
            failed,
            old,
            Transaction.times_asked,
            Transaction.created_at.desc(),
        )
        .limit(1)
    )
    return session.execute(due).first()  # type: ignore[return-value]

"""What time alone changes: waits that are over, prompts too old to be answered, lost answers."""

from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from mpesa import ledger
from mpesa.domain import settlement
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.schedule import RECEIPT_EXPECTED, SILENT_WITH_ID, SILENT_WITHOUT_ID
from mpesa.domain.snapshot import OPEN_UNANSWERED, OrderStatus
from mpesa.ledger import Announce, Kind, Now, Raw
from mpesa.models import Order, Transaction

# A push is over after 20 s at the most; a row without an answer then was left by a crash.
UNANSWERED_AFTER = timedelta(seconds=25)
# A tick does so many of each kind; the rest waits for the next one, a second later.
_AT_ONCE = 200


def run_once(
    session: Session,
    clock: Now,
    wait: timedelta,
    announce: Announce,
) -> int:
    """Record everything that became due, oldest first.

    Args:
        clock: the time, asked anew for each change: a tick may have hundreds to write.
        wait: how long a shopper waits before a silent payment is overdue.
        announce: tells rooms about transactions that changed.

    Returns:
        How many transactions and orders were looked at.
    """
    now = clock()
    due = _due(session, now, wait)
    for transaction_id, evidence in due:
        announce(ledger.record(session, transaction_id, evidence, Raw(Kind.CLOCK), clock))
    expired = _expired_orders(session, now)
    for order_id in expired:
        announce(ledger.expire_order(session, order_id, clock))
    return len(due) + len(expired)


def _due(session: Session, now: datetime, wait: timedelta) -> list[tuple[str, settlement.Evidence]]:
    pending = select(Transaction.id).where(Transaction.status == Status.PENDING.value)
    unanswered = pending.where(
        Transaction.reason == Reason.AWAITING_PIN.value,
        Transaction.checkout_request_id.is_(None),
        Transaction.created_at <= now - UNANSWERED_AFTER,
    )
    silent = pending.where(
        Transaction.reason != Reason.OVERDUE.value, Transaction.created_at <= now - wait
    )
    over = select(Transaction.id).where(
        Transaction.is_open,
        or_(
            Transaction.prompt_ends_at <= now,
            and_(
                Transaction.prompt_ends_at.is_(None),
                Transaction.created_at <= now - OPEN_UNANSWERED,
            ),
        ),
    )
    # What is to be asked about at once is asked about first, however old.
    unheard = pending.where(Transaction.next_ask_at.is_not(None), ~Transaction.ask_urgently).where(
        or_(
            Transaction.created_at <= now - SILENT_WITH_ID,
            and_(
                Transaction.checkout_request_id.is_(None),
                Transaction.created_at <= now - SILENT_WITHOUT_ID,
            ),
        )
    )
    unreceipted = select(Transaction.id).where(
        Transaction.status == Status.SUCCESS.value,
        Transaction.final.is_(False),
        Transaction.next_ask_at <= now,
        Transaction.settled_at <= now - RECEIPT_EXPECTED,
    )
    kinds: list[tuple[settlement.Evidence, list[str]]] = [
        (evidence, list(session.scalars(found.order_by(Transaction.created_at).limit(_AT_ONCE))))
        for evidence, found in (
            (settlement.PushUnconfirmed(), unanswered),
            (settlement.WaitOver(), silent),
            (settlement.PromptOver(), over),
            (settlement.SilenceTooLong(), unheard),
            (settlement.SilenceTooLong(), unreceipted),
        )
    ]
    return [(each, evidence) for evidence, ids in kinds for each in ids]


def _expired_orders(session: Session, now: datetime) -> list[str]:
    """Open orders past their end, none of whose prompts may still be answered."""
    still_open = select(Transaction.id).where(Transaction.order_id == Order.id, Transaction.is_open)
    statement = select(Order.id).where(
        Order.status == OrderStatus.OPEN.value, Order.expires_at <= now, ~still_open.exists()
    )
    return list(session.scalars(statement.order_by(Order.expires_at).limit(_AT_ONCE)))

"""Announce committed changes to the rooms, also those of a process that died, or of another one."""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from mpesa.ledger import Announce, Change
from mpesa.models import Transaction

# A change carries the time before its commit, and workers' clocks differ a little: what was
# written this long ago is looked at again. Announcing twice the same `seq` is not done elsewhere.
OVERLAP = timedelta(seconds=10)


def run_once(session: Session, since: datetime, announce: Announce) -> int:
    """Announce what changed since; whoever announces leaves out what its rooms know already.

    A socket is shown the present snapshot when it enters its room, so nothing older is needed.

    Args:
        since: when this began the last time that it went through, aware UTC.
        announce: tells rooms about transactions that changed.

    Returns:
        How many transactions changed.
    """
    lately = select(Transaction.id, Transaction.seq).where(
        Transaction.updated_at >= since - OVERLAP
    )
    found = session.execute(lately.order_by(Transaction.updated_at)).all()
    changed = [Change(transaction_id, seq) for transaction_id, seq in found]
    announce(changed)
    return len(changed)

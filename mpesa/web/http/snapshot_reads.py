"""Read snapshots for pages, two at once, so that a storm of pages does not hold up callbacks."""

import threading
from datetime import datetime

from sqlalchemy.exc import TimeoutError as DatabaseTimeout

from mpesa import ledger
from mpesa.domain.snapshot import Snapshot
from mpesa.models import db

# One read takes a millisecond, most of it in this process. Without the limit, thousands of pages
# that come back at once would compete with every callback for the processor and for the database's
# connections.
_AT_ONCE = threading.BoundedSemaphore(2)
# Seconds, the same as a request waits for a connection to the database.
_PATIENCE = 10.0


def snapshot(transaction_id: str, now: datetime) -> Snapshot | None:
    """Read the transaction's snapshot; None if there is no such transaction.

    Args:
        now: aware UTC.

    Raises:
        SQLAlchemyError: the database failed, or the read waited too long for its turn.
    """
    # The request gives its connection back first: if it kept it while it waits for a turn, the
    # reads whose turn it is could find no connection left.
    if db.session.registry.has():
        db.session.rollback()
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise DatabaseTimeout  # too many reads wait for the database
    try:
        return ledger.snapshot_of(db.engine, transaction_id, now)
    finally:
        _AT_ONCE.release()  # after the connection went back

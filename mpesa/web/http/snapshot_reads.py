"""What pages read, two at once, so that a storm of them leaves callbacks their turn."""

import threading
from datetime import datetime

from sqlalchemy.exc import TimeoutError as DatabaseTimeout

from mpesa import ledger
from mpesa.domain.snapshot import Snapshot
from mpesa.models import db

# One read takes a millisecond, most of it this process's own. Thousands of pages that come back
# together would else share the processor and the database's connections with every callback.
_AT_ONCE = threading.BoundedSemaphore(2)
# Seconds; as long as a request waits for a connection to the database.
_PATIENCE = 10.0


def snapshot(transaction_id: str, now: datetime) -> Snapshot | None:
    """The transaction's snapshot; None where there is no such transaction.

    Raises:
        SQLAlchemyError: the database failed, or it was not this read's turn for too long.
    """
    # What a request began goes back first: with a connection in hand it would wait for a turn that
    # another one without a connection has.
    if db.session.registry.has():
        db.session.rollback()
    if not _AT_ONCE.acquire(timeout=_PATIENCE):
        raise DatabaseTimeout  # too many reads wait for the database
    try:
        return ledger.snapshot_of(db.engine, transaction_id, now)
    finally:
        _AT_ONCE.release()  # after the connection went back

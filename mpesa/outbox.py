"""Announce committed changes to the rooms, also those of a process that died, or of another one.

What was announced is written down afterwards, many at a time: no page waits for that.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from mpesa.ledger import Announce, Change
from mpesa.models import Announcement, Transaction, writing

# A change carries the time before its commit, and workers' clocks differ a little: what was
# written this long ago is looked at again. Announcing twice the same `seq` is not done elsewhere.
OVERLAP = timedelta(seconds=10)
# Rows of one commit: a fraction of a second of SQLite's only writer.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Announced:
    """A snapshot that went out to a room.

    Attributes:
        seq: the snapshot's, like `status` and `reason`.
        pages: how many sockets it was pushed to.
        announced_at: aware UTC.
    """

    transaction_id: str
    seq: int
    status: str
    reason: str
    pages: int
    announced_at: datetime


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


def write_down(session: Session, announced: deque[Announced]) -> None:
    """Keep what was announced, for whoever asks later what a page was told.

    Args:
        announced: oldest first; what is written is taken out, and others may add meanwhile.

    Raises:
        SQLAlchemyError: the database failed; what was not written is still there.
    """
    while announced:
        batch = [announced.popleft() for _ in range(min(_BATCH, len(announced)))]
        try:
            _insert(session, batch)
        except BaseException:
            announced.extendleft(reversed(batch))
            raise


def _insert(session: Session, batch: Sequence[Announced]) -> None:
    with writing(session):
        session.execute(insert(Announcement), [asdict(each) for each in batch])

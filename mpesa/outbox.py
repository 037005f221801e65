"""Announce committed changes to the rooms, also those of another process, or of one that died.

Announcements are written down afterwards, many at a time: no page waits for that.
"""

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import Engine, bindparam, insert, select
from sqlalchemy.orm import Session

from mpesa.database import rows_at_once, writing
from mpesa.ledger import Announce, Change
from mpesa.models import Announcement, Transaction

# A change carries the time at which it had its lock, a little before its commit, and workers'
# clocks differ a little, so changes of this age are looked at again. A commit that takes longer (a
# disk that stands still) is told by Redis, or by the question that a page asks anyway. A room is
# not told the same `seq` twice.
OVERLAP = timedelta(seconds=10)
_LATELY = (
    select(Transaction.id, Transaction.seq)
    .where(Transaction.updated_at >= bindparam("since"))
    .order_by(Transaction.updated_at)
)
_NEW_ANNOUNCEMENT = insert(Announcement.__table__)  # type: ignore[arg-type]
# Rows of one commit: a few milliseconds in which no other task has a turn.
_BATCH = 50


class Announced(NamedTuple):
    """A snapshot that went out to a room.

    Attributes:
        seq: the snapshot's; so are `status`, `reason` and `order_status`.
        pages: how many sockets it was sent to.
        announced_at: aware UTC.
    """

    transaction_id: str
    seq: int
    status: str
    reason: str
    order_status: str
    pages: int
    announced_at: datetime


def run_once(
    engine: Engine,
    since: datetime,
    announce: Announce,
    known: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, int]:
    """Announce what changed since; `announce` leaves out what its rooms know already.

    A socket is shown the present snapshot when it enters its room, so nothing older is needed.

    Args:
        since: when the last run that succeeded began, aware UTC.
        announce: tells rooms about transactions that changed.
        known: the result of the last run: a change is found again for `OVERLAP`, and to look at
            all of them each time would delay payments on a busy worker.

    Returns:
        The `seq` of each transaction that changed.

    Raises:
        SQLAlchemyError: the database failed.
    """
    found: dict[str, int] = dict(rows_at_once(engine, _LATELY, {"since": since - OVERLAP}))
    announce([Change(each, seq) for each, seq in found.items() if known.get(each) != seq])
    return found


def write_down(session: Session, announced: deque[Announced]) -> bool:
    """Write down one batch of announcements, so that an operator can see what a page was told.

    If another process holds SQLite's lock, this fails at once: no payment is to wait for it.

    Args:
        announced: oldest first; the batch is taken out of it, and other tasks may add meanwhile.

    Returns:
        Whether there are more.

    Raises:
        SQLAlchemyError: the database failed; the batch is back in `announced`, as far as there is
            room.
    """
    batch = [announced.popleft() for _ in range(min(_BATCH, len(announced)))]
    if not batch:
        return False
    try:
        with writing(session, waits=False):
            session.execute(_NEW_ANNOUNCEMENT, [each._asdict() for each in batch])
    except BaseException:
        room = len(batch) if announced.maxlen is None else announced.maxlen - len(announced)
        announced.extendleft(reversed(batch[max(0, len(batch) - room) :]))
        raise
    return bool(announced)

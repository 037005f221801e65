"""Refunds in pages, for the shop's server and for operators."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.orm import Session

from mpesa import books
from mpesa.domain.period import Period
from mpesa.domain.refund import Refund, RefundStatus
from mpesa.models import Refund as RefundRow
from mpesa.receipt_lists import Place

# A commit may become visible this long after its time.
_SETTLED = timedelta(seconds=15)


def page(session: Session, now: datetime, limit: int, after: Place | None = None) -> list[Refund]:
    """Read refunds, the oldest change first, up to 15 s before now.

    A reader that keeps the place sees each refund in its latest state, and one that changed again
    once more.
    """
    wanted: list[ColumnElement[bool]] = [RefundRow.updated_at <= now - _SETTLED]
    if after is not None:
        place = tuple_(RefundRow.updated_at, RefundRow.id)
        wanted.append(place > tuple_(after.changed_at, after.receipt_id))
    ids = select(RefundRow.id).where(*wanted).order_by(RefundRow.updated_at, RefundRow.id)
    return _read(session, session.scalars(ids.limit(limit)).all())


def waiting(session: Session, limit: int) -> list[Refund]:
    """Read the refunds that wait for a release, the oldest first."""
    ids = select(RefundRow.id).where(RefundRow.status == RefundStatus.REQUESTED.value)
    return _read(session, session.scalars(ids.order_by(RefundRow.created_at).limit(limit)).all())


def newest(
    session: Session,
    limit: int,
    status: RefundStatus | None = None,
    period: Period | None = None,
    before: tuple[datetime, str] | None = None,
) -> list[Refund]:
    """Read refunds, the newest first.

    Args:
        status: None: of any.
        period: when they were asked for; None: at any time.
        before: when the one before them was asked for, and its id; None: from the newest on.
    """
    place = (RefundRow.created_at, RefundRow.id)
    ids = select(RefundRow.id).order_by(*(each.desc() for each in place))
    if before is not None:
        ids = ids.where(tuple_(*place) < tuple_(*before))
    if period is not None:
        ids = ids.where(RefundRow.created_at >= period.begin, RefundRow.created_at < period.end)
    if status is not None:
        ids = ids.where(RefundRow.status == status.value)
    return _read(session, session.scalars(ids.limit(limit)).all())


def _read(session: Session, ids: Sequence[str]) -> list[Refund]:
    found = [books.refund(session.connection(), each) for each in ids]
    return [each for each in found if each is not None]

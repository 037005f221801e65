"""The M-PESA QR of an order: drawn by Daraja once, and kept."""

import hashlib
import json
import logging
from datetime import datetime, timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from mpesa.daraja import Daraja, DarajaError
from mpesa.daraja.qr import QrOrder, draw_qr, qr_body
from mpesa.database import writing
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.models import OrderQr

log = logging.getLogger(__name__)

# After a failure, and while a fetch is under way or its process has died.
_AGAIN = timedelta(minutes=10)
# Of all orders together: pages may be opened without end, and Daraja does not say what it bears.
_MOST = 10
_IN = timedelta(minutes=1)
# Seconds; the page is there already, and only this picture is waited for.
_BUDGET = 10.0


def picture(
    session: Session, daraja: Daraja, order_id: str, wanted: QrOrder, now: datetime
) -> bytes | None:
    """The picture of an order, fetched if nobody has fetched it yet.

    Args:
        wanted: what it has to say; a picture that says something else, since settings were changed,
            is fetched anew.
        now: aware UTC.

    Returns:
        A PNG; None where there is none now: another request is fetching it, Daraja failed within
        the last ten minutes, or was asked too often within the last one.
    """
    says = hashlib.sha256(json.dumps(qr_body(wanted)).encode()).hexdigest()
    kept = select(OrderQr.picture).where(OrderQr.order_id == order_id, OrderQr.says == says)
    drawn = session.scalars(kept).first()
    if drawn is not None or not _claim(session, order_id, says, now):
        return drawn
    try:
        drawn = draw_qr(daraja, wanted, budget=_BUDGET)
    except DarajaError as error:
        log.warning("no M-PESA QR: %s", error)
        return None
    ours = (OrderQr.order_id == order_id, OrderQr.says == says)
    with writing(session):
        session.execute(update(OrderQr).where(*ours).values(picture=drawn))
    return drawn


def _claim(session: Session, order_id: str, says: str, now: datetime) -> bool:
    """Take the right to fetch one picture; the place in the minute is used up by it."""
    with writing(session):
        if session.get_bind().dialect.name == "postgresql":
            # Counted and inserted as one: SQLite lets in one writer anyway.
            session.execute(text("LOCK TABLE order_qr IN SHARE ROW EXCLUSIVE MODE"))
        row = session.get(OrderQr, order_id, populate_existing=True)
        until_now = now + CLOCKS_DIFFER  # later ones were written before the clock stepped back
        if row is not None and row.says == says and now - _AGAIN < row.asked_at <= until_now:
            return False
        lately = OrderQr.asked_at > now - _IN, OrderQr.asked_at <= until_now
        number = session.scalar(select(func.count()).select_from(OrderQr).where(*lately))
        if (number or 0) >= _MOST:
            return False
        session.merge(OrderQr(order_id=order_id, says=says, asked_at=now, picture=None))
    return True

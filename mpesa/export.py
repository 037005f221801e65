"""Transactions as CSV, a line at a time, so that any number needs the same memory."""

import csv
import io
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Select, and_, select
from sqlalchemy.orm import Session

from mpesa.domain.money import cents_text
from mpesa.domain.people_text import harmless
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.receipt import Direction, State
from mpesa.models import Order, Receipt, Transaction

NAIROBI = ZoneInfo("Africa/Nairobi")
COLUMNS = (
    "created_at", "transaction_id", "order_id", "reference", "description", "amount", "currency",
    "status", "reason", "receipt", "phone", "attempt", "settled_at", "settles_order", "final",
    "needs_review", "channel", "received", "returned",
)  # fmt: skip

# Rows fetched at once.
_CHUNK = 500


def rows(session: Session, from_: date, to: date, *, full_phone: bool = False) -> Iterator[str]:
    """Yield the header, then a line for each transaction, oldest first.

    Args:
        from_: the first day in Nairobi, by the time of the push.
        to: the last day, which is included.
        full_phone: whole numbers rather than masked ones.
    """
    yield _line(COLUMNS)
    since, until = _start_of(from_), _start_of(to) + timedelta(days=1)
    # A receipt is money; an amount is only what was asked for.
    is_its_receipt = and_(
        Receipt.transaction_id == Transaction.id,
        Receipt.receipt == Transaction.receipt,
        Receipt.direction == Direction.IN.value,
    )
    statement: Select[*tuple[Any, ...]] = (
        select(
            Transaction.created_at,
            Transaction.id,
            Transaction.order_id,
            Order.reference,
            Order.description,
            Transaction.amount,
            Transaction.status,
            Transaction.reason,
            Transaction.receipt,
            Transaction.msisdn,
            Transaction.attempt,
            Transaction.settled_at,
            Transaction.settles_order,
            Transaction.final,
            Transaction.needs_review,
            Transaction.channel,
            Receipt.amount.label("received"),
            Receipt.state.label("receipt_state"),
        )
        .join(Order)
        .outerjoin(Receipt, is_its_receipt)
        .where(Transaction.created_at >= since, Transaction.created_at < until)
        .order_by(Transaction.created_at, Transaction.id)
    )
    for row in session.execute(statement, execution_options={"yield_per": _CHUNK}):
        yield _line(_cells(row, full_phone=full_phone))


def _start_of(day: date) -> datetime:
    day = min(max(day, date(1970, 1, 1)), date(9000, 1, 1))  # time zones do not reach further
    return datetime.combine(day, time(), NAIROBI).astimezone(UTC)


def _cells(row: "Row[Any]", *, full_phone: bool) -> tuple[object, ...]:
    phone = row.msisdn or ""
    if phone and not full_phone:
        phone = mask_msisdn(phone)
    return (
        _nairobi(row.created_at),
        row.id,
        row.order_id,
        harmless(row.reference),
        harmless(row.description),
        row.amount,
        "KES",
        row.status,
        row.reason,
        row.receipt,
        phone,
        row.attempt,
        _nairobi(row.settled_at),
        _word(row.settles_order),
        _word(row.final),
        _word(row.needs_review),
        row.channel,
        cents_text(row.received) or "",
        cents_text(row.received) if row.receipt_state == State.RETURNED.value else "",
    )


def _nairobi(moment: datetime | None) -> str:
    return moment.astimezone(NAIROBI).isoformat(timespec="seconds") if moment else ""


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _line(cells: tuple[object, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()

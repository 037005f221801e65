"""Transactions and receipts as CSV, a line at a time, so that any number needs the same memory."""

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, func, literal, select
from sqlalchemy.orm import Session

from mpesa.domain.money import cents_text
from mpesa.domain.people_text import harmless
from mpesa.domain.period import Period
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.receipt import Direction, State
from mpesa.domain.receipt_shown import account_seen, with_dots
from mpesa.domain.wire_words import NAIROBI
from mpesa.models import Order, Receipt, Transaction, receipt_moved_at

COLUMNS = (
    "created_at", "transaction_id", "order_id", "reference", "description", "amount", "currency",
    "status", "reason", "receipt", "phone", "attempt", "settled_at", "settles_order", "final",
    "needs_review", "channel", "received", "returned",
)  # fmt: skip

RECEIPT_COLUMNS = (
    "paid_at", "learned_at", "receipt", "direction", "amount", "currency", "state", "account",
    "phone", "reference", "order_id", "transaction_id", "returned_by", "needs_review",
)  # fmt: skip

# Rows fetched at once.
_CHUNK = 500


def count(session: Session, period: Period, most: int | None = None) -> int:
    """How many lines `rows` has below its header.

    Args:
        most: where there are more, it is one more than this; None: all are counted.
    """
    within = (Transaction.created_at >= period.begin, Transaction.created_at < period.end)
    return _count(session, select(literal(1)).select_from(Transaction).where(*within), most)


def count_receipts(session: Session, period: Period, most: int | None = None) -> int:
    """How many lines `receipt_rows` has below its header; `most` as in `count`."""
    within = (receipt_moved_at >= period.begin, receipt_moved_at < period.end)
    return _count(session, select(literal(1)).select_from(Receipt).where(*within), most)


def _count(session: Session, found: Select[int], most: int | None) -> int:
    if most is not None:
        found = found.limit(most + 1)
    return session.scalar(select(func.count()).select_from(found.subquery())) or 0


def rows(session: Session, period: Period, *, full_phone: bool = False) -> Iterator[str]:
    """Yield the header, then a line for each transaction, oldest first.

    Args:
        period: by the time of the push.
        full_phone: whole numbers rather than masked ones.
    """
    yield _line(COLUMNS)
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
        .where(Transaction.created_at >= period.begin, Transaction.created_at < period.end)
        .order_by(Transaction.created_at, Transaction.id)
    )
    for row in session.execute(statement, execution_options={"yield_per": _CHUNK}):
        yield _line(_cells(row, full_phone=full_phone))


def receipt_rows(session: Session, period: Period, *, sees_people: bool) -> Iterator[str]:
    """Yield the header, then a line for each receipt, oldest first.

    Args:
        period: by the time of the payment, or by when it was learned of where nobody told that.
        sees_people: an account that names no order is written out, though it may be a name.
    """
    yield _line(RECEIPT_COLUMNS)
    statement: Select[*tuple[Any, ...]] = (
        select(
            Receipt.id,
            Receipt.paid_at,
            Receipt.learned_at,
            Receipt.receipt,
            Receipt.direction,
            Receipt.amount,
            Receipt.state,
            Receipt.account,
            Receipt.payer_masked,
            Receipt.transaction_id,
            Receipt.returned_by,
            Receipt.needs_review,
            Transaction.msisdn,
            Transaction.order_id,
            Order.reference,
        )
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .outerjoin(Order, Transaction.order_id == Order.id)
        .where(receipt_moved_at >= period.begin, receipt_moved_at < period.end)
        .order_by(receipt_moved_at, Receipt.id)
    )
    for row in session.execute(statement, execution_options={"yield_per": _CHUNK}):
        yield _line(_receipt_cells(row, sees_people=sees_people))


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


def _receipt_cells(row: "Row[Any]", *, sees_people: bool) -> tuple[object, ...]:
    masked = row.payer_masked or (mask_msisdn(row.msisdn) if row.msisdn else "")
    account = account_seen(row.account, row.reference, sees_people=sees_people)
    out = row.direction == Direction.OUT.value
    return (
        _nairobi(row.paid_at),
        _nairobi(row.learned_at),
        row.receipt,
        row.direction,
        f"{'-' if out else ''}{cents_text(row.amount)}",
        "KES",
        "" if out else row.state,
        harmless(account or ""),
        harmless(with_dots(masked) or ""),
        harmless(row.reference or ""),
        row.order_id,
        row.transaction_id,
        row.returned_by,
        _word(row.needs_review),
    )


def _nairobi(moment: datetime | None) -> str:
    return moment.astimezone(NAIROBI).isoformat(timespec="seconds") if moment else ""


def _word(value: bool) -> str:
    return "yes" if value else "no"


def _line(cells: tuple[object, ...]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()

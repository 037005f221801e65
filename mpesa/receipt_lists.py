"""Receipts, read for merchants and operators: one, a page of many, each with what belongs to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, case, or_, select, tuple_

from mpesa import books, records
from mpesa.domain import receipt_shown
from mpesa.domain.matching import normalised
from mpesa.domain.receipt import Direction, Receipt, State
from mpesa.domain.receipt_shown import ReceiptShown
from mpesa.ids import is_id
from mpesa.models import Order, Suggestion, Transaction, Witness
from mpesa.models import Receipt as ReceiptRow

# A change is written within this time of its time, or never: its lock is given up by then. A page
# that ended later could leave out a change that is committed after it was read.
SETTLED_AFTER = timedelta(seconds=15)
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_MICROSECONDS = re.compile(r"[0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the list of receipts: behind the one that changed then."""

    changed_at: datetime
    receipt_id: str

    def __str__(self) -> str:
        """The cursor that a client keeps and sends back."""
        return f"{(self.changed_at - _EPOCH) // _MICROSECOND}.{self.receipt_id}"

    @classmethod
    def read(cls, cursor: str) -> "Place | None":
        """Read a cursor; None: it is none."""
        moment, _dot, receipt_id = cursor.partition(".")
        # Microseconds of sixteen digits end in the year 2286, which a datetime can still hold.
        if not (_MICROSECONDS.fullmatch(moment) and is_id(receipt_id)):
            return None
        return cls(_EPOCH + int(moment) * _MICROSECOND, receipt_id)


@dataclass(frozen=True, slots=True)
class Told:
    """When a witness of a receipt was first heard.

    Attributes:
        kind: a `WitnessKind`, as text.
    """

    kind: str
    received_at: datetime


def find(
    connection: Connection, number: str, direction: Direction = Direction.IN
) -> Receipt | None:
    """Read a receipt; None: it is not known.

    A shop that changed its short code finds its earlier receipts too.
    """
    own = records.shop_of(connection).short_code
    found = (
        books.RECEIPTS.where(ReceiptRow.receipt == number, ReceiptRow.direction == direction.value)
        .order_by(case((ReceiptRow.organisation == own, 0), else_=1), ReceiptRow.learned_at.desc())
        .limit(1)
    )
    row = connection.execute(found).one_or_none()
    return None if row is None else books.receipt_of(row)


def page(
    connection: Connection, now: datetime, limit: int, state: State | None, after: Place | None
) -> list[Receipt]:
    """Read receipts by the time of their last change, the oldest first.

    Who goes on from the last place sees each receipt in its latest state, and one that has changed
    since then once more.

    Args:
        now: aware UTC.
        state: only receipts of money in with this state; None: all.
        after: None: from the beginning.
    """
    by = (ReceiptRow.changed_at, ReceiptRow.id)
    found = books.RECEIPTS.where(ReceiptRow.changed_at <= now - SETTLED_AFTER)
    if state is not None:
        found = found.where(
            ReceiptRow.state == state.value, ReceiptRow.direction == Direction.IN.value
        )
    if after is not None:
        found = found.where(tuple_(*by) > (after.changed_at, after.receipt_id))
    rows = connection.execute(found.order_by(*by).limit(limit)).all()
    return [books.receipt_of(row) for row in rows]


def newest(connection: Connection, limit: int, state: State | None = None) -> list[Receipt]:
    """Read the receipts that were learned of last, the newest first.

    Args:
        state: as for `page`.
    """
    found = books.RECEIPTS.order_by(ReceiptRow.learned_at.desc(), ReceiptRow.id.desc())
    if state is not None:
        found = found.where(
            ReceiptRow.state == state.value, ReceiptRow.direction == Direction.IN.value
        )
    return [books.receipt_of(row) for row in connection.execute(found.limit(limit))]


def shown(connection: Connection, receipts: Sequence[Receipt]) -> list[ReceiptShown]:
    """What merchants and operators are shown of receipts, in their order."""
    ids = [each.id for each in receipts]
    of_owners = [each.transaction_id for each in receipts if each.transaction_id]
    owners = {
        each.id: each for each in books.attempts_where(connection, Transaction.id.in_(of_owners))
    }
    suggested = (
        select(Suggestion.receipt_id, Suggestion.order_id)
        .where(Suggestion.receipt_id.in_(ids))
        .order_by(Suggestion.place)
    )
    suggestions: dict[str, list[str]] = {}
    for receipt_id, order_id in connection.execute(suggested):
        suggestions.setdefault(receipt_id, []).append(order_id)
    return [
        receipt_shown.draw(
            each, owners.get(each.transaction_id or ""), suggestions.get(each.id, [])
        )
        for each in receipts
    ]


def witnesses(connection: Connection, receipts: Sequence[Receipt]) -> dict[str, list[Told]]:
    """The witnesses of receipts by the receipt's id, the first heard first."""
    found: dict[str, list[Told]] = {each.id: [] for each in receipts}
    query = (
        select(Witness.receipt_id, Witness.kind, Witness.received_at)
        .where(Witness.receipt_id.in_(found))
        .order_by(Witness.received_at, Witness.id)
    )
    for row in connection.execute(query):
        found[str(row.receipt_id)].append(Told(row.kind, row.received_at))
    return found


def for_webhook(connection: Connection, receipt: Receipt) -> ReceiptShown:
    """What a webhook tells of a receipt."""
    [drawn] = shown(connection, [receipt])
    form = normalised(receipt.account or "")
    by_order = select(Order.id).where(or_(Order.pay_code == form, Order.account_form == form))
    by_push = select(Transaction.id).where(Transaction.account_reference == receipt.account)
    # What an order, or a push of one, gave its payers to type.
    ours = form and any(connection.execute(each.limit(1)).first() for each in (by_order, by_push))
    return receipt_shown.for_webhook(drawn, account_is_ours=bool(ours))

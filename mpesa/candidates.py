"""The orders that a receipt may be the money of, read at once with what is known of the receipt.

One statement, since each round trip costs a confirmation a turn of the event loop.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    desc,
    false,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.orm import Session

from mpesa import books
from mpesa.database import Query, rows_at_once
from mpesa.domain import matching, pay_code
from mpesa.domain.attempt import Account, Channel, OrderStatus
from mpesa.domain.matching import Heard
from mpesa.domain.receipt import Direction, Receipt
from mpesa.domain.result_codes import Status
from mpesa.domain.told import WitnessKind
from mpesa.models import Order, Transaction, Witness
from mpesa.models import Receipt as ReceiptRow

# More accounts than a shop can have mistaken for each other.
MOST_ORDERS = 50
# Of one price, within a quarter of an hour: among more, none is known by its payer alone.
MOST_PUSHES = 200
# Closed orders of a reference that are shown as suggestions.
MOST_CLOSED = matching.MOST_SUGGESTIONS
_CLOCKS = timedelta(minutes=1)
_AFTER_PUSH = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Seen:
    """What the database has about a receipt that somebody tells of.

    Attributes:
        known: its row; None: there is none.
        told_before: the very same was told before, and all was done that it called for.
        accounts: the orders among which is judged, of what is told now alone.
    """

    known: Receipt | None
    told_before: bool
    accounts: list[Account]


def look_up(
    session: Session, organisation: str, heard: Heard, kind: WitnessKind, fingerprint: str
) -> Seen:
    """Read all that decides about a receipt, without a lock.

    Args:
        session: a read that it had begun is ended, which frees its connection.
        heard: the receipt as it is told now, as if nothing else were known of it.
        kind, fingerprint: of the witness.
    """
    named = {"organisation": organisation, "kind": kind.value, "fingerprint": fingerprint}
    rows = _rows(session, heard, named)
    known = books.receipt_of(rows[0], "known_") if rows[0].known_id is not None else None
    return Seen(known, rows[0].told_before, _accounts(rows) or _near(session, heard))


def kinds_of(session: Session, known: Receipt) -> frozenset[WitnessKind]:
    """The kinds of the witnesses that have told of a receipt."""
    # Who settled a review told nothing of the money; who marked as paid named the payment.
    told = or_(Witness.kind != WitnessKind.OPERATOR.value, Witness.transaction_id.is_not(None))
    kinds = select(Witness.kind).where(Witness.receipt_id == known.id, told).distinct()
    return frozenset(WitnessKind(each) for each in session.scalars(kinds))


def accounts_for(session: Session, heard: Heard) -> list[Account]:
    """Read the orders among which `matching.judge` chooses, without a lock.

    Where more fit than are read, two that could both be meant are among them.

    Args:
        session: as for `look_up`.
        heard: with all that is now known of the receipt.
    """
    nobody = {"organisation": "", "kind": "", "fingerprint": ""}
    return _accounts(_rows(session, heard, nobody)) or _near(session, heard)


def _rows(session: Session, heard: Heard, named: dict[str, str]) -> Sequence[Any]:
    session.rollback()
    return rows_at_once(session.get_bind().engine, *statement(heard, named))


def statement(heard: Heard, named: dict[str, str]) -> tuple[Query, dict[str, Any]]:
    """The one statement with its values.

    Args:
        named: the receipt's organisation; kind and fingerprint of the witness.
    """
    told = heard.told
    moments = heard.readings or (heard.heard_at,)
    values = {
        **named,
        "receipt": told.receipt,
        "direction": Direction.IN.value,
        "form": matching.normalised(told.account or "") or None,
        "paid_at": heard.earliest,
        "cents": told.amount,
        "from_1": moments[0] - _AFTER_PUSH,
        "until_1": moments[0] + _CLOCKS,
        "from_2": moments[-1] - _AFTER_PUSH,
        "until_2": moments[-1] + _CLOCKS,
    }
    if told.account:
        account = told.account if heard.readings else None
        return _BY_ACCOUNT, {**values, "account": account}
    # Who is known exactly is compared by hash, which takes each push.
    exact = "%" if told.payer.masked or told.payer.hashed else None
    likeness = matching.likeness(told.payer) or exact if heard.readings else None
    return _BY_PAYER, {**values, "likeness": likeness}


def _accounts(rows: Sequence[Any]) -> list[Account]:
    """The orders in the rows of one look; of named ones that are closed, a few."""
    of_order: dict[str, list[Any]] = {}
    of_pushes: dict[str, list[Any]] = {}
    for row in rows:
        if row.its_id is not None:
            (of_order if row.by_name else of_pushes).setdefault(row.its_id, []).append(row)
    newest = sorted(of_order.values(), key=lambda each: each[0].its_id)
    newest.sort(key=lambda each: each[0].its_created_at, reverse=True)
    payable = [each for each in newest if each[0].payable]
    found = {each[0].its_id: each for each in payable or newest[:MOST_CLOSED]}
    if len(of_pushes) <= MOST_PUSHES:
        found = {**of_pushes, **found}
    return [books.account_of(each) for each in found.values()]


def _near(session: Session, heard: Heard) -> list[Account]:
    """Orders whose pay code is one slip away from what was typed, where nothing else fits."""
    form = matching.normalised(heard.told.account or "")
    if len(form) != pay_code.LENGTH or not form.isdigit():
        return []
    near = select(Order.id).where(Order.pay_code.in_(pay_code.near(form)))
    return books.seen_all(session, list(session.scalars(near.limit(MOST_ORDERS))))


_FORM: BindParameter[str] = bindparam("form")
_PAYABLE = or_(
    Order.pay_code == _FORM,
    Order.status == OrderStatus.OPEN.value,
    Order.updated_at > bindparam("paid_at"),
)
_BY_NAME = (
    select(Order.id.label("id"), _PAYABLE.label("payable"), true().label("by_name"))
    .where(or_(Order.pay_code == _FORM, Order.account_form == _FORM))
    .order_by(desc(_PAYABLE), Order.created_at.desc(), Order.id)
    .limit(MOST_ORDERS)
    .subquery()
)
_BY_PUSH = (
    select(Transaction.order_id.label("id"), false().label("payable"), false().label("by_name"))
    .where(
        Transaction.channel == Channel.PUSH.value,
        Transaction.receipt.is_(None),
        Transaction.amount * 100 == bindparam("cents"),
        or_(Transaction.status != Status.FAILED.value, ~Transaction.final),
        or_(
            Transaction.created_at.between(bindparam("from_1"), bindparam("until_1")),
            Transaction.created_at.between(bindparam("from_2"), bindparam("until_2")),
        ),
    )
    .distinct()
    .limit(MOST_PUSHES + 1)
)
_TOLD_BEFORE = (
    select(Witness.id)
    .where(
        Witness.receipt_id == ReceiptRow.id,
        Witness.kind == bindparam("kind"),
        Witness.fingerprint == bindparam("fingerprint"),
        Witness.judged,
    )
    .correlate(ReceiptRow)
    .exists()
)


def _query(of_payer: ColumnElement[bool]) -> Query:
    """The one statement: the receipt beside each attempt of each order that may fit.

    Args:
        of_payer: what tells its payer's pushes from others.
    """
    found = union_all(select(_BY_NAME), select(_BY_PUSH.where(of_payer).subquery())).subquery()
    receipt = and_(
        ReceiptRow.organisation == bindparam("organisation"),
        ReceiptRow.receipt == bindparam("receipt"),
        ReceiptRow.direction == bindparam("direction"),
    )
    return (
        select(
            *books.KNOWN_COLUMNS,
            _TOLD_BEFORE.label("told_before"),
            found.c.payable,
            found.c.by_name,
            *books.ACCOUNT_COLUMNS,
        )
        # A row comes back where neither receipt nor order is known, too.
        .select_from(select(literal(1).label("one")).subquery())
        .outerjoin(ReceiptRow, receipt)
        .outerjoin(found, true())
        .outerjoin(Order, Order.id == found.c.id)
        .outerjoin(Transaction, Transaction.order_id == Order.id)
        .order_by(Transaction.attempt.desc())
    )


_BY_ACCOUNT = _query(Transaction.account_reference == bindparam("account"))
_BY_PAYER = _query(Transaction.msisdn.like(bindparam("likeness")))

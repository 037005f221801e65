"""The orders that a receipt may be the money of, read at once with what is known of the receipt.

In one round trip on PostgreSQL, locks included, since each costs a confirmation a turn of the event
loop.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    Text,
    and_,
    bindparam,
    desc,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mpesa import books
from mpesa.books import Moved, Read, Taken
from mpesa.database import writing_apart
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
class Held:
    """A receipt that somebody tells of, with what decides about it; it is locked if it is known.

    Attributes:
        known: its row; None: there is none, and nothing keeps another from adding one.
        sent: the account that its push sent along; None: it has no push, or none was sent.
        told_before: the very same was told before, and all was done that it called for.
        accounts: the orders among which is judged, of what is told now alone.
        locked: the id of the one order whose lock is held; None: none is.
        connection: it holds the locks; everything else that is read under them is read on it.
    """

    known: Receipt | None
    sent: str | None
    told_before: bool
    accounts: list[Account]
    locked: str | None
    connection: Connection

    def taken(self, order_id: str) -> Taken | None:
        """One of the orders; None: its lock is not held."""
        # A writer on SQLite holds all orders.
        if order_id != self.locked and self.connection.dialect.name == "postgresql":
            return None
        found = (each for each in self.accounts if each.order.id == order_id)
        return next((Taken(each, self.connection) for each in found), None)


@contextmanager
def taken_out(
    session: Session, organisation: str, heard: Heard, kind: WitnessKind, fingerprint: str
) -> Iterator[Held]:
    """Lock a receipt, and before it the likeliest order of its name; read all that decides.

    What is not written and committed stays as it was.

    Args:
        session: a read that it had begun is ended; it is not used.
        heard: the receipt as it is told now, as if nothing else were known of it.
        kind, fingerprint: of the witness.

    Raises:
        OperationalError: order or receipt stayed locked for too long.
        Moved: the receipt was added between its lock and its reading.
    """
    named = {"organisation": organisation, "kind": kind.value, "fingerprint": fingerprint}
    read, values = statement(heard, named)
    with writing_apart(session) as connection:
        rows = books.lock_and_read(connection, read, values)
        known = books.known_receipt(rows[0])
        at_postgresql = connection.dialect.name == "postgresql"
        if at_postgresql and known is not None and known.id != rows[0].locked_receipt:
            raise Moved
        yield Held(
            known=known,
            sent=rows[0].sent,
            told_before=rows[0].told_before,
            accounts=_accounts(rows) or _near(connection, heard),
            locked=rows[0].locked,
            connection=connection,
        )


def kinds_of(session: Session | Connection, known: Receipt) -> frozenset[WitnessKind]:
    """The kinds of the witnesses that have told of a receipt."""
    # Who settled a review told nothing of the money; who marked as paid named the payment.
    told = or_(Witness.kind != WitnessKind.OPERATOR.value, Witness.transaction_id.is_not(None))
    kinds = select(Witness.kind).where(Witness.receipt_id == known.id, told).distinct()
    return frozenset(WitnessKind(each) for each in session.scalars(kinds))


def accounts_for(session: Session | Connection, heard: Heard) -> list[Account]:
    """Read the orders among which `matching.judge` chooses, and lock none.

    Where more fit than are read, two that could both be meant are among them.

    Args:
        heard: with all that is now known of the receipt.
    """
    nobody = {"organisation": "", "kind": "", "fingerprint": ""}
    read, values = statement(heard, nobody)
    return _accounts(session.execute(read.plain, values).all()) or _near(session, heard)


def statement(heard: Heard, named: dict[str, str]) -> tuple[Read, dict[str, Any]]:
    """The one read with its values.

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


def _near(session: Session | Connection, heard: Heard) -> list[Account]:
    """Orders whose pay code is one slip away from what was typed, where nothing else fits."""
    form = matching.normalised(heard.told.account or "")
    if len(form) != pay_code.LENGTH or not form.isdigit():
        return []
    near = select(Order.id).where(Order.pay_code.in_(pay_code.near(form)))
    return books.seen_all(session, list(session.scalars(near.limit(MOST_ORDERS))))


class _Locked(FunctionElement[str]):
    """The id that this transaction noted when it locked a row; `""` or NULL: it locked none."""

    type = Text()
    inherit_cache = True


@compiles(_Locked, "postgresql")
def _on_postgresql(element: _Locked, compiler: SQLCompiler, **_: object) -> str:
    return f"current_setting({compiler.process(element.clauses)}, true)"


@compiles(_Locked, "sqlite")
def _on_sqlite(_element: _Locked, _compiler: SQLCompiler, **_: object) -> str:
    return "NULL"


# Where a transaction notes what it has locked, since only its last statement's rows are seen
# (PostgreSQL docs, 20.16: customized options; 9.27.1: until the end of the transaction).
_ORDER: ColumnElement[str] = literal_column("'mpesa.locked_order'")
_RECEIPT: ColumnElement[str] = literal_column("'mpesa.locked_receipt'")


def _noted(note: ColumnElement[str], lock: Select[str]) -> Select[str]:
    """Lock one row at most, and note its id."""
    return select(func.set_config(note, lock.subquery().c.id, true()))


_FORM: BindParameter[str] = bindparam("form")
_PAYABLE = or_(
    Order.pay_code == _FORM,
    Order.status == bindparam("open", OrderStatus.OPEN.value),
    Order.updated_at > bindparam("paid_at"),
)
_NAMED = (
    select(Order.id.label("id"), _PAYABLE.label("payable"), true().label("by_name"))
    .where(or_(Order.pay_code == _FORM, Order.account_form == _FORM))
    .order_by(desc(_PAYABLE), Order.created_at.desc(), Order.id)
)
_BY_NAME = _NAMED.limit(MOST_ORDERS).subquery()
# Nobody ever holds two orders' locks.
_LIKELIEST = _NAMED.with_only_columns(Order.id.label("id")).limit(literal_column("1"))
_LOCKS = (
    _noted(_ORDER, books.order_lock(_LIKELIEST)),
    _noted(_RECEIPT, books.RECEIPT_LOCK),
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


_own = aliased(Transaction)


def _read(of_payer: ColumnElement[bool]) -> Read:
    """The one read: the receipt beside each attempt of each order that may fit.

    Args:
        of_payer: what tells its payer's pushes from others.
    """
    found = union_all(select(_BY_NAME), select(_BY_PUSH.where(of_payer).subquery())).subquery()
    receipt = and_(
        ReceiptRow.organisation == bindparam("organisation"),
        ReceiptRow.receipt == bindparam("receipt"),
        ReceiptRow.direction == bindparam("direction"),
    )
    query = (
        select(
            *books.KNOWN_COLUMNS,
            _own.account_reference.label("sent"),
            _TOLD_BEFORE.label("told_before"),
            _Locked(_ORDER).label("locked"),
            _Locked(_RECEIPT).label("locked_receipt"),
            found.c.payable,
            found.c.by_name,
            *books.ACCOUNT_COLUMNS,
        )
        # A row comes back where neither receipt nor order is known, too.
        .select_from(select(literal(1).label("one")).subquery())
        .outerjoin(ReceiptRow, receipt)
        .outerjoin(_own, _own.id == ReceiptRow.transaction_id)
        .outerjoin(found, true())
        .outerjoin(Order, Order.id == found.c.id)
        .outerjoin(Transaction, Transaction.order_id == Order.id)
        .order_by(Transaction.attempt.desc())
    )
    return books.read_under(*_LOCKS, plain=query)


_BY_ACCOUNT = _read(Transaction.account_reference == bindparam("account"))
_BY_PAYER = _read(Transaction.msisdn.like(bindparam("likeness")))

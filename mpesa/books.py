"""An order with its attempts, taken out under its lock and put back: the one way in and out.

On PostgreSQL everything that is read travels in one piece, and everything that is written in
another, BEGIN and COMMIT included: on a busy worker, each round trip costs a callback a turn of the
event loop, behind all other work. SQLite runs the same statements one by one.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ClauseElement,
    ColumnElement,
    Compiled,
    Connection,
    Delete,
    Insert,
    Row,
    Select,
    TextClause,
    Update,
    and_,
    bindparam,
    delete,
    desc,
    insert,
    null,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mpesa import models
from mpesa.database import Query, rows_at_once, writing_apart
from mpesa.domain.attempt import Account, Attempt, Channel, Order, OrderStatus
from mpesa.domain.matching import normalised
from mpesa.domain.push_rules import Seen
from mpesa.domain.receipt import Direction, Receipt, State
from mpesa.domain.refund import Refund, RefundStatus
from mpesa.domain.result_codes import Reason, Status

_attempts = models.Transaction.__table__.c
_orders = models.Order.__table__.c
_keys = models.IdempotencyKey.__table__.c


class Moved(Exception):
    """What was read without a lock has changed; nothing was written, and it may be tried again."""


class Unknown(LookupError):
    """No order has that id, transaction or token."""


class By(StrEnum):
    """The key by which an order is looked up."""

    ORDER = "order"
    TRANSACTION = "transaction"
    TOKEN = "token"  # noqa: S105 - the hash of one


# The last for what SQLAlchemy has no words for on both databases.
Statement = Insert | Update | Delete | TextClause


@dataclass(frozen=True, slots=True)
class Write:
    """A row to be added or changed.

    Attributes:
        statement: one object for each kind of row, so that its text is built once.
        values: by the names that the statement has for them.
    """

    statement: Statement
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Taken:
    """An order whose lock is held.

    Attributes:
        account: as it was committed last.
        connection: it holds the lock; everything else that is read under the lock is read on it.
    """

    account: Account
    connection: Connection

    def put_back(self, after: Account, *also: Write) -> None:
        """Write what changed of the account, with the rows that belong to it, and commit.

        Args:
            after: the same account from now on; it may have one more attempt.
            also: the rows that belong to the change.

        Raises:
            IntegrityError: another row has the receipt, the id, the line or the key; nothing was
                written.
            DBAPIError: the database failed; where the connection broke, it may have committed.
        """
        before = {each.id: each for each in self.account.attempts}
        writes = []
        for each in after.attempts:
            if each == before.get(each.id):
                continue
            row = {name: getattr(each, name) for name in _OF_ATTEMPT}
            row |= {
                "status": each.status.value,
                "reason": each.reason.value,
                "channel": each.channel.value,
            }
            if each.id not in before:
                writes.append(Write(_ADD_ATTEMPT, row))
                continue
            # Only what the statement names: SQLAlchemy would set every other column it is given,
            # and where the id is set, if only to itself, SQLite looks through all rows that refer
            # to it.
            changed = {name: value for name, value in row.items() if name not in _FIXED}
            writes.append(Write(_CHANGE_ATTEMPT, {**changed, "row": each.id}))
        if after.order != self.account.order:
            order = after.order
            values = {
                "status": order.status.value,
                "updated_at": order.updated_at,
                "in_sight_until": order.in_sight_until,
            }
            writes.append(Write(_CHANGE_ORDER, {**values, "row": order.id}))
        write_and_commit(self.connection, [*writes, *also])


@dataclass(frozen=True, slots=True)
class HeldReceipt:
    """A receipt whose lock is held, after its order's where it has one.

    Attributes:
        taken: its order; None: it is nobody's.
        connection: it holds the locks.
    """

    receipt: Receipt
    taken: Taken | None
    connection: Connection

    def put_back(self, account: Account | None, *also: Write) -> None:
        """Write what changed, and commit.

        Args:
            account: its order from now on.

        Raises:
            IntegrityError: another row is in the way; nothing was written.
        """
        if self.taken is not None and account is not None:
            self.taken.put_back(account, *also)
        else:
            write_and_commit(self.connection, also)


@dataclass(frozen=True, slots=True)
class PushLookup:
    """The keys by which all that decides about a push is looked up.

    Attributes:
        msisdn: the line's number, as `domain.phone` writes it.
        scope, key: of the Idempotency-Key; None where none was sent.
    """

    order_id: str
    msisdn: str
    scope: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """The row that was kept of an Idempotency-Key (`models.IdempotencyKey`)."""

    fingerprint: str
    status_code: int
    order_id: str | None
    transaction_id: str | None


@dataclass(frozen=True, slots=True)
class PushFacts:
    """All that decides about a push, as it was committed last.

    Attributes:
        kept: the answer to the same key before; None: the key is new, or none was sent.
    """

    seen: Seen
    kept: KeptAnswer | None


@contextmanager
def taken_out(session: Session, by: By, value: str) -> Iterator[Taken]:
    """Lock an order and read it with its attempts; what is not put back stays as it was.

    A lock may be held for a while. A callback is not to wait for that, so an order that is looked
    up by a token is taken at once or not at all. No process ever holds two of these locks.

    Args:
        session: a read that it had begun is ended, which frees its connection; it is not used.
        by: what `value` is.

    Raises:
        Unknown: there is no such order.
        OperationalError: the order stayed locked for too long or, by its token, is locked now.
    """
    with writing_apart(session) as connection:
        yield Taken(account_of(lock_and_read(connection, _READS[by], {"value": value})), connection)


@contextmanager
def receipt_taken_out(session: Session, receipt_id: str) -> Iterator[HeldReceipt]:
    """Lock a receipt, its order first where it has one; what is not put back stays as it was.

    Args:
        session: a read that it had begun is ended; it is not used.

    Raises:
        Unknown: there is no such receipt.
        Moved: it was given to an order meanwhile.
    """
    owner = session.execute(_OWNER, {"id": receipt_id}).one_or_none()
    if owner is None:
        raise Unknown
    if owner.transaction_id is not None:
        with taken_out(session, By.TRANSACTION, owner.transaction_id) as taken:
            held = _locked_receipt(taken.connection, receipt_id)
            yield HeldReceipt(held, taken, taken.connection)
        return
    with writing_apart(session) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("BEGIN")
        held = _locked_receipt(connection, receipt_id)
        if held.transaction_id is not None:
            connection.rollback()
            raise Moved
        yield HeldReceipt(held, None, connection)


@contextmanager
def taken_out_with_receipt(
    session: Session, order_id: str, organisation: str, number: str
) -> Iterator[tuple[Taken, Receipt | None]]:
    """Lock an order, then a receipt of money in, and read both; else as `taken_out`.

    The receipt is None where it has no row yet, and then nothing keeps another from adding one.
    """
    with writing_apart(session) as connection:
        yield _taken_with_receipt(connection, _READ_WITH_RECEIPT, order_id, organisation, number)


def taken_instead(
    connection: Connection, order_id: str, organisation: str, number: str
) -> tuple[Taken, Receipt | None]:
    """Let go of all locks, then as `taken_out_with_receipt`; in one round trip on PostgreSQL.

    Args:
        connection: it may hold another order's lock.
    """
    return _taken_with_receipt(
        connection, _READ_WITH_RECEIPT_INSTEAD, order_id, organisation, number
    )


def _taken_with_receipt(
    connection: Connection, read: "Read", order_id: str, organisation: str, number: str
) -> tuple[Taken, Receipt | None]:
    values = {
        "value": order_id,
        "organisation": organisation,
        "receipt": number,
        "direction": Direction.IN.value,
    }
    rows = lock_and_read(connection, read, values)
    return Taken(account_of(rows), connection), known_receipt(rows[0])


@contextmanager
def taken_out_for_push(session: Session, lookup: PushLookup) -> Iterator[tuple[Taken, PushFacts]]:
    """Lock an order and read what has to be known before a push; else as `taken_out`."""
    with writing_apart(session) as connection:
        facts = _facts_of(lock_and_read(connection, _READ_FOR_PUSH, _values_of(lookup)))
        yield Taken(facts.seen.account, connection), facts


def facts_for_push(session: Session, lookup: PushLookup) -> PushFacts:
    """Read what has to be known before a push, without a lock and in one statement.

    Args:
        session: a read that it had begun is ended, which frees its connection; it is not used.

    Raises:
        Unknown: there is no such order.
    """
    session.rollback()
    engine = session.get_bind().engine
    return _facts_of(rows_at_once(engine, _READ_FOR_PUSH.plain, _values_of(lookup)))


def seen(session: Session | Connection, by: By, value: str) -> Account:
    """Read an order with its attempts as they are committed, without its lock.

    Raises:
        Unknown: there is no such order.
    """
    return account_of(session.execute(READ[by], {"value": value}).all())


def seen_all(session: Session | Connection, order_ids: Sequence[str]) -> list[Account]:
    """Read orders with their attempts as they are committed, in the order of their ids here."""
    query = _OF_ORDERS.where(_orders.id.in_(order_ids))
    rows: dict[str, list[Row[tuple[object, ...]]]] = {}
    for row in session.execute(query):
        rows.setdefault(row.its_id, []).append(row)
    return [account_of(rows[each]) for each in order_ids]


def attempts_where(session: Session | Connection, condition: ColumnElement[bool]) -> list[Attempt]:
    """The attempts of all orders that fulfil a condition, as they are committed."""
    return [_attempt(row) for row in session.execute(_ATTEMPTS.where(condition))]


def lock_and_read(
    connection: Connection, read: "Read", values: Mapping[str, object]
) -> Sequence[Row[tuple[object, ...]]]:
    """Begin, lock and read, in one round trip on PostgreSQL."""
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(read.locking, {**read.fixed, **values}).all()
    return connection.execute(read.plain, dict(values)).all()


def write_and_commit(
    connection: Connection, writes: Sequence[Write], *, begin: bool = False
) -> None:
    """Write and commit, in one round trip on PostgreSQL.

    Args:
        begin: no lock was taken before, so that nothing is begun.
    """
    if connection.dialect.name == "postgresql":
        values = {
            f"{name}_{place}": value
            for place, write in enumerate(writes)
            for name, value in write.values.items()
        }
        in_one_piece = _in_one_piece(tuple(write.statement for write in writes))
        connection.exec_driver_sql("BEGIN; " * begin + in_one_piece, values)
        return
    for write in writes:
        connection.execute(write.statement, dict(write.values))
    connection.commit()


def write_many(
    connection: Connection, statement: Statement, rows: Sequence[Mapping[str, object]]
) -> None:
    """Write many rows of one kind, in one round trip on PostgreSQL; nothing is committed.

    Args:
        rows: by the names that the statement has for them.
    """
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(statement, [dict(each) for each in rows])
        return
    written, driver = str(_for_the_driver(statement)), cast(Any, connection.connection)
    with driver.cursor() as cursor:
        texts = [cursor.mogrify(written, each).decode() for each in rows]
    # The values are in it: what looks like a place for one is none.
    connection.exec_driver_sql("; ".join(texts), execution_options={"no_parameters": True})


def account_of(rows: Sequence[Row[tuple[object, ...]]]) -> Account:
    """Make an account of the rows of `READ`; on PostgreSQL they may be the driver's own.

    Raises:
        Unknown: there are none.
    """
    if not rows:
        raise Unknown
    named = {name: getattr(rows[0], f"its_{name}") for name in _OF_ORDER}
    order = Order(**{**named, "status": OrderStatus(named["status"])})
    return Account(order, tuple(_attempt(row) for row in rows if row.id is not None))


def receipt(
    connection: Connection,
    organisation: str,
    number: str,
    direction: Direction = Direction.IN,
    *,
    lock: bool = False,
) -> Receipt | None:
    """Read a receipt; None: it is not known.

    Args:
        lock: keep it from changing until the connection's commit. An order's lock is taken before.
    """
    query = _RECEIPT.with_for_update() if lock else _RECEIPT
    values = {"organisation": organisation, "receipt": number, "direction": direction.value}
    row = connection.execute(query, values).one_or_none()
    return None if row is None else receipt_of(row)


def begin_with_receipt(connection: Connection, organisation: str, number: str) -> Receipt | None:
    """Begin a write, and lock and read a receipt of money in; no order is changed by it."""
    values = {
        "organisation": organisation,
        "receipt": number,
        "direction": Direction.IN.value,
    }
    rows = lock_and_read(connection, _READ_RECEIPT, values)
    return receipt_of(rows[0]) if rows else None


def _locked_receipt(connection: Connection, receipt_id: str) -> Receipt:
    return receipt_of(connection.execute(_RECEIPT_BY_ID, {"id": receipt_id}).one())


def receipt_of(row: Row[tuple[object, ...]], prefix: str = "") -> Receipt:
    """Make a receipt of a row of `RECEIPTS`.

    Args:
        prefix: of the columns' names.
    """
    named = {name: getattr(row, prefix + name) for name in _OF_RECEIPT}
    return Receipt(
        **{
            **named,
            "direction": Direction(named["direction"]),
            "state": State(named["state"]),
        }
    )


def known_receipt(row: Row[tuple[object, ...]]) -> Receipt | None:
    """The receipt of a row that has `KNOWN_COLUMNS`; None: there is none beside it."""
    return receipt_of(row, "known_") if row.known_id is not None else None


def refund(connection: Connection, refund_id: str, *, lock: bool = False) -> Refund | None:
    """Read a refund; None: there is none.

    Args:
        lock: keep it from changing until the connection's commit; its receipt's lock comes before.
    """
    query = _REFUND.with_for_update() if lock else _REFUND
    row = connection.execute(query, {"id": refund_id}).one_or_none()
    if row is None:
        return None
    named = {name: getattr(row, name) for name in _OF_REFUND}
    return Refund(**{**named, "status": RefundStatus(named["status"])})


def kept_refund(after: Refund, before: Refund | None) -> Write:
    """The row of a refund: a new one, or a change of the one before."""
    row = {name: getattr(after, name) for name in _OF_REFUND} | {"status": after.status.value}
    if before is None:
        return Write(_ADD_REFUND, row)
    return Write(_CHANGE_REFUND, {**{n: row[n] for n in _REFUND_CHANGES}, "row": after.id})


def kept(after: Receipt, before: Receipt | None) -> Write:
    """The row of a receipt: a new one, or a change of the one before."""
    row = {name: getattr(after, name) for name in _OF_RECEIPT}
    row |= {"direction": after.direction.value, "state": after.state.value}
    if before is None:
        return Write(_ADD_RECEIPT, row)
    changed = {name: value for name, value in row.items() if name not in _SAME_RECEIPT}
    return Write(_CHANGE_RECEIPT, {**changed, "row": after.id})


def _values_of(lookup: PushLookup) -> dict[str, str | None]:
    return {
        "value": lookup.order_id,
        "msisdn": lookup.msisdn,
        "scope": lookup.scope,
        "key": lookup.key,
    }


def _facts_of(rows: Sequence[Row[tuple[object, ...]]]) -> PushFacts:
    """Make facts of the rows of `_FOR_PUSH`; only the order's own rows have an order.

    Raises:
        Unknown: there is no such order.
    """
    own = [row for row in rows if row.its_id is not None]
    seen = Seen(account_of(own), tuple(_attempt(row) for row in rows if row.its_id is None))
    kept = None
    if own[0].kept_fingerprint is not None:
        kept = KeptAnswer(**{name: getattr(own[0], f"kept_{name}") for name in _OF_KEPT})
    return PushFacts(seen, kept)


def _attempt(row: Row[tuple[object, ...]]) -> Attempt:
    named = {name: getattr(row, name) for name in _OF_ATTEMPT}
    return Attempt(
        **{
            **named,
            "status": Status(named["status"]),
            "reason": Reason(named["reason"]),
            "channel": Channel(named["channel"]),
        }
    )


# -- statements: built once, since SQLAlchemy takes longer for that than PostgreSQL to run them ----


def adding(model: type[models.Base], *names: str, **fixed: object) -> Insert:
    """Build the statement that adds a row.

    Args:
        names: of the columns that are given with each row.
        fixed: expressions for the others.
    """
    given: dict[str, object] = {name: bindparam(name) for name in names}
    return insert(model).inline().values({**given, **fixed})


def added(order: Order) -> Write:
    """The row of a new order."""
    row = {name: getattr(order, name) for name in _OF_ORDER}
    row |= {"status": order.status.value, "account_form": normalised(order.reference)}
    return Write(_ADD_ORDER, row)


class _EvidenceJustAdded(FunctionElement[int]):
    """The id of the evidence row that this connection added last."""

    type = BigInteger()
    inherit_cache = True


@compiles(_EvidenceJustAdded, "postgresql")
def _on_postgresql(_element: _EvidenceJustAdded, _compiler: SQLCompiler, **_: object) -> str:
    return "currval(pg_get_serial_sequence('evidence', 'id'))"


@compiles(_EvidenceJustAdded, "sqlite")
def _on_sqlite(_element: _EvidenceJustAdded, _compiler: SQLCompiler, **_: object) -> str:
    return "last_insert_rowid()"


ADD_EVIDENCE = adding(models.EvidenceRow, "transaction_id", "kind", "body", "source", "received_at")
_OF_DECISION = (
    "transaction_id", "status", "reason", "seq", "needs_review", "why", "decided_at",
)  # fmt: skip
ADD_DECISION = adding(models.DecisionRow, "evidence_id", *_OF_DECISION)
# To be run right after `ADD_EVIDENCE`.
ADD_DECISION_ON_IT = adding(models.DecisionRow, *_OF_DECISION, evidence_id=_EvidenceJustAdded())
ADD_MESSAGE = adding(
    models.WebhookMessage,
    "id", "transaction_id", "receipt_id", "type", "body", "seq", "created_at", "next_attempt_at",
)  # fmt: skip

_receipts = models.Receipt.__table__.c
_OF_RECEIPT = tuple(each.name for each in fields(Receipt))
_ADD_RECEIPT = adding(models.Receipt, *_OF_RECEIPT)
# What M-PESA names by the number stays.
_SAME_RECEIPT = {"id", "organisation", "receipt", "direction", "learned_at"}
_CHANGE_RECEIPT = (
    update(models.Receipt)
    .where(_receipts.id == bindparam("row"))
    .values({name: bindparam(name) for name in _OF_RECEIPT if name not in _SAME_RECEIPT})
)
_NAMED_RECEIPT = (
    _receipts.organisation == bindparam("organisation"),
    _receipts.receipt == bindparam("receipt"),
    _receipts.direction == bindparam("direction"),
)
RECEIPTS = select(*(_receipts[name] for name in _OF_RECEIPT))
_RECEIPT = RECEIPTS.where(*_NAMED_RECEIPT)
# Beside another row's columns of the same names.
KNOWN_COLUMNS = tuple(_receipts[name].label(f"known_{name}") for name in _OF_RECEIPT)
_refunds = models.Refund.__table__.c
_OF_REFUND = tuple(each.name for each in fields(Refund))
_REFUND_CHANGES = (
    "status", "released_by", "released_day", "sent_at", "acknowledged_at", "conversation_id",
    "reversal_receipt", "result_code", "needs_review", "seq", "updated_at",
)  # fmt: skip
_ADD_REFUND = adding(models.Refund, *_OF_REFUND)
_CHANGE_REFUND = (
    update(models.Refund)
    .where(_refunds.id == bindparam("row"))
    .values({name: bindparam(name) for name in _REFUND_CHANGES})
)
_REFUND = select(*(_refunds[name] for name in _OF_REFUND)).where(_refunds.id == bindparam("id"))
ADD_REFUND_STEP = adding(models.RefundStep, "refund_id", "event", "status", "by", "body", "at")
# A day's row, which releases lock; it is there already for all but the first of them.
BEGIN_DAY = text("INSERT INTO refund_days (id) VALUES (:id) ON CONFLICT (id) DO NOTHING")
ADD_AWAITED = adding(
    models.AwaitedResult,
    "token_hash", "kind", "subject", "credential_hash", "asked_at", "until",
)  # fmt: skip
EXCUSE_AWAITED = (
    update(models.AwaitedResult)
    .where(models.AwaitedResult.__table__.c.token_hash == bindparam("row"))
    .values(answered_at=bindparam("answered_at"))
)
_OWNER = select(_receipts.transaction_id).where(_receipts.id == bindparam("id"))
_RECEIPT_BY_ID = (
    select(*(_receipts[name] for name in _OF_RECEIPT))
    .where(_receipts.id == bindparam("id"))
    .with_for_update()
)
ADD_QUESTION = adding(
    models.StatusQuestion,
    "receipt", "transaction_id", "share", "typed_at", "next_at", "times_asked",
)  # fmt: skip
ADD_SUGGESTION = adding(models.Suggestion, "receipt_id", "order_id", "place")
DROP_SUGGESTIONS = delete(models.Suggestion).where(
    models.Suggestion.__table__.c.receipt_id == bindparam("receipt_id")
)
# The same kind with the same content once more is counted, in one statement on both databases.
ADD_WITNESS = text(
    "INSERT INTO witnesses (receipt_id, kind, fingerprint, body, source, transaction_id, judged,"
    " received_at, told_last_at) VALUES ((SELECT id FROM receipts WHERE organisation ="
    " :organisation AND receipt = :receipt AND direction = 'in'), :kind, :fingerprint, :body,"
    " :source, :transaction_id, :judged, :received_at, :received_at)"
    " ON CONFLICT (kind, fingerprint) DO UPDATE SET"
    " receipt_id = coalesce(excluded.receipt_id, witnesses.receipt_id),"
    " judged = excluded.judged OR witnesses.judged, times = witnesses.times + 1,"
    " told_last_at = excluded.told_last_at"
).bindparams(bindparam("received_at", type_=models.UTCDateTime()))

# What was all done already.
COUNT_WITNESS = text(
    "UPDATE witnesses SET times = times + 1, told_last_at = :told_last_at"
    " WHERE kind = :kind AND fingerprint = :fingerprint"
).bindparams(bindparam("told_last_at", type_=models.UTCDateTime()))

# Of a reversal, which no other witness tells of.
ADD_WITNESS_OF_REVERSAL = text(
    str(ADD_WITNESS.text).replace("direction = 'in'", "direction = 'out'")
).bindparams(bindparam("received_at", type_=models.UTCDateTime()))

_OF_ORDER = tuple(each.name for each in fields(Order))
_OF_ATTEMPT = tuple(each.name for each in fields(Attempt))
# Columns that keep their first value.
_FIXED = {
    "id", "order_id", "attempt", "msisdn", "amount", "account_reference", "callback_token_hash",
    "pushed_from", "channel",
}  # fmt: skip
_ADD_ORDER = adding(models.Order, *_OF_ORDER, "account_form")
_ADD_ATTEMPT = adding(models.Transaction, *_OF_ATTEMPT)
_CHANGE_ATTEMPT = (
    update(models.Transaction)
    .where(_attempts.id == bindparam("row"))
    .values({name: bindparam(name) for name in _OF_ATTEMPT if name not in _FIXED})
)
_CHANGE_ORDER = (
    update(models.Order)
    .where(_orders.id == bindparam("row"))
    .values(
        status=bindparam("status"),
        updated_at=bindparam("updated_at"),
        in_sight_until=bindparam("in_sight_until"),
    )
)
_ATTEMPTS = select(*(_attempts[name] for name in _OF_ATTEMPT))
_OWN_ORDER = select(_attempts.order_id)
_WHERE: dict[By, ColumnElement[bool]] = {
    By.ORDER: _orders.id == bindparam("value"),
    By.TRANSACTION: _orders.id
    == _OWN_ORDER.where(_attempts.id == bindparam("value")).scalar_subquery(),
    By.TOKEN: _orders.id
    == _OWN_ORDER.where(_attempts.callback_token_hash == bindparam("value")).scalar_subquery(),
}
_ORDER_COLUMNS = tuple(_orders[name].label(f"its_{name}") for name in _OF_ORDER)
_ATTEMPT_COLUMNS = tuple(_attempts[name] for name in _OF_ATTEMPT)
ACCOUNT_COLUMNS = (*_ORDER_COLUMNS, *_ATTEMPT_COLUMNS)
_OF_ORDERS = (
    select(*_ORDER_COLUMNS, *_ATTEMPT_COLUMNS)
    .outerjoin_from(models.Order, models.Transaction)
    .order_by(_attempts.attempt.desc())
)
READ = {by: _OF_ORDERS.where(_WHERE[by]) for by in By}
_OF_KEPT = tuple(each.name for each in fields(KeptAnswer))
_KEPT_COLUMNS = tuple(_keys[name].label(f"kept_{name}") for name in _OF_KEPT)
# The order's rows, each with what was kept of the key; then those of the line, without an order.
_FOR_PUSH: Query = union_all(
    select(*_ORDER_COLUMNS, *_ATTEMPT_COLUMNS, *_KEPT_COLUMNS)
    .outerjoin_from(models.Order, models.Transaction)
    .outerjoin(
        models.IdempotencyKey,
        and_(_keys.scope == bindparam("scope"), _keys.key == bindparam("key")),
    )
    .where(_orders.id == bindparam("value")),
    select(
        *(null().label(each.name) for each in _ORDER_COLUMNS),
        *_ATTEMPT_COLUMNS,
        *(null().label(each.name) for each in _KEPT_COLUMNS),
    ).where(
        _attempts.msisdn == bindparam("msisdn"),
        # As the partial index says it: SQLite does not find that in SQLAlchemy's "is_open = 1".
        text("transactions.is_open"),
        _attempts.order_id != bindparam("value"),
    ),
).order_by(desc("attempt"))


def _for_the_driver(statement: ClauseElement) -> Compiled:
    return statement.compile(dialect=psycopg2.dialect())  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class Read:
    """A read, and the text that begins, locks and reads on PostgreSQL.

    Statements of their own lock: in one that reads too, rows that another commit changed while the
    lock was taken would be read as they were before it.

    Attributes:
        fixed: values of the text's parameters that are always the same.
    """

    plain: Query
    locking: str
    fixed: Mapping[str, object]


def read_under(*locks: Query, plain: Query, instead: bool = False) -> Read:
    """Make a read.

    Args:
        locks: statements that lock, in this order.
        instead: let go of other locks first.

    Raises:
        ValueError: a parameter has two values.
    """
    texts, fixed = ["ROLLBACK"] * instead + ["BEGIN"], dict[str, object]()
    for each in (*locks, plain):
        compiled = _for_the_driver(each)
        texts.append(str(compiled))
        for name, value in compiled.params.items():
            if value is not None and fixed.setdefault(name, value) != value:
                raise ValueError(f"{name} is two things")
    return Read(plain, "; ".join(texts), fixed)


def order_lock(order: Select[str], *, nowait: bool = False) -> Select[str]:
    """Lock the orders of a query, and let other rows refer to them meanwhile.

    A receipt that is nobody's is locked alone, and suggests orders: their locks come before it.
    """
    return order.with_for_update(key_share=True, nowait=nowait)


def _lock(by: By) -> Query:
    return order_lock(select(_orders.id).where(_WHERE[by]), nowait=by is By.TOKEN)


_READS = {by: read_under(_lock(by), plain=READ[by]) for by in By}
_READ_FOR_PUSH = read_under(_lock(By.ORDER), plain=_FOR_PUSH)
_READ_RECEIPT = read_under(plain=_RECEIPT.with_for_update())
RECEIPT_LOCK = select(_receipts.id).where(*_NAMED_RECEIPT).with_for_update()
_WITH_RECEIPT = (
    select(*ACCOUNT_COLUMNS, *KNOWN_COLUMNS)
    .outerjoin_from(models.Order, models.Transaction)
    .outerjoin(models.Receipt, and_(*_NAMED_RECEIPT))
    .where(_WHERE[By.ORDER])
    .order_by(_attempts.attempt.desc())
)
_READ_WITH_RECEIPT, _READ_WITH_RECEIPT_INSTEAD = (
    read_under(_lock(By.ORDER), RECEIPT_LOCK, plain=_WITH_RECEIPT, instead=instead)
    for instead in (False, True)
)


@cache
def _in_one_piece(statements: tuple[Statement, ...]) -> str:
    """The text of several statements and a COMMIT; the names of the n-th end with its number."""
    texts = []
    for place, statement in enumerate(statements):
        compiled = _for_the_driver(statement)
        names = {name: f"%({name}_{place})s" for name in compiled.params}
        written = str(compiled)
        if "%%" in written:
            raise ValueError("a literal % is formatted here and by the driver: give it as a value")
        texts.append(written % names)
    return "; ".join([*texts, "COMMIT"])

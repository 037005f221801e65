"""A callback's read and write on PostgreSQL in one round trip each, BEGIN and COMMIT included.

On a worker that many wait for, each round trip costs a callback a turn of the loop, behind
everybody else's work. The ORM needs eight of them for what is two here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import Connection, Engine

# Two statements to lock and to read: in one, rows that another commit changed while the lock was
# taken would be read as they were before it. Who holds the lock may hold it for a while, and a
# callback is not to wait for that.
_LOCK_AND_READ = """
BEGIN;
SELECT id FROM orders WHERE id = (
    SELECT order_id FROM transactions WHERE callback_token_hash = %(token_hash)s
) FOR UPDATE NOWAIT;
SELECT orders.status AS order_status, orders.expires_at, orders.reference, transactions.*
FROM transactions JOIN orders ON orders.id = transactions.order_id
WHERE transactions.order_id = (
    SELECT order_id FROM transactions WHERE callback_token_hash = %(token_hash)s
) ORDER BY attempt DESC
"""

_EVIDENCE_AND_DECISION = """
WITH heard AS (
    INSERT INTO evidence (transaction_id, kind, body, source, received_at)
    VALUES (%(id)s, %(kind)s, %(body)s, %(source)s, %(now)s) RETURNING id
){change} INSERT INTO decisions
    (evidence_id, transaction_id, status, reason, seq, needs_review, why, decided_at)
SELECT heard.id, %(id)s, %(status)s, %(reason)s, %(seq)s, %(questions)s, %(why)s, %(now)s
FROM heard; COMMIT
"""

# What evidence may change of a row.
_CHANGING = (
    "status", "reason", "final", "is_open", "settles_order", "needs_review", "amount_disputed",
    "success_claimed", "failed_by_query", "receipt", "seq", "retry_at", "prompt_ends_at",
    "next_ask_at", "ask_urgently", "urgent_for", "updated_at", "settled_at",
    "merchant_request_id", "checkout_request_id",
)  # fmt: skip
_CHANGE = f""", changed AS (
    UPDATE transactions SET {", ".join(f"{name} = %({name})s" for name in _CHANGING)}
    WHERE id = %(id)s
), paid AS (
    UPDATE orders SET status = %(order_status)s, updated_at = %(now)s
    WHERE id = %(order_id)s AND status <> %(order_status)s
)"""  # noqa: S608 - names of columns, ours
_RECORD = _EVIDENCE_AND_DECISION.format(change="")
_RECORD_AND_CHANGE = _EVIDENCE_AND_DECISION.format(change=_CHANGE)
_RAISE_SEQ = "UPDATE transactions SET seq = %(seq)s, updated_at = %(updated_at)s WHERE id = %(id)s"


@dataclass(frozen=True)
class Heard:
    """A row of evidence and one of its decision.

    Attributes:
        questions: the decision asks for a review; its row says so.
    """

    kind: str
    body: bytes
    source: str | None
    questions: bool
    why: str
    now: datetime


@contextmanager
def begun_by_hand(engine: Engine) -> Iterator[Connection]:
    """A connection on which BEGIN and COMMIT are sent along with the statements.

    What is not committed at the end is rolled back.
    """
    with engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        driver.autocommit = True  # the driver begins nothing by itself
        try:
            yield connection
        finally:
            _end(connection, driver)


def _end(connection: Connection, driver: Any) -> None:
    """Give the connection back as it was; one that cannot be is given up."""
    try:
        if driver.info.transaction_status != TRANSACTION_STATUS_IDLE:
            with driver.cursor() as cursor:
                cursor.execute("ROLLBACK")
        driver.autocommit = False
    except driver.Error:
        connection.invalidate()


def lock_and_read(
    connection: Connection, token_hash: str
) -> tuple[SimpleNamespace, list[SimpleNamespace]] | None:
    """Begin; lock the order that has this token, and read it with its attempts, newest first.

    Returns:
        None where no transaction has that token; what was begun is to be rolled back.

    Raises:
        OperationalError: somebody holds the order.
    """
    found = connection.exec_driver_sql(_LOCK_AND_READ, {"token_hash": token_hash})
    attempts = [SimpleNamespace(**row) for row in found.mappings()]
    if not attempts:
        return None
    first = attempts[0]
    order = SimpleNamespace(
        id=first.order_id,
        status=first.order_status,
        expires_at=first.expires_at,
        reference=first.reference,
    )
    return order, attempts


def record_and_commit(
    connection: Connection,
    *,
    transaction: SimpleNamespace,
    order_status: str,
    changed: bool,
    heard: Heard,
) -> None:
    """Write evidence and decision, the transaction and its order where they changed, and commit.

    Args:
        transaction: as it is from now on.
        changed: False: its row and its order's stay as they are.
        heard: the evidence, and what was decided on it.

    Raises:
        IntegrityError: its receipt or id is another transaction's; nothing was written.
    """
    statement = _RECORD_AND_CHANGE if changed else _RECORD
    values = {**vars(transaction), "order_status": order_status, **vars(heard)}
    connection.exec_driver_sql(statement, values)


def raise_seq(connection: Connection, attempt: SimpleNamespace) -> None:
    """Write the `seq` of another attempt of the same order."""
    connection.exec_driver_sql(_RAISE_SEQ, vars(attempt))

"""Whether database and Redis are there, and what waits for a result or a decision.

/readyz, /metrics, `flask doctor` and the console ask here, and each shows it in its own way.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import redis as redis_py
from sqlalchemy import Connection, Engine, func, select, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import hints
from mpesa.database import cannot_write, missing_migrations
from mpesa.domain.evidence import Kind
from mpesa.domain.result_codes import Reason, Status
from mpesa.models import DecisionRow, EvidenceRow, Transaction

# Seconds for each look at the database: a load balancer has asked /readyz again by then.
_LOOK_WITHIN = 2.0
# Bytes that a payment writes, with room: rows, index entries and the pages that they lie on.
_PAYMENT_WRITES = 65_536
# Longer than a payment waits for a Daraja that is slow.
_LONG_PENDING = timedelta(minutes=15)
# A request judges its callback at once; one that waits longer than this was left by a failure.
_BEING_JUDGED = timedelta(seconds=30)


class Database(StrEnum):
    """The state of the database; `WELL` is the only one in which payments can be taken."""

    WELL = "well"
    SILENT = "silent"
    UNMIGRATED = "unmigrated"
    STANDBY = "standby"
    READ_ONLY = "read_only"
    FULL = "full"

    @property
    def answers(self) -> bool:
        """Whether it can be read."""
        return self is not Database.SILENT

    @property
    def can_be_written(self) -> bool:
        """Whether a payment could be written to it, migrated or not."""
        return self in (Database.WELL, Database.UNMIGRATED)


# For the person who runs the server: what is wrong, and what to do.
ADVICE = {
    Database.SILENT: "The database does not answer: check DATABASE_URL and that it runs.",
    Database.UNMIGRATED: "The database is not migrated: run flask db upgrade.",
    Database.STANDBY: (
        "The database cannot be written, it is a standby: DATABASE_URL must lead to the primary."
    ),
    Database.READ_ONLY: (
        "The database cannot be written (default_transaction_read_only is on): is its disk full?"
    ),
    Database.FULL: (
        "The database cannot be written: is its disk full, and may its file be written?"
    ),
}
REDIS_ADVICE = "Redis does not answer: check REDIS_URL and that it runs."


@dataclass(frozen=True)
class Redis:
    """The state of Redis.

    Attributes:
        listening: the number of workers that listen to hints; None where it does not tell.
        failure: the kind of error where it does not answer at all, else empty.
    """

    listening: int | None
    failure: str = ""

    @property
    def answers(self) -> bool:
        """Whether it answered."""
        return not self.failure


@dataclass(frozen=True)
class Pending:
    """The transactions without a result that have the same reason.

    Attributes:
        oldest: when the oldest was made, aware UTC; None where there is none.
    """

    count: int = 0
    oldest: datetime | None = None

    def is_late(self, now: datetime) -> bool:
        """Whether a person should look: one rule for every page that says so.

        A few payments are overdue at any time; Daraja answers for most of them within minutes.
        """
        return self.oldest is not None and now - self.oldest > _LONG_PENDING


def database(engine: Engine) -> Database:
    """Look at the database, on a connection of its own and cheaply enough to be polled."""
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                return _of_sqlite(connection)
            return _of_postgresql(connection)
    except SQLAlchemyError as error:
        return Database.FULL if cannot_write(error) else Database.SILENT


def _of_postgresql(connection: Connection) -> Database:
    driver: Any = connection.connection.dbapi_connection
    usual, driver.answers_within = driver.answers_within, _LOOK_WITHIN
    try:
        standby, read_only = connection.execute(
            text("SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'")
        ).one()
        missing = missing_migrations(connection)
    finally:
        driver.answers_within = usual
    if standby:
        return Database.STANDBY
    if read_only:
        return Database.READ_ONLY
    return Database.UNMIGRATED if missing else Database.WELL


def _of_sqlite(connection: Connection) -> Database:
    """Try a write that is large enough to reach the disk, and roll it back.

    Without a small cache, nothing would reach the disk before a commit, and a full disk would go
    unnoticed. Nothing is synced: 0.2 ms on a file in memory, 3 ms on a busy disk.
    """
    missing = missing_migrations(connection)
    connection.rollback()
    driver = connection.connection.cursor()
    driver.execute("PRAGMA cache_size = 10")  # pages
    try:
        writer = connection.execution_options(sqlite_begin="BEGIN IMMEDIATE", sqlite_waits=False)
        writer.execute(text("CREATE TABLE tried (bytes BLOB)"))
        writer.execute(text(f"INSERT INTO tried VALUES (zeroblob({_PAYMENT_WRITES}))"))  # noqa: S608
    except DBAPIError as error:
        # Another process is writing, so the database can be written.
        if getattr(error.orig, "sqlite_errorname", "") != "SQLITE_BUSY":
            raise
    finally:
        connection.rollback()
        driver.execute("PRAGMA cache_size = -2000")  # KiB, SQLite's own
        driver.close()
    return Database.UNMIGRATED if missing else Database.WELL


def redis(url: str) -> Redis:
    """Look at Redis.

    Args:
        url: REDIS_URL.
    """
    try:
        hints.ping(url)
    except (redis_py.RedisError, OSError) as error:
        return Redis(None, type(error).__name__)
    try:
        return Redis(hints.listeners(url))
    except (redis_py.RedisError, OSError):
        return Redis(None)


def troubles(engine: Engine, redis_url: str | None) -> list[str]:
    """Why payments cannot be taken as they should, a sentence each; empty where they can."""
    stands = database(engine)
    wrong = [ADVICE[stands]] if stands in ADVICE else []
    if redis_url is not None and not redis(redis_url).answers:
        wrong.append(REDIS_ADVICE)
    return wrong


def pending(session: Session) -> dict[Reason, Pending]:
    """Count the transactions that have no result yet, by reason.

    Raises:
        SQLAlchemyError: the database failed.
    """
    found = session.execute(
        select(Transaction.reason, func.count(), func.min(Transaction.created_at))
        .where(Transaction.status == Status.PENDING.value)
        .group_by(Transaction.reason)
    )
    return {Reason(reason): Pending(count, oldest) for reason, count, oldest in found}


def unjudged(session: Session, now: datetime, within: timedelta) -> int:
    """Count the callbacks that were stored and not judged, since process or database failed.

    Args:
        now: aware UTC.
        within: how far back to look; the index by time reads no more than that.

    Raises:
        SQLAlchemyError: the database failed.
    """
    statement = (
        select(func.count())
        .select_from(EvidenceRow)
        .outerjoin(DecisionRow, DecisionRow.evidence_id == EvidenceRow.id)
        .where(
            EvidenceRow.received_at.between(now - within, now - _BEING_JUDGED),
            EvidenceRow.kind == Kind.CALLBACK.value,
            DecisionRow.id.is_(None),
        )
    )
    return session.scalar(statement) or 0

"""Connections to the database: their settings, their time-outs, and when one is given up.

`writing`, `writing_apart`, `reading` and `rows_at_once` begin and end a write or a read.
"""

import re
import time
from collections import namedtuple
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg2.extensions import TRANSACTION_STATUS_IDLE
from sqlalchemy import URL, CompoundSelect, Connection, Engine, Select, create_engine, event
from sqlalchemy.dialects.postgresql import psycopg2
from sqlalchemy.exc import DBAPIError, InvalidatePoolError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql.compiler import SQLCompiler

from mpesa import silence
from mpesa.silence import Silent

# A statement that reads rows.
Query = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]

MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"

# One request needs one connection, for milliseconds; after `pool_timeout` (seconds) of waiting
# it is told that the database is not there. No connection gets older than half an hour, so that one
# that became useless unnoticed is gone by then.
POOL = {"pool_size": 20, "max_overflow": 20, "pool_timeout": 10, "pool_recycle": 1800}
# A connection that rested for longer (seconds) is tested before its use: the database may have been
# restarted, which takes longer than this. A test each time cost a payment 0.6 ms of CPU.
_RESTED = 0.5
# Seconds for the answer to that test; it needs no disk and no lock.
_PING_WITHIN = 2.0
# PostgreSQL's answer to a write on a standby, or where `default_transaction_read_only` is on
# (PostgreSQL docs, appendix A: read_only_sql_transaction).
_READ_ONLY = "25006"
# A peer that is gone is noticed after 5 s at most, where Linux alone would try for a quarter of an
# hour (PostgreSQL docs, 34.1.2; milliseconds for the last, seconds for the others).
_TCP = {
    "connect_timeout": round(silence.CONNECT_WITHIN),
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
}


@dataclass(frozen=True)
class Limits:
    """The time-outs of PostgreSQL, in seconds.

    Attributes:
        statement: for one statement.
        lock: for the wait for one lock.
        idle: for a transaction in which nothing happens: its process is lost, its locks are not.
    """

    statement: int
    lock: int
    idle: int

    @property
    def silence(self) -> float:
        """Seconds after which no answer comes: PostgreSQL would have ended the statement."""
        return self.statement + 1.0


# A statement of a request takes milliseconds; a person who waits for longer than this has left. The
# wait for the order's lock is shorter than the time that the outbox looks back (10 s,
# `outbox.OVERLAP`), so that no change is committed after all workers have looked past it.
REQUESTS = Limits(statement=8, lock=6, idle=15)
# Whole tables take their time, and the reader of an export may pause. A migration that waits for a
# table's lock delays all requests that come after it, so it gives up soon.
LONG_WORK = Limits(statement=3600, lock=5, idle=3600)


def connect_args(url: URL, limits: Limits) -> dict[str, Any]:
    """Make the driver's arguments beside the address; parameters in DATABASE_URL win.

    The session's settings go with the start of the connection and cost no round trip.

    Args:
        url: DATABASE_URL.
        limits: of its sessions.
    """
    if url.get_backend_name() != "postgresql":
        return {}
    ours = {
        # The code needs these two; the defaults of a database or a role may differ.
        "default_transaction_isolation": r"read\ committed",
        "timezone": "UTC",
        "statement_timeout": f"{limits.statement}s",
        "lock_timeout": f"{limits.lock}s",
        "idle_in_transaction_session_timeout": f"{limits.idle}s",
    }
    theirs = url.query.get("options", "")
    options = [f"-c {name}={value}" for name, value in ours.items()]
    options += [theirs] if isinstance(theirs, str) else theirs  # of two, the later one counts
    return {
        **{name: value for name, value in _TCP.items() if name not in url.query},
        "options": " ".join(options),
        "connection_factory": silence.Connection,
    }


def guard(engine: Engine, limits: Limits) -> None:
    """Let an engine give up connections that are silent, broken or read-only.

    Args:
        engine: new, made with `connect_args` of the same limits.
    """
    prepare_sqlite(engine)
    if engine.dialect.name == "postgresql":

        @event.listens_for(engine, "connect")
        def _stands(driver: Any, _record: Any) -> None:
            driver.answers_within = limits.silence

        @event.listens_for(engine, "handle_error")
        def _failed(context: Any) -> None:
            # One may not write, after a failover or with a full disk. The others that rest in the
            # pool are as old, and as useless: all are let go.
            if getattr(context.original_exception, "pgcode", None) == _READ_ONLY:
                context.is_disconnect = True

        _ask_what_rested(engine)


_WAIT_FOR_WRITERS = "PRAGMA busy_timeout = 5000"


def prepare_sqlite(engine: Engine) -> None:
    """Give an SQLite engine foreign keys, a write-ahead log and explicit BEGINs."""
    if engine.dialect.name != "sqlite":
        return

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # else the driver begins by itself, and too late
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # a 200 that Safaricom got outlives a power cut
        cursor.execute(_WAIT_FOR_WRITERS)
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        options = connection.get_execution_options()
        begin = options.get("sqlite_begin", "BEGIN")
        if options.get("sqlite_waits", True):
            connection.exec_driver_sql(begin)
            return
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql(begin)
        finally:
            connection.exec_driver_sql(_WAIT_FOR_WRITERS)


def _ask_what_rested(engine: Engine) -> None:
    """Replace connections that broke, or became read-only, while they rested in the pool."""

    @event.listens_for(engine, "checkin")
    def _rests(_driver: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _works_again(driver: Any, record: Any, _proxy: Any) -> None:
        rests_since = record.info.get("rests_since")
        if rests_since is None or time.monotonic() <= rests_since + _RESTED:
            return
        with suppress(engine.dialect.loaded_dbapi.Error):
            usual, driver.answers_within = driver.answers_within, _PING_WITHIN
            driver.autocommit = True
            with driver.cursor() as cursor:
                cursor.execute("SHOW transaction_read_only")
                (read_only,) = cursor.fetchone()
            driver.autocommit = False
            driver.answers_within = usual
            if read_only == "off":
                return
        raise InvalidatePoolError  # the pool makes a new one, and asks no other old one


@contextmanager
def writing(session: Session, *, waits: bool = True) -> Iterator[Session]:
    """Begin a write, and commit it, or roll it back when an exception is raised.

    SQLite takes its write lock at the beginning (`BEGIN IMMEDIATE`): a transaction that read
    first and writes later fails when another one wrote in between. The block may not yield to
    another greenlet, or every other writer of this process waits for a holder that cannot run.

    Args:
        session: a read that it had begun is ended.
        waits: False: SQLite fails at once where another process writes; while it waits, this
            process does nothing else.

    Raises:
        RuntimeError: the session has changes that were not committed.
    """
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("uncommitted changes before a write")
    session.rollback()
    options = {"sqlite_begin": "BEGIN IMMEDIATE", "sqlite_waits": waits}
    session.connection(execution_options=options)
    try:
        yield session
        session.commit()
    except BaseException:
        session.rollback()
        raise


@contextmanager
def reading(session: Session) -> Iterator[Connection]:
    """The session's connection, for one SELECT.

    PostgreSQL is spared the BEGIN and the ROLLBACK around it: the driver's own flag costs nothing,
    whereas SQLAlchemy's isolation level AUTOCOMMIT sends a SET before and after.

    Args:
        session: a transaction that it has begun goes on.
    """
    begun = session.in_transaction()
    connection = session.connection()
    if begun or connection.dialect.name != "postgresql":
        yield connection
        return
    driver: Any = connection.connection.dbapi_connection
    driver.autocommit = True
    try:
        yield connection
    finally:
        if not driver.closed:
            driver.autocommit = False


def rows_at_once(engine: Engine, query: Query, values: dict[str, Any]) -> Sequence[Any]:
    """Read the rows of one SELECT, on a connection of its own and outside of any transaction.

    On PostgreSQL the driver's cursor runs the query: SQLAlchemy's work around a short query takes
    as long as the query. Values are then the driver's own; times are aware, in any zone.

    Args:
        query: the same object each time, since its text is kept.
        values: of the query's parameters, by name.

    Raises:
        SQLAlchemyError: the database failed.
    """
    if engine.dialect.name == "postgresql":
        try:
            pooled = engine.raw_connection()
        except engine.dialect.loaded_dbapi.Error as error:
            raise OperationalError(None, None, error) from error
        try:
            return _rows_by_driver(pooled, query, values)
        except Silent as error:  # the request has waited long enough
            raise OperationalError(None, None, error) from error
        except engine.dialect.loaded_dbapi.Error:
            pass
    # After a failure too: SQLAlchemy knows which errors call for which connections to be given up.
    with engine.connect() as connection:
        return connection.execute(query, values).all()


def _rows_by_driver(
    pooled: PoolProxiedConnection, query: Query, values: dict[str, Any]
) -> list[Any]:
    compiled, row = _compiled(query)
    driver: Any = pooled.dbapi_connection
    try:
        driver.autocommit = True
        with driver.cursor() as cursor:
            cursor.execute(compiled.string, compiled.construct_params(values))
            found = [row._make(each) for each in cursor]
        driver.autocommit = False
    except BaseException:  # also if this greenlet is ended: an answer may still be on its way
        pooled.invalidate()
        raise
    pooled.close()
    return found


@cache
def _compiled(query: Query) -> tuple[SQLCompiler, Any]:
    """The text of a query for the driver, and the class of its rows."""
    names = [str(column.key) for column in query.selected_columns]
    row = namedtuple("_Row", names)  # type: ignore[misc]  # names that mypy cannot know
    dialect = psycopg2.dialect()  # type: ignore[no-untyped-call]
    return query.compile(dialect=dialect), row


@contextmanager
def writing_apart(session: Session) -> Iterator[Connection]:
    """Open a connection for one write; what is not committed at the end is rolled back.

    On PostgreSQL no transaction is begun: the caller sends BEGIN and COMMIT along with the
    statements. On SQLite the write lock is taken with the first statement, and the block may not
    yield to another greenlet from then on, see `writing`.

    Args:
        session: a read that it had begun is ended, so that its connection goes back first.

    Raises:
        RuntimeError: the session has changes that were not committed.
    """
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("uncommitted changes before a write")
    session.rollback()
    session.expire_all()  # the write may change what it read
    with session.get_bind().engine.connect() as connection:
        if connection.dialect.name != "postgresql":
            try:
                yield connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
            except BaseException:
                # After a failed COMMIT, closing alone would give it back inside its transaction.
                connection.rollback()
                raise
            return
        driver: Any = connection.connection.dbapi_connection
        driver.autocommit = True  # the driver begins nothing by itself
        try:
            yield connection
        finally:
            try:
                if driver.info.transaction_status != TRANSACTION_STATUS_IDLE:
                    with driver.cursor() as cursor:
                        cursor.execute("ROLLBACK")
                driver.autocommit = False
            except driver.Error:  # it cannot be given back as it was
                connection.invalidate()


@contextmanager
def for_long_work(engine: Engine) -> Iterator[Engine]:
    """Make an engine whose statements may take an hour, for migrations, export and forgetting.

    SQLite has no such limits, and gets the same engine.
    """
    if engine.dialect.name != "postgresql":
        yield engine
        return
    own = create_engine(
        engine.url,
        hide_parameters=True,
        execution_options=dict(engine.get_execution_options()),
        connect_args=connect_args(engine.url, LONG_WORK),
    )
    guard(own, LONG_WORK)
    try:
        yield own
    finally:
        own.dispose()


def cannot_write(error: Exception) -> bool:
    """Whether the database failed because it is read-only, or its disk is full."""
    if not isinstance(error, DBAPIError):
        return False
    of_sqlite = getattr(error.orig, "sqlite_errorname", "").startswith(
        ("SQLITE_FULL", "SQLITE_READONLY", "SQLITE_IOERR_WRITE")
    )
    # 53100: disk_full.
    return of_sqlite or getattr(error.orig, "pgcode", None) in (_READ_ONLY, "53100")


def reason(error: SQLAlchemyError, url: URL) -> str:
    """The first line of the driver's message, without any part of DATABASE_URL.

    A password that is not encoded may end up as host, port or name of the database.

    Args:
        url: DATABASE_URL as it was parsed.
    """
    line = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    if "unsupported startup parameter" in line:  # PgBouncer
        return "a pooler refuses our session settings, see docs/deployment.md"
    parts = [url.username, url.password, url.host, str(url.port or ""), url.database]
    parts += [each for values in url.normalized_query.values() for each in values]
    known = {piece for part in parts if part for piece in (part, unquote(part), *part.split(","))}
    for piece in sorted(known - {""}, key=len, reverse=True):
        line = re.sub(rf"(?<!\w){re.escape(piece)}(?!\w)", "…", line)
    return line


def missing_migrations(connection: Connection) -> bool:
    """Whether the newest migration has not yet run on this database."""
    return MigrationContext.configure(connection).get_current_revision() != _newest()


def own_sessions(engine: Engine) -> sessionmaker[Session]:
    """Make sessions apart from the request's, for writes that are commits of their own."""
    return sessionmaker(engine, expire_on_commit=False)


@cache
def _newest() -> str | None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()

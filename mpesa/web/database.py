"""Opening the database, bringing it to the newest migration, and telling whether it is there."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import flask_migrate
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, Dialect, Engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from mpesa.config import Settings, SettingsError
from mpesa.ledger import TELLS_MERCHANT
from mpesa.models import db, prepare_sqlite

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"

# One request needs one connection, for milliseconds; what waits longer than this (seconds) is told
# that the database is not there.
_POOL = {"pool_size": 20, "max_overflow": 20, "pool_timeout": 10}
# A connection that rested for longer (seconds) is asked whether it still stands: the database may
# have been restarted, which takes longer than this. Asking each time cost a payment 0.6 ms of CPU.
_RESTED = 0.5
# Any number will do, as long as every worker takes the same lock: "MPESA" on a phone's keys.
_MIGRATION_LOCK = 67_372


def connect(app: Flask, settings: Settings) -> None:
    """Give the application its database: DATABASE_URL, or an SQLite file under `instance/`.

    Raises:
        SettingsError: the address cannot be read, or the file's folder cannot be written.
    """
    url = settings.database_url or f"sqlite:///{app.instance_path}/mpesa.sqlite"
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _wrong("expected postgresql://user:password@host/name or sqlite:///file") from None
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        _make_folder(Path(parsed.database).absolute())
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    # Parameters hold phone numbers and tokens, so they stay out of error texts and logs.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        **_POOL,
        "hide_parameters": True,
        "execution_options": {TELLS_MERCHANT: settings.webhook_url is not None},
    }
    db.init_app(app)
    with app.app_context():
        prepare_sqlite(db.engine)
        _ask_what_rested(db.engine)


def _ask_what_rested(engine: Engine) -> None:
    """Replace connections that broke while nobody used them."""

    @event.listens_for(engine, "checkin")
    def _rests(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _works_again(connection: Any, record: Any, _proxy: Any) -> None:
        rests_since = record.info.get("rests_since")
        if rests_since is not None and time.monotonic() > rests_since + _RESTED:
            _ask(engine.dialect, connection)


def _ask(dialect: Dialect, connection: Any) -> None:
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error:
        raise InvalidatePoolError from None  # the pool makes a new one, and asks no other old one


def migrate() -> None:
    """Bring the application's database to the newest migration; workers take turns.

    Raises:
        SettingsError: it does not answer, or refuses.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with db.engine.connect() as connection, _turn(connection):
            _check_encoding(connection)
            if missing_migrations(connection):
                flask_migrate.upgrade(directory=str(MIGRATIONS))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        raise _wrong(f"the database cannot be used ({reason})") from None


def missing_migrations(connection: Connection) -> bool:
    """Whether the newest migration has not run there."""
    return MigrationContext.configure(connection).get_current_revision() != _newest()


def own_sessions(engine: Engine) -> sessionmaker[Session]:
    """Sessions apart from the request's, for what has to be committed by itself."""
    return sessionmaker(engine, expire_on_commit=False)


def _check_encoding(connection: Connection) -> None:
    """Another encoding refuses some descriptions, or counts their bytes as characters."""
    if connection.dialect.name == "postgresql":
        encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise _wrong(f"the database's encoding is {encoding}; create it WITH ENCODING 'UTF8'")


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Hold a lock that other workers wait for; SQLite has one worker."""
    if connection.dialect.name != "postgresql":
        yield
        return
    connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    try:
        yield
    finally:
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _MIGRATION_LOCK})


@cache
def _newest() -> str | None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def _make_folder(file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise _wrong(
            f"{file} cannot be written ({error.strerror}). Make the folder writable, or name"
            " another file"
        ) from None


def _wrong(what: str) -> SettingsError:
    return SettingsError(f"DATABASE_URL: {what}.")

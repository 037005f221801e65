"""Open the application's database, and bring it to the newest migration."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.util import CommandError
from flask import Flask, current_app
from sqlalchemy import Connection, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from mpesa import counters
from mpesa.config import Settings, SettingsError
from mpesa.database import (
    POOL,
    REQUESTS,
    connect_args,
    for_long_work,
    guard,
    missing_migrations,
    reason,
)
from mpesa.models import db
from mpesa.records import SHOP, Shop

log = logging.getLogger(__name__)

# Any number works as long as every worker takes the same lock: "MPESA" on a phone's keys.
_MIGRATION_LOCK = 67_372
# Seconds between two tries of a worker to have its turn at the migrations.
_TURN_AGAIN = 0.2


def connect(app: Flask, settings: Settings) -> None:
    """Give the application its database: DATABASE_URL, or an SQLite file under `instance/`.

    Raises:
        SettingsError: the address cannot be read, or the file's folder cannot be written.
    """
    url = settings.database_url or f"sqlite:///{app.instance_path}/mpesa.sqlite"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise _unreadable_url() from None
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        file = Path(parsed.database).absolute()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        except OSError as error:
            raise _url_error(
                f"{file} cannot be written ({error.strerror}). Make the folder writable, or name"
                " another file"
            ) from None
    app.config["SQLALCHEMY_DATABASE_URI"] = url
    app.config["DARAJA_SHORTCODE"] = settings.daraja_shortcode  # a migration writes it down
    # Parameters hold phone numbers and tokens, so they stay out of error texts and logs.
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {
        **POOL,
        "hide_parameters": True,
        "execution_options": {
            SHOP: Shop(settings.daraja_shortcode, tells_merchant=settings.webhook_url is not None)
        },
        "connect_args": connect_args(parsed, REQUESTS),
    }
    try:
        db.init_app(app)
    except ArgumentError:  # more hosts than ports, and the like
        raise _unreadable_url() from None
    app.teardown_appcontext(_end_session)  # the function that was added last is called first
    with app.app_context():
        guard(db.engine, REQUESTS)


def _end_session(_error: BaseException | None) -> None:
    """End the session before Flask-SQLAlchemy does.

    If its connection broke after the answer was made, giving it back fails, and the server would
    answer a request that succeeded with a 500 of its own.
    """
    try:
        db.session.remove()
    except Exception as error:  # noqa: BLE001 - the answer is made, so no failure may reach it
        db.session.registry.clear()
        counters.count("errors", kind="database")
        log.error("a connection could not be given back: %s", type(error).__name__)


def migrate() -> None:
    """Bring the application's database to the newest migration; workers take turns.

    Raises:
        SettingsError: the database does not answer, refuses, or has another encoding than UTF-8.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        with (
            for_long_work(db.engine) as engine,
            engine.connect() as connection,
            _migration_turn(connection),
        ):
            if connection.dialect.name == "postgresql":
                # Another encoding refuses some descriptions, or counts bytes as characters.
                encoding = connection.scalar(text("SHOW server_encoding"))
                if encoding != "UTF8":
                    raise _url_error(
                        f"the database's encoding is {encoding}; create it WITH ENCODING 'UTF8'"
                    )
            if missing_migrations(connection):
                command.upgrade(current_app.extensions["migrate"].migrate.get_config(), "head")
    except SQLAlchemyError as error:
        raise _url_error(f"the database cannot be used ({reason(error, db.engine.url)})") from None
    except CommandError as error:  # its text is `reason`'s already, see migrations/env.py
        raise _url_error(f"the database cannot be used ({error})") from None


@contextmanager
def _migration_turn(connection: Connection) -> Iterator[None]:
    """Hold a lock that other workers wait for; SQLite needs none, since it has one worker."""
    if connection.dialect.name != "postgresql":
        yield
        return
    # Asked again and again: a statement that waits for the lock has a snapshot, and an index that
    # is built beside running payments waits for all older snapshots to end.
    turn = text("SELECT pg_try_advisory_xact_lock(:lock)")
    while not connection.scalar(turn, {"lock": _MIGRATION_LOCK}):
        connection.rollback()
        time.sleep(_TURN_AGAIN)
    try:
        yield
    finally:
        connection.rollback()


def _unreadable_url() -> SettingsError:
    return _url_error("expected postgresql://user:password@host/name or sqlite:///file")


def _url_error(what: str) -> SettingsError:
    return SettingsError(f"DATABASE_URL: {what}.")

"""The workers that serve one database, counted so that a missing REDIS_URL is noticed."""

import secrets

from sqlalchemy import text
from sqlalchemy.orm import Session

_PREFIX = "mpesa worker "


def new_name() -> str:
    """Make a name for this process that no other has."""
    return _PREFIX + secrets.token_hex(8)


def introduce(session: Session, name: str) -> None:
    """Give this worker's connection its name in PostgreSQL.

    A row would outlive a worker that was killed; its connections do not.
    """
    if _names_connections(session):
        session.execute(text("SELECT set_config('application_name', :name, false)"), {"name": name})
        session.commit()  # a rollback would take it back


def count(session: Session) -> int:
    """Count the workers that are connected to the database; 0 on SQLite, which does not know."""
    if not _names_connections(session):
        return 0
    statement = text(
        "SELECT count(DISTINCT application_name) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE :names"
    )
    return session.scalar(statement, {"names": f"{_PREFIX}%"}) or 0


def _names_connections(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"

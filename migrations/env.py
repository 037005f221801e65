"""How Alembic meets the application: its engine, its models, one migration for both databases."""

from typing import Any, Literal

from alembic import context
from alembic.util import CommandError
from flask import current_app
from sqlalchemy.exc import SQLAlchemyError

from mpesa.database import for_long_work, reason
from mpesa.models import UTCDateTime, db


def render_item(kind: str, item: Any, _autogen: Any) -> str | Literal[False]:
    """Migrations outlive the code, so they name plain types."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    return False


def run() -> None:
    """Run the migrations on the application's database, each in a transaction of its own.

    In one for all, the locks of the first would be kept while the next waits for another table,
    and running workers, which lock orders before transactions, would meet them crosswise. Where one
    fails, those before it are kept, and the next start goes on after them.

    Raises:
        CommandError: it does not answer, or refuses; the text shows nothing of DATABASE_URL.
    """
    try:
        with for_long_work(db.engine) as engine, engine.connect() as connection:
            context.configure(
                connection=connection,
                target_metadata=db.metadata,
                render_item=render_item,
                transaction_per_migration=True,
                **current_app.extensions["migrate"].configure_args,
            )
            with context.begin_transaction():
                context.run_migrations()
    except SQLAlchemyError as error:
        raise CommandError(reason(error, db.engine.url)) from None


def print_sql() -> None:
    """`flask db upgrade --sql`: for a database that only an administrator may change."""
    context.configure(
        url=str(db.engine.url),
        target_metadata=db.metadata,
        literal_binds=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    print_sql()
else:
    run()

"""A group of commands that says in one line what is wrong with the database."""

from typing import Any

import click
from flask.cli import AppGroup
from sqlalchemy.exc import SQLAlchemyError


class Group(AppGroup):
    """Commands that end with one line instead of a traceback if the database fails."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except SQLAlchemyError:
            raise click.ClickException(
                "the database does not answer, or is not migrated: check DATABASE_URL, run"
                " `flask db upgrade`; `flask doctor` says more"
            ) from None

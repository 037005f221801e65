"""The flask commands."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask

from mpesa.cli.c2b import c2b_group
from mpesa.cli.days import days_group
from mpesa.cli.doctor import doctor_command, is_asked, say_wrong_settings
from mpesa.cli.initiator import initiator_group
from mpesa.cli.operators import operators_group
from mpesa.cli.orders import orders_group
from mpesa.cli.pull import pull_group
from mpesa.cli.receipts import receipts_group
from mpesa.cli.refunds import refunds_group
from mpesa.cli.statement import statement_group
from mpesa.cli.transactions import transactions_group
from mpesa.cli.version import version_command
from mpesa.cli.webhooks import webhooks_group
from mpesa.config import SettingsError


def register(app: Flask) -> None:
    """Add the commands to an application."""
    for command in (
        orders_group,
        operators_group,
        transactions_group,
        receipts_group,
        refunds_group,
        statement_group,
        days_group,
        webhooks_group,
        c2b_group,
        pull_group,
        initiator_group,
        doctor_command,
        version_command,
    ):
        app.cli.add_command(command)


@contextmanager
def one_line_for_wrong_settings() -> Iterator[None]:
    """Let a `flask` command end with one line that names the setting instead of a traceback."""
    try:
        yield
    except SettingsError as problem:
        if click.get_current_context(silent=True) is None:
            raise
        if is_asked():
            say_wrong_settings(problem)
            sys.exit(1)
        sys.exit(f"mpesa: {problem}")

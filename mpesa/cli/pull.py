"""flask pull: fetch what was paid from Safaricom, beside what it tells by itself."""

import sys
from datetime import timedelta

import click

from mpesa import pull
from mpesa.cli.group import Group
from mpesa.cli.times import in_nairobi
from mpesa.daraja import DarajaError
from mpesa.daraja.pull import register_pull
from mpesa.models import db
from mpesa.web.http.services import pull_needs, services

pull_group = Group("pull", help="Fetch what was paid, for what nobody told this server.")


@pull_group.command("register")
def register() -> None:
    """Register the short code for Pull Transactions; again does no harm."""
    ours = services()
    settings = ours.settings
    if settings.pull_nominated_number is None:
        raise click.ClickException(
            "PULL_NOMINATED_NUMBER is not set: the Safaricom number in the organisation's papers"
        )
    try:
        register_pull(
            ours.access.daraja,
            settings.c2b_shortcode,
            settings.pull_nominated_number,
            # An address has to be named; what is posted there is answered, and means nothing.
            f"{settings.public_url}/c2b/pull/validation",
        )
    except DarajaError as error:
        raise click.ClickException(
            f"{error}. Does the Daraja app have Pull Transactions, and {settings.c2b_shortcode}"
            " its addresses (flask c2b register)?"
        ) from None
    click.echo(f"Registered: {settings.c2b_shortcode} can be pulled.")


@pull_group.command("run")
def run() -> None:
    """Fetch what was paid in the last 48 hours, whenever that was done last."""
    ours = services()
    if ours.settings.pull_nominated_number is None:
        raise click.ClickException(
            "PULL_NOMINATED_NUMBER is not set, and the short code not registered for Pull"
            " (flask pull register)"
        )
    on_terminal = is_watched()

    def show(count: int) -> None:
        if on_terminal:  # in a pipe nobody watches, and the lines would be in the way
            click.echo(f"\r{count:,} payments", nl=False, err=True)

    try:
        pulled = pull.run_once(db.session(), pull_needs(), timedelta(0), show)
    except DarajaError as error:
        raise click.ClickException(
            f"{error}. What came before is kept; it is tried again by itself"
        ) from None
    finally:
        if on_terminal:
            click.echo(err=True)
    if pulled is None:
        raise click.ClickException("another process is at it now; nothing was done")
    click.echo(f"{pulled.count:,} payments were told")
    if pulled.unread:
        click.echo(f"{pulled.unread:,} rows cannot be read: look on the portal", err=True)
    if not pulled.complete:
        click.echo("It may not be all: Daraja did not say that there is no more.", err=True)
        raise click.exceptions.Exit(1)
    row = pull.last(db.session(), ours.settings.c2b_shortcode)
    if row is not None and row.reaches_back_to is not None:
        click.echo(f"Without a gap since {in_nairobi(row.reaches_back_to)}.")


def is_watched() -> bool:
    """Whether somebody looks at what this command shows of its progress."""
    return sys.stderr.isatty()

"""flask pull: fetch what was paid from Safaricom, beside what it tells by itself."""

import click

from mpesa.cli.group import Group
from mpesa.daraja import DarajaError
from mpesa.daraja.pull import register_pull
from mpesa.web.http.services import services

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

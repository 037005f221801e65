"""flask c2b: register where Safaricom reports payments that no push asked for."""

import click

from mpesa.cli.group import Group
from mpesa.config import SANDBOX_SHORT_CODE, DarajaEnv
from mpesa.daraja import DarajaError, Refused
from mpesa.daraja.c2b import Registered, addresses, forbidden_words, register_c2b
from mpesa.domain.result_codes import Reason
from mpesa.web.http.services import services

c2b_group = Group("c2b", help="Hear of payments that no push asked for.")

_ALREADY = """\
Safaricom has addresses for {short_code} already, and does not tell which.
  - If they are this server's, all is well: pay KES 1 by hand and see whether it is heard of.
  - If C2B_TOKEN or PUBLIC_URL changed, or they are another system's: on the Daraja portal, Self
    Service, URL Management, two Manager or Admin operators delete them; then run this again.
  - "Duplicate notification info" there means another provider's platform: Safaricom removes it."""
_NO_PRODUCT = (
    "Does the Daraja app have Customer To Business in this version? C2B_VERSION chooses v1 or v2"
)
_AGAIN = "If it may be registered, run this again: it then says so"


@c2b_group.command("register")
def register() -> None:
    """Register the confirmation and validation addresses; in production this can be done once."""
    ours = services()
    settings = ours.settings
    if not settings.c2b_token:
        raise click.ClickException("C2B_TOKEN is not set: make one with `openssl rand -hex 32`")
    if found := forbidden_words(settings.public_url):
        raise click.ClickException(
            f"PUBLIC_URL holds {', '.join(found)}, which Safaricom forbids in these addresses: use"
            " another host name"
        )
    short_code, version = settings.c2b_shortcode, settings.c2b_version
    # The token stays out of terminals that others read along on.
    click.echo(f"{settings.public_url}/c2b/<the first C2B_TOKEN>/confirmation and …/validation")
    click.echo(f"for {short_code}, {version.value}, at {settings.daraja_base_url}")
    if settings.daraja_env is DarajaEnv.SANDBOX and short_code == SANDBOX_SHORT_CODE:
        click.echo(f"The sandbox registers 600xxx, not {short_code}: see C2B_SHORTCODE.")
    click.confirm("Register them? In production they can't be changed from here", abort=True)
    try:
        outcome = register_c2b(
            ours.access.daraja,
            version,
            short_code,
            addresses(settings.public_url, settings.c2b_token[0]),
        )
    except DarajaError as error:
        is_refused = isinstance(error, Refused) and error.reason is Reason.MISCONFIGURED
        raise click.ClickException(f"{error}. {_NO_PRODUCT if is_refused else _AGAIN}") from None
    if outcome is Registered.ALREADY:
        click.echo(_ALREADY.format(short_code=short_code), err=True)
        raise click.exceptions.Exit(1)
    click.echo("Registered. Pay KES 1 by hand and see whether it is heard of.")

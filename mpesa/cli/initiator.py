"""flask initiator: seal the password of an API user, and let a stopped one be used again."""

from pathlib import Path

import click

from mpesa import status
from mpesa.cli.group import Group
from mpesa.cli.person import as_option, recognised, typed_secret
from mpesa.daraja.sealing import CannotSeal, is_doubtful, seal
from mpesa.domain.people_text import read_line
from mpesa.domain.roles import Act
from mpesa.ids import new_id
from mpesa.initiators import Go, Name
from mpesa.models import db
from mpesa.receipts import LONGEST_REASON
from mpesa.web.http.services import services

initiator_group = Group("initiator", help="Seal API users' passwords; let one be used again.")


@initiator_group.command("seal")
@click.option(
    "--certificate",
    "certificate",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Safaricom's, of the sandbox or of production, in PEM or DER.",
)
def seal_password(certificate: Path) -> None:
    """Print the credential for DARAJA_STATUS_CREDENTIAL or DARAJA_REFUND_CREDENTIAL.

    The API user's password is asked for, or read as one line from standard input if that is not a
    terminal. It is kept nowhere.
    """
    try:
        key = certificate.read_bytes()
    except OSError as error:
        raise click.ClickException(f"the certificate cannot be read ({error.strerror})") from None
    password = typed_secret("Password of the API user")
    try:
        credential = seal(password, key)
    except CannotSeal as problem:
        raise click.ClickException(str(problem)) from None
    if is_doubtful(password):
        click.echo(
            "The password has signs that Safaricom advises against: letters, digits and # & % $"
            " are safe. If Daraja answers 2001, set another one.",
            err=True,
        )
    click.echo(credential)


@initiator_group.command("go")
@click.argument("initiator", type=click.Choice([each.value for each in Name]))
@as_option
@click.option("--reason", default="flask initiator go", help="Kept with your name.")
def use_again(initiator: str, name: str, reason: str) -> None:
    """Let an API user be used again that was stopped: its password was refused, or it was silent.

    First see on the organisation portal that it is active, and set its credential again. Requests
    then go out one at a time until one is answered, and after two in vain it is stopped again.
    """
    why = read_line(reason, LONGEST_REASON)
    if why is None:
        raise click.BadParameter("up to 100 characters on one line", param_hint="--reason")
    person = recognised(name, Act.SWITCH_INITIATOR)
    said = Go(Name(initiator), person.name, why, new_id())
    if not status.go(db.session(), said, services().now()):
        raise click.ClickException("it is not stopped; nothing was done")
    click.echo(f"the {initiator} initiator is used again, one request at a time until an answer")

"""flask initiator: seal the password of an API user of the organisation portal."""

from pathlib import Path

import click

from mpesa.cli.group import Group
from mpesa.cli.person import typed_secret
from mpesa.daraja.sealing import CannotSeal, is_doubtful, seal

initiator_group = Group("initiator", help="Seal the passwords of the API users.")


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

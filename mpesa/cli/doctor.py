"""flask doctor: what is wrong, and how to mend it."""

import click
from flask.cli import with_appcontext

from mpesa.web import doctor
from mpesa.web.services import services


@click.command("doctor")
@with_appcontext
def doctor_command() -> None:
    """Check settings, database, Redis, Daraja and PUBLIC_URL, and say what to mend."""
    findings = doctor.examine(services())
    for finding in findings:
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<12} {finding.says}")
    if not all(finding.well for finding in findings):
        raise click.exceptions.Exit(1)

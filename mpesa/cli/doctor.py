"""flask doctor: what is wrong, and how to mend it."""

import sys
from collections.abc import Sequence

import click
from flask.cli import with_appcontext

from mpesa.cli import examination
from mpesa.cli.examination import Finding
from mpesa.config import SettingsError, environment
from mpesa.web.http.services import services


@click.command("doctor")
@with_appcontext
def doctor_command() -> None:
    """Look at everything, in the order in which to mend it; exit status 1 where it is wrong."""
    findings = examination.examine(services())
    _say(findings)
    if not all(finding.well for finding in findings):
        raise click.exceptions.Exit(1)


def is_asked() -> bool:
    """Whether this process is `flask doctor`, which has more to say about wrong settings."""
    return "doctor" in sys.argv[1:]


def say_wrong_settings(first: SettingsError) -> None:
    """Say which settings are wrong, all of them: without them there is nothing else to look at.

    Args:
        first: what ended the start; the only one where a setting is wrong by what it names.
    """
    try:
        wrong = examination.examine_settings(environment())
    except SettingsError:  # .env cannot be read
        wrong = []
    _say(wrong or [Finding("settings", False, str(first))])
    click.echo("The rest is looked at once these are right.")


def _say(findings: Sequence[Finding]) -> None:
    for finding in findings:
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<12} {finding.says}")

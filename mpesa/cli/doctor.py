"""flask doctor: checks the installation, and says how to fix what is wrong."""

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
    """Check everything, in the order in which to fix it; exit status 1 if anything is wrong."""
    findings = examination.examine(services())
    _print_findings(findings)
    if not all(finding.well for finding in findings):
        raise click.exceptions.Exit(1)


def is_asked() -> bool:
    """Whether this process is `flask doctor`, which reports all wrong settings at once."""
    return "doctor" in sys.argv[1:]


def say_wrong_settings(first: SettingsError) -> None:
    """Print every wrong setting; without right settings nothing else can be checked.

    Args:
        first: the error that ended the start. It is printed alone if no setting is wrong by itself
            but only what a setting names.
    """
    try:
        wrong = examination.examine_settings(environment())
    except SettingsError:  # .env cannot be read
        wrong = []
    _print_findings(wrong or [Finding("settings", False, str(first))])
    click.echo("The rest is checked once these settings are right.")


def _print_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        click.echo(f"{'ok ' if finding.well else 'BAD'}  {finding.what:<12} {finding.says}")

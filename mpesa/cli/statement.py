"""flask statement: import what the organisation's portal exported."""

import getpass
import sys
from datetime import date
from pathlib import Path

import click

from mpesa.cli.group import Group
from mpesa.domain.money import format_cents
from mpesa.domain.statement_lines import LineKind, StatementDefect
from mpesa.models import db
from mpesa.statements import importing
from mpesa.statements.importing import Found, Given
from mpesa.statements.reading import ReaderBusy, ReadStatement, read
from mpesa.web.http.services import services, statement_needs

statement_group = Group("statement", help="Import statements of the organisation's portal.")
_WORDS = {
    LineKind.PAYMENT: "payments",
    LineKind.CHARGE: "charges",
    LineKind.REVERSAL: "reversals",
    LineKind.SWEEP: "transfers to or from the bank",
    LineKind.OTHER: "other movements",
    LineKind.VOID: "not completed",
}


_NOTHING_DONE = (
    "Nothing has changed: this very file was imported before, or the server is importing it."
)


@statement_group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only say what would be found.")
@click.option("--days", metavar="FROM..TO", help="That it covers, if neither it nor its name says.")
def import_statement(file: Path, dry_run: bool, days: str | None) -> None:
    """Take in a CSV, XLSX or XLS of the portal: each payment in it, and each reversal."""
    by = f"flask, {getpass.getuser()}"
    given = Given(file.read_bytes(), file.name, _days(days), by)
    needs, session = statement_needs(), db.session()
    if sys.stderr.isatty():
        click.echo("reading, which takes up to a minute for 100,000 rows", err=True)
    try:
        with read(given.raw, importing.asked(needs, given)) as statement:
            found = importing.look(session, statement)
            _say(statement, found)
            if dry_run:
                return
            now = services().now()
            file_id, _ = importing.keep(session, given, statement, now, found)
            done = importing.settle(session, file_id, needs, statement, _progress)
    except StatementDefect as defect:
        raise click.ClickException(f"{file.name}: {defect}") from None
    except ReaderBusy:
        raise click.ClickException("other statements are being read: try again") from None
    click.echo("Imported." if done else _NOTHING_DONE)


def _days(said: str | None) -> tuple[date, date] | None:
    if said is None:
        return None
    try:
        first, last = (date.fromisoformat(each) for each in said.split(".."))
    except ValueError:
        wanted = "two days like 2026-11-01..2026-11-30"
        raise click.BadParameter(wanted, param_hint="--days") from None
    if last < first:
        raise click.BadParameter("the last day is before the first", param_hint="--days")
    return first, last


def _say(statement: ReadStatement, found: Found) -> None:
    days = sorted(statement.head.balances)
    covered = f"{days[0]} to {days[-1]}" if days else "no whole day"
    account = f", {statement.head.account}" if statement.head.account else ""
    click.echo(f"{statement.rows} rows{account}; it covers {covered}")
    for kind, words in _WORDS.items():
        if found.counts[kind]:
            money = format_cents(found.sums[kind])
            click.echo(f"{found.counts[kind]:>7}  {words:<30}  {money:>18}")
    click.echo(
        f"Of the payments {found.both} are in both, {found.only_there} are only at M-PESA,"
        f" {found.differ} differ in amount; {found.only_here} receipts of these days are only here."
    )


def _progress(done: int, rows: int) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == rows else ""
        click.echo(f"\r{done} of {rows} rows", nl=False, err=True)
        click.echo(end, nl=False, err=True)

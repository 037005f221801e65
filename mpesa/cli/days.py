"""flask days: how far each day is proved, and closing one."""

from datetime import date, timedelta

import click

from mpesa.cli.group import Group
from mpesa.cli.person import as_option, recognised
from mpesa.domain.money import format_cents
from mpesa.domain.people_text import read_line
from mpesa.domain.receipt import nairobi_day
from mpesa.domain.roles import Act
from mpesa.models import db
from mpesa.statements import closing
from mpesa.statements.closing import LONGEST_WORD
from mpesa.statements.comparing import Compared, Difference, compare
from mpesa.web.http.services import services

days_group = Group("days", help="List how far each day is proved, and close one.")


@days_group.command("list")
@click.option("--days", "count", type=click.IntRange(1, 400), default=31, show_default=True)
def list_days(count: int) -> None:
    """Print the last days, the newest first: closed, proved, differs, waits for a statement."""
    today = nairobi_day(services().now())
    first = today - timedelta(days=count - 1)
    for each in reversed(closing.glances(db.session(), first, today, today)):
        differ = f"  differences: {each.differences}" if each.differences else ""
        money = format_cents(each.taken)
        click.echo(f"{each.day}  {each.standing:<8}  {money:>18}{differ}".rstrip())


@days_group.command("close")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@as_option
@click.option("--word", default="", help="On each difference: what you found out about it.")
def close_day(day: object, name: str, word: str) -> None:
    """Close a day that a statement covers whole; it never changes again. It takes a manager."""
    which = date.fromisoformat(f"{day:%Y-%m-%d}")
    if word and read_line(word, LONGEST_WORD) is None:
        raise click.BadParameter("1 to 100 characters on one line", param_hint="--word")
    by = recognised(name, Act.CLOSE_DAY)
    session = db.session()
    try:
        closed = closing.close(session, which, by.name, services().now, {}, word)
    except closing.NoWord as without:
        for each in without.differences:
            click.echo(_line(each), err=True)
        raise click.ClickException("say with --word what these differences are about") from None
    except closing.NotClosed as refusal:
        raise click.ClickException(f"{which} {_WHY[type(refusal)]}") from None
    _say(closed)


_WHY: dict[type[Exception], str] = {
    closing.AlreadyClosed: "is closed already, and never changes",
    closing.NotOver: "is not over",
    closing.NotCovered: "is not covered whole by a statement: flask statement import FILE",
    closing.ChangedMeanwhile: "has changed meanwhile: try again",
    closing.TooMany: "differs in too much: is another account's statement missing?",
}


@days_group.command("show")
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
def show_day(day: object) -> None:
    """Print the sums and the differences of a day."""
    _say(compare(db.session(), date.fromisoformat(f"{day:%Y-%m-%d}")))


def _say(day: Compared) -> None:
    for words, amount in (
        ("opened with", day.balances.opening if day.balances else None),
        ("received by prompt", day.push.cents),
        ("received by hand", day.hand.cents),
        ("received, no order", day.unclaimed.cents),
        ("given back", day.returned.cents),
        ("charges", day.charges.cents),
        ("to or from the bank", day.swept.cents),
        ("other", day.other.cents),
        ("closed with", day.balances.closing if day.balances else None),
    ):
        click.echo(f"{words:<20}  {format_cents(amount) if amount is not None else '-':>18}")
    for each in day.differences:
        click.echo(_line(each))
    if day.closed:
        click.echo(f"closed by {day.closed.closed_by}")


def _line(each: Difference) -> str:
    said = f"  {each.word}" if each.word else ""
    money = format_cents(each.amount)
    return f"  {each.of_day}  {each.kind:<14}  {each.receipt or '-':<10}  {money:>18}{said}"

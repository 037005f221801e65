"""What the export commands share: the days, and the lines with a bar beside them."""

import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import click
from sqlalchemy.orm import Session

from mpesa.database import for_long_work, own_sessions
from mpesa.domain.period import Named, Period, named
from mpesa.domain.receipt import nairobi_day
from mpesa.models import db
from mpesa.web.http.services import services

_DAY = click.DateTime(["%Y-%m-%d"])
_EARLIEST, _LATEST = datetime(1970, 1, 1), datetime(9000, 1, 1)  # noqa: DTZ001 - days of the options
# The bar is drawn again after so many lines, rather than for each.
_AT_ONCE = 500


def days(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a command that exports a period; `chosen` reads them."""
    options = (
        click.option("--from", "from_", type=_DAY, help="The first day in Nairobi."),
        click.option("--to", type=_DAY, help="The last day, which is included."),
        click.option(
            "--period",
            "name",
            type=click.Choice([each.value for each in Named]),
            help="Instead of --from and --to.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def chosen(from_: datetime | None, to: datetime | None, name: str | None) -> Period:
    """The period that the options name.

    Raises:
        click.UsageError: they name none, or one that there is not.
    """
    if name is not None and from_ is None and to is None:
        return named(Named(name), nairobi_day(services().now()))
    if name is not None or from_ is None or to is None:
        raise click.UsageError("give --from and --to, or --period")
    if to < from_:
        raise click.UsageError("--to is a day before --from")
    # Times beyond these have no zone.
    return Period(max(from_, _EARLIEST).date(), min(to, _LATEST).date())


def print_lines(
    label: str,
    count: Callable[[Session], int],
    lines: Callable[[Session], Iterator[str]],
) -> None:
    """Print CSV on standard output; while that is a file or a pipe, a terminal shows a bar.

    Args:
        count: the number of lines below the header.
    """
    with for_long_work(db.engine) as engine, own_sessions(engine)() as session:
        if sys.stdout.isatty() or not sys.stderr.isatty():
            for line in lines(session):
                click.echo(line, nl=False)
            return
        bar = click.progressbar(
            length=count(session), label=label, file=sys.stderr, update_min_steps=_AT_ONCE
        )
        with bar:
            for at, line in enumerate(lines(session)):
                click.echo(line, nl=False)
                bar.update(min(at, 1))  # the header is no line of the count

"""Transactions and receipts of a period as CSV, streamed."""

import logging
from collections.abc import Iterator

from flask import Response, stream_with_context

from mpesa import export
from mpesa.domain.roles import Act
from mpesa.models import db
from mpesa.web.console import periods, session
from mpesa.web.console.blueprint import console

log = logging.getLogger(__name__)

# To count all of more lines than this would take longer than the page they are counted on.
MOST_COUNTED = 100_000


@console.app_template_filter("counted")
def counted(lines: int) -> str:
    """How many lines a file has; one more than are counted stands for all above."""
    return f"{MOST_COUNTED:,}+" if lines > MOST_COUNTED else f"{lines:,}"


@console.get("/transactions.csv")
def transactions_csv() -> Response:
    """Send every transaction of a period by when it was begun; without one, today's."""
    period = periods.asked_or_refused() or periods.of_today()
    lines = export.rows(db.session(), period)
    return _taken(lines, f"transactions-{period.first}-{period.last}")


@console.get("/receipts.csv")
def receipts_csv() -> Response:
    """Send every receipt of a period by when its money moved; without one, today's."""
    period = periods.asked_or_refused() or periods.of_today()
    lines = export.receipt_rows(db.session(), period, sees_people=session.may(Act.SEE_PEOPLE))
    return _taken(lines, f"receipts-{period.first}-{period.last}")


def _taken(lines: Iterator[str], name: str) -> Response:
    log.info("%s took %s as CSV", session.operator(), name)
    return csv_answer(lines, name)


def csv_answer(lines: Iterator[str], name: str) -> Response:
    """Stream lines of CSV as a file; what fails before the first one is raised here.

    Args:
        name: the file's, without what tells its format.
    """
    first = next(lines, "")
    response = Response(stream_with_context(_until_the_end(first, lines)), mimetype="text/csv")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response


def _until_the_end(first: str, lines: Iterator[str]) -> Iterator[str]:
    try:
        yield first
        yield from lines
    finally:
        db.session.rollback()

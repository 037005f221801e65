"""The transactions as CSV, streamed."""

import logging
from collections.abc import Iterator
from datetime import date

from flask import Response, request, stream_with_context
from flask_babel import gettext as _

from mpesa import export
from mpesa.models import db
from mpesa.web.console import session
from mpesa.web.console.blueprint import console
from mpesa.web.http.errors import invalid
from mpesa.web.http.services import services

log = logging.getLogger(__name__)


@console.get("/transactions.csv")
def transactions_csv() -> Response:
    """Send every push from one day in Nairobi to another, both included; without days, today's."""
    from_, to = _day_asked_for("from"), _day_asked_for("to")
    if to < from_:
        raise invalid("to", _("The last day is before the first one."))
    log.info("%s took the transactions from %s to %s as CSV", session.operator(), from_, to)
    return csv_answer(export.rows(db.session(), from_, to), f"transactions-{from_}-{to}")


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


def _day_asked_for(name: str) -> date:
    text = request.args.get(name)
    if not text:
        return services().now().astimezone(export.NAIROBI).date()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise invalid(name, _("A day such as 2026-11-24.")) from None

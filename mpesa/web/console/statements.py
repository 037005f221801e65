"""Statements of the organisation's portal: given to us, looked at, imported."""

from datetime import date

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response

from mpesa.domain.people_text import read_line
from mpesa.domain.roles import Act
from mpesa.domain.statement_lines import LineKind, StatementDefect
from mpesa.domain.wire_words import NAIROBI
from mpesa.ids import is_id
from mpesa.models import StatementDay, StatementFile, db
from mpesa.statements import importing, side_by_side
from mpesa.statements.importing import Found, Given
from mpesa.statements.reading import ReaderBusy, read
from mpesa.web.console import session
from mpesa.web.console.blueprint import console
from mpesa.web.console.export import csv_answer
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services, statement_needs

PAGE = 50
_LONGEST_NAME = 200
KINDS = {
    LineKind.PAYMENT: _l("Payments"),
    LineKind.CHARGE: _l("Charges"),
    LineKind.REVERSAL: _l("Given back"),
    LineKind.SWEEP: _l("To or from the bank"),
    LineKind.OTHER: _l("Other movements"),
    LineKind.VOID: _l("Not completed"),
}
# What is wrong with a file, by the words of who found it.
DEFECTS = {
    "the statement is another short code's": _l("It is another short code's statement."),
    "the file does not say which days it covers: name them": _l(
        "The file does not say which days it covers. Name the first and the last one below."
    ),
    "the days that it covers cannot be": _l("The days that it covers cannot be."),
    "there is no header row: no row begins with Receipt No.": _l(
        "It is no statement: no row begins with Receipt No."
    ),
    "a column is missing, or appears twice": _l("A column is missing, or appears twice."),
    "the balance does not follow from the row before": _l(
        "The balance does not follow from the row before: a row is missing, or was changed."
    ),
    "the rows have another sum than the preamble: some are missing, or were changed": _l(
        "The rows have another sum than the file says: some are missing, or were changed."
    ),
    "a time that has not come yet": _l("A time that has not come yet."),
    "a time outside the days of this statement": _l("A time outside the days of this statement."),
    "a time that cannot be": _l("A time that cannot be."),
    "day and month are swapped: export it again": _l("Day and month are swapped. Export it again."),
    "its times are hours away from what M-PESA told: export it again": _l(
        "Its times are hours away from what M-PESA told. Export it again."
    ),
    "the same payment or reversal appears twice": _l("The same payment or reversal appears twice."),
    "an earlier statement has another amount or time for this row": _l(
        "An earlier statement has another amount or time for this row."
    ),
    "more cells than the header has": _l("The row has more cells than the header."),
    "no receipt number": _l("The row has no receipt number."),
    "the row is cut short": _l("The row is cut short."),
    "money in and out at once": _l("Money in and out at once."),
    "an amount that is none": _l("An amount that is none."),
    "a formula: the portal writes none, so it was changed": _l(
        "A formula: the portal writes none, so the file was changed."
    ),
    "the file ends in the middle of a line: export it again": _l(
        "The file ends in the middle of a line. Export it again."
    ),
    "a quotation mark or a cell that does not end": _l(
        "A quotation mark or a cell that does not end."
    ),
    "the file is broken, or no CSV, XLSX or XLS: export it again": _l(
        "The file is broken, or no CSV, XLSX or XLS. Export it again."
    ),
    "the file has a password: save it without one": _l(
        "The file has a password. Save it without one."
    ),
    "the file cannot be read: export it again, as CSV": _l(
        "The file cannot be read. Export it again, as CSV."
    ),
    "more than 200 MiB unpacked: export it in parts": _l(
        "It is more than 200 MiB unpacked. Export it in parts."
    ),
    "more than 200,000 rows: export it in parts": _l(
        "It has more than 200,000 rows. Export it in parts."
    ),
    "the file needs too much memory: export it in parts": _l(
        "The file needs too much memory. Export it in parts."
    ),
    "reading it takes too long: export it in parts": _l(
        "Reading it takes too long. Export it in parts."
    ),
}


@console.get("/statements")
def statements() -> Response:
    """List the files, the newest first, and offer to take in another one."""
    return _list()


@console.post("/statements")
def take_statement() -> Response:
    """Read a file and keep it, for the page that says what an import of it would find."""
    given = _given()
    if isinstance(given, str):
        return _list(given)
    needs = statement_needs()
    try:
        with read(given.raw, importing.asked(needs, given)) as statement:
            found = importing.look(db.session(), statement)
            file_id, new = importing.keep(db.session(), given, statement, needs.now(), found)
    except StatementDefect as defect:
        return _list(_words_of(defect))
    except ReaderBusy:
        return _list(_("Other statements are being read. Try again in a moment."))
    if not new:
        flash(_("This very file is here already. Nothing has changed."), "message")
    return redirect(url_for("console.statement", file_id=file_id), 303)


@console.get("/statements/<file_id>")
def statement(file_id: str) -> str:
    """Show one file: what it covers and what is in it; how far its import is."""
    file = _find(file_id)
    days = db.session.scalars(
        select(StatementDay).where(StatementDay.file_id == file.id).order_by(StatementDay.day)
    ).all()
    return render_template(
        "console/statement.html",
        file=file,
        days=[date.fromisoformat(each.day) for each in days],
        found=Found.from_json(file.found) if file.found else None,
        kinds=KINDS,
    )


@console.get("/statements/<file_id>/compared.csv")
def statement_csv(file_id: str) -> Response:
    """Send the statement beside our books, row by row, as it is now."""
    file = _find(file_id)
    with_people = session.may(Act.SEE_PEOPLE)
    if file.begun_at is None:
        lines = side_by_side.of_a_look(
            db.session(), file, statement_needs(), with_people=with_people
        )
    else:
        lines = side_by_side.of_a_file(db.session(), file, with_people=with_people)
    try:
        return csv_answer(lines, f"statement-{file.since.astimezone(NAIROBI):%Y-%m-%d}-compared")
    except ReaderBusy:
        detail = _("Other statements are being read. Try again in a moment.")
        raise Problem(503, "unavailable", detail, retry_after=5) from None


@console.post("/statements/<file_id>/import")
def import_statement(file_id: str) -> Response:
    """Have a file imported, which begins within seconds, in the background."""
    file = _find(file_id)
    importing.begin(db.session(), file.id, services().now())
    flash(_("It is being imported. This page follows by itself."), "message")
    return redirect(url_for("console.statement", file_id=file_id), 303)


def _given() -> Given | str:
    """What the form brought; a sentence where that is nothing to read."""
    upload = request.files.get("file")
    raw = upload.read() if upload else b""
    if upload is None or not raw:
        return str(_("Choose a file: what the portal exported, as CSV, XLSX or XLS."))
    first, last = request.form.get("first", ""), request.form.get("last", "")
    days = None
    if first or last:
        try:
            days = (date.fromisoformat(first), date.fromisoformat(last))
        except ValueError:
            return str(_("Name both days, the first and the last one."))
        if days[1] < days[0]:
            return str(_("The last day is before the first one."))
    # The name tells short code and days; what a browser sends may be anything.
    name = read_line((upload.filename or "").replace("\\", "/").split("/")[-1], _LONGEST_NAME)
    return Given(raw, name or "statement", days, session.operator() or "")


def _words_of(defect: StatementDefect) -> str:
    why = defect.args[0]
    words = str(DEFECTS.get(why, why))
    return (
        words
        if defect.line is None
        else str(_("Line %(line)d: %(why)s", line=defect.line, why=words))
    )


def _list(wrong: str | None = None) -> Response:
    files = select(StatementFile).order_by(StatementFile.kept_at.desc()).limit(PAGE)
    page = render_template(
        "console/statements.html", files=db.session.scalars(files).all(), wrong=wrong
    )
    return Response(page, 400 if wrong else 200, content_type="text/html; charset=utf-8")


def _find(file_id: str) -> StatementFile:
    found = db.session.get(StatementFile, file_id) if is_id(file_id) else None
    if found is None:
        raise Problem(404, "not_found", _("There is no such statement."))
    return found

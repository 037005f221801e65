"""The days of the books: which are proved, one day beside its statement, and closing it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import select
from werkzeug.wrappers import Response

from mpesa.domain.attempt import Channel
from mpesa.domain.people_text import read_line
from mpesa.domain.receipt import nairobi_day
from mpesa.domain.receipt_shown import account_shown
from mpesa.domain.roles import Act
from mpesa.domain.statement_lines import LineKind, start_of
from mpesa.models import Order, Transaction, db
from mpesa.refunds import find as find_refund
from mpesa.statements import closing, reversals, side_by_side
from mpesa.statements.closing import LONGEST_WORD, NotClosed, Standing, mark_of
from mpesa.statements.comparing import Compared, Difference, DifferenceKind, compare, lines_of
from mpesa.web.console import session
from mpesa.web.console.blueprint import console
from mpesa.web.console.export import csv_answer
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import receipt_needs, services

# With more differences, one word on all of them is asked for.
_EACH_A_WORD = 40
_FIRST_YEAR, _LAST_YEAR = 2007, 2100

STANDINGS = {
    Standing.EMPTY: _l("Nothing known"),
    Standing.WAITS: _l("Waits for a statement"),
    Standing.DIFFERS: _l("Differs"),
    Standing.PROVED: _l("Proved"),
    Standing.CLOSED: _l("Closed"),
}
DIFFERENCES = {
    DifferenceKind.UNCLAIMED: _l("Only at M-PESA: no order has this money"),
    DifferenceKind.ONLY_HERE: _l("Only here: the statement lacks it"),
    DifferenceKind.NO_NUMBER: _l("M-PESA says paid, but no receipt is known"),
    DifferenceKind.AMOUNT: _l("The amounts differ"),
    DifferenceKind.REVERSAL: _l("Given back, and it is not known for which payment"),
    DifferenceKind.OTHER: _l("A movement of a kind that is not known here"),
    DifferenceKind.BALANCE: _l("The day before closed with another balance"),
    DifferenceKind.SUM: _l("What moved does not lead from one balance to the other"),
    DifferenceKind.LATE_LINE: _l("Came later, for a day that was closed"),
    DifferenceKind.LATE_RECEIPT: _l("Known only later, for a day that was closed"),
    DifferenceKind.CLAIMED_LATER: _l("Given to an order after its day was closed"),
}
ROWS: dict[str, tuple[Any, LineKind, Channel | None]] = {
    "push": (_l("Received by prompt"), LineKind.PAYMENT, Channel.PUSH),
    "hand": (_l("Received by hand"), LineKind.PAYMENT, Channel.HAND),
    "unclaimed": (_l("Received, without an order"), LineKind.PAYMENT, None),
    "returned": (_l("Given back"), LineKind.REVERSAL, None),
    "charges": (_l("Charges"), LineKind.CHARGE, None),
    "swept": (_l("To or from the bank"), LineKind.SWEEP, None),
    "other": (_l("Other movements"), LineKind.OTHER, None),
}
_REFUSED: dict[type[Exception], Any] = {
    closing.AlreadyClosed: _l("The day is closed already."),
    closing.NotOver: _l("The day is not over."),
    closing.NotCovered: _l("No statement covers the day whole, or one is still being imported."),
    closing.ChangedMeanwhile: _l(
        "It has changed meanwhile. Nothing was done: look at it, and decide again."
    ),
    closing.TooMany: _l(
        "It differs in too much. Is another account's statement missing? Nothing was done."
    ),
}


@console.get("/days")
def days() -> str:
    """Show a month: which days are closed or proved, which differ, which wait for a statement."""
    today = nairobi_day(services().now())
    first = _month_asked_for(today)
    following = _first_of(first + timedelta(days=32))
    glances = closing.glances(db.session(), first, following - timedelta(days=1), today)
    cells: list[Any] = [None] * first.weekday() + list(glances)
    weeks = [(cells[at : at + 7] + [None] * 7)[:7] for at in range(0, len(cells), 7)]
    return render_template(
        "console/days.html",
        first=noon(first),
        weekdays=[noon(date(2026, 11, 23) + timedelta(days=n)) for n in range(7)],
        weeks=weeks,
        counts={each: sum(glance.standing is each for glance in glances) for each in Standing},
        words=STANDINGS,
        today=today,
        before=_first_of(first - timedelta(days=1)) if first.year >= _FIRST_YEAR else None,
        after=following if following <= today else None,
        noon=noon,
    )


@console.get("/days/<day>")
def day(day: str) -> str:
    """Show one day beside its statement: every number leads to its rows."""
    which = _day(day)
    compared = compare(db.session(), which)
    return render_template("console/day.html", **_shown(compared))


@console.get("/days/<day>/rows/<which>")
def day_rows(day: str, which: str) -> str:
    """Show the lines behind one of a day's numbers."""
    if which not in ROWS:
        raise Problem(404, "not_found", _("There is nothing at this address."))
    title, kind, channel = ROWS[which]
    lines = lines_of(db.session(), _day(day), kind, channel)
    return render_template(
        "console/day_rows.html",
        day=day,
        at=noon(_day(day)),
        title=title,
        rows=[(row, _account(row)) for row in lines],
        links=kind in (LineKind.PAYMENT, LineKind.CHARGE),
    )


@console.get("/days/<day>/bank.csv")
def day_csv(day: str) -> Response:
    """Send a closed day as a bank statement, for the programs that keep the books."""
    which = _day(day)
    if compare(db.session(), which).closed is None:
        raise Problem(404, "not_found", _("The day is not closed yet."))
    part = request.args.get("part", type=int)
    if part is not None and not 1 <= part <= closing.parts_of(db.session(), which):
        raise Problem(404, "not_found", _("There is nothing at this address."))
    with_people = session.may(Act.SEE_PEOPLE)
    lines = closing.csv_of(db.session(), which, with_people=with_people, part=part)
    return csv_answer(lines, f"mpesa-{which}-{part}" if part else f"mpesa-{which}")


@console.get("/days/<day>/compared.csv")
def day_compared_csv(day: str) -> Response:
    """Send the day beside its statements, row by row, as it is now."""
    which = _day(day)
    with_people = session.may(Act.SEE_PEOPLE)
    lines = side_by_side.of_a_day(db.session(), which, with_people=with_people)
    return csv_answer(lines, f"mpesa-{which}-compared")


@console.get("/days/<day>/close")
def ask_to_close(day: str) -> Response:
    """Ask for a word on each difference."""
    return _close_page("day_close.html", _day(day), {}, "")


@console.post("/days/<day>/close")
def ask_again_to_close(day: str) -> Response:
    """Say what will happen, and ask for confirmation."""
    which = _day(day)
    compared = compare(db.session(), which)
    words, word = _words()
    if any(not _said(words, word, each) for each in compared.differences):
        wrong = _("Write something on each difference, in 1 to 100 characters on one line.")
        return _close_page("day_close.html", which, words, word, wrong)
    return _close_page("day_close_confirm.html", which, words, word)


@console.post("/days/<day>/close/confirm")
def close_day(day: str) -> Response:
    """Close the day, unless something has changed since."""
    which = _day(day)
    words, word = _words()
    try:
        closing.close(
            db.session(),
            which,
            session.operator() or "",
            services().now,
            words,
            word,
            request.form.get("mark", ""),
        )
    except closing.NoWord:
        flash(str(_REFUSED[closing.ChangedMeanwhile]), "refused")
    except NotClosed as refusal:
        flash(str(_REFUSED[type(refusal)]), "refused")
    else:
        flash(_("The day is closed. It never changes again."), "message")
    return redirect(url_for("console.day", day=day), 303)


@console.post("/days/<day>/reversals/<receipt>")
def link_reversal(day: str, receipt: str) -> Response:
    """Say that a reversal is of the refund that was suggested."""
    which = _day(day)
    fits = [
        each
        for each in compare(db.session(), which).differences
        if each.kind is DifferenceKind.REVERSAL and each.receipt == receipt and each.refund_id
    ]
    refund = find_refund(db.session(), fits[0].refund_id or "") if fits else None
    if refund is None:
        flash(str(_REFUSED[closing.ChangedMeanwhile]), "refused")
    else:
        needs = reversals.Needs(services().now, receipt_needs().announce)
        by = session.operator() or ""
        reversals.link(db.session(), receipt, refund.receipt, by, needs)
        flash(_("It is that refund's reversal from now on."), "message")
    return redirect(url_for("console.day", day=day), 303)


def noon(day: date) -> datetime:
    """A moment of a day in Nairobi, for what writes times."""
    return start_of(day) + timedelta(hours=12)


def _shown(compared: Compared) -> dict[str, Any]:
    sums = {name: getattr(compared, name) for name in ROWS}
    owners = {each.transaction_id for each in compared.differences if each.transaction_id}
    references = dict(
        db.session.execute(
            select(Transaction.id, Order.reference)
            .join(Order, Transaction.order_id == Order.id)
            .where(Transaction.id.in_(owners))
        ).all()
    )
    return {
        "day": compared.day.isoformat(),
        "at": noon(compared.day),
        "compared": compared,
        "sums": {name: each for name, each in sums.items() if each.cents or each.count},
        "rows": {name: title for name, (title, _kind, _channel) in ROWS.items()},
        "words": DIFFERENCES,
        "references": references,
        "standing": _standing(compared),
        "standings": STANDINGS,
        "parts": closing.parts_of(db.session(), compared.day) if compared.closed else 0,
        "is_over": start_of(compared.day + timedelta(days=1)) <= services().now(),
        "of_days": {each.key: noon(each.of_day) for each in compared.differences},
    }


def _standing(compared: Compared) -> Standing:
    if compared.closed is not None:
        return Standing.CLOSED
    if not compared.is_covered:
        return Standing.WAITS if compared.ours.count or compared.waits else Standing.EMPTY
    return Standing.DIFFERS if compared.differences else Standing.PROVED


def _close_page(
    template: str,
    which: date,
    words: dict[tuple[DifferenceKind, str], str],
    word: str,
    wrong: str | None = None,
) -> Response:
    compared = compare(db.session(), which)
    if compared.closed is not None or not compared.is_covered:
        kind = closing.AlreadyClosed if compared.closed else closing.NotCovered
        flash(str(_REFUSED[kind]), "refused")
        return redirect(url_for("console.day", day=which.isoformat()), 303)
    page = render_template(
        f"console/{template}",
        **_shown(compared),
        said=[(each, _said(words, word, each)) for each in compared.differences],
        each_a_word=len(compared.differences) <= _EACH_A_WORD,
        word=word,
        wrong=wrong,
        mark=mark_of(compared),
    )
    return Response(page, 400 if wrong else 200, content_type="text/html; charset=utf-8")


def _words() -> tuple[dict[tuple[DifferenceKind, str], str], str]:
    """The words of the form: on each difference, and on all others."""
    abouts: Sequence[str] = request.form.getlist("about")
    found = {}
    for about, typed in zip(abouts, request.form.getlist("word"), strict=False):
        kind, _bar, key = about.partition("|")
        line = read_line(typed, LONGEST_WORD)
        if kind in set(DifferenceKind) and line is not None:
            found[DifferenceKind(kind), key] = line
    return found, read_line(request.form.get("all", ""), LONGEST_WORD) or ""


def _said(words: dict[tuple[DifferenceKind, str], str], word: str, difference: Difference) -> str:
    return words.get((difference.kind, difference.key)) or word


def _account(row: Any) -> str:
    """What a payer typed, as far as this operator may see it."""
    account = row.StatementLine.account
    names_somebody = row.reference is None and any(each.isalpha() for each in account or "")
    if names_somebody and not session.may(Act.SEE_PEOPLE):
        return "•••"
    return account_shown(account) or ""


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or not _FIRST_YEAR <= found.year <= _LAST_YEAR or found.isoformat() != text:
        raise Problem(404, "not_found", _("There is no such day."))
    return found


def _month_asked_for(today: date) -> date:
    try:
        first = date.fromisoformat(f"{request.args.get('month', '')}-01")
    except ValueError:
        first = _first_of(today)
    return first if _FIRST_YEAR <= first.year <= _LAST_YEAR else _first_of(today)


def _first_of(day: date) -> date:
    return day.replace(day=1)

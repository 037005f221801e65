"""The list of payments: newest first, filtered, searched, and paged in both directions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Row, Select, literal_column, select, tuple_
from werkzeug.wrappers import Response

from mpesa import export
from mpesa.domain.attempt import Channel
from mpesa.domain.period import Period
from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn
from mpesa.domain.reference import is_reference
from mpesa.domain.result_codes import Reason, Status, status_of
from mpesa.domain.roles import Act
from mpesa.domain.sms_code import find_receipt
from mpesa.ids import is_id
from mpesa.models import Order, Transaction, db
from mpesa.web.console import periods, session
from mpesa.web.console.blueprint import console

PAGE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_COLUMNS = (
    Transaction.id, Transaction.created_at, Transaction.status, Transaction.reason,
    Transaction.amount, Transaction.msisdn, Transaction.receipt, Transaction.needs_review,
    Transaction.channel, Transaction.returned, Order.reference, Order.description,
)  # fmt: skip


@dataclass(frozen=True)
class Cursor:
    """A place in the list: between a payment and the next one."""

    created_at: datetime
    id: str

    def __str__(self) -> str:
        return f"{(self.created_at - _EPOCH) // _MICROSECOND}.{self.id}"


@dataclass(frozen=True)
class Wanted:
    """The filters of a list; a filter that is None does not apply.

    Attributes:
        period: when the payments were begun.
        line_of: the id of a transaction whose line the payments share. The number itself must not
            be in an address, since every proxy logs addresses.
        before, after: where the page begins, going back or forward in time.
    """

    status: Status | None = None
    reason: Reason | None = None
    channel: Channel | None = None
    period: Period | None = None
    reference: str | None = None
    order: str | None = None
    line_of: str | None = None
    before: Cursor | None = None
    after: Cursor | None = None


@dataclass(frozen=True)
class Page:
    """A page of the list, newest first.

    Attributes:
        newer, older: where the next page in that direction begins; None if there is none.
    """

    rows: Sequence[Row[*tuple[Any, ...]]]
    newer: Cursor | None
    older: Cursor | None


@console.get("/transactions")
def transactions() -> Response:
    """List the payments that the address asks for."""
    asked = periods.asked()
    wanted = wanted_by(request.args, asked.period)
    line = None
    if wanted.line_of is not None:
        of_line = select(Transaction.msisdn).where(Transaction.id == wanted.line_of)
        msisdn = db.session.scalar(of_line)
        line = mask_msisdn(msisdn) if msisdn else None
    exported = asked.period or periods.of_today()
    page = render_template(
        "console/transactions.html",
        # Where the period can't be understood, a list of another one would mislead.
        page=read(wanted) if asked.error is None else Page((), None, None),
        wanted=wanted,
        line=line,
        asked=asked,
        choices=periods.choices("console.transactions", asked.period, _kept(wanted, period=None)),
        kept=_kept(wanted, period=None),
        exported=exported,
        export_count=export.count(db.session(), exported) if asked.error is None else None,
        statuses=list(Status),
        reasons=reasons_of(wanted.status),
        channels=list(Channel),
        address=_address_with,
        mask=mask_msisdn,
    )
    status = 200 if asked.error is None else 400
    return Response(page, status, content_type="text/html; charset=utf-8")


@console.post("/transactions")
def search() -> Response:
    """Lead to the payments that fit what was typed.

    The form is posted, so that no number is in an address.
    """
    typed = request.form.get("q", "").strip()
    if not typed:
        return redirect(url_for("console.transactions"), 303)
    found = _address_of(typed)
    if found is None:
        flash(
            _("Nothing was found. Type a receipt, a reference, an id or a whole number."), "refused"
        )
        found = url_for("console.transactions")
    return redirect(found, 303)


def wanted_by(query: Any, period: Period | None) -> Wanted:
    """Read the filters from an address; parts that make no sense are ignored."""
    reference = query.get("reference", "")
    return Wanted(
        status=_one_of(Status, query.get("status")),
        reason=_one_of(Reason, query.get("reason")),
        channel=_one_of(Channel, query.get("channel")),
        period=period,
        reference=reference if is_reference(reference) else None,
        order=_id_or_none(query.get("order")),
        line_of=_id_or_none(query.get("line_of")),
        before=cursor_of(query.get("before", "")),
        after=cursor_of(query.get("after", "")),
    )


def statement(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    """The SELECT of a page and one more row, from where the page begins; it has no OFFSET."""
    place = tuple_(Transaction.created_at, Transaction.id)
    rows = select(*_COLUMNS).join_from(Transaction, Order).where(*_conditions(wanted))
    if wanted.after is not None:
        rows = rows.where(place > tuple_(wanted.after.created_at, wanted.after.id))
        rows = rows.order_by(Transaction.created_at, Transaction.id)
    else:
        if wanted.before is not None:
            rows = rows.where(place < tuple_(wanted.before.created_at, wanted.before.id))
        rows = rows.order_by(Transaction.created_at.desc(), Transaction.id.desc())
    return rows.limit(PAGE + 1)


def read(wanted: Wanted) -> Page:
    """Read one page of the list."""
    found = db.session.execute(statement(wanted)).all()
    rows, more = found[:PAGE], len(found) > PAGE
    if wanted.after is not None:
        rows = rows[::-1]
        return Page(
            rows, _cursor_at(rows[0]) if more else None, _cursor_at(rows[-1]) if rows else None
        )
    newer = _cursor_at(rows[0]) if rows and wanted.before is not None else None
    return Page(rows, newer, _cursor_at(rows[-1]) if more else None)


def reasons_of(status: Status | None) -> list[Reason]:
    """The reasons to choose from: those of a status, or all."""
    return [each for each in Reason if status is None or status_of(each) is status]


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions = []
    if wanted.status is not None:
        conditions.append(Transaction.status == wanted.status.value)
    if wanted.reason is not None:
        # With its status, since the index for rare reasons holds only what can be rare.
        conditions.append(Transaction.status == status_of(wanted.reason).value)
        conditions.append(Transaction.reason == wanted.reason.value)
    if wanted.channel is not None:
        # In words, since SQLite draws no conclusions, and few are by hand.
        conditions.append(Transaction.channel == literal_column(f"'{wanted.channel.value}'"))
    if wanted.period is not None:
        conditions.append(Transaction.created_at >= wanted.period.begin)
        conditions.append(Transaction.created_at < wanted.period.end)
    if wanted.reference is not None:
        conditions.append(Order.reference == wanted.reference)
    if wanted.order is not None:
        conditions.append(Transaction.order_id == wanted.order)
    if wanted.line_of is not None:
        line = select(Transaction.msisdn).where(Transaction.id == wanted.line_of)
        conditions.append(Transaction.msisdn == line.scalar_subquery())
    return conditions


def _address_of(typed: str) -> str | None:
    """The address of what was typed: of one payment, or of a list; None if nothing fits."""
    if receipt := find_receipt(typed):
        by_receipt = select(Transaction.id).where(Transaction.receipt == receipt)
        if found := db.session.scalar(by_receipt):
            return url_for("console.transaction", transaction_id=found)
    if is_id(typed) and db.session.scalar(select(Transaction.id).where(Transaction.id == typed)):
        return url_for("console.transaction", transaction_id=typed)
    # Who sees masked numbers only could try out by this whose they are.
    sought = typed if session.may(Act.SEE_PEOPLE) else ""
    with suppress(InvalidPhone):
        of_line = select(Transaction.id).where(Transaction.msisdn == parse_msisdn(sought))
        newest = of_line.order_by(Transaction.created_at.desc()).limit(1)
        if found := db.session.scalar(newest):
            return url_for("console.transactions", line_of=found)
    if is_id(typed) and db.session.scalar(select(Order.id).where(Order.id == typed)):
        return url_for("console.transactions", order=typed)
    of_reference = select(Order.id).where(Order.reference == typed).limit(1)
    if is_reference(typed) and db.session.scalar(of_reference):
        return url_for("console.transactions", reference=typed)
    return None


def _kept(wanted: Wanted, **changed: object) -> dict[str, str]:
    """The parameters of this list's address, with some filters changed."""
    kept = {
        "status": wanted.status, "reason": wanted.reason, "channel": wanted.channel,
        "period": wanted.period, "reference": wanted.reference, "order": wanted.order,
        "line_of": wanted.line_of, **changed,
    }  # fmt: skip
    period = kept.pop("period")
    named = {name: str(value) for name, value in kept.items() if value is not None}
    return named | (period.query if isinstance(period, Period) else {})


def _address_with(wanted: Wanted, **changed: object) -> str:
    """The address of this list with some filters changed; it begins at the newest payment, unless
    `before` or `after` is among the changes.
    """
    return url_for("console.transactions", **_kept(wanted, **changed))  # type: ignore[arg-type]


def _cursor_at(row: Row[*tuple[Any, ...]]) -> Cursor:
    return Cursor(row.created_at, row.id)


def cursor_of(text: str) -> Cursor | None:
    """Read a place in the list; None for anything that is none."""
    moment, _dot, row_id = text.partition(".")
    # Microseconds of sixteen digits end in the year 2286, which a datetime can still hold.
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 16 and is_id(row_id)):
        return None
    return Cursor(_EPOCH + int(moment) * _MICROSECOND, row_id)


def _id_or_none(text: str | None) -> str | None:
    return text if is_id(text) else None


def _one_of(words: Any, text: str | None) -> Any:
    return words(text) if text in list(words) else None

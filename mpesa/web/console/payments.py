"""The list of payments: newest first, filtered, searched, and read a page at a time both ways."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Row, Select, and_, select, tuple_
from werkzeug.wrappers import Response

from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn
from mpesa.domain.reference import is_reference
from mpesa.domain.result_codes import FAILED_REASONS, PENDING_REASONS, Reason, Status
from mpesa.domain.sms_code import find_receipt
from mpesa.ids import is_id
from mpesa.models import Order, Transaction, db
from mpesa.web.console.blueprint import console

NAIROBI = ZoneInfo("Africa/Nairobi")
PAGE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

_COLUMNS = (
    Transaction.id, Transaction.created_at, Transaction.status, Transaction.reason,
    Transaction.amount, Transaction.msisdn, Transaction.receipt, Transaction.needs_review,
    Order.reference, Order.description,
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
    """What a list is narrowed to; None: not by this.

    Attributes:
        day: in Nairobi.
        line_of: id of a transaction whose line the payments have; so no number is in an address,
            which every proxy logs.
        before, after: where the page begins, going back or forward in time.
    """

    status: Status | None = None
    reason: Reason | None = None
    day: date | None = None
    reference: str | None = None
    order: str | None = None
    line_of: str | None = None
    before: Cursor | None = None
    after: Cursor | None = None


@dataclass(frozen=True)
class Page:
    """A page of the list, newest first.

    Attributes:
        newer, older: where the next page begins; None where there is none.
    """

    rows: Sequence[Row[*tuple[Any, ...]]]
    newer: Cursor | None
    older: Cursor | None


@console.get("/transactions")
def transactions() -> str:
    """The payments that the address asks for."""
    wanted = wanted_by(request.args)
    return render_template(
        "console/transactions.html",
        page=read(wanted),
        wanted=wanted,
        line=_masked_line(wanted.line_of),
        statuses=list(Status),
        reasons=reasons_of(wanted.status),
        address=_address,
        mask=mask_msisdn,
    )


@console.post("/transactions")
def search() -> Response:
    """Find by whatever was typed; a form is posted, so that a number stands in no address."""
    typed = request.form.get("q", "").strip()
    if not typed:
        return redirect(url_for("console.transactions"), 303)
    found = _found(typed)
    if found is None:
        flash(
            _("Nothing was found. A receipt, a reference, an id or a whole number fits."), "refused"
        )
        found = url_for("console.transactions")
    return redirect(found, 303)


def wanted_by(query: Any) -> Wanted:
    """Read an address; what makes no sense in it is ignored."""
    reference = query.get("reference", "")
    return Wanted(
        status=_one_of(Status, query.get("status")),
        reason=_one_of(Reason, query.get("reason")),
        day=_day(query.get("day", "")),
        reference=reference if is_reference(reference) else None,
        order=_id(query.get("order")),
        line_of=_id(query.get("line_of")),
        before=cursor_of(query.get("before", "")),
        after=cursor_of(query.get("after", "")),
    )


def statement(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    """The SELECT of a page and one row more, from its beginning on; never an OFFSET."""
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
    """One page of the list."""
    found = db.session.execute(statement(wanted)).all()
    rows, more = found[:PAGE], len(found) > PAGE
    if wanted.after is not None:
        rows = rows[::-1]
        return Page(rows, _place(rows[0]) if more else None, _place(rows[-1]) if rows else None)
    newer = _place(rows[0]) if rows and wanted.before is not None else None
    return Page(rows, newer, _place(rows[-1]) if more else None)


def reasons_of(status: Status | None) -> list[Reason]:
    """The reasons to choose from."""
    return [each for each in Reason if status is None or _fits(each, status)]


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """When a day begins and ends in Nairobi."""
    begin = datetime(day.year, day.month, day.day, tzinfo=NAIROBI)
    return begin, begin + timedelta(days=1)


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool] | None] = [
        _of_state(wanted.status, wanted.reason),
        _of_day(wanted.day),
        Order.reference == wanted.reference if wanted.reference else None,
        Transaction.order_id == wanted.order if wanted.order else None,
        _of_line(wanted.line_of),
    ]
    return [each for each in conditions if each is not None]


def _of_state(status: Status | None, reason: Reason | None) -> ColumnElement[bool] | None:
    if reason is None:
        return Transaction.status == status.value if status else None
    # Both are said, since the index for rare reasons holds only what can be rare.
    fitting = next(each for each in Status if _fits(reason, each))
    own = and_(Transaction.status == fitting.value, Transaction.reason == reason.value)
    return own if status in (None, fitting) else and_(own, Transaction.status == status.value)


def _of_day(day: date | None) -> ColumnElement[bool] | None:
    if day is None:
        return None
    begin, end = day_bounds(day)
    return and_(Transaction.created_at >= begin, Transaction.created_at < end)


def _of_line(transaction_id: str | None) -> ColumnElement[bool] | None:
    if transaction_id is None:
        return None
    line = select(Transaction.msisdn).where(Transaction.id == transaction_id)
    return Transaction.msisdn == line.scalar_subquery()


def _fits(reason: Reason, status: Status) -> bool:
    if reason in FAILED_REASONS:
        return status is Status.FAILED
    return status is (Status.PENDING if reason in PENDING_REASONS else Status.SUCCESS)


def _found(typed: str) -> str | None:
    """The address of what was typed: a payment, or a list of some."""
    receipt = find_receipt(typed)
    by_receipt = select(Transaction.id).where(Transaction.receipt == receipt)
    by_id = select(Transaction.id).where(Transaction.id == typed)
    for found in (
        db.session.scalar(by_receipt) if receipt else None,
        db.session.scalar(by_id) if is_id(typed) else None,
    ):
        if found:
            return url_for("console.transaction", transaction_id=found)
    return _list_of_line(typed) or _list_of_order(typed)


def _list_of_line(typed: str) -> str | None:
    try:
        msisdn = parse_msisdn(typed)
    except InvalidPhone:
        return None
    newest = select(Transaction.id).where(Transaction.msisdn == msisdn)
    found = db.session.scalar(newest.order_by(Transaction.created_at.desc()).limit(1))
    return url_for("console.transactions", line_of=found) if found else None


def _list_of_order(typed: str) -> str | None:
    if is_id(typed) and db.session.scalar(select(Order.id).where(Order.id == typed)):
        return url_for("console.transactions", order=typed)
    known = select(Order.id).where(Order.reference == typed).limit(1)
    if is_reference(typed) and db.session.scalar(known):
        return url_for("console.transactions", reference=typed)
    return None


def _masked_line(transaction_id: str | None) -> str | None:
    if transaction_id is None:
        return None
    line = select(Transaction.msisdn).where(Transaction.id == transaction_id)
    msisdn = db.session.scalar(line)
    return mask_msisdn(msisdn) if msisdn else None


def _address(wanted: Wanted, **changed: object) -> str:
    """The address of this list with something changed; from its beginning unless a place is."""
    kept = {
        "status": wanted.status, "reason": wanted.reason, "day": wanted.day,
        "reference": wanted.reference, "order": wanted.order, "line_of": wanted.line_of,
    }  # fmt: skip
    named = {name: str(value) for name, value in {**kept, **changed}.items() if value is not None}
    return url_for("console.transactions", **named)  # type: ignore[arg-type]


def _place(row: Row[*tuple[Any, ...]]) -> Cursor:
    return Cursor(row.created_at, row.id)


def cursor_of(text: str) -> Cursor | None:
    moment, _dot, row_id = text.partition(".")
    # Sixteen digits reach into the year 2286, and no further than a datetime can.
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 16 and is_id(row_id)):
        return None
    return Cursor(_EPOCH + int(moment) * _MICROSECOND, row_id)


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 < day.year < 9999 else None


def _id(text: str | None) -> str | None:
    return text if is_id(text) else None


def _one_of(words: Any, text: str | None) -> Any:
    return words(text) if text in list(words) else None

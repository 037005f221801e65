"""The list of payments: newest first, filtered, searched, and paged in both directions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from typing import Any

from flask import redirect, render_template, request, url_for
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    false,
    func,
    literal_column,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute
from werkzeug.wrappers import Response

from mpesa import export
from mpesa.domain import payment_search
from mpesa.domain.attempt import Channel
from mpesa.domain.payment_search import DIGITS_SHOWN, Parts
from mpesa.domain.period import Period
from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn
from mpesa.domain.receipt import nairobi_day
from mpesa.domain.reference import is_reference
from mpesa.domain.result_codes import Reason, Status, status_of
from mpesa.domain.roles import Act
from mpesa.domain.sms_code import find_receipt
from mpesa.ids import is_id
from mpesa.models import Order, Transaction, begins_with, db, has_words, last_digits
from mpesa.web.console import periods, sealed, session
from mpesa.web.console.blueprint import console
from mpesa.web.console.export import MOST_COUNTED
from mpesa.web.http.services import services

PAGE = 50
_RECEIPT_LENGTH = 10
# So many are looked up one by one in a few milliseconds.
_FEW = 500
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
        parts: what the payments may fit by a part of something, any of it.
        before, after: where the page begins, going back or forward in time.
    """

    status: Status | None = None
    reason: Reason | None = None
    channel: Channel | None = None
    period: Period | None = None
    reference: str | None = None
    order: str | None = None
    line_of: str | None = None
    parts: Parts | None = None
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

    @property
    def days(self) -> list[tuple[date, list[Row[*tuple[Any, ...]]]]]:
        """The rows by their day in Nairobi."""
        by_day = groupby(self.rows, lambda row: nairobi_day(row.created_at))
        return [(day, list(rows)) for day, rows in by_day]


@console.get("/transactions")
def transactions() -> Response:
    """List the payments that the address asks for."""
    asked, typed = periods.asked(), _typed()
    wanted = wanted_by(request.args, asked.period, typed)
    line = None
    if wanted.line_of is not None:
        of_line = select(Transaction.msisdn).where(Transaction.id == wanted.line_of)
        msisdn = db.session.scalar(of_line)
        line = mask_msisdn(msisdn) if msisdn else None
    exported, kept = asked.period or periods.of_today(), _kept(wanted, period=None)
    filters = (wanted.status, wanted.reason, wanted.channel, wanted.period)
    page = render_template(
        "console/transactions.html",
        # Where the period can't be understood, a list of another one would mislead.
        page=read(wanted) if asked.error is None else Page((), None, None),
        wanted=wanted,
        typed=typed or wanted.reference or wanted.order or "",
        line=line,
        filters=sum(each is not None for each in filters),
        asked=asked,
        choices=periods.choices("console.transactions", asked.period, kept),
        kept=kept,
        may_see_people=session.may(Act.SEE_PEOPLE),
        exported=exported,
        export_count=export.count(db.session(), exported, MOST_COUNTED)
        if asked.error is None
        else None,
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
    """Lead to the payments that fit what was typed, whole or in part.

    The form is posted, so that no number is in an address.
    """
    typed = request.form.get("q", "").strip()
    if not typed:
        return redirect(url_for("console.transactions"), 303)
    return redirect(_address_of(typed) or _address_of_parts(typed), 303)


def _typed() -> str | None:
    """What was searched for, as the address of this request has it sealed; None: nothing."""
    sealed_text = request.args.get("q", "")
    return sealed.unseal(sealed_text, services().settings.secret_key) if sealed_text else None


def _address_of_parts(typed: str) -> str:
    """The address of the payments that fit what was typed by a part."""
    shown = typed[: payment_search.LONGEST + 1]
    with suppress(InvalidPhone):
        # Nobody has this number, or this operator may not find out who has.
        shown = mask_msisdn(parse_msisdn(typed))
    q = sealed.seal(shown, services().settings.secret_key)
    return url_for("console.transactions", q=q)


def wanted_by(query: Any, period: Period | None, typed: str | None = None) -> Wanted:
    """Read the filters from an address; parts that make no sense are ignored.

    Args:
        typed: what was searched for, by a part.
    """
    reference, sees_people = query.get("reference", ""), session.may(Act.SEE_PEOPLE)
    return Wanted(
        status=_one_of(Status, query.get("status")),
        reason=_one_of(Reason, query.get("reason")),
        channel=_one_of(Channel, query.get("channel")),
        period=period,
        reference=reference if is_reference(reference) else None,
        order=_id_or_none(query.get("order")),
        line_of=_id_or_none(query.get("line_of")),
        parts=None if typed is None else payment_search.read(typed, sees_people=sees_people),
        before=cursor_of(query.get("before", "")),
        after=cursor_of(query.get("after", "")),
    )


def statement(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    """The SELECT of a page and one more row, from where the page begins; it has no OFFSET."""
    rows: Select[*tuple[Any, ...]] = select(*_COLUMNS).join_from(Transaction, Order)
    if wanted.parts is None:
        return _in_order(rows.where(*_conditions(wanted)), wanted)
    # As many of each kind as a page has, each by an index of its own: the newest of all are among
    # them.
    ids: Select[*tuple[Any, ...]] = select(Transaction.id).join_from(Transaction, Order)
    found = [
        _in_order(ids.where(fits, *_conditions(wanted)), wanted).subquery()
        for fits in _fitting(wanted.parts)
    ]
    if not found:
        return rows.where(false())
    newest = union_all(*(select(each.c.id) for each in found))
    return _in_order(rows.where(Transaction.id.in_(newest)), wanted)


def _in_order(rows: Select[*tuple[Any, ...]], wanted: Wanted) -> Select[*tuple[Any, ...]]:
    place = tuple_(Transaction.created_at, Transaction.id)
    if wanted.after is not None:
        rows = rows.where(place > tuple_(wanted.after.created_at, wanted.after.id))
        rows = rows.order_by(Transaction.created_at, Transaction.id)
    else:
        if wanted.before is not None:
            rows = rows.where(place < tuple_(wanted.before.created_at, wanted.before.id))
        rows = rows.order_by(Transaction.created_at.desc(), Transaction.id.desc())
    return rows.limit(PAGE + 1)


def _fitting(parts: Parts) -> list[ColumnElement[bool]]:
    """The conditions of which a payment has to fulfil one."""
    fitting: list[ColumnElement[bool]] = []
    dialect = db.engine.dialect.name
    if parts.amount is not None:
        fitting.append(Transaction.amount == parts.amount)
    if parts.last_digits is not None:
        shown = last_digits == parts.last_digits[-DIGITS_SHOWN:]
        fitting.append(and_(shown, Transaction.msisdn.endswith(parts.last_digits)))
    if parts.receipt is not None:
        # Receipts are capitals and digits, of which each collation puts Z last.
        last = parts.receipt.ljust(_RECEIPT_LENGTH, "Z")
        fits = Transaction.receipt.between(parts.receipt, last)
        fitting.append(fits if len(_first(Transaction.id, fits)) <= _FEW else _in_time(fits))
    if parts.reference is not None:
        fitting.append(_of_orders(begins_with(dialect, parts.reference)))
    if parts.words:
        fitting.append(_of_orders(has_words(dialect, parts.words)))
    return fitting


def _of_orders(fits: ColumnElement[bool]) -> ColumnElement[bool]:
    """A condition on orders as one on transactions."""
    ids = _first(Order.id, fits)
    return Transaction.order_id.in_(ids) if len(ids) <= _FEW else _in_time(fits)


def _in_time(fits: ColumnElement[bool]) -> ColumnElement[bool]:
    """The same, for what is looked at in the order of time: no index has it, and both databases
    take it for half of all.
    """
    return func.coalesce(fits, false())


def _first(key: InstrumentedAttribute[str], fits: ColumnElement[bool]) -> Sequence[str]:
    """The keys of what fits, as far as there are few.

    Few are found by their index, whatever their time; of many, some are soon met in the order of
    time. A database that guesses which it is reads all of them for one page at times.
    """
    return db.session.scalars(select(key).where(fits).limit(_FEW + 1)).all()


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
    if wanted.parts is not None:
        kept = {"q": request.args["q"], **kept}
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

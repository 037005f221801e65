"""The list of receipts: newest first, narrowed, searched, and paged in both directions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import ColumnElement, Row, Select, false, select, text, tuple_, union
from werkzeug.wrappers import Response

from mpesa import export
from mpesa.domain import pay_code
from mpesa.domain.money import cents_text, cents_told
from mpesa.domain.people_text import is_sound
from mpesa.domain.period import Period
from mpesa.domain.phone import InvalidPhone, mask_msisdn, parse_msisdn
from mpesa.domain.receipt import Direction, State
from mpesa.domain.receipt_shown import account_seen, with_dots
from mpesa.domain.roles import Act
from mpesa.domain.sms_code import find_receipt
from mpesa.ids import is_id
from mpesa.models import NOT_CLAIMED, Order, Receipt, Transaction, db, receipt_moved_at
from mpesa.web.console import periods, session
from mpesa.web.console.blueprint import console
from mpesa.web.console.export import MOST_COUNTED
from mpesa.web.console.payments import Cursor, cursor_of
from mpesa.web.http.services import receipt_needs

PAGE = 50
# What a list is narrowed to; claimed receipts are found by what they paid for.
STATES = (State.UNPROVEN, State.UNCLAIMED, State.RETURNED)
# The longest account that M-PESA tells.
_LONGEST_ACCOUNT = 64


@dataclass(frozen=True)
class Wanted:
    """The filters of a list; a filter that is None does not apply.

    Attributes:
        amount: in cents.
        period: when the money moved. Such a list goes by that time, another one by when a receipt
            was learned of.
        account_of: the id of a receipt whose account the receipts share. The account itself must
            not be in an address, since it may be a name or a number, and every proxy logs
            addresses.
        payer_of: the same of the payer.
        before, after: where the page begins, going back or forward in time.
    """

    state: State | None = None
    amount: int | None = None
    period: Period | None = None
    account_of: str | None = None
    payer_of: str | None = None
    before: Cursor | None = None
    after: Cursor | None = None

    @property
    def narrows(self) -> bool:
        """Whether a filter applies beside the state and the period."""
        return (self.amount, self.account_of, self.payer_of) != (None, None, None)


@dataclass(frozen=True)
class Line:
    """A receipt as a line of the list.

    Attributes:
        reference: of the order whose money it is; None: nobody's yet.
        account, phone: as this operator may see them; None: not told.
    """

    receipt: Receipt
    reference: str | None
    account: str | None
    phone: str | None


@dataclass(frozen=True)
class Page:
    """A page of the list, newest first.

    Attributes:
        newer, older: where the next page in that direction begins; None if there is none.
    """

    lines: Sequence[Line]
    newer: Cursor | None
    older: Cursor | None


@console.get("/receipts")
def receipts() -> Response:
    """List the receipts that the address asks for."""
    asked = periods.asked()
    wanted = wanted_by(request.args, asked.period)
    account, phone = _shared(wanted)
    exported = asked.period or periods.of_today()
    page = render_template(
        "console/receipts.html",
        # Where the period can't be understood, a list of another one would mislead.
        page=read(wanted) if asked.error is None else Page((), None, None),
        wanted=wanted,
        filters=sum(each is not None for each in (wanted.state, wanted.period)),
        asked=asked,
        choices=periods.choices("console.receipts", asked.period, _kept(wanted, period=None)),
        kept=_kept(wanted, period=None),
        exported=exported,
        export_count=export.count_receipts(db.session(), exported, MOST_COUNTED)
        if asked.error is None
        else None,
        states=STATES,
        account=account,
        phone=phone,
        address=_address_with,
    )
    status = 200 if asked.error is None else 400
    return Response(page, status, content_type="text/html; charset=utf-8")


@console.post("/receipts")
def search_receipts() -> Response:
    """Lead to the receipts that fit what was typed.

    The form is posted, so that no number and no name is in an address.
    """
    typed = request.form.get("q", "").strip()
    if not typed:
        return redirect(url_for("console.receipts"), 303)
    found = _address_of(typed)
    if found is None:
        flash(
            _("Nothing was found. Type a receipt, its SMS, an account, an amount, a whole number."),
            "refused",
        )
        found = url_for("console.receipts")
    return redirect(found, 303)


def wanted_by(query: Any, period: Period | None) -> Wanted:
    """Read the filters from an address; parts that make no sense are ignored."""
    state, amount = query.get("state"), query.get("amount", "")
    account_of, payer_of = query.get("account_of"), query.get("payer_of")
    return Wanted(
        state=State(state) if state in STATES else None,
        amount=cents_told(amount),
        period=period,
        account_of=account_of if is_id(account_of) else None,
        # Who sees masked numbers only could try out by this whose they are.
        payer_of=payer_of if is_id(payer_of) and session.may(Act.SEE_PEOPLE) else None,
        before=cursor_of(query.get("before", "")),
        after=cursor_of(query.get("after", "")),
    )


def statement(wanted: Wanted) -> Select[*tuple[Any, ...]]:
    """The SELECT of a page and one more row, from where the page begins; it has no OFFSET."""
    at = _moment(wanted)
    place = tuple_(at, Receipt.id)
    rows: Select[*tuple[Any, ...]] = (
        select(Receipt, Transaction.msisdn, Order.reference)
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .outerjoin(Order, Transaction.order_id == Order.id)
        .where(*_conditions(wanted))
    )
    if wanted.after is not None:
        rows = rows.where(place > tuple_(wanted.after.created_at, wanted.after.id))
        rows = rows.order_by(at, Receipt.id)
    else:
        if wanted.before is not None:
            rows = rows.where(place < tuple_(wanted.before.created_at, wanted.before.id))
        rows = rows.order_by(at.desc(), Receipt.id.desc())
    return rows.limit(PAGE + 1)


def read(wanted: Wanted) -> Page:
    """Read one page of the list."""
    found = db.session.execute(statement(wanted)).all()
    rows, more = found[:PAGE], len(found) > PAGE
    backwards = wanted.after is not None
    lines = [_line(each) for each in (rows[::-1] if backwards else rows)]
    first, last = None, None
    if lines:
        first, last = _cursor_at(lines[0], wanted), _cursor_at(lines[-1], wanted)
    if backwards:
        return Page(lines, first if more else None, last)
    return Page(lines, first if wanted.before is not None else None, last if more else None)


def _moment(wanted: Wanted) -> ColumnElement[datetime]:
    """What a list goes by."""
    return Receipt.learned_at.expression if wanted.period is None else receipt_moved_at


def account_for(receipt: Receipt, reference: str | None) -> str | None:
    """The account of a receipt, as far as this operator may see it.

    Args:
        reference: of the order whose money it is.
    """
    return account_seen(receipt.account, reference, sees_people=session.may(Act.SEE_PEOPLE))


def _line(row: Row[Any]) -> Line:
    receipt: Receipt = row.Receipt
    masked = receipt.payer_masked or (mask_msisdn(row.msisdn) if row.msisdn else None)
    return Line(receipt, row.reference, account_for(receipt, row.reference), with_dots(masked))


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.state is not None:
        conditions += [text(NOT_CLAIMED), Receipt.state == wanted.state.value]  # type: ignore[list-item]
    if wanted.amount is not None:
        conditions.append(Receipt.amount == wanted.amount)
    if wanted.period is not None:
        conditions.append(receipt_moved_at >= wanted.period.begin)
        conditions.append(receipt_moved_at < wanted.period.end)
    if wanted.account_of is not None:
        shared = db.session.scalar(select(Receipt.account).where(Receipt.id == wanted.account_of))
        conditions.append(Receipt.account.in_(_written(shared or "")))
    if wanted.payer_of is not None:
        conditions.append(_of_payer(*_payer(wanted.payer_of)))
    return conditions


def _written(account: str) -> list[str]:
    """The ways in which payers write an account: as it is, closed up, in threes, in capitals."""
    blanks = "".join(account.split())
    forms = {account, blanks}
    if pay_code.is_pay_code(blanks):
        forms.add(pay_code.grouped(blanks))
    return sorted({*forms, *(each.upper() for each in forms), *(each.lower() for each in forms)})


def _payer(receipt_id: str) -> tuple[str | None, str | None]:
    """The payer of a receipt: the keyed hash of the number, and the number if a push went to it."""
    found = db.session.execute(
        select(Receipt.payer_hash, Transaction.msisdn)
        .outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
        .where(Receipt.id == receipt_id)
    ).one_or_none()
    if found is None:
        return None, None
    hashed = receipt_needs().mark_of(found.msisdn) if found.msisdn else found.payer_hash
    return hashed, found.msisdn


def _of_payer(hashed: str | None, msisdn: str | None) -> ColumnElement[bool]:
    """Whether a receipt is a payer's: M-PESA told the hash of the number, or a push went to it."""
    found = []
    if hashed is not None:
        found.append(select(Receipt.id).where(Receipt.payer_hash == hashed))
    if msisdn is not None:
        by_push = select(Receipt.id).join(Transaction, Receipt.transaction_id == Transaction.id)
        found.append(by_push.where(Transaction.msisdn == msisdn))
    return Receipt.id.in_(union(*found)) if found else false()


def _address_of(typed: str) -> str | None:
    """The address of what was typed: of one receipt, or of a list; None if nothing fits."""
    if number := find_receipt(typed):
        directions = select(Receipt.direction).where(Receipt.receipt == number)
        if found := db.session.scalars(directions.order_by(Receipt.direction)).first():
            direction = None if found == Direction.IN else found
            return url_for("console.receipt", receipt=number, direction=direction)
    with suppress(InvalidPhone):
        # A number may have been typed as account, so no viewer finds a receipt by one.
        if (msisdn := parse_msisdn(typed)) and not session.may(Act.SEE_PEOPLE):
            return None
        of_payer = _of_payer(receipt_needs().mark_of(msisdn), msisdn)
        # One of a push first, from which the whole number is known.
        if payer := _newest(of_payer, Transaction.msisdn.is_not(None).desc()):
            return url_for("console.receipts", payer_of=payer)
    names_nobody = session.may(Act.SEE_PEOPLE) or not any(each.isalpha() for each in typed)
    may_be_one = names_nobody and len(typed) <= _LONGEST_ACCOUNT and is_sound(typed)
    if may_be_one and (account := _newest(Receipt.account.in_(_written(typed)))):
        return url_for("console.receipts", account_of=account)
    plain = typed.upper().removeprefix("KES").removeprefix("KSH").strip().replace(",", "")
    amount = cents_told(plain)
    if amount is not None and _newest(Receipt.amount == amount):
        return url_for("console.receipts", amount=plain)
    return None


def _newest(condition: ColumnElement[bool], *first: ColumnElement[Any]) -> str | None:
    """The id of the newest receipt that fulfils a condition.

    Args:
        first: what is put first, however old it is.
    """
    found = select(Receipt.id).where(condition).order_by(*first, Receipt.learned_at.desc())
    if first:
        found = found.outerjoin(Transaction, Receipt.transaction_id == Transaction.id)
    return db.session.scalar(found.limit(1))


def _shared(wanted: Wanted) -> tuple[str | None, str | None]:
    """What the receipts of a list share: the account and the masked number; None: no matter."""
    account = phone = None
    if wanted.account_of is not None:
        row = db.session.get(Receipt, wanted.account_of)
        account = account_for(row, None) if row else None
    if wanted.payer_of is not None:
        row = db.session.get(Receipt, wanted.payer_of)
        _hashed, msisdn = _payer(wanted.payer_of)
        phone = mask_msisdn(msisdn) if msisdn else with_dots(row.payer_masked if row else None)
    return account, phone


def _kept(wanted: Wanted, **changed: object) -> dict[str, str]:
    """The parameters of this list's address, with some filters changed."""
    kept = {
        "state": wanted.state, "amount": cents_text(wanted.amount), "period": wanted.period,
        "account_of": wanted.account_of, "payer_of": wanted.payer_of, **changed,
    }  # fmt: skip
    period = kept.pop("period")
    named = {name: str(value) for name, value in kept.items() if value is not None}
    return named | (period.query if isinstance(period, Period) else {})


def _address_with(wanted: Wanted, **changed: object) -> str:
    """The address of this list with some filters changed; it begins at the newest receipt, unless
    `before` or `after` is among the changes.
    """
    return url_for("console.receipts", **_kept(wanted, **changed))  # type: ignore[arg-type]


def _cursor_at(line: Line, wanted: Wanted) -> Cursor:
    receipt = line.receipt
    moved_at = receipt.learned_at if wanted.period is None else receipt.paid_at
    return Cursor(moved_at or receipt.learned_at, receipt.id)

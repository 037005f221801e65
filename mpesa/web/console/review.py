"""What a person has to decide about: payments, receipts and refunds, the oldest first."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from sqlalchemy import Row, func, select, tuple_
from sqlalchemy.orm import joinedload
from werkzeug.wrappers import Response

from mpesa.domain.evidence import Kind
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.refund import RefundStatus
from mpesa.domain.result_codes import Reason, Status
from mpesa.models import EvidenceRow, Order, Receipt, Refund, Transaction, db
from mpesa.web.console import payments, wording
from mpesa.web.console.blueprint import console
from mpesa.web.console.cases import cases_of
from mpesa.web.http.services import services

PAGE = 20
# One that is unknown is ended on its own page, by a manager.
_DOUBTED_REFUNDS = (Refund.needs_review, Refund.status != RefundStatus.UNKNOWN.value)
# How far back, and how many, payments are listed that are worth a look but need no decision.
_RECENT = timedelta(days=7)
_GLANCES = 20


@console.get("/review")
def review() -> str:
    """List the payments that need a review, the oldest first."""
    begin = payments.cursor_of(request.args.get("after", ""))
    found = db.session.scalars(statement(begin)).all()
    rows, last = found[:PAGE], found[PAGE - 1] if len(found) > PAGE else None
    since = services().now() - _RECENT
    return render_template(
        "console/review.html",
        cases=cases_of(rows),
        after=payments.Cursor(last.created_at, last.id) if last else None,
        begun="after" in request.args,
        late=_paid_late(since),
        typed=_codes_typed(since),
        doubted=_doubted_receipts(),
        doubted_refunds=_doubted_refunds(),
        kinds=wording.KINDS,
        mask=mask_msisdn,
    )


def statement(after: payments.Cursor | None) -> Any:
    """The SELECT of a page and one more row."""
    rows = select(Transaction).where(Transaction.needs_review)
    if after is not None:
        place = tuple_(Transaction.created_at, Transaction.id)
        rows = rows.where(place > tuple_(after.created_at, after.id))
    in_order = rows.order_by(Transaction.created_at, Transaction.id)
    return in_order.options(joinedload(Transaction.order)).limit(PAGE + 1)


def left() -> int:
    """How many cases wait in Review: payments, receipts and refunds."""
    waiting = (
        select(func.count()).where(Transaction.needs_review),
        select(func.count()).where(Receipt.needs_review),
        select(func.count()).where(*_DOUBTED_REFUNDS),
    )
    return sum(db.session.scalar(each) or 0 for each in waiting)


def back_in_review(done: str) -> Response:
    """Lead to the next case, and say what was done and how many are left."""
    count = left()
    more = ngettext("Back in Review, %(num)d left.", "Back in Review, %(num)d left.", count)
    none = _("Nothing is left in Review.")
    flash(f"{done} {more if count else none}")
    return redirect(url_for("console.review"), 303)


def _doubted_refunds() -> Sequence[Refund]:
    """The refunds that a person has to look at, the oldest first."""
    doubted = select(Refund).where(*_DOUBTED_REFUNDS).order_by(Refund.updated_at)
    return db.session.scalars(doubted.limit(_GLANCES)).all()


def _doubted_receipts() -> Sequence[Receipt]:
    """The receipts whose witnesses contradict each other, the oldest first."""
    doubted = select(Receipt).where(Receipt.needs_review).order_by(Receipt.learned_at)
    return db.session.scalars(doubted.limit(_GLANCES)).all()


def _paid_late(since: datetime) -> Sequence[Row[*tuple[Any, ...]]]:
    """Payments that were paid after they had failed."""
    late = (
        select(Transaction.id, Transaction.created_at, Transaction.amount, Transaction.receipt,
               Transaction.msisdn, Order.reference)
        .join_from(Transaction, Order)
        .where(
            Transaction.status == Status.SUCCESS.value,
            Transaction.reason == Reason.PAID_LATE.value,
            Transaction.created_at >= since,
        )
        .order_by(Transaction.created_at.desc())
        .limit(_GLANCES)
    )  # fmt: skip
    return db.session.execute(late).all()


def _codes_typed(since: datetime) -> Sequence[Row[*tuple[Any, ...]]]:
    """The codes that shoppers typed for payments that are not paid."""
    typed = (
        select(Transaction.id, EvidenceRow.received_at, Transaction.status, Transaction.reason,
               Transaction.amount, EvidenceRow.body, Order.reference)
        .join(Transaction, EvidenceRow.transaction_id == Transaction.id)
        .join(Order, Transaction.order_id == Order.id)
        .where(
            EvidenceRow.kind == Kind.SMS_CODE.value,
            EvidenceRow.received_at >= since,
            Transaction.status != Status.SUCCESS.value,
            Transaction.reason != Reason.CLOSED_BY_OPERATOR.value,
        )
        .order_by(EvidenceRow.received_at.desc())
        .limit(_GLANCES)
    )  # fmt: skip
    return db.session.execute(typed).all()

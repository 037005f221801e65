"""What a person has to decide: what is contradictory, the evidence side by side, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from flask import render_template, request
from sqlalchemy import Row, select, tuple_
from sqlalchemy.orm import joinedload

from mpesa.domain.callback import StkResult, read_roughly
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.result_codes import Reason, Status
from mpesa.ledger import Kind
from mpesa.models import DecisionRow, Evidence, Order, Transaction, db
from mpesa.web.console import decisions, payments, wording
from mpesa.web.console.act_kinds import Act
from mpesa.web.console.blueprint import console
from mpesa.web.console.payment import acts_for
from mpesa.web.http.services import services

PAGE = 20
# What is worth a look, and needs no decision: so far back, and so many.
_RECENT = timedelta(days=7)
_GLANCES = 20


@dataclass(frozen=True)
class Case:
    """One payment that a person has to decide about.

    Attributes:
        sentence: what is contradictory.
        decision: the newest one that asked for a person; None where it cannot be found.
        evidence: what that was decided on.
        said: what the evidence says, where it is a callback of which something can be made out.
        codes: codes that the shopper typed.
        rivals: the order's other payments that succeeded.
        other: the id of a payment that has, or claims, the same receipt.
    """

    row: Transaction
    sentence: str
    decision: DecisionRow | None
    evidence: Evidence | None
    said: StkResult | None
    codes: Sequence[str]
    rivals: Sequence[Transaction]
    other: str | None
    acts: Sequence[Act]


@console.get("/review")
def review() -> str:
    """The oldest first."""
    rows, after = _page()
    now = services().now()
    return render_template(
        "console/review.html",
        cases=[_case(each) for each in rows],
        after=after,
        begun="after" in request.args,
        late=_late(now - _RECENT),
        typed=_typed(now - _RECENT),
        kinds=wording.KINDS,
        mask=mask_msisdn,
    )


def statement(after: payments.Cursor | None) -> Any:
    """The SELECT of a page and one row more."""
    rows = select(Transaction).where(Transaction.needs_review)
    if after is not None:
        place = tuple_(Transaction.created_at, Transaction.id)
        rows = rows.where(place > tuple_(after.created_at, after.id))
    in_order = rows.order_by(Transaction.created_at, Transaction.id)
    return in_order.options(joinedload(Transaction.order)).limit(PAGE + 1)


def _page() -> tuple[Sequence[Transaction], payments.Cursor | None]:
    begin = payments.wanted_by(request.args).after
    found = db.session.scalars(statement(begin)).all()
    rows = found[:PAGE]
    more = len(found) > PAGE
    return rows, payments.Cursor(rows[-1].created_at, rows[-1].id) if more else None


def _case(row: Transaction) -> Case:
    newest = (
        select(DecisionRow)
        .where(DecisionRow.transaction_id == row.id, DecisionRow.needs_review)
        .options(joinedload(DecisionRow.evidence))
        .order_by(DecisionRow.id.desc())
        .limit(1)
    )
    decision = db.session.scalars(newest).first()
    evidence = decision.evidence if decision else None
    rivals = select(Transaction).where(
        Transaction.order_id == row.order_id,
        Transaction.id != row.id,
        Transaction.status == Status.SUCCESS.value,
    )
    return Case(
        row,
        decisions.doubt(decision.why) if decision else "",
        decision,
        evidence,
        _said(evidence),
        _codes(row.id),
        db.session.scalars(rivals).all(),
        decisions.other_payment(decision.why) if decision else None,
        acts_for(row),
    )


def _said(evidence: Evidence | None) -> StkResult | None:
    if evidence is None or evidence.kind != Kind.CALLBACK:
        return None
    return read_roughly(evidence.body)


def _codes(transaction_id: str) -> list[str]:
    typed = (
        select(Evidence.body)
        .where(Evidence.transaction_id == transaction_id, Evidence.kind == Kind.SMS_CODE.value)
        .order_by(Evidence.id.desc())
        .limit(5)
    )
    return [body.decode("ascii", "replace") for body in db.session.scalars(typed)]


def _late(since: Any) -> Sequence[Row[*tuple[Any, ...]]]:
    """Money that came after its payment was called failed."""
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


def _typed(since: Any) -> Sequence[Row[*tuple[Any, ...]]]:
    """Codes that shoppers typed for payments that are not paid."""
    typed = (
        select(Transaction.id, Evidence.received_at, Transaction.status, Transaction.reason,
               Transaction.amount, Evidence.body, Order.reference)
        .join(Transaction, Evidence.transaction_id == Transaction.id)
        .join(Order, Transaction.order_id == Order.id)
        .where(
            Evidence.kind == Kind.SMS_CODE.value,
            Evidence.received_at >= since,
            Transaction.status != Status.SUCCESS.value,
            Transaction.reason != Reason.CLOSED_BY_OPERATOR.value,
        )
        .order_by(Evidence.received_at.desc())
        .limit(_GLANCES)
    )  # fmt: skip
    return db.session.execute(typed).all()

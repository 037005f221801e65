"""The payments that a person has to decide about: the contradiction, its evidence, and the acts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from flask import render_template, request
from sqlalchemy import Row, select, tuple_
from sqlalchemy.orm import joinedload

from mpesa.domain.callback import StkResult, read_roughly
from mpesa.domain.evidence import Kind
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.result_codes import Reason, Status
from mpesa.models import DecisionRow, EvidenceRow, Order, Receipt, Transaction, db
from mpesa.web.console import decisions, payments, wording
from mpesa.web.console.act_kinds import Act
from mpesa.web.console.blueprint import console
from mpesa.web.console.payment import acts_for
from mpesa.web.http.services import services

PAGE = 20
# How far back, and how many, payments are listed that are worth a look but need no decision.
_RECENT = timedelta(days=7)
_GLANCES = 20


@dataclass(frozen=True)
class Case:
    """One payment that a person has to decide about.

    Attributes:
        sentence: what is contradictory.
        decision: the newest one that asked for a person; None if there is none.
        evidence: the evidence of that decision.
        said: what that evidence says, if it is a callback that can be read in part.
        codes: the codes that the shopper typed, newest first.
        rivals: the order's other payments that succeeded.
        other: the id of a payment that has, or claims, the same receipt.
    """

    row: Transaction
    sentence: str
    decision: DecisionRow | None
    evidence: EvidenceRow | None
    said: StkResult | None
    codes: Sequence[str]
    rivals: Sequence[Transaction]
    other: str | None
    acts: Sequence[Act]


@console.get("/review")
def review() -> str:
    """List the payments that need a review, the oldest first."""
    begin = payments.wanted_by(request.args).after
    found = db.session.scalars(statement(begin)).all()
    rows, last = found[:PAGE], found[PAGE - 1] if len(found) > PAGE else None
    since = services().now() - _RECENT
    return render_template(
        "console/review.html",
        cases=[_case(each) for each in rows],
        after=payments.Cursor(last.created_at, last.id) if last else None,
        begun="after" in request.args,
        late=_paid_late(since),
        typed=_codes_typed(since),
        doubted=_doubted_receipts(),
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
    codes = (
        select(EvidenceRow.body)
        .where(EvidenceRow.transaction_id == row.id, EvidenceRow.kind == Kind.SMS_CODE.value)
        .order_by(EvidenceRow.id.desc())
        .limit(5)
    )
    said = None
    if evidence is not None and evidence.kind == Kind.CALLBACK:
        said = read_roughly(evidence.body)
    return Case(
        row,
        decisions.doubt(decision.why) if decision else "",
        decision,
        evidence,
        said,
        [body.decode("ascii", "replace") for body in db.session.scalars(codes)],
        db.session.scalars(rivals).all(),
        decisions.other_payment(decision.why) if decision else None,
        acts_for(row),
    )


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

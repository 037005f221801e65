"""Payments that a person has to decide about: what is contradictory, and what can be done."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload

from mpesa.domain.callback import StkResult, read_roughly
from mpesa.domain.evidence import Kind
from mpesa.domain.money import format_kes
from mpesa.domain.result_codes import Status
from mpesa.domain.sms_code import find_receipt
from mpesa.domain.why import Why, words_of
from mpesa.models import DecisionRow, EvidenceRow, Transaction, db
from mpesa.web.console import decisions, session
from mpesa.web.console.act_kinds import ACTS, Act
from mpesa.web.console.advice import advice_on

# The newest codes of a payment that are shown; a shopper may type five an hour.
_CODES = 5


@dataclass(frozen=True)
class Choice:
    """A named answer, as this operator may give it.

    Attributes:
        act: what it does.
        says: the reason that is kept with it.
        receipt: that it fills in; empty if it needs none, or if none is known.
    """

    act: Act
    says: str
    receipt: str

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to be typed."""
        return not self.act.wants_receipt or bool(self.receipt)


@dataclass(frozen=True)
class Case:
    """One payment that a person has to decide about.

    Attributes:
        sentence: what is contradictory.
        do: what to do about it.
        choices: the named answers; the operator may have others.
        out_of_reach: the named answers that take another role.
        decision: the newest one that asked for a person; None if there is none.
        evidence: the evidence of that decision.
        said: what that evidence says, if it is a callback that can be read in part.
        codes: the codes that the shopper typed, newest first.
        rivals: the order's other payments that succeeded.
        other: the id of a payment that has, or claims, the same receipt.
        acts: whatever else this operator may do with it.
        mark: its state on this page, on which an act depends (`acts.mark_of`).
    """

    row: Transaction
    sentence: str
    do: str
    choices: Sequence[Choice]
    out_of_reach: Sequence[Choice]
    decision: DecisionRow | None
    evidence: EvidenceRow | None
    said: StkResult | None
    codes: Sequence[str]
    rivals: Sequence[Transaction]
    other: str | None
    acts: Sequence[Act]
    mark: str


def acts_for(row: Transaction) -> list[Act]:
    """The acts that this operator may carry out on a payment in its present state."""
    return [each for each in ACTS.values() if each.allowed(row) and session.may(each.needs)]


def cases_of(rows: Sequence[Transaction]) -> list[Case]:
    """Read what there is to decide about payments that need a review, all of them at once."""
    ids = [each.id for each in rows]
    doubts = _doubts(ids)
    newest = _newest_evidence(ids)
    codes = _codes(ids)
    rivals = _rivals(rows)
    return [
        _case(
            row,
            doubts.get(row.id),
            codes[row.id][:_CODES],
            [each for each in rivals[row.order_id] if each.id != row.id],
            newest.get(row.id, 0),
        )
        for row in rows
    ]


def _case(
    row: Transaction,
    decision: DecisionRow | None,
    codes: Sequence[str],
    rivals: Sequence[Transaction],
    newest: int,
) -> Case:
    evidence = decision.evidence if decision else None
    said = None
    if evidence is not None and evidence.kind == Kind.CALLBACK:
        said = read_roughly(evidence.body)
    advice = advice_on(decision.why if decision else "")
    receipt = _receipt_to_fill_in(row, said, codes)
    choices = [
        Choice(act, str(each.says) % {"amount": format_kes(row.amount)}, receipt)
        for each in advice.answers
        if (act := ACTS[each.act]).allowed(row)
    ]
    return Case(
        row=row,
        sentence=_sentence(row, decision, rivals),
        do=str(advice.do),
        choices=[each for each in choices if session.may(each.act.needs)],
        out_of_reach=[each for each in choices if not session.may(each.act.needs)],
        decision=decision,
        evidence=evidence,
        said=said,
        codes=codes,
        rivals=rivals,
        other=decisions.other_payment(decision.why) if decision else None,
        acts=acts_for(row),
        mark=f"{row.seq}.{decision.id if decision else 0}.{newest}",
    )


def _sentence(row: Transaction, decision: DecisionRow | None, rivals: Sequence[Transaction]) -> str:
    if decision is None:
        return str(_("Something about this payment is contradictory."))
    read = words_of(decision.why)
    other = next((each.receipt for each in rivals if each.receipt), None)
    if read and read[0][0] is Why.MONEY_TWICE and row.receipt and other:
        twice = _(
            "Paid twice. Give one of the two back: %(one)s or %(other)s.",
            one=other,
            other=row.receipt,
        )
        return str(twice)
    return decisions.doubt(decision.why)


def _receipt_to_fill_in(row: Transaction, said: StkResult | None, codes: Sequence[str]) -> str:
    """The receipt that the doubtful report named, else the one that the shopper typed last."""
    named = said.receipt if said is not None else None
    return next((each for each in (named, *codes) if each and find_receipt(each) == each), "")


def _doubts(ids: Sequence[str]) -> dict[str, DecisionRow]:
    """The newest decision on each payment that asked for a person, with its evidence."""
    newest = (
        select(func.max(DecisionRow.id))
        .where(DecisionRow.transaction_id.in_(ids), DecisionRow.needs_review)
        .group_by(DecisionRow.transaction_id)
    )
    found = (
        select(DecisionRow)
        .where(DecisionRow.id.in_(newest))
        .options(joinedload(DecisionRow.evidence))
    )
    return {each.transaction_id: each for each in db.session.scalars(found)}


def _newest_evidence(ids: Sequence[str]) -> dict[str, int]:
    newest = (
        select(EvidenceRow.transaction_id, func.max(EvidenceRow.id).label("newest"))
        .where(EvidenceRow.transaction_id.in_(ids))
        .group_by(EvidenceRow.transaction_id)
    )
    return {each.transaction_id: each.newest for each in db.session.execute(newest)}


def _codes(ids: Sequence[str]) -> defaultdict[str, list[str]]:
    typed = (
        select(EvidenceRow.transaction_id, EvidenceRow.body)
        .where(EvidenceRow.transaction_id.in_(ids), EvidenceRow.kind == Kind.SMS_CODE.value)
        .order_by(EvidenceRow.id.desc())
    )
    codes: defaultdict[str, list[str]] = defaultdict(list)
    for transaction_id, body in db.session.execute(typed):
        codes[transaction_id].append(body.decode("ascii", "replace"))
    return codes


def _rivals(rows: Iterable[Transaction]) -> defaultdict[str, list[Transaction]]:
    """The payments of the same orders that succeeded, by order."""
    paid = select(Transaction).where(
        Transaction.order_id.in_([each.order_id for each in rows]),
        Transaction.status == Status.SUCCESS.value,
    )
    rivals: defaultdict[str, list[Any]] = defaultdict(list)
    for each in db.session.scalars(paid):
        rivals[each.order_id].append(each)
    return rivals

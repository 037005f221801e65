"""An operator's acts on a payment: confirmed first, done once, kept as evidence under a name."""

import json
import re
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from sqlalchemy import Connection, func, select
from werkzeug.wrappers import Response

from mpesa import ledger
from mpesa.domain import settlement
from mpesa.domain.attempt import Attempt
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.result_codes import Status
from mpesa.domain.sms_code import find_receipt
from mpesa.models import DecisionRow, EvidenceRow, Transaction, db
from mpesa.web.console import asked_twice, session
from mpesa.web.console.act_kinds import ACTS, Act
from mpesa.web.console.blueprint import console
from mpesa.web.console.payment import find
from mpesa.web.console.review import back_in_review
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

_MARK = re.compile(r"[0-9]{1,9}\.[0-9]{1,19}\.[0-9]{1,19}")
# The newest decisions that a refused act shows: enough to see why it was refused.
_MEANWHILE = 10


@dataclass(frozen=True)
class Asked:
    """What the operator typed, and the state of the payment that the operator saw.

    Attributes:
        mark: the state of the payment on the page that was read; see `mark_of`.
        once: identifies the form, so that a form that is sent twice acts once.
    """

    reason: str
    receipt: str
    mark: str
    once: str


@dataclass
class _Stale(Exception):
    """The payment is no longer as the page showed it.

    Attributes:
        seen: id of the newest evidence on that page.
    """

    seen: int


class _DoneBefore(Exception):
    """The same form was sent before."""


@console.get("/transactions/<transaction_id>/<act>")
def ask_first(transaction_id: str, act: str) -> Response:
    """Show the form, which asks for the reason and, where needed, for the receipt."""
    row = find(transaction_id)
    wanted, given = _allowed_act(act, row), request.args
    asked = Asked(given.get("reason", "")[:500], given.get("receipt", "")[:64], mark_of(row), "")
    return _form_page(row, wanted, asked)


@console.post("/transactions/<transaction_id>/<act>")
def ask_again(transaction_id: str, act: str) -> Response:
    """Check what was typed, say what will happen, and ask for confirmation."""
    row = find(transaction_id)
    wanted, asked = _allowed_act(act, row), _asked_by_form(mark_of(row))
    wrong = _wrong_fields(row, wanted, asked)
    if wrong:
        return _form_page(row, wanted, asked, wrong)
    if asked.mark != mark_of(row):
        return _stale_page(row, wanted, _newest_evidence(asked.mark))
    return _page("confirm.html", row, wanted, asked=asked)


@console.post("/transactions/<transaction_id>/<act>/confirm")
def carry_out(transaction_id: str, act: str) -> Response:
    """Carry out the act, unless it was done before or the payment has changed since then."""
    row = find(transaction_id)
    wanted, asked = ACTS.get(act), _asked_by_form("")
    if wanted is None:
        raise _no_such_act()
    wrong = _wrong_fields(row, wanted, asked)
    if wrong:
        return _form_page(row, wanted, asked, wrong)
    was_doubted = row.needs_review
    try:
        _record_act(row.id, wanted, asked)
    except _Stale as stale:
        return _stale_page(find(transaction_id), wanted, stale.seen)
    except _DoneBefore:
        flash(_("That was done already; nothing was done twice."))
    else:
        after = find(transaction_id)
        if wanted.wants_receipt and after.status != Status.SUCCESS:
            flash(_receipt_taken(), "refused")  # another payment got it a moment before
        elif was_doubted and not after.needs_review:
            return back_in_review(str(wanted.done))
        else:
            flash(str(wanted.done))
    return redirect(url_for("console.transaction", transaction_id=row.id), 303)


def mark_of(row: Transaction) -> str:
    """The state that an act depends on, as `seq.doubt.evidence`.

    `seq` and the newest decision that asked for a person must be the same when the act is carried
    out; the newest evidence tells what has happened since.
    """
    return _mark(row, db.session.connection())


def _mark(row: Transaction | Attempt, connection: Connection) -> str:
    doubts = select(func.max(DecisionRow.id)).where(
        DecisionRow.transaction_id == row.id, DecisionRow.needs_review
    )
    newest = select(func.max(EvidenceRow.id)).where(EvidenceRow.transaction_id == row.id)
    doubt = (connection.scalar(doubts) or 0) if row.needs_review else 0
    return f"{row.seq}.{doubt}.{connection.scalar(newest) or 0}"


def _record_act(transaction_id: str, act: Act, asked: Asked) -> None:
    """Check under the order's lock that nothing was done or changed since, then record the act.

    Raises:
        _DoneBefore: the same form was sent before.
        _Stale: the payment is no longer as the page showed it.
    """

    def check(connection: Connection, attempt: Attempt) -> None:
        if asked_twice.was_done(connection, transaction_id, asked.once):
            raise _DoneBefore
        if _state_of(_mark(attempt, connection)) != _state_of(asked.mark) or not act.allowed(
            attempt
        ):
            raise _Stale(_newest_evidence(asked.mark))

    said = {"act": act.name, "reason": asked.reason, "once": asked.once}
    if act.wants_receipt:
        said["receipt"] = asked.receipt
    raw = Raw(Kind.OPERATOR, json.dumps(said).encode(), session.operator())
    evidence: dict[str, settlement.Evidence] = {
        "ask": settlement.OperatorAsks(),
        "paid": settlement.OperatorSaysPaid(asked.receipt),
        "not-paid": settlement.OperatorSaysNotPaid(),
        "settle": settlement.ReviewSettled(),
    }
    recorded = ledger.record(
        db.session(), transaction_id, evidence[act.name], raw, services().now, check
    )
    services().announce(recorded.changes)


def _allowed_act(name: str, row: Transaction) -> Act:
    act = ACTS.get(name)
    if act is None:
        raise _no_such_act()
    if not act.allowed(row):
        detail = _("That cannot be done with this payment as it stands now.")
        raise Problem(409, "invalid_request", detail)
    return act


def _no_such_act() -> Problem:
    return Problem(404, "not_found", _("There is nothing at this address."))


def _asked_by_form(mark: str) -> Asked:
    form = request.form
    named = form.get("mark", mark)
    return Asked(
        reason=asked_twice.reason(),
        receipt=find_receipt(form.get("receipt")) or form.get("receipt", "").strip(),
        mark=named if _MARK.fullmatch(named) else "0.0.0",
        once=asked_twice.once(),
    )


def _wrong_fields(row: Transaction, act: Act, asked: Asked) -> dict[str, str]:
    """What is wrong with the form, by field."""
    wrong = {}
    if wrong_reason := asked_twice.wrong_reason(asked.reason):
        wrong["reason"] = wrong_reason
    if act.wants_receipt and find_receipt(asked.receipt) != asked.receipt:
        wrong["receipt"] = _("A receipt has ten letters and digits, such as UKO1AB2C3D.")
    elif act.wants_receipt:
        owner = select(Transaction.id).where(Transaction.receipt == asked.receipt)
        if db.session.scalar(owner) not in (None, row.id):
            wrong["receipt"] = _receipt_taken()
    return wrong


def _receipt_taken() -> str:
    return str(_("That receipt belongs to another payment. Nothing was changed."))


def _state_of(mark: str) -> str:
    """The part of a mark that an act depends on."""
    return mark.rsplit(".", 1)[0]


def _newest_evidence(mark: str) -> int:
    return int(mark.rsplit(".", 1)[1])


def _form_page(
    row: Transaction, act: Act, asked: Asked, wrong: dict[str, str] | None = None
) -> Response:
    status = 400 if wrong else 200
    return _page("act.html", row, act, status, asked=asked, wrong=wrong or {})


def _stale_page(row: Transaction, act: Act, seen: int) -> Response:
    """Say that nothing was done, and what has happened since the page was shown."""
    news = (
        select(DecisionRow, EvidenceRow)
        .join(EvidenceRow, DecisionRow.evidence_id == EvidenceRow.id)
        .where(DecisionRow.transaction_id == row.id, EvidenceRow.id > seen)
        .order_by(DecisionRow.id)
        .limit(_MEANWHILE)
    )
    found = db.session.execute(news).all()
    return _page("stale.html", row, act, 409, news=found)


def _page(template: str, row: Transaction, act: Act, status: int = 200, **more: object) -> Response:
    page = render_template(f"console/{template}", row=row, order=row.order, act=act, **more)
    return Response(page, status, content_type="text/html; charset=utf-8")

"""Money back: what waits for a release, one refund with its steps, and asking for one."""

import json

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from mpesa import receipt_lists, refund_lists, refunds
from mpesa.domain import refusals
from mpesa.domain.money import cents_text
from mpesa.domain.people_text import read_line
from mpesa.domain.receipt import Receipt, nairobi_day
from mpesa.domain.refund import COUNTED, RELEASED_WITHIN, Event, Refund, RefundStatus
from mpesa.domain.roles import Act
from mpesa.ids import is_id
from mpesa.models import Refund as RefundRow
from mpesa.models import RefundStep, db
from mpesa.receipts import LONGEST_REASON, SHORTEST_REASON
from mpesa.web.console import asked_twice, periods, session
from mpesa.web.console.blueprint import console
from mpesa.web.console.payments import Cursor, cursor_of
from mpesa.web.console.review import back_in_review
from mpesa.web.console.step_up import wrong_proof
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import refund_needs, services

PAGE = 50
# Digits of a refund's `seq`, of which it never has so many.
_DIGITS = 10

WORDS = {
    RefundStatus.REQUESTED: _l("Waits for a release"),
    RefundStatus.RELEASED: _l("Released"),
    RefundStatus.SENT: _l("On its way"),
    RefundStatus.SUCCEEDED: _l("Given back"),
    RefundStatus.FAILED: _l("Did not work"),
    RefundStatus.UNKNOWN: _l("Not known"),
    RefundStatus.REFUSED: _l("Refused"),
}
STEPS = {
    Event.REQUESTED: _l("Asked for"),
    Event.RELEASED: _l("Released"),
    Event.REFUSED: _l("Refused"),
    Event.OUT_OF_TIME: _l("Nobody released it within a day"),
    Event.SENT: _l("Sent to M-PESA"),
    Event.ACKNOWLEDGED: _l("M-PESA accepted the request"),
    Event.NOT_RUN: _l("M-PESA refused it: nothing moved"),
    Event.NO_ANSWER: _l("No clear answer: it may be on its way"),
    Event.SILENT: _l("No result came"),
    Event.TIMED_OUT: _l("M-PESA said that it took too long: it may be on its way"),
    Event.RESULT_SUCCEEDED: _l("M-PESA gave the money back"),
    Event.RESULT_ALREADY_BACK: _l("M-PESA says that the money was back already"),
    Event.RESULT_FAILED: _l("M-PESA did not give the money back"),
    Event.RESULT_UNCLEAR: _l("M-PESA's result is not clear"),
    Event.RETURNED_OTHERWISE: _l("The receipt was returned"),
    Event.ENDED_BACK: _l("Ended: the money is back"),
    Event.ENDED_NOT_BACK: _l("Ended: the money is not back"),
    Event.REVIEW_SETTLED: _l("Review settled"),
}
# Done by somebody with a name; whatever else names its source has an address.
_BY_PEOPLE = frozenset(
    {
        Event.REQUESTED, Event.RELEASED, Event.REFUSED, Event.ENDED_BACK, Event.ENDED_NOT_BACK,
        Event.REVIEW_SETTLED,
    }
)  # fmt: skip
# Why M-PESA did not do it, by its code (Daraja docs, Reversals).
CODES = {
    "1": _l("Your own M-PESA account has too little money, for example since it went to the bank."),
    "21": _l("The API user lacks the role for reversals."),
    "18": _l("The API user's credential is wrong."),
    "2001": _l("The API user's name or credential is wrong."),
    "8006": _l("The API user is locked: an administrator unlocks it on the portal."),
    "R000002": _l("M-PESA does not know this receipt."),
}


@console.get("/refunds", endpoint="refunds")
def list_refunds() -> Response:
    """List what waits for a release, and then the refunds of a period or all, the newest first."""
    asked, found = periods.asked(), list[Refund]()
    begin = cursor_of(request.args.get("before", ""))
    if asked.error is None:
        place = (begin.created_at, begin.id) if begin else None
        found = refund_lists.newest(db.session(), PAGE + 1, period=asked.period, before=place)
    last = found[PAGE - 1] if len(found) > PAGE else None
    page = render_template(
        "console/refunds.html",
        waiting=refund_lists.waiting(db.session(), PAGE),
        newest=found[:PAGE],
        begun=begin is not None,
        older=Cursor(last.created_at, last.id) if last else None,
        kept=asked.period.query if asked.period else {},
        asked=asked,
        choices=periods.choices("console.refunds", asked.period, {}),
        words=WORDS,
        kes=_kes,
    )
    status = 200 if asked.error is None else 400
    return Response(page, status, content_type="text/html; charset=utf-8")


@console.get("/refunds/<refund_id>", endpoint="refund")
def show_refund(refund_id: str) -> Response:
    """Show one refund with each of its steps, and what may be done now."""
    return _refund_page(_find(refund_id))


@console.post("/refunds/<refund_id>/release")
def release_refund(refund_id: str) -> Response:
    """Release it, by a manager's password and code."""
    refund = _find(refund_id)
    if wrong := wrong_proof():
        return _refund_page(refund, wrong=wrong)
    returns_all = request.form.get("returns_all") == "yes"
    try:
        refunds.release(
            db.session(), refund.id, _own_name(), refund_needs(), returns_all=returns_all
        )
    except refusals.RefundError as refusal_of_it:
        return _refund_page(refund, _words_of(refusal_of_it))
    flash(_("It is released, and sent at once."))
    return _to(refund_id)


@console.post("/refunds/<refund_id>/refuse")
def refuse_refund(refund_id: str) -> Response:
    """Refuse what was asked for."""
    refund = _find(refund_id)
    try:
        refunds.refuse(db.session(), refund.id, _own_name(), refund_needs())
    except refusals.RefundError as refusal:
        return _refund_page(refund, _words_of(refusal))
    flash(_("It is refused. The receipt can be given to an order again."))
    return _to(refund_id)


@console.post("/refunds/<refund_id>/end")
def end_refund(refund_id: str) -> Response:
    """End what is unknown, by a manager's word and code."""
    refund = _find(refund_id)
    back = request.form.get("back")
    if back not in ("yes", "no"):
        return _refund_page(refund, _("Say whether the money is back."))
    if wrong := wrong_proof():
        return _refund_page(refund, wrong=wrong)
    try:
        refunds.end(db.session(), refund.id, _own_name(), refund_needs(), back=back == "yes")
    except refusals.RefundError as refusal_of_it:
        return _refund_page(refund, _words_of(refusal_of_it))
    flash(_("It is ended."))
    return _to(refund_id)


@console.get("/refunds/<refund_id>/settle")
def ask_to_settle_refund(refund_id: str) -> Response:
    """Ask why the review of a refund is settled."""
    refund = _find(refund_id)
    if not refund.can_be_settled:
        return _refund_page(refund, _words_of(refusals.TooLate()))
    return _settle_page(refund)


@console.post("/refunds/<refund_id>/settle")
def settle_refund(refund_id: str) -> Response:
    """Settle the review of a refund: nothing else changes, and the reason is kept with a name."""
    refund = _find(refund_id)
    reason, seq = asked_twice.reason(), request.form.get("seq", "")
    if wrong := asked_twice.wrong_reason(reason):
        return _settle_page(refund, wrong, reason)
    known = int(seq) if seq.isascii() and seq.isdigit() and len(seq) < _DIGITS else 0
    settled = refunds.Settled(_own_name(), reason, asked_twice.once(), known)
    try:
        is_new = refunds.settle_review(db.session(), refund.id, settled, refund_needs())
    except refusals.RefundError as refusal:
        return _refund_page(_find(refund_id), _words_of(refusal))
    if is_new:
        return back_in_review(_("The review is settled."))
    flash(_("That was done already; nothing was done twice."))
    return redirect(url_for("console.review"), 303)


@console.get("/receipts/<receipt>/refund")
def ask_for_refund(receipt: str) -> Response:
    """Ask for a reason before a refund is asked for."""
    return _ask_page(_find_receipt(receipt))


@console.post("/receipts/<receipt>/refund")
def carry_out_request(receipt: str) -> Response:
    """Ask for a refund, which another person releases."""
    found = _find_receipt(receipt)
    typed = request.form.get("reason", "")
    reason = read_line(typed, LONGEST_REASON)
    if reason is None or len(reason) < SHORTEST_REASON:
        wrong = _("Say why, in 2 to 100 characters on one line.")
        return _ask_page(found, wrong=wrong, reason=typed)
    returns_all = request.form.get("returns_all") == "yes"
    wanted = refunds.Wanted(found.receipt, reason, _own_name(), returns_all)
    try:
        refund, _is_new = refunds.ask(db.session(), wanted, refund_needs())
    except refusals.RefundExists as there:
        flash(_("A refund of this receipt was asked for already."))
        return _to(there.refund_id)
    except refusals.OtherReturned:
        return _ask_page(found, reason=typed, another=True)
    except refusals.RefundError as refusal:
        return _ask_page(found, refusal=_words_of(refusal), reason=typed)
    flash(_("It is asked for. Another person releases it within a day."))
    return _to(refund.id)


def _refund_page(
    refund: Refund, refusal: str | None = None, *, wrong: str | None = None
) -> Response:
    kept = select(RefundStep).where(RefundStep.refund_id == refund.id).order_by(RefundStep.id)
    steps = db.session.scalars(kept).all()
    receipt = receipt_lists.find(db.session().connection(), refund.receipt)
    shown = receipt_lists.shown(db.session().connection(), [receipt])[0] if receipt else None
    page = render_template(
        "console/refund.html",
        refund=refund,
        steps=steps,
        said={
            each.id: json.loads(each.body)["reason"]
            for each in steps
            if each.event == Event.REVIEW_SETTLED.value
        },
        words=WORDS,
        step_words=STEPS,
        why=CODES.get(refund.result_code or ""),
        receipt=shown,
        kes=_kes,
        left=_left_today(),
        limit=services().settings.refund_daily_limit * 100,
        releases_until=refund.created_at + RELEASED_WITHIN,
        own=refund.requested_by == _own_name(),
        another=refunds.another_goes_back(db.session().connection(), refund),
        two_people=refund_needs().two_people,
        by_people=_BY_PEOPLE,
        may_see_people=session.may(Act.SEE_PEOPLE),
        refusal=refusal,
        wrong=wrong,
    )
    status = 409 if refusal or wrong else 200
    return Response(page, status, content_type="text/html; charset=utf-8")


def _settle_page(refund: Refund, wrong: str | None = None, reason: str = "") -> Response:
    page = render_template(
        "console/refund_settle.html",
        refund=refund,
        words=WORDS,
        kes=_kes,
        once=asked_twice.once(),
        wrong=wrong,
        reason=reason,
    )
    return Response(page, 400 if wrong else 200, content_type="text/html; charset=utf-8")


def _ask_page(
    receipt: Receipt,
    *,
    wrong: str | None = None,
    refusal: str | None = None,
    reason: str = "",
    another: bool = False,
) -> Response:
    page = render_template(
        "console/refund_ask.html",
        receipt=receipt_lists.shown(db.session().connection(), [receipt])[0],
        kes=_kes,
        amount=receipt.amount,
        wrong=wrong,
        refusal=refusal,
        reason=reason or request.args.get("why", ""),
        another=another,
        are_on=services().settings.daraja_refund_initiator is not None,
    )
    refused = wrong or refusal or another
    return Response(page, 409 if refused else 200, content_type="text/html; charset=utf-8")


def _own_name() -> str:
    return session.operator() or ""


def _left_today() -> int:
    """Cents that may still be released today, in Nairobi."""
    day = nairobi_day(services().now()).isoformat()
    counted = select(func.coalesce(func.sum(RefundRow.amount), 0)).where(
        RefundRow.released_day == day, RefundRow.status.in_([each.value for each in COUNTED])
    )
    limit = services().settings.refund_daily_limit * 100
    return max(0, limit - (db.session.scalar(counted) or 0))


def _kes(cents: int) -> str:
    whole, part = divmod(cents, 100)
    return f"KES {whole:,}" if not part else f"KES {whole:,}.{(cents_text(cents) or '')[-2:]}"


def _words_of(refusal: refusals.RefundError) -> str:
    match refusal:
        case refusals.NotYours():
            return str(_("You asked for it, so another person releases it."))
        case refusals.TooLate():
            return str(_("That can no longer be done: its state has changed."))
        case refusals.DailyLimit():
            return str(_("Today's limit of refunds would be exceeded."))
        case refusals.OtherReturned():
            return str(
                _("Another receipt of this order goes back too. Tick the box if that is intended.")
            )
        case refusals.NotRefundable():
            return str(
                _("M-PESA gives back whole shillings of a proven payment that is still here.")
            )
        case _:
            raise refusal


def _to(refund_id: str) -> Response:
    return redirect(url_for("console.refund", refund_id=refund_id), 303)


def _find(refund_id: str) -> Refund:
    found = refunds.find(db.session(), refund_id) if is_id(refund_id) else None
    if found is None:
        raise Problem(404, "refund_not_found", _("There is no such refund."))
    return found


def _find_receipt(number: str) -> Receipt:
    known = number.isalnum() and len(number) == 10
    found = receipt_lists.find(db.session().connection(), number) if known else None
    if found is None:
        raise Problem(404, "receipt_not_found", _("There is no such receipt."))
    return found

"""POST /stk-push, GET /check-status and POST /sms-code."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, jsonify, redirect, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from mpesa import books, checkout, codes, inbox, ledger, logs
from mpesa.checkout import PushRequest, Started
from mpesa.domain import refusals
from mpesa.domain.phone import (
    InvalidPhone,
    NoPhone,
    PhoneTooLong,
    PhoneTooShort,
    parse_msisdn,
)
from mpesa.domain.refusals import OrderError
from mpesa.domain.sms_code import find_receipt
from mpesa.domain.snapshot import Snapshot
from mpesa.ids import is_id
from mpesa.models import db
from mpesa.web.http import sentences, snapshot_reads
from mpesa.web.http.errors import Problem, invalid, wants_json, wants_page
from mpesa.web.http.fields import idempotency_key, json_object
from mpesa.web.http.senders import sender_mark
from mpesa.web.http.services import inbox_needs, receipt_needs, services
from mpesa.web.shopper import pages

payments = Blueprint("payments", __name__)

# Nothing in the form is wrong then: the page shows the open attempt, or the payment, instead.
_SHOWN_BY_THE_PAGE = ("attempt_open", "order_paid")


@payments.post("/stk-push")
def stk_push() -> Response:
    """Start a push; JSON is answered with the snapshot, a plain form with the checkout page."""
    if request.is_json:
        started = _start_push(json_object())
        shown = started.snapshot or _read_snapshot(started.transaction_id)
        response = jsonify(sentences.with_message(shown, sentences.language()))
        response.status_code = started.status_code
        return response
    form = _posted_form()
    try:
        _start_push(form)
    except Problem as problem:
        if problem.code == "order_not_found" or not is_id(form.get("order_id")):
            raise
        if problem.code not in _SHOWN_BY_THE_PAGE:
            return pages.checkout_page(
                form["order_id"], problem=problem, phone_typed=form.get("phone", "")
            )
    return redirect(pages.checkout_path(form["order_id"]), 303)


@payments.post("/pay-by-hand")
def pay_by_hand() -> Response:
    """Note that the shopper pays by hand; JSON gets a snapshot, a form the checkout page."""
    fields = json_object() if request.is_json else _posted_form()
    order_id = fields.get("order_id")
    if not isinstance(order_id, str) or not order_id:
        raise invalid("order_id", _("Say which order is to be paid."))
    ours = services()
    if not ours.settings.manual_payment or not is_id(order_id):
        raise _problem_of(refusals.OrderNotFound())
    logs.note(order_id=order_id)
    try:
        ours.limits.check_sender()
        recorded, is_new = ledger.begin_by_hand(db.session(), order_id, ours.now)
    except books.Unknown:
        raise _problem_of(refusals.OrderNotFound()) from None
    except Problem as problem:
        if request.is_json:
            raise
        return pages.checkout_page(order_id, problem=problem)
    except OrderError as refusal:
        if not request.is_json:
            return redirect(pages.checkout_path(order_id), 303)  # the page says what happened
        raise _problem_of(refusal) from None
    ours.announce(recorded.changes)
    if not request.is_json:
        return redirect(pages.checkout_path(order_id), 303)
    response = jsonify(sentences.with_message(recorded.snapshot, sentences.language()))
    response.status_code = 201 if is_new else 200
    return response


@payments.get("/check-status")
def check_status() -> Response:
    """Answer with the snapshot, for pages whose socket is down; 304 while nothing changed."""
    transaction_id = request.args.get("tx_id")
    if not transaction_id:
        raise invalid("tx_id", _("Say which transaction: ?tx_id=…"))
    snapshot, lang = _read_snapshot(transaction_id), sentences.chosen(request.args.get("lang"))
    # Time alone changes some of these fields, and forgetting the number another one: `seq` stays.
    view = f"{snapshot['view']}-{snapshot['money']}-{snapshot['next']}"
    etag = f"{snapshot['seq']}-{lang}-{snapshot['can_retry']:d}-{snapshot['order_status']}"
    etag = f"{etag}-{view}-{bool(snapshot['phone']):d}-{snapshot['again_at']}"
    if request.if_none_match.contains_weak(etag):  # RFC 9110, 13.1.2: proxies weaken it
        response = Response(status=304)
    else:
        response = jsonify(sentences.with_message(snapshot, lang))
    response.set_etag(etag)
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept-Language"
    return response


@payments.post("/sms-code")
def sms_code() -> Response:
    """Take the receipt that a shopper typed out of an SMS.

    A browser's form is answered with the checkout page, and so is every form with an error that
    the page can show, unless the client asks for JSON.
    """
    fields = json_object() if request.is_json else _posted_form()
    try:
        transaction_id = _store_code(fields)
    except Problem as problem:
        shown = not (problem.code == "transaction_not_found" or problem.field == "tx_id")
        if request.is_json or wants_json() or not shown:
            raise
        order_id = _read_snapshot(fields["tx_id"])["order_id"]
        return pages.checkout_page(order_id, code_problem=problem, code_typed=fields.get("code"))
    if not request.is_json and wants_page():
        return redirect(pages.checkout_path(_read_snapshot(transaction_id)["order_id"]), 303)
    response = jsonify(_snapshot_with_message(transaction_id))
    response.status_code = 202
    return response


def _store_code(fields: Mapping[str, Any]) -> str:
    """Store the code, and return the id of its transaction."""
    transaction_id = fields.get("tx_id")
    if not isinstance(transaction_id, str) or not transaction_id:
        raise invalid("tx_id", _("Say which transaction the code is for."))
    code = find_receipt(fields.get("code"))
    if code is None:
        raise invalid("code", _("The code has ten letters and digits, like UKO1ABCDEF."))
    _read_snapshot(transaction_id)
    services().limits.check_code()
    try:
        inbox.take_code(db.session(), transaction_id, code, inbox_needs(), sender_mark())
    except inbox.TooManyCodes as refusal:
        detail = _("Too many codes. Please wait before you send another.")
        raise Problem(429, "rate_limited", detail, retry_after=refusal.seconds) from None
    codes.take_code(db.session(), transaction_id, code, receipt_needs(), sender_mark())
    return transaction_id


def _posted_form() -> Mapping[str, str]:
    """The request's form.

    Raises:
        Problem: 415 if the body is no form.
    """
    if request.mimetype not in ("application/x-www-form-urlencoded", "multipart/form-data"):
        detail = _("Send JSON with Content-Type: application/json, or a form.")
        raise Problem(415, "unsupported_media_type", detail)
    return request.form


def _start_push(fields: Mapping[str, Any]) -> Started:
    """Check the fields and start the push.

    Raises:
        Problem: a field is wrong, or a push is refused now.
    """
    order_id, typed = fields.get("order_id"), fields.get("phone")
    if not isinstance(order_id, str) or not order_id:
        raise invalid("order_id", _("Say which order is to be paid."))
    try:
        msisdn = parse_msisdn(typed if isinstance(typed, str) else "")
    except InvalidPhone as refusal:
        raise invalid("phone", _phone_refused(refusal), "invalid_phone") from None
    if not is_id(order_id):
        raise _problem_of(refusals.OrderNotFound())
    logs.note(order_id=order_id)
    ours = services()
    needs = checkout.Needs(
        access=ours.access,
        callback_url=lambda token: f"{ours.settings.public_url}/callback/{token}",
        check_limits=ours.limits.check,
        announce=ours.announce,
        clock_stepped=ours.watch.stepped,
    )
    wanted = PushRequest(order_id, msisdn, idempotency_key(), sender_mark())
    try:
        return checkout.start(db.session(), wanted, needs)
    except OrderError as refusal:
        raise _problem_of(refusal) from None


def _phone_refused(refusal: InvalidPhone) -> str:
    match refusal:
        case NoPhone():
            return str(_("Enter the number that pays with M-PESA."))
        case PhoneTooShort():
            return str(_("This number is too short: 10 digits, like 0712\u00a0345\u00a0678."))
        case PhoneTooLong():
            return str(_("This number is too long: 10 digits, like 0712\u00a0345\u00a0678."))
        case _:
            return str(
                _("This is not a Kenyan mobile number. Enter it like 0712\u00a0345\u00a0678.")
            )


def _read_snapshot(transaction_id: str) -> Snapshot:
    found = None
    if is_id(transaction_id):
        logs.note(transaction_id=transaction_id)
        found = snapshot_reads.snapshot(transaction_id, services().now())
    if found is None:
        detail = _("There is no such transaction.")
        raise Problem(404, "transaction_not_found", detail)
    logs.note(order_id=found["order_id"])
    return found


def _snapshot_with_message(transaction_id: str) -> dict[str, Any]:
    return sentences.with_message(_read_snapshot(transaction_id), sentences.language())


def _problem_of(refusal: OrderError) -> Problem:
    match refusal:
        case refusals.OrderNotFound():
            return Problem(404, "order_not_found", _("There is no such order."))
        case refusals.OrderPaid():
            return Problem(409, "order_paid", _("Already paid. Nothing more to do."))
        case refusals.OrderClosed():
            return Problem(409, "order_closed", _("This order can no longer be paid."))
        case refusals.KeyReused():
            detail = _("This Idempotency-Key was used before with other fields.")
            return Problem(422, "idempotency_mismatch", detail)
        case refusals.AttemptOpen():
            detail = _("A request for this order is still open on another phone.")
            return Problem(409, "attempt_open", detail)
        case refusals.LineBusy(seconds=seconds):
            detail = ngettext(
                "Another M-PESA request is open on this phone. Try again in about %(num)d minute,"
                " or use another number.",
                "Another M-PESA request is open on this phone. Try again in about %(num)d minutes,"
                " or use another number.",
                sentences.minutes(seconds),
            )
            return Problem(429, "line_busy", detail, retry_after=seconds)
        case refusals.MustWait(seconds=seconds):
            detail = ngettext(
                "Please wait about %(num)d minute before you try again.",
                "Please wait about %(num)d minutes before you try again.",
                sentences.minutes(seconds),
            )
            return Problem(429, "retry_later", detail, retry_after=seconds)
        case _:
            raise refusal

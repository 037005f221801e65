"""/api/refunds: the shop's server asks for money to go back, and reads what became of it."""

import hmac
import re
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from mpesa import refund_lists
from mpesa import refunds as money_back
from mpesa.domain import refund_shown, refusals
from mpesa.domain.people_text import read_line
from mpesa.domain.refund import Refund
from mpesa.ids import hash_token, is_id
from mpesa.models import db
from mpesa.receipt_lists import Place
from mpesa.receipts import LONGEST_REASON, SHORTEST_REASON
from mpesa.refunds import Wanted
from mpesa.web.http.errors import Problem, invalid
from mpesa.web.http.fields import idempotency_key, json_object
from mpesa.web.http.services import refund_needs, services
from mpesa.web.merchant.api_keys import name_of
from mpesa.web.merchant.receipts import wanted_limit, wanted_place

refunds = Blueprint("refunds", __name__)

_NUMBER = re.compile(r"[A-Z0-9]{10}")


@refunds.post("/api/refunds")
def ask_for_refund() -> Response:
    """Ask for a refund of a receipt, in full; a person releases it."""
    settings = services().settings
    key = _check_key(settings.refund_api_keys)
    if settings.daraja_refund_initiator is None:
        detail = _("Refunds are off: DARAJA_REFUND_INITIATOR is not set.")
        raise Problem(403, "refunds_off", detail)
    fields = json_object()
    receipt, reason = fields.get("receipt"), read_line(fields.get("reason"), LONGEST_REASON)
    if not isinstance(receipt, str) or not receipt:
        raise invalid("receipt", _("Say which receipt is to be given back."))
    if reason is None or len(reason) < SHORTEST_REASON:
        raise invalid("reason", _("Say why, in 2 to 100 characters on one line."))
    returns_all = fields.get("returns_all", False)
    if not isinstance(returns_all, bool):
        raise invalid("returns_all", _("true, or leave it out."))
    if not _NUMBER.fullmatch(receipt):
        raise _problem_of(refusals.NoReceipt())
    once = idempotency_key()
    wanted = Wanted(
        receipt, reason, name_of(key), returns_all, (hash_token(key), once) if once else None
    )
    try:
        refund, _is_new = money_back.ask(db.session(), wanted, refund_needs())
    except (refusals.RefundError, refusals.KeyReused) as refusal:
        raise _problem_of(refusal) from None
    response = jsonify(refund_shown.draw(refund))
    response.status_code = 201
    return response


@refunds.get("/api/refunds/<refund_id>")
def read_refund(refund_id: str) -> Response:
    """Answer with one refund."""
    _check_key((*services().settings.api_keys, *services().settings.refund_api_keys))
    found = money_back.find(db.session(), refund_id) if is_id(refund_id) else None
    if found is None:
        raise Problem(404, "refund_not_found", _("There is no such refund."))
    return jsonify(refund_shown.draw(found))


@refunds.get("/api/refunds")
def list_refunds() -> Response:
    """Answer with refunds, the oldest change first, and the cursor of the next page."""
    _check_key((*services().settings.api_keys, *services().settings.refund_api_keys))
    after, limit = wanted_place(), wanted_limit()
    found: list[Refund] = refund_lists.page(db.session(), services().now(), limit, after)
    last = found[-1] if found else None
    shown: list[Any] = [refund_shown.draw(each) for each in found]
    return jsonify(refunds=shown, next=str(Place(last.updated_at, last.id)) if last else None)


def _check_key(keys: tuple[str, ...]) -> str:
    """Return the key of the request.

    Raises:
        Problem: 401 if it sends none of these.
    """
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        hashed = hash_token(given.strip())
        for key in keys:
            if hmac.compare_digest(hashed, hash_token(key)):
                return key
    detail = _("Send Authorization: Bearer and one of REFUND_API_KEYS; to read, API_KEYS will do.")
    raise Problem(401, "unauthorized", detail)


def _problem_of(refusal: refusals.RefundError | refusals.KeyReused) -> Problem:
    match refusal:
        case refusals.NoReceipt():
            return Problem(404, "receipt_not_found", _("There is no such receipt."))
        case refusals.RefundExists(refund_id=refund_id):
            detail = _("A refund of this receipt was asked for.")
            return Problem(409, "refund_exists", detail, more={"refund_id": refund_id})
        case refusals.NotRefundable():
            detail = _("Only a proven payment of whole shillings that is still here goes back.")
            return Problem(409, "not_refundable", detail)
        case refusals.OtherReturned():
            detail = _(
                "Another receipt of this order goes back already. Send returns_all to give back"
                " this one too."
            )
            return Problem(409, "other_receipt_returned", detail)
        case refusals.KeyReused():
            detail = _("This Idempotency-Key was used before with other fields.")
            return Problem(422, "idempotency_mismatch", detail)
        case _:
            raise refusal

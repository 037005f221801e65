"""/api/receipts: the shop's server reads what came, and claims for an order what no rule could."""

import re
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from mpesa import logs, receipt_lists
from mpesa import receipts as money_in
from mpesa.domain import refusals
from mpesa.domain.people_text import read_line
from mpesa.domain.receipt import Direction, Receipt, State
from mpesa.domain.snapshot import utc_text
from mpesa.ids import is_id
from mpesa.models import db
from mpesa.receipt_lists import Place
from mpesa.receipts import LONGEST_REASON, SHORTEST_REASON, Claim
from mpesa.web.http.errors import Problem, invalid
from mpesa.web.http.fields import json_object
from mpesa.web.http.services import receipt_needs, services
from mpesa.web.merchant.api_keys import check_api_key, name_of

receipts = Blueprint("receipts", __name__)

# Receipts of one page.
_USUAL, _MOST = 50, 200
_LIMIT = re.compile(r"[0-9]{1,3}")
_NUMBER = re.compile(r"[A-Z0-9]{10}")


@receipts.get("/api/receipts")
def list_receipts() -> Response:
    """Answer with receipts, the oldest change first, and the cursor of the next page."""
    check_api_key()
    named = request.args.get("state")
    if named is not None and named not in set(State):
        raise invalid("state", _("One of: %(words)s.", words=", ".join(State)))
    state = None if named is None else State(named)
    after, limit = wanted_place(), wanted_limit()
    connection = db.session().connection()
    found = receipt_lists.page(connection, services().now(), limit, state, after)
    last = found[-1] if found else None
    return jsonify(
        receipts=_as_json(found),
        next=str(Place(last.changed_at, last.id)) if last else None,
    )


@receipts.get("/api/receipts/<receipt>")
def read_receipt(receipt: str) -> Response:
    """Answer with one receipt."""
    check_api_key()
    named = request.args.get("direction", Direction.IN.value)
    if named not in set(Direction):
        raise invalid("direction", _("One of: %(words)s.", words=", ".join(Direction)))
    found = None
    if _NUMBER.fullmatch(receipt):
        found = receipt_lists.find(db.session().connection(), receipt, Direction(named))
    if found is None:
        raise _not_found()
    return jsonify(_as_json([found])[0])


@receipts.post("/api/receipts/<receipt>/claim")
def claim_receipt(receipt: str) -> Response:
    """Give a receipt to an order; once more with the same order changes nothing."""
    by = name_of(check_api_key())
    fields = json_object()
    order_id = fields.get("order_id")
    if not isinstance(order_id, str) or not order_id:
        raise invalid("order_id", _("Say which order it pays."))
    accepts_amount = fields.get("accept_amount")
    if accepts_amount is not None and not isinstance(accepts_amount, bool):
        raise invalid("accept_amount", _("true, or leave it out."))
    reason = _wanted_reason(fields.get("reason"), needed=accepts_amount is True)
    if not _NUMBER.fullmatch(receipt):
        raise _not_found()
    if not is_id(order_id):
        raise _problem_of(refusals.OrderNotFound())
    logs.note(order_id=order_id)
    wanted = Claim(receipt, order_id, by, accepts_amount is True, reason)
    try:
        claimed = money_in.claim(db.session(), wanted, receipt_needs())
    except (refusals.ReceiptError, refusals.OrderError) as refusal:
        raise _problem_of(refusal) from None
    return jsonify(_as_json([claimed])[0])


def wanted_place() -> Place | None:
    """Read `?cursor=`; None: from the beginning."""
    cursor = request.args.get("cursor")
    if cursor is None:
        return None
    place = Place.read(cursor)
    if place is None:
        raise invalid("cursor", _("Send the `next` of an earlier answer, or leave it out."))
    return place


def wanted_limit() -> int:
    """Read `?limit=`."""
    limit = request.args.get("limit", str(_USUAL))
    if not _LIMIT.fullmatch(limit) or not 1 <= int(limit) <= _MOST:
        raise invalid("limit", _("From 1 to %(most)d.", most=_MOST))
    return int(limit)


def _wanted_reason(value: object, *, needed: bool) -> str:
    if value is None and not needed:
        return ""
    reason = read_line(value, LONGEST_REASON)
    if reason is None or len(reason) < SHORTEST_REASON:
        detail = _("Say why, in 2 to 100 characters on one line.")
        raise invalid("reason", detail)
    return reason


def _not_found() -> Problem:
    return _problem_of(refusals.ReceiptNotFound())


def _problem_of(refusal: refusals.ReceiptError | refusals.OrderError) -> Problem:
    match refusal:
        case refusals.ReceiptNotFound():
            return Problem(404, "receipt_not_found", _("There is no such receipt."))
        case refusals.OrderNotFound():
            return Problem(404, "order_not_found", _("There is no such order."))
        case refusals.OrderPaid():
            return Problem(409, "order_paid", _("This order is paid."))
        case refusals.AlreadyClaimed():
            return Problem(409, "receipt_claimed", _("This receipt is another order's."))
        case refusals.NotProven():
            detail = _("Nothing proves yet that this money came.")
            return Problem(409, "receipt_unproven", detail)
        case refusals.AlreadyReturned():
            return Problem(409, "receipt_returned", _("This money went back to its payer."))
        case refusals.OnItsWayBack():
            detail = _("A refund of this receipt was asked for.")
            return Problem(409, "refund_exists", detail)
        case refusals.AmountDiffers():
            detail = _("The amount is not the order's. Send accept_amount and a reason to take it.")
            return Problem(409, "amount_differs", detail)
        case _:
            raise refusal


def _as_json(found: list[Receipt]) -> list[dict[str, Any]]:
    connection = db.session().connection()
    told = receipt_lists.witnesses(connection, found)
    return [
        {
            **shown,
            "witnesses": [
                {"kind": witness.kind, "received_at": utc_text(witness.received_at)}
                for witness in told[each.id]
            ],
        }
        for each, shown in zip(found, receipt_lists.shown(connection, found), strict=True)
    ]

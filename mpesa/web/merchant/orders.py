"""/api/orders: the shop's server creates, reads, finds and cancels orders here."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, jsonify, request
from flask_babel import gettext as _

from mpesa import logs, orders
from mpesa.config import Settings, is_loopback
from mpesa.domain import snapshot
from mpesa.domain.attempt import Account
from mpesa.domain.people_text import read_line
from mpesa.domain.reference import is_reference
from mpesa.domain.refusals import (
    AttemptOpen,
    EndsAtNoTime,
    KeyReused,
    OrderPaid,
)
from mpesa.domain.snapshot import utc_text
from mpesa.models import db
from mpesa.orders import MerchantKey, NewOrder
from mpesa.web.http import sentences
from mpesa.web.http.errors import Problem, invalid
from mpesa.web.http.fields import idempotency_key, json_object
from mpesa.web.http.lookups import find_order
from mpesa.web.http.services import services
from mpesa.web.merchant.api_keys import check_api_key

api = Blueprint("api", __name__)

_DESCRIPTION_LONGEST = 200
_RETURN_URL_LONGEST = 2000


@api.post("/api/orders")
def create_order() -> Response:
    """Create an order."""
    api_key = check_api_key()
    new = parse_order(json_object(), services().settings)
    value = idempotency_key()
    account = make_order(new, MerchantKey(api_key, value) if value else None)
    logs.note(order_id=account.order.id)
    response = jsonify(_order_as_json(account))
    response.status_code = 201
    response.headers["Location"] = f"/api/orders/{account.order.id}"
    return response


@api.get("/api/orders/<order_id>")
def read_order(order_id: str) -> Response:
    """Answer with one order and its transactions."""
    check_api_key()
    return jsonify(_order_as_json(find_order(order_id)))


@api.get("/api/orders")
def find_orders() -> Response:
    """Answer with the orders of a reference, newest first."""
    check_api_key()
    reference = request.args.get("reference")
    if not is_reference(reference):
        raise invalid("reference", _("Say which reference: ?reference=…"))
    found = orders.find_by_reference(db.session(), reference)
    return jsonify(orders=[_order_as_json(each) for each in found])


@api.post("/api/orders/<order_id>/cancel")
def cancel_order(order_id: str) -> Response:
    """Cancel an order; to cancel it again changes nothing."""
    check_api_key()
    find_order(order_id)
    try:
        ours = services()
        changed = orders.cancel(db.session(), order_id, ours.now, ours.watch.stepped)
    except OrderPaid:
        raise Problem(409, "order_paid", _("This order is paid.")) from None
    except AttemptOpen:
        detail = _("A prompt of this order may still be answered. Try again in three minutes.")
        raise Problem(409, "attempt_open", detail) from None
    services().announce(changed)
    return jsonify(_order_as_json(find_order(order_id)))


def make_order(new: NewOrder, key: MerchantKey | None = None) -> Account:
    """Create the order, or find the one that the same key created before.

    Raises:
        Problem: 422 if the key came with other fields before, 400 if the order ends too early or
            too late.
    """
    try:
        return orders.create(db.session(), new, services().now(), key)
    except KeyReused:
        detail = _("This Idempotency-Key was used before with other fields.")
        raise Problem(422, "idempotency_mismatch", detail) from None
    except EndsAtNoTime:
        raise _wrong_expiry() from None


def parse_order(fields: dict[str, Any], settings: Settings) -> NewOrder:
    """Check the fields of a new order; `make_order` checks how far away its end is.

    Raises:
        Problem: 400 that names the field.
    """
    if fields.get("currency") not in (None, "KES"):
        raise invalid("currency", _("KES, or leave it out: M-PESA moves Kenyan shillings only."))
    amount, largest = fields.get("amount"), settings.daraja_max_amount
    if isinstance(amount, bool) or not isinstance(amount, int) or not 1 <= amount <= largest:
        detail = _("Whole shillings as a JSON integer, from 1 to %(largest)d.", largest=largest)
        raise invalid("amount", detail)
    reference = fields.get("reference")
    if not is_reference(reference):
        raise invalid("reference", _("1 to 64 of A-Z, a-z, 0-9, dot, underscore, slash, hyphen."))
    description = read_line(fields.get("description"), _DESCRIPTION_LONGEST)
    if description is None:
        detail = _("1 to 200 characters on one line, without control characters.")
        raise invalid("description", detail)
    return_url = fields.get("return_url")
    if return_url is not None and not _is_allowed_return_url(return_url, settings):
        rule = _("An https address, at most 2,000 ASCII characters.")
        if settings.return_url_hosts:
            hosts = ", ".join(settings.return_url_hosts)
            rule = _("An https address on a host of RETURN_URL_HOSTS: %(hosts)s.", hosts=hosts)
        if settings.simulated:
            rule += " " + _("With the simulator, http on a loopback address will do.")
        raise invalid("return_url", rule)
    expires_at = _read_expiry(fields.get("expires_at"))
    return NewOrder(amount, reference, description, return_url, expires_at)


def _is_allowed_return_url(url: object, settings: Settings) -> bool:
    if not isinstance(url, str) or len(url) > _RETURN_URL_LONGEST:
        return False
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        parts.port  # noqa: B018 - raises where it is no number
    except ValueError:
        return False
    if "\\" in url or "@" in parts.netloc or not host:
        return False
    own = parts.scheme == "http" and settings.simulated and is_loopback(host)
    hosts = [each.strip("[]").lower() for each in settings.return_url_hosts]
    listed = not hosts or host in hosts
    return (parts.scheme == "https" or own) and listed


def _read_expiry(value: object) -> datetime | None:
    if value is None:
        return None
    # Python's own reader stops at a NUL and takes other scripts' digits.
    if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
        raise _wrong_expiry()
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise _wrong_expiry()
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _wrong_expiry() from None


def _wrong_expiry() -> Problem:
    detail = _(
        "A time in the future, at most ten years from now, ISO 8601 with its zone, such as"
        " 2030-01-31T12:00:00Z."
    )
    return invalid("expires_at", detail)


def _order_as_json(account: Account) -> dict[str, Any]:
    order, now, lang = account.order, services().now(), sentences.language()
    return {
        "order_id": order.id,
        "checkout_url": f"{services().settings.public_url}/checkout/{order.id}",
        "status": account.status(now).value,
        "amount": order.amount,
        "currency": "KES",
        "reference": order.reference,
        "description": order.description,
        "return_url": order.return_url,
        "expires_at": utc_text(order.expires_at) if order.expires_at else None,
        "created_at": utc_text(order.created_at),
        "pay_code": order.pay_code,
        "settled_by": account.settled_by,
        "needs_review": any(each.needs_review for each in account.attempts),
        "transactions": [
            sentences.with_message(each, lang) for each in snapshot.of_account(account, now)
        ],
    }

"""The checkout page, in every state, rendered without a script's help."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Blueprint, Flask, Response, make_response, render_template, request, url_for
from flask_babel import format_datetime
from flask_babel import gettext as _
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from sqlalchemy import select
from werkzeug.exceptions import HTTPException

from mpesa import ledger, logs, orders
from mpesa.config import AccountType, Settings, is_loopback
from mpesa.domain import snapshot, view
from mpesa.domain.attempt import Account, OrderStatus
from mpesa.domain.reference import account_reference
from mpesa.domain.refusals import OrderNotFound
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.view import View
from mpesa.ids import is_id
from mpesa.models import Evidence, Order, db
from mpesa.web.http import qr, sentences
from mpesa.web.http.errors import Problem
from mpesa.web.http.inline import Inline
from mpesa.web.http.services import services
from mpesa.web.http.style import readable_on

pages = Blueprint("pages", __name__)


@dataclass(frozen=True)
class Merchant:
    """The merchant as the shopper sees it.

    Attributes:
        on_colour: black or white, whichever can be read on `colour`.
    """

    name: str
    colour: str
    on_colour: str
    logo: str | None


@pages.get("/checkout/<order_id>")
def checkout(order_id: str) -> Response:
    """The page of one order; the same on every device."""
    return checkout_page(order_id)


def checkout_page(
    order_id: str,
    *,
    problem: Problem | None = None,
    phone_typed: str = "",
    code_problem: Problem | None = None,
    code_typed: str | None = None,
) -> Response:
    """Render the page of an order, with the error of a form that was sent to it.

    Its ETag tells a page that waits for somebody who scanned its code whether anything happened.

    Raises:
        Problem: 404 where there is no such order.
    """
    order = _find(order_id)
    session, now = db.session(), services().now()
    account = orders.account(session, order_id)
    attempts, status = snapshot.of_account(account, now), account.status(now)
    newest = _to_show(account, attempts)
    other = "other" in request.args or problem is not None
    said = _said(account, newest, now, other=other)
    page = render_template(
        "checkout.html",
        order=_shown_order(order, status),
        snapshot=sentences.with_message(newest, sentences.language()) if newest else None,
        said=said,
        phone_message=sentences.message_of(
            {**said, "view": View.PHONE.value}, sentences.language()
        ),
        phone_value=phone_typed,
        field_error=problem.detail if problem and problem.field == "phone" else None,
        form_error=problem.detail if problem and problem.field != "phone" else None,
        code_error=code_problem.detail if code_problem else None,
        code_value=code_typed or "",
        code_known=_has_code(newest, said["view"]),
        paid_at=_paid_at(newest),
        # Only where a countdown needs it: elsewhere a page that did not change keeps its ETag.
        server_time=round(now.timestamp() * 1000),
        wait_seconds=services().settings.payment_wait_seconds,
        refresh_after=_refresh_after(newest, typing=other or code_problem is not None),
        manual_payment=_manual_payment(services().settings, order),
        code_to_scan=_code_to_scan(order) if said["view"] == View.PHONE else None,
    )
    refused = problem or code_problem
    response = make_response(page, refused.status if refused else 200)
    if refused and refused.retry_after is not None:
        response.headers["Retry-After"] = str(refused.retry_after)
    if request.method == "GET":
        response.add_etag()
        response.make_conditional(request)
    return response


def checkout_path(order_id: str) -> str:
    """The page's path, in the language that the request asked for by `?lang=`."""
    lang = sentences.spoken(request.args.get("lang"))
    asked = {"lang": lang} if lang else {}
    return url_for("pages.checkout", order_id=order_id, **asked)  # type: ignore[arg-type]


def register(app: Flask, style: Inline, script: Inline) -> None:
    """Give every template the merchant, what is inline, the language and the simulator's band."""

    app.add_template_global(shown_if)

    @app.context_processor
    def shared() -> dict[str, Any]:
        settings = services().settings
        return {
            "lang": sentences.language(),
            "merchant": _merchant(settings),
            "style": style.text,
            "reload_script": script.text,
            "simulator": settings.simulated,
            "phone_url": f"{settings.daraja_base_url}/" if settings.simulated else None,
            "loopback": is_loopback(urlsplit(settings.public_url).hostname or ""),
            "other_lang_url": _other_language(),
        }


def _find(order_id: str) -> Order:
    try:
        if not is_id(order_id):
            raise OrderNotFound
        logs.note(order_id=order_id)
        return orders.find(db.session(), order_id)
    except OrderNotFound:
        raise Problem(404, "order_not_found", _("There is no such order.")) from None


def _to_show(account: Account, attempts: list[Snapshot]) -> Snapshot | None:
    """What settled the order where something did, else the newest attempt."""
    settling = [each.id for each in account.attempts if each.settles_order]
    settled = [each for each in attempts if each["transaction_id"] in settling]
    paid = [each for each in attempts if each["status"] == Status.SUCCESS]
    return next(iter(settled or paid or attempts), None)


def _said(
    account: Account, newest: Snapshot | None, now: datetime, *, other: bool
) -> dict[str, Any]:
    """What the page says, as in a snapshot with its message.

    Args:
        newest: the attempt that is shown.
        other: somebody wants to pay again, with the same number or with another one.
    """
    lang = sentences.language()
    if newest is None:
        said = view.say(account, None, now)
        shown: dict[str, Any] = {
            "view": said.view.value,
            "money": said.money.value,
            "next": said.next.value,
        }
        shown |= {"status": "", "reason": "", "order_status": account.status(now).value}
    else:
        asks = other and newest["can_retry"]
        shown = {**newest, "view": View.PHONE.value} if asks else dict(newest)
    return {**shown, "message": sentences.message_of(shown, lang)}


@pass_context
def shown_if(context: Context, field: str, *values: str) -> Markup:
    """Attributes of an element that is shown while a field of the snapshot has one of the values.

    The page says here, once, what belongs to what; `static/checkout/screen.js` goes by it.

    Args:
        values: as JavaScript writes them; "" for null.
    """
    found = context["said"].get(field)
    text = "" if found is None else json.dumps(found).strip('"')
    hidden = "" if text in values else " hidden"
    return Markup(f'data-if="{field}" data-is="{" ".join(values)}"{hidden}')  # noqa: S704 - ours


def _has_code(newest: Snapshot | None, shown: str) -> bool:
    """Whether the shopper sent a code from an SMS, on whatever device."""
    if newest is None or shown not in (View.CHECKING, View.FAILED, View.CLOSED):
        return False
    sent = select(Evidence.id).where(
        Evidence.transaction_id == newest["transaction_id"],
        Evidence.kind == ledger.Kind.SMS_CODE.value,
    )
    return db.session().scalar(sent.limit(1)) is not None


def _code_to_scan(order: Order) -> Markup:
    """The page's address for the shopper's phone, where it goes on in the same language."""
    lang = sentences.language()
    return qr.svg(f"{services().settings.public_url}/checkout/{order.id}?lang={lang}")


def _shown_order(order: Order, status: OrderStatus) -> dict[str, Any]:
    return {
        "id": order.id,
        "amount": order.amount,
        "reference": order.reference,
        "description": order.description,
        "status": status.value,
        "return_url": order.return_url,
        "return_link": _return_link(order, status),
    }


def _manual_payment(settings: Settings, order: Order) -> dict[str, str | None] | None:
    """The PayBill or till to pay by hand; None where the merchant does not want it."""
    if not settings.manual_payment:
        return None
    to_till = settings.daraja_account_type is AccountType.TILL
    return {
        "kind": settings.daraja_account_type.value,
        "number": settings.daraja_till if to_till else settings.daraja_shortcode,
        # Buy Goods asks for a till and an amount, and for no account.
        "account": None if to_till else account_reference(order.reference),
    }


def _return_link(order: Order, status: OrderStatus) -> str | None:
    """The merchant's address with the order's id and status, which prove nothing."""
    if order.return_url is None:
        return None
    parts = urlsplit(order.return_url)
    # Appended, not parsed and written anew: a merchant's own query may be signed.
    query = [parts.query, urlencode({"order_id": order.id, "status": status.value})]
    return urlunsplit(parts._replace(query="&".join(filter(None, query))))


def _paid_at(snapshot: Snapshot | None) -> str | None:
    """When the payment was settled, as a person in Nairobi reads it."""
    if snapshot is None or snapshot["status"] != Status.SUCCESS:
        return None
    moment = datetime.fromisoformat(snapshot["updated_at"])
    return str(format_datetime(moment, "d MMM yyyy, HH:mm"))


def _refresh_after(snapshot: Snapshot | None, *, typing: bool) -> int | None:
    """Seconds until a page whose script does not run looks again.

    None where nothing will change, or where a new page would take away what somebody types.
    """
    if snapshot is None or snapshot["final"] or typing or "typing" in request.args:
        return None
    if snapshot["reason"] in (Reason.AWAITING_PIN, Reason.PUSH_UNCONFIRMED):
        return max(5, snapshot["poll_after"])
    return 30


def _other_language() -> str:
    """The page that is shown, in the other language, as a link from that page.

    A browser adds the path itself. One written here out of the request could lead to another host:
    `//host`, `/\\host` and `/<tab>/host` all do (WHATWG URL, 4.4, "relative slash state").
    """
    other = "en" if sentences.language() == "sw" else "sw"
    kept = {name: value for name, value in request.args.items() if name != "lang"}
    query = "?" + urlencode({**kept, "lang": other})
    if request.method == "GET":
        return query
    order_id = _posted_order_id()
    return (url_for("pages.checkout", order_id=order_id) if is_id(order_id) else "/") + query


def _posted_order_id() -> str:
    try:
        return request.form.get("order_id", "")
    except HTTPException:
        return ""  # the page tells that this very body is too large


def _merchant(settings: Settings) -> Merchant:
    colour = settings.merchant_colour
    return Merchant(settings.merchant_name, colour, readable_on(colour), settings.merchant_logo)

"""The checkout page, rendered by the server in every state, so that it works without scripts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from flask import Blueprint, Flask, Response, make_response, render_template, request, url_for
from flask_babel import format_datetime
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from sqlalchemy import func, select
from werkzeug.exceptions import HTTPException

from mpesa.domain import snapshot, view
from mpesa.domain.attempt import Account, Order, OrderStatus
from mpesa.domain.evidence import Kind
from mpesa.domain.money import format_cents
from mpesa.domain.receipt import Direction, State
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.view import Money, View
from mpesa.ids import is_id
from mpesa.models import EvidenceRow, Receipt, Suggestion, db
from mpesa.web.http import qr, sentences
from mpesa.web.http.commands import add_an_operator
from mpesa.web.http.errors import Problem
from mpesa.web.http.inline import Inline
from mpesa.web.http.lookups import find_order
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
    """Show the page of one order; it is the same on every device."""
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

    A page that shows a code to scan compares the ETag to notice that a phone scanned it and paid.

    Args:
        problem: what is wrong with the form for the phone number.
        code_problem: what is wrong with the form for the code of an SMS.

    Raises:
        Problem: 404 if there is no such order.
    """
    account = find_order(order_id)
    order, settings, now = account.order, services().settings, services().now()
    lang = sentences.language()
    drawn = _attempt_to_show(account, snapshot.of_account(account, now))
    attempt = sentences.with_message(drawn, lang) if drawn else None
    other = "other" in request.args or problem is not None
    said = _page_state(account, attempt, now, other=other)
    code_to_scan = None
    if said["view"] == View.PHONE:
        # The address for the shopper's phone, where the page goes on in the same language.
        code_to_scan = qr.svg(f"{settings.public_url}/checkout/{order.id}?lang={lang}")
    page = render_template(
        "checkout.html",
        order=_order_to_show(order, account.status(now)),
        snapshot=attempt,
        said=said,
        phone_message=sentences.message_of({**said, "view": View.PHONE.value}, lang),
        phone_value=phone_typed,
        field_error=problem.detail if problem and problem.field == "phone" else None,
        form_error=problem.detail if problem and problem.field != "phone" else None,
        code_error=code_problem.detail if code_problem else None,
        code_value=code_typed or "",
        code_sent=_what_became_of_the_code(account, attempt, said["view"], now),
        paid_at=_paid_at(account, attempt),
        returned=_returned(attempt),
        heard_of=_heard_of(order.id, now),
        **_times_to_show(account, attempt, now),
        wait_seconds=settings.payment_wait_seconds,
        refresh_after=_refresh_after(attempt, typing=other or code_problem is not None),
        by_hand=sentences.by_hand_of(settings, account.pay_code_at(now), order.amount),
        by_hand_seen=bool(settings.c2b_token),
        code_to_scan=code_to_scan,
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
    """The path of an order's page, in the language that the request asked for by `?lang=`."""
    lang = sentences.spoken(request.args.get("lang"))
    asked = {"lang": lang} if lang else {}
    return url_for("pages.checkout", order_id=order_id, **asked)  # type: ignore[arg-type]


def register(app: Flask, style: Inline, script: Inline) -> None:
    """Give every template the merchant, the language, what is inline, and the simulator's band."""
    app.add_template_global(shown_if)

    @app.context_processor
    def shared() -> dict[str, Any]:
        settings = services().settings
        return {
            "lang": sentences.language(),
            "merchant": Merchant(
                name=settings.merchant_name,
                colour=settings.merchant_colour,
                on_colour=readable_on(settings.merchant_colour),
                logo=settings.merchant_logo,
            ),
            "style": style.text,
            "reload_script": script.text,
            "simulator": settings.simulated,
            "demo_shop": settings.demo_shop,
            "by_hand_qr": settings.mpesa_qr,
            "phone_url": f"{settings.daraja_base_url}/" if settings.simulated else None,
            "add_operator": add_an_operator() if settings.simulated else None,
            "other_lang_url": _other_language(),
        }


def _attempt_to_show(account: Account, attempts: list[Snapshot]) -> Snapshot | None:
    """The attempt that settled the order, else one that was paid, the open push, or the newest."""
    settled = [each for each in attempts if each["transaction_id"] == account.settled_by]
    paid = [each for each in attempts if each["status"] == Status.SUCCESS]
    open_ids = {each.id for each in account.attempts if each.is_open}
    waiting = [each for each in attempts if each["transaction_id"] in open_ids]
    return next(iter(settled or paid or waiting or attempts), None)


def _page_state(
    account: Account, attempt: dict[str, Any] | None, now: datetime, *, other: bool
) -> dict[str, Any]:
    """The fields that decide what the page shows, as in a snapshot with its message.

    Args:
        attempt: the attempt that is shown; None before the first one.
        other: the shopper wants to pay again, with the same number or with another one.
    """
    if attempt is None:
        said = view.say(account, None, now)
        shown: dict[str, Any] = {
            "view": said.view.value,
            "money": said.money.value,
            "next": said.next.value,
            "status": "",
            "reason": "",
            "order_status": account.status(now).value,
        }
    else:
        shown = dict(attempt)
        if other and attempt["can_retry"]:
            shown["view"] = View.PHONE.value
    return {**shown, "message": sentences.message_of(shown, sentences.language())}


@pass_context
def shown_if(context: Context, field: str, *values: str) -> Markup:
    """Attributes of an element that is shown while a field of the snapshot has one of the values.

    Only the template says which element belongs to which state; `static/checkout/screen.js` reads
    these attributes.

    Args:
        values: as JavaScript writes them; "" for null.
    """
    value = context["said"].get(field)
    text = "" if value is None else json.dumps(value).strip('"')
    hidden = "" if text in values else " hidden"
    return Markup(f'data-if="{field}" data-is="{" ".join(values)}"{hidden}')  # noqa: S704 - ours


@dataclass(frozen=True)
class HeardOf:
    """A payment that may be the order's; a person looks whether it is.

    Attributes:
        amount: for people.
        at: when it was paid, for people; None: nobody told the time for certain.
    """

    amount: str
    at: str | None


def _heard_of(order_id: str, now: datetime) -> list[HeardOf]:
    """The payments that may be the order's. They may be a stranger's, so that no name is told."""
    found = db.session.execute(
        select(Receipt.amount, Receipt.paid_at, Receipt.paid_at_doubtful)
        .join(Suggestion, Suggestion.receipt_id == Receipt.id)
        .where(
            Suggestion.order_id == order_id,
            Receipt.direction == Direction.IN.value,
            Receipt.state.in_((State.UNCLAIMED.value, State.UNPROVEN.value)),
        )
        .order_by(Receipt.learned_at)
        .limit(3)
    )
    return [
        HeardOf(
            format_cents(cents), None if doubtful or paid_at is None else _time_of(paid_at, now)
        )
        for cents, paid_at, doubtful in found
    ]


def _time_of(moment: datetime, now: datetime) -> str:
    """The hour of today, and the day of another one."""
    today = format_datetime(now, "yyyyMMdd") == format_datetime(moment, "yyyyMMdd")
    return str(format_datetime(moment, "HH:mm" if today else "HH:mm, d MMM"))


# Most prompts are on the phone within ten seconds of the push.
_PROMPT_DUE = timedelta(seconds=20)


def _times_to_show(
    account: Account, attempt: Mapping[str, Any] | None, now: datetime
) -> dict[str, Any]:
    """What the passing of time changes on the page.

    Returns:
        `server_time` in ms, shown only where a countdown needs it: elsewhere an unchanged page
        keeps its ETag. `again_from`: the minute from which another push is taken at the latest,
        for people, or None. `prompt_late`: a shopper who waits should look why no prompt came.
    """
    again_from = prompt_late = None
    if attempt is not None and attempt["again_at"] is not None:
        until = datetime.fromisoformat(attempt["again_at"])
        again_from = _time_of(until + timedelta(seconds=-until.second % 60), now)
    if attempt is not None:
        prompt_late = now - account.attempt(attempt["transaction_id"]).created_at >= _PROMPT_DUE
    return {
        "server_time": round(now.timestamp() * 1000),
        "again_from": again_from,
        "prompt_late": prompt_late,
    }


def _paid_at(account: Account, attempt: Mapping[str, Any] | None) -> str | None:
    """When the payer paid, for people; by M-PESA's clock where it told the time for certain."""
    if attempt is None or attempt["status"] != Status.SUCCESS:
        return None
    transaction_id = attempt["transaction_id"]
    by_mpesa = db.session.scalar(
        select(Receipt.paid_at).where(
            Receipt.transaction_id == transaction_id, ~Receipt.paid_at_doubtful
        )
    )
    settled = account.attempt(transaction_id)
    return _date_of(by_mpesa or settled.settled_at or settled.updated_at)


def _returned(attempt: Mapping[str, Any] | None) -> str | None:
    """What went back, for people: how much, and when, where the shop itself gave it back."""
    if attempt is None or attempt["money"] != Money.RETURNED:
        return None
    came, refund = attempt["receipt_amount"], attempt["refund"]
    told = [sentences.kes_told(came or f"{attempt['amount']}.00")]
    if refund:
        told.append(_date_of(datetime.fromisoformat(refund["updated_at"])))
    return " · ".join(told)


def _date_of(moment: datetime) -> str:
    return str(format_datetime(moment, "d MMM yyyy, HH:mm"))


# A code is said to be checked for this long at least, whatever is known of its receipt.
_CODE_CHECKED_FOR = timedelta(minutes=1)


def _what_became_of_the_code(
    account: Account, attempt: Mapping[str, Any] | None, shown: str, now: datetime
) -> str | None:
    """Say whether a code that the shopper sent, from whatever device, is still checked by rule.

    Returns:
        `checked`, or `with_person`; None where none was sent, or where none is asked for.
    """
    if attempt is None or shown not in (View.CHECKING, View.BY_HAND, View.FAILED, View.CLOSED):
        return None
    sent = select(func.max(EvidenceRow.received_at)).where(
        EvidenceRow.transaction_id == attempt["transaction_id"],
        EvidenceRow.kind == Kind.SMS_CODE.value,
    )
    sent_at = db.session.scalar(sent)
    if sent_at is None:
        return None
    soon = now - sent_at < _CODE_CHECKED_FOR
    return "checked" if soon or account.money_in_sight(now) else "with_person"


def _order_to_show(order: Order, status: OrderStatus) -> dict[str, Any]:
    """The order's fields, and a link to the merchant with its id and status as unproven hints."""
    return_link = None
    if order.return_url is not None:
        parts = urlsplit(order.return_url)
        # Appended, not parsed and written anew: a merchant's own query may be signed.
        query = [parts.query, urlencode({"order_id": order.id, "status": status.value})]
        return_link = urlunsplit(parts._replace(query="&".join(filter(None, query))))
    return {
        "id": order.id,
        "amount": order.amount,
        "reference": order.reference,
        "description": order.description,
        "status": status.value,
        "return_url": order.return_url,
        "return_link": return_link,
    }


def _refresh_after(snapshot: Mapping[str, Any] | None, *, typing: bool) -> int | None:
    """Seconds until a page whose script does not run is loaded again.

    None if nothing will change, or if a new page would discard what the shopper is typing.
    """
    if snapshot is None or snapshot["final"] or typing or "typing" in request.args:
        return None
    if snapshot["reason"] in (Reason.AWAITING_PIN, Reason.PUSH_UNCONFIRMED):
        return max(5, int(snapshot["poll_after"]))
    return 30


def _other_language() -> str:
    """A link from the page that is shown to the same page in the other language.

    The browser adds the path itself. A path that we copied out of the request could lead to another
    host: `//host`, `/\\host` and `/<tab>/host` all do (WHATWG URL, 4.4, "relative slash state").
    """
    other = "en" if sentences.language() == "sw" else "sw"
    kept = {name: value for name, value in request.args.items() if name != "lang"}
    query = "?" + urlencode({**kept, "lang": other})
    if request.method == "GET":
        return query
    try:
        order_id = request.form.get("order_id", "")
    except HTTPException:
        order_id = ""  # the body is too large, and the page that is shown says so
    return (url_for("pages.checkout", order_id=order_id) if is_id(order_id) else "/") + query

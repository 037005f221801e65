"""The webhooks, each with the answers of the merchant's server; and sending one again."""

import json
import logging

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from mpesa import ledger, webhooks
from mpesa.domain.evidence import Kind, Raw
from mpesa.ids import is_id, new_id
from mpesa.models import WebhookMessage, db
from mpesa.web.console import asked_twice, session
from mpesa.web.console.blueprint import console
from mpesa.web.console.payments import Cursor, cursor_of
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

log = logging.getLogger(__name__)

PAGE = 25


@console.get("/webhooks", endpoint="webhooks")
def deliveries() -> str:
    """List the webhooks, newest first, each with its tries."""
    before = cursor_of(request.args.get("before", ""))
    undelivered = request.args.get("state") == "undelivered"
    ours, asked = services(), request.args.get("transaction")
    transaction_id = asked if is_id(asked) else None
    found = webhooks.page(
        db.session(),
        PAGE + 1,
        before=(before.created_at, before.id) if before else None,
        undelivered=undelivered,
        transaction_id=transaction_id,
    )
    last = found[PAGE - 1] if len(found) > PAGE else None
    url = ours.settings.webhook_url
    return render_template(
        "console/webhooks.html",
        messages=found[:PAGE],
        told_of=lambda message: json.loads(message.body)["data"],
        state_of=lambda message: webhooks.state_of(message, ours.now()),
        older=Cursor(last.created_at, last.id) if last else None,
        begins=before is not None,
        undelivered=undelivered,
        transaction_id=transaction_id,
        endpoint=webhooks.endpoint_state(db.session(), url) if url else None,
        backlog=webhooks.backlog(db.session(), ours.now()),
        now=ours.now(),
    )


@console.get("/webhooks/<message_id>/again")
def ask_to_send(message_id: str) -> Response:
    """Ask for a reason and for confirmation before one is sent again."""
    return _form_page(_find_message(message_id), new_id())


@console.post("/webhooks/<message_id>/again")
def send_again(message_id: str) -> Response:
    """Send a webhook again, and keep as evidence which operator wanted that and why."""
    message = _find_message(message_id)
    reason, once = asked_twice.reason(), asked_twice.once()
    if wrong := asked_twice.wrong_reason(reason):
        return _form_page(message, once, wrong, reason)
    about = message.transaction_id or (message.receipt and message.receipt.transaction_id)
    if about and asked_twice.was_done(db.session.connection(), about, once):
        flash(_("That was done already; nothing was done twice."))
    else:
        if about:
            # The evidence comes first: nothing is sent on an operator's word that was not recorded.
            said = {"act": "webhook", "reason": reason, "once": once, "message": message_id}
            raw = Raw(Kind.OPERATOR, json.dumps(said).encode(), session.operator())
            ledger.store(db.session(), about, raw, services().now)
        else:
            # A receipt that is nobody's has no timeline that could keep it.
            log.info("webhook %s is sent again by %s", message_id, session.operator())
        webhooks.retry(db.session(), message_id, services().now())
        flash(_("It is sent again at once."))
    return redirect(url_for("console.webhooks"), 303)


def _form_page(
    message: WebhookMessage, once: str, wrong: str | None = None, reason: str = ""
) -> Response:
    page = render_template(
        "console/webhook_again.html",
        message=message,
        state=webhooks.state_of(message, services().now()),
        once=once,
        wrong=wrong,
        reason=reason,
    )
    return Response(page, 400 if wrong else 200, content_type="text/html; charset=utf-8")


def _find_message(message_id: str) -> WebhookMessage:
    message = db.session.get(WebhookMessage, message_id) if is_id(message_id) else None
    if message is None:
        raise Problem(404, "not_found", _("There is nothing at this address."))
    return message

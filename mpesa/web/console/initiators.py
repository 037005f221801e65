"""A stopped API user is used again: asked for twice, with a reason, by a manager."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from mpesa import initiators, status
from mpesa.ids import new_id
from mpesa.initiators import Go, Name
from mpesa.models import db
from mpesa.web.console import asked_twice, session
from mpesa.web.console.blueprint import console
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services


@console.get("/health/initiators/<initiator>/go")
def ask_to_go(initiator: str) -> Response:
    """Ask for a reason and for confirmation."""
    named = _named(initiator)
    if not _is_stopped(named):
        flash(_("It is not stopped. Nothing was done."))
        return redirect(url_for("console.health"), 303)
    return _form_page(named, new_id())


@console.post("/health/initiators/<initiator>/go")
def go(initiator: str) -> Response:
    """Let it be used again, and keep who said so, and why."""
    named = _named(initiator)
    reason, once = asked_twice.reason(), asked_twice.once()
    if wrong := asked_twice.wrong_reason(reason):
        return _form_page(named, once, wrong, reason)
    said = Go(named, session.operator() or "", reason, once)
    if status.go(db.session(), said, services().now()):
        flash(_("It is used again, one request at a time until it is answered."))
    else:
        flash(_("It is not stopped. Nothing was done."))
    return redirect(url_for("console.health"), 303)


def _named(initiator: str) -> Name:
    if initiator not in set(Name):
        raise Problem(404, "not_found", _("There is nothing at this address."))
    return Name(initiator)


def _is_stopped(named: Name) -> bool:
    mark = initiators.mark_in(services().settings, named)
    stands = initiators.standing(db.session(), named, mark) if mark else None
    return stands is not None and stands.stopped_at is not None


def _form_page(named: Name, once: str, wrong: str | None = None, reason: str = "") -> Response:
    page = render_template(
        "console/initiator_go.html", initiator=named.value, once=once, wrong=wrong, reason=reason
    )
    return Response(page, 400 if wrong else 200, content_type="text/html; charset=utf-8")

"""The console answers only operators who are logged in, on every path and for every method, and
each of them no more than their role allows.
"""

import logging
import re
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from flask import Flask, current_app, flash, g, redirect, render_template, request, url_for
from flask import session as cookie
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy import Select, func, or_, select, text
from werkzeug.exceptions import NotFound, RequestEntityTooLarge
from werkzeug.wrappers import Response

from mpesa.domain.receipt import State
from mpesa.domain.refund import RefundStatus
from mpesa.domain.roles import LEAST, Act
from mpesa.models import NOT_CLAIMED, Receipt, Refund, Transaction, db
from mpesa.web.console import allowed, session
from mpesa.web.console.blueprint import console
from mpesa.web.console.wording import role_word
from mpesa.web.http import errors, private, sentences

log = logging.getLogger(__name__)

# A path of our own, and nothing that a browser could read as another host or another folder.
_OWN_PATH = re.compile(r"/console(?:/[\w.-]+)*/?(?:\?[\w.=&%+-]*)?", re.ASCII)
# Bytes of a form with a statement in it, whose file may have 10 MiB.
LONGEST_UPLOAD = 10 * 1024 * 1024 + 64 * 1024
# A file is read in pieces of 64 KiB, beside which its fields need some room.
_MEMORY_OF_UPLOAD = 256 * 1024
# What waits is counted up to this number, and more is shown as "99+": counting all of it would take
# longer each day.
_COUNTED = 100


# The pages that a refused form leads back to, by the name of the address's part.
_PAGE_OF = {
    "transaction_id": "console.transaction",
    "receipt": "console.receipt",
    "refund_id": "console.refund",
    "day": "console.day",
}
# `?technical=` of any page: whether pages show raw messages, addresses and milliseconds.
_SWITCH = {"on": True, "off": False}


def register(app: Flask) -> None:
    """Ask for a login before any other check, whether the address exists or not."""
    private.register(app, "/console", _admit)
    app.register_error_handler(CSRFError, _refuse_forged_form)


def _admit() -> Response | None:
    lang = sentences.spoken(request.args.get("lang"))
    if lang and cookie.get("lang") != lang:
        cookie["lang"] = lang
    if request.path != "/console/login" and session.operator() is None:
        login = url_for("console.login")
        wanted = own_path(request.full_path.rstrip("?")) if request.method == "GET" else None
        return redirect(f"{login}?next={quote(wanted, safe='/')}" if wanted else login, 303)
    switch = request.args.get("technical", "")
    if request.method == "GET" and switch in _SWITCH:
        session.show_technical(_SWITCH[switch])
        kept = {name: each for name, each in request.args.items() if name != "technical"}
        return redirect(quote(request.path) + (f"?{urlencode(kept)}" if kept else ""), 303)
    if request.endpoint == "console.take_statement" and may_open(request.endpoint):
        request.max_content_length = LONGEST_UPLOAD
        request.max_form_memory_size = _MEMORY_OF_UPLOAD
    # Before the address is looked up: a forged form must not learn either whether it exists.
    try:
        session.csrf.protect()
    except RequestEntityTooLarge:
        if request.endpoint != "console.take_statement" or not may_open(request.endpoint):
            raise
        flash(
            _("The file is too large: up to 10 MiB. flask statement import takes more."), "refused"
        )
        return redirect(url_for("console.statements"), 303)
    if isinstance(request.routing_exception, NotFound) and errors.wants_page():
        return in_the_frame(_("Not found"), _("There is nothing at this address."), 404)
    # Another method than the route's is refused later, in its own words.
    if request.endpoint is None or may_open(request.endpoint, **(request.view_args or {})):
        return None
    return _refuse_by_role(allowed.needed(request.endpoint, request.view_args or {}))


def may_open(endpoint: str, **values: Any) -> bool:
    """Whether the operator of this request may call a route; templates leave out what not."""
    if endpoint in allowed.WITHOUT_A_ROLE:
        return True
    return session.may(allowed.needed(endpoint, values))


def _refuse_by_role(needs: Act) -> Response:
    own, least = session.role(), LEAST[needs]
    log.warning("%s, a %s, was refused what takes a %s: %s", session.operator(), own, least, needs)
    detail = _(
        "Your role is: %(own)s. This takes: %(least)s. Nothing was done.",
        own=role_word(own),
        least=role_word(least),
    )
    return in_the_frame(_("That is not for your role"), detail, 403)


def in_the_frame(title: str, detail: str, status: int) -> Response:
    """A page that says what is wrong and keeps the console's navigation, for operators."""
    page = render_template(
        "console/problem.html",
        # An unknown address belongs to no blueprint, whose values would be there otherwise.
        **shared(),
        title=title,
        detail=detail,
        status=status,
        back=None if status == HTTPStatus.NOT_FOUND else _what_it_was_about(),
    )
    return Response(page, status, content_type="text/html; charset=utf-8")


def _what_it_was_about() -> str | None:
    """The address of the payment, receipt, refund or day that a form was about, if any."""
    about = request.view_args or {}
    for name, endpoint in _PAGE_OF.items():
        if name in about:
            return url_for(endpoint, **{name: about[name]})
    return None


@console.errorhandler(errors.Problem)
def _problem_in_the_frame(problem: errors.Problem) -> Response:
    """What an operator can act on keeps the navigation; where our server failed, it may fail."""
    is_ours = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if is_ours or not errors.wants_page() or session.operator() is None:
        return errors.problem_or_page(problem)
    return in_the_frame(errors.title_of(problem.status), problem.detail, problem.status)


def own_path(asked: str | None) -> str | None:
    """The path, if it leads to a page of the console; None for anything else."""
    if asked and _OWN_PATH.fullmatch(asked) and "/.." not in asked and "/./" not in asked:
        return asked
    return None


@console.context_processor
def shared() -> dict[str, Any]:
    """Give the templates what every page of the console shows in its frame."""
    # The page of an error needs none of this, and must not fail when the database does.
    name = None if g.get("shows_error") else session.operator()
    waiting = _waiting() if name else {}
    technical = bool(name) and session.technical()
    switched = request.args.to_dict() | {"technical": "off" if technical else "on"}
    return {
        "operator": name,
        "technical": technical,
        "technical_url": f"?{urlencode(switched)}",
        "role": session.role() if name else None,
        "waiting": waiting,
        "counted": _COUNTED,
        "view_names": current_app.view_functions,
        "may_open": may_open,
        "least": LEAST,
    }


def _waiting() -> dict[str, int]:
    """How much waits for a person, by the page that it waits on."""
    unclaimed = (text(NOT_CLAIMED), Receipt.state == State.UNCLAIMED.value)
    for_a_person = or_(Refund.status == RefundStatus.REQUESTED.value, Refund.needs_review)
    return {
        "receipts": _up_to_a_hundred(select(Receipt.id).where(*unclaimed)),
        "review": _up_to_a_hundred(select(Transaction.id).where(Transaction.needs_review))
        + _up_to_a_hundred(select(Receipt.id).where(Receipt.needs_review)),
        "refunds": _up_to_a_hundred(select(Refund.id).where(for_a_person)),
    }


def _up_to_a_hundred(rows: Select[Any]) -> int:
    some = rows.limit(_COUNTED).subquery()
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def _refuse_forged_form(error: CSRFError) -> tuple[str, int]:
    g.shows_error = True
    page = render_template(
        "console/refused.html",
        title=_("That form was not ours, or it is too old"),
        detail=_("Nothing was done. Open the page again and send it from there."),
    )
    return page, 400

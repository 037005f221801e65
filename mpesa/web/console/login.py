"""The login page, and the logout."""

import logging

from flask import current_app, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from mpesa import counters, operators
from mpesa.domain.address import UNKNOWN, sender_of
from mpesa.models import db
from mpesa.web.console import browsers, session
from mpesa.web.console.blueprint import console
from mpesa.web.console.guard import own_path
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services

log = logging.getLogger(__name__)


@console.get("/login")
def login() -> Response:
    """Show the form; an operator who is logged in is sent on."""
    if session.operator() is not None:
        return redirect(_next_page(), 303)
    return _login_page()


@console.post("/login")
def take_login() -> Response:
    """Check name and password, and begin a new session that keeps nothing of the old one."""
    name, password = request.form.get("name", ""), request.form.get("password", "")
    tried, address = operators.clean_name(name), request.remote_addr or UNKNOWN
    last = sender_of(operators.last_address(db.session(), tried) or UNKNOWN)
    known = last == sender_of(address) != UNKNOWN
    try:
        take_back = services().logins.check(tried, known=known, browser=browsers.known(tried))
    except Problem as problem:
        _record_try("limited", tried, address)
        return _login_page(problem.detail, problem.status, problem.retry_after)
    begun = operators.log_in(db.session(), name, password, address, services().now())
    if begun is None:
        _record_try("refused", tried, address)
        return _login_page(_("Wrong name or password."), 403)
    take_back()
    _record_try("taken", begun.name, address)
    session.begin(begun)
    answer = redirect(_next_page(), 303)
    browsers.remember(answer, begun.name)
    return answer


def _record_try(outcome: str, name: str, address: str) -> None:
    """Write a try to log and metrics, so that guessing is noticed.

    The name is logged only if an operator has it: it could be a password, typed into the wrong
    field.
    """
    counters.count("logins", outcome=outcome)
    known = name if operators.exists(db.session(), name) else "?"
    level = logging.INFO if outcome == "taken" else logging.WARNING
    log.log(level, "login %s: %s from %s", outcome, known, address)


@console.post("/logout")
def logout() -> Response:
    """End the session, here and wherever its cookie was copied to."""
    session.end()
    return redirect(url_for("console.login"), 303)


def home() -> str:
    """The address of the first page after a login."""
    first = "console.today" if "console.today" in current_app.view_functions else None
    return url_for(first or "console.transactions")


def _next_page() -> str:
    return own_path(request.values.get("next")) or home()


def _login_page(
    error: str | None = None, status: int = 200, retry_after: int | None = None
) -> Response:
    page = render_template(
        "console/login.html",
        error=error,
        name=request.form.get("name", "")[:40],
        goal=own_path(request.values.get("next")),
    )
    response = make_response(page, status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response

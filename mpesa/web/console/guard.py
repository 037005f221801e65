"""Nobody sees anything of the console without a login, whatever the path and the method."""

import re
from typing import Any
from urllib.parse import quote

from flask import Flask, current_app, g, redirect, render_template, request, url_for
from flask import session as cookie
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from mpesa.models import Transaction, db
from mpesa.web.console import session
from mpesa.web.console.blueprint import console
from mpesa.web.http import private, sentences

# A path of our own, and nothing that a browser could take for another host or another folder.
_OWN_PATH = re.compile(r"/console(?:/[\w.-]+)*/?(?:\?[\w.=&%+-]*)?", re.ASCII)
# More than so many are shown as "99+"; counting them all would take longer each day.
_COUNTED = 100


def register(app: Flask) -> None:
    """Ask for a login before anything else is looked at, the address included."""
    private.register(app, "/console", _admit)
    app.register_error_handler(CSRFError, _forged)


def _admit() -> Response | None:
    _keep_language()
    if request.path != "/console/login" and session.operator() is None:
        return redirect(_login_address(), 303)
    # Before the address is looked up: a forged form learns nothing either.
    session.csrf.protect()
    return None


def own_path(asked: str | None) -> str | None:
    """A `next` that leads to a page of the console; None for anything else."""
    if asked and _OWN_PATH.fullmatch(asked) and "/.." not in asked and "/./" not in asked:
        return asked
    return None


@console.context_processor
def shared() -> dict[str, Any]:
    """What every page of the console shows in its frame."""
    # The page of an error needs nothing of this, and is not to fail where the database does.
    name = None if g.get("shows_error") else session.operator()
    return {
        "operator": name,
        "open_reviews": _open_reviews() if name else 0,
        "counted": _COUNTED,
        "view_names": current_app.view_functions,
    }


def _login_address() -> str:
    here = request.full_path.rstrip("?")
    asked = own_path(here) if request.method == "GET" else None
    address = url_for("console.login")
    return f"{address}?next={quote(asked, safe='/')}" if asked else address


def _keep_language() -> None:
    lang = sentences.spoken(request.args.get("lang"))
    if lang and cookie.get("lang") != lang:
        cookie["lang"] = lang


def _open_reviews() -> int:
    some = select(Transaction.id).where(Transaction.needs_review).limit(_COUNTED).subquery()
    return db.session.scalar(select(func.count()).select_from(some)) or 0


def _forged(error: CSRFError) -> tuple[str, int]:
    g.shows_error = True
    page = render_template(
        "console/refused.html",
        title=_("That form was not ours, or it is too old"),
        detail=_("Nothing was done. Open the page again and send it from there."),
    )
    return page, 400

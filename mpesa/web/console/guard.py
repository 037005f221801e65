"""The console answers only operators who are logged in, on every path and for every method."""

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

# A path of our own, and nothing that a browser could read as another host or another folder.
_OWN_PATH = re.compile(r"/console(?:/[\w.-]+)*/?(?:\?[\w.=&%+-]*)?", re.ASCII)
# Reviews are counted up to this number, and more are shown as "99+": counting them all would take
# longer each day.
_COUNTED = 100


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
    # Before the address is looked up: a forged form must not learn either whether it exists.
    session.csrf.protect()
    return None


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
    reviews = 0
    if name:
        some = select(Transaction.id).where(Transaction.needs_review).limit(_COUNTED).subquery()
        reviews = db.session.scalar(select(func.count()).select_from(some)) or 0
    return {
        "operator": name,
        "open_reviews": reviews,
        "counted": _COUNTED,
        "view_names": current_app.view_functions,
    }


def _refuse_forged_form(error: CSRFError) -> tuple[str, int]:
    g.shows_error = True
    page = render_template(
        "console/refused.html",
        title=_("That form was not ours, or it is too old"),
        detail=_("Nothing was done. Open the page again and send it from there."),
    )
    return page, 400

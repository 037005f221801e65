"""A form that moves money asks for the operator's password and a code of the second factor."""

import logging
import math

from flask import abort, g, render_template, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from mpesa import operators
from mpesa.models import db
from mpesa.web.console import session
from mpesa.web.http.services import services

log = logging.getLogger(__name__)


def wrong_proof() -> str | None:
    """What is wrong with `password` and `code` of this form; None: its operator has proven it.

    Where too much was wrong lately, the request ends here with a page that says so, and the session
    with it. A code counts once, so this is asked last, when the rest of the form is right.
    """
    ours, name, form = services(), session.operator() or "", request.form
    try:
        operators.step_up(
            db.session(),
            name,
            form.get("password", ""),
            form.get("code", ""),
            ours.now(),
            secret_key=ours.settings.secret_key,
        )
    except operators.WrongPasswordOrCode:
        log.warning("%s did not prove it: wrong password or code", name)
        return str(_("The password or the code is wrong, or the code was used before."))
    except operators.NoSecondFactor:
        log.warning("%s has no second factor that can be read", name)
        return str(
            _(
                "You have no second factor, so you may not do this. The person who runs the server"
                " gives you one: flask operators totp %(name)s",
                name=name,
            )
        )
    except operators.TooManyWrong as refusal:
        log.warning("%s was logged out: too many wrong passwords or codes", name)
        abort(_logged_out(math.ceil(refusal.seconds / 60)))
    log.info("%s proved it with password and code", name)
    return None


def _logged_out(minutes: int) -> Response:
    session.end()
    g.shows_error = True
    page = render_template(
        "console/refused.html",
        title=_("You are logged out"),
        detail=ngettext(
            "Too many passwords or codes were wrong. Nothing was done; the next one is looked at in"
            " %(num)d minute.",
            "Too many passwords or codes were wrong. Nothing was done; the next one is looked at in"
            " %(num)d minutes.",
            minutes,
        ),
    )
    return Response(page, 403, content_type="text/html; charset=utf-8")

"""Browsers in which an operator logged in before, recognised by a cookie that gives no access.

The cookie tells the operator from strangers behind the same address, so that the strangers' wrong
tries do not lock the operator out (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
"""

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from mpesa.ids import new_id

_COOKIE = "console-browser"
# Seconds: 400 days, the longest that browsers keep a cookie (RFC 6265bis, 5.5).
_LASTS = 400 * 24 * 3600


def known(name: str) -> str | None:
    """The id of this request's browser; None if `name` never logged in there."""
    try:
        written_for, browser = _signer().loads(request.cookies.get(_COOKIE, ""))
    except (BadSignature, ValueError, TypeError):
        return None
    return browser if written_for == name else None


def remember(response: Response, name: str) -> None:
    """Set the cookie by which this browser is recognised as one where `name` logged in."""
    response.set_cookie(
        _COOKIE,
        _signer().dumps([name, known(name) or new_id()]),
        max_age=_LASTS,
        path=request.path,  # only the login page needs it
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="console-browser")

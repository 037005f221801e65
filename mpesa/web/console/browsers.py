"""Browsers in which an operator logged in before, by a cookie that opens nothing.

It tells the operator from strangers behind the same address, so that their wrong tries do not count
against the right one (OWASP, "Slow Down Online Guessing Attacks with Device Cookies").
"""

from flask import current_app, request
from itsdangerous import BadSignature, URLSafeSerializer
from werkzeug.wrappers import Response

from mpesa.ids import new_id

_COOKIE = "console-browser"
# 400 days, the longest that browsers keep a cookie (RFC 6265bis, 5.5).
_LASTS = 400 * 24 * 3600


def known(name: str) -> str | None:
    """What identifies the browser of this request; None where `name` never logged in there."""
    try:
        written_for, browser = _signer().loads(request.cookies.get(_COOKIE, ""))
    except (BadSignature, ValueError, TypeError):
        return None
    return browser if written_for == name else None


def remember(response: Response, name: str) -> None:
    """Note with an answer that `name` logged in with this browser."""
    response.set_cookie(
        _COOKIE,
        _signer().dumps([name, known(name) or new_id()]),
        max_age=_LASTS,
        path=request.path,  # nothing but the login asks for it
        secure=current_app.config["SESSION_COOKIE_SECURE"],
        httponly=True,
        samesite="Lax",
    )


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.config["SECRET_KEY"], salt="console-browser")

"""Who is logged in: a cookie that names a row, opened for the console and its sockets alone."""

from datetime import datetime

from flask import Flask
from flask import session as cookie
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect

from mpesa import operators
from mpesa.config import Settings
from mpesa.models import db
from mpesa.web.http.services import services

# Under which name the cookie holds whose number the next page may show, and for how many seconds:
# a redirect takes one trip, on 2G a few seconds.
_LOOK = "look"
_LOOK_WITHIN = 30

csrf = CSRFProtect()
_login_manager = LoginManager()


class LoggedIn(UserMixin):
    """The operator of a request.

    Attributes:
        id: what the cookie holds, by Flask-Login's wish under this name.
    """

    def __init__(self, name: str, token: str) -> None:
        self.name = name
        self.id = token


def register(app: Flask, settings: Settings) -> None:
    """Set up cookie, login and form tokens."""
    secure = settings.public_url.startswith("https:")
    app.config.update(
        # A cookie of this prefix cannot be set by another host, nor without TLS (RFC 6265bis).
        SESSION_COOKIE_NAME="__Host-console" if secure else "console",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_PATH="/",  # the socket's handshake is not below /console
        PERMANENT_SESSION_LIFETIME=operators.LOGIN_LASTS,
        # Asked for in the console alone: no other form is sent with a cookie.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=int(operators.LOGIN_LASTS.total_seconds()),
        # It wants a Referer, which our own Referrer-Policy keeps back.
        WTF_CSRF_SSL_STRICT=False,
    )
    csrf.init_app(app)
    _login_manager.init_app(app, add_context_processor=False)
    # Phones change their address; a stolen cookie ends with its row.
    _login_manager.session_protection = None


@_login_manager.user_loader
def _load(token: str) -> LoggedIn | None:
    name = operators.who(db.session(), token, services().now())
    db.session.rollback()
    return LoggedIn(name, token) if name else None


def operator() -> str | None:
    """The name of the operator whose request, or socket's handshake, this is; None for a guest."""
    return str(current_user.name) if current_user.is_authenticated else None


def begin(login: operators.Login) -> None:
    """Log in; nothing is kept of what the cookie held before."""
    language = cookie.get("lang")
    cookie.clear()
    if language:
        cookie["lang"] = language
    login_user(LoggedIn(login.name, login.token))


def end() -> None:
    """Log out, here and wherever the cookie was copied to."""
    if current_user.is_authenticated:
        operators.log_out(db.session(), current_user.id)
    logout_user()
    cookie.clear()


def allow_a_look(transaction_id: str, now: datetime) -> None:
    """Let the next page of a payment show its payer's number; that it was asked for is kept."""
    cookie[_LOOK] = [transaction_id, now.timestamp()]


def takes_a_look(transaction_id: str, now: datetime) -> bool:
    """Whether this page may show the number: once, and soon, as a cookie can be copied."""
    allowed, at = cookie.get(_LOOK, (None, 0.0))
    if allowed != transaction_id:
        return False
    cookie.pop(_LOOK)
    return bool(0 <= now.timestamp() - at <= _LOOK_WITHIN)

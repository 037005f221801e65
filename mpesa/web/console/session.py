"""The login of an operator: a cookie that names a row, for the console and its sockets only."""

from datetime import datetime

from flask import Flask
from flask import session as cookie
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from flask_wtf.csrf import CSRFProtect

from mpesa import operators
from mpesa.config import Settings
from mpesa.domain import roles
from mpesa.domain.roles import Act, Role
from mpesa.models import db
from mpesa.web.http.services import services

# The cookie's entry for the payment whose number the next page may show, and how many seconds it
# is valid: the redirect takes one round trip, on 2G a few seconds.
_LOOK = "look"
_LOOK_WITHIN = 30
# The cookie's entry for what only a developer reads.
_TECHNICAL = "technical"

csrf = CSRFProtect()
_login_manager = LoginManager()


class LoggedIn(UserMixin):
    """The operator of a request.

    Attributes:
        id: the token in the cookie; Flask-Login requires this name.
    """

    def __init__(self, name: str, role: Role, token: str) -> None:
        self.name = name
        self.role = role
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
        # The console checks its forms itself: no other form is sent with a cookie.
        WTF_CSRF_CHECK_DEFAULT=False,
        WTF_CSRF_TIME_LIMIT=int(operators.LOGIN_LASTS.total_seconds()),
        # That check requires a Referer, which our own Referrer-Policy suppresses.
        WTF_CSRF_SSL_STRICT=False,
    )
    csrf.init_app(app)
    _login_manager.init_app(app, add_context_processor=False)
    # Phones change their address; a stolen cookie is ended by deleting its row.
    _login_manager.session_protection = None


@_login_manager.user_loader
def _load_operator(token: str) -> LoggedIn | None:
    person = operators.who(db.session(), token, services().now())
    db.session.rollback()
    return LoggedIn(person.name, person.role, token) if person else None


def operator() -> str | None:
    """The name of the operator who sent this request or handshake; None for a guest."""
    return str(current_user.name) if current_user.is_authenticated else None


def role() -> Role:
    """What the operator of this request is; for requests of operators only."""
    return Role(current_user.role)


def may(act: Act) -> bool:
    """Whether somebody who may do this sent this request."""
    return current_user.is_authenticated and roles.may(role(), act)


def begin(login: operators.Login) -> None:
    """Log in; of what the cookie held before, only the language is kept."""
    language = cookie.get("lang")
    cookie.clear()
    if language:
        cookie["lang"] = language
    login_user(LoggedIn(login.name, login.role, login.token))


def end() -> None:
    """Log out, also for copies of the cookie."""
    if current_user.is_authenticated:
        operators.log_out(db.session(), current_user.id)
    logout_user()
    cookie.clear()


def technical() -> bool:
    """Whether this operator's pages show raw messages, addresses and milliseconds."""
    return bool(cookie.get(_TECHNICAL))


def show_technical(wanted: bool) -> None:
    """Remember for the rest of the session whether pages show them."""
    cookie[_TECHNICAL] = wanted


def allow_a_look(transaction_id: str, now: datetime) -> None:
    """Let the next page of a payment show its payer's number."""
    cookie[_LOOK] = [transaction_id, now.timestamp()]


def takes_a_look(transaction_id: str, now: datetime) -> bool:
    """Whether this page may show the number: only once and soon, since a cookie can be copied."""
    allowed, at = cookie.get(_LOOK, (None, 0.0))
    if allowed != transaction_id:
        return False
    cookie.pop(_LOOK)
    return bool(0 <= now.timestamp() - at <= _LOOK_WITHIN)

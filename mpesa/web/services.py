"""What the routes need, made once by the application and found again in a request."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from flask import Flask, current_app
from flask_socketio import SocketIO

from mpesa.asking import Line
from mpesa.clock import Watch
from mpesa.config import Settings
from mpesa.daraja import Daraja, Merchant
from mpesa.database import own_sessions
from mpesa.hints import Hints
from mpesa.ledger import Announce
from mpesa.models import db
from mpesa.outbox import Announced
from mpesa.quota import DatabaseToken, QueryBudget
from mpesa.web.limits import LoginLimits, PushLimits


@dataclass(frozen=True)
class Services:
    """One application's parts.

    Attributes:
        line: the way to Daraja.
        announce: tells the rooms about transactions that changed, here and at other workers.
        announce_here: tells the rooms of this worker, about what another one changed.
        tell_again: tells the rooms of this worker what their transactions are by now, where only
            time has changed what is said of them.
        announced: what this worker's rooms were told, until it is written down.
        hints: what other workers tell and are told; None without Redis.
        now: the time, aware UTC.
        watch: notices that it stepped.
    """

    settings: Settings
    line: Line
    limits: PushLimits
    logins: LoginLimits
    socketio: SocketIO
    announce: Announce
    announce_here: Announce
    tell_again: Callable[[Sequence[str]], None]
    announced: deque[Announced]
    hints: Hints | None
    now: Callable[[], datetime]
    watch: Watch


def services() -> Services:
    """The parts of the application that handles this request."""
    return cast(Services, current_app.extensions["mpesa"])


def utc_now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


def access_key(settings: Settings) -> str:
    """What token and query budget belong to; `quota` stores its hash."""
    return f"{settings.daraja_base_url} {settings.daraja_consumer_key}"


def build_line(
    app: Flask, settings: Settings, now: Callable[[], datetime], daraja: Daraja | None = None
) -> Line:
    """The way to Daraja for the merchant that the settings describe.

    Token and query budget are kept in the database, one of each a consumer key.
    """
    with app.app_context():
        sessions = own_sessions(db.engine)
    key = access_key(settings)
    tokens = DatabaseToken(sessions, key, now)
    budget = QueryBudget(sessions, key, now, settings.daraja_query_rate)
    client = daraja or Daraja(_merchant(settings), settings.daraja_base_url, tokens, now=now)
    return Line(client, budget, now)


def _merchant(settings: Settings) -> Merchant:
    return Merchant(
        consumer_key=settings.daraja_consumer_key,
        consumer_secret=settings.daraja_consumer_secret,
        short_code=settings.daraja_shortcode,
        passkey=settings.daraja_passkey,
        account_type=settings.daraja_account_type,
        till=settings.daraja_till,
    )

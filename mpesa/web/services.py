"""What the routes need, made once by the application and found again in a request."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

from flask import Flask, current_app
from flask_socketio import SocketIO

from mpesa.config import Settings
from mpesa.daraja import Daraja, Merchant
from mpesa.models import db
from mpesa.quota import DatabaseToken
from mpesa.web.database import own_sessions


@dataclass(frozen=True)
class Services:
    """One application's parts.

    Attributes:
        announce: tells the rooms about transactions that changed.
        now: the time, aware UTC.
    """

    settings: Settings
    daraja: Daraja
    socketio: SocketIO
    announce: Callable[[Iterable[str]], None]
    now: Callable[[], datetime]


def services() -> Services:
    """The parts of the application that handles this request."""
    return cast(Services, current_app.extensions["mpesa"])


def utc_now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


def build_daraja(app: Flask, settings: Settings) -> Daraja:
    """The client of the merchant that the settings describe, its token kept in the database."""
    merchant = Merchant(
        consumer_key=settings.daraja_consumer_key,
        consumer_secret=settings.daraja_consumer_secret,
        short_code=settings.daraja_shortcode,
        passkey=settings.daraja_passkey,
        account_type=settings.daraja_account_type,
        till=settings.daraja_till,
    )
    with app.app_context():
        sessions = own_sessions(db.engine)
    token_of = f"{settings.daraja_base_url} {settings.daraja_consumer_key}"
    tokens = DatabaseToken(sessions, token_of, utc_now)
    return Daraja(merchant, settings.daraja_base_url, tokens, now=utc_now)

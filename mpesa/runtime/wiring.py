"""Create the parts of one application and put them together."""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from flask import Flask
from flask_socketio import SocketIO

from mpesa import logs
from mpesa.config import Settings
from mpesa.daraja import Daraja, Initiators, Merchant
from mpesa.daraja_access import Access, DatabaseToken, QueryBudget, access_key
from mpesa.database import own_sessions
from mpesa.deadlines import Watch, since_boot
from mpesa.hints import Hints, check_address
from mpesa.ledger import Announce, Change
from mpesa.live import admission, watchers
from mpesa.live.rooms import Rooms
from mpesa.models import db
from mpesa.runtime import loops, welcome
from mpesa.web import console
from mpesa.web.console.session import operator
from mpesa.web.http import errors, security, sentences, static_files
from mpesa.web.http.inline import reload_of
from mpesa.web.http.limits import LoginLimits, PushLimits, Tally
from mpesa.web.http.services import Services, services
from mpesa.web.http.style import style_of
from mpesa.web.merchant.openapi import openapi
from mpesa.web.merchant.orders import api
from mpesa.web.merchant.receipts import receipts
from mpesa.web.merchant.refunds import refunds
from mpesa.web.monitor import metrics
from mpesa.web.monitor.probes import probes
from mpesa.web.safaricom.c2b import c2b
from mpesa.web.safaricom.callbacks import callbacks
from mpesa.web.safaricom.results import results
from mpesa.web.shopper import pages
from mpesa.web.shopper.mpesa_qr import pictures
from mpesa.web.shopper.payments import payments
from mpesa.web.shopper.shop import shop

log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """The time, aware UTC."""
    return datetime.now(UTC)


def wire(
    app: Flask,
    settings: Settings,
    async_mode: str,
    *,
    daraja: Daraja | None = None,
    now: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = since_boot,
) -> SocketIO:
    """Add routes, rooms, errors, sentences and headers to an application whose database is open.

    Args:
        daraja: the client; None for the one that the settings describe.
        now: returns the time, aware UTC.
        monotonic: returns seconds, by a clock that cannot be set.

    Raises:
        SettingsError: REDIS_URL has parameters that mean nothing.
    """
    if settings.redis_url:
        check_address(settings.redis_url)
    _add_pages(app, settings)
    socketio, rooms = admission.create(app, async_mode, now)
    security.believe_proxies(app, settings)
    consoles = watchers.create(app, socketio, operator)

    def hear(change: Change) -> bool:
        with app.app_context():  # one for each hint, so that no connection is held between two
            return rooms.look_at(change)

    hints = Hints(settings.redis_url, hear) if settings.redis_url else None
    announce_here, announce = _announcers(rooms, consoles, hints)
    tally = Tally(settings)
    app.extensions["mpesa"] = Services(
        settings=settings,
        access=access(app, settings, now, daraja),
        status_budget=status_budget(app, settings, now),
        limits=PushLimits(tally, settings),
        logins=LoginLimits(tally),
        socketio=socketio,
        announce=announce,
        announce_here=announce_here,
        tell_again=rooms.tell_again,
        announced=rooms.announced,
        hints=hints,
        now=now,
        watch=Watch(now, monotonic),
    )
    metrics.register(app, app.extensions["mpesa"])
    return socketio


def _add_pages(app: Flask, settings: Settings) -> None:
    app.json.sort_keys = False  # type: ignore[attr-defined]  # snapshots keep their order
    static_folder = Path(app.static_folder or "")
    style = style_of(static_folder, settings.merchant_colour, pattern=settings.merchant_pattern)
    script = reload_of(static_folder)
    security.register(app, settings, style, script)
    static_files.register(app)
    sentences.register(app)
    errors.register(app)
    pages.register(app, style, script)
    shoppers = (payments, pages.pages, pictures)
    of_safaricom, of_merchants = (callbacks, c2b, results), (api, receipts, refunds, openapi)
    for blueprint in (*shoppers, *of_safaricom, *of_merchants, probes):
        app.register_blueprint(blueprint)
    console.register(app, settings)
    if settings.demo_shop:
        app.register_blueprint(shop)


def _announcers(
    rooms: Rooms, consoles: watchers.Watchers, hints: Hints | None
) -> tuple[Announce, Announce]:
    """The two functions that announce changes.

    Returns:
        One that tells this worker's sockets about changes of other workers, and one that tells the
        metrics, the log, this worker's sockets and the other workers about changes of this one.
    """

    def here(changes: Sequence[Change]) -> None:
        try:
            rooms.announce(changes)  # shoppers first, then operators
        finally:
            consoles.announce(changes)

    def everywhere(changes: Sequence[Change]) -> None:
        metrics.note_results(changes)
        for change in changes:  # one log line each, so that the log shows the life of an order
            if change.snapshot is not None:
                order_id, status = change.snapshot["order_id"], change.snapshot["status"]
                with logs.about(order_id=order_id, transaction_id=change.transaction_id):
                    log.info("now %s %s", status, change.snapshot["reason"])
        try:
            here(changes)  # first, so that our own sockets wait for no other worker
        finally:
            if hints is not None:
                hints.send(changes)

    return here, everywhere


def access(
    app: Flask, settings: Settings, now: Callable[[], datetime], daraja: Daraja | None = None
) -> Access:
    """The way to Daraja for the merchant that the settings describe.

    The database keeps one token and one query budget for each consumer key.

    Args:
        now: returns the time, aware UTC.
        daraja: the client; None for one made from the settings.
    """
    with app.app_context():
        sessions = own_sessions(db.engine)
    key = access_key(settings)
    if daraja is None:
        merchant = Merchant(
            consumer_key=settings.daraja_consumer_key,
            consumer_secret=settings.daraja_consumer_secret,
            short_code=settings.daraja_shortcode,
            passkey=settings.daraja_passkey,
            account_type=settings.daraja_account_type,
            till=settings.daraja_till,
        )
        tokens = DatabaseToken(sessions, key, now)
        daraja = Daraja(merchant, settings.daraja_base_url, tokens, now=now)
    budget = QueryBudget(sessions, key, now, settings.daraja_query_rate)
    return Access(daraja, budget, now, Initiators(settings, daraja.certificate))


def status_budget(app: Flask, settings: Settings, now: Callable[[], datetime]) -> QueryBudget:
    """The places for questions about receipts, for which the database keeps a row as well.

    Args:
        now: returns the time, aware UTC.
    """
    with app.app_context():
        sessions = own_sessions(db.engine)
    return QueryBudget(sessions, f"{access_key(settings)} status", now, settings.status_query_rate)


def start(app: Flask) -> None:
    """Start the loops and print the addresses, now that connections are accepted."""
    with app.app_context():
        loops.start(app, services())
        welcome.say(services().settings)


def stop(app: Flask) -> None:
    """Close the open sockets and store what they were told; no connections are accepted now."""
    with app.app_context():
        admission.close_all(services().socketio)
        loops.finish(app, services())

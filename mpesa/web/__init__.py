"""The only place that sees requests and sockets."""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from flask import Flask
from flask_socketio import SocketIO

from mpesa import logs
from mpesa.clock import Watch, since_boot
from mpesa.config import Settings
from mpesa.daraja import Daraja
from mpesa.hints import Hints, check_address
from mpesa.ledger import Announce, Change
from mpesa.web import (
    background,
    console,
    errors,
    metrics,
    openapi,
    pages,
    realtime,
    security,
    static_files,
    welcome,
    words,
)
from mpesa.web.api import api
from mpesa.web.callbacks import callbacks
from mpesa.web.console import live
from mpesa.web.console.session import operator
from mpesa.web.inline import reload_of
from mpesa.web.limits import LoginLimits, PushLimits, Tally
from mpesa.web.pages import pages as pages_blueprint
from mpesa.web.payments import payments
from mpesa.web.services import Services, build_line, services, utc_now
from mpesa.web.shop import shop
from mpesa.web.style import style_of

log = logging.getLogger(__name__)


def register(
    app: Flask,
    settings: Settings,
    async_mode: str,
    *,
    daraja: Daraja | None = None,
    now: Callable[[], datetime] = utc_now,
    monotonic: Callable[[], float] = since_boot,
) -> SocketIO:
    """Add routes, rooms, errors, words and headers to an application whose database is open.

    Args:
        daraja: the client; None for the one that the settings describe.
        now: the time, aware UTC.
        monotonic: seconds, by a clock that nobody can set.

    Raises:
        SettingsError: REDIS_URL has parameters that mean nothing.
    """
    if settings.redis_url:
        check_address(settings.redis_url)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # snapshots keep their order
    static_folder = Path(app.static_folder or "")
    style = style_of(static_folder, settings.merchant_colour, pattern=settings.merchant_pattern)
    script = reload_of(static_folder)
    security.register(app, settings, style, script)
    static_files.register(app)
    words.register(app)
    errors.register(app)
    pages.register(app, style, script)
    for blueprint in (payments, callbacks, api, pages_blueprint):
        app.register_blueprint(blueprint)
    console.register(app, settings)
    if settings.demo_shop:
        app.register_blueprint(shop)
    socketio, rooms = realtime.create(app, async_mode, now)
    security.believe_proxies(app, settings)
    watchers = live.create(app, socketio, operator)
    hints = _hints(app, settings, rooms)
    tally = Tally(settings)
    app.extensions["mpesa"] = Services(
        settings=settings,
        line=build_line(app, settings, now, daraja),
        limits=PushLimits(tally, settings),
        logins=LoginLimits(tally),
        socketio=socketio,
        announce=_everywhere(_here(rooms, watchers), hints),
        announce_here=_here(rooms, watchers),
        tell_again=rooms.tell_again,
        announced=rooms.announced,
        hints=hints,
        now=now,
        watch=Watch(now, monotonic),
    )
    metrics.register(app, app.extensions["mpesa"])
    openapi.register(app, settings)
    return socketio


def _hints(app: Flask, settings: Settings, rooms: realtime.Rooms) -> Hints | None:
    def hear(change: Change) -> bool:
        with app.app_context():  # one of its own, so that no connection is held between two hints
            return rooms.look_at(change)

    return Hints(settings.redis_url, hear) if settings.redis_url else None


def _here(rooms: realtime.Rooms, watchers: live.Watchers) -> Announce:
    """This worker's sockets: shoppers first, then who watches them in the console."""

    def announce(changes: Sequence[Change]) -> None:
        try:
            rooms.announce(changes)
        finally:
            watchers.announce(changes)

    return announce


def _everywhere(here: Announce, hints: Hints | None) -> Announce:
    """Our own sockets first: they wait for no other worker."""

    def announce(changes: Sequence[Change]) -> None:
        metrics.note_results(changes)
        _say(changes)
        try:
            here(changes)
        finally:
            if hints is not None:
                hints.send(changes)

    return announce


def _say(changes: Sequence[Change]) -> None:
    """One line for each change that this process committed: the life of an order, read in a log."""
    for change in changes:
        if change.snapshot is not None:
            order_id, status = change.snapshot["order_id"], change.snapshot["status"]
            with logs.about(order_id=order_id, transaction_id=change.transaction_id):
                log.info("now %s %s", status, change.snapshot["reason"])


def start(app: Flask) -> None:
    """Connections are taken now: start what runs beside them, and say where to look."""
    with app.app_context():
        background.start(app, services())
        welcome.say(services().settings)


def stop(app: Flask) -> None:
    """No connections are taken any more: let the open pages go, and write down what they heard."""
    with app.app_context():
        realtime.close_all(services().socketio)
        background.finish(app, services())


__all__ = ["register", "services", "start", "stop"]

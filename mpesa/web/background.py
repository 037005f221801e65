"""What runs beside the requests: clock, outbox, reconciler, and what a crash left unjudged."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from mpesa import clock, inbox, outbox, reconciler
from mpesa.models import db
from mpesa.web.callbacks import seams
from mpesa.web.services import Services, services

log = logging.getLogger(__name__)

# A shopper who watches the countdown reach zero sees the next state within a second; a change that
# another process made is announced within two.
TICK = 1.0
# Rare: only a database that failed between storing and judging leaves something (seconds).
LOOK_FOR_UNJUDGED = 30.0


def start(app: Flask, ours: Services) -> None:
    """Start the loops; they end with the process."""
    for work, pause in (
        (_clock, TICK),
        (_outbox(), TICK),
        (_reconciler, TICK),
        (_unjudged, LOOK_FOR_UNJUDGED),
    ):
        ours.socketio.start_background_task(_forever, app, work, pause)


def _clock(ours: Services) -> None:
    wait = timedelta(seconds=ours.settings.payment_wait_seconds)
    clock.run_once(db.session(), ours.now(), wait, ours.announce)


def _outbox() -> Callable[[Services], None]:
    """The outbox looks back to when it last went through, however long the database was away."""
    since: datetime | None = None

    def announce_changes(ours: Services) -> None:
        nonlocal since
        now = ours.now()
        outbox.run_once(db.session(), since or now, ours.announce)
        since = now

    return announce_changes


def _reconciler(ours: Services) -> None:
    reconciler.run_until_idle(db.session(), ours.line, ours.announce)


def _unjudged(ours: Services) -> None:
    inbox.judge_waiting(db.session(), seams())


def _forever(app: Flask, work: Callable[[Services], None], pause: float) -> None:
    while True:
        with app.app_context():
            ours = services()
            _try(work, ours)
        ours.socketio.sleep(pause)


def _try(work: Callable[[Services], None], ours: Services) -> None:
    """Whatever fails now, the next round tries again."""
    try:
        work(ours)
    except SQLAlchemyError as error:
        log.error("%s: the database failed (%s)", work.__name__, type(error).__name__)
    except Exception:
        log.exception("%s failed", work.__name__)

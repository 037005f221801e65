"""What the routes need, made once by the application and found again in a request."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app
from flask_socketio import SocketIO

from mpesa import inbox
from mpesa.config import Settings
from mpesa.daraja_access import Access
from mpesa.deadlines import Watch
from mpesa.hints import Hints
from mpesa.ledger import Announce
from mpesa.outbox import Announced
from mpesa.web.http.limits import LoginLimits, PushLimits


@dataclass(frozen=True)
class Services:
    """One application's parts.

    Attributes:
        access: the way to Daraja.
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
    access: Access
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


def inbox_needs() -> inbox.Needs:
    """What taking in a callback or a code needs, of the present application."""
    ours = services()
    return inbox.Needs(
        now=ours.now,
        announce=ours.announce,
        listed=inbox.from_listed(ours.settings.callback_allowed_ips),
    )

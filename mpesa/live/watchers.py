"""Open console pages hear that something changed; what it is, they ask by their own address."""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flask import Flask, request
from flask_socketio import ConnectionRefusedError, SocketIO
from sqlalchemy.exc import SQLAlchemyError

from mpesa.ledger import Change
from mpesa.live.admission import REFUSED_FOR, close_later, has_left

NAMESPACE = "/console"
_ROOM = "operators"
# Seconds from one word to the next: a page that reads itself anew is a few queries.
_PAUSE = 1.0
# Seconds: a session that has ended ends its sockets within a minute, a slow look included.
_LOOK_AGAIN = 20.0
# More are told as none at all, which means "any".
_MOST_NAMED = 100
# The outbox finds a change again for ten seconds; so many are a busy ten seconds.
_MOST_REMEMBERED = 5000

log = logging.getLogger(__name__)


class Watchers:
    """The console's sockets at this worker.

    Args:
        operator: who is signed in by the session of the present request; None for a guest.
    """

    def __init__(
        self, app: Flask, socketio: SocketIO, operator: Callable[[], object | None]
    ) -> None:
        self._app = app
        self._socketio = socketio
        self._operator = operator
        self._waiting: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._speaks = False
        self._looks = False

    def announce(self, changes: Sequence[Change]) -> None:
        """Leave word of changes; costs a payment a look into a dictionary while nobody watches."""
        if not self.is_watched():
            return
        new = {each.transaction_id: each.seq for each in changes if self._is_news(each)}
        if not new:
            return
        self._waiting |= new
        self._told |= new
        if not self._speaks:
            self._speaks = True
            self._socketio.start_background_task(self._speak)

    def admit(self, auth: object = None) -> None:
        """Let an operator's page listen, and nobody else's."""
        try:
            refusal = None if self._operator() else "unauthorized"
        except SQLAlchemyError as error:
            log.error("a console page was refused: the database failed (%s)", type(error).__name__)
            refusal = "unavailable"
        if refusal:
            close_later(self._socketio, REFUSED_FOR)
            raise ConnectionRefusedError(refusal)
        if has_left(self._socketio):
            raise ConnectionRefusedError("too_late")
        # A room of their own: whoever is still being asked is in the namespace already.
        self._socketio.server.enter_room(_sid(), _ROOM, namespace=NAMESPACE)
        if not self._looks:
            self._looks = True
            self._socketio.start_background_task(self._look_again)

    def end_sessions(self) -> None:
        """Close the sockets whose session has ended since."""
        for sid, eio_sid in list(self._sockets()):
            environ = self._socketio.server.environ.get(eio_sid)
            if environ is not None and not self._is_signed_in(environ):
                self._socketio.emit("ended", to=sid, namespace=NAMESPACE)
                self._socketio.server.disconnect(sid, NAMESPACE)

    def _speak(self) -> None:
        """At once where it is quiet; then once a second for as long as there is more."""
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                named = list(waiting.items()) if len(waiting) <= _MOST_NAMED else []
                self._socketio.emit(
                    "changed", {"transactions": named}, to=_ROOM, namespace=NAMESPACE
                )
                self._socketio.sleep(_PAUSE)
        finally:
            self._speaks = False

    def _look_again(self) -> None:
        try:
            self._socketio.sleep(_LOOK_AGAIN)
            while self.is_watched():
                self.end_sessions()
                self._socketio.sleep(_LOOK_AGAIN)
        finally:
            self._looks = False

    def _is_signed_in(self, environ: dict[str, Any]) -> bool:
        """Whether the cookie with which a socket came is still good; a failure is no end."""
        try:
            with self._app.request_context(environ):
                return self._operator() is not None
        except SQLAlchemyError as error:
            log.error("a session could not be looked up (%s)", type(error).__name__)
            return True

    def _is_news(self, change: Change) -> bool:
        if len(self._told) > _MOST_REMEMBERED:
            self._told.clear()
        return change.seq > self._told.get(change.transaction_id, 0)

    def is_watched(self) -> bool:
        """Whether any page is open at this worker."""
        return _ROOM in self._socketio.server.manager.rooms.get(NAMESPACE, ())

    def _sockets(self) -> Iterator[tuple[str, str]]:
        manager = self._socketio.server.manager
        found: Iterator[tuple[str, str]] = manager.get_participants(NAMESPACE, _ROOM)
        return found


def create(app: Flask, socketio: SocketIO, operator: Callable[[], object | None]) -> Watchers:
    """Open the namespace `/console` to operators.

    Args:
        operator: as for `Watchers`.
    """
    watchers = Watchers(app, socketio, operator)
    socketio.on_event("connect", watchers.admit, namespace=NAMESPACE)
    app.extensions["mpesa.console"] = watchers
    return watchers


def _sid() -> str:
    """The present socket's; flask-socketio keeps it with the request."""
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid

"""Tell open console pages that payments changed; the pages then load their own address again."""

import logging
from collections.abc import Callable, Sequence

from flask import Flask, request
from flask_socketio import ConnectionRefusedError, SocketIO
from sqlalchemy.exc import SQLAlchemyError

from mpesa.ledger import Change
from mpesa.live.admission import REFUSED_FOR, close_later, has_left

NAMESPACE = "/console"
_ROOM = "operators"
# Seconds between two messages: a page that loads again costs a few queries.
_PAUSE = 1.0
# Seconds: the sockets of an ended session are closed within a minute, even if a check is slow.
_LOOK_AGAIN = 20.0
# If more transactions changed, none is named, which means "any".
_MOST_NAMED = 100
# The outbox finds a change again for ten seconds; a busy worker has this many in that time.
_MOST_REMEMBERED = 5000

log = logging.getLogger(__name__)


class Watchers:
    """The console's sockets at this worker.

    Args:
        operator: returns the operator of the present request's session; None for a guest.
    """

    def __init__(
        self, app: Flask, socketio: SocketIO, operator: Callable[[], object | None]
    ) -> None:
        self._app = app
        self._socketio = socketio
        self._operator = operator
        self._waiting: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._is_telling = False
        self._is_checking = False

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell the pages of changes; while none is open, that costs a look into a dictionary."""
        if not self.is_watched():
            return
        if len(self._told) > _MOST_REMEMBERED:
            self._told.clear()
        new = {
            each.transaction_id: each.seq
            for each in changes
            if each.seq > self._told.get(each.transaction_id, 0)
        }
        if not new:
            return
        self._waiting |= new
        self._told |= new
        if not self._is_telling:
            self._is_telling = True
            self._socketio.start_background_task(self._tell_pages)

    def admit(self, auth: object = None) -> None:
        """Let an operator's page listen, and refuse every other one."""
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
        # A room of its own: a socket that is not admitted yet is in the namespace already.
        sid = request.sid  # type: ignore[attr-defined]
        self._socketio.server.enter_room(sid, _ROOM, namespace=NAMESPACE)
        if not self._is_checking:
            self._is_checking = True
            self._socketio.start_background_task(self._check_sessions)

    def end_sessions(self) -> None:
        """Close the sockets whose session has ended."""
        manager = self._socketio.server.manager
        for sid, eio_sid in list(manager.get_participants(NAMESPACE, _ROOM)):
            environ = self._socketio.server.environ.get(eio_sid)
            if environ is None:  # it left meanwhile
                continue
            try:
                # With the cookie of its handshake.
                with self._app.request_context(environ):
                    signed_in = self._operator() is not None
            except SQLAlchemyError as error:
                log.error("a session could not be looked up (%s)", type(error).__name__)
                continue  # a failure of the database ends no session
            if not signed_in:
                self._socketio.emit("ended", to=sid, namespace=NAMESPACE)
                self._socketio.server.disconnect(sid, NAMESPACE)

    def _tell_pages(self) -> None:
        """Tell the first change at once, and then once a second for as long as there are more."""
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                named = list(waiting.items()) if len(waiting) <= _MOST_NAMED else []
                self._socketio.emit(
                    "changed", {"transactions": named}, to=_ROOM, namespace=NAMESPACE
                )
                self._socketio.sleep(_PAUSE)
        finally:
            self._is_telling = False

    def _check_sessions(self) -> None:
        try:
            self._socketio.sleep(_LOOK_AGAIN)
            while self.is_watched():
                self.end_sessions()
                self._socketio.sleep(_LOOK_AGAIN)
        finally:
            self._is_checking = False

    def is_watched(self) -> bool:
        """Whether any page is open at this worker."""
        return _ROOM in self._socketio.server.manager.rooms.get(NAMESPACE, ())


def create(app: Flask, socketio: SocketIO, operator: Callable[[], object | None]) -> Watchers:
    """Open the namespace `/console` to operators.

    Args:
        operator: returns the operator of the present request's session; None for a guest.
    """
    watchers = Watchers(app, socketio, operator)
    socketio.on_event("connect", watchers.admit, namespace=NAMESPACE)
    app.extensions["mpesa.console"] = watchers
    return watchers

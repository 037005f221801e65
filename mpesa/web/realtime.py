"""The SocketIO object, who enters which room, and announce()."""

import contextlib
import logging
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from flask import Flask, request
from flask_socketio import ConnectionRefusedError, SocketIO
from sqlalchemy.exc import SQLAlchemyError

from mpesa import ledger
from mpesa.domain.snapshot import Snapshot
from mpesa.models import db
from mpesa.web import words
from mpesa.web.bodies import is_id
from mpesa.web.rooms import RoomIndex
from mpesa.web.security import host_is_ours

log = logging.getLogger(__name__)

# The only thing that a browser sends is its CONNECT, about 150 bytes.
LARGEST_MESSAGE = 4096
# A client says which transaction it wants right after it connected; one that does not is no page.
SILENT_FOR = 10.0
# Long enough for the refusal to be read, short enough to be gone within a second.
REFUSED_FOR = 0.3

# The first letters of Socket.IO's packets (Socket.IO protocol 5).
_CONNECT, _DISCONNECT, _EVENT, _ACK = "0", "1", "2", "3"

# Rooms that may stand empty before they are forgotten.
_MOST_EMPTY = 1000

# Keys of our own in a connection's environ.
_ROOM = "mpesa.room"
_ENTERED = "mpesa.entered"


class Rooms:
    """Who is in which room, and what each room has heard.

    One transaction and one language is a room; the server alone puts sockets there. Nothing older
    is ever sent after something newer, and nothing twice.

    Args:
        now: the time, aware UTC.
    """

    def __init__(self, socketio: SocketIO, now: Callable[[], datetime]) -> None:
        self._socketio = socketio
        self._now = now
        self._told: dict[str, int] = {}

    def announce(self, transaction_ids: Iterable[str]) -> None:
        """Tell the rooms of transactions what these are now, each in its own language."""
        for transaction_id in transaction_ids:
            if not self._langs(transaction_id):
                self._told.pop(transaction_id, None)
                continue
            snapshot = ledger.snapshot_of(db.session(), transaction_id, self._now())
            if snapshot is not None:
                self._tell(snapshot)

    def enter(self, sid: str, transaction_id: str, lang: str) -> None:
        """Put a socket into its room first and read then, so that no change falls in between."""
        self._socketio.server.enter_room(sid, room_of(transaction_id, lang), namespace="/")
        snapshot = self._newest(transaction_id)
        if snapshot is not None and not self._tell(snapshot):
            self._socketio.emit("status", words.with_message(snapshot, lang), to=sid)

    def _tell(self, snapshot: Snapshot) -> bool:
        """Emit to the whole room, unless it heard as much before; returns whether it was told."""
        transaction_id, seq = snapshot["transaction_id"], snapshot["seq"]
        if seq <= self._told.get(transaction_id, 0):
            return False
        self._forget_empty_rooms()
        # No greenlet is switched between this line and the emits: their order is that of `seq`.
        self._told[transaction_id] = seq
        for lang in self._langs(transaction_id):
            told = words.with_message(snapshot, lang)
            self._socketio.emit("status", told, to=room_of(transaction_id, lang))
        return True

    def _newest(self, transaction_id: str) -> Snapshot | None:
        """The snapshot, read once more where a newer one was announced meanwhile."""
        snapshot = ledger.snapshot_of(db.session(), transaction_id, self._now())
        while snapshot is not None and snapshot["seq"] < self._told.get(transaction_id, 0):
            snapshot = ledger.snapshot_of(db.session(), transaction_id, self._now())
        return snapshot

    def _forget_empty_rooms(self) -> None:
        """Now and then, so that what shoppers left behind does not pile up."""
        rooms = self._socketio.server.manager.rooms.get("/", {})
        if len(self._told) > _MOST_EMPTY + len(rooms):
            self._told = {each: seq for each, seq in self._told.items() if self._langs(each)}

    def _langs(self, transaction_id: str) -> list[str]:
        """The languages in which somebody here listens to a transaction."""
        rooms = self._socketio.server.manager.rooms.get("/", {})
        return [lang for lang in words.LANGUAGES if room_of(transaction_id, lang) in rooms]


def create(app: Flask, async_mode: str, now: Callable[[], datetime]) -> tuple[SocketIO, Rooms]:
    """Make the SocketIO object: WebSocket only, same origin only, one room a socket."""
    socketio = SocketIO()
    rooms = Rooms(socketio, now)

    def connected(sid: str, namespace: str) -> None:
        environ = socketio.server.get_environ(sid, namespace)
        environ[_ENTERED] = True
        if namespace == "/":
            with app.app_context():
                rooms.enter(sid, *environ[_ROOM])

    socketio.init_app(
        app,
        async_mode=async_mode,
        client_manager=RoomIndex(connected),
        transports=["websocket"],
        cors_allowed_origins=None,  # the request's own origin only
        max_http_buffer_size=LARGEST_MESSAGE,
        manage_session=False,
        serve_client=False,
        http_compression=False,
    )
    socketio.on_event("connect", lambda auth=None: _admit(socketio, auth, now()))
    _watch_silent_connections(socketio)
    _take_connects_only(socketio)
    return socketio, rooms


def room_of(transaction_id: str, lang: str) -> str:
    """The name of a room."""
    return f"{transaction_id}:{lang}"


def _admit(socketio: SocketIO, auth: Any, now: datetime) -> None:
    """Check what a socket asks for; its room is remembered until the connection stands."""
    fields = auth if isinstance(auth, dict) else {}
    transaction_id = fields.get("tx_id")
    try:
        admitted = host_is_ours() and _exists(transaction_id, now)
    except SQLAlchemyError as error:
        log.error("a socket was refused: the database failed (%s)", type(error).__name__)
        _close_later(socketio, REFUSED_FOR)
        raise ConnectionRefusedError("unavailable") from None
    if not admitted:
        _close_later(socketio, REFUSED_FOR)
        raise ConnectionRefusedError("transaction_not_found")
    request.environ[_ROOM] = (transaction_id, words.chosen(fields.get("lang")))


def _exists(transaction_id: Any, now: datetime) -> bool:
    if not is_id(transaction_id):
        return False
    return ledger.snapshot_of(db.session(), transaction_id, now) is not None


def _watch_silent_connections(socketio: SocketIO) -> None:
    """Close connections that ask for nothing: Engine.IO itself keeps them for ever."""
    engine = socketio.server.eio
    accept = engine.handlers["connect"]

    def accept_and_watch(eio_sid: str, environ: dict[str, Any]) -> Any:
        socketio.start_background_task(_close_if_silent, socketio, eio_sid, environ)
        return accept(eio_sid, environ)

    engine.on("connect", accept_and_watch)


def _close_if_silent(socketio: SocketIO, eio_sid: str, environ: dict[str, Any]) -> None:
    socketio.sleep(SILENT_FOR)
    if _ENTERED not in environ:
        socketio.server.eio.disconnect(eio_sid)


def _take_connects_only(socketio: SocketIO) -> None:
    """Take CONNECT and DISCONNECT, ignore events, close a connection that sends anything else.

    There is no event that a client may send. python-socketio would run our connect handler for
    one of that name, and write a traceback for each frame that is no protocol.
    """
    engine = socketio.server.eio
    take = engine.handlers["message"]

    def take_or_close(eio_sid: str, message: Any) -> None:
        kind = message[:1] if isinstance(message, str) else ""
        if kind in (_EVENT, _ACK):
            return
        if kind in (_CONNECT, _DISCONNECT):
            with contextlib.suppress(ValueError, RecursionError):  # it cannot be read
                take(eio_sid, message)
                if kind == _CONNECT or _listens(socketio, eio_sid):
                    return
        engine.disconnect(eio_sid)

    engine.on("message", take_or_close)


def _listens(socketio: SocketIO, eio_sid: str) -> bool:
    """Whether a connection is still in a namespace."""
    manager = socketio.server.manager
    return any(manager.sid_from_eio_sid(eio_sid, each) for each in manager.get_namespaces())


def _close_later(socketio: SocketIO, seconds: float) -> None:
    """Close the present connection after a refusal: it could ask again for ever otherwise."""
    manager = socketio.server.manager
    eio_sid = manager.eio_sid_from_sid(request.sid, request.namespace)  # type: ignore[attr-defined]

    def close() -> None:
        socketio.sleep(seconds)
        socketio.server.eio.disconnect(eio_sid)

    socketio.start_background_task(close)


def close_all(socketio: SocketIO) -> None:
    """Tell every open socket that the server goes; pages come back by themselves."""
    engine = socketio.server.eio
    for eio_sid in list(engine.sockets):
        socketio.start_background_task(engine.disconnect, eio_sid)

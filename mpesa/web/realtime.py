"""The SocketIO object, who enters which room, and announce()."""

import logging
from collections.abc import Iterable
from typing import Any

from flask import Flask, request
from flask_socketio import ConnectionRefusedError, SocketIO
from werkzeug.exceptions import HTTPException

from mpesa import ledger
from mpesa.models import db
from mpesa.web import words
from mpesa.web.bodies import is_id
from mpesa.web.rooms import Rooms
from mpesa.web.services import utc_now

log = logging.getLogger(__name__)

# The only thing that a browser sends is its CONNECT, about 150 bytes.
LARGEST_MESSAGE = 4096
# A client says which transaction it wants right after it connected; one that does not is no page.
SILENT_FOR = 10.0
# Long enough for the refusal to be read, short enough to be gone within a second.
REFUSED_FOR = 0.3

# Keys of our own in a connection's environ.
_ROOM = "mpesa.room"
_ENTERED = "mpesa.entered"


def create(app: Flask, async_mode: str) -> SocketIO:
    """Make the SocketIO object: WebSocket only, same origin only, one room a socket."""
    socketio = SocketIO()
    rooms = Rooms(lambda sid, namespace: _connected(app, socketio, sid, namespace))
    socketio.init_app(
        app,
        async_mode=async_mode,
        client_manager=rooms,
        transports=["websocket"],
        cors_allowed_origins=None,  # the request's own origin only
        max_http_buffer_size=LARGEST_MESSAGE,
        manage_session=False,
        serve_client=False,
        http_compression=False,
    )
    socketio.on_event("connect", lambda auth=None: _admit(socketio, auth))
    _watch_silent_connections(socketio)
    return socketio


def announce(socketio: SocketIO, transaction_ids: Iterable[str]) -> None:
    """Tell the rooms of transactions what these are now, each in its own language."""
    for transaction_id in transaction_ids:
        snapshot = ledger.snapshot_of(db.session(), transaction_id, utc_now())
        if snapshot is None:
            continue
        for lang in words.LANGUAGES:
            told = words.with_message(snapshot, lang)
            socketio.emit("status", told, to=_room(transaction_id, lang))


def _room(transaction_id: str, lang: str) -> str:
    """One transaction, one language: the server alone puts sockets there."""
    return f"{transaction_id}:{lang}"


def _admit(socketio: SocketIO, auth: Any) -> None:
    """Check what a socket asks for; its room is remembered until the connection stands."""
    fields = auth if isinstance(auth, dict) else {}
    transaction_id = fields.get("tx_id")
    if not _host_is_ours() or not _exists(transaction_id):
        _close_later(socketio, REFUSED_FOR)
        raise ConnectionRefusedError("transaction_not_found")
    request.environ[_ROOM] = (transaction_id, words.chosen(fields.get("lang")))


def _host_is_ours() -> bool:
    """Another name that leads to this server (DNS rebinding) would pass as the same origin."""
    try:
        return bool(request.host)
    except HTTPException:
        return False


def _exists(transaction_id: Any) -> bool:
    if not is_id(transaction_id):
        return False
    return ledger.snapshot_of(db.session(), transaction_id, utc_now()) is not None


def _connected(app: Flask, socketio: SocketIO, sid: str, namespace: str) -> None:
    """Enter the room first and read then, so that no change falls between the two."""
    environ = socketio.server.get_environ(sid, namespace)
    environ[_ENTERED] = True
    if namespace != "/":
        return
    transaction_id, lang = environ[_ROOM]
    socketio.server.enter_room(sid, _room(transaction_id, lang), namespace=namespace)
    with app.app_context():
        snapshot = ledger.snapshot_of(db.session(), transaction_id, utc_now())
        if snapshot is not None:
            socketio.emit("status", words.with_message(snapshot, lang), to=sid)


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

"""The SocketIO object, and the rules by which a socket may enter a room."""

import contextlib
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from flask import Flask, Request, request
from flask_socketio import ConnectionRefusedError, SocketIO
from sqlalchemy.exc import SQLAlchemyError

from mpesa import logs
from mpesa.ids import is_id
from mpesa.live import connections
from mpesa.live.room_index import RoomIndex
from mpesa.live.rooms import Rooms
from mpesa.logs import quoted
from mpesa.web.http import sentences
from mpesa.web.http.security import is_ours

log = logging.getLogger(__name__)

# Bytes. All that a browser sends is its CONNECT, about 150 bytes.
LARGEST_MESSAGE = 4096
# Seconds. Our page names its transaction right after it connected; other clients are closed.
SILENT_FOR = 10.0
# Seconds; long enough for the client to read the refusal, and gone within a second.
REFUSED_FOR = 0.3

# The first letters of Socket.IO's packets (Socket.IO protocol 5).
_CONNECT, _DISCONNECT, _EVENT, _ACK = "0", "1", "2", "3"

# Seconds between two log lines about foreign host names, since any stranger can send one.
_A_LINE_EVERY = 60.0

# Keys of our own in a connection's environ.
_EXPECTED = "mpesa.expected"
_SHOWN = "mpesa.shown"
_ENTERED = "mpesa.entered"
_ASKED = "mpesa.asked"


def create(app: Flask, async_mode: str, now: Callable[[], datetime]) -> tuple[SocketIO, Rooms]:
    """Create the SocketIO object: WebSocket only, same origin only, one room for each socket.

    Args:
        now: returns the time, aware UTC.
    """
    socketio = SocketIO()
    rooms = Rooms(socketio, now)

    def connected(sid: str, namespace: str) -> None:
        environ = socketio.server.get_environ(sid, namespace)
        try:
            if namespace == "/":
                with app.app_context():
                    rooms.enter(sid, *environ.pop(_SHOWN))
            connections.slim(environ)
        except Exception as error:  # noqa: BLE001 - after any failure, the page connects again
            log.error("a socket could not be shown its payment (%s)", type(error).__name__)
            socketio.server.disconnect(sid, namespace)
            return
        environ[_ENTERED] = True

    answer_over_http = app.wsgi_app
    socketio.init_app(
        app,
        async_mode=async_mode,
        engineio_logger=_engine_log(),
        client_manager=RoomIndex(connected),
        transports=["websocket"],
        cors_allowed_origins=None,  # the request's own origin only
        max_http_buffer_size=LARGEST_MESSAGE,
        manage_session=False,
        serve_client=False,
        http_compression=False,
        # It would scan all connections; a silent one is noticed when it is read.
        monitor_clients=False,
    )
    app.wsgi_app = _own_hosts_only(app, answer_over_http)  # type: ignore[method-assign, assignment]
    socketio.on_event("connect", lambda auth=None: _admit(socketio, rooms, auth))
    _watch_connections(socketio, rooms)
    _take_connects_only(socketio)
    return socketio, rooms


def _engine_log() -> logging.Logger:
    """Engine.IO's log as a part of ours.

    Its own handler would write plain text even with LOG_FORMAT=json. Its lines hold what strangers
    send (an Origin, a session's id), so they are quoted.
    """

    def quote(record: logging.LogRecord) -> bool:
        record.msg, record.args = "Engine.IO: %s", (quoted(record.getMessage()),)
        return True

    engine_log = log.getChild("engine")
    engine_log.setLevel(logging.ERROR)  # below that level it logs every packet
    engine_log.filters = [quote]  # only one, even if several applications are created
    return engine_log


def _own_hosts_only(app: Flask, answer_over_http: Any) -> Callable[[Any, Any], Iterable[bytes]]:
    """Answer handshakes that name another host like HTTP does: 400.

    Engine.IO would accept them: to it, a page under another name of this server has the same
    origin.

    Args:
        answer_over_http: the application without sockets.
    """
    with_sockets = app.wsgi_app
    silent_until = 0.0

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        nonlocal silent_until
        # Kept in the environ, it would keep every page that left alive in a reference cycle.
        asked = Request(environ, populate_request=False)
        if not asked.path.startswith("/socket.io") or is_ours(app, asked.host):
            return with_sockets(environ, start_response)
        if time.monotonic() >= silent_until:
            silent_until = time.monotonic() + _A_LINE_EVERY
            named = quoted(environ.get("HTTP_HOST", ""))
            log.warning("a socket was refused: its Host %s is not in ALLOWED_HOSTS", named)
        response: Iterable[bytes] = answer_over_http(environ, start_response)
        return response

    return answer


def _admit(socketio: SocketIO, rooms: Rooms, auth: Any) -> None:
    """Check what a socket asks for; its snapshot waits until the connection is acknowledged."""
    # The sockets' address is no route of Flask's. That error's traceback would keep the request in
    # a reference cycle, and thousands of those cost tens of milliseconds of garbage collection.
    request.routing_exception = None
    fields = auth if isinstance(auth, dict) else {}
    transaction_id = fields.get("tx_id")
    if is_id(transaction_id):
        logs.note(transaction_id=transaction_id)
    try:
        snapshot, mark = rooms.expect(transaction_id)
    except SQLAlchemyError as error:
        log.error("a socket was refused: the database failed (%s)", type(error).__name__)
        close_later(socketio, REFUSED_FOR)
        raise ConnectionRefusedError("unavailable") from None
    if snapshot is None:
        close_later(socketio, REFUSED_FOR)
        raise ConnectionRefusedError("transaction_not_found")
    if has_left(socketio):
        rooms.expect_no_longer(snapshot["transaction_id"])
        raise ConnectionRefusedError("too_late")
    request.environ[_EXPECTED] = transaction_id
    request.environ[_SHOWN] = (snapshot, mark, sentences.chosen(fields.get("lang")))


def _watch_connections(socketio: SocketIO, rooms: Rooms) -> None:
    """Make connections light, and close those that ask for nothing, which Engine.IO keeps open."""
    engine = socketio.server.eio
    accept = engine.handlers["connect"]
    pings = connections.Later(socketio, engine.ping_interval)
    silence = connections.Later(socketio, SILENT_FOR)

    def accept_and_watch(eio_sid: str, environ: dict[str, Any]) -> Any:
        connections.lighten(engine.sockets[eio_sid], pings)
        silence.call(look_again, eio_sid, environ)
        return accept(eio_sid, environ)

    def look_again(eio_sid: str, environ: dict[str, Any]) -> None:
        if _EXPECTED in environ:
            rooms.expect_no_longer(environ.pop(_EXPECTED))
        if _ENTERED not in environ:
            # In the background: a client that reads nothing would hold up all checks after it.
            socketio.start_background_task(engine.disconnect, eio_sid)

    engine.on("connect", accept_and_watch)


def _take_connects_only(socketio: SocketIO) -> None:
    """Take CONNECT and DISCONNECT, ignore events, close a connection that sends anything else.

    Clients may send no events. python-socketio would run our connect handler for an event of that
    name, and log a traceback for each frame that breaks the protocol.
    """
    engine = socketio.server.eio
    take = engine.handlers["message"]

    def take_or_close(eio_sid: str, message: Any) -> None:
        kind = message[:1] if isinstance(message, str) else ""
        if kind in (_EVENT, _ACK):
            return
        if kind == _DISCONNECT or (kind == _CONNECT and _asks_first(socketio, eio_sid)):
            with contextlib.suppress(ValueError, RecursionError):  # the frame cannot be read
                take(eio_sid, message)
                manager = socketio.server.manager
                if any(manager.sid_from_eio_sid(eio_sid, n) for n in manager.get_namespaces()):
                    return  # still in a namespace
                if kind == _CONNECT:
                    # Refused, or not a namespace of ours: the client may still read the answer.
                    _end_later(socketio, eio_sid, REFUSED_FOR)
                    return
        engine.disconnect(eio_sid)

    engine.on("message", take_or_close)


def _asks_first(socketio: SocketIO, eio_sid: str) -> bool:
    """Whether a connection asks for its room for the first time; our page asks only once."""
    environ = socketio.server.environ.get(eio_sid)
    if environ is None or _ASKED in environ:  # None: it ended while this frame waited
        return False
    environ[_ASKED] = True
    return True


def has_left(socketio: SocketIO) -> bool:
    """Whether the present connection ended while its request was handled."""
    server = socketio.server
    eio_sid = server.manager.eio_sid_from_sid(request.sid, request.namespace)  # type: ignore[attr-defined]
    return eio_sid not in server.environ


def close_later(socketio: SocketIO, seconds: float) -> None:
    """Close the present connection some seconds after a refusal, so that it cannot ask for ever."""
    manager = socketio.server.manager
    eio_sid = manager.eio_sid_from_sid(request.sid, request.namespace)  # type: ignore[attr-defined]
    _end_later(socketio, eio_sid, seconds)


def _end_later(socketio: SocketIO, eio_sid: str, seconds: float) -> None:
    def end() -> None:
        socketio.sleep(seconds)
        socketio.server.eio.disconnect(eio_sid)

    socketio.start_background_task(end)


def close_all(socketio: SocketIO) -> None:
    """Close every open socket as the server ends; pages connect again by themselves."""
    engine = socketio.server.eio
    for eio_sid in list(engine.sockets):
        socketio.start_background_task(engine.disconnect, eio_sid)

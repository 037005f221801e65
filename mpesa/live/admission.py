"""The SocketIO object, and who may enter which room."""

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

# The only thing that a browser sends is its CONNECT, about 150 bytes.
LARGEST_MESSAGE = 4096
# A client says which transaction it wants right after it connected; one that does not is no page.
SILENT_FOR = 10.0
# Long enough for the refusal to be read, short enough to be gone within a second.
REFUSED_FOR = 0.3

# The first letters of Socket.IO's packets (Socket.IO protocol 5).
_CONNECT, _DISCONNECT, _EVENT, _ACK = "0", "1", "2", "3"

# Seconds between two lines of the log about hosts that are not ours: anybody can send one.
_A_LINE_EVERY = 60.0

# Keys of our own in a connection's environ.
_EXPECTED = "mpesa.expected"
_SHOWN = "mpesa.shown"
_ENTERED = "mpesa.entered"
_ASKED = "mpesa.asked"


def create(app: Flask, async_mode: str, now: Callable[[], datetime]) -> tuple[SocketIO, Rooms]:
    """Make the SocketIO object: WebSocket only, same origin only, one room a socket."""
    socketio = SocketIO()
    rooms = Rooms(socketio, now)

    def connected(sid: str, namespace: str) -> None:
        environ = socketio.server.get_environ(sid, namespace)
        try:
            if namespace == "/":
                with app.app_context():
                    rooms.enter(sid, *environ.pop(_SHOWN))
            connections.slim(environ)
        except Exception as error:  # noqa: BLE001 - whatever it is, the page comes back by itself
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
        # One more pass over all connections; a silent one is noticed where it is read.
        monitor_clients=False,
    )
    app.wsgi_app = _own_hosts_only(app, answer_over_http)  # type: ignore[method-assign, assignment]
    socketio.on_event("connect", lambda auth=None: _admit(socketio, rooms, auth))
    _watch_connections(socketio, rooms)
    _take_connects_only(socketio)
    return socketio, rooms


def _engine_log() -> logging.Logger:
    """Engine.IO's log as a part of ours.

    Left to itself it has a handler of its own, which writes plain text whatever LOG_FORMAT says.
    Its lines hold what strangers send (an Origin, a session's id), as it came.
    """

    def quote(record: logging.LogRecord) -> bool:
        record.msg, record.args = "Engine.IO: %s", (quoted(record.getMessage()),)
        return True

    engine_log = log.getChild("engine")
    engine_log.setLevel(logging.ERROR)  # below, it tells of every packet
    engine_log.filters = [quote]  # one, however many applications are made
    return engine_log


def _own_hosts_only(app: Flask, answer_over_http: Any) -> Callable[[Any, Any], Iterable[bytes]]:
    """Give handshakes that name another host the answer that HTTP gives them: 400.

    Engine.IO would shake hands: a page under another name that leads here is of the same origin.

    Args:
        answer_over_http: the application without sockets.
    """
    with_sockets = app.wsgi_app
    silent_until = 0.0

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        nonlocal silent_until
        # Kept in the environ, it would hold every page that left in a cycle.
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
    """Check what a socket asks for; what it is shown is kept until the connection stands."""
    # The sockets' address is no route of Flask's. That error's traceback would hold all the request
    # in a cycle, and thousands of them take the garbage collector tens of milliseconds at once.
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
    """Make connections light, and close those that ask for nothing: Engine.IO keeps them."""
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
            # Beside: a client that reads nothing would hold up the look at the next one.
            socketio.start_background_task(engine.disconnect, eio_sid)

    engine.on("connect", accept_and_watch)


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
        if kind == _DISCONNECT or (kind == _CONNECT and _asks_first(socketio, eio_sid)):
            with contextlib.suppress(ValueError, RecursionError):  # it cannot be read
                take(eio_sid, message)
                if _listens(socketio, eio_sid):
                    return
                if kind == _CONNECT:
                    # Refused, or no namespace of ours: the answer may still be read.
                    _end_later(socketio, eio_sid, REFUSED_FOR)
                    return
        engine.disconnect(eio_sid)

    engine.on("message", take_or_close)


def _asks_first(socketio: SocketIO, eio_sid: str) -> bool:
    """Whether a connection asks for its room for the first time; a page does so once."""
    environ = socketio.server.environ.get(eio_sid)
    if environ is None or _ASKED in environ:  # None: it was ended while this frame waited
        return False
    environ[_ASKED] = True
    return True


def _listens(socketio: SocketIO, eio_sid: str) -> bool:
    """Whether a connection is still in a namespace."""
    manager = socketio.server.manager
    return any(manager.sid_from_eio_sid(eio_sid, each) for each in manager.get_namespaces())


def has_left(socketio: SocketIO) -> bool:
    """Whether the present connection ended while its question was answered."""
    server = socketio.server
    eio_sid = server.manager.eio_sid_from_sid(request.sid, request.namespace)  # type: ignore[attr-defined]
    return eio_sid not in server.environ


def close_later(socketio: SocketIO, seconds: float) -> None:
    """Close the present connection after a refusal: it could ask again for ever otherwise."""
    manager = socketio.server.manager
    eio_sid = manager.eio_sid_from_sid(request.sid, request.namespace)  # type: ignore[attr-defined]

    _end_later(socketio, eio_sid, seconds)


def _end_later(socketio: SocketIO, eio_sid: str, seconds: float) -> None:
    def end() -> None:
        socketio.sleep(seconds)
        socketio.server.eio.disconnect(eio_sid)

    socketio.start_background_task(end)


def close_all(socketio: SocketIO) -> None:
    """Tell every open socket that the server goes; pages come back by themselves."""
    engine = socketio.server.eio
    for eio_sid in list(engine.sockets):
        socketio.start_background_task(engine.disconnect, eio_sid)

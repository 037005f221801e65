"""The SocketIO object, who enters which room, and announce()."""

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

from flask import Flask, Request, request
from flask_socketio import ConnectionRefusedError, SocketIO
from sqlalchemy.exc import SQLAlchemyError

from mpesa import logs
from mpesa.domain.snapshot import Snapshot
from mpesa.ledger import Change
from mpesa.logs import quoted
from mpesa.outbox import Announced
from mpesa.web import connections, reads, words
from mpesa.web.bodies import is_id
from mpesa.web.rooms import RoomIndex
from mpesa.web.security import is_ours

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

# What was announced and not written down yet, while the database is gone: a minute of a busy
# worker, a few MB. The oldest go first.
_MOST_UNWRITTEN = 20_000

# Seconds between two lines of the log about hosts that are not ours: anybody can send one.
_A_LINE_EVERY = 60.0

# Keys of our own in a connection's environ.
_EXPECTED = "mpesa.expected"
_SHOWN = "mpesa.shown"
_ENTERED = "mpesa.entered"
_ASKED = "mpesa.asked"


class Rooms:
    """Who is in which room, and what each room has heard.

    One transaction and one language is a room; the server alone puts sockets there. Nothing older
    is ever sent after something newer, and nothing twice.

    Args:
        now: the time, aware UTC.

    Attributes:
        announced: what changed and went out to rooms, oldest first, until it is written down.
    """

    def __init__(self, socketio: SocketIO, now: Callable[[], datetime]) -> None:
        self._socketio = socketio
        self._now = now
        self.announced: deque[Announced] = deque(maxlen=_MOST_UNWRITTEN)
        self._told: dict[str, int] = {}
        # A mark for each transaction for whose room somebody set out; each announcement makes a new
        # one, and none is used twice.
        self._expected: dict[str, int] = {}
        self._marks = count(1)

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell the rooms of transactions what these are now, each in its own language."""
        for change in changes:
            self.look_at(change)

    def look_at(self, change: Change) -> bool:
        """Tell a room what its transaction is now, unless it has heard that, or nobody is there.

        Only what the database says is told or remembered, whatever `change` claims.

        Returns:
            Whether it may be so; False where the database was read, and knows of no such change.
        """
        transaction_id, told = change.transaction_id, self._told.get(change.transaction_id, 0)
        if transaction_id in self._expected:
            self._expected[transaction_id] = next(self._marks)
        if not self._langs(transaction_id):
            self._told.pop(transaction_id, None)
            return True
        if change.seq <= told:
            return True
        snapshot = change.snapshot
        if snapshot is None:
            snapshot = reads.snapshot(transaction_id, self._now())
        if snapshot is None:
            return False
        if self._tell(snapshot):
            self._keep(snapshot)
        return snapshot["seq"] >= change.seq

    def tell_again(self, transaction_ids: Sequence[str]) -> None:
        """Tell rooms what their transactions are by now: time has changed what is said of them.

        Their `seq` is what it was, so that nothing is announced to anybody else.
        """
        for transaction_id in transaction_ids:
            if not self._langs(transaction_id):
                continue
            snapshot = reads.snapshot(transaction_id, self._now())
            if snapshot is not None and snapshot["seq"] >= self._told.get(transaction_id, 0):
                self._emit(snapshot)

    def expect(self, transaction_id: Any) -> tuple[Snapshot | None, int]:
        """Read what a socket will be shown once it is in its room; `enter` takes the answer.

        Args:
            transaction_id: whatever a client sent for one.

        Returns:
            The snapshot, None where there is no such transaction, and a mark that the next
            announcement makes old.

        Raises:
            SQLAlchemyError: the database failed.
        """
        if not is_id(transaction_id):
            return None, 0
        mark = self._expected.setdefault(transaction_id, next(self._marks))
        snapshot = None
        try:
            snapshot = reads.snapshot(transaction_id, self._now())
        finally:
            if snapshot is None:  # or the database failed: nobody would take it away
                self.expect_no_longer(transaction_id)
        return snapshot, mark

    def expect_no_longer(self, transaction_id: str) -> None:
        """Forget the mark; a socket that still comes reads once more."""
        self._expected.pop(transaction_id, None)

    def enter(self, sid: str, snapshot: Snapshot, mark: int, lang: str) -> None:
        """Put a socket into its room, and show it what was read, or what was announced since."""
        transaction_id = snapshot["transaction_id"]
        self._socketio.server.enter_room(sid, room_of(transaction_id, lang), namespace="/")
        behind = snapshot["seq"] < self._told.get(transaction_id, 0)
        if behind or self._expected.get(transaction_id) != mark:
            snapshot = self._newest(transaction_id) or snapshot
        if not self._tell(snapshot):
            self._socketio.emit("status", words.with_message(snapshot, lang), to=sid)

    def _tell(self, snapshot: Snapshot) -> bool:
        """Emit to the whole room, unless it heard as much before; returns whether it was told."""
        transaction_id, seq = snapshot["transaction_id"], snapshot["seq"]
        if seq <= self._told.get(transaction_id, 0):
            return False
        self._forget_empty_rooms()
        self._emit(snapshot)
        return True

    def _emit(self, snapshot: Snapshot) -> None:
        # No greenlet is switched between this line and the emits: their order is that of `seq`.
        transaction_id = snapshot["transaction_id"]
        self._told[transaction_id] = snapshot["seq"]
        for lang in self._langs(transaction_id):
            told = words.with_message(snapshot, lang)
            self._socketio.emit("status", told, to=room_of(transaction_id, lang))

    def _keep(self, snapshot: Snapshot) -> None:
        """Remember a change that was told; who opens a page asks for itself, and is not counted."""
        transaction_id = snapshot["transaction_id"]
        rooms = [room_of(transaction_id, lang) for lang in self._langs(transaction_id)]
        self.announced.append(
            Announced(
                transaction_id=transaction_id,
                seq=snapshot["seq"],
                status=snapshot["status"],
                reason=snapshot["reason"],
                order_status=snapshot["order_status"],
                pages=sum(len(self._rooms()[room]) for room in rooms),
                announced_at=self._now(),
            )
        )

    def _newest(self, transaction_id: str) -> Snapshot | None:
        """The snapshot, read once more where a newer one was announced meanwhile."""
        snapshot = reads.snapshot(transaction_id, self._now())
        while snapshot is not None and snapshot["seq"] < self._told.get(transaction_id, 0):
            snapshot = reads.snapshot(transaction_id, self._now())
        return snapshot

    def _forget_empty_rooms(self) -> None:
        """Now and then, so that what shoppers left behind does not pile up."""
        if len(self._told) > _MOST_EMPTY + len(self._rooms()):
            self._told = {each: seq for each, seq in self._told.items() if self._langs(each)}

    def _langs(self, transaction_id: str) -> list[str]:
        """The languages in which somebody here listens to a transaction."""
        rooms = self._rooms()
        return [lang for lang in words.LANGUAGES if room_of(transaction_id, lang) in rooms]

    def _rooms(self) -> dict[str, Any]:
        """Every room of the checkout pages, with who is in it."""
        rooms: dict[str, Any] = self._socketio.server.manager.rooms.get("/", {})
        return rooms


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


def room_of(transaction_id: str, lang: str) -> str:
    """The name of a room."""
    return f"{transaction_id}:{lang}"


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
    request.environ[_SHOWN] = (snapshot, mark, words.chosen(fields.get("lang")))


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

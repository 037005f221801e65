"""Light Engine.IO connections for waiting pages.

For each connection Engine.IO keeps two greenlets, one that waits for something to write and one
that waits for the next ping, and a queue for the first. Here writing begins when there is something
to write, and one greenlet keeps the times of all pings, which are due in the order in which they
were scheduled.
"""

import logging
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import engineio
from engineio import packet
from engineio.exceptions import EngineIOError
from engineio.socket import Socket
from flask_socketio import SocketIO

log = logging.getLogger(__name__)

# Packets. A payment has about five snapshots, and a ping comes every 25 s.
_MOST_WAITING = 50
# Our page sends its CONNECT and one answer to each ping; no page of ours sends more than this
# between two pings.
_MOST_MESSAGES = 20
# Entries that a later request context of the connection may need (another namespace's connect).
_KEPT = {
    "flask.app", "HTTP_ACCEPT_LANGUAGE", "HTTP_COOKIE", "HTTP_HOST", "PATH_INFO", "QUERY_STRING",
    "REMOTE_ADDR", "REQUEST_METHOD", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT",
    "SERVER_PROTOCOL", "wsgi.input", "wsgi.url_scheme",
}  # fmt: skip


class Later:
    """Calls functions later, each after the same delay, from one greenlet.

    Args:
        seconds: the delay.
    """

    def __init__(self, socketio: SocketIO, seconds: float) -> None:
        self._socketio = socketio
        self._seconds = seconds
        self._due: deque[tuple[float, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._waits = False

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call the function after the delay; the order of calls is kept."""
        self._due.append((time.monotonic() + self._seconds, function, arguments))
        if not self._waits:
            self._waits = True
            self._socketio.start_background_task(self._call_due)

    def _call_due(self) -> None:
        while self._due:
            due, function, arguments = self._due.popleft()
            if (pause := due - time.monotonic()) > 0:
                self._socketio.sleep(pause)
            try:
                function(*arguments)
            except Exception:
                log.exception("%s failed", function.__name__)
        self._waits = False


class Outgoing:
    """The packets that are still to be written to one connection; it replaces Engine.IO's queue.

    Args:
        server: Engine.IO's server, which can start background tasks.
    """

    # Two writers would mix up the order. It is held for a line or two, so all connections share it.
    _turn = threading.Lock()

    __slots__ = ("_server", "_waiting", "_writes", "_ws")

    def __init__(self, server: engineio.Server) -> None:
        self._server = server
        self._waiting: list[packet.Packet | None] | None = []
        self._ws: Any = None
        self._writes = False

    def open(self, ws: Any) -> None:
        """Begin to write: the WebSocket is open now."""
        self._ws = ws
        self._begin_writing()

    def put(self, each: packet.Packet | None) -> None:
        """Write a packet; None closes the connection once every packet before it is written.

        A page that lets more than `_MOST_WAITING` packets wait is disconnected.
        """
        with self._turn:
            waiting = self._waiting or []
            if self._waiting is not None:
                self._waiting.append(each)
        if len(waiting) > _MOST_WAITING:
            self._waiting = None
            self._server.start_background_task(self._close)
        self._begin_writing()

    def take_over(self, queue: Any) -> None:
        """Write the packets of Engine.IO's own queue."""
        while not queue.empty():
            self.put(queue.get(block=False))

    def drop(self) -> None:
        """Discard what was not written; the caller closes the connection."""
        self._waiting = None

    def join(self) -> None:
        """Wait until everything is written, for at most a second."""
        for _ in range(100):
            if not self._writes:
                return
            self._server.sleep(0.01)

    def _begin_writing(self) -> None:
        with self._turn:
            if self._writes or not self._waiting or self._ws is None:
                return
            self._writes = True
        self._server.start_background_task(self._write_waiting)

    def _write_waiting(self) -> None:
        try:
            while self._waiting:
                each = self._waiting.pop(0)
                if each is None:
                    self._close()
                    return
                self._ws.send(each.encode())
        except Exception as error:  # noqa: BLE001 - each async server has its own for a page that left
            log.debug("a page left while it was written to (%s)", type(error).__name__)
            self._close()
            return
        self._writes = False
        self._begin_writing()  # a packet may have been added since the last look

    def _close(self) -> None:
        self._waiting = None
        self._writes = False
        if self._ws is not None:
            self._ws.close()


class Connection(Socket):
    """An Engine.IO connection that `lighten` made light after it was created.

    tests/live/test_connections.py fails if Engine.IO no longer does what this class relies on.
    """

    pings: Later
    last_ping: float | None
    heard = 0

    def schedule_ping(self) -> None:
        """Send a ping after the interval, unless one is already scheduled."""
        if self.last_ping:
            self.last_ping = None
            # By a weak reference, so that a page that left does not stay in memory until then.
            self.pings.call(_ping_if_there, weakref.ref(self))

    def ping(self) -> None:
        """Send a ping now, unless the connection is closed."""
        self.heard = 0
        if not self.closing and not self.closed:
            self.last_ping = time.time()
            self.send(packet.Packet(packet.PING))

    def _websocket_handler(self, ws: Any) -> list[Any]:
        """Read until the page leaves, or is silent for longer than a ping and its answer take."""
        silence = self.server.ping_interval + self.server.ping_timeout
        # The socket is another attribute in each WebSocket library (see Engine.IO's async drivers).
        for name in ("_sock", "socket"):
            set_timeout = getattr(getattr(ws, name, None), "settimeout", None)
            if set_timeout is not None:
                set_timeout(silence)
        self.connected = self.upgraded = True
        self.queue.open(ws)
        while True:
            try:
                message = ws.wait()
            except Exception as error:  # noqa: BLE001 - each async server has its own error for this
                log.debug("a page left (%s)", type(error).__name__)
                break
            if message is None or not self._handle_message(message):
                break
        self.queue.drop()
        self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
        return []

    def _handle_message(self, message: Any) -> bool:
        """Handle a message.

        Returns:
            Whether to read on; False closes the connection.
        """
        self.heard += 1
        if self.heard > _MOST_MESSAGES:
            return False
        # A page whose next message is always there already would never let other greenlets run.
        self.server.sleep(0)
        try:
            self.receive(packet.Packet(encoded_packet=message))
        except (ValueError, RecursionError, EngineIOError):
            return False  # it breaks the protocol, or the connection is closed by now
        except Exception:
            log.exception("a message of a page could not be handled")
            return False
        return True


def _ping_if_there(connection: weakref.ref[Connection]) -> None:
    if (found := connection()) is not None:
        found.ping()


def lighten(connection: Socket, pings: Later) -> None:
    """Make a connection light that Engine.IO has just accepted.

    Args:
        pings: calls the next ping after Engine.IO's ping interval.
    """
    queue = connection.queue
    connection.__class__ = Connection
    connection.pings = pings
    connection.queue = Outgoing(connection.server)
    connection.queue.take_over(queue)


def slim(environ: dict[str, Any]) -> None:
    """Remove the entries of a request that no later event of its connection needs."""
    kept = {name: environ[name] for name in environ.keys() & _KEPT}
    own = {name: each for name, each in environ.items() if name.startswith("mpesa.")}
    environ.clear()  # deleting entry by entry would leave the table as large as it was
    environ.update(kept | own)

"""What a waiting page costs: its Engine.IO connection without what only waits beside it.

Engine.IO keeps two more greenlets for each connection, one that waits for something to write and
one that waits for the next ping, and a queue for the first. Here writing begins when there is
something to write, and one greenlet knows all pings, which are due in the order of their coming.
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

# A payment has about five snapshots, and a ping comes every 25 s.
_MOST_WAITING = 50
# A page sends its CONNECT and one answer a ping; more than this between two pings is no page.
_MOST_MESSAGES = 20
# What a later request context of the same connection could need (another namespace's connect).
_KEPT = {
    "flask.app", "HTTP_ACCEPT_LANGUAGE", "HTTP_COOKIE", "HTTP_HOST", "PATH_INFO", "QUERY_STRING",
    "REMOTE_ADDR", "REQUEST_METHOD", "SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT",
    "SERVER_PROTOCOL", "wsgi.input", "wsgi.url_scheme",
}  # fmt: skip


class Later:
    """Calls functions, all of them after the same time, from one greenlet.

    Args:
        seconds: from the wish to the call.
    """

    def __init__(self, socketio: SocketIO, seconds: float) -> None:
        self._socketio = socketio
        self._seconds = seconds
        self._due: deque[tuple[float, Callable[..., Any], tuple[Any, ...]]] = deque()
        self._waits = False

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Call it when the time has passed; the time is the same for all, so the first is first."""
        self._due.append((time.monotonic() + self._seconds, function, arguments))
        if not self._waits:
            self._waits = True
            self._socketio.start_background_task(self._run)

    def _run(self) -> None:
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
    """What is still to be written to one connection; stands where Engine.IO has a queue.

    Args:
        server: Engine.IO's, which knows how work is begun beside the present one.
    """

    # Two writers would mix up the order. It is held for a line or two, so one serves all.
    _turn = threading.Lock()

    __slots__ = ("_server", "_waiting", "_writes", "_ws")

    def __init__(self, server: engineio.Server) -> None:
        self._server = server
        self._waiting: list[packet.Packet | None] | None = []
        self._ws: Any = None
        self._writes = False

    def open(self, ws: Any) -> None:
        """From now on there is something to write to."""
        self._ws = ws
        self._begin()

    def put(self, each: packet.Packet | None) -> None:
        """Write a packet; None closes the connection once all before it is written.

        One that reads so little that this many wait is given up.
        """
        with self._turn:
            waiting = self._waiting or []
            if self._waiting is not None:
                self._waiting.append(each)
        if len(waiting) > _MOST_WAITING:
            self._waiting = None
            self._server.start_background_task(self._end)
        self._begin()

    def take_over(self, queue: Any) -> None:
        """Write what stands in Engine.IO's own queue."""
        while not queue.empty():
            self.put(queue.get(block=False))

    def drop(self) -> None:
        """Write no more; who calls this closes the connection."""
        self._waiting = None

    def join(self) -> None:
        """Wait until all is written, a second at the most."""
        for _ in range(100):
            if not self._writes:
                return
            self._server.sleep(0.01)

    def _begin(self) -> None:
        with self._turn:
            if self._writes or not self._waiting or self._ws is None:
                return
            self._writes = True
        self._server.start_background_task(self._write)

    def _write(self) -> None:
        try:
            while self._waiting:
                each = self._waiting.pop(0)
                if each is None:
                    self._end()
                    return
                self._ws.send(each.encode())
        except Exception as error:  # noqa: BLE001 - each async server has its own for a page that left
            log.debug("a page left while it was written to (%s)", type(error).__name__)
            self._end()
            return
        self._writes = False
        self._begin()  # what came in between the last look and now

    def _end(self) -> None:
        self._waiting = None
        self._writes = False
        if self._ws is not None:
            self._ws.close()


class Connection(Socket):
    """Engine.IO's connection, made light after the fact.

    tests/live/test_connections.py fails where Engine.IO no longer does what is relied on here.
    """

    pings: Later
    last_ping: float | None
    heard = 0

    def schedule_ping(self) -> None:
        """Ping after a while, unless one is under way."""
        if self.last_ping:
            self.last_ping = None
            # Weakly: a page that left is not kept in memory until its next ping.
            self.pings.call(_ping_if_there, weakref.ref(self))

    def ping(self) -> None:
        """Ping now."""
        self.heard = 0
        if not self.closing and not self.closed:
            self.last_ping = time.time()
            self.send(packet.Packet(packet.PING))

    def _websocket_handler(self, ws: Any) -> list[Any]:
        """Read until the page leaves, or is silent for longer than a ping and its answer take."""
        _limit_silence(ws, self.server.ping_interval + self.server.ping_timeout)
        self.connected = self.upgraded = True
        self.queue.open(ws)
        while (message := _next_message(ws)) is not None and self._takes(message):
            pass
        self.queue.drop()
        self.close(wait=False, abort=True, reason=self.server.reason.TRANSPORT_CLOSE)
        return []

    def _takes(self, message: Any) -> bool:
        """Handle a message; returns whether to go on."""
        self.heard += 1
        if self.heard > _MOST_MESSAGES:
            return False
        # One whose next message is always there already would never let anybody else run.
        self.server.sleep(0)
        try:
            self.receive(packet.Packet(encoded_packet=message))
        except (ValueError, RecursionError, EngineIOError):  # no protocol, or closed meanwhile
            return False
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
        pings: calls after Engine.IO's ping interval.
    """
    queue = connection.queue
    connection.__class__ = Connection
    connection.pings = pings
    connection.queue = Outgoing(connection.server)
    connection.queue.take_over(queue)


def slim(environ: dict[str, Any]) -> None:
    """Forget what no later event of a connection can need of its request."""
    kept = {name: environ[name] for name in environ.keys() & _KEPT}
    own = {name: each for name, each in environ.items() if name.startswith("mpesa.")}
    environ.clear()  # what was deleted one by one would leave the table as large as it was
    environ.update(kept | own)


def _next_message(ws: Any) -> Any:
    """What the page sends next; None where it left, or was silent for too long."""
    try:
        return ws.wait()
    except Exception as error:  # noqa: BLE001 - each async server has its own for a page that left
        log.debug("a page left (%s)", type(error).__name__)
        return None


def _limit_silence(ws: Any, seconds: float) -> None:
    """The socket's attribute has another name in each WebSocket library (see Engine.IO)."""
    for name in ("_sock", "socket"):
        limit = getattr(getattr(ws, name, None), "settimeout", None)
        if limit is not None:
            limit(seconds)

"""Eventlet: patches first, then its WSGI server, which has WebSockets of its own."""

import warnings

# At every import, eventlet says that it is in maintenance; docs/deployment.md says so once, with
# what to do.
warnings.filterwarnings("ignore", message="(?s).*Eventlet is deprecated")

import eventlet  # noqa: E402 - the filter above has to stand first

eventlet.monkey_patch()

import errno  # noqa: E402 - everything below has to see the patched modules
import logging  # noqa: E402
import socket  # noqa: E402
from collections.abc import Callable  # noqa: E402
from email.message import Message  # noqa: E402
from functools import partial  # noqa: E402
from typing import Any  # noqa: E402

from eventlet import hubs, websocket, wsgi  # noqa: E402
from psycopg2 import extensions  # noqa: E402

from mpesa import silence  # noqa: E402

# Eventlet's own callback has no limit: a peer that never answers would keep a worker.
extensions.set_wait_callback(
    partial(
        silence.wait,
        until_readable=lambda file, seconds, otherwise: hubs.trampoline(
            file, read=True, timeout=seconds, timeout_exc=otherwise
        ),
        until_writable=lambda file, seconds, otherwise: hubs.trampoline(
            file, write=True, timeout=seconds, timeout_exc=otherwise
        ),
    )
)


def start(listener: socket.socket, app: Any, most: int, idle: float) -> Callable[[], None]:
    """Take connections from now on.

    Args:
        most: the most connections at once; further ones wait.
        idle: seconds that a connection may stay silent.

    Returns:
        A function that ends the taking.
    """
    server = eventlet.spawn(
        wsgi.server,
        _Listener(listener),
        app,
        log=logging.getLogger("mpesa.serving.wsgi"),
        log_output=False,  # paths hold callback tokens
        debug=False,  # no traceback in an answer
        custom_pool=eventlet.GreenPool(most),
        protocol=_Protocol,
        keepalive=idle,
        socket_timeout=idle,
    )
    kill: Callable[[], None] = server.kill
    return kill


class _Listener:
    """Outlasts a moment without free files, after which eventlet would take no connections."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._listener, name)

    def accept(self) -> tuple[socket.socket, Any]:
        """Take the next connection.

        Raises:
            OSError: the listener is closed.
        """
        while True:
            try:
                return self._listener.accept()
            except OSError as error:
                if error.errno in (errno.EBADF, errno.EINVAL, errno.ENOTSOCK):
                    raise
                eventlet.sleep(0.1)


class _Protocol(wsgi.HttpProtocol):
    """One connection: its head in bounded time, and nothing about requests in a log."""

    rfile: Any
    wfile: Any
    headers: Any
    environ: Any

    def _read_request_line(self) -> bytes:
        """Read the first line in bounded time; single bytes could come just in time for ever."""
        with eventlet.Timeout(self.server.socket_timeout, TimeoutError("too slow")):
            line: bytes = super()._read_request_line()
        return line

    def parse_request(self) -> bool:
        """Read the headers, in bounded time too."""
        with eventlet.Timeout(self.server.socket_timeout, TimeoutError("too slow")):
            done: bool = super().parse_request()
        return done

    def get_environ(self) -> dict[str, Any]:
        """Make the application's view of a request; a WebSocket gives back what it does not need.

        It may stay open for minutes, and reads and writes its socket itself: it needs neither 24 KB
        of buffers nor a second and a third copy of the headers.
        """
        upgrades = self.headers.get("Upgrade", "").lower() == "websocket"
        if upgrades:
            self.rfile, self.wfile = self.rfile.detach(), self.wfile.detach()
        environ: dict[str, Any] = super().get_environ()
        if upgrades:
            self.headers = Message()
            del environ["headers_raw"]
        return environ

    def finish(self) -> None:
        """End the connection, and let go of its request.

        The request holds a function of eventlet's that holds the connection. Without this, a
        shopper's would stay in memory until the garbage collector's next full look.
        """
        super().finish()
        self.environ = {}

    def log_message(self, *_: object) -> None:
        """Log nothing: the standard library would write the whole line of a refused request."""


class _BoundedMessage(websocket.RFC6455WebSocket.Message):
    """Bounds a whole message by the length of one frame: eventlet bounds only each fragment."""

    def push(self, fragment: bytes, final: bool = False) -> None:
        super().push(fragment, final)
        if not fragment:
            self.data.pop()  # an endless row of empty ones takes no room
        if sum(map(len, self.data)) > self.max_frame_length:
            raise websocket.FailedConnectionError(1009, "The message is too long.")


websocket.RFC6455WebSocket.Message = _BoundedMessage

_receive_frame = websocket.RFC6455WebSocket._recv_frame


def _receive_frame_in_turn(self: Any, *arguments: Any, **named: Any) -> Any:
    """Give way first: a client that sends only pings and empty fragments would stop the others."""
    eventlet.sleep(0)
    return _receive_frame(self, *arguments, **named)


websocket.RFC6455WebSocket._recv_frame = _receive_frame_in_turn

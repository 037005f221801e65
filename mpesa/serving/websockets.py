"""WebSockets on gevent's server: RFC 6455 by wsproto, as Engine.IO wants to use them."""

import contextlib
import re
import socket
from collections.abc import Callable, Iterable
from io import BufferedReader
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Event, Message, Ping, TextMessage
from wsproto.frame_protocol import CloseReason
from wsproto.utilities import LocalProtocolError, generate_accept_token

# Where the server leaves its connection for us: the socket, and the file that reads from it.
CONNECTION = "mpesa.connection"
# A client's handshake names 16 random bytes (RFC 6455, section 4.1).
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")
# Bytes to read at once: a client's only message has about 150. Each waiting socket holds this many.
_PIECE = 512


class WebSocket:
    """One WebSocket, which is read as fast as its messages are handled, and no faster.

    Args:
        handler: called with the open WebSocket; when it returns, the connection is over.
        server: Engine.IO's server; its `max_http_buffer_size` bounds a message, in bytes.
    """

    def __init__(self, handler: Callable[["WebSocket"], Any], server: Any) -> None:
        self._handler = handler
        self._largest = int(server.max_http_buffer_size)
        self._protocol = Connection(ConnectionType.SERVER)
        # Engine.IO's writer and our answers to pings must not mix their bytes.
        self._sending = BoundedSemaphore(1)
        self._parts: list[bytes] = []
        self._length = 0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Shake hands, and hand the open WebSocket over."""
        key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
        if not _KEY.fullmatch(key):
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
        # Engine.IO sets its time-out on `_sock`: a client that answers no ping is gone.
        self._sock: socket.socket
        self._reader: BufferedReader
        self._sock, self._reader = environ[CONNECTION]
        accepted = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", generate_accept_token(key.encode()).decode()),
        ]
        start_response("101 Switching Protocols", accepted)(b"")
        handler = self._handler
        del self._handler  # it leads back here, and would keep a page that left in memory
        handler(self)
        return []

    def send(self, message: str | bytes) -> None:
        """Send one message.

        Raises:
            OSError: the client is gone, or reads nothing.
        """
        self._transmit(TextMessage(message) if isinstance(message, str) else BytesMessage(message))

    def wait(self) -> str | bytes | None:
        """Wait for the next whole message; None where the connection is over."""
        while True:
            # Events after the end of a message stay in wsproto until the next call.
            for event in self._protocol.events():
                if isinstance(event, Message):
                    self._take(event.data)
                    if self._length > self._largest:
                        self._transmit(CloseConnection(CloseReason.MESSAGE_TOO_BIG))
                        return None
                    if event.message_finished:
                        whole = b"".join(self._parts)
                        self._parts.clear()
                        self._length = 0
                        return whole.decode() if isinstance(event.data, str) else whole
                elif isinstance(event, Ping | CloseConnection):
                    self._transmit(event.response())
                    if isinstance(event, CloseConnection):
                        return None
            # A client that sends only pings and empty pieces would stop the others.
            gevent.sleep(0)
            if not (received := self._reader.read1(_PIECE)):
                return None
            self._protocol.receive_data(received)

    def close(self) -> None:
        """Say goodbye and end the connection, which wakes a `wait`."""
        with contextlib.suppress(OSError, LocalProtocolError):
            self._transmit(CloseConnection(CloseReason.NORMAL_CLOSURE))
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def _take(self, piece: str | bytes) -> None:
        """Keep one piece of a message; an endless row of empty ones takes no room."""
        if piece:
            self._parts.append(piece.encode() if isinstance(piece, str) else piece)
            self._length += len(self._parts[-1])

    def _transmit(self, event: Event) -> None:
        with self._sending:
            self._sock.sendall(self._protocol.send(event))

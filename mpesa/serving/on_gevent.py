"""Gevent: patches first, then its WSGI server, with what that lacks."""

from gevent import monkey

monkey.patch_all()

import contextlib  # noqa: E402 - everything below has to see the patched modules
import logging  # noqa: E402
import socket  # noqa: E402
from collections.abc import Callable  # noqa: E402
from functools import partial  # noqa: E402
from io import BufferedReader  # noqa: E402
from types import TracebackType  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
from engineio.async_drivers import gevent as engineio_on_gevent  # noqa: E402
from gevent.pywsgi import WSGIHandler, WSGIServer  # noqa: E402
from gevent.socket import wait_read, wait_write  # noqa: E402
from psycopg2 import extensions  # noqa: E402

from mpesa import silence  # noqa: E402
from mpesa.serving.bounds import LARGEST_HEAD, LONGEST_HEADER  # noqa: E402
from mpesa.serving.websockets import CONNECTION, WebSocket  # noqa: E402

log = logging.getLogger(__name__)

# Bytes: a browser's whole head, as a rule.
BUFFER = 1024
BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def start(listener: socket.socket, app: Any, most: int, idle: float) -> Callable[[], None]:
    """Take connections from now on.

    Args:
        most: the most connections at once; further ones wait.
        idle: seconds that a connection may stay silent.

    Returns:
        A function that ends the taking.
    """
    server = WSGIServer(
        listener,
        app,
        spawn=most,
        log=None,  # paths hold callback tokens
        error_log=None,  # whole request lines
        handler_class=_Handler,
        # Otherwise the start waits for the name server, which is asked for the address.
        environ={"SERVER_NAME": listener.getsockname()[0]},
    )
    server.idle = idle
    server.start()
    stop: Callable[[], None] = server.close
    return stop


# gevent has no callback for psycopg2. With a limit, a peer that never answers keeps no worker.
extensions.set_wait_callback(
    partial(silence.wait, until_readable=wait_read, until_writable=wait_write)
)
# Engine.IO's own WebSocket for gevent has no bound for a message, compresses, and takes a second
# file and a third greenlet for each socket.
engineio_on_gevent._async["websocket"] = WebSocket


class _Head:
    """The lines of a request's headers, within bounds: gevent allows 6 MiB for each connection."""

    def __init__(self, stream: BufferedReader) -> None:
        self._stream = stream
        self._left = LARGEST_HEAD

    def readline(self, _limit: int) -> bytes:
        """Read the next line.

        Raises:
            ValueError: the line is too long, or all lines together are.
        """
        line = self._stream.readline(LONGEST_HEADER + 1)
        self._left -= len(line)
        if len(line) > LONGEST_HEADER or self._left < 0:
            raise ValueError("too long")
        return line


class _Handler(WSGIHandler):
    """One connection: with time-outs, WebSockets, and nothing about requests in a log."""

    rfile: Any

    def __init__(self, connection: socket.socket, address: Any, server: WSGIServer) -> None:
        connection.settimeout(server.idle)
        super().__init__(connection, address, server)
        # Gevent's own reader holds 8 KiB for as long as a shopper waits.
        self.rfile.close()
        self.rfile = connection.makefile("rb", BUFFER)

    def handle(self) -> None:
        """Serve one request after another; a client that went away is no error."""
        with contextlib.suppress(OSError):
            super().handle()

    def read_requestline(self) -> str:
        """Read the first line in bounded time; single bytes could come just in time for ever."""
        with gevent.Timeout(self.server.idle, TimeoutError("too slow")):
            line: str = super().read_requestline()
        return line

    def read_request(self, raw_requestline: str) -> bool:
        """Read the headers, in bounded time too."""
        with gevent.Timeout(self.server.idle, TimeoutError("too slow")):
            done: bool = super().read_request(raw_requestline)
        return done

    def MessageClass(self, *_: object) -> Any:
        """Parse the headers, within bounds."""
        headers = super().MessageClass(_Head(self.rfile))
        if "transfer-encoding" in headers and "content-length" in headers:
            # A proxy may have believed the other one (RFC 9112, section 6.3).
            raise ValueError("two lengths")
        return headers

    def get_environ(self) -> dict[str, Any]:
        """Make the application's view of a request, with the connection for its WebSocket."""
        environ: dict[str, Any] = super().get_environ()
        # Gevent hands out the bare stream where it takes a request for a WebSocket.
        environ["wsgi.input"] = self.wsgi_input
        environ["wsgi.input_terminated"] = True
        environ[CONNECTION] = (self.socket, self.rfile)
        return environ

    def handle_one_response(self) -> None:
        """Answer; after a WebSocket, or a body without a clear end, there is no next request."""
        super().handle_one_response()
        if self.connection_upgraded or self.wsgi_input._chunked_input_error:
            self.close_connection = True

    def handle_error(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Log that our own code failed; gevent would print the request with it."""
        if issubclass(kind, OSError):  # the client's doing
            self.close_connection = True
            return
        if not issubclass(kind, gevent.GreenletExit):
            log.error("a request failed", exc_info=(kind, error, trace))
        self._send_error_response_if_possible(500)

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes] | None:
        """Refuse a request that cannot be read; None where the client is gone."""
        return None if isinstance(error, OSError) else ("400", BAD_REQUEST)

    def log_request(self) -> None:
        """Log nothing: gevent would format the line before it throws it away."""

"""The only module that knows the async server (eventlet): patches, sockets, start and stop.

Imported first, by app.py and mpesa/simulator/__main__.py alone, when they run as the program.
"""

import warnings

# Eventlet says at every import that it is in maintenance; README.md says so once, and what to do.
warnings.filterwarnings("ignore", message="(?s).*Eventlet is deprecated")

import eventlet  # noqa: E402 - the filter above has to stand first

eventlet.monkey_patch()

import contextlib  # noqa: E402 - everything below has to see the patched modules
import errno  # noqa: E402
import logging  # noqa: E402
import resource  # noqa: E402
import signal  # noqa: E402
import socket  # noqa: E402
import threading  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterable  # noqa: E402
from typing import Any  # noqa: E402

from eventlet import websocket, wsgi  # noqa: E402
from werkzeug.wsgi import ClosingIterator  # noqa: E402

# Every open WebSocket holds one place for as long as a shopper waits. Eventlet's own 1,024 would
# let waiting shoppers keep Safaricom's callbacks out; memory ends long before this number.
MAX_CONNECTIONS = 100_000
# A browser or proxy that went away without a word is noticed after this (seconds).
IDLE_CONNECTION = 75
# Time that requests under way have once the server stops (seconds): then pushes are cut and
# recorded as unconfirmed, and what still runs is left.
FINISH_IN = 4.0
RECORD_IN = 2.0

log = logging.getLogger(__name__)


class CannotListen(OSError):
    """The address cannot be listened on; the message is one line that says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """Take the address, or say in one line why not.

    Raises:
        CannotListen: it is taken, not ours, or not allowed.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: a snapshot right after another frame waits 40 ms otherwise.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(4096)
    except OSError as error:
        raise CannotListen(f"PORT: {_why(error, host, port)}") from None
    return listener


def serve(
    app: Any,
    listener: socket.socket,
    *,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
    on_cut: Callable[[], None] = lambda: None,
) -> None:
    """Serve a WSGI application, WebSockets included, until SIGINT or SIGTERM.

    Args:
        listener: from `listen`.
        on_ready: connections are taken from now on.
        on_stop: no new connections are taken; tell open sockets to go.
        on_cut: time is up; end calls to others, so that their outcome can still be recorded.
    """
    _allow_many_files()
    signals = _signal_pipe()
    requests = _UnderWay(app)
    server = eventlet.spawn(_accept, listener, requests)
    on_ready()
    _wait_for_stop(signals)
    server.kill()
    listener.close()
    on_stop()
    if not requests.wait_for_none(FINISH_IN):
        on_cut()
        requests.wait_for_none(RECORD_IN)


def _accept(listener: socket.socket, app: Any) -> None:
    wsgi.server(
        listener,
        app,
        log=logging.getLogger("mpesa.serving.wsgi"),
        log_output=False,  # paths hold callback tokens
        debug=False,  # no traceback in an answer
        custom_pool=eventlet.GreenPool(MAX_CONNECTIONS),
        keepalive=IDLE_CONNECTION,
        socket_timeout=IDLE_CONNECTION,
    )


class _BoundedMessage(websocket.RFC6455WebSocket.Message):
    """Holds a message together to the length of one frame: eventlet bounds each fragment only."""

    def push(self, fragment: bytes, final: bool = False) -> None:
        super().push(fragment, final)
        if sum(map(len, self.data)) > self.max_frame_length:
            raise websocket.FailedConnectionError(1009, "The message is too long.")


websocket.RFC6455WebSocket.Message = _BoundedMessage


class _UnderWay:
    """Counts requests that are not WebSockets, so that a stop can wait for them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._count = 0
        self._none_left = threading.Event()
        self._none_left.set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
                # Eventlet would speak drafts of 2010, in which a message has no bound at all.
                start_response("426 Upgrade Required", [("Sec-WebSocket-Version", "13")])
                return []
            answer: Iterable[bytes] = self._app(environ, start_response)
            return answer
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            # Eventlet ends such a body itself but does not say so: it would be read as empty.
            environ["wsgi.input_terminated"] = True
        self._begin()
        try:
            return ClosingIterator(self._app(environ, start_response), [self._end])
        except BaseException:
            self._end()
            raise

    def _begin(self) -> None:
        self._count += 1
        self._none_left.clear()

    def _end(self) -> None:
        self._count -= 1
        if not self._count:
            self._none_left.set()

    def wait_for_none(self, seconds: float) -> bool:
        """Whether nothing is under way, after this long at the most."""
        done = self._none_left.wait(seconds)
        time.sleep(0.05)  # closing frames and last answers leave the buffers
        return done


def _leave(*_: object) -> None:
    raise SystemExit(0)


# A signal during a start ends it just as quietly; `serve` takes over from here.
for _number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(_number, _leave)


def _signal_pipe() -> socket.socket:
    """A socket that becomes readable at a signal: the event loop is not woken by a handler."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    _signal_pipe.keep = writer  # type: ignore[attr-defined]  # closed with the process only
    return reader


def _wait_for_stop(signals: socket.socket) -> None:
    """Returns at the first one; more of them change nothing, since the end is bounded anyway."""
    while not set(signals.recv(64)) & {signal.SIGINT, signal.SIGTERM}:
        pass


def _allow_many_files() -> None:
    """Every socket is an open file; take what the system allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{host}:{port} is taken by another program. End it, or choose another PORT."
    if error.errno == errno.EACCES:
        return f"{host}:{port} is not allowed for this user. Choose a PORT above 1023."
    return f"cannot listen on {host}:{port} ({error.strerror or error}). Check HOST and PORT."

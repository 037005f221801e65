"""One process from its start to its end, on whichever server: listen, serve, stop."""

import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from werkzeug.wsgi import ClosingIterator

from mpesa.serving.bounds import IDLE_CONNECTION, MAX_CONNECTIONS, OWN_FILES

# Seconds that requests under way have once the server stops: then pushes are cut and recorded as
# unconfirmed, and requests that still run are left.
FINISH_IN = 4.0
RECORD_IN = 2.0

# The first file that a service manager passes on (sd_listen_fds(3)).
_FIRST_PASSED = 3

# How often Python looks for garbage in cycles. A full look walks everything that waiting sockets
# keep: with 5,000 of them a payment took 8 to 10 ms of CPU with Python's own numbers, and 6 to 7 ms
# with a full look after two million allocations at the earliest. No task has a turn during a short
# look; one for each 20,000 allocations took 40 ms, and one for each 5,000 takes 4. Shorter ones
# would take for permanent what is only waiting. No gc.freeze(): a full look comes when the objects
# have grown by a quarter since the last one, and would then come sooner (10 to 12 ms a payment).
_GARBAGE = (5_000, 10, 40)

# Takes connections for an application from a listener, up to a number at once, and closes one that
# is silent for too many seconds. Returns a function that ends the taking.
Start = Callable[[socket.socket, Any, int, float], Callable[[], None]]


class CannotListen(OSError):
    """The address cannot be listened on; the message is one line that says what to do."""


def listen(host: str, port: int) -> socket.socket:
    """Listen on an address, or on the socket that the service manager passes on.

    Args:
        host: an address or a name.
        port: 1 to 65,535.

    Raises:
        CannotListen: the address is taken, is none of this machine's, or is not allowed.
    """
    if os.environ.get("LISTEN_PID") == str(os.getpid()):  # systemd's socket activation
        with socket.socket(fileno=os.dup(_FIRST_PASSED)) as probe:
            # eventlet would guess the family.
            family = probe.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)
        kind = socket.SOCK_STREAM
        return socket.socket(socket.AddressFamily(family), kind, fileno=_FIRST_PASSED)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # localhost may name ::1 first, and PUBLIC_URL leads to 127.0.0.1 unless told otherwise.
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit it: a snapshot right after another frame waits 40 ms otherwise.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind(address)
        listener.listen(4096)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = f"{host}:{port} is taken by another program. End it, or choose another PORT."
        elif error.errno == errno.EACCES:
            why = f"{host}:{port} is not allowed for this user. Choose a PORT above 1023."
        else:
            reason = error.strerror or error
            why = f"cannot listen on {host}:{port} ({reason}). Check HOST and PORT."
        raise CannotListen(f"PORT: {why}") from None
    return listener


def serve_with(
    start: Start,
    app: Any,
    listener: socket.socket,
    *,
    idle: float = IDLE_CONNECTION,
    on_ready: Callable[[], None] = lambda: None,
    on_stop: Callable[[], None] = lambda: None,
    on_cut: Callable[[], None] = lambda: None,
) -> None:
    """Serve a WSGI application, WebSockets included, until SIGINT or SIGTERM.

    Args:
        start: the server's own way to take connections.
        listener: from `listen`.
        idle: seconds that a connection may stay silent.
        on_ready: called once connections are taken.
        on_stop: called when no more are taken, to tell open sockets to go.
        on_cut: called when time is up, to end calls to other servers, so that their outcome can
            still be recorded.
    """
    gc.set_threshold(*_GARBAGE)
    most = _connections_that_fit()
    signals = _signal_pipe()
    requests = _OpenRequests(app)
    stop = start(listener, requests, most, idle)
    on_ready()
    while not set(signals.recv(64)) & {signal.SIGINT, signal.SIGTERM}:
        pass  # later signals change nothing, since the end takes a limited time anyway
    stop()
    listener.close()
    on_stop()
    if not requests.wait_for_none(FINISH_IN):
        on_cut()
        requests.wait_for_none(RECORD_IN)


class _OpenRequests:
    """Counts requests that are not WebSockets, so that a stop can wait for them."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._count = 0
        self._none_left = threading.Event()
        self._none_left.set()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_UPGRADE", "").lower() == "websocket":
            return self._open_websocket(environ, start_response)
        if environ.get("HTTP_TRANSFER_ENCODING", "").lower() == "chunked":
            # Eventlet ends such a body itself without saying so: it would be read as empty.
            environ["wsgi.input_terminated"] = True
        self._count += 1
        self._none_left.clear()
        try:
            return ClosingIterator(self._app(environ, start_response), [self._end])
        except BaseException:
            self._end()
            raise

    def _open_websocket(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
            # Eventlet would speak drafts of 2010, in which a message has no bound at all.
            start_response("426 Upgrade Required", [("Sec-WebSocket-Version", "13")])
            return []
        if "upgrade" not in environ.get("HTTP_CONNECTION", "").lower():
            # Engine.IO would not answer at all.
            start_response("400 Bad Request", [("Content-Length", "0")])
            return []
        # Every browser offers to compress. A compressor takes more memory than all the rest of a
        # waiting socket, and a snapshot has less than 1 KiB.
        environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)
        answer: Iterable[bytes] = self._app(environ, start_response)
        return answer

    def _end(self) -> None:
        self._count -= 1
        if not self._count:
            self._none_left.set()

    def wait_for_none(self, seconds: float) -> bool:
        """Wait this many seconds at most; returns whether no request is under way."""
        done = self._none_left.wait(seconds)
        time.sleep(0.05)  # closing frames and last answers leave the buffers
        return done


def _leave(_number: int, _frame: object) -> None:
    """End the process at once: a start leaves nothing that has to be put away.

    An exception from a handler can come at any moment. In a weak reference's callback Python
    ignores it, and in the midst of an import it leaves a lock that the next import waits for.
    """
    os._exit(0)


# A signal during a start ends it just as quietly; `serve_with` takes over from here.
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


def _connections_that_fit() -> int:
    """The most connections, after the limit of open files was raised as far as the system allows.

    Some files are left for other uses: without a free one, no callback could be stored.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return min(MAX_CONNECTIONS, files - min(OWN_FILES, files // 2))

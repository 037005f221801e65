"""Where the server leans on what a library does not promise, each place by name.

The pins in requirements.in make sure that none of them moves by itself. `.ci/weekly` tries the
newest releases: what moved there is named by tests/test_seams.py, before a security fix forces the
step. `python -m tests.seams` prints the tests that hold what the seams are for, one a line.
"""

import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

# Tests that break where a seam still has its name but no longer does the same.
CONNECTIONS = ("tests/live/test_connections.py", "tests/integration/test_bare_connections.py")
ROOMS = ("tests/live/test_room_index.py", "tests/integration/test_sockets.py")
ADMISSION = ("tests/live/test_admission.py", "tests/integration/test_sockets.py")
CONSOLE = ("tests/live/test_watchers.py", "tests/integration/test_console_live.py")
SERVING = (
    "tests/integration/test_bare_connections.py",
    "tests/integration/test_starting_and_stopping.py",
)
WAITING = ("tests/integration/test_cooperation.py", "tests/integration/test_silent_database.py")
DARAJA = (
    "tests/daraja/test_http.py",
    "tests/daraja/test_client.py",
    "tests/daraja/test_limits.py",
    "tests/daraja/test_under_async_servers.py",
)
WEBHOOKS = ("tests/test_webhooks_post.py",)
METRICS = ("tests/web/monitor/test_metrics.py",)


@dataclass(frozen=True)
class Seam:
    """One thing of a library's that the server relies on.

    Attributes:
        place: `module:name`; `module:Class().name` where only an instance has it.
        relied_on_by: our file.
        why: what it is used for, and so what a replacement has to do.
        held_by: the tests that break where it does something else.
        takes: the names of its parameters; None: it is not called.
    """

    place: str
    relied_on_by: str
    why: str
    held_by: tuple[str, ...]
    takes: tuple[str, ...] | None = None

    @property
    def library(self) -> str:
        """The package that it belongs to."""
        return self.place.partition(":")[0].partition(".")[0]

    @property
    def name(self) -> str:
        """Its own name, without its class."""
        return self.place.replace(":", ".").rpartition(".")[2]

    def find(self) -> object:
        """The thing itself, in the release that is installed.

        Raises:
            ImportError, AttributeError: it is gone.
        """
        holder, made, name = self.place.partition("().")
        if not made:
            return pkgutil.resolve_name(self.place)
        return getattr(_MADE[holder](pkgutil.resolve_name(holder)), name)


def _engine() -> Any:
    return pkgutil.resolve_name("engineio:Server")(async_mode="threading")


# How an instance is made that is enough to look at.
_MADE: dict[str, Callable[[Any], object]] = {
    "engineio:Server": lambda _server: _engine(),
    "engineio.socket:Socket": lambda socket: socket(_engine(), "sid"),
    "eventlet.websocket:RFC6455WebSocket.Message": lambda message: message("text", 4096),
    "requests.adapters:HTTPAdapter": lambda adapter: adapter(),
    "socketio:Manager": lambda manager: manager(),
    "socketio:Server": lambda server: server(async_mode="threading"),
    "sqlalchemy.pool:QueuePool": lambda pool: pool(lambda: None),
    "urllib3:PoolManager": lambda manager: manager(),
}

_LIGHT = "mpesa/live/connections.py"
_INDEX = "mpesa/live/room_index.py"
_REAL = "mpesa/live/admission.py"
_LIVE = "mpesa/live/watchers.py"
_EVENTLET = "mpesa/serving/on_eventlet.py"
_GEVENT = "mpesa/serving/on_gevent.py"
_HTTP = "mpesa/bounded_http/session.py"

SEAMS = (
    # -- Engine.IO: a connection without its queue and its two greenlets ---------------------------
    Seam("engineio.socket:Socket().queue", _LIGHT,
         "Outgoing takes its place: Engine.IO only puts, and joins at the end", CONNECTIONS),
    Seam("engineio.socket:Socket().last_ping", _LIGHT,
         "set while a ping waits for its answer; check_ping_timeout() goes by it", CONNECTIONS),
    Seam("engineio.socket:Socket().connected", _LIGHT,
         "set once the WebSocket stands", CONNECTIONS),
    Seam("engineio.socket:Socket().upgraded", _LIGHT,
         "set once the WebSocket stands: Engine.IO polls no more", CONNECTIONS),
    Seam("engineio.socket:Socket().closing", _LIGHT,
         "no ping goes to a connection that ends", CONNECTIONS),
    Seam("engineio.socket:Socket().closed", _LIGHT,
         "no ping goes to a connection that ended", CONNECTIONS),
    Seam("engineio.socket:Socket.schedule_ping", _LIGHT,
         "overridden: Engine.IO calls it after OPEN and after each PONG", CONNECTIONS, ()),
    Seam("engineio.socket:Socket._websocket_handler", _LIGHT,
         "overridden: the WebSocket calls it with itself and is over when it returns",
         CONNECTIONS, ("ws",)),
    Seam("engineio.socket:Socket.close", _LIGHT,
         "tells Socket.IO once that a page left", CONNECTIONS, ("wait", "abort", "reason")),
    Seam("engineio.socket:Socket.receive", _LIGHT,
         "handles a packet; raises where the protocol does not know it", CONNECTIONS, ("pkt",)),
    Seam("engineio.socket:Socket.send", _LIGHT,
         "puts a packet into the queue, or closes where no PONG came", CONNECTIONS, ("pkt",)),
    Seam("engineio.packet:Packet", _LIGHT, "reads and writes frames", CONNECTIONS,
         ("packet_type", "data", "encoded_packet")),
    Seam("engineio:Server().sockets", _REAL,
         "every connection by its id: made light as it comes, ended with the process", ADMISSION),
    Seam("engineio:Server().handlers", _REAL,
         "what Socket.IO registered for connect and message; ours stands before it", ADMISSION),
    Seam("engineio.async_drivers.gevent:_async", _GEVENT,
         "names the WebSocket class; ours stands there", SERVING),
    # -- Socket.IO: rooms by index, and no event from a client ------------------------------------
    Seam("socketio:Manager().rooms", _REAL, "who is in which room", ROOMS),
    Seam("socketio:Manager().callbacks", _INDEX, "dropped when a socket leaves", ROOMS),
    Seam("socketio:Manager().pending_connect", _INDEX, "dropped when a socket leaves", ROOMS),
    Seam("socketio:Manager().pending_disconnect", _INDEX, "dropped when a socket leaves", ROOMS),
    Seam("socketio:Manager.connect", _INDEX,
         "overridden: called after the acknowledgement, so the first snapshot follows it",
         ROOMS, ("sid", "namespace")),
    Seam("socketio:Manager.basic_enter_room", _INDEX, "overridden: kept in the index as well",
         ROOMS, ("sid", "namespace", "room", "eio_sid")),
    Seam("socketio:Manager.basic_leave_room", _INDEX, "overridden: taken from the index as well",
         ROOMS, ("sid", "namespace", "room")),
    Seam("socketio:Manager.basic_disconnect", _INDEX,
         "overridden: leaves by the index, the original looks through every room",
         ROOMS, ("sid", "namespace", "kwargs")),
    Seam("socketio:Manager.get_participants", _INDEX,
         "overridden: a socket's own id is a room without a table", ROOMS, ("namespace", "room")),
    Seam("socketio:Manager.get_rooms", _INDEX, "overridden: read from the index",
         ROOMS, ("sid", "namespace")),
    Seam("socketio:Manager.eio_sid_from_sid", _REAL, "the connection of a socket",
         ADMISSION, ("sid", "namespace")),
    Seam("socketio:Manager.sid_from_eio_sid", _REAL, "the socket of a connection",
         ADMISSION, ("eio_sid", "namespace")),
    Seam("socketio:Manager.get_namespaces", _REAL, "where a connection may have sockets",
         ADMISSION, ()),
    Seam("socketio:Server().environ", _REAL, "the request of each connection that is open",
         (*ADMISSION, *CONSOLE)),
    Seam("socketio:Server().eio", _REAL, "the Engine.IO server below", ADMISSION),
    Seam("socketio:Server().manager", _LIVE, "the client manager, whose rooms are asked", CONSOLE),
    # -- eventlet: heads in bounded time, messages of bounded length -------------------------------
    Seam("eventlet.wsgi:HttpProtocol._read_request_line", _EVENTLET,
         "overridden: the first line in bounded time", SERVING, ()),
    Seam("eventlet.wsgi:HttpProtocol.parse_request", _EVENTLET,
         "overridden: the headers in bounded time", SERVING, ()),
    Seam("eventlet.wsgi:HttpProtocol.get_environ", _EVENTLET,
         "overridden: a WebSocket gives back its buffers; its `headers_raw` is dropped",
         SERVING, ()),
    Seam("eventlet.wsgi:HttpProtocol.finish", _EVENTLET,
         "overridden: a connection that ended lets go of its request", SERVING, ()),
    Seam("eventlet.wsgi:HttpProtocol.log_message", _EVENTLET,
         "overridden: nothing of a refused request is written down",
         SERVING, ("format", "args")),
    Seam("eventlet.websocket:RFC6455WebSocket._recv_frame", _EVENTLET,
         "wrapped: frames that end no message let others have a turn", SERVING, ("message",)),
    Seam("eventlet.websocket:RFC6455WebSocket.Message.push", _EVENTLET,
         "overridden: bounds a message, where eventlet bounds each fragment",
         SERVING, ("data", "final")),
    Seam("eventlet.websocket:RFC6455WebSocket.Message().data", _EVENTLET,
         "the fragments of a message so far", SERVING),
    Seam("eventlet.websocket:RFC6455WebSocket.Message().max_frame_length", _EVENTLET,
         "the bound, in bytes", SERVING),
    Seam("eventlet.hubs:trampoline", _EVENTLET,
         "waits for a file, and raises what it is given when the time is over", WAITING,
         ("fd", "read", "write", "timeout", "timeout_exc", "mark_as_closed")),
    # -- gevent: heads in bounded time and size, and no request in a log ---------------------------
    Seam("gevent.pywsgi:WSGIHandler.handle", _GEVENT,
         "overridden: a client that went away is no error", SERVING, ()),
    Seam("gevent.pywsgi:WSGIHandler.read_requestline", _GEVENT,
         "overridden: the first line in bounded time", SERVING, ()),
    Seam("gevent.pywsgi:WSGIHandler.read_request", _GEVENT,
         "overridden: the headers in bounded time", SERVING, ("raw_requestline",)),
    Seam("gevent.pywsgi:WSGIHandler.MessageClass", _GEVENT,
         "overridden: the headers in bounded size", SERVING, ("args",)),
    Seam("gevent.pywsgi:WSGIHandler.get_environ", _GEVENT,
         "overridden: adds the connection for its WebSocket", SERVING, ()),
    Seam("gevent.pywsgi:WSGIHandler.handle_one_response", _GEVENT,
         "overridden: no next request where the end of the last one is not clear", SERVING, ()),
    Seam("gevent.pywsgi:WSGIHandler.handle_error", _GEVENT,
         "overridden: gevent's own prints the request", SERVING, ("t", "v", "tb")),
    Seam("gevent.pywsgi:WSGIHandler._handle_client_error", _GEVENT,
         "overridden: gevent's own writes the request into its log", SERVING, ("ex",)),
    Seam("gevent.pywsgi:WSGIHandler._send_error_response_if_possible", _GEVENT,
         "answers 500 where no answer has begun", SERVING, ("error_code",)),
    Seam("gevent.pywsgi:WSGIHandler.log_request", _GEVENT,
         "overridden: gevent's own formats the line first", SERVING, ()),
    Seam("gevent.pywsgi:WSGIHandler.connection_upgraded", _GEVENT,
         "set once a WebSocket was agreed on", SERVING),
    Seam("gevent.pywsgi:WSGIHandler.wsgi_input", _GEVENT, "the body of a request", SERVING),
    Seam("gevent.pywsgi:WSGIHandler.close_connection", _GEVENT,
         "set where no next request may be read", SERVING),
    Seam("gevent.pywsgi:Input._chunked_input_error", _GEVENT,
         "set where a chunked body broke off", SERVING),
    # -- urllib3 and requests: a call that knows its connection ------------------------------------
    Seam("urllib3.connection:HTTPConnection.auto_open", _HTTP,
         "overridden: nothing connects again in the middle of a request", DARAJA),
    Seam("urllib3.connection:HTTPConnection.is_closed", _HTTP, "read-only; whether to connect",
         DARAJA),
    Seam("urllib3.connection:HTTPConnection.is_connected", _HTTP,
         "overridden: an idle connection is used for so long only", DARAJA),
    Seam("urllib3.connection:HTTPConnection._new_conn", _HTTP,
         "overridden: TCP stands, TLS has not begun",
         (*DARAJA, *WEBHOOKS), ()),
    Seam("urllib3.connection:HTTPConnection.request", _HTTP,
         "overridden: the first byte is about to leave", DARAJA,
         ("method", "url", "body", "headers", "chunked", "preload_content", "decode_content",
          "enforce_content_length")),
    Seam("urllib3:HTTPConnectionPool._put_conn", _HTTP,
         "overridden: from here on another call may use the connection", DARAJA, ("conn",)),
    Seam("urllib3:HTTPConnectionPool.ConnectionCls", _HTTP,
         "overridden: our connections",
         (*DARAJA, *WEBHOOKS)),
    Seam("urllib3:PoolManager().pool_classes_by_scheme", _HTTP,
         "replaced: our pools", (*DARAJA, *WEBHOOKS)),
    Seam("requests.adapters:HTTPAdapter().poolmanager", _HTTP,
         "where our pools are named", (*DARAJA, *WEBHOOKS)),
    Seam("requests.adapters:HTTPAdapter.init_poolmanager", _HTTP,
         "overridden: TLS of our own", (*DARAJA, *WEBHOOKS),
         ("connections", "maxsize", "block", "pool_kwargs")),
    Seam("requests.adapters:HTTPAdapter.cert_verify", _HTTP,
         "overridden: no other authorities are loaded",
         (*DARAJA, *WEBHOOKS), ("conn", "url", "verify", "cert")),
    Seam("requests:Session.get_redirect_target", _HTTP,
         "overridden: nowhere, so nothing more is read",
         (*DARAJA, *WEBHOOKS), ("resp",)),
    # -- SQLAlchemy --------------------------------------------------------------------------------
    Seam("sqlalchemy.pool:QueuePool()._max_overflow", "mpesa/web/monitor/metrics.py",
         "how far the pool may grow beyond its size; size() alone is public", METRICS),
)  # fmt: skip


def parameters(found: object) -> tuple[str, ...]:
    """The names that a caller may use, without `self`."""
    names = tuple(inspect.signature(found).parameters)  # type: ignore[arg-type]
    return names[1:] if names[:1] == ("self",) else names


def files_that_hold_them() -> list[str]:
    """The files that hold what the seams are for, each once."""
    return sorted({held for seam in SEAMS for held in seam.held_by} | {"tests/test_seams.py"})


if __name__ == "__main__":
    print(*files_that_hold_them(), sep="\n")  # noqa: T201 - .ci/weekly reads it

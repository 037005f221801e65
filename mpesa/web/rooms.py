"""The in-process client manager: says when a socket's connection was acknowledged."""

from collections.abc import Callable

from socketio import Manager


class AcknowledgingManager(Manager):
    """Calls back once a socket is fully connected.

    What a connect handler emits overtakes the acknowledgement of the connection, so the first
    snapshot has to wait for this.

    Args:
        on_connected: called with the socket's id and its namespace.
    """

    def __init__(self, on_connected: Callable[[str, str], None]) -> None:
        super().__init__()
        self._on_connected = on_connected

    def connect(self, sid: str, namespace: str) -> str:
        """Register the socket; python-socketio calls this after its acknowledgement."""
        connected: str = super().connect(sid, namespace)
        self._on_connected(connected, namespace)
        return connected

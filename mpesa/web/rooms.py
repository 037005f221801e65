"""The in-process client manager: a socket's rooms by index, not by scan."""

from collections.abc import Callable
from typing import Any

from socketio import Manager


class RoomIndex(Manager):
    """Knows each socket's rooms, and says when a socket's connection was acknowledged.

    The stock manager looks through every room of the namespace when one socket leaves, so that a
    payment costs the more the more shoppers wait. What a connect handler emits overtakes the
    acknowledgement of the connection, so the first snapshot has to wait for `on_connected`.

    Args:
        on_connected: called with the socket's id and its namespace.
    """

    def __init__(self, on_connected: Callable[[str, str], None]) -> None:
        super().__init__()
        self._on_connected = on_connected
        self._rooms_of: dict[tuple[str, str], set[str | None]] = {}

    def connect(self, sid: str, namespace: str) -> str:
        """Register the socket; python-socketio calls this after its acknowledgement."""
        connected: str = super().connect(sid, namespace)
        self._on_connected(connected, namespace)
        return connected

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        """Enter, and remember."""
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._rooms_of.setdefault((namespace, sid), set()).add(room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        """Leave, and forget."""
        super().basic_leave_room(sid, namespace, room)
        rooms = self._rooms_of.get((namespace, sid), set())
        rooms.discard(room)
        if not rooms:
            self._rooms_of.pop((namespace, sid), None)

    def basic_disconnect(self, sid: str, namespace: str, **_unused: Any) -> None:
        """Leave every room, and drop what the base class keeps of a socket besides."""
        for room in list(self._rooms_of.get((namespace, sid), ())):
            self.basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)
                if not pending[namespace]:
                    del pending[namespace]

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """The rooms of a socket, its own among them."""
        return [room for room in self._rooms_of.get((namespace, sid), ()) if room is not None]

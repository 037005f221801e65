"""The in-process client manager, which looks up the rooms of a socket in an index."""

from collections.abc import Callable, Iterator
from typing import Any

from socketio import Manager


class RoomIndex(Manager):
    """Knows each socket's rooms, and calls back when a socket's connection was acknowledged.

    When a socket leaves, the stock manager scans every room of the namespace, so that a payment
    costs more the more shoppers wait. It also keeps a room for each single socket, which here is
    only a name. And what a connect handler emits overtakes the acknowledgement of the connection,
    so the first snapshot has to wait for `on_connected`.

    Args:
        on_connected: called with the socket's id and its namespace.
    """

    def __init__(self, on_connected: Callable[[str, str], None]) -> None:
        super().__init__()
        self._on_connected = on_connected
        # None stands for the namespace itself. A tuple is small, and a socket has few rooms.
        self._rooms_of: dict[tuple[str, str], tuple[str | None, ...]] = {}

    def connect(self, sid: str, namespace: str) -> str:
        """Register the socket; python-socketio calls this after the acknowledgement."""
        connected: str = super().connect(sid, namespace)
        self._on_connected(connected, namespace)
        return connected

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        """Enter the room, and note it in the index."""
        rooms = self._rooms_of.get((namespace, sid), ())
        if room == sid or (room in rooms):
            return
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._rooms_of[namespace, sid] = (*rooms, room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        """Leave the room, and remove it from the index."""
        if room == sid:
            return
        super().basic_leave_room(sid, namespace, room)
        rooms = tuple(each for each in self._rooms_of.pop((namespace, sid), ()) if each != room)
        if rooms:
            self._rooms_of[namespace, sid] = rooms

    def basic_disconnect(self, sid: str, namespace: str, **_unused: Any) -> None:
        """Leave every room, and drop what else the base class keeps of the socket."""
        for room in self._rooms_of.get((namespace, sid), ()):
            self.basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)
                if not pending[namespace]:
                    del pending[namespace]

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """The sockets in a room, each with its connection; a socket's own id is a room as well."""
        if isinstance(room, str) and (namespace, room) in self._rooms_of:
            return iter([(room, self.eio_sid_from_sid(room, namespace))])
        participants: Iterator[tuple[str, str]] = super().get_participants(namespace, room)
        return participants

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """The rooms of a socket, including its own."""
        rooms = self._rooms_of.get((namespace, sid), ())
        return [sid, *(room for room in rooms if room is not None)] if rooms else []

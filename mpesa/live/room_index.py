"""The in-process client manager: a socket's rooms by index, not by scan."""

from collections.abc import Callable, Iterator
from typing import Any

from socketio import Manager


class RoomIndex(Manager):
    """Knows each socket's rooms, and says when a socket's connection was acknowledged.

    The stock manager looks through every room of the namespace when one socket leaves, so that a
    payment costs the more the more shoppers wait, and keeps a room for each socket alone, which
    here is no more than a name. What a connect handler emits overtakes the acknowledgement of the
    connection, so the first snapshot has to wait for `on_connected`.

    Args:
        on_connected: called with the socket's id and its namespace.
    """

    def __init__(self, on_connected: Callable[[str, str], None]) -> None:
        super().__init__()
        self._on_connected = on_connected
        # None, the namespace itself, is one of them; a tuple, since there are one or two more.
        self._rooms_of: dict[tuple[str, str], tuple[str | None, ...]] = {}

    def connect(self, sid: str, namespace: str) -> str:
        """Register the socket; python-socketio calls this after its acknowledgement."""
        connected: str = super().connect(sid, namespace)
        self._on_connected(connected, namespace)
        return connected

    def basic_enter_room(
        self, sid: str, namespace: str, room: str | None, eio_sid: str | None = None
    ) -> None:
        """Enter, and remember."""
        rooms = self._rooms_of.get((namespace, sid), ())
        if room == sid or (room in rooms):
            return
        super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)
        self._rooms_of[namespace, sid] = (*rooms, room)

    def basic_leave_room(self, sid: str, namespace: str, room: str | None) -> None:
        """Leave, and forget."""
        if room == sid:
            return
        super().basic_leave_room(sid, namespace, room)
        rooms = tuple(each for each in self._rooms_of.pop((namespace, sid), ()) if each != room)
        if rooms:
            self._rooms_of[namespace, sid] = rooms

    def basic_disconnect(self, sid: str, namespace: str, **_unused: Any) -> None:
        """Leave every room, and drop what the base class keeps of a socket besides."""
        for room in self._rooms_of.get((namespace, sid), ()):
            self.basic_leave_room(sid, namespace, room)
        self.callbacks.pop(sid, None)
        for pending in (self.pending_connect, self.pending_disconnect):
            if sid in pending.get(namespace, ()):
                pending[namespace].remove(sid)
                if not pending[namespace]:
                    del pending[namespace]

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """Who is in a room, each with its connection; a socket's own id is a room as well."""
        if isinstance(room, str) and (namespace, room) in self._rooms_of:
            return iter([(room, self.eio_sid_from_sid(room, namespace))])
        participants: Iterator[tuple[str, str]] = super().get_participants(namespace, room)
        return participants

    def get_rooms(self, sid: str, namespace: str) -> list[str]:
        """The rooms of a socket, its own among them."""
        rooms = self._rooms_of.get((namespace, sid), ())
        return [sid, *(room for room in rooms if room is not None)] if rooms else []

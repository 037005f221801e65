"""The rooms of checkout pages, and what each room was told."""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

from flask_socketio import SocketIO

from mpesa.domain.snapshot import Snapshot
from mpesa.ids import is_id
from mpesa.ledger import Change
from mpesa.outbox import Announced
from mpesa.web.http import sentences, snapshot_reads

# How many empty rooms are remembered before all empty ones are forgotten.
_MOST_EMPTY = 1000

# Announcements that wait to be stored while the database is gone: a minute of a busy worker, a few
# MB. The oldest are dropped first.
_MOST_UNWRITTEN = 20_000


class Rooms:
    """The rooms of checkout pages, and what each room was told.

    Each transaction has a room for each language, and only the server puts sockets there. A room is
    never told an older snapshot after a newer one, nor the same one twice.

    Args:
        now: returns the time, aware UTC.

    Attributes:
        announced: the changes that rooms were told, oldest first, until they are stored.
    """

    def __init__(self, socketio: SocketIO, now: Callable[[], datetime]) -> None:
        self._socketio = socketio
        self._now = now
        self.announced: deque[Announced] = deque(maxlen=_MOST_UNWRITTEN)
        self._told: dict[str, int] = {}
        # A mark for each transaction whose room a socket is about to enter. Each announcement makes
        # a new mark, and no mark is used twice.
        self._expected: dict[str, int] = {}
        self._marks = count(1)

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell the rooms of transactions how these stand now, each in its own language."""
        for change in changes:
            self.look_at(change)

    def look_at(self, change: Change) -> bool:
        """Tell a room how its transaction stands now, unless it was told or is empty.

        A hint of another worker has no snapshot, and may be wrong: then the database is read, and
        only what it says is told and remembered.

        Returns:
            False if the database was read and has no such change; else True.
        """
        transaction_id, told = change.transaction_id, self._told.get(change.transaction_id, 0)
        if transaction_id in self._expected:
            self._expected[transaction_id] = next(self._marks)
        if not self._langs(transaction_id):
            self._told.pop(transaction_id, None)
            return True
        if change.seq <= told:
            return True
        snapshot = change.snapshot
        if snapshot is None:
            snapshot = snapshot_reads.snapshot(transaction_id, self._now())
        if snapshot is None:
            return False
        if self._tell_newer(snapshot):
            self._keep_announced(snapshot)
        return snapshot["seq"] >= change.seq

    def tell_again(self, transaction_ids: Sequence[str]) -> None:
        """Tell rooms how their transactions stand after a change that time alone brought.

        Their `seq` stays as it was, so that other workers and webhooks are not told.
        """
        for transaction_id in transaction_ids:
            if not self._langs(transaction_id):
                continue
            snapshot = snapshot_reads.snapshot(transaction_id, self._now())
            if snapshot is not None and snapshot["seq"] >= self._told.get(transaction_id, 0):
                self._emit(snapshot)

    def expect(self, transaction_id: Any) -> tuple[Snapshot | None, int]:
        """Read what a socket will be shown once it is in its room; `enter` takes the answer.

        Args:
            transaction_id: what the client sent, of any type.

        Returns:
            The snapshot, or None if there is no such transaction; and a mark that the next
            announcement makes old.

        Raises:
            SQLAlchemyError: the database failed.
        """
        if not is_id(transaction_id):
            return None, 0
        mark = self._expected.setdefault(transaction_id, next(self._marks))
        snapshot = None
        try:
            snapshot = snapshot_reads.snapshot(transaction_id, self._now())
        finally:
            if snapshot is None:  # or the database failed: no `enter` will follow
                self.expect_no_longer(transaction_id)
        return snapshot, mark

    def expect_no_longer(self, transaction_id: str) -> None:
        """Forget the mark; a socket that enters after that reads the database again."""
        self._expected.pop(transaction_id, None)

    def enter(self, sid: str, snapshot: Snapshot, mark: int, lang: str) -> None:
        """Put a socket into its room, and show it what was read or what was announced since."""
        transaction_id = snapshot["transaction_id"]
        self._socketio.server.enter_room(sid, room_of(transaction_id, lang), namespace="/")
        behind = snapshot["seq"] < self._told.get(transaction_id, 0)
        if behind or self._expected.get(transaction_id) != mark:
            newest = snapshot_reads.snapshot(transaction_id, self._now())
            while newest is not None and newest["seq"] < self._told.get(transaction_id, 0):
                newest = snapshot_reads.snapshot(transaction_id, self._now())
            snapshot = newest or snapshot
        if not self._tell_newer(snapshot):
            self._socketio.emit("status", sentences.with_message(snapshot, lang), to=sid)

    def _tell_newer(self, snapshot: Snapshot) -> bool:
        """Emit to the whole room unless it was told as much before; returns whether it emitted."""
        transaction_id, seq = snapshot["transaction_id"], snapshot["seq"]
        if seq <= self._told.get(transaction_id, 0):
            return False
        # Forget empty rooms now and then, so that their numbers do not pile up.
        if len(self._told) > _MOST_EMPTY + len(self._rooms()):
            self._told = {each: seq for each, seq in self._told.items() if self._langs(each)}
        self._emit(snapshot)
        return True

    def _emit(self, snapshot: Snapshot) -> None:
        # No other greenlet runs between this line and the emits, so they are in the order of `seq`.
        transaction_id = snapshot["transaction_id"]
        self._told[transaction_id] = snapshot["seq"]
        for lang in self._langs(transaction_id):
            message = sentences.with_message(snapshot, lang)
            self._socketio.emit("status", message, to=room_of(transaction_id, lang))

    def _keep_announced(self, snapshot: Snapshot) -> None:
        """Note a change that rooms were told, with how many pages; later pages do not count."""
        transaction_id = snapshot["transaction_id"]
        rooms = [room_of(transaction_id, lang) for lang in self._langs(transaction_id)]
        self.announced.append(
            Announced(
                transaction_id=transaction_id,
                seq=snapshot["seq"],
                status=snapshot["status"],
                reason=snapshot["reason"],
                order_status=snapshot["order_status"],
                pages=sum(len(self._rooms()[room]) for room in rooms),
                announced_at=self._now(),
            )
        )

    def _langs(self, transaction_id: str) -> list[str]:
        """The languages in which pages of this worker listen to a transaction."""
        rooms = self._rooms()
        return [lang for lang in sentences.LANGUAGES if room_of(transaction_id, lang) in rooms]

    def _rooms(self) -> dict[str, Any]:
        """Every room of the checkout pages, with its sockets."""
        rooms: dict[str, Any] = self._socketio.server.manager.rooms.get("/", {})
        return rooms


def room_of(transaction_id: str, lang: str) -> str:
    """The name of the room of a transaction in a language."""
    return f"{transaction_id}:{lang}"

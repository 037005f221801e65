"""Who is in which room, and what each room has heard."""

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

# Rooms that may stand empty before they are forgotten.
_MOST_EMPTY = 1000

# What was announced and not written down yet, while the database is gone: a minute of a busy
# worker, a few MB. The oldest go first.
_MOST_UNWRITTEN = 20_000


class Rooms:
    """Who is in which room, and what each room has heard.

    One transaction and one language is a room; the server alone puts sockets there. Nothing older
    is ever sent after something newer, and nothing twice.

    Args:
        now: the time, aware UTC.

    Attributes:
        announced: what changed and went out to rooms, oldest first, until it is written down.
    """

    def __init__(self, socketio: SocketIO, now: Callable[[], datetime]) -> None:
        self._socketio = socketio
        self._now = now
        self.announced: deque[Announced] = deque(maxlen=_MOST_UNWRITTEN)
        self._told: dict[str, int] = {}
        # A mark for each transaction for whose room somebody set out; each announcement makes a new
        # one, and none is used twice.
        self._expected: dict[str, int] = {}
        self._marks = count(1)

    def announce(self, changes: Sequence[Change]) -> None:
        """Tell the rooms of transactions what these are now, each in its own language."""
        for change in changes:
            self.look_at(change)

    def look_at(self, change: Change) -> bool:
        """Tell a room what its transaction is now, unless it has heard that, or nobody is there.

        Only what the database says is told or remembered, whatever `change` claims.

        Returns:
            Whether it may be so; False where the database was read, and knows of no such change.
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
        if self._tell(snapshot):
            self._keep(snapshot)
        return snapshot["seq"] >= change.seq

    def tell_again(self, transaction_ids: Sequence[str]) -> None:
        """Tell rooms what their transactions are by now: time has changed what is said of them.

        Their `seq` is what it was, so that nothing is announced to anybody else.
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
            transaction_id: whatever a client sent for one.

        Returns:
            The snapshot, None where there is no such transaction, and a mark that the next
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
            if snapshot is None:  # or the database failed: nobody would take it away
                self.expect_no_longer(transaction_id)
        return snapshot, mark

    def expect_no_longer(self, transaction_id: str) -> None:
        """Forget the mark; a socket that still comes reads once more."""
        self._expected.pop(transaction_id, None)

    def enter(self, sid: str, snapshot: Snapshot, mark: int, lang: str) -> None:
        """Put a socket into its room, and show it what was read, or what was announced since."""
        transaction_id = snapshot["transaction_id"]
        self._socketio.server.enter_room(sid, room_of(transaction_id, lang), namespace="/")
        behind = snapshot["seq"] < self._told.get(transaction_id, 0)
        if behind or self._expected.get(transaction_id) != mark:
            snapshot = self._newest(transaction_id) or snapshot
        if not self._tell(snapshot):
            self._socketio.emit("status", sentences.with_message(snapshot, lang), to=sid)

    def _tell(self, snapshot: Snapshot) -> bool:
        """Emit to the whole room, unless it heard as much before; returns whether it was told."""
        transaction_id, seq = snapshot["transaction_id"], snapshot["seq"]
        if seq <= self._told.get(transaction_id, 0):
            return False
        self._forget_empty_rooms()
        self._emit(snapshot)
        return True

    def _emit(self, snapshot: Snapshot) -> None:
        # No greenlet is switched between this line and the emits: their order is that of `seq`.
        transaction_id = snapshot["transaction_id"]
        self._told[transaction_id] = snapshot["seq"]
        for lang in self._langs(transaction_id):
            told = sentences.with_message(snapshot, lang)
            self._socketio.emit("status", told, to=room_of(transaction_id, lang))

    def _keep(self, snapshot: Snapshot) -> None:
        """Remember a change that was told; who opens a page asks for itself, and is not counted."""
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

    def _newest(self, transaction_id: str) -> Snapshot | None:
        """The snapshot, read once more where a newer one was announced meanwhile."""
        snapshot = snapshot_reads.snapshot(transaction_id, self._now())
        while snapshot is not None and snapshot["seq"] < self._told.get(transaction_id, 0):
            snapshot = snapshot_reads.snapshot(transaction_id, self._now())
        return snapshot

    def _forget_empty_rooms(self) -> None:
        """Now and then, so that what shoppers left behind does not pile up."""
        if len(self._told) > _MOST_EMPTY + len(self._rooms()):
            self._told = {each: seq for each, seq in self._told.items() if self._langs(each)}

    def _langs(self, transaction_id: str) -> list[str]:
        """The languages in which somebody here listens to a transaction."""
        rooms = self._rooms()
        return [lang for lang in sentences.LANGUAGES if room_of(transaction_id, lang) in rooms]

    def _rooms(self) -> dict[str, Any]:
        """Every room of the checkout pages, with who is in it."""
        rooms: dict[str, Any] = self._socketio.server.manager.rooms.get("/", {})
        return rooms


def room_of(transaction_id: str, lang: str) -> str:
    """The name of a room."""
    return f"{transaction_id}:{lang}"

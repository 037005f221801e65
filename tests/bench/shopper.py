"""A shopper who waits: one WebSocket in the room of one transaction."""

import asyncio
import time

from tests.bench import frames
from tests.bench.subjects import Waiting


class Shopper(asyncio.Protocol):
    """Connects, joins its room, answers pings, and keeps the moment at which the result came.

    Attributes:
        joined: done once the connection is acknowledged and the first snapshot is there.
        settled: the moment (`time.monotonic()`) at which a snapshot told of success.
    """

    def __init__(self, waiting: Waiting, host: str, *, browser: bool) -> None:
        loop = asyncio.get_running_loop()
        self.waiting = waiting
        self.joined: asyncio.Future[None] = loop.create_future()
        self.settled: asyncio.Future[float] = loop.create_future()
        self._upgrade = frames.upgrade(host, browser=browser)
        self._incoming = frames.Incoming()
        self._answer: bytes | None = b""  # None once it was taken
        self._acknowledged = self._shown = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._upgrade)

    def data_received(self, data: bytes) -> None:
        """First the HTTP answer, then frames."""
        if self._answer is not None:
            self._answer += data
            if b"\r\n\r\n" not in self._answer:
                return
            head, data = self._answer.split(b"\r\n\r\n", 1)
            self._answer = None
            if b" 101 " not in head[:16]:
                self._fail(head[:80].decode())
        for message in self._incoming.feed(data):
            self._take(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever still waits for something hears that it will not come."""
        self._fail(f"the connection was lost ({exc})")

    def leave(self) -> None:
        """Close the page."""
        self.settled.cancel()
        self._transport.write(frames.close_frame())
        self._transport.close()

    def _take(self, message: str) -> None:
        if message.startswith(frames.EVENT):
            self._shown = True
            if '"status":"SUCCESS"' in message and not self.settled.done():
                self.settled.set_result(time.monotonic())
        elif message.startswith(frames.PING):
            self._transport.write(frames.text_frame(frames.PONG))
        elif message.startswith(frames.OPEN):
            self._transport.write(frames.connect(self.waiting.transaction_id))
        elif message.startswith(frames.CONNECTED):
            self._acknowledged = True
        elif message.startswith(frames.REFUSED):
            self._fail(message)
        if self._acknowledged and self._shown and not self.joined.done():
            self.joined.set_result(None)

    def _fail(self, why: str) -> None:
        for future in (self.joined, self.settled):
            if not future.done():
                future.set_exception(ConnectionError(why))
                future.exception()  # nobody has to look at it

"""Settle payments of a crowd: with some in flight at any time, or at an even rate.

One settled payment is, for every server alike: the callback and its 200, the snapshot on the
shopper's socket, and that socket's end. Where the crowd is kept as large as it is, the join of the
next shopper's, and one poll, follow.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.bench import http_line
from tests.bench.crowd import Crowd
from tests.bench.http_line import Line
from tests.bench.subjects import Waiting

PATIENCE = 30.0


@dataclass
class Settled:
    """Seconds from a callback's sending, one of each a payment.

    Attributes:
        answered: until its 200.
        pushed: until the snapshot was on the socket.
        failed: payments without a 200, a push, or the next shopper's join; an overloaded server.
        seconds: from the first callback's sending to the end of the last payment.
    """

    answered: list[float] = field(default_factory=list)
    pushed: list[float] = field(default_factory=list)
    failed: int = 0
    seconds: float = 0.0


class Settling:
    """Settles those who waited longest.

    Args:
        ports: of the workers; callbacks go to them in turn.
        next_row: commits one more waiting transaction; None: the crowd shrinks, nobody polls.
    """

    def __init__(
        self, crowd: Crowd, ports: Sequence[int], next_row: Callable[[], Waiting] | None = None
    ) -> None:
        self._crowd, self._ports, self._next_row = crowd, ports, next_row

    async def in_flight(self, payments: int, at_once: int) -> Settled:
        """Settle so many, each followed by the next at once; none may fail."""
        settled, begin = Settled(), time.monotonic()
        await http_line.in_flight(self._ports, range(payments), self._into(settled), at_once)
        assert not settled.failed, f"{settled.failed} payments failed"
        settled.seconds = time.monotonic() - begin
        return settled

    async def at_rate(self, payments: int, per_second: float) -> Settled:
        """Settle so many, each at its own time, whatever became of the one before."""
        settled, begin = Settled(), time.monotonic()
        await http_line.at_rate(self._ports, range(payments), self._into(settled), per_second)
        settled.seconds = time.monotonic() - begin
        return settled

    def _into(self, settled: Settled) -> http_line.Work[int, None]:
        return lambda line, _number, begin: self.one(line, settled, begin)

    async def one(self, line: Line, settled: Settled, begin: float) -> None:
        """Settle the one who waited longest; what became of it is added to `settled`."""
        try:
            await self._pay(line, settled, begin)
        except OSError:  # time-outs and lost connections too
            settled.failed += 1

    async def _pay(self, line: Line, settled: Settled, begin: float) -> None:
        shopper = await self._crowd.longest_waiting()
        told = shopper.waiting
        answer = await line.post(told.callback_path, told.callback)
        settled.answered.append(time.monotonic() - begin)
        if answer.status != 200:
            raise ConnectionError(answer.status)
        settled.pushed.append(await asyncio.wait_for(shopper.settled, PATIENCE) - begin)
        shopper.leave()
        if self._next_row is None:
            return
        # As late as a push would commit it: young rows may cost more than old ones.
        await self._crowd.join(await asyncio.to_thread(self._next_row))
        poll = await line.get(f"/check-status?tx_id={told.transaction_id}")
        assert b"SUCCESS" in poll.body, poll.body

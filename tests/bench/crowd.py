"""Many shoppers who wait, on one server or on several."""

import asyncio
import gc
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.bench.shopper import Shopper
from tests.bench.subjects import Subject, Waiting

# Each address of this machine has 28,000 ports of its own, and one that was closed rests a minute.
_SOURCES = [f"127.0.0.{last}" for last in range(2, 34)]
# Fewer than stock eventlet's backlog of 50 connections that nobody took yet.
_JOINING_AT_ONCE = 16
_PATIENCE = 60.0
# A shopper has waited this long (seconds); no row is so young that somebody would look at it again.
WAITED = 12.0
_SEEDED_AT_ONCE = 1000
# Seconds; well before a prompt ends.
_STAY_YOUNG = 60.0


class Crowd:
    """Open sockets, in the order in which they joined.

    Args:
        ports: of the workers; shoppers go to them in turn.
        browser: offer compression, as browsers do.
    """

    def __init__(self, ports: Sequence[int], *, browser: bool = False) -> None:
        self._ports = itertools.cycle(ports)
        self._sources = itertools.cycle(_SOURCES)
        self._browser = browser
        self.waiting: deque[Shopper] = deque()

    async def join(self, waiting: Waiting) -> None:
        """Open one more, and wait for its snapshot."""
        port = next(self._ports)
        _, shopper = await asyncio.get_running_loop().create_connection(
            lambda: Shopper(waiting, f"127.0.0.1:{port}", browser=self._browser),
            "127.0.0.1",
            port,
            local_addr=(next(self._sources), 0),
        )
        await asyncio.wait_for(shopper.joined, _PATIENCE)
        self.waiting.append(shopper)

    async def join_all(
        self, rows: Sequence[Waiting], at_every: int = 0, note: Callable[[int], None] | None = None
    ) -> None:
        """Open one for each row, a few at a time; `note` hears of every `at_every`th."""
        left = iter(rows)
        await asyncio.gather(*(self._joiner(left, at_every, note) for _ in range(_JOINING_AT_ONCE)))

    async def _joiner(
        self, left: Iterator[Waiting], at_every: int, note: Callable[[int], None] | None
    ) -> None:
        for row in left:
            await self.join(row)
            if note is not None and at_every and len(self.waiting) % at_every == 0:
                note(len(self.waiting))

    async def longest_waiting(self) -> Shopper:
        """Take the next one out, once there is one: a server that falls behind leaves none."""
        while not self.waiting:
            await asyncio.sleep(0.01)
        return self.waiting.popleft()

    def shuffle(self) -> None:
        """Settle them in another order than that in which the workers took them."""
        random.shuffle(self.waiting)

    def leave(self) -> None:
        """All close their pages at once."""
        while self.waiting:
            self.waiting.pop().leave()


async def fill(
    crowd: Crowd, subject: Subject, waiting: int, note: Callable[[int], None] | None = None
) -> None:
    """Let so many join whose push was a while ago, however long that takes."""
    made_young = time.monotonic()
    for first in range(0, waiting, _SEEDED_AT_ONCE):
        count = min(_SEEDED_AT_ONCE, waiting - first)
        rows = await asyncio.to_thread(subject.seed, count, WAITED)
        await crowd.join_all(rows, max(1, waiting // 10), note)
        if time.monotonic() - made_young > _STAY_YOUNG:
            await asyncio.to_thread(subject.make_young, WAITED)
            made_young = time.monotonic()


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep the collector of this process out of what it measures."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()

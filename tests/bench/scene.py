"""One server with so many who wait: what whole payments cost beside them, part by part."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from tests.bench.buying import Buying
from tests.bench.crowd import WAITED, Crowd, fill, undisturbed
from tests.bench.daraja import Daraja
from tests.bench.figures import percentile
from tests.bench.http_line import Line
from tests.bench.process import cpu_of, memory_of, open_files, pid_of, wait_until_quiet
from tests.bench.scale import Scale
from tests.bench.settling import Settled, Settling
from tests.bench.subjects import Subject
from tests.servers import Server

# Connections, compiled statements and caches are there after so many.
WARM_UP = 50
IN_FLIGHT = 8
# Payments that are under way on top of those who wait. Where 20,000 files may be open, ours takes
# 19,744 connections, and 19,500 of them wait.
_TOGETHER = 200
# Daraja usually answers a push in about so many seconds.
DARAJA_TAKES = 0.3


@dataclass
class Figures:
    """CPU in seconds of the server's process, memory in bytes; what was not measured is 0.

    Attributes:
        order, push, join, settle: one payment's, from `POST /api/orders` on; `settle` is its
            callback, the push to its page, and that page's end.
        seconds: that a whole payment took, so that what waiting costs meanwhile can be taken off.
        leave: of all who wait, at once.
        memory: a waiting shopper's; `memory_browsers` where they offer compression, as all do.
        settled_a_second: with 8 in flight; `pushed_p50` and `pushed_p99` are from the callback's
            sending to the page meanwhile, in seconds.
        paged_p50, paged_p99: the same at an even rate, which leaves the server idle in between.
        push_over: p99 of a push at an even rate, without Daraja's own time; seconds.
        idle: a second of only waiting: pings, and the loops beside the requests.
        sockets: memory at so many waiting, as it grew.
    """

    waiting: int
    order: float = 0.0
    push: float = 0.0
    join: float = 0.0
    settle: float = 0.0
    seconds: float = 0.0
    poll: float = 0.0
    unchanged: float = 0.0
    leave: float = 0.0
    memory: float = 0.0
    memory_browsers: float = 0.0
    settled_a_second: float = 0.0
    pushed_p50: float = 0.0
    pushed_p99: float = 0.0
    paged_p50: float = 0.0
    paged_p99: float = 0.0
    push_over: float = 0.0
    idle: float = 0.0
    sockets: list[tuple[int, int]] = field(default_factory=list)

    @property
    def whole(self) -> float:
        """CPU of a payment from its order to its result on the page."""
        return self.order + self.push + self.join + self.settle

    @property
    def alone(self) -> float:
        """The same without what waiting costs meanwhile, where that was measured."""
        return self.whole - self.idle * self.seconds


def best(first: Figures, second: Figures) -> Figures:
    """The better one of each figure: a neighbour on the machine only ever makes them worse."""
    better = {
        each.name: (max if each.name == "settled_a_second" else min)(
            getattr(first, each.name), getattr(second, each.name)
        )
        for each in fields(Figures)
    }
    return Figures(**better)


class Scene:
    """A server, its Daraja, and those who wait."""

    def __init__(
        self, subject: Subject, server: Server, daraja: Daraja, scale: Scale, waiting: int
    ) -> None:
        self._subject, self._daraja, self._scale = subject, daraja, scale
        self._port, self._pid = server.port, pid_of(server)
        self._buying = Buying(server.port, daraja)
        self._crowd = Crowd([server.port])
        self.figures = Figures(waiting)

    async def play(self, stages: Sequence["Stage"]) -> Figures:
        """Measure payments, polls and leaves, and `stages` besides."""
        await self._pay(WARM_UP, Counter())
        files = open_files(self._pid)
        with undisturbed():
            await self._fill()
            for stage in (Scene.payments, Scene.polls, *stages):
                await asyncio.to_thread(self._subject.make_young, WAITED)
                await stage(self)
            await self._leave(files)
        return self.figures

    async def payments(self) -> None:
        """What whole payments cost, and how many callbacks it settles a second."""
        figures, count, spent = self.figures, self._scale.payments, Counter[str]()
        settled, begin = Settled(), time.monotonic()
        for begun in range(0, count, _TOGETHER):
            some = await self._pay(min(_TOGETHER, count - begun), spent)
            settled.pushed += some.pushed
            settled.seconds += some.seconds
        figures.seconds = (time.monotonic() - begin) / count
        for part, seconds in spent.items():
            setattr(figures, part, seconds / count)
        figures.settled_a_second = count / settled.seconds
        figures.pushed_p50 = percentile(settled.pushed, 0.5)
        figures.pushed_p99 = percentile(settled.pushed, 0.99)

    async def polls(self) -> None:
        """What a poll costs, and one that learns that nothing changed."""
        figures, line, polls = self.figures, Line(self._port), self._scale.payments
        ids = [each.waiting.transaction_id for each in self._crowd.waiting]
        paths = [f"/check-status?tx_id={ids[each % len(ids)]}" for each in range(polls)]
        before = cpu_of(self._pid)
        for path in paths:
            answer = await line.get(path)
            assert answer.status == 200, answer
        figures.poll = (cpu_of(self._pid) - before) / polls
        if etag := answer.headers.get("etag"):
            before = cpu_of(self._pid)
            for _ in paths:
                assert (await line.get(path, **{"If-None-Match": etag})).status == 304
            figures.unchanged = (cpu_of(self._pid) - before) / polls
        line.close()

    async def results(self) -> None:
        """How long a page waits for its result where payments end at an even rate."""
        count, crowd = self._scale.results, Crowd([self._port])
        await self._buying.push(await self._buying.order(count, IN_FLIGHT), IN_FLIGHT)
        await crowd.join_all(await self._buying.waiting())
        settling = Settling(crowd, [self._port])
        settled = await settling.at_rate(count, self._scale.results_a_second)
        assert not settled.failed, f"{settled.failed} payments failed"
        self.figures.paged_p50 = percentile(settled.pushed, 0.5)
        self.figures.paged_p99 = percentile(settled.pushed, 0.99)

    async def pushes(self) -> None:
        """How long a shopper waits for the answer to a push, where Daraja takes its time."""
        orders = await self._buying.order(self._scale.pushes, IN_FLIGHT)
        await asyncio.to_thread(self._daraja.answer_after, DARAJA_TAKES)
        answered = await self._buying.push_at_rate(orders, self._scale.pushes_a_second)
        await asyncio.to_thread(self._daraja.answer_after, 0.0)
        self.figures.push_over = percentile(answered, 0.99) - DARAJA_TAKES

    async def idle(self) -> None:
        """What waiting alone costs."""
        before, begin = cpu_of(self._pid), time.monotonic()
        await asyncio.sleep(self._scale.idle)
        self.figures.idle = (cpu_of(self._pid) - before) / (time.monotonic() - begin)

    async def _fill(self) -> None:
        figures, grown = self.figures, self.figures.sockets

        def note(waiting: int) -> None:
            grown.append((waiting, memory_of(self._pid)))

        note(0)
        await fill(self._crowd, self._subject, figures.waiting, note)
        figures.memory = (memory_of(self._pid) - grown[0][1]) / figures.waiting

    async def _pay(self, count: int, spent: Counter[str]) -> Settled:
        """All orders, then all pushes, and so on; adds to the CPU seconds of each part."""
        crowd, mark = Crowd([self._port]), cpu_of(self._pid)

        def note(part: str) -> None:
            nonlocal mark
            before, mark = mark, cpu_of(self._pid)
            spent[part] += mark - before  # type: ignore[assignment]

        orders = await self._buying.order(count, IN_FLIGHT)
        note("order")
        await self._buying.push(orders, IN_FLIGHT)
        note("push")
        await crowd.join_all(await self._buying.waiting())
        note("join")
        settled = await Settling(crowd, [self._port]).in_flight(count, IN_FLIGHT)
        note("settle")
        return settled

    async def _leave(self, files: int) -> None:
        before = cpu_of(self._pid)
        self._crowd.leave()
        quiet = await asyncio.to_thread(wait_until_quiet, self._pid, files + 20)
        self.figures.leave = (quiet - before) / self.figures.waiting


Stage = Callable[[Scene], Awaitable[None]]


def play(
    subject: Subject,
    daraja: Daraja,
    folder: Path,
    scale: Scale,
    waiting: int,
    stages: Sequence[Stage] = (),
) -> Figures:
    """Measure everything on a server of its own."""
    with subject.served(folder, daraja) as server:
        return asyncio.run(Scene(subject, server, daraja, scale, waiting).play(stages))


def memory_as_browsers(subject: Subject, daraja: Daraja, folder: Path, waiting: int) -> float:
    """Bytes a shopper whose browser offers compression, as they all do."""
    with subject.served(folder, daraja) as server:
        return asyncio.run(_memory_as_browsers(subject, server, waiting))


async def _memory_as_browsers(subject: Subject, server: Server, waiting: int) -> float:
    warm, crowd = Crowd([server.port]), Crowd([server.port], browser=True)
    await fill(warm, subject, WARM_UP)
    await Settling(warm, [server.port]).in_flight(WARM_UP, IN_FLIGHT)
    pid = pid_of(server)
    before = memory_of(pid)
    await fill(crowd, subject, waiting)
    bytes_each = (memory_of(pid) - before) / waiting
    crowd.leave()
    return bytes_each

"""One server with so many who wait: what it costs to join, wait, settle, poll and leave."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

from mpesa.domain.attempt import OPEN_FOR
from tests.bench.crowd import WAITED, Crowd, fill, undisturbed
from tests.bench.figures import percentile
from tests.bench.http_line import Line
from tests.bench.process import cpu_of, memory_of, open_files, wait_until_quiet
from tests.bench.settling import Settling
from tests.bench.subjects import Subject
from tests.servers import Server

# Connections, compiled statements and caches are there after so many.
WARM_UP = 50
IN_FLIGHT = 8
# Engine.IO pings each socket every 25 s; joins were spread over a time like that.
_IDLE = 12.0


@dataclass
class Figures:
    """CPU in seconds of the server's process, memory in bytes; each a shopper, payment or poll.

    Attributes:
        idle: a second of only waiting: pings, and the loops beside the requests.
        settle: a payment, what waiting costs meanwhile included; `settle_net` is without it.
        memory_browsers: the same where their browsers offer compression, as all do.
        sockets: memory at so many waiting, as it grew.
        late: it took so long that prompts ended meanwhile, which costs our server something.
    """

    waiting: int
    join: float = 0.0
    memory: float = 0.0
    memory_browsers: float = 0.0
    idle: float = 0.0
    settle: float = 0.0
    settle_net: float = 0.0
    pushed_p50: float = 0.0
    pushed_p99: float = 0.0
    per_second: float = 0.0
    poll: float = 0.0
    unchanged: float = 0.0
    leave: float = 0.0
    late: bool = False
    sockets: list[tuple[int, int]] = field(default_factory=list)


def play(subject: Subject, folder: Path, waiting: int, payments: int) -> Figures:
    """Measure everything on a server of its own."""
    with subject.served(folder) as server:
        return asyncio.run(_play(subject, server, Figures(waiting), payments))


def memory_as_browsers(subject: Subject, folder: Path, waiting: int) -> float:
    """Bytes a shopper whose browser offers compression, as they all do."""
    with subject.served(folder) as server:
        return asyncio.run(_memory_as_browsers(subject, server, waiting))


async def _memory_as_browsers(subject: Subject, server: Server, waiting: int) -> float:
    crowd = Crowd([server.port], browser=True)
    await _warm_up(subject, server)
    before = memory_of(pid_of(server))
    await fill(crowd, subject, waiting)
    bytes_each = (memory_of(pid_of(server)) - before) / waiting
    crowd.leave()
    return bytes_each


async def _play(subject: Subject, server: Server, figures: Figures, payments: int) -> Figures:
    crowd, pid = Crowd([server.port]), pid_of(server)
    await _warm_up(subject, server)
    files = open_files(pid)
    with undisturbed():
        await _join(figures, crowd, subject, pid)
        await asyncio.to_thread(subject.make_young, WAITED)
        ends = time.monotonic() + OPEN_FOR.total_seconds() - WAITED
        await _idle(figures, pid)
        await _settle(
            figures, Settling(crowd, [server.port], lambda: subject.seed(1)[0]), pid, payments
        )
        await _poll(figures, crowd, server, payments)
        before = cpu_of(pid)
        crowd.leave()
        quiet = await asyncio.to_thread(wait_until_quiet, pid, files + 20)
        figures.leave = (quiet - before) / figures.waiting
    figures.late = time.monotonic() > ends
    return figures


async def _warm_up(subject: Subject, server: Server) -> None:
    crowd = Crowd([server.port])
    await fill(crowd, subject, WARM_UP)
    await Settling(crowd, [server.port], None).in_flight(WARM_UP, IN_FLIGHT)


async def _join(figures: Figures, crowd: Crowd, subject: Subject, pid: int) -> None:
    figures.sockets.append((0, memory_of(pid)))
    before = cpu_of(pid)
    await fill(
        crowd, subject, figures.waiting, lambda n: figures.sockets.append((n, memory_of(pid)))
    )
    figures.join = (cpu_of(pid) - before) / figures.waiting
    figures.memory = (memory_of(pid) - figures.sockets[0][1]) / figures.waiting


async def _idle(figures: Figures, pid: int) -> None:
    before, begin = cpu_of(pid), time.monotonic()
    await asyncio.sleep(min(_IDLE, figures.waiting / 50))
    figures.idle = (cpu_of(pid) - before) / (time.monotonic() - begin)


async def _settle(figures: Figures, settling: Settling, pid: int, payments: int) -> None:
    await settling.in_flight(min(WARM_UP, figures.waiting), IN_FLIGHT)
    before = cpu_of(pid)
    settled = await settling.in_flight(payments, IN_FLIGHT)
    used = cpu_of(pid) - before
    figures.settle = used / payments
    figures.settle_net = (used - figures.idle * settled.seconds) / payments
    figures.pushed_p50 = percentile(settled.pushed, 0.5)
    figures.pushed_p99 = percentile(settled.pushed, 0.99)
    figures.per_second = payments / settled.seconds


async def _poll(figures: Figures, crowd: Crowd, server: Server, polls: int) -> None:
    line, pid = Line(server.port), pid_of(server)
    paths = [f"/check-status?tx_id={each.waiting.transaction_id}" for each in crowd.waiting]
    before = cpu_of(pid)
    for number in range(polls):
        answer = await line.get(paths[number % len(paths)])
        assert answer.status == 200
    figures.poll = (cpu_of(pid) - before) / polls
    if etag := answer.headers.get("etag"):
        path = paths[(polls - 1) % len(paths)]
        before = cpu_of(pid)
        for _ in range(polls):
            assert (await line.get(path, **{"If-None-Match": etag})).status == 304
        figures.unchanged = (cpu_of(pid) - before) / polls
    line.close()


def pid_of(server: Server) -> int:
    """The server's process."""
    assert server.process is not None
    return server.process.pid

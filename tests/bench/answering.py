"""How fast Safaricom has its 200, alone and at a steady rate, and what a settled payment costs."""

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

from tests.bench import http_line
from tests.bench.buying import Buying
from tests.bench.daraja import Daraja, stand_in
from tests.bench.http_line import Line
from tests.bench.process import cpu_of, pid_of
from tests.bench.subjects import Waiting
from tests.servers import LIMITED, Server, running

_PUSHES_AT_ONCE = 4


@dataclass(frozen=True)
class Answered:
    """Seconds from a callback's first byte to its 200, and the server's CPU seconds a callback.

    A callback that was answered has settled its payment: it is judged before the answer.
    """

    answers: list[float]
    cpu: float


def measure(
    folder: Path, url: str, callbacks: int, per_second: float, **settings: str
) -> dict[str, Answered]:
    """Answer callbacks one after another, then as many again at a rate."""
    with stand_in(folder) as daraja:
        given = {"DATABASE_URL": url, "DARAJA_BASE_URL": daraja.address, **LIMITED, **settings}
        with running(folder, **given) as server:
            return asyncio.run(_measure(server, daraja, callbacks, per_second))


async def _measure(
    server: Server, daraja: Daraja, callbacks: int, per_second: float
) -> dict[str, Answered]:
    buying, ports = Buying(server.port, daraja), [server.port]
    await buying.push(await buying.order(2 * callbacks, _PUSHES_AT_ONCE), _PUSHES_AT_ONCE)
    waiting = await buying.waiting()
    alone, at_rate = waiting[:callbacks], waiting[callbacks:]
    return {
        "one after another": await _cost(server, http_line.in_flight(ports, alone, _deliver, 1)),
        f"{per_second:g} a second": await _cost(
            server, http_line.at_rate(ports, at_rate, _deliver, per_second)
        ),
    }


async def _cost(server: Server, delivered: Awaitable[list[float]]) -> Answered:
    before = cpu_of(pid_of(server))
    answers = await delivered
    return Answered(answers, (cpu_of(pid_of(server)) - before) / len(answers))


async def _deliver(line: Line, told: Waiting, begin: float) -> float:
    answer = await line.post(told.callback_path, told.callback)
    assert answer.status == 200, answer
    return time.monotonic() - begin

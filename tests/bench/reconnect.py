"""Shoppers who all come back to a worker that was started anew, while callbacks come in."""

import asyncio
import random
from typing import Any

from tests.bench import figures, places, scene
from tests.bench.crowd import Crowd, fill, undisturbed
from tests.bench.daraja import stand_in
from tests.bench.figures import percentile
from tests.bench.scale import Scale
from tests.bench.settling import Settled, Settling
from tests.bench.subjects import Ours, Subject, Waiting
from tests.servers import Server

# Seconds; what Safaricom may wait for its 200 at the most meanwhile.
BOUND = 0.25
# They had been waiting for so long (seconds) when the connection broke.
_WAITED = 30.0
# Then (seconds) those who are not back stay away: nothing is learnt from more of it.
_PATIENCE = 60.0


def run(scale: Scale) -> dict[str, Any]:
    """Let them come back; print and return how long callbacks took."""
    with places.folder() as folder, places.postgres(folder) as cluster:
        subject = Ours(cluster.new_database(), **scale.ours)
        with stand_in(folder) as daraja, subject.served(folder, daraja) as server:
            settled, joined, again = asyncio.run(_measure(subject, server, scale))
    print(
        f"{scale.middle:,} shoppers come back within {scale.returning_within:g} s,"
        f" {scale.returning_callbacks:g} callbacks a second meanwhile;"
        f" the last one was back after {joined:.1f} s, and {again:,} times one had to try again."
    )
    rows = {
        "callback until its 200": settled.answered,
        "callback until the push": settled.pushed or [float("inf")],
    }
    print(figures.table("milliseconds", rows))
    if settled.failed:
        print(f"  {settled.failed} callbacks got no 200, or their shoppers no push")
    p99 = percentile(settled.answered, 0.99)
    print(f"  p99 of the 200s: {'below' if p99 < BOUND else 'NOT below'} {1000 * BOUND:g} ms\n")
    return {
        "answered_p99": p99,
        "pushed_p99": percentile(settled.pushed, 0.99) if settled.pushed else None,
        "last_back": joined,
        "tried_again": again,
        "failed": settled.failed,
        "bound": BOUND,
    }


async def _measure(subject: Subject, server: Server, scale: Scale) -> tuple[Settled, float, int]:
    callbacks = int(scale.returning_within * scale.returning_callbacks)
    crowd, returning = Crowd([server.port]), Crowd([server.port])
    await fill(crowd, subject, callbacks + scene.WARM_UP)
    settling = Settling(crowd, [server.port])
    await settling.in_flight(scene.WARM_UP, scene.IN_FLIGHT)
    rows = subject.seed(scale.middle, _WAITED)
    with undisturbed():
        settled, (joined, again) = await asyncio.gather(
            settling.at_rate(callbacks, scale.returning_callbacks),
            _come_back(returning, rows, scale.returning_within),
        )
    returning.leave()
    return settled, joined, again


async def _come_back(crowd: Crowd, rows: list[Waiting], within: float) -> tuple[float, int]:
    """All join, evenly spread; seconds until the last one had, and how often one was cut off."""
    clock, again = asyncio.get_running_loop(), 0
    begin = clock.time()
    give_up = begin + _PATIENCE

    async def one(number: int, row: Waiting) -> None:
        nonlocal again
        await asyncio.sleep(begin + within * number / len(rows) - clock.time())
        while clock.time() < give_up and not await _joined(crowd, row):
            again += 1
            await asyncio.sleep(random.uniform(0.5, 1.5))  # as socket.io-client does

    await asyncio.gather(*(one(number, row) for number, row in enumerate(rows)))
    return clock.time() - begin, again


async def _joined(crowd: Crowd, row: Waiting) -> bool:
    try:
        await crowd.join(row)
    except OSError:
        return False
    return True

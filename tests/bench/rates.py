"""How long a push takes at which rate of callbacks, until the server falls behind."""

import asyncio
from pathlib import Path
from typing import Any

from tests.bench import figures, places, scene
from tests.bench.crowd import Crowd, fill, undisturbed
from tests.bench.daraja import stand_in
from tests.bench.figures import percentile
from tests.bench.scale import Scale
from tests.bench.settling import Settling
from tests.bench.subjects import Ours, Subject
from tests.servers import Server

# Later than this (seconds) it has fallen behind: a higher rate only makes the queue longer.
_BROKEN = 1.0


def run(scale: Scale) -> dict[str, Any]:
    """Raise the rate, step by step; print and return what was measured at each."""
    with places.folder() as folder, places.postgres(folder) as cluster:
        pushed = _measure(Ours(cluster.new_database(), **scale.ours), folder, scale)
    print(f"From a callback's sending to the push, {scale.small:,} waiting, at an even rate.")
    rows = {f"{rate} a second": seconds for rate, seconds in pushed.items()}
    print(figures.table("milliseconds", rows), end="\n\n", flush=True)
    return {
        "rates": [
            {"rate": rate, "p50": percentile(each, 0.5), "p99": percentile(each, 0.99)}
            for rate, each in pushed.items()
        ]
    }


def _measure(subject: Subject, folder: Path, scale: Scale) -> dict[int, list[float]]:
    with stand_in(folder) as daraja, subject.served(folder, daraja) as server:
        return asyncio.run(_raise(subject, server, scale))


async def _raise(subject: Subject, server: Server, scale: Scale) -> dict[int, list[float]]:
    crowd, pushed = Crowd([server.port]), {}
    await fill(crowd, subject, scale.small)
    settling = Settling(crowd, [server.port], lambda: subject.seed(1)[0])
    await settling.in_flight(min(50, scale.small), scene.IN_FLIGHT)  # warm
    with undisturbed():
        for rate in scale.rates:
            settled = await settling.at_rate(int(rate * scale.rate_seconds), rate)
            pushed[rate] = settled.pushed
            if settled.failed or percentile(settled.pushed, 0.99) > _BROKEN:
                break
    crowd.leave()
    return pushed

"""Two workers with Redis against one: settled payments a second."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from tests.bench import places, scene
from tests.bench.crowd import Crowd, fill, undisturbed
from tests.bench.daraja import stand_in
from tests.bench.scale import Scale
from tests.bench.settling import Settling
from tests.bench.subjects import Ours, Subject
from tests.servers import Server, redis_server

# Enough that no worker ever waits for the next callback.
_IN_FLIGHT = 64


def run(scale: Scale) -> dict[str, Any]:
    """Measure one and two on the same machine, the load's own process beside them."""
    rates = {count: _rate(scale, count) for count in (1, 2)}
    print(
        f"Settled payments a second, {scale.small:,} waiting, {_IN_FLIGHT} in flight:"
        f" one worker {rates[1]:.0f}, two {rates[2]:.0f} ({rates[2] / rates[1]:.2f} times).\n",
        flush=True,
    )
    return {"one": rates[1], "two": rates[2], "ratio": rates[2] / rates[1]}


def _rate(scale: Scale, workers: int) -> float:
    with ExitStack() as stack:
        folder = stack.enter_context(places.folder())
        cluster = stack.enter_context(places.postgres(folder))
        redis = stack.enter_context(redis_server(folder))
        subject = Ours(cluster.new_database(), **scale.ours, REDIS_URL=redis)
        daraja = stack.enter_context(stand_in(folder))
        servers = [stack.enter_context(subject.served(folder, daraja)) for _ in range(workers)]
        return asyncio.run(_settled_a_second(subject, servers, scale))


async def _settled_a_second(subject: Subject, servers: Sequence[Server], scale: Scale) -> float:
    """Shoppers and callbacks are spread over the workers, each without regard to the other."""
    ports = [server.port for server in servers]
    crowd = Crowd(ports)
    await fill(crowd, subject, scale.small)
    crowd.shuffle()
    settling = Settling(crowd, ports, lambda: subject.seed(1)[0])
    await settling.in_flight(min(scene.WARM_UP, scale.small), scene.IN_FLIGHT)
    with undisturbed():
        settled = await settling.in_flight(scale.spread_payments, min(_IN_FLIGHT, scale.small))
    crowd.leave()
    return scale.spread_payments / settled.seconds

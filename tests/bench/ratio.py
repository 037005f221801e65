"""Our server beside two others, in one run: what each thing costs, and what it may cost.

`plain` is the same checkout as tutorials build it; `fast` is the same with the quickest that Python
has, and promises nothing. Ours is measured on each async server beside the same two.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from tests.bench import places, scene
from tests.bench.comparison import FAST, PLAIN, Measured, compare, table
from tests.bench.daraja import stand_in
from tests.bench.process import most_sockets
from tests.bench.scale import Scale
from tests.bench.scene import Scene, Stage, best
from tests.bench.subjects import Ours, Rival, Subject
from tests.servers import Postgres

# What is measured besides payments, polls and leaves.
_STAGES: dict[str, Sequence[Stage]] = {
    "small": (Scene.results,),
    "middle": (Scene.pushes,),
    "large": (Scene.idle,),
}


def run(scale: Scale) -> dict[str, Any]:
    """Measure all on one PostgreSQL, print a table for each async server, and return all figures.

    Ours on the first async server is under "ours", on others under their names.
    """
    with places.folder() as folder, places.postgres(folder) as cluster:
        measured = measure(scale, folder, cluster)
    told: dict[str, Any] = {name: _told(measured[name]) for name in (PLAIN, FAST)}
    for mode in scale.modes:
        rows = compare(measured, mode)
        print(f"  ours on {mode}\n{table(rows)}", end="\n\n", flush=True)
        figures = {"ours": _told(measured[mode]), "rows": [row.told() for row in rows]}
        told |= figures if mode == scale.modes[0] else {mode: figures}
    return told


def _told(figures: Measured) -> list[dict[str, Any]]:
    return [{**asdict(each), "whole": each.whole} for each in figures.values()]


def measure(scale: Scale, folder: Path, cluster: Postgres) -> dict[str, Measured]:
    """All figures of each server, by size; in rounds, so that a busy moment meets them all."""
    rivals = {name: partial(Rival, name) for name in (PLAIN, FAST)}
    ours = {mode: partial(Ours, ASYNC_MODE=mode) for mode in scale.modes}
    subjects: dict[str, Callable[[str], Subject]] = {**rivals, **ours}
    sizes = {"small": scale.small, "middle": scale.middle, "large": most_sockets(scale.large)}
    measured: dict[str, Measured] = {name: {} for name in subjects}
    with stand_in(folder) as daraja:
        for turn, (size, waiting), (name, make) in product(
            range(scale.rounds), sizes.items(), subjects.items()
        ):
            if not waiting or (size == "large" and name in rivals):
                continue
            print(f"  round {turn + 1}: {name} with {waiting:,} waiting …", flush=True)
            subject = make(cluster.new_database())
            figures = scene.play(subject, daraja, folder, scale, waiting, _STAGES[size])
            measured[name][size] = best(measured[name].get(size, figures), figures)
        for name, make in subjects.items():
            subject = make(cluster.new_database())
            weighed = scene.memory_as_browsers(subject, daraja, folder, scale.small)
            measured[name]["small"].memory_browsers = weighed
    print(flush=True)
    return measured

"""Our server beside a plain one, in one run: what each thing costs, and what it may cost."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.bench import places, scene
from tests.bench.process import most_sockets
from tests.bench.scale import Scale
from tests.bench.scene import Figures
from tests.bench.subjects import Ours, Plain, Subject
from tests.servers import Postgres

_MILLI, _KILO = 1000.0, 1 / 1024


@dataclass(frozen=True)
class Row:
    """One figure beside what it is compared with.

    Attributes:
        against: what `other` is.
        bound: what the ratio may be at the most; None: it is only told.
    """

    name: str
    ours: float
    against: str
    other: float
    bound: float | None = None

    @property
    def ratio(self) -> float:
        """Ours by the other's."""
        return self.ours / self.other if self.other else float("inf")

    @property
    def kept(self) -> bool:
        """Whether the bound is kept; without one it is."""
        return self.bound is None or self.ratio <= self.bound


def run(scale: Scale) -> dict[str, Any]:
    """Measure all on one PostgreSQL, print a table for each async server, and return all figures.

    Those of our server on the first async server are under its name; those on others under theirs.
    """
    with places.folder() as folder, places.postgres(folder) as cluster:
        plain, on = measure(scale, folder, cluster)
    told: dict[str, Any] = {Plain.name: [asdict(each) for each in plain.values()]}
    for mode, ours in on.items():
        rows = compare(scale, plain, ours)
        print(f"  ours on {mode}\n{table(rows)}", end="\n\n", flush=True)
        figures = {
            Ours.name: [asdict(each) for each in ours.values()],
            "rows": [{**asdict(row), "ratio": row.ratio, "kept": row.kept} for row in rows],
        }
        told |= figures if mode == scale.modes[0] else {mode: figures}
    return told


Measured = dict[str, Figures]


def measure(scale: Scale, folder: Path, cluster: Postgres) -> tuple[Measured, dict[str, Measured]]:
    """All figures of the plain server, and of ours on each async server, by size."""
    sizes = {"small": scale.small, "middle": scale.middle, "large": most_sockets(scale.large)}
    wanted = list(sizes) if scale.plain_large else ["small", "middle"]

    def played(make: Callable[[str], Subject], size: str, on: str = "") -> Figures:
        subject = make(cluster.new_database())
        print(f"  {subject.name}{on} with {sizes[size]:,} waiting …", flush=True)
        figures = scene.play(subject, folder, sizes[size], scale.payments)
        if figures.late:
            print("  … took so long that prompts ended meanwhile: too high", flush=True)
        if size == "small":
            again = make(cluster.new_database())
            figures.memory_browsers = scene.memory_as_browsers(again, folder, sizes[size])
        return figures

    return (
        {size: played(Plain, size) for size in wanted if sizes[size]},
        {
            mode: {
                size: played(partial(Ours, ASYNC_MODE=mode), size, f" on {mode}")
                for size in sizes
                if sizes[size]
            }
            for mode in scale.modes
        },
    )


def compare(scale: Scale, plain: Measured, ours: Measured) -> list[Row]:
    """Every figure with its bound, in milliseconds and KiB."""
    rows = [row for size in ours if size in plain for row in _beside(plain[size], ours[size])]
    small, middle, large = (ours.get(size) for size in ("small", "middle", "large"))
    own = f"ours, {scale.small:,}"
    for figures, bound in ((middle, 1.15), (large, 1.3)):
        if small is not None and figures is not None:
            name = f"CPU of a payment, {figures.waiting:,} waiting"
            rows.append(Row(name, figures.settle * _MILLI, own, small.settle * _MILLI, bound))
            name = f"… without what waiting costs, {figures.waiting:,}"
            rows.append(Row(name, figures.settle_net * _MILLI, own, small.settle_net * _MILLI))
            name = f"CPU of a join, up to {figures.waiting:,}"
            rows.append(Row(name, figures.join * _MILLI, own, small.join * _MILLI))
    return [bounded(row, scale) for row in rows]


# By the first words of a row's name, with few waiting and with many.
_BOUNDS: Mapping[str, tuple[float | None, float | None]] = {
    "CPU of a payment": (1.0, 0.4),
    "CPU of a leave": (None, 0.4),
    "memory of a shopper": (0.8, 0.8),
    "CPU of a poll": (0.7, 0.7),
    "CPU of a 304": (0.7, 0.7),
    "callback to push, p99": (None, 0.5),
}


def bounded(row: Row, scale: Scale) -> Row:
    """The row with its bound beside the plain server's figure."""
    if row.against != Plain.name:
        return row
    few, many = next((b for name, b in _BOUNDS.items() if row.name.startswith(name)), (None, None))
    is_few = f" {scale.small:,}" in row.name
    return Row(row.name, row.ours, row.against, row.other, few if is_few else many)


def _beside(plain: Figures, ours: Figures) -> list[Row]:
    n = f"{ours.waiting:,}"
    figures = [
        (f"CPU of a payment, {n} waiting", ours.settle, plain.settle, _MILLI),
        (f"… without what waiting costs, {n}", ours.settle_net, plain.settle_net, _MILLI),
        (f"CPU of a second's waiting, {n}", ours.idle, plain.idle, _MILLI),
        (f"callback to push, p50, {n} waiting", ours.pushed_p50, plain.pushed_p50, _MILLI),
        (f"callback to push, p99, {n} waiting", ours.pushed_p99, plain.pushed_p99, _MILLI),
        (f"CPU of a join, up to {n}", ours.join, plain.join, _MILLI),
        (f"CPU of a leave, {n} at once", ours.leave, plain.leave, _MILLI),
        (f"memory of a shopper, {n}", ours.memory, plain.memory, _KILO),
        (f"CPU of a poll, {n} waiting", ours.poll, plain.poll, _MILLI),
        (f"CPU of a 304 (plain: 200), {n}", ours.unchanged, plain.poll, _MILLI),
    ]
    if ours.memory_browsers:
        name = f"memory of a shopper, {n}, as browsers"
        figures.append((name, ours.memory_browsers, plain.memory_browsers, _KILO))
    return [Row(name, a * unit, Plain.name, b * unit) for name, a, b, unit in figures]


def table(rows: list[Row]) -> str:
    """Rows as text."""
    lines = [f"  {'ms, KiB':<42}{'ours':>9}{'other':>9}{'ratio':>8}{'bound':>8}"]
    for row in rows:
        shown = f"{row.ours:>9.2f}{row.other:>9.2f}{row.ratio:>8.2f}"
        bound = "" if row.bound is None else f"{row.bound:>8.2f}"
        missed = "" if row.kept else "  missed"
        lines.append(f"  {row.name:<42}{shown}{bound:>8}  {row.against}{missed}")
    return "\n".join(lines)

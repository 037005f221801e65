"""Figures of ours beside those of the other servers, each with what it may be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from tests.bench.scene import Figures

# Figures by the size of the crowd: small, middle, large.
Measured = dict[str, Figures]

PLAIN, FAST = "plain", "fast"
# Whose figure is ours with few waiting.
OWN = "ours, few"
# Whose figure is a callback's on the same server.
CALLBACK = "a callback"

# Milliseconds from the PIN to the result on the page, p99, that we want to keep.
PIN_TO_PAGE = 12.0

_MILLI, _KILO, _AS_IT_IS = 1000.0, 1 / 1024, 1.0


@dataclass(frozen=True)
class Bound:
    """What a figure may be.

    Attributes:
        against: by whose figure it is divided; empty: it is bounded as it is.
    """

    against: str
    at_most: float = inf
    at_least: float = 0.0

    def __str__(self) -> str:
        if self.at_least:
            return f">= {self.at_least:g}"
        return f"<= {self.at_most:g}" if self.at_most < inf else ""


@dataclass(frozen=True)
class Row:
    """One figure of ours, in milliseconds, KiB, or a second.

    Attributes:
        others: the same figure of other servers, by their names.
    """

    name: str
    waiting: int
    ours: float
    others: Mapping[str, float]
    bounds: Sequence[Bound] = ()

    def value(self, bound: Bound) -> float:
        """What the bound is about: the figure, or how many times the other's it is."""
        if not bound.against:
            return self.ours
        other = self.others[bound.against]
        return self.ours / other if other else inf

    def keeps(self, bound: Bound) -> bool:
        """Whether this one is kept."""
        return bound.at_least <= self.value(bound) <= bound.at_most

    @property
    def kept(self) -> bool:
        """Whether all are kept."""
        return all(map(self.keeps, self.bounds))

    def told(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        bounds = [f"{bound} {bound.against}".strip() for bound in self.bounds]
        return {**asdict(self), "bounds": bounds, "kept": self.kept}


# In the order of the table: a figure, its name, its unit, and the others' figure beside it.
_TOLD = (
    ("whole", "CPU of a whole payment", _MILLI, "whole"),
    ("alone", "… without what waiting costs", _MILLI, "alone"),
    ("order", "… its order", _MILLI, "order"),
    ("push", "… its push", _MILLI, "push"),
    ("join", "… its page joins", _MILLI, "join"),
    ("settle", "… it settles, its page leaves", _MILLI, "settle"),
    ("settled_a_second", "callbacks settled a second, 8 in flight", _AS_IT_IS, "settled_a_second"),
    ("pushed_p50", "callback to page, p50, 8 in flight", _MILLI, "pushed_p50"),
    ("pushed_p99", "callback to page, p99, 8 in flight", _MILLI, "pushed_p99"),
    ("paged_p50", "PIN to page over HTTP, p50", _MILLI, "paged_p50"),
    ("paged_p99", "PIN to page over HTTP, p99", _MILLI, "paged_p99"),
    ("push_over", "POST /stk-push over Daraja's time, p99", _MILLI, "push_over"),
    ("poll", "CPU of a poll", _MILLI, "poll"),
    ("unchanged", "CPU of a 304 (the others: a poll)", _MILLI, "poll"),
    ("leave", "CPU of a leave, all at once", _MILLI, "leave"),
    ("idle", "CPU of a second's waiting", _MILLI, "idle"),
    ("memory", "memory of a shopper", _KILO, "memory"),
    ("memory_browsers", "memory of a shopper, as browsers", _KILO, "memory_browsers"),
)

# Figure and size; what we want to keep.
_BOUNDS: Mapping[tuple[str, str], Sequence[Bound]] = {
    ("whole", "small"): (Bound(PLAIN, 0.8), Bound(FAST, 1.3)),
    ("whole", "middle"): (Bound(PLAIN, 0.5), Bound(FAST, 0.7)),
    ("whole", "large"): (Bound(OWN, 1.2),),
    ("settle", "small"): (Bound(PLAIN, 1.0),),
    ("settle", "middle"): (Bound(PLAIN, 0.4), Bound(OWN, 1.15)),
    ("settle", "large"): (Bound(OWN, 1.3),),
    ("settled_a_second", "small"): (Bound(FAST, at_least=0.5),),
    ("settled_a_second", "middle"): (Bound(FAST, at_least=3.0),),
    ("pushed_p99", "middle"): (Bound(PLAIN, 0.5),),
    ("paged_p99", "small"): (Bound("", PIN_TO_PAGE),),
    ("push_over", "middle"): (Bound("", 60.0),),
    ("poll", "small"): (Bound(PLAIN, 0.7),),
    ("poll", "middle"): (Bound(PLAIN, 0.7),),
    ("unchanged", "small"): (Bound(PLAIN, 0.7),),
    ("unchanged", "middle"): (Bound(PLAIN, 0.7),),
    ("leave", "middle"): (Bound(PLAIN, 0.4),),
    ("memory_browsers", "small"): (Bound(PLAIN, 0.8),),
}
# gevent keeps less of a connection than eventlet does.
_MEMORY_BY_FAST = {"eventlet": 0.8, "gevent": 0.7}


def compare(measured: Mapping[str, Measured], mode: str) -> list[Row]:
    """Every figure of ours on an async server, with its bounds.

    Args:
        measured: by the server's name; ours has those of its async servers.
    """
    return [row for size in measured[mode] for row in _of_size(measured, mode, size)]


def _of_size(measured: Mapping[str, Measured], mode: str, size: str) -> Iterator[Row]:
    ours = measured[mode][size]
    beside = {name: measured[name][size] for name in (PLAIN, FAST) if size in measured[name]}
    if size != "small" and "small" in measured[mode]:
        beside[OWN] = measured[mode]["small"]
    for figure, name, unit, theirs in _TOLD:
        if figure == "alone" and not ours.idle:
            continue
        if value := getattr(ours, figure):
            # With our own, like is compared with like.
            others = {
                other: getattr(figures, figure if other == OWN else theirs) * unit
                for other, figures in beside.items()
            }
            bounds = _bounds(figure, size, mode)
            wanted = tuple(each for each in bounds if not each.against or each.against in others)
            yield Row(name, ours.waiting, value * unit, others, wanted)


def _bounds(figure: str, size: str, mode: str) -> Sequence[Bound]:
    if figure == "memory" and size != "large":
        return Bound(PLAIN, 0.8), Bound(FAST, _MEMORY_BY_FAST[mode])
    return _BOUNDS.get((figure, size), ())


def table(
    rows: Sequence[Row], unit: str = "ms, KiB, a second", beside: Sequence[str] = (PLAIN, FAST)
) -> str:
    """Rows as text: the figures, then how many times another's ours is, and may be.

    Args:
        beside: whose figures have columns.
    """
    head = "".join(f"{name:>{_width(name)}}" for name in ("ours", *beside))
    lines, waiting = [f"  {unit:<42}{head}"], 0
    for row in rows:
        if row.waiting != waiting:
            waiting = row.waiting
            lines.append(f"  -- {waiting:,} waiting")
        others = "".join(f"{_figure(row.others.get(name)):>{_width(name)}}" for name in beside)
        compared = "".join(f"   {each:<26}" for each in _compared(row)).rstrip()
        lines.append(f"  {row.name:<42}{_figure(row.ours)}{others}{compared}")
    return "\n".join(lines)


def _width(name: str) -> int:
    return max(9, len(name) + 2)


def _figure(value: float | None) -> str:
    return f"{value:>9.2f}" if value is not None else " " * 9


def _compared(row: Row) -> Iterator[str]:
    bounded = {bound.against for bound in row.bounds}
    unbounded = (Bound(name) for name, other in row.others.items() if other and name not in bounded)
    for bound in sorted((*row.bounds, *unbounded), key=lambda each: _ORDER.index(each.against)):
        value = f"{row.value(bound):.2f} x {bound.against}" if bound.against else ""
        missed = "" if row.keeps(bound) else " missed"
        yield f"{value} {bound}{missed}".strip()


_ORDER = (PLAIN, FAST, OWN, CALLBACK, "")

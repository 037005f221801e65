"""Counts and durations of what happens in this process; all modules note them, web shows them."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]

# Seconds. A payer needs ten to ninety of them; 180 is a prompt's longest life, 60 the usual wait.
# A result after an hour was found by asking.
_PAYER = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 600.0, 3600.0)
# A callback takes milliseconds; a second is an alarm.
_OURS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BOUNDS: Mapping[str, tuple[float, ...]] = {
    "push_to_result_seconds": _PAYER,
    "callback_to_announced_seconds": _OURS,
}


@dataclass
class Distribution:
    """The durations of one kind of event.

    Attributes:
        bounds: the upper ends of the buckets, in seconds.
        counts: one for each bucket, and one for longer durations.
        total: the sum of all durations, in seconds.
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def take(self, seconds: float) -> None:
        """Note one more duration."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


_counts: Counter[tuple[str, Labels]] = Counter()
_marks: dict[tuple[str, Labels], float] = {}
_distributions = {name: Distribution(bounds) for name, bounds in BOUNDS.items()}


def count(event: str, **labels: str) -> None:
    """Note that `event` (a snake_case name) happened once more.

    Args:
        labels: each is one of a few words, and never names a person or a transaction.
    """
    _counts[event, tuple(labels.items())] += 1


def observe(event: str, seconds: float) -> None:
    """Note how long an event of BOUNDS took."""
    _distributions[event].take(seconds)


def mark(event: str, value: float, **labels: str) -> None:
    """Note a value that holds until the next one, such as the time of the last success."""
    _marks[event, tuple(labels.items())] = value


def counted(event: str, **labels: str) -> int:
    """The number of times that `event` happened with these labels since the process started."""
    return _counts[event, tuple(labels.items())]


def marks(event: str) -> list[tuple[dict[str, str], float]]:
    """The values that were marked, each with its labels."""
    return [(dict(labels), value) for (name, labels), value in _marks.items() if name == event]


def distribution(event: str) -> Distribution:
    """The durations of an event of BOUNDS."""
    return _distributions[event]

"""What happened how often in this process: raised anywhere, read where it is shown."""

from collections import Counter

_counts: Counter[str] = Counter()


def count(event: str) -> None:
    """Note that `event` (a snake_case name) happened once more."""
    _counts[event] += 1


def counted(event: str) -> int:
    """How often `event` happened since the process started."""
    return _counts[event]

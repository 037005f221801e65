"""Percentiles, and tables of them."""

import math
from collections.abc import Mapping, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: a value that was really measured.

    Args:
        values: at least one.
        share: from 0 to 1.
    """
    ranked = sorted(values)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)]


def table(unit: str, rows: Mapping[str, Sequence[float]]) -> str:
    """Rows of seconds as a table of p50, p99 and the largest, in milliseconds."""
    lines = [f"  {unit:<34}{'p50':>9}{'p99':>9}{'max':>9}"]
    for name, values in rows.items():
        shown = (percentile(values, 0.5), percentile(values, 0.99), max(values))
        lines.append(f"  {name:<34}" + "".join(f"{1000 * each:>9.1f}" for each in shown))
    return "\n".join(lines)

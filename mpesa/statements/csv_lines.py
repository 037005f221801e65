"""Lines of CSV, and amounts as programs read them."""

import csv
import io
from collections.abc import Sequence


def csv_line(cells: Sequence[str]) -> str:
    """One line, with its end."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def plain_amount(cents: int) -> str:
    """A plain number with two places, negative where money left: `-12345` becomes `-123.45`."""
    return f"{'-' if cents < 0 else ''}{abs(cents) // 100}.{abs(cents) % 100:02d}"

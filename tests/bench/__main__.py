"""`make bench`: how long a result takes, and what it costs, ours beside a plain implementation.

Sections, each with servers and databases of its own:
  result     from the PIN to the result, a callback's 200, and the server's own part, step by step
  ratio      whole payments: CPU, memory and latency beside a plain tutorial server and a fast one
             that promises nothing, with 500, 5,000 and (ours only) 19,500 waiting
  rates      how long a push takes at which rate of callbacks
  reconnect  5,000 shoppers come back at once while callbacks come in
  workers    two workers with Redis against one
  console    the console's pages with 100,000 payments
  statement  the import of statements of 100,000 lines, and a confirmation beside one
All but the first need PostgreSQL, and Linux. Figures and plots go to the output folder.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import console, machine, plots, rates, ratio, reconnect, result, statement, workers
from tests.bench.process import allow_many_files
from tests.bench.scale import Scale

SECTIONS: dict[str, Callable[[Scale], dict[str, Any]]] = {
    "ratio": ratio.run,
    "rates": rates.run,
    "reconnect": reconnect.run,
    "workers": workers.run,
}
_PLOTS = Path(__file__).parents[2] / "docs" / "plots"


def main() -> None:
    """Measure what was asked for, and print tables."""
    asked = _arguments()
    scale = _scale(asked)
    allow_many_files()
    # However it ends, the servers that it started end too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    print(machine.described(), end="\n\n", flush=True)
    for name in asked.only:
        begin = time.monotonic()
        print(f"== {name}", end="\n\n", flush=True)
        if name == "result":
            result.run(scale, asked.databases)
        elif name == "console":
            console.run(scale)
        elif name == "statement":
            statement.run(scale)
        else:
            described, measured = machine.described(), SECTIONS[name](scale)
            plots.draw(asked.out, plots.keep(asked.out, name, described, measured))
        print(f"({name}: {time.monotonic() - begin:.0f} s)\n", flush=True)
    print(f"Load at the end: {machine.load()}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    there = machine.has_postgres()
    names = ["result", *((*SECTIONS, "console", "statement") if there else ())]
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="SECTION")
    payments = "of each round of the ratio (%(default)s)"
    parser.add_argument("--payments", type=int, default=Scale.payments, help=payments)
    parser.add_argument("--quick", action="store_true", help="see whether it works; few of all")
    below = (
        "below ours: the ratio measures each of them, the other sections the first (%(default)s)"
    )
    modes = Scale.modes
    parser.add_argument("--async-mode", nargs="+", choices=modes, default=modes, help=below)
    parser.add_argument("--out", type=Path, default=_PLOTS, help="folder for figures and plots")
    parser.add_argument(
        "--databases",
        nargs="+",
        choices=("sqlite", "postgresql"),
        default=["sqlite", *(["postgresql"] if there else [])],
        help="of the section result; those that are installed",
    )
    return parser.parse_args()


def _scale(asked: argparse.Namespace) -> Scale:
    modes = tuple(dict.fromkeys(asked.async_mode))
    scale = Scale(modes=modes, payments=asked.payments)
    return scale.quick() if asked.quick else scale


if __name__ == "__main__":
    main()

"""Stop true starts of the server at random moments: `python -m scripts.stopped_starts`.

`make test` makes such starts by forking, which costs a tenth; here each one is `python app.py` from
nothing. It ends by itself within 15 s (5 s are promised, on a machine that does nothing else), with
status 0, or by SIGTERM where it had no handler yet; nothing of it is left, and a start serves
on the database that it left. It needs Linux, and takes a quarter of an hour for 200 on each server.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random

from mpesa.config import AsyncMode
from tests.integration.stopped import Ending, true_start
from tests.servers import Server, running, wait_until

# So many starts in a row find the database that the one before left; the next has none.
_IN_A_ROW = 4


def main() -> None:
    """Stop as many starts as asked for on each server, and say how they ended."""
    parser = argparse.ArgumentParser(prog="python -m scripts.stopped_starts", description=__doc__)
    parser.add_argument("--starts", type=int, default=200, help="on each server (%(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    modes = [each.value for each in AsyncMode]
    parser.add_argument("--async-mode", nargs="+", choices=modes, default=modes)
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = [
            each
            for mode in asked.async_mode
            for each in _stopped(Path(folder), mode, asked.starts, asked.seed)
            if each.wrong
        ]
    for each in wrong:
        print(each)
    sys.exit(f"{len(wrong)} ended in another way than they should" if wrong else None)


def _stopped(folder: Path, mode: str, starts: int, seed: int) -> list[Ending]:
    chance = Random(seed)  # noqa: S311 - moments, no secrets
    longest = _start_takes(folder, mode)
    endings = []
    for number in range(starts):
        if number % _IN_A_ROW == 0:
            server = Server(folder, ASYNC_MODE=mode)
        endings.append(true_start(server, chance.uniform(0, longest)))
    with running(folder, **server.environment) as again:
        wait_until(lambda: again.get("/readyz").status_code == 200, again.why)
    _say(mode, longest, endings)
    return endings


def _start_takes(folder: Path, mode: str) -> float:
    """Seconds until a start serves whose database is to be made; its modules are compiled then."""
    for _ in ("to compile", "to measure"):
        began = time.monotonic()
        with running(folder, ASYNC_MODE=mode) as server:
            while "Serving on" not in server.why():
                time.sleep(0.01)
            took = time.monotonic() - began
    return took


def _say(mode: str, longest: float, endings: list[Ending]) -> None:
    moments = Counter(
        "while it served"
        if each.served
        else "in its start"
        if each.caught
        else "before its handler"
        for each in endings
    )
    statuses = Counter(each.status for each in endings)
    took = sorted(each.took for each in endings)
    print(
        f"{mode}: {len(endings)} starts, stopped within {longest:.2f} s\n"
        f"  when      {', '.join(f'{moments[each]} {each}' for each in sorted(moments))}\n"
        f"  status    {', '.join(f'{statuses[each]} x {each}' for each in sorted(statuses))}\n"
        f"  took      {took[len(took) // 2]:.2f} s (median), {took[-1]:.2f} s (longest)\n"
        f"  the handler's exception was ignored in {sum(each.ignored for each in endings)}\n"
        f"  wrong     {sum(each.wrong for each in endings)}",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""`make soak`: shoppers at a steady rate, every misbehaviour of payers and Daraja, for an hour.

They pay by push and by hand, and the shop gives some of it back. In the end everything that was
paid is pulled, and the simulator's ledger is compared with the database; then its statements are
imported, and each day is closed.
"""
# ruff: noqa: T201 (print() is how it talks to the person who started it)

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from tests.crash.witness import Witness
from tests.servers import LIMITED, ROOT, Postgres, Server, free_port, running
from tests.soak.comparing import compare, compare_refunds
from tests.soak.desk import REFUND_KEY, Desk
from tests.soak.morning import close_the_books
from tests.soak.shopper import PATIENCE, SINCERE, Notes, Shopper, telling

# Nothing is decided of itself after this long: the last prompt is over, every silent payment was
# asked about, and a late success has come (seconds).
QUIET = 150
SAMPLE_EVERY = 10.0
# What the memory may grow between the first and the last quarter, a warm-up left out.
MAY_GROW = 1.10
MOST_SHOPPERS = 800
# M-PESA treats so many shoppers alike, one after the other.
SHOPPERS_OF_A_TELLING = 10
# So little that it is reached towards the end (KES a minute).
MAY_GO_BACK = 1_000


def main() -> None:
    """Run, print a line a minute and the comparison; exit status 1 where anything is wrong."""
    asked = _arguments()
    folder = Path(tempfile.mkdtemp(prefix="mpesa-soak-"))
    cluster = Postgres(folder, durable=True).create()
    try:
        wrong = _soak(asked, folder, cluster.new_database())
    finally:
        cluster.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)
    for each in wrong[:50]:
        print("WRONG", each)
    print(f"{len(wrong)} wrong" if wrong else "Nothing lost, nothing double, nothing invented.")
    sys.exit(bool(wrong))


def _soak(asked: argparse.Namespace, folder: Path, database_url: str) -> list[str]:
    port, begun = str(free_port()), datetime.now(UTC)
    may_go_back = int(MAY_GO_BACK * asked.minutes)
    print(f"seed {asked.seed}, {asked.rate} shoppers a second, {asked.minutes} minutes", flush=True)
    program = ("-m", "mpesa.simulator", "--port", port)
    with (
        running(folder, program, PORT=port) as simulator,
        Witness(simulator.address).standing() as daraja,
    ):
        # Read as Nairobi's, a time of UTC would be hours before the order was made.
        simulator.put("/organisation", json={"pull_zone": "nairobi"}).raise_for_status()
        with running(
            folder,
            DATABASE_URL=database_url,
            DARAJA_BASE_URL=daraja.address,
            DARAJA_QUERY_RATE="600/minute",
            ASYNC_MODE=asked.async_mode,
            STATUS_QUERY_RATE="60/minute",
            C2B_PROOF_FROM="500",
            PULL_NOMINATED_NUMBER="254722000000",
            REFUND_API_KEYS=REFUND_KEY,
            REFUND_DAILY_LIMIT=str(may_go_back),
            **LIMITED,
        ) as server:
            notes = Notes()
            _run(server, "c2b", "register", said="y\n")
            desk = Desk(server, simulator, notes, random.Random(asked.seed + 1))
            desk.open()
            memory = _send_shoppers(asked, server, simulator, notes)
            # Whatever M-PESA does not tell from here on, it never tells.
            simulator.put("/organisation", json=SINCERE).raise_for_status()
            desk.close()
            print(f"\nwaiting {QUIET} s for what is under way", flush=True)
            time.sleep(QUIET)
            _run(server, "pull", "run")
            ledger = simulator.get("/ledger").json()
            counts, wrong = compare(database_url, ledger, notes.scripts, notes.by_hand)
            given_back = (database_url, ledger, 100 * may_go_back, daraja.seen)
            wrong += compare_refunds(*given_back, is_told=False)[1]
        wrong += close_the_books(
            server.environment, simulator, folder, begun, ledger, notes.by_hand
        )
        # Whatever the statements told anew has made nothing wrong.
        wrong += compare(database_url, ledger, notes.scripts, notes.by_hand)[1]
        refunds, wrong_refunds = compare_refunds(*given_back, is_told=True)
        wrong += wrong_refunds
    for title, figures in (("database", counts + refunds), ("people saw", notes.seen)):
        print(f"{title}: " + ", ".join(f"{n} {what}" for what, n in sorted(figures.items())))
    return [*notes.broken, *wrong, *_grown(memory)]


def _run(server: Server, *command: str, said: str = "") -> None:
    """Run a command of ours beside the server."""
    run = [sys.executable, "-m", "flask", "--app", "app", *command]
    subprocess.run(run, cwd=ROOT, env=server.environment, check=True, input=said, text=True)


def _send_shoppers(
    asked: argparse.Namespace, server: Server, simulator: Server, notes: Notes
) -> list[float]:
    """Shoppers come evenly; returns the server's memory (MB), sampled evenly."""
    begin, memory, chance = time.monotonic(), [], random.Random(asked.seed)
    with ThreadPoolExecutor(MOST_SHOPPERS) as shop:
        for number in range(int(60 * asked.minutes * asked.rate)):
            due = begin + number / asked.rate
            time.sleep(max(0.0, due - time.monotonic()))
            own = random.Random(chance.random())
            if number % SHOPPERS_OF_A_TELLING == 0:
                simulator.put("/organisation", json=telling(own)).raise_for_status()
            shop.submit(Shopper(server, simulator, notes, number, own).come)
            if time.monotonic() - begin >= SAMPLE_EVERY * (len(memory) + 1):
                memory.append(_megabytes(server))
                if len(memory) % 6 == 0:
                    _report(time.monotonic() - begin, number + 1, notes, server, memory[-1])
        print(f"the last shopper came; up to {2 * PATIENCE:.0f} s until the last one has gone")
    return memory


def _report(seconds: float, came: int, notes: Notes, server: Server, memory: float) -> None:
    paid = notes.seen["paid"] + notes.seen["paid_late"]
    print(
        f"{seconds / 60:5.1f} min  {came} came, {paid} saw it paid, {len(notes.broken)} wrong,"
        f" {memory:.1f} MB, {_cpu(server):.0f} s of CPU",
        flush=True,
    )


def _grown(memory: list[float]) -> list[str]:
    """Whether the server's memory grew, once it was warm."""
    warm = memory[len(memory) // 5 :]
    quarter = len(warm) // 4
    if not quarter:
        return []
    first, last = statistics.median(warm[:quarter]), statistics.median(warm[-quarter:])
    print(f"memory: {first:.1f} MB in the first quarter, {last:.1f} MB in the last")
    return [f"memory grew from {first:.1f} to {last:.1f} MB"] if last > MAY_GROW * first else []


def _megabytes(server: Server) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu(server: Server) -> float:
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="(%(default)s)")
    parser.add_argument("--rate", type=float, default=2, help="shoppers a second (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32), help="(by chance)")
    parser.add_argument("--async-mode", default="eventlet", help="(%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

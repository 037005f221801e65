"""`make bench`: how long a shopper waits for the result, and where that time goes."""

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import answering, figures, machine, steps, watching
from tests.servers import Postgres, running


def main() -> None:
    """Measure on each database that is there, and print tables."""
    asked = _arguments()
    print(machine.described(), end="\n\n", flush=True)
    for name in asked.databases:
        with _folder() as folder, _database(name, folder) as (url, kind):
            print(f"== {kind}", end="\n\n", flush=True)
            _watch(url, folder, asked)
        with _folder() as folder, _database(name, folder) as (url, _kind):
            _answer(url, folder, asked.callbacks, asked.rate)
        with _folder() as folder, _database(name, folder) as (url, _kind):
            _take_apart(url, asked.callbacks)
    print(f"Load at the end: {machine.load()}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--payments", type=int, default=200, help="watched (%(default)s)")
    parser.add_argument("--per-second", type=float, default=4, help="new ones (%(default)s)")
    parser.add_argument("--callbacks", type=int, default=300, help="answered (%(default)s)")
    parser.add_argument("--rate", type=float, default=100, help="callbacks a second (%(default)s)")
    parser.add_argument(
        "--databases",
        nargs="+",
        choices=("sqlite", "postgresql"),
        default=["sqlite", *(["postgresql"] if machine.has_postgres() else [])],
        help="those that are installed",
    )
    return parser.parse_args()


def _watch(url: str, folder: Path, asked: argparse.Namespace) -> None:
    seconds = asked.payments / asked.per_second
    print(
        f"From the PIN to the result: {asked.payments} payments, {asked.per_second:g} a second,"
        f" each watched by both clients at once; this takes about {seconds + 8:.0f} s."
    )
    with running(folder, DATABASE_URL=url) as server:
        seen = watching.watch(server, asked.payments, asked.per_second)
    rows = {
        "Socket.IO push": [each.pushed for each in seen],
        "poll every 3 s": [each.polled for each in seen],
    }
    print(figures.table("milliseconds", rows), end="\n\n", flush=True)


def _answer(url: str, folder: Path, callbacks: int, rate: float) -> None:
    print(f"Until a callback has its 200, stored and judged, over HTTP: {callbacks} each way.")
    measured = answering.measure(folder, url, callbacks, rate)
    rows = {name: each.answers for name, each in measured.items()}
    print(figures.table("milliseconds", rows))
    for name, each in measured.items():
        print(f"  CPU per settled payment, {name}: {1000 * each.cpu:.1f} ms")
    print(flush=True)


def _take_apart(url: str, callbacks: int) -> None:
    print(f"The server's own part of it: {callbacks} callbacks, one after another, in process.")
    print(figures.table("milliseconds", steps.measure(url, callbacks)), end="\n\n", flush=True)


@contextmanager
def _folder() -> Iterator[Path]:
    # A short path: PostgreSQL's socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="mpesa-bench-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _database(name: str, folder: Path) -> Iterator[tuple[str, str]]:
    """An empty database; yields its address, and what it is with its way to commit."""
    if name == "sqlite":
        yield f"sqlite:///{folder}/bench.sqlite", machine.sqlite_described()
        return
    folder = folder / "pg"
    folder.mkdir()
    folder.parent.chmod(0o755)
    cluster = Postgres(folder, durable=True).create()
    try:
        url = cluster.new_database()
        yield url, machine.postgres_described(url)
    finally:
        cluster.stop("immediate")


if __name__ == "__main__":
    main()

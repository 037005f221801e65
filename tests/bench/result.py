"""How long a shopper waits for the result, and where that time goes; on each database."""

from collections.abc import Sequence
from pathlib import Path

from tests.bench import answering, confirming, figures, places, steps, watching
from tests.bench.comparison import CALLBACK, PIN_TO_PAGE, table
from tests.bench.figures import percentile
from tests.bench.scale import Scale
from tests.servers import LIMITED, running


def run(scale: Scale, databases: Sequence[str]) -> None:
    """Measure on each database, and print tables."""
    for name in databases:
        with places.folder() as folder, places.database(name, folder) as (url, kind):
            print(f"-- {kind}", end="\n\n", flush=True)
            _watch(url, folder, scale)
        with places.folder() as folder, places.database(name, folder) as (url, _kind):
            _answer(url, folder, scale)
        with places.folder() as folder, places.database(name, folder) as (url, _kind):
            _confirm(url, folder, scale)
        with places.folder() as folder, places.database(name, folder) as (url, _kind):
            _take_apart(url, scale.callbacks)


def _watch(url: str, folder: Path, scale: Scale) -> None:
    seconds = scale.watched / scale.per_second
    print(
        f"From the PIN to the result: {scale.watched} payments, {scale.per_second:g} a second,"
        f" each watched by both clients at once; this takes about {seconds + 8:.0f} s."
    )
    with running(folder, DATABASE_URL=url, **LIMITED, **scale.ours) as server:
        seen = watching.watch(server, scale.watched, scale.per_second)
    rows = {
        "Socket.IO push": [each.pushed for each in seen],
        "poll every 3 s": [each.polled for each in seen],
    }
    print(figures.table("milliseconds", rows))
    p99 = 1000 * percentile(rows["Socket.IO push"], 0.99)
    missed = "" if p99 <= PIN_TO_PAGE else ", missed"
    print(f"  p99 of the push: {p99:.1f} ms (<= {PIN_TO_PAGE:g}{missed})", end="\n\n", flush=True)


def _answer(url: str, folder: Path, scale: Scale) -> None:
    count, rate = scale.callbacks, scale.callback_rate
    print(f"Until a callback has its 200, stored and judged, over HTTP: {count} each way.")
    measured = answering.measure(folder, url, count, rate, **scale.ours)
    rows = {name: each.answers for name, each in measured.items()}
    print(figures.table("milliseconds", rows))
    for name, each in measured.items():
        print(f"  CPU per settled payment, {name}: {1000 * each.cpu:.1f} ms")
    print(flush=True)


def _confirm(url: str, folder: Path, scale: Scale) -> None:
    print(
        f"Confirmations beside callbacks, over HTTP, each told to the page that waits for it:"
        f" {scale.callbacks} of each kind, one after another."
    )
    costs = confirming.measure(folder, url, scale.callbacks, **scale.ours)
    rows = confirming.rows(costs)
    print(table(rows, "milliseconds", [CALLBACK]), end="\n\n", flush=True)


def _take_apart(url: str, callbacks: int) -> None:
    print(f"The server's own part of it: {callbacks} callbacks, one after another, in process.")
    print(figures.table("milliseconds", steps.measure(url, callbacks)), end="\n\n", flush=True)

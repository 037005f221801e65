"""How long the server takes for each page of the console, with 100,000 payments in PostgreSQL, and
for the sums of a month of a million.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from flask.testing import FlaskClient
from sqlalchemy import text

from app import create_app
from mpesa import operators
from mpesa.database import for_long_work
from mpesa.domain.period import Period
from mpesa.domain.receipt import nairobi_day
from mpesa.models import db
from mpesa.runtime import database
from mpesa.runtime.wiring import utc_now
from mpesa.web.console import stats
from tests.bench import figures, places
from tests.bench.process import cpu_of
from tests.bench.scale import Scale
from tests.factories import make_settings
from tests.payments import fill
from tests.web.console.steps import NAME, PASSWORD, send, try_login

LIST = "/console/transactions"
# Names for the table, and what is asked for; `{middle}` is the place of a payment in the middle.
PAGES = {
    "newest": LIST,
    "in the middle": f"{LIST}?before={{middle}}",
    "back from there": f"{LIST}?after={{middle}}",
    "failed": f"{LIST}?status=FAILED",
    "pending": f"{LIST}?status=PENDING",
    "a usual reason": f"{LIST}?reason=cancelled",
    "a rare reason": f"{LIST}?reason=over_limit",
    "a day": f"{LIST}?day={{today}}",
    "a month": f"{LIST}?period=month",
    "a reference": f"{LIST}?reference=INV-77",
    "a line": f"{LIST}?line_of={{id}}",
    "one payment": f"{LIST}/{{id}}",
    "review": "/console/review",
    "today": "/console/",
    "the figures of a month": "/console/?period=month",
}
_SEARCHES = {"by receipt": "U000000042", "by phone": "0700000077", "by nothing": "nothing"}


def run(scale: Scale) -> None:
    """Fill databases, and print tables."""
    with (
        places.folder() as folder,
        places.postgres(folder) as cluster,
        _operator(cluster.new_database(), scale.console_payments) as client,
    ):
        print(f"{scale.console_payments:,} payments; each page {scale.console_times} times.")
        print(figures.table("milliseconds", _measured(client, scale)), flush=True)
    with places.folder() as folder, places.postgres(folder) as cluster:
        print(f"{scale.month_payments:,} payments of one month, added up by day.")
        print(figures.table("milliseconds", _month(cluster.new_database(), scale)), flush=True)


@contextmanager
def _operator(url: str, count: int) -> Iterator[FlaskClient]:
    """An operator who is logged in where so many payments are."""
    app = create_app(make_settings(DATABASE_URL=url))
    with app.app_context():
        database.migrate()
        operators.add(db.session(), NAME, PASSWORD, utc_now())
        with db.engine.connect() as connection:
            fill(connection, count)
    client = app.test_client()
    assert try_login(client).status_code == 303
    yield client
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def _measured(client: FlaskClient, scale: Scale) -> dict[str, list[float]]:
    middle = f"t{scale.console_payments // 2:021}"
    now = utc_now()
    place = int((now.timestamp() - scale.console_payments / 2) * 1_000_000)
    known = {"middle": f"{place}.{middle}", "id": middle, "today": f"{now:%Y-%m-%d}"}
    taken = {}
    for name, page in PAGES.items():
        address = page.format(**known)
        taken[name] = [_seconds(client, address) for _ in range(scale.console_times)]
    for name, typed in _SEARCHES.items():
        taken[name] = [_search_seconds(client, typed) for _ in range(scale.console_times)]
    return taken


def _seconds(client: FlaskClient, address: str) -> float:
    begin = time.perf_counter()
    answer = client.get(address)
    taken = time.perf_counter() - begin
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return taken


def _search_seconds(client: FlaskClient, typed: str) -> float:
    """The search itself; the page that its form stands on is not counted."""
    before = time.perf_counter()
    client.get(LIST)
    page = time.perf_counter() - before
    begin = time.perf_counter()
    assert send(client, LIST, q=typed).status_code == 303
    return max(0.0, time.perf_counter() - begin - page)


def _month(url: str, scale: Scale) -> dict[str, list[float]]:
    """The seconds that the sums of each day took, with the way there and back, and the CPU's."""
    app, month = create_app(make_settings(DATABASE_URL=url)), timedelta(days=30)
    taken, cpu = list[float](), list[float]()
    with app.app_context():
        database.migrate()
        with for_long_work(db.engine) as engine, engine.connect() as connection:
            apart = month.total_seconds() / scale.month_payments
            fill(connection, scale.month_payments, apart, evidence=False)
        session, last = db.session(), nairobi_day(utc_now())
        process = session.scalar(text("SELECT pg_backend_pid()"))
        for _ in range(scale.console_times):
            begin, begun = time.perf_counter(), cpu_of(process)
            found = stats.read_days(session, Period(last - month, last))
            taken.append(time.perf_counter() - begin)
            cpu.append(cpu_of(process) - begun)
            assert found.total.all > scale.month_payments * 0.99
        db.session.remove()
        db.engine.dispose()
    return {"the sums of a month": taken, "of it CPU of PostgreSQL": cpu}

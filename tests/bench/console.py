"""How long the server takes for each page of the console, with 100,000 payments in PostgreSQL, and
for the sums and the receipts of a month of a million.
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
from tests.payments import fill, fill_receipts
from tests.web.console.steps import NAME, PASSWORD, send, try_login

_MONTH = timedelta(days=30)
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
# What a search for a part of something leads to.
_PARTS = {
    "by a part of a reference": f"{LIST}?q=inv-77",
    "by a part of a receipt": f"{LIST}?q=u00000004",
    "by the end of a number": f"{LIST}?q=0077",
    "by an amount": f"{LIST}?q=150",
    "by words": f"{LIST}?q=two+coffees",
    "by a word of none": f"{LIST}?q=umbrella",
}
RECEIPTS = "/console/receipts"
_RECEIPT_PAGES = {
    "receipts, the newest": RECEIPTS,
    "in the middle": f"{RECEIPTS}?before={{middle}}",
    "unclaimed": f"{RECEIPTS}?state=unclaimed",
    "unproven": f"{RECEIPTS}?state=unproven",
    "returned": f"{RECEIPTS}?state=returned",
    "of one amount": f"{RECEIPTS}?amount=150.00",
    "today": f"{RECEIPTS}?period=today",
    "of a month": f"{RECEIPTS}?period=month",
    "unclaimed of a month": f"{RECEIPTS}?period=month&state=unclaimed",
    "of an account": f"{RECEIPTS}?account_of={{id}}",
    "of a payer": f"{RECEIPTS}?payer_of={{id}}",
    "one receipt": f"{RECEIPTS}/{{receipt}}",
}
_RECEIPT_SEARCHES = {"by account": "ACC-77", "by amount": "150.00", "by nothing": "nothing"}


def run(scale: Scale) -> None:
    """Fill databases, and print tables."""
    with (
        places.folder() as folder,
        places.postgres(folder) as cluster,
        _operator(cluster.new_database(), scale.console_payments) as client,
    ):
        print(f"{scale.console_payments:,} payments; each page {scale.console_times} times.")
        print(figures.table("milliseconds", _measured(client, scale)), flush=True)
    apart = _MONTH.total_seconds() / scale.month_payments
    with (
        places.folder() as folder,
        places.postgres(folder) as cluster,
        _operator(cluster.new_database(), scale.month_payments, apart, receipts=True) as client,
    ):
        print(f"{scale.month_payments:,} payments and receipts of one month, added up by day.")
        print(figures.table("milliseconds", _of_a_month(client, scale)), flush=True)


@contextmanager
def _operator(
    url: str, count: int, apart: float = 1.0, *, receipts: bool = False
) -> Iterator[FlaskClient]:
    """An operator who is logged in where so many payments are.

    Args:
        apart: seconds from one payment to the next.
        receipts: with a receipt each, and without what was heard of them.
    """
    app = create_app(make_settings(DATABASE_URL=url))
    with app.app_context():
        database.migrate()
        operators.add(db.session(), NAME, PASSWORD, utc_now())
        with for_long_work(db.engine) as engine, engine.connect() as connection:
            fill(connection, count, apart, evidence=not receipts)
        if receipts:
            with for_long_work(db.engine) as engine, engine.connect() as connection:
                fill_receipts(connection, count, apart)
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
    for name, page in {**PAGES, **_PARTS}.items():
        address = page.format(**known)
        taken[name] = [_seconds(client, address) for _ in range(scale.console_times)]
    for name, typed in _SEARCHES.items():
        taken[name] = [_search_seconds(client, LIST, typed) for _ in range(scale.console_times)]
    return taken


def _seconds(client: FlaskClient, address: str) -> float:
    begin = time.perf_counter()
    answer = client.get(address)
    taken = time.perf_counter() - begin
    assert answer.status_code == 200, f"{address}: {answer.status_code}"
    return taken


def _search_seconds(client: FlaskClient, page_of: str, typed: str) -> float:
    """The search itself; the page that its form stands on is not counted."""
    before = time.perf_counter()
    client.get(LIST)
    page = time.perf_counter() - before
    begin = time.perf_counter()
    assert send(client, page_of, q=typed).status_code == 303
    return max(0.0, time.perf_counter() - begin - page)


def _of_a_month(client: FlaskClient, scale: Scale) -> dict[str, list[float]]:
    """The seconds of the sums of each day, and the CPU's of it; and those of lists of receipts."""
    sums, cpu = list[float](), list[float]()
    with client.application.app_context():
        session, last = db.session(), nairobi_day(utc_now())
        process = session.scalar(text("SELECT pg_backend_pid()"))
        for _ in range(scale.console_times):
            begin, begun = time.perf_counter(), cpu_of(process)
            found = stats.read_days(session, Period(last - _MONTH, last))
            sums.append(time.perf_counter() - begin)
            cpu.append(cpu_of(process) - begun)
            assert found.total.all > scale.month_payments * 0.99
        db.session.remove()
    taken = {"the sums of a month": sums, "of it CPU of PostgreSQL": cpu}
    middle = f"{scale.month_payments // 2:021}"
    place = int((utc_now() - _MONTH / 2).timestamp() * 1_000_000)
    known = {"id": f"r{middle}", "middle": f"{place}.r{middle}", "receipt": f"R{middle[-9:]}"}
    for name, page in _RECEIPT_PAGES.items():
        address = page.format(**known)
        taken[name] = [_seconds(client, address) for _ in range(scale.console_times)]
    for name, typed in _RECEIPT_SEARCHES.items():
        taken[name] = [_search_seconds(client, RECEIPTS, typed) for _ in range(scale.console_times)]
    return taken

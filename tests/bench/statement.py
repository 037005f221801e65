"""How fast a statement is imported, and how long a payment has to wait beside an import."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path

import requests
from flask import Flask
from sqlalchemy import text

from app import create_app
from mpesa.domain.wire_words import NAIROBI
from mpesa.models import StatementFile, db
from mpesa.runtime import database
from mpesa.runtime.wiring import utc_now
from mpesa.statements import importing
from mpesa.statements.importing import Given
from mpesa.statements.reading import read
from mpesa.web.http.services import statement_needs
from tests.bench import figures, places
from tests.bench.scale import Scale
from tests.factories import confirmation, make_settings
from tests.payments import fill
from tests.servers import running
from tests.statements.files import Entry, Made, charge

_TOKEN = "0123456789abcdef" * 2
# Of the lines of a shop that hears of its money at once, one in so many is a charge.
_LINES_OF_A_PAYMENT = 2
_CONFIRMATIONS_A_SECOND = 10
# A receipt of each payment of `fill`, told by its callback; of a hundred payments 80 are paid.
_RECEIPTS = """
INSERT INTO receipts (id, organisation, receipt, direction, amount, account, payer_masked, state,
  transaction_id, listed, learned_at, changed_at, trust)
SELECT 'r' || substr(t.id, 2), '174379', t.receipt, 'in', 15000, o.reference, '2547*****678',
  'claimed', t.id, true, t.created_at, t.created_at, 1
FROM transactions AS t JOIN orders AS o ON o.id = t.order_id WHERE t.receipt IS NOT NULL
"""


def run(scale: Scale) -> None:
    """Import a statement of known payments and one of unknown ones; print lines a second."""
    lines = scale.statement_lines
    with places.folder() as folder, places.postgres(folder) as cluster:
        url = cluster.new_database()
        with _filled(url, lines) as app, app.app_context():
            print(f"{lines:,} lines each, half of them charges, in PostgreSQL.")
            for what, first in (("known, with their orders", "U"), ("known to nobody", "X")):
                _import(what, _statement(lines, first))
        _beside_an_import(folder, url, scale)


@contextmanager
def _filled(url: str, lines: int) -> Iterator[Flask]:
    """A shop that has heard of so many payments, each at once."""
    app = create_app(make_settings(DATABASE_URL=url))
    with app.app_context():
        database.migrate()
        with db.engine.connect() as connection:
            fill(connection, lines)
            connection.execute(text(_RECEIPTS))
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def _statement(lines: int, first: str) -> Given:
    """A statement of as many lines, of one day that is over."""
    noon = (utc_now().astimezone(NAIROBI) - timedelta(days=1)).replace(hour=6)
    entries = []
    paid = (n for n in range(1, lines + 1) if n % 100 < 80)
    for place, n in enumerate(islice(paid, lines // _LINES_OF_A_PAYMENT)):
        number, at = f"{first}{n:09}", noon + timedelta(seconds=place * 40_000 // lines)
        entries += [Entry(number, 150, at=at, account=f"INV-{n % 5000}"), charge(number, 1, at=at)]
    made = Made(*entries, day=noon)
    return Given(made.as_csv(), "statement.csv", None, "bench")


def _import(what: str, given: Given) -> None:
    needs, session = statement_needs(), db.session()
    begun = time.perf_counter()
    with read(given.raw, importing.asked(needs, given)) as statement:
        was_read = time.perf_counter()
        found = importing.look(session, statement)
        looked = time.perf_counter()
        file_id, _ = importing.keep(session, given, statement, needs.now(), found)
        importing.settle(session, file_id, needs, statement)
        done = time.perf_counter()
    rates = (
        f"{step} {statement.rows / seconds:,.0f}"
        for step, seconds in (
            ("read", was_read - begun),
            ("compared", looked - was_read),
            ("stored and settled", done - looked),
            ("in all", done - begun),
        )
    )
    print(f"  {what}: lines a second {', '.join(rates)}", flush=True)


def _beside_an_import(folder: Path, url: str, scale: Scale) -> None:
    """Let the server import one more statement, and tell it of money meanwhile."""
    settings = {"C2B_TOKEN": _TOKEN, "DATABASE_URL": url, **scale.ours}
    with running(folder, **settings) as server:
        address = f"{server.address}/c2b/{_TOKEN}/confirmation"
        alone = _told(address, 0, 10.0, lambda: False)
        app = create_app(make_settings(DATABASE_URL=url))
        with app.app_context():
            needs, session = statement_needs(), db.session()
            given = _statement(scale.statement_lines, "Y")
            with read(given.raw, importing.asked(needs, given)) as statement:
                file_id, _ = importing.keep(session, given, statement, needs.now())
            importing.begin(session, file_id, needs.now())
            begun = time.perf_counter()

            def is_done() -> bool:
                session.rollback()
                file = session.get_one(StatementFile, file_id, populate_existing=True)
                return file.done_at is not None

            beside = _told(address, len(alone), 600.0, is_done)
            rate = scale.statement_lines / (time.perf_counter() - begun)
            db.session.remove()
            db.engine.dispose()
    print(f"The server itself, {rate:,.0f} lines a second; a confirmation meanwhile:")
    print(figures.table("milliseconds", {"alone": alone, "beside an import": beside}), flush=True)


def _told(address: str, first: int, seconds: float, is_done: Callable[[], bool]) -> list[float]:
    """Confirmations at an even rate; the seconds until each 200."""
    taken, begin = list[float](), time.perf_counter()
    with requests.Session() as line:
        while time.perf_counter() - begin < seconds and not (len(taken) % 10 == 9 and is_done()):
            due = begin + len(taken) / _CONFIRMATIONS_A_SECOND
            time.sleep(max(0.0, due - time.perf_counter()))
            body = confirmation("JANE", receipt=f"Z{first + len(taken):09}")
            sent = time.perf_counter()
            line.post(address, json=body, timeout=60).raise_for_status()
            taken.append(time.perf_counter() - sent)
    return taken

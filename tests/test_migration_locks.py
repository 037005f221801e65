"""How long a migration that meets running payments keeps them waiting.

`MIGRATED_ROWS=300000 python -m pytest tests/test_migration_locks.py -s` measures a large shop.
"""

import os
import time
from random import Random
from threading import Event, Thread

import flask_migrate
import psycopg2
import pytest

from app import create_app
from mpesa.database import MIGRATIONS
from mpesa.models import db
from tests.factories import make_settings
from tests.payments import fill

pytestmark = pytest.mark.postgres

ROWS = int(os.environ.get("MIGRATED_ROWS", "5000"))
BEFORE_RECEIPTS = "0011"
# Of the migration's time. One that keeps a lock from step to step keeps payments waiting for most
# of it.
LONGEST = 0.25


class Payments:
    """A worker that writes one payment after the other, as the version before did.

    Attributes:
        longest: seconds that the slowest took.
        count: how many were written.
        failed: what went wrong.
    """

    def __init__(self, url):
        self._connection = psycopg2.connect(url, options="-c lock_timeout=6s")
        self._over, self._chance = Event(), Random(1)
        self._thread = Thread(target=self._pay_on)
        self.longest, self.count, self.failed = 0.0, 0, []

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self._connection.close()

    def _pay_on(self):
        while not self._over.is_set():
            begun = time.monotonic()
            try:
                self._pay(self._chance.randrange(1, ROWS))
            except psycopg2.Error as error:
                self.failed.append(error)
                self._connection.rollback()
            self.longest = max(self.longest, time.monotonic() - begun)
            self.count += 1
            time.sleep(0.002)

    def _pay(self, number):
        key = {"order": f"o{number:021}", "transaction": f"t{number:021}"}
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SELECT id FROM orders WHERE id = %(order)s FOR UPDATE", key)
            cursor.execute("SELECT id FROM transactions WHERE order_id = %(order)s", key)
            cursor.execute(
                "UPDATE transactions SET seq = seq + 1, updated_at = now()"
                " WHERE id = %(transaction)s",
                key,
            )
            cursor.execute("UPDATE orders SET updated_at = now() WHERE id = %(order)s", key)
            cursor.execute(
                "INSERT INTO evidence (transaction_id, kind, body, received_at)"
                " VALUES (%(transaction)s, 'callback', '', now())",
                key,
            )


def test_no_payment_waits_for_more_than_a_part_of_the_migration_to_receipts(postgres):
    url = postgres.new_database()
    app = create_app(make_settings(DATABASE_URL=url))
    with app.app_context():
        flask_migrate.upgrade(str(MIGRATIONS), revision=BEFORE_RECEIPTS)
        with db.engine.connect() as connection:
            fill(connection, ROWS)
        with Payments(url) as payments:
            time.sleep(0.2)
            begun = time.monotonic()
            flask_migrate.upgrade(str(MIGRATIONS))
            took = time.monotonic() - begun
        db.engine.dispose()

    slowest = f"{payments.longest * 1000:.0f} ms of {payments.count} payments"
    print(f"{ROWS} payments: {took:.1f} s, the slowest took {slowest}")  # noqa: T201
    assert payments.failed == []
    assert payments.longest < took * LONGEST, slowest

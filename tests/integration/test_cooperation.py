"""What waits for the world lets others run: the database, and calls to Daraja."""

import os
import subprocess
import sys

import pytest

from tests.servers import ROOT

THREE_QUERIES_AT_ONCE = """
from mpesa import serving
import sys, threading, time
import psycopg2

def query():
    with psycopg2.connect(sys.argv[1]) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(0.5)")

threads = [threading.Thread(target=query) for _ in range(3)]
begin = time.monotonic()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(time.monotonic() - begin)
"""


@pytest.mark.postgres
@pytest.mark.usefixtures("async_mode")
def test_a_query_that_waits_holds_nobody_up(postgres):
    command = [sys.executable, "-c", THREE_QUERIES_AT_ONCE, postgres.new_database()]

    took = subprocess.run(
        command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=True
    ).stdout

    # One after the other they would take 1.5 s.
    assert 0.5 < float(took) < 1.3

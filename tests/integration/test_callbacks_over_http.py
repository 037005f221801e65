"""Callbacks as bytes on a wire: what is answered 200 is in the database."""

import json
import socket
import sqlite3
from contextlib import closing

import pytest
import requests

from mpesa.ids import hash_token, new_callback_token
from tests.factories import failure_callback, raw, success_callback
from tests.integration.conftest import on_one_server
from tests.integration.steps import new_line, phone, started, status_of
from tests.servers import PATIENCE, running, wait_until


@pytest.fixture
def ours(tmp_path, async_mode):
    """A server of this test's own, with a database to look into."""
    with running(tmp_path) as server:
        server.file = tmp_path / f"mpesa-{server.port}.sqlite"
        yield server


def attempt(server):
    """A push under way whose callback token this test knows; returns id, token and Daraja's ids."""
    _, transaction_id = started(server)
    token = new_callback_token()
    with closing(sqlite3.connect(server.file, timeout=10)) as database, database:
        # The real one is known to the simulator alone.
        database.execute(
            "UPDATE transactions SET callback_token_hash = ? WHERE id = ?",
            (hash_token(token), transaction_id),
        )
        ids = database.execute(
            "SELECT checkout_request_id, merchant_request_id FROM transactions WHERE id = ?",
            (transaction_id,),
        ).fetchone()
    return transaction_id, token, ids


def kept(server):
    with closing(sqlite3.connect(server.file, timeout=10)) as database:
        found = database.execute("SELECT body FROM evidence WHERE kind = 'callback' ORDER BY id")
        return [bytes(body) for (body,) in found]


def test_a_chunked_callback_is_read_in_full(ours):
    transaction_id, token, ids = attempt(ours)
    body = raw(success_callback(*ids))

    answer = requests.post(
        ours.url(f"/callback/{token}"), data=iter([body[:7], body[7:90], body[90:]]), timeout=10
    )

    assert (answer.status_code, answer.json()["ResultCode"]) == (200, 0)
    assert kept(ours) == [body]
    assert status_of(ours, transaction_id)["status"] == "SUCCESS"


def test_a_chunked_callback_above_64_kib_is_refused(ours):
    _, token, _ = attempt(ours)

    answer = requests.post(
        ours.url(f"/callback/{token}"), data=iter([b"x" * 30_000] * 3), timeout=10
    )

    assert answer.status_code == 413
    assert kept(ours) == []


def test_a_callback_of_64_kib_is_kept_and_one_above_is_refused(ours):
    _, token, _ = attempt(ours)
    largest = b"x" * 65_536

    answers = [
        requests.post(ours.url(f"/callback/{token}"), data=body, timeout=10).status_code
        for body in (largest, largest + b"x", b"x" * 1_000_000)
    ]

    assert answers == [200, 413, 413]
    assert kept(ours) == [largest]


def test_a_callback_that_breaks_off_is_not_taken_for_a_whole_one(ours):
    transaction_id, token, ids = attempt(ours)
    body = raw(failure_callback(*ids))
    with socket.create_connection(("127.0.0.1", ours.port), timeout=10) as broken:
        head = f"POST /callback/{token} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
        broken.sendall(head.encode() + b"\r\n\r\n" + body[:50])
        broken.shutdown(socket.SHUT_WR)
        answer = broken.recv(1000)

    assert not answer.startswith(b"HTTP/1.1 200")
    assert status_of(ours, transaction_id)["status"] == "PENDING"


@on_one_server
def test_a_callback_that_meets_a_locked_database_is_never_lost_with_a_200(ours):
    transaction_id, token, ids = attempt(ours)
    body = raw(failure_callback(*ids))
    with closing(sqlite3.connect(ours.file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        locked = requests.post(ours.url(f"/callback/{token}"), data=body, timeout=PATIENCE)
        holder.execute("ROLLBACK")
    seen_while_locked = kept(ours)

    again = requests.post(ours.url(f"/callback/{token}"), data=body, timeout=PATIENCE)

    assert (locked.status_code, seen_while_locked) in [(503, []), (200, [body])]
    assert again.status_code == 200
    assert status_of(ours, transaction_id)["reason"] == "cancelled"


@on_one_server
def test_a_locked_database_stops_no_one_who_only_reads(ours):
    transaction_id, _, _ = attempt(ours)
    with closing(sqlite3.connect(ours.file, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")

        assert status_of(ours, transaction_id)["status"] == "PENDING"
        assert ours.get("/readyz").status_code == 200


def test_many_callbacks_at_once_are_all_kept(ours):
    _, token, ids = attempt(ours)
    bodies = [raw(failure_callback(*ids) | {"number": number}) for number in range(40)]
    head = "POST /callback/{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n"
    sockets = [socket.create_connection(("127.0.0.1", ours.port), timeout=30) for _ in bodies]
    for each, body in zip(sockets, bodies, strict=True):
        each.sendall(head.format(token, len(body)).encode() + body)

    answers = [each.recv(20) for each in sockets]

    for each in sockets:
        each.close()
    assert {answer[:12] for answer in answers} == {b"HTTP/1.1 200"}
    assert sorted(kept(ours)) == sorted(bodies)


@on_one_server
def test_the_simulators_garbled_callback_is_kept_and_pays_nothing(ours):
    msisdn = new_line()
    phone(ours, msisdn).script(answer="pay", callback="garbled", query="pending")

    _, transaction_id = started(ours, msisdn)

    wait_until(lambda: kept(ours))
    assert status_of(ours, transaction_id)["status"] == "PENDING"
    assert json.dumps(transaction_id).encode() not in kept(ours)[0]

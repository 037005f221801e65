"""Who hears over a real socket that something changed in the console, and what they hear."""

import json
import time

import pytest
import websocket

from mpesa.live.watchers import NAMESPACE
from tests.browser.backstage import Backstage
from tests.integration.console import admitted, connect, heard_of, log_in
from tests.integration.steps import started

# Until a socket that was refused is closed (seconds), as docs/api.md promises.
SOON = 1.0


@pytest.fixture(scope="module")
def logins():
    """The cookie of one login at each server; a second one would end the first."""
    return {}


@pytest.fixture
def cookie(server, logins):
    if server.address not in logins:
        logins[server.address] = log_in(server)
    return logins[server.address]


@pytest.fixture
def backstage(server):
    return Backstage(server.environment["DATABASE_URL"])


@pytest.mark.parametrize("sent", [None, "console=forged", "console=", "other=1"])
def test_a_guest_is_refused_and_its_connection_closed_at_once(server, sent):
    with connect(server, sent) as ws:
        begun = time.monotonic()
        refusal = ws.recv()
        rest = ws.recv()

    assert json.loads(refusal.removeprefix(f"44{NAMESPACE},")) == {"message": "unauthorized"}
    assert rest in ("", "1")
    assert time.monotonic() - begun < SOON


def test_another_sites_page_gets_nothing_with_the_operators_cookie(server, cookie):
    with pytest.raises(websocket.WebSocketBadStatusException):
        connect(server, cookie, origin="https://evil.example")


def test_an_operator_hears_of_a_payment_by_its_id_and_seq_alone(server, cookie):
    with connect(server, cookie) as ws:
        assert admitted(ws)
        _, transaction_id = started(server)

        assert heard_of(ws, transaction_id, 1)


def test_an_operator_hears_of_what_another_process_changed(server, cookie, backstage):
    _, transaction_id = started(server)
    with connect(server, cookie) as ws:
        assert admitted(ws)
        backstage.say_not_paid(transaction_id)

        assert heard_of(ws, transaction_id, 2)


def test_a_shoppers_socket_hears_nothing_of_the_console(server, cookie):
    with connect(server, cookie) as ws, connect(server, None, "/") as shopper:
        assert admitted(ws)
        _, transaction_id = started(server)
        assert heard_of(ws, transaction_id, 1)

        assert shopper.recv().startswith("44")  # without a transaction it is refused
        assert shopper.recv() in ("", "1")

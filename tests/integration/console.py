"""An operator's page at a running server, without a browser: its login and its socket."""

import json
from contextlib import closing
from datetime import UTC, datetime

import requests
import websocket

from mpesa import operators
from mpesa.live.watchers import NAMESPACE
from mpesa.models import db
from tests.browser.backstage import Backstage
from tests.web.console.steps import NAME, PASSWORD, token_on


def log_in(server):
    """Hire an operator and log in; returns the cookie of that session."""
    with Backstage(server.environment["DATABASE_URL"]).app.app_context():
        operators.add(db.session(), NAME, PASSWORD, datetime.now(UTC))
        db.engine.dispose()
    with requests.Session() as browser:
        page = browser.get(server.url("/console/login"), timeout=30)
        fields = {"name": NAME, "password": PASSWORD, "csrf_token": token_on(page.text)}
        browser.post(server.url("/console/login"), data=fields, timeout=30)
        return f"console={browser.cookies['console']}"


def connect(server, cookie=None, namespace=NAMESPACE, **more):
    """A bare socket that asked for the namespace."""
    address = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    ws = websocket.create_connection(address, timeout=20, cookie=cookie, **more)
    assert ws.recv().startswith("0{")
    ws.send(f"40{namespace},")
    return closing(ws)


def admitted(ws):
    """Whether the server let the socket into the namespace."""
    return ws.recv().startswith(f"40{NAMESPACE},")


def heard_of(ws, transaction_id, seq):
    """Listens until a transaction's change to `seq` is told."""
    while [transaction_id, seq] not in _changed(ws):
        pass
    return True


def _changed(ws):
    """What the next word says changed, as pairs of id and seq."""
    while not (frame := ws.recv()).startswith("42"):
        assert frame[:1] == "2" or frame.startswith("40"), frame
    event, told = json.loads(frame.removeprefix(f"42{NAMESPACE},"))
    assert event == "changed"
    assert set(told) == {"transactions"}
    return told["transactions"]

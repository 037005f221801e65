"""What an operator does in these tests, one call each."""

import re
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mpesa import operators
from mpesa.domain.roles import Role
from mpesa.models import db
from mpesa.web.http.services import services

NAME = "wanjiku"
PASSWORD = "correct horse battery"


def hire(app: Flask, name: str = NAME, password: str = PASSWORD, role: Role = Role.MANAGER) -> None:
    """`flask operators add`."""
    with app.app_context():
        operators.add(db.session(), name, password, services().now(), role)


def token_on(page: str) -> str:
    """The form token of a page."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]


def try_login(
    client: FlaskClient, name: str = NAME, password: str = PASSWORD, **more: Any
) -> TestResponse:
    """Type a name and a password."""
    token = token_on(client.get("/console/login").text)
    fields = {"name": name, "password": password, "csrf_token": token, **more}
    return client.post("/console/login", data=fields)


def logged_in(app: Flask, name: str = NAME, role: Role = Role.MANAGER) -> FlaskClient:
    """A browser in which an operator is logged in."""
    hire(app, name, role=role)
    client = app.test_client()
    answer = try_login(client, name)
    assert answer.status_code == 303, answer.text
    return client


def send(client: FlaskClient, path: str, on: str | None = None, **fields: str) -> TestResponse:
    """Send a form of the page `on`, with its token."""
    token = token_on(client.get(on or "/console/transactions").text)
    return client.post(path, data={**fields, "csrf_token": token})


def with_technical_details(client: FlaskClient) -> FlaskClient:
    """Turn the switch on, which shows raw messages, addresses and milliseconds."""
    assert client.get("/console/transactions?technical=on").status_code == 303
    return client


def hidden(page: str) -> dict[str, str]:
    """The fields of a page's own form that nobody types."""
    main = page.split("<main", 1)[1]
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', main))


def act(client: FlaskClient, transaction_id: str, name: str, **fields: str) -> TestResponse:
    """Ask for an act, and confirm it."""
    again = ask(client, transaction_id, name, **fields)
    assert again.status_code == 200, again.text
    return client.post(
        f"/console/transactions/{transaction_id}/{name}/confirm", data=hidden(again.text)
    )


def ask(client: FlaskClient, transaction_id: str, name: str, **fields: str) -> TestResponse:
    """Fill in the first form of an act."""
    path = f"/console/transactions/{transaction_id}/{name}"
    page = client.get(path)
    assert page.status_code == 200, page.text
    return client.post(path, data={**hidden(page.text), "reason": "Checked", **fields})

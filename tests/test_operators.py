"""flask operators: who may use the console, as the one types it who runs the server."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from sqlalchemy import select

from mpesa import operators
from mpesa.models import Operator, db
from mpesa.web.http.services import services
from tests.conftest import on_both

PASSWORD = "correct horse battery"
Flask_ = Callable[..., Result]


@pytest.fixture
def flask(app):
    """Run a command in the application, with something on its standard input."""
    return lambda *arguments, typed="": app.test_cli_runner().invoke(args=arguments, input=typed)


def names(app):
    with app.app_context():
        return list(db.session.scalars(select(Operator.name).order_by(Operator.name)))


@on_both
def test_an_operator_is_added_with_a_password_from_standard_input(app, flask):
    result = flask("operators", "add", "Wanjiku", typed=f"{PASSWORD}\n")

    assert (result.exit_code, result.output) == (0, "added wanjiku\n")
    with app.app_context():
        session, now = db.session(), services().now()
        assert operators.log_in(session, "wanjiku", PASSWORD, "192.0.2.1", now) is not None
        assert operators.log_in(session, "wanjiku", PASSWORD + " ", "192.0.2.1", now) is None


def test_a_name_that_is_there_gets_a_new_password(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    result = flask("operators", "add", "wanjiku", typed="another password")

    assert result.output == "wanjiku has a new password; earlier logins have ended\n"
    assert names(app) == ["wanjiku"]


@pytest.mark.parametrize(
    ("name", "typed"),
    [
        ("wanjiku", ""),
        ("wanjiku", "eleven char"),
        ("wanjiku", "x" * 257),
        ("", PASSWORD),
        ("with space", PASSWORD),
        ("<b>", PASSWORD),
        ("x" * 41, PASSWORD),
        ("ŵanjiku", PASSWORD),
    ],
)
def test_a_name_or_password_that_cannot_be_used_adds_nobody(app, flask, name, typed):
    result = flask("operators", "add", name, typed=typed)

    assert result.exit_code == 1
    assert "characters" in result.output or "a name has 1 to 40" in result.output
    assert names(app) == []


@on_both
def test_an_operator_is_removed(app, flask):
    for name in ("wanjiku", "otieno"):
        flask("operators", "add", name, typed=PASSWORD)

    result = flask("operators", "remove", "Wanjiku")

    assert (result.exit_code, result.output) == (0, "removed wanjiku\n")
    assert names(app) == ["otieno"]


def test_removing_nobody_says_so(flask):
    result = flask("operators", "remove", "nobody")

    assert result.exit_code == 1
    assert "there is no operator nobody" in result.output


def test_the_list_shows_names_and_no_secret(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    result = flask("operators", "list")

    assert result.output == "wanjiku  added 2026-11-24 12:00:00 EAT  last login never\n"


def test_the_list_as_json_has_times_as_the_api_has_them(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    told = json.loads(flask("operators", "list", "--json").output)

    assert told == [
        {"name": "wanjiku", "created_at": "2026-11-24T09:00:00Z", "last_login_at": None}
    ]


def test_the_commands_print_no_password(flask):
    result = flask("operators", "add", "wanjiku", typed=PASSWORD)

    assert PASSWORD not in result.output

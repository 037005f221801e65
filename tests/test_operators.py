"""flask operators: who may use the console and do what, as typed by who runs the server."""

import json
import re
import threading
from collections.abc import Callable
from types import SimpleNamespace

import click
import pyotp
import pytest
from click.testing import Result
from sqlalchemy import select

from mpesa import operators
from mpesa.cli import person
from mpesa.domain.roles import Act
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


def roles(app):
    with app.app_context():
        return {each.name: each.role for each in db.session.scalars(select(Operator))}


@on_both
def test_an_operator_is_added_with_a_password_from_standard_input(app, flask):
    result = flask("operators", "add", "Wanjiku", typed=f"{PASSWORD}\n")

    assert (result.exit_code, result.output) == (0, "added wanjiku, a manager\n")
    with app.app_context():
        session, now = db.session(), services().now()
        assert operators.log_in(session, "wanjiku", PASSWORD, "192.0.2.1", now) is not None
        assert operators.log_in(session, "wanjiku", PASSWORD + " ", "192.0.2.1", now) is None


def test_a_password_is_hashed_as_slowly_as_owasp_asks(app, session, clock):
    operators.add(session, "amina", "a long password", clock())

    stored = session.scalars(select(Operator.password_hash)).one()

    # Password Storage Cheat Sheet: Argon2id with 19 MiB and two passes.
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_a_name_that_is_there_gets_a_new_password(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    result = flask("operators", "add", "wanjiku", typed="another password")

    assert result.output == ("wanjiku, a manager, has a new password; earlier logins have ended\n")
    assert names(app) == ["wanjiku"]


def test_a_terminal_is_told_how_long_a_password_is_before_one_is_typed(flask, monkeypatch):
    monkeypatch.setattr(person, "sys", SimpleNamespace(stdin=SimpleNamespace(isatty=lambda: True)))

    result = flask("operators", "add", "wanjiku", typed=f"{PASSWORD}\n{PASSWORD}\n")

    assert "Password (12 characters or more): " in result.output
    assert "added wanjiku, a manager" in result.output


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

    result = flask("operators", "remove", "Otieno")

    assert (result.exit_code, result.output) == (0, "removed otieno\n")
    assert names(app) == ["wanjiku"]


def test_removing_nobody_says_so(flask):
    result = flask("operators", "remove", "nobody")

    assert result.exit_code == 1
    assert "there is no operator nobody" in result.output


def test_the_list_shows_names_and_no_secret(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    result = flask("operators", "list")

    assert result.output == (
        "wanjiku  manager  second factor no   added 2026-11-24 12:00:00 EAT  last login never\n"
    )


def test_the_list_as_json_has_times_as_the_api_has_them(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    told = json.loads(flask("operators", "list", "--json").output)

    assert told == [
        {
            "name": "wanjiku",
            "role": "manager",
            "second_factor": False,
            "created_at": "2026-11-24T09:00:00Z",
            "last_login_at": None,
        }
    ]


def test_the_commands_print_no_password(flask):
    result = flask("operators", "add", "wanjiku", typed=PASSWORD)

    assert PASSWORD not in result.output


# -- roles ---------------------------------------------------------------------------------------


def test_the_first_operator_is_a_manager_and_others_are_viewers_unless_told_otherwise(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    flask("operators", "add", "otieno", typed=PASSWORD)
    flask("operators", "add", "amina", "--role", "clerk", typed=PASSWORD)

    assert roles(app) == {"amina": "clerk", "otieno": "viewer", "wanjiku": "manager"}


@on_both
def test_a_role_is_given_and_taken(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    flask("operators", "add", "otieno", typed=PASSWORD)

    result = flask("operators", "role", "Otieno", "manager")
    flask("operators", "role", "wanjiku", "clerk")

    assert (result.exit_code, result.output) == (0, "otieno is a manager\n")
    assert roles(app) == {"otieno": "manager", "wanjiku": "clerk"}


def test_a_new_password_changes_no_role_unless_told_to(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    flask("operators", "add", "otieno", "--role", "clerk", typed=PASSWORD)

    flask("operators", "add", "otieno", typed=PASSWORD)
    kept = roles(app)["otieno"]
    flask("operators", "add", "otieno", "--role", "viewer", typed=PASSWORD)

    assert (kept, roles(app)["otieno"]) == ("clerk", "viewer")


@on_both
@pytest.mark.parametrize(
    "command",
    [
        ("remove", "Wanjiku"),
        ("role", "wanjiku", "clerk"),
        ("role", "wanjiku", "viewer"),
        ("add", "wanjiku", "--role", "clerk"),
    ],
)
def test_the_only_manager_is_neither_removed_nor_made_less(app, flask, command):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    flask("operators", "add", "otieno", "--role", "clerk", typed=PASSWORD)

    result = flask("operators", *command, typed=PASSWORD)

    assert result.exit_code == 1
    assert "wanjiku is the only manager: make somebody else one first" in result.output
    assert roles(app) == {"otieno": "clerk", "wanjiku": "manager"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_two_managers_who_are_removed_at_once_do_not_both_go(app, flask):
    for name in ("wanjiku", "otieno"):
        flask("operators", "add", name, "--role", "manager", typed=PASSWORD)
    begun, refused = threading.Barrier(2), []

    def remove(name):
        with app.app_context():
            begun.wait()
            try:
                operators.remove(db.session(), name)
            except operators.NotAccepted:
                refused.append(name)

    at_once = [threading.Thread(target=remove, args=[name]) for name in ("wanjiku", "otieno")]
    for each in at_once:
        each.start()
    for each in at_once:
        each.join()

    assert names(app) == refused
    assert len(refused) == 1


def test_a_role_for_nobody_says_so(flask):
    result = flask("operators", "role", "nobody", "clerk")

    assert result.exit_code == 1
    assert "there is no operator nobody" in result.output


# -- whose act a command is ----------------------------------------------------------------------


@pytest.fixture
def claim(app, flask):
    """A command that takes a clerk, of whom it asks the password."""

    @app.cli.command("claims")
    @person.as_option
    def claims(name):
        click.echo(f"claimed by {person.recognised(name, Act.CLAIM).name}")

    return lambda name, typed: flask("claims", "--as", name, typed=typed)


@pytest.mark.parametrize("role", ["clerk", "manager"])
def test_a_command_is_the_act_of_who_knows_the_password(flask, claim, role):
    flask("operators", "add", "wanjiku", "--role", role, typed=PASSWORD)

    result = claim("Wanjiku", f"{PASSWORD}\n")

    assert (result.exit_code, result.output) == (0, "claimed by wanjiku\n")


def test_a_command_refuses_who_may_not_do_it(flask, claim):
    flask("operators", "add", "wanjiku", "--role", "viewer", typed=PASSWORD)

    result = claim("wanjiku", PASSWORD)

    assert result.exit_code == 1
    assert "wanjiku is a viewer, and this takes a clerk; nothing was done" in result.output


def test_a_wrong_password_and_an_unknown_name_are_refused_in_the_same_words(flask, claim):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    wrong, unknown = claim("wanjiku", PASSWORD + "x"), claim("nobody", PASSWORD)

    assert (wrong.exit_code, unknown.exit_code) == (1, 1)
    assert wrong.output == unknown.output
    assert "the password is wrong, or there is no such operator" in wrong.output


# -- second factors ------------------------------------------------------------------------------


def enrolled(flask, name="wanjiku"):
    """Give an operator a second factor, and return the secret, as one reads it off the screen."""
    result = flask("operators", "totp", name)
    assert result.exit_code == 0, result.output
    return re.search(r"or type the key: ([A-Z2-7 ]+)", result.output)[1].replace(" ", "")


@pytest.fixture
def release(app, flask):
    """A command that takes a manager, of whom it asks password and code."""

    @app.cli.command("releases")
    @person.as_option
    def releases(name):
        click.echo(f"released by {person.stepped_up(name, Act.RELEASE_REFUND).name}")

    return lambda *typed, name="wanjiku": flask("releases", "--as", name, typed="\n".join(typed))


def test_a_second_factor_is_shown_once_with_its_code_and_in_letters(app, flask):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    result = flask("operators", "totp", "Wanjiku")

    secret = re.search(r"or type the key: ([A-Z2-7 ]+)", result.output)[1].replace(" ", "")
    assert len(secret) == 32
    assert "\u2588" in result.output
    assert json.loads(flask("operators", "list", "--json").output)[0]["second_factor"] is True
    assert secret not in flask("operators", "list").output
    with app.app_context():
        assert secret not in (db.session.get_one(Operator, "wanjiku").totp_sealed or "")


def test_a_second_factor_for_nobody_says_so(flask):
    result = flask("operators", "totp", "nobody")

    assert result.exit_code == 1
    assert "there is no operator nobody" in result.output


@on_both
def test_a_release_takes_a_line_with_the_password_and_one_with_the_code(flask, release, clock):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    secret = enrolled(flask)

    result = release(PASSWORD, pyotp.TOTP(secret).at(clock()))

    assert (result.exit_code, result.output) == (0, "released by wanjiku\n")


def test_who_has_no_second_factor_releases_nothing(flask, release):
    flask("operators", "add", "wanjiku", typed=PASSWORD)

    result = release(PASSWORD, "123456")

    assert result.exit_code == 1
    assert "flask operators totp wanjiku" in result.output


def test_a_clerk_releases_nothing_with_the_right_code_either(flask, release, clock):
    flask("operators", "add", "amina", typed=PASSWORD)
    flask("operators", "add", "wanjiku", "--role", "clerk", typed=PASSWORD)
    secret = enrolled(flask)

    result = release(PASSWORD, pyotp.TOTP(secret).at(clock()))

    assert result.exit_code == 1
    assert "wanjiku is a clerk, and this takes a manager; nothing was done" in result.output


def test_wrong_passwords_and_codes_are_refused_in_the_same_words(flask, release, clock):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    code = pyotp.TOTP(enrolled(flask)).at(clock())

    refused = {
        release(PASSWORD + "x", code).output,
        release(PASSWORD, "000000").output,
        release(PASSWORD).output,
        release(PASSWORD, code, name="nobody").output,
    }

    assert refused == {"Error: the password or the code is wrong, or the code was used before\n"}


def test_after_five_wrong_tries_a_right_one_waits(flask, release, clock):
    flask("operators", "add", "wanjiku", typed=PASSWORD)
    totp = pyotp.TOTP(enrolled(flask))
    for _ in range(5):
        release(PASSWORD, "000000")

    early = release(PASSWORD, totp.at(clock()))
    clock.pass_(minutes=15)
    late = release(PASSWORD, totp.at(clock()))

    assert "too much was wrong: nothing is looked at for 900 s" in early.output
    assert late.output == "released by wanjiku\n"

"""The commands that seal passwords and register addresses: what they ask, say and keep secret."""

import base64
from collections import deque

import pytest

from mpesa import initiators
from mpesa.config import Settings
from mpesa.daraja import NoAnswer, UnknownOutcome
from mpesa.daraja.answers import Answer
from mpesa.domain.results import parse_result
from mpesa.domain.roles import Role
from mpesa.initiators import Name
from mpesa.models import db
from mpesa.simulator import keys
from mpesa.web.http.services import services
from tests.daraja.fake_daraja import refusal
from tests.domain.bodies import pull_answer, pull_row, raw
from tests.questions import answer
from tests.web.console.steps import PASSWORD, hire

TOKEN = "9c1f0b7a3e5d2846af90c7d1b35e8f62"
REGISTER = "/mpesa/c2b/v2/registerurl"
PULL = "/pulltransactions/v1/register"
SANDBOX = {
    "DARAJA_ENV": "sandbox",
    "DARAJA_CONSUMER_KEY": "key",
    "DARAJA_CONSUMER_SECRET": "secret",
    "PUBLIC_URL": "https://pay.example.com",
    "SECRET_KEY": "ours",
    "API_KEYS": "ours",
    "C2B_TOKEN": TOKEN,
    "C2B_SHORTCODE": "600999",
    "PULL_NOMINATED_NUMBER": "254722000000",
}


@pytest.fixture
def flask(make_app):
    """Run a command in an application with these settings, and type this into it."""

    def run(*arguments, typed="", **settings):
        app = make_app(**{**SANDBOX, **settings})
        return app.test_cli_runner().invoke(args=arguments, input=typed)

    return run


def answered(daraja, path, status, body):
    daraja.post_answers[path] = deque([Answer(status, raw(body))])


# -- flask initiator seal ------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "certificate.cer"
    path.write_bytes(keys.certificate())
    return path


def test_sealing_prints_the_credential_alone(flask, certificate):
    result = flask("initiator", "seal", f"--certificate={certificate}", typed="Safaricom999#\n")

    assert result.exit_code == 0
    assert result.stderr == ""
    assert keys.opened(result.stdout.removesuffix("\n")) == b"Safaricom999#"


def test_a_password_with_doubtful_signs_is_sealed_and_remarked_upon(flask, certificate):
    result = flask("initiator", "seal", f"--certificate={certificate}", typed="p@ss.word\r\n")

    assert keys.opened(result.stdout.strip()) == b"p@ss.word"
    assert "advises against" in result.stderr
    assert "p@ss.word" not in result.stderr


@pytest.mark.parametrize("typed", ["", "\n"])
def test_without_a_password_nothing_is_sealed(flask, certificate, typed):
    result = flask("initiator", "seal", f"--certificate={certificate}", typed=typed)

    assert (result.exit_code, result.stdout) == (1, "")


def test_a_file_that_is_no_certificate_is_told_in_one_line(flask, tmp_path):
    path = tmp_path / "other.cer"
    path.write_bytes(b"<html>")

    result = flask("initiator", "seal", f"--certificate={path}", typed="Safaricom999#\n")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: the file is no X.509 certificate, in PEM or DER\n"


def test_a_missing_file_is_named(flask, tmp_path):
    result = flask("initiator", "seal", f"--certificate={tmp_path / 'none'}", typed="x\n")

    assert result.exit_code == 2
    assert "--certificate" in result.stderr


# -- flask c2b register --------------------------------------------------------------------------


def test_registering_asks_first_and_hides_the_token(flask, daraja):
    result = flask("c2b", "register", typed="y\n")

    assert result.exit_code == 0
    assert "600999, v2" in result.output
    assert TOKEN not in result.output
    assert daraja.posts == [
        (
            REGISTER,
            {
                "ShortCode": "600999",
                "ResponseType": "Completed",
                "ConfirmationURL": f"https://pay.example.com/c2b/{TOKEN}/confirmation",
                "ValidationURL": f"https://pay.example.com/c2b/{TOKEN}/validation",
            },
        )
    ]


@pytest.mark.parametrize("typed", ["n\n", "", "\n"])
def test_without_a_yes_nothing_is_registered(flask, daraja, typed):
    assert flask("c2b", "register", typed=typed).exit_code == 1
    assert daraja.posts == []


def test_of_two_tokens_the_first_is_registered(flask, daraja):
    flask("c2b", "register", typed="y\n", C2B_TOKEN=f"{'ab' * 16} {TOKEN}", C2B_VERSION="v1")

    ((path, body),) = daraja.posts
    assert path == "/mpesa/c2b/v1/registerurl"
    assert "ab" * 16 in body["ConfirmationURL"]


def test_already_registered_says_what_it_means_and_what_to_do(flask, daraja):
    answered(daraja, REGISTER, 500, refusal("500.003.1001", "Urls are already registered"))

    result = flask("c2b", "register", typed="y\n")

    assert result.exit_code == 1
    assert "does not tell which" in result.stderr
    assert "URL Management" in result.stderr


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (refusal("401.002.01", "no apiproduct match found"), "C2B_VERSION chooses"),
        (refusal("500.003.1001", "System internal error."), "run this again"),
    ],
)
def test_a_refusal_says_what_to_do(flask, daraja, body, says):
    answered(daraja, REGISTER, int(body["errorCode"][:3]), body)

    result = flask("c2b", "register", typed="y\n")

    assert result.exit_code == 1
    assert says in result.stderr
    assert TOKEN not in result.output


def test_without_a_token_there_is_nothing_to_register(flask, daraja):
    result = flask("c2b", "register", typed="y\n", C2B_TOKEN="")

    assert result.exit_code == 1
    assert "C2B_TOKEN is not set" in result.stderr


def test_an_address_with_a_forbidden_word_is_not_even_asked_for(flask, daraja):
    result = flask("c2b", "register", typed="y\n", PUBLIC_URL="https://mpesa.example.com")

    assert result.exit_code == 1
    assert "PUBLIC_URL holds mpesa" in result.stderr
    assert daraja.posts == []


def test_the_sandboxs_own_short_code_is_remarked_upon(flask):
    result = flask("c2b", "register", typed="n\n", C2B_SHORTCODE="174379")

    assert "registers 600xxx" in result.output


# -- flask pull register -------------------------------------------------------------------------


def test_pull_is_registered_with_the_nominated_number(flask, daraja):
    answered(daraja, PULL, 200, {"Response Status": "1001"})

    result = flask("pull", "register")

    assert result.exit_code == 0
    ((path, body),) = daraja.posts
    assert path == PULL
    assert (body["ShortCode"], body["NominatedNumber"]) == ("600999", "254722000000")
    assert body["CallBackURL"] == "https://pay.example.com/c2b/pull/validation"


def test_pull_needs_its_number(flask, daraja):
    result = flask("pull", "register", PULL_NOMINATED_NUMBER="")

    assert result.exit_code == 1
    assert "PULL_NOMINATED_NUMBER is not set" in result.stderr
    assert daraja.posts == []


@pytest.mark.parametrize("error", [UnknownOutcome("cut"), NoAnswer("nothing")])
def test_pull_that_was_not_registered_says_what_may_be_missing(flask, daraja, error):
    daraja.post_answers[PULL] = deque([error])

    result = flask("pull", "register")

    assert result.exit_code == 1
    assert "Pull Transactions" in result.stderr
    assert "254722000000" not in result.output


# -- flask pull run --------------------------------------------------------------------------------

QUERY = "/pulltransactions/v1/query"


def pages(daraja, *answers):
    daraja.post_answers[QUERY] = deque(
        each if isinstance(each, Exception | Answer) else Answer(200, raw(each)) for each in answers
    )


def test_a_pull_says_what_was_told_and_how_far_it_reaches(flask, daraja):
    pages(daraja, pull_answer(pull_row(), pull_row(transactionId="UKO2GHIJKL")), pull_answer())

    result = flask("pull", "run")

    assert result.exit_code == 0
    assert result.stdout == "2 payments were told\nWithout a gap since 2026-11-22 12:00:00 EAT.\n"
    assert result.stderr == ""  # nobody watches a pipe


def test_on_a_terminal_it_shows_how_far_it_is(flask, daraja, monkeypatch):
    pages(daraja, pull_answer(pull_row()), pull_answer())
    monkeypatch.setattr("mpesa.cli.pull.is_watched", lambda: True)

    result = flask("pull", "run")

    assert "\r1 payments" in result.stderr


def test_a_pull_that_may_lack_something_says_so_and_fails(flask, daraja):
    pages(daraja, pull_answer(pull_row(), pull_row(transactionId="UKO0000000")), pull_answer())

    result = flask("pull", "run")

    assert result.exit_code == 1
    assert "1 rows cannot be read" in result.stderr
    assert "It may not be all" in result.stderr


def test_a_pull_that_failed_is_told_in_one_line(flask, daraja):
    pages(daraja, UnknownOutcome("unclear: HTTP 503"))

    result = flask("pull", "run")

    assert result.exit_code == 1
    assert result.stderr.startswith("Error: unclear: HTTP 503. What came before is kept")
    assert "254712345678" not in result.output


def test_without_its_number_there_is_nothing_to_pull(flask, daraja):
    result = flask("pull", "run", PULL_NOMINATED_NUMBER="")

    assert result.exit_code == 1
    assert "PULL_NOMINATED_NUMBER is not set" in result.stderr


# -- flask initiator go ----------------------------------------------------------------------------

STATUS = {
    "DARAJA_STATUS_INITIATOR": "asker",
    "DARAJA_STATUS_CREDENTIAL": base64.b64encode(b"s" * 256).decode(),
}


@pytest.fixture
def stopped(make_app):
    """An application whose status initiator is stopped, and two who work there."""
    app = make_app(**SANDBOX, **STATUS)
    hire(app, "amina", role=Role.MANAGER)
    hire(app, "baraka", role=Role.CLERK)
    with app.app_context():
        ours = services()
        user = ours.access.initiators.status()
        assert initiators.is_free(db.session(), Name.STATUS, user, ours.now())
        refused = parse_result(raw(answer(code="2001")))
        mark, now = initiators.mark_of(user), ours.now()
        initiators.note_answer(db.session(), Name.STATUS, refused, mark, now, now)
    return app


def go(app, name, password=PASSWORD, which="status"):
    command = ["initiator", "go", which, "--as", name]
    return app.test_cli_runner().invoke(args=command, input=f"{password}\n")


def test_a_manager_lets_it_be_used_again(stopped):
    result = go(stopped, "amina")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "is used again" in result.stdout
    again = go(stopped, "amina")
    assert (again.exit_code, again.stderr) == (1, "Error: it is not stopped; nothing was done\n")


@pytest.mark.parametrize(
    ("name", "password", "says"),
    [
        ("baraka", PASSWORD, "baraka is a clerk, and this takes a manager"),
        ("amina", "wrong", "the password is wrong"),
        ("nobody", PASSWORD, "the password is wrong"),
    ],
)
def test_nobody_else_does(stopped, name, password, says):
    result = go(stopped, name, password)

    assert result.exit_code == 1
    assert says in result.stderr
    assert "is used again" not in result.output


def test_only_the_two_can_be_named(stopped):
    assert go(stopped, "amina", which="root").exit_code == 2


def test_the_settings_of_these_tests_are_right():
    assert Settings.from_env(SANDBOX).c2b_token == (TOKEN,)

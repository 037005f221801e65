"""A form of the console that asks for password and code, as the pages of refunds do."""

import pyotp
import pytest
from flask import render_template_string

from mpesa import operators
from mpesa.domain.roles import Act
from mpesa.models import db
from mpesa.web.console import allowed
from mpesa.web.console.step_up import wrong_proof
from mpesa.web.http.services import services
from tests.web.console.steps import NAME, PASSWORD, logged_in, send
from tests.web.console.test_login import is_sent_to_login

LIST = "/console/transactions"
FORM = "{% from 'console/_macros.html' import proof_fields with context %}{{ proof_fields(wrong) }}"


@pytest.fixture
def manager(app, monkeypatch):
    """A browser of a manager without a second factor, in a console that has a form like that."""
    monkeypatch.setitem(allowed.NEEDS, "console.proof", Act.RELEASE_REFUND)

    @app.post("/console/proof", endpoint="console.proof")
    def proof():
        wrong = wrong_proof()
        return render_template_string(FORM, wrong=wrong) if wrong else "done"

    return logged_in(app)


@pytest.fixture
def totp(app, manager):
    """The app of that manager, who has logged in again since."""
    with app.app_context():
        key = services().settings.secret_key
        secret = operators.enrol(db.session(), NAME, key) or ""
    answer = manager.get("/console/login")
    assert answer.status_code == 200
    log_in_again(manager)
    return pyotp.TOTP(secret)


def log_in_again(browser):
    send(browser, "/console/login", on="/console/login", name=NAME, password=PASSWORD)


def prove(browser, code, password=PASSWORD):
    return send(browser, "/console/proof", password=password, code=code)


def test_password_and_code_let_a_form_through(manager, totp, clock):
    assert prove(manager, totp.at(clock())).text == "done"


def test_what_is_wrong_is_said_beside_the_fields_in_the_same_words(manager, totp, clock):
    wrong = "The password or the code is wrong, or the code was used before."

    code = prove(manager, "000000").text
    password = prove(manager, totp.at(clock()), PASSWORD + "x").text

    assert wrong in code
    assert code == password
    assert 'autocomplete="one-time-code"' in code


def test_who_has_no_second_factor_is_told_how_to_get_one(manager):
    answer = prove(manager, "123456")

    assert "You have no second factor" in answer.text
    assert f"flask operators totp {NAME}" in answer.text


def test_the_fifth_wrong_try_logs_the_manager_out(manager, totp):
    for _ in range(4):
        prove(manager, "000000")

    answer = prove(manager, "000000")

    assert answer.status_code == 403
    assert "You are logged out" in answer.text
    assert "the next one is looked at in 15 minutes" in answer.text
    assert is_sent_to_login(manager.get(LIST))


def test_a_new_login_does_not_make_more_tries(manager, totp, clock):
    for _ in range(5):
        prove(manager, "000000")
    log_in_again(manager)

    answer = prove(manager, totp.at(clock()))

    assert answer.status_code == 403
    assert is_sent_to_login(manager.get(LIST))


def test_no_secret_is_in_a_log_or_a_page(manager, totp, clock, log_lines):
    code = totp.at(clock())
    pages = [prove(manager, code, PASSWORD + "x").text, prove(manager, code).text]

    written = str(log_lines) + "".join(pages)
    assert "proved it with password and code" in written
    assert not any(each in written for each in (PASSWORD, code, totp.secret))

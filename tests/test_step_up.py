"""An operator who proves once more, with password and code, who asks for what moves money."""

import threading
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import func, select

from mpesa import operators
from mpesa.domain.roles import Role
from mpesa.models import OperatorSession, StepUp, db
from tests.conftest import on_both

NAME, PASSWORD = "wanjiku", "correct horse battery"
SECRET_KEY = "a secret key of this test"


@pytest.fixture
def totp(session, clock):
    """The app of an operator."""
    operators.add(session, NAME, PASSWORD, clock(), Role.MANAGER)
    return pyotp.TOTP(operators.enrol(session, NAME, SECRET_KEY) or "")


@pytest.fixture
def prove(session, clock):
    """Try once; returns the refusal, None if it was right."""

    def prove(code, password=PASSWORD, name=NAME, secret_key=SECRET_KEY):
        try:
            operators.step_up(session, name, password, code, clock(), secret_key=secret_key)
        except operators.NotProven as refusal:
            return refusal
        return None

    return prove


def logins(session):
    return session.scalar(select(func.count()).select_from(OperatorSession))


@on_both
def test_password_and_code_prove_it(totp, prove, clock):
    assert prove(totp.at(clock())) is None


@pytest.mark.parametrize(
    "wrong",
    [{"password": PASSWORD + "x"}, {"password": ""}, {"name": "nobody"}, {"name": "NO BODY!"}],
)
def test_a_right_code_does_not_make_up_for_the_rest(totp, prove, clock, wrong):
    assert type(prove(totp.at(clock()), **wrong)) is operators.WrongPasswordOrCode


@pytest.mark.parametrize("code", ["", "000000", "abcdef", "0" * 5000])
def test_a_right_password_does_not_make_up_for_the_code(totp, prove, code):
    assert type(prove(code)) is operators.WrongPasswordOrCode


@on_both
def test_a_code_counts_once(totp, prove, clock):
    code = totp.at(clock())

    assert prove(code) is None
    assert type(prove(code)) is operators.WrongPasswordOrCode


def test_each_of_the_three_codes_that_count_does_so_once(totp, prove, clock):
    codes = [totp.at(clock() + off * timedelta(seconds=30)) for off in (1, -1, 0)]

    assert [prove(code) for code in codes] == [None, None, None]
    assert all(prove(code) for code in codes)


def test_a_code_is_used_up_whatever_the_clock_does(totp, prove, clock):
    code = totp.at(clock())
    prove(code)

    clock.step(days=2)
    prove(totp.at(clock()))
    clock.step(days=-2)

    assert type(prove(code)) is operators.WrongPasswordOrCode
    clock.pass_(seconds=30)
    assert prove(totp.at(clock())) is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.postgres
def test_the_same_code_at_the_same_moment_counts_once(app, totp, clock):
    code, begun, outcomes = totp.at(clock()), threading.Barrier(3), []

    def prove():
        with app.app_context():
            begun.wait()
            try:
                operators.step_up(
                    db.session(), NAME, PASSWORD, code, clock(), secret_key=SECRET_KEY
                )
                outcomes.append(True)
            except operators.WrongPasswordOrCode:
                outcomes.append(False)

    at_once = [threading.Thread(target=prove) for _ in range(3)]
    for each in at_once:
        each.start()
    for each in at_once:
        each.join()

    assert sorted(outcomes) == [False, False, True]


def test_who_has_no_second_factor_is_told_so_after_the_right_password_only(session, prove, clock):
    operators.add(session, NAME, PASSWORD, clock())

    assert type(prove("123456")) is operators.NoSecondFactor
    assert type(prove("123456", PASSWORD + "x")) is operators.WrongPasswordOrCode


def test_under_another_secret_key_there_is_no_second_factor(totp, prove, clock):
    refusal = prove(totp.at(clock()), secret_key=SECRET_KEY + "x")

    assert type(refusal) is operators.NoSecondFactor


def test_a_new_second_factor_ends_the_old_one_and_the_logins(session, totp, prove, clock):
    operators.log_in(session, NAME, PASSWORD, "192.0.2.1", clock())

    new = pyotp.TOTP(operators.enrol(session, NAME, SECRET_KEY) or "")

    assert logins(session) == 0
    assert type(prove(totp.at(clock()))) is operators.WrongPasswordOrCode
    assert prove(new.at(clock())) is None


# -- guessing ------------------------------------------------------------------------------------


@on_both
def test_the_fifth_wrong_try_in_a_quarter_of_an_hour_ends_the_logins(session, totp, prove, clock):
    operators.log_in(session, NAME, PASSWORD, "192.0.2.1", clock())
    refusals = []
    for _ in range(5):
        refusals.append(prove("000000"))
        clock.pass_(minutes=3)

    assert [type(each) for each in refusals[:4]] == 4 * [operators.WrongPasswordOrCode]
    assert refusals[4] == operators.TooManyWrong(3 * 60)
    assert logins(session) == 0


def test_four_wrong_tries_end_nothing_and_are_forgotten(session, totp, prove, clock):
    operators.log_in(session, NAME, PASSWORD, "192.0.2.1", clock())
    for _ in range(3):
        for _ in range(4):
            prove("000000")
        clock.pass_(minutes=15)

    assert logins(session) == 1
    assert prove(totp.at(clock())) is None
    assert session.scalar(select(func.count()).where(StepUp.step.is_(None))) == 0


def test_wrong_passwords_count_like_wrong_codes(totp, prove, clock):
    for _ in range(5):
        prove(totp.at(clock()), PASSWORD + "x")

    assert type(prove(totp.at(clock()))) is operators.TooManyWrong


def test_while_too_much_was_wrong_a_right_try_is_not_looked_at(totp, prove, clock):
    for _ in range(5):
        prove("000000")

    assert prove(totp.at(clock())) == operators.TooManyWrong(900)
    clock.pass_(minutes=14, seconds=59)
    assert prove(totp.at(clock())) == operators.TooManyWrong(1)
    clock.pass_(seconds=1)
    assert prove(totp.at(clock())) is None


def test_tries_of_a_clock_that_was_ahead_count_a_quarter_of_an_hour_and_no_longer(
    totp, prove, clock
):
    clock.step(hours=5)
    for _ in range(5):
        prove("000000")
    clock.step(hours=-5)

    assert prove(totp.at(clock())) == operators.TooManyWrong(900)
    clock.pass_(minutes=15)
    assert prove(totp.at(clock())) is None


def test_anothers_wrong_tries_count_for_nobody_else(session, totp, prove, clock):
    operators.add(session, "otieno", PASSWORD, clock())
    for _ in range(5):
        prove("000000", name="otieno")

    assert prove(totp.at(clock())) is None

"""Giving money back in the console: one person asks, another releases."""

import pyotp
import pytest

from mpesa import operators
from mpesa.domain.refund import Event, RefundStatus
from mpesa.domain.roles import Role
from mpesa.models import db
from mpesa.web.console.refunds import STEPS, WORDS
from mpesa.web.http.services import services
from tests.factories import RECEIPT
from tests.web.console.steps import PASSWORD, hire, logged_in, send, try_login

ASK = f"/console/receipts/{RECEIPT}/refund"


@pytest.fixture
def paid(shop):
    push = shop.attempt()
    shop.callback(1, shop.paid())
    return push


@pytest.fixture
def clerk(app):
    return logged_in(app, "amina", Role.CLERK)


@pytest.fixture
def secret(app):
    """What the manager's authenticator was given."""
    hire(app, "baraka", role=Role.MANAGER)
    with app.app_context():
        return operators.enrol(db.session(), "baraka", services().settings.secret_key)


@pytest.fixture
def manager(app, secret):
    client = app.test_client()
    assert try_login(client, "baraka").status_code == 303
    return client


@pytest.fixture
def code(secret, clock):
    return pyotp.TOTP(secret).at(clock())


def asked(clerk):
    answer = send(clerk, ASK, on=ASK, reason="paid twice")
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_one_person_asks_and_another_releases(paid, clerk, manager, code):
    page = asked(clerk)
    assert "Release it?" not in clerk.get(page).text

    shown = manager.get(page).text
    released = send(manager, f"{page}/release", on=page, password=PASSWORD, code=code)

    assert "KES 150" in shown
    assert "KES 50,000 of KES 50,000" in shown
    assert released.status_code == 303
    assert "Released" in manager.get(page).text


def test_without_the_code_nothing_is_released(paid, clerk, manager, code):
    page = asked(clerk)
    refused = send(manager, f"{page}/release", on=page, password=PASSWORD, code="000000")

    assert refused.status_code == 409
    assert "The password or the code is wrong" in refused.text
    assert "Waits for a release" in manager.get(page).text


def test_who_asked_does_not_release(paid, manager, code):
    page = asked(manager)

    assert "another person releases it" in manager.get(page).text
    refused = send(
        manager, f"{page}/release", on="/console/refunds", password=PASSWORD,
        code=code,
    )  # fmt: skip
    assert refused.status_code == 409


@pytest.mark.parametrize("act", ["release", "refuse", "end"])
def test_a_clerk_releases_refuses_and_ends_nothing(shop, paid, clerk, act):
    page = asked(clerk)

    refused = send(clerk, f"{page}/{act}", on=ASK, password=PASSWORD, code="000000", back="yes")

    assert refused.status_code == 403


def test_a_manager_refuses(paid, clerk, manager):
    page = asked(clerk)

    assert send(manager, f"{page}/refuse", on=page).status_code == 303

    assert "Refused" in manager.get(page).text
    assert RECEIPT in manager.get("/console/refunds").text


def test_a_payment_leads_to_its_refund(paid, clerk):
    before = clerk.get(f"/console/transactions/{paid}").text
    page = asked(clerk)
    after = clerk.get(f"/console/transactions/{paid}").text

    assert ASK in before
    assert page in after
    assert send(clerk, ASK, on=ASK, reason="once more").headers["Location"] == page


def test_a_reason_is_needed(paid, clerk):
    answer = send(clerk, ASK, on=ASK, reason="x")

    assert answer.status_code == 409
    assert "2 to 100 characters" in answer.text


def test_what_waits_is_counted_beside_the_menu(paid, clerk, manager):
    asked(clerk)

    assert 'data-live="waiting-refunds">1<' in manager.get("/console/").text


def test_there_is_no_such_refund(manager):
    assert manager.get("/console/refunds/nonsense").status_code == 404
    assert manager.get("/console/receipts/UKO0NOTHER/refund").status_code == 404


def test_each_state_and_each_step_has_a_word():
    assert set(WORDS) == set(RefundStatus)
    assert set(STEPS) == set(Event)

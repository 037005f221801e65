"""Review: what happened, what to do, named answers, and on to the next case."""

import re
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import pytest
from sqlalchemy import event

from mpesa.domain.roles import Role
from mpesa.models import db
from mpesa.web.console import decisions
from mpesa.web.console.act_kinds import ACTS
from mpesa.web.console.advice import ADVICE
from tests.factories import SECOND_PAYER, failure_callback, raw, success_callback
from tests.web.console.steps import hidden, logged_in
from tests.web.steps import call_back, pushed, status_of

REVIEW = "/console/review"
GUIDE = Path(__file__).parents[3] / "docs" / "operator.md"


@pytest.fixture
def payment(client, make_order):
    return pushed(client, make_order())["transaction_id"]


@pytest.fixture
def doubtful(client, daraja, payment):
    """A payment whose report gives another amount."""
    ids = daraja.checkout_id(1), daraja.merchant_id(1)
    call_back(client, daraja, 1, raw(success_callback(*ids, amount=1, receipt="UKO9ABCDEF")))
    return payment


def pressed(browser, says, **typed):
    """Press a named answer of the first case; the page that asks once more."""
    page = browser.get(REVIEW).text
    [form] = re.findall(r'<form class="answers".*?</form>', page, re.DOTALL)[:1]
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))
    button = rf'name="reason" value="({re.escape(says)})" formaction="([^"]+)"'
    reason, address = re.search(button, unescape(form)).groups()
    return browser.post(address, data=fields | {"reason": reason} | typed)


def confirmed(browser, asked):
    assert asked.status_code == 200, asked.text
    address = re.search(r'action="([^"]+/confirm)"', asked.text)[1]
    return browser.post(address, data=hidden(asked.text), follow_redirects=True)


def test_a_case_says_what_to_do_and_fills_in_the_receipt_that_is_known(operator, client, doubtful):
    page = unescape(operator.get(REVIEW).text)
    done = confirmed(operator, pressed(operator, "It is on the statement"))

    assert "Don't believe the report. Ask M-PESA, then look for amount and time" in page
    assert "Nothing is left in Review." in done.text
    assert done.request.path == REVIEW
    snapshot = status_of(client, doubtful)
    assert (snapshot["status"], snapshot["receipt"]) == ("SUCCESS", "UKO9ABCDEF")


def test_the_code_that_the_shopper_typed_is_filled_in(operator, client, daraja, payment):
    call_back(client, daraja, 1, raw(failure_callback("ws_CO_1", "2")))
    client.post("/sms-code", json={"tx_id": payment, "code": "UKO7ABCDEF"})

    asked = pressed(operator, "It is on the statement")

    assert "<b>UKO7ABCDEF</b>" in asked.text


def test_an_answer_leads_to_the_next_case(operator, client, clock, daraja, make_order, doubtful):
    clock.pass_(seconds=1)
    pushed(client, make_order(), SECOND_PAYER)
    call_back(client, daraja, 2, raw(failure_callback("ws_CO_1", "2")))

    done = confirmed(operator, pressed(operator, "It is not on the statement"))

    assert "Back in Review, 1 left." in done.text
    assert status_of(client, doubtful)["reason"] == "closed_by_operator"


def test_an_answer_to_what_has_changed_meanwhile_does_nothing(operator, client, daraja, doubtful):
    asked = pressed(operator, "It is on the statement", mark="1.1.1")

    assert asked.status_code == 409
    assert status_of(client, doubtful)["status"] == "PENDING"


def test_a_clerk_is_told_which_answer_takes_a_manager(app, doubtful):
    page = logged_in(app, role=Role.CLERK).get(REVIEW).text

    assert "“It is on the statement” takes another role: manager." in page
    assert 'value="It is not on the statement"' in page
    assert 'value="It is on the statement"' not in page


def test_money_that_came_twice_names_both_receipts(app, operator, client, daraja, make_order):
    order = make_order()
    first = pushed(client, order)["transaction_id"]
    call_back(
        client, daraja, 1, raw(failure_callback(daraja.checkout_id(1), daraja.merchant_id(1), 1032))
    )
    second = pushed(client, order)["transaction_id"]
    for number, receipt in ((2, "UKO2ABCDEF"), (1, "UKO1ABCDEF")):
        ids = daraja.checkout_id(number), daraja.merchant_id(number)
        call_back(client, daraja, number, raw(success_callback(*ids, receipt=receipt)))

    page = operator.get(REVIEW).text
    done = confirmed(operator, pressed(operator, "Used for another order"))

    assert "Paid twice. Give one of the two back: UKO2ABCDEF or UKO1ABCDEF." in page
    assert 'value="I gave KES 150 back"' in page
    assert "Nothing is left in Review." in done.text
    assert {status_of(client, each)["status"] for each in (first, second)} == {"SUCCESS"}


def test_of_money_by_hand_that_came_twice_no_list_is_empty(shop, operator):
    order = shop.order()
    shop.by_hand(order)
    code = shop.order_row(order).pay_code
    for receipt in ("UKO1ABCDEF", "UKO2ABCDEF"):
        shop.confirm(code, receipt=receipt)

    page = operator.get(REVIEW).text

    assert "Paid twice. Give one of the two back: UKO1ABCDEF or UKO2ABCDEF." in page
    assert "A receipt was given to it, 24 Nov, 12:00:00" in page
    assert page.count("<dl>") == 1


def test_every_doubt_has_advice_whose_answers_are_acts():
    assert set(ADVICE) == set(decisions.DOUBTS)
    assert {each.act for advice in ADVICE.values() for each in advice.answers} < set(ACTS)


def test_the_guide_of_the_console_and_the_operators_guide_give_the_same_advice(operator):
    page = unescape(operator.get("/console/guide").text)
    document = GUIDE.read_text()

    for advice in set(ADVICE.values()):
        assert str(advice.do) in page
        assert f"| {advice.do} |" in document


@contextmanager
def counted(app):
    """How many SELECTs are sent meanwhile."""
    with app.app_context():
        engine = db.engine
    sent = []

    def note(_c, _cursor, statement, *_):
        if statement.lstrip().startswith("SELECT"):
            sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_more_cases_take_no_more_statements(app, operator, client, daraja, make_order, doubtful):
    with counted(app) as one:
        operator.get(REVIEW)
    for number in (2, 3, 4):
        pushed(client, make_order(), f"072200000{number}")
        call_back(client, daraja, number, raw(failure_callback("ws_CO_1", "2")))
    with counted(app) as four:
        page = operator.get(REVIEW).text

    assert page.count('class="sheet case"') == 4
    assert len(four) == len(one)

"""Every route of the console, every role, every method: who may do what, and what they see."""

import re

import pytest

from mpesa.domain.roles import LEAST, Role, may
from mpesa.web.console import allowed
from mpesa.web.console.act_kinds import ACTS, RECEIPT_ACTS
from tests.factories import PAYER
from tests.web.console.steps import act, logged_in, send, with_technical_details
from tests.web.steps import fail, pushed

LIST = "/console/transactions"
NOBODY = "A" * 22
# What goes into an address where it varies: ids of nothing, and each act of its own.
PARTS = {
    "transaction_id": NOBODY,
    "message_id": NOBODY,
    "refund_id": NOBODY,
    "receipt": "UKO0NOTHER",
    "initiator": "status",
    "file_id": NOBODY,
    "day": "2026-11-23",
    "which": "charges",
}


def console_rules(app):
    return [
        rule
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/console") and rule.endpoint not in allowed.WITHOUT_A_ROLE
    ]


def calls(app):
    """Every method of every route, each act by itself: method, address, act needed."""
    adapter = app.url_map.bind("localhost")
    for rule in console_rules(app):
        acts = RECEIPT_ACTS if "receipt" in rule.arguments else ACTS
        for name in sorted(acts) if "act" in rule.arguments else [None]:
            varies = {**PARTS, "act": name}
            values = {each: varies[each] for each in rule.arguments}
            for method in sorted(rule.methods - {"OPTIONS"}):
                address = adapter.build(rule.endpoint, values, method=method)
                yield method, address, allowed.needed(rule.endpoint, values)


def test_every_route_of_the_console_has_what_it_takes_and_no_other_is_named(app):
    assert {rule.endpoint for rule in console_rules(app)} == set(allowed.NEEDS)


@pytest.mark.parametrize("role", Role)
def test_a_role_opens_what_it_is_enough_for_whatever_the_method(app, role):
    browser = logged_in(app, role=role)
    token = hidden_token(browser)

    opened = {
        (method, address): browser.open(
            address, method=method, data={"csrf_token": token} if method == "POST" else None
        ).status_code
        for method, address, _act in calls(app)
    }

    assert len(opened) > 25
    for method, address, needs in calls(app):
        assert (opened[method, address] == 403) is not may(role, needs), (method, address)
        assert opened[method, address] < 500, (method, address)


def hidden_token(browser):
    return re.search(r'name="csrf_token" value="([^"]+)"', browser.get(LIST).text)[1]


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("ask", Role.CLERK),
        ("not-paid", Role.CLERK),
        ("settle", Role.CLERK),
        ("paid", Role.MANAGER),
    ],
)
def test_marking_as_paid_takes_a_manager_and_the_other_acts_a_clerk(name, least):
    assert LEAST[ACTS[name].needs] is least


def test_who_may_not_is_told_so_in_words_and_nothing_happens(app, client, make_order, log_lines):
    payment = pushed(client, make_order())["transaction_id"]
    clerk = logged_in(app, role=Role.CLERK)

    answer = clerk.get(f"{LIST}/{payment}/paid")

    assert answer.status_code == 403
    assert "Your role is: clerk. This takes: manager. Nothing was done." in answer.text
    assert "wanjiku, a clerk, was refused what takes a manager: mark_paid" in [
        line["message"] for line in log_lines
    ]


def test_a_role_that_is_taken_away_is_gone_with_the_next_request(app, client, make_order):
    payment = pushed(client, make_order())["transaction_id"]
    manager = logged_in(app, "otieno")
    logged_in(app, "wanjiku")

    app.test_cli_runner().invoke(args=["operators", "role", "otieno", "viewer"])

    assert manager.get(f"{LIST}/{payment}").status_code == 200
    assert manager.get(f"{LIST}/{payment}/paid").status_code == 403
    assert "viewer" in manager.get(LIST).text


@pytest.mark.parametrize(
    ("role", "verbs"),
    [
        (Role.VIEWER, set()),
        (Role.CLERK, {"Ask M-PESA now…", "Mark as not paid…", "Show the number"}),
        (
            Role.MANAGER,
            {"Ask M-PESA now…", "Mark as not paid…", "Mark as paid…", "Show the number"},
        ),
    ],
)
def test_a_page_offers_only_what_one_may_do(app, client, make_order, role, verbs):
    payment = pushed(client, make_order())["transaction_id"]

    page = logged_in(app, role=role).get(f"{LIST}/{payment}").text

    every = {str(each.verb) for each in ACTS.values()} | {"Show the number"}
    assert {verb for verb in every if verb in page} == verbs


def test_a_clerk_does_what_a_clerk_may(app, client, make_order):
    payment = pushed(client, make_order())["transaction_id"]
    clerk = logged_in(app, role=Role.CLERK)

    answer = act(clerk, payment, "not-paid", reason="Not on the statement")

    assert answer.status_code == 303


# -- a viewer sees nobody ------------------------------------------------------------------------


def test_a_viewer_reads_no_raw_message_and_a_clerk_does(app, client, daraja, make_order):
    payment = pushed(client, make_order())["transaction_id"]
    fail(client, daraja, 1032)

    seen = {
        role: with_technical_details(logged_in(app, name, role)).get(f"{LIST}/{payment}").text
        for name, role in (("amina", Role.VIEWER), ("otieno", Role.CLERK))
    }

    assert "Raw body" not in seen[Role.VIEWER]
    assert "Raw body" in seen[Role.CLERK]


def test_a_viewer_finds_nobody_by_a_number(app, client, make_order):
    """Or masked numbers could be tried out, one after the other, until they are whole."""
    pushed(client, make_order())
    viewer, clerk = logged_in(app, "amina", Role.VIEWER), logged_in(app, "otieno", Role.CLERK)

    found = viewer.get(send(viewer, LIST, q=PAYER).headers["Location"]).text
    assert "No payment fits" in found
    assert "data-transaction" not in found
    assert "line_of=" in send(clerk, LIST, q=PAYER).headers["Location"]


def test_what_a_viewer_takes_as_csv_is_masked(app, client, make_order):
    pushed(client, make_order())

    lines = logged_in(app, role=Role.VIEWER).get(f"{LIST}.csv").text

    assert "•••" in lines
    assert PAYER[1:] not in lines

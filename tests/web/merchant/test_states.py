"""The published table of states says what the domain decides, of every state that there is."""

import pytest

from mpesa.domain.attempt import OrderStatus
from mpesa.domain.result_codes import RULES, Reason, Status
from mpesa.domain.view import Money, Said
from mpesa.web.merchant import examples, states
from tests.domain.test_view import every_say

BY_REASON = [row for status in Status for row in states.of_status(status)]
ROWS = [*states.of_any_reason(), *BY_REASON]


def test_every_reason_stands_in_the_table_of_its_status_alone():
    shown = [row.reason for row in BY_REASON]

    assert set(shown) == set(Reason)
    assert {row.reason for row in states.of_status(Status.FAILED)} == set(RULES)


def test_whatever_the_domain_says_is_a_row_of_the_table():
    """A failure that a query alone has told of has the words of its reason, with money unknown."""
    table = {row.said for row in ROWS}
    by_query = {
        Said(row.said.view, Money.UNKNOWN, row.said.next) for row in states.of_status(Status.FAILED)
    }

    said = {each for _order, _attempt, each in every_say()}

    assert said <= table | by_query
    assert {(each.view, each.money, each.next) for each in table | by_query} == set(states._DO)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.reason or ''} {row.when}".strip())
def test_every_row_says_what_a_client_does(row):
    assert row.advice.endswith(".")


def test_the_words_of_a_reason_are_those_of_an_order_that_can_be_paid():
    shown = {(row.reason, row.said) for row in BY_REASON}

    for order, attempt, said in every_say():
        alone = order is OrderStatus.OPEN and said.next != "cancel_prompt"
        usual = attempt.status is not Status.FAILED or attempt.final == RULES[attempt.reason].final
        if alone and usual and not attempt.failed_by_query:
            assert (attempt.reason, said) in shown


def test_the_recorded_snapshots_are_rows_of_the_table():
    recorded = list(snapshots(examples.recorded("https://pay.example")["operations"]))
    words = {(row.said.view, row.said.money, row.said.next) for row in ROWS}

    assert recorded
    for each in recorded:
        assert (each["view"], each["money"], each["next"]) in words


def snapshots(told):
    """Every snapshot within what was recorded."""
    if isinstance(told, dict) and "view" in told:
        yield told
    for each in told.values() if isinstance(told, dict) else told if isinstance(told, list) else ():
        yield from snapshots(each)


def test_the_page_shows_every_row_and_the_schema_of_a_snapshot_leads_there(client):
    page = client.get("/docs/api").text

    assert page.count('<th scope="row">') == len(ROWS)
    assert 'href="#states"' in page[page.index('id="Snapshot"') :]

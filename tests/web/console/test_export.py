"""GET /console/transactions.csv: the list as a file, for operators."""

import csv
import io
import logging

import pytest

from tests.web.console.steps import NAME, hire, logged_in
from tests.web.steps import pushed

DAY = "/console/transactions.csv?from=2026-11-24&to=2026-11-24"


@pytest.fixture
def operator(app):
    """An operator's browser."""
    hire(app)
    return logged_in(app)


def test_a_guest_gets_no_file(client):
    answer = client.get(DAY)

    assert answer.status_code == 303
    assert "/console/login" in answer.headers["Location"]


def test_an_operator_gets_the_day_with_masked_numbers(client, operator, make_order):
    transaction = pushed(client, make_order())["transaction_id"]

    answer = operator.get(DAY)

    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert answer.mimetype == "text/csv"
    assert (line["transaction_id"], line["phone"]) == (transaction, "0712•••678")
    assert "transactions-2026-11-24-2026-11-24.csv" in answer.headers["Content-Disposition"]


def test_without_days_it_is_today(client, operator, make_order):
    pushed(client, make_order())

    assert operator.get("/console/transactions.csv").text == operator.get(DAY).text


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "24.11.2026"])
def test_a_day_that_is_none_is_refused(operator, day):
    assert operator.get(f"/console/transactions.csv?from={day}").status_code == 400


def test_who_took_it_is_written_down(operator, caplog):
    with caplog.at_level(logging.INFO, "mpesa.web.console.export"):
        operator.get(DAY)

    assert NAME in caplog.text

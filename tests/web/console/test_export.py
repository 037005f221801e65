"""GET /console/transactions.csv: the list as a file, for operators."""

import csv
import io
import logging

import pytest

from mpesa import receipts
from mpesa.domain.roles import Role
from mpesa.models import db
from mpesa.web.http.services import receipt_needs
from tests.factories import RECEIPT, confirmation, raw
from tests.web.console.steps import NAME, hire, logged_in
from tests.web.steps import call_back, pushed

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


@pytest.mark.parametrize("kind", ["transactions", "receipts"])
@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-13-01", "period=x", "from=2026-11-24&to=2026-11-23"]
)
def test_a_period_that_is_none_is_refused(operator, kind, query):
    assert operator.get(f"/console/{kind}.csv?{query}").status_code == 400


def test_who_took_it_is_written_down(operator, caplog):
    with caplog.at_level(logging.INFO, "mpesa.web.console.export"):
        operator.get(DAY)

    assert NAME in caplog.text


def test_an_operator_gets_the_receipts_of_a_period(client, operator, daraja, make_order):
    pushed(client, make_order())
    call_back(client, daraja, 1)

    answer = operator.get("/console/receipts.csv?period=month")

    (line,) = csv.DictReader(io.StringIO(answer.text))
    assert (line["receipt"], line["phone"]) == (RECEIPT, "0712•••678")
    assert "receipts-2026-11-01-2026-11-24.csv" in answer.headers["Content-Disposition"]


def test_a_viewer_gets_no_account_that_may_be_a_name(app, operator):
    with app.app_context():
        body = raw(confirmation("JANE"))
        receipts.receive(db.session(), body, "196.201.212.69", receipt_needs())
    viewer = logged_in(app, "viewer", role=Role.VIEWER)

    (seen,) = csv.DictReader(io.StringIO(viewer.get("/console/receipts.csv").text))
    (known,) = csv.DictReader(io.StringIO(operator.get("/console/receipts.csv").text))

    assert (seen["account"], known["account"]) == ("•••", "JANE")

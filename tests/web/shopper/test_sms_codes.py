"""POST /sms-code: the receipt that a shopper typed out of an SMS, kept and never believed."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import select

from mpesa.models import EvidenceRow, Transaction, db
from tests.conftest import on_both
from tests.factories import RECEIPT, SECOND_PAYER
from tests.shop import at_once
from tests.web.http.test_senders import new_order
from tests.web.steps import problem, pushed, rows, status_of


def send(client, transaction_id, code=RECEIPT, **more):
    return client.post("/sms-code", json={"tx_id": transaction_id, "code": code}, **more)


@pytest.fixture
def transaction_id(client, make_order):
    return pushed(client, make_order())["transaction_id"]


def test_a_code_is_kept_and_answered_with_the_snapshot(client, app, transaction_id):
    before = rows(app)

    answer = send(client, transaction_id)

    assert answer.status_code == 202
    assert answer.get_json() == status_of(client, transaction_id)
    assert rows(app)[2] == before[2] + 1


def test_a_code_is_believed_by_nobody(client, transaction_id):
    send(client, transaction_id)

    snapshot = status_of(client, transaction_id)
    assert (snapshot["status"], snapshot["receipt"]) == ("PENDING", None)
    assert snapshot["order_status"] == "OPEN"


@pytest.mark.parametrize("code", [" uko1abcdef ", "UKO1ABCDEF\n"])
def test_a_code_may_be_typed_in_small_letters_and_with_blanks(client, transaction_id, code):
    assert send(client, transaction_id, code).status_code == 202


TYPED = json.loads((Path(__file__).parents[2] / "cases" / "sms_codes.json").read_text())
FOUND = [(each["typed"], each["read"]) for each in TYPED if each["read"]]
CODES = [
    *(each["typed"] for each in TYPED if not each["read"]),
    None,
    1234567890,
    True,
    ["UKO1ABCDEF"],
    {},
]


@pytest.mark.parametrize(("typed", "code"), FOUND, ids=range(len(FOUND)))
def test_the_code_is_kept_out_of_whatever_was_pasted(client, app, transaction_id, typed, code):
    assert send(client, transaction_id, typed).status_code == 202

    with app.app_context():
        kept = select(EvidenceRow.body).where(EvidenceRow.kind == "sms_code")
        assert db.session.scalars(kept).all() == [code.encode()]


@pytest.mark.parametrize("code", CODES, ids=map(ascii, CODES))
def test_what_is_no_code_is_refused_at_its_field(client, app, transaction_id, code):
    before = rows(app)

    problem(send(client, transaction_id, code), 400, "invalid_request", "code")
    assert rows(app) == before


@pytest.mark.parametrize("tx_id", ["", None, 7, ["x"], {}])
def test_a_transaction_id_that_is_no_text_is_refused_at_its_field(client, tx_id):
    problem(send(client, tx_id), 400, "invalid_request", "tx_id")


@pytest.mark.parametrize("tx_id", ["A" * 22, "nope", "\0" * 22])
def test_an_unknown_transaction_is_not_found(client, tx_id):
    problem(send(client, tx_id), 404, "transaction_not_found")


def test_the_sixth_code_in_an_hour_is_told_when_to_come_back(client, app, transaction_id, clock):
    for _ in range(5):
        assert send(client, transaction_id).status_code == 202
        clock.pass_(minutes=1)
    before = rows(app)

    answer = send(client, transaction_id)

    problem(answer, 429, "rate_limited")
    assert int(answer.headers["Retry-After"]) == 55 * 60
    assert rows(app) == before


def test_an_hour_later_a_code_is_taken_again(client, transaction_id, clock):
    for _ in range(5):
        send(client, transaction_id)
    clock.pass_(hours=1)

    assert send(client, transaction_id).status_code == 202


def test_the_codes_of_one_payer_do_not_limit_another(client, make_order, transaction_id):
    other = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]
    for _ in range(5):
        send(client, transaction_id)

    assert send(client, other).status_code == 202


def test_a_form_gets_the_snapshot_too(client, transaction_id):
    for accept in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        answer = client.post(
            "/sms-code", data={"tx_id": transaction_id, "code": RECEIPT}, headers=accept
        )

        assert answer.status_code == 202
        assert answer.get_json() == status_of(client, transaction_id)


def test_a_browsers_form_is_sent_to_the_page(client, make_order):
    order_id = make_order()
    transaction_id = pushed(client, order_id)["transaction_id"]

    answer = client.post(
        "/sms-code",
        data={"tx_id": transaction_id, "code": RECEIPT},
        headers={"Accept": "text/html,*/*;q=0.8"},
    )

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/checkout/{order_id}"


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "*/*", None])
def test_a_wrong_code_in_a_form_comes_back_in_the_checkout_page(client, make_order, accept):
    order_id = make_order()
    transaction_id = pushed(client, order_id)["transaction_id"]

    answer = client.post(
        "/sms-code",
        data={"tx_id": transaction_id, "code": "x"},
        headers={"Accept": accept} if accept else {},
    )

    assert (answer.status_code, answer.mimetype) == (400, "text/html")
    assert f'data-order="{order_id}"' in answer.text
    assert "The code has ten letters and digits" in answer.text
    # Loaded again, this address would be a 405, and what was typed would be gone.
    assert "http-equiv" not in answer.text
    assert 'id="reload"' not in answer.text


def test_a_wrong_code_in_a_form_that_asks_for_json_gets_json(client, transaction_id):
    form = {"tx_id": transaction_id, "code": "x"}

    answer = client.post("/sms-code", data=form, headers={"Accept": "application/json"})

    problem(answer, 400, "invalid_request", "code")


def test_another_content_type_is_refused(client):
    answer = client.post("/sms-code", data=b"x", content_type="text/plain")

    problem(answer, 415, "unsupported_media_type")


@on_both
def test_of_many_codes_at_once_five_are_taken(app, client, transaction_id):
    before = rows(app)

    answers = at_once([lambda: send(app.test_client(), transaction_id)] * 12)

    assert Counter(each.status_code for each in answers) == {202: 5, 429: 7}
    assert rows(app)[2] == before[2] + 5


def test_an_address_that_types_codes_too_often_is_told_when_to_come_back(make_app, daraja):
    app = make_app(STK_PUSH_LIMIT_PER_IP="3/minute")
    client = app.test_client()
    ids = [pushed(client, new_order(client), f"071200000{each}")["transaction_id"] for each in "12"]

    answers = [send(client, ids[each % 2]) for each in range(4)]

    assert [each.status_code for each in answers] == [202, 202, 202, 429]
    problem(answers[3], 429, "rate_limited")
    elsewhere = send(client, ids[0], environ_base={"REMOTE_ADDR": "198.51.100.7"})
    assert elsewhere.status_code == 202


def test_a_push_and_a_code_are_kept_with_marks_of_who_sent_them(client, app, make_order):
    def from_(address):
        return {"environ_base": {"REMOTE_ADDR": address}}

    ids = [
        pushed(client, make_order(), f"071200000{last}", **from_(f"2001:db8:{last}::{last}"))
        for last in (1, 2)
    ]
    send(client, ids[0]["transaction_id"], **from_("2001:db8:2:7::77"))

    with app.app_context():
        first, second = (db.session.get(Transaction, each["transaction_id"]) for each in ids)
    assert first.pushed_from != second.pushed_from
    assert first.urgent_for == second.pushed_from
    assert re.fullmatch("[0-9a-f]{64}", first.pushed_from)

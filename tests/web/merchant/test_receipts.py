"""/api/receipts for merchants' servers."""

import re

import pytest
from sqlalchemy import update

from mpesa.models import EvidenceRow, Receipt, db
from tests.conftest import on_both
from tests.factories import API_KEY, RECEIPT, confirmation
from tests.web.steps import problem

SECOND = "UKO2GHIJKL"


@pytest.fixture
def confirm(app, client):
    """Let a confirmation arrive of money that was sent to an account."""
    [token] = app.extensions["mpesa"].settings.c2b_token

    def tell(account, **changed):
        answer = client.post(f"/c2b/{token}/confirmation", json=confirmation(account, **changed))
        assert answer.status_code == 200

    return tell


def get(client, path="", **query):
    return client.get(f"/api/receipts{path}", query_string=query, headers=API_KEY)


def claim(client, receipt, order_id, **more):
    body = {"order_id": order_id, **more}
    return client.post(f"/api/receipts/{receipt}/claim", json=body, headers=API_KEY)


def pay_code(client, order_id):
    return client.get(f"/api/orders/{order_id}", headers=API_KEY).get_json()["pay_code"]


def listed(answer):
    assert answer.status_code == 200, answer.text
    body = answer.get_json()
    return [each["receipt"] for each in body["receipts"]], body["next"]


# -- one receipt ----------------------------------------------------------------------------------


@on_both
def test_an_unclaimed_receipt_is_told_without_its_payers_number(client, confirm):
    confirm("0712 345 678", FirstName="WANJIKU NJERI")

    answer = get(client, f"/{RECEIPT}")

    assert answer.status_code == 200
    assert answer.get_json() == {
        "receipt": RECEIPT,
        "direction": "in",
        "amount": "150.00",
        "paid_at": "2026-11-24T09:00:10Z",
        "account": "0712•••678",
        "phone": "2547•••••678",
        "name": "WANJIKU",
        "state": "unclaimed",
        "order_id": None,
        "transaction_id": None,
        "returned_by": None,
        "suggestions": [],
        "learned_at": "2026-11-24T09:00:00Z",
        "changed_at": "2026-11-24T09:00:00Z",
        "witnesses": [{"kind": "confirmation", "received_at": "2026-11-24T09:00:00Z"}],
    }


@on_both
def test_a_claimed_one_names_order_and_transaction(client, confirm, make_order):
    order = make_order()
    confirm(pay_code(client, order))

    receipt = get(client, f"/{RECEIPT}").get_json()

    read = client.get(f"/api/orders/{order}", headers=API_KEY).get_json()
    assert (receipt["state"], receipt["order_id"]) == ("claimed", order)
    assert receipt["transaction_id"] == read["settled_by"]


def test_suggestions_are_orders(client, confirm, make_order):
    orders = {make_order(reference="INV-1001") for _ in range(2)}
    confirm("INV-1001")

    assert set(get(client, f"/{RECEIPT}").get_json()["suggestions"]) == orders


@pytest.mark.parametrize("number", [SECOND, "uko1abcdef", "UKO1", "UKO1ABCDE%20", "%00"])
def test_an_unknown_receipt_is_404(client, confirm, number):
    confirm("JANE")

    problem(get(client, f"/{number}"), 404, "receipt_not_found")


def test_a_reversal_is_asked_for_by_its_direction(app, client, confirm):
    confirm("JANE")
    with app.app_context():
        db.session.execute(update(Receipt).values(direction="out"))
        db.session.commit()

    problem(get(client, f"/{RECEIPT}"), 404, "receipt_not_found")
    shown = get(client, f"/{RECEIPT}", direction="out").get_json()
    assert (shown["direction"], shown["state"]) == ("out", None)
    problem(get(client, f"/{RECEIPT}", direction="up"), 400, "invalid_request", "direction")


@pytest.mark.parametrize("path", ["", f"/{RECEIPT}"])
def test_reading_needs_a_key(client, path):
    problem(client.get(f"/api/receipts{path}"), 401, "unauthorized")


def test_a_shop_that_changed_its_short_code_finds_its_earlier_receipts(app, client, confirm):
    confirm("JANE")
    with app.app_context():
        db.session.execute(update(Receipt).values(organisation="600999"))
        db.session.commit()

    assert get(client, f"/{RECEIPT}").get_json()["state"] == "unclaimed"


# -- many -----------------------------------------------------------------------------------------


@on_both
def test_receipts_are_listed_by_their_last_change(client, confirm, clock):
    for number in range(5):
        confirm("JANE", receipt=f"UKO1ABCDE{number}")
        clock.pass_(seconds=1)
    clock.pass_(seconds=15)

    first, cursor = listed(get(client, limit=2))
    second, cursor = listed(get(client, limit=2, cursor=cursor))
    third, cursor = listed(get(client, limit=2, cursor=cursor))
    nothing, end = listed(get(client, limit=2, cursor=cursor))

    assert [*first, *second, *third] == [f"UKO1ABCDE{number}" for number in range(5)]
    assert (nothing, end) == ([], None)


@on_both
def test_a_receipt_that_changed_again_comes_once_more_behind_the_cursor(
    client, confirm, clock, make_order
):
    order = make_order()
    confirm("JANE")
    confirm("JOHN", receipt=SECOND)
    clock.pass_(seconds=15)
    _, cursor = listed(get(client))

    assert claim(client, RECEIPT, order).status_code == 200
    clock.pass_(seconds=15)

    body = get(client, cursor=cursor).get_json()
    assert [(each["receipt"], each["state"]) for each in body["receipts"]] == [(RECEIPT, "claimed")]


@on_both
def test_receipts_of_one_moment_are_each_listed_once(client, confirm, clock):
    numbers = {f"UKO1ABCDE{number}" for number in range(7)}
    for number in numbers:
        confirm("JANE", receipt=number)
    clock.pass_(seconds=15)

    seen, cursor = listed(get(client, limit=3))
    for _ in range(2):
        more, cursor = listed(get(client, limit=3, cursor=cursor))
        seen += more

    assert len(seen) == 7
    assert set(seen) == numbers


def test_the_newest_seconds_are_left_out(client, confirm, clock):
    confirm("JANE")
    clock.pass_(seconds=14)
    assert listed(get(client)) == ([], None)

    clock.pass_(seconds=1)

    assert listed(get(client))[0] == [RECEIPT]


@on_both
def test_a_state_narrows_the_list(client, confirm, clock, make_order):
    confirm(pay_code(client, make_order()))
    confirm("JANE", receipt=SECOND)
    clock.pass_(seconds=15)

    assert listed(get(client, state="unclaimed"))[0] == [SECOND]
    assert listed(get(client, state="claimed"))[0] == [RECEIPT]
    assert listed(get(client, state="returned"))[0] == []


def test_the_list_tells_what_one_receipt_does(client, confirm, clock, make_order):
    make_order(reference="INV-1001")
    confirm("INV-1001", amount="149.00")
    clock.pass_(seconds=15)

    [of_list] = get(client).get_json()["receipts"]

    assert of_list == get(client, f"/{RECEIPT}").get_json()
    assert len(of_list["suggestions"]) == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("limit", each) for each in ("0", "201", "-1", "x", "", "1.5", "٣")),
        *(("cursor", each) for each in ("", "x", "1", "1.", ".fPXIkVzsACg7ZCB7oJ3rbA", "1.a b")),
        ("cursor", "99999999999999999.fPXIkVzsACg7ZCB7oJ3rbA"),
        *(("state", each) for each in ("", "lost", "UNCLAIMED")),
    ],
)
def test_what_cannot_be_understood_is_named(client, field, value):
    problem(get(client, **{field: value}), 400, "invalid_request", field)


# -- claims ---------------------------------------------------------------------------------------


@on_both
def test_a_claim_pays_the_order_and_answers_with_the_receipt(client, confirm, make_order):
    order = make_order()
    confirm("JANE")

    answer = claim(client, RECEIPT, order)

    assert answer.status_code == 200
    assert answer.get_json() == get(client, f"/{RECEIPT}").get_json()
    assert (answer.get_json()["state"], answer.get_json()["order_id"]) == ("claimed", order)
    read = client.get(f"/api/orders/{order}", headers=API_KEY).get_json()
    assert (read["status"], read["transactions"][0]["channel"]) == ("PAID", "hand")


@on_both
def test_the_same_claim_again_is_200_and_another_one_409(client, confirm, make_order):
    order, other = make_order(), make_order()
    confirm("JANE")
    first = claim(client, RECEIPT, order)

    again = claim(client, RECEIPT, order)

    assert (again.status_code, again.get_json()) == (200, first.get_json())
    problem(claim(client, RECEIPT, other), 409, "receipt_claimed")


def test_the_evidence_names_the_key_by_four_characters_of_its_hash(
    app, client, confirm, make_order
):
    order = make_order()
    confirm("JANE", amount="149.00")

    claim(client, RECEIPT, order, accept_amount=True, reason="A discount.")

    with app.app_context():
        [evidence] = db.session.query(EvidenceRow).all()
    assert evidence.kind == "operator"
    assert re.fullmatch("api:[0-9a-f]{4}", evidence.source)
    assert b"A discount." in evidence.body


@on_both
def test_another_amount_needs_a_word_and_a_reason(client, confirm, make_order):
    order = make_order()
    confirm("JANE", amount="149.00")

    problem(claim(client, RECEIPT, order), 409, "amount_differs")
    problem(claim(client, RECEIPT, order, accept_amount=False), 409, "amount_differs")
    problem(
        claim(client, RECEIPT, order, accept_amount=True), 400, "invalid_request", "reason"
    )  # fmt: skip
    accepted = claim(client, RECEIPT, order, accept_amount=True, reason="A discount.")

    assert accepted.status_code == 200
    read = client.get(f"/api/orders/{order}", headers=API_KEY).get_json()
    assert read["transactions"][0]["receipt_amount"] == "149.00"


@pytest.mark.parametrize("reason", ["", "x", " x ", "x" * 101, "two\nlines", 5, ["why"]])
def test_a_reason_is_a_line_of_2_to_100_characters(client, confirm, make_order, reason):
    confirm("JANE")

    refused = claim(client, RECEIPT, make_order(), reason=reason)

    problem(refused, 400, "invalid_request", "reason")
    assert get(client, f"/{RECEIPT}").get_json()["state"] == "unclaimed"


@pytest.mark.parametrize("accept", [1, 0, "true", 1.0, []])
def test_only_true_accepts_an_amount(client, confirm, make_order, accept):
    confirm("JANE")

    refused = claim(client, RECEIPT, make_order(), accept_amount=accept, reason="Why not.")

    problem(refused, 400, "invalid_request", "accept_amount")


@pytest.mark.parametrize("order_id", [None, 5, "", []])
def test_a_claim_names_an_order(client, confirm, order_id):
    confirm("JANE")

    problem(claim(client, RECEIPT, order_id), 400, "invalid_request", "order_id")


@pytest.mark.parametrize("order_id", ["x", "a b", "no-order-of-this-shop"])
def test_an_unknown_order_is_404(client, confirm, order_id):
    confirm("JANE")

    problem(claim(client, RECEIPT, order_id), 404, "order_not_found")


def test_an_unknown_receipt_is_claimed_by_nobody(client, make_order):
    order = make_order()

    problem(claim(client, RECEIPT, order), 404, "receipt_not_found")
    problem(claim(client, "x", order), 404, "receipt_not_found")


def test_a_paid_order_takes_no_other_receipt(client, confirm, make_order):
    order = make_order()
    confirm(pay_code(client, order))
    confirm("JANE", receipt=SECOND)

    problem(claim(client, SECOND, order), 409, "order_paid")


@pytest.mark.parametrize(
    ("state", "code"), [("unproven", "receipt_unproven"), ("returned", "receipt_returned")]
)
def test_a_receipt_that_is_not_ours_to_give_is_refused(
    app, client, confirm, make_order, state, code
):
    confirm("JANE")
    with app.app_context():
        db.session.execute(update(Receipt).values(state=state))
        db.session.commit()

    problem(claim(client, RECEIPT, make_order()), 409, code)


def test_claiming_needs_a_key(client, make_order):
    answer = client.post(f"/api/receipts/{RECEIPT}/claim", json={"order_id": make_order()})

    problem(answer, 401, "unauthorized")

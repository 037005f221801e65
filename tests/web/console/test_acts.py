"""What an operator does: asked twice, done once, kept by name; and what waits for a person."""

import json
import re

import pytest
from markupsafe import escape
from sqlalchemy import select

from mpesa import ledger
from mpesa.domain import settlement
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.result_codes import Reason
from mpesa.domain.why import Why, words_of
from mpesa.models import DecisionRow, EvidenceRow, Transaction, db
from mpesa.web.console import decisions
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import (
    API_KEY,
    RECEIPT,
    SECOND_PAYER,
    failure_callback,
    order_fields,
    raw,
    success_callback,
)
from tests.web.console.steps import NAME, act, ask, hidden, logged_in, send
from tests.web.steps import call_back, fail, pushed, status_of

LIST = "/console/transactions"


@pytest.fixture
def payment(client, make_order):
    """A pending payment's id."""
    return pushed(client, make_order())["transaction_id"]


@pytest.fixture
def doubtful(client, daraja, payment):
    """A payment whose callback names another amount."""
    ids = daraja.checkout_id(1), daraja.merchant_id(1)
    call_back(client, daraja, 1, raw(success_callback(*ids, amount=1, receipt="UKO9ABCDEF")))
    return payment


def row_of(app, transaction_id):
    with app.app_context():
        db.session.rollback()
        return db.session.get_one(Transaction, transaction_id, populate_existing=True)


def acts_of(app, transaction_id):
    """What operators did: names, and what they said without its one-time mark."""
    with app.app_context():
        kept = select(EvidenceRow).where(
            EvidenceRow.transaction_id == transaction_id, EvidenceRow.kind == "operator"
        )
        said = [(each.source, json.loads(each.body)) for each in db.session.scalars(kept)]
    return [
        (name, {key: value for key, value in act.items() if key != "once"}) for name, act in said
    ]


# -- each act ------------------------------------------------------------------------------------


@on_both
def test_a_payment_is_marked_as_paid_with_its_receipt(app, operator, client, payment):
    answer = act(operator, payment, "paid", reason="On the statement", receipt=" uko1abcdef ")

    snapshot = status_of(client, payment)
    assert answer.headers["Location"] == f"{LIST}/{payment}"
    assert (snapshot["status"], snapshot["receipt"]) == ("SUCCESS", RECEIPT)
    assert snapshot["order_status"] == "PAID"
    assert acts_of(app, payment) == [
        (NAME, {"act": "paid", "reason": "On the statement", "receipt": RECEIPT})
    ]
    page = operator.get(f"{LIST}/{payment}").text
    assert f"{NAME}: Mark as paid" in page
    assert "On the statement" in page
    assert "It is marked as paid." in page


def test_a_failure_becomes_late_money_by_an_operators_word(operator, client, daraja, payment):
    fail(client, daraja, 1032)

    act(operator, payment, "paid", receipt=RECEIPT)

    assert status_of(client, payment)["reason"] == "paid_late"


def test_a_payment_is_marked_as_not_paid(app, operator, client, payment):
    act(operator, payment, "not-paid", reason="Not on the statement")

    snapshot = status_of(client, payment)
    assert (snapshot["status"], snapshot["reason"]) == ("FAILED", "closed_by_operator")
    assert acts_of(app, payment) == [(NAME, {"act": "not-paid", "reason": "Not on the statement"})]


@on_both
def test_a_settled_review_changes_no_state(app, operator, client, doubtful):
    before = status_of(client, doubtful)

    act(operator, doubtful, "settle", reason="KES 1 was a test of ours")

    assert status_of(client, doubtful) == before
    assert not row_of(app, doubtful).needs_review
    assert "Nothing to decide" in operator.get("/console/review").text


@pytest.mark.parametrize("name", ["paid", "not-paid"])
def test_an_operators_word_settles_the_review_too(app, operator, doubtful, name):
    act(operator, doubtful, name, receipt=RECEIPT)

    assert not row_of(app, doubtful).needs_review


def test_new_doubt_after_a_settled_review_comes_back(app, operator, client, daraja, doubtful):
    act(operator, doubtful, "settle")
    ids = daraja.checkout_id(1), daraja.merchant_id(1)

    call_back(client, daraja, 1, raw(success_callback(*ids, amount=2, receipt="UKO8ABCDEF")))

    assert row_of(app, doubtful).needs_review


def test_money_for_an_order_that_was_paid_still_needs_review(
    app, operator, client, make_order, daraja
):
    order = make_order()
    first = pushed(client, order)["transaction_id"]
    fail(client, daraja, 1032, 1)
    pushed(client, order, SECOND_PAYER)
    call_back(client, daraja, 2)

    act(operator, first, "paid", receipt="UKO2ABCDEF")

    assert row_of(app, first).needs_review


def test_daraja_is_asked_as_soon_as_the_budget_allows(app, operator, payment, clock):
    clock.pass_(seconds=5)

    act(operator, payment, "ask", reason="The shopper is on the phone")

    row = row_of(app, payment)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)
    assert row.status == "PENDING"


@pytest.mark.parametrize(
    "typed",
    [
        "\u202aUKO1ABCDEF\u202c",
        "UKO1 ABCDEF",
        "UKO1ABCDEF Confirmed. Ksh150.00 sent to DUKA LA MFANO on 24/11/26 at 12:00 PM.",
    ],
)
def test_the_receipt_is_found_in_what_an_operator_pastes(operator, client, payment, typed):
    act(operator, payment, "paid", receipt=typed)

    assert status_of(client, payment)["receipt"] == RECEIPT


def test_a_reason_may_have_lines_and_any_script(app, operator, payment):
    reason = "Imethibitishwa\u00a0\u2013 \U0001f469\u200d\U0001f4bc\n\tpage 2"

    act(operator, payment, "ask", reason=reason)

    assert acts_of(app, payment)[0][1]["reason"] == reason


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"reason": ""}, "Say why"),
        ({"reason": "  x "}, "Say why"),
        ({"reason": "x" * 501}, "Say why"),
        ({"reason": "On the\0statement"}, "Say why"),
        ({"reason": "On the \x1b[2Jstatement"}, "Say why"),
        ({"receipt": ""}, "ten letters and digits"),
        ({"receipt": "UKO1ABCDE"}, "ten letters and digits"),
        ({"receipt": "UKO1ABCDEFG"}, "ten letters and digits"),
        ({"receipt": "UKO1ABCDÉF"}, "ten letters and digits"),
        ({"receipt": "١٢٣٤٥٦٧٨٩٠"}, "ten letters and digits"),
    ],
)
def test_without_a_reason_and_a_receipt_nothing_is_marked(
    app, operator, payment, fields, complaint
):
    first = ask(operator, payment, "paid", **{"receipt": RECEIPT, **fields})
    good = hidden(ask(operator, payment, "paid", receipt=RECEIPT).text)
    second = operator.post(f"{LIST}/{payment}/paid/confirm", data={**good, **fields})

    for answer in (first, second):
        assert answer.status_code == 400
        assert complaint in answer.text
    assert acts_of(app, payment) == []


def test_a_push_that_shares_its_receipt_is_marked_with_no_other(
    app, operator, client, daraja, payment
):
    fail(client, daraja, 2001)
    with app.app_context():
        order_id = db.session.get_one(Transaction, payment).order_id
        by_hand, _ = ledger.begin_by_hand(db.session(), order_id, services().now)
        found = settlement.ReceiptFound(RECEIPT, 15_000, services().now())
        heard = Raw(Kind.RECEIPT, b"{}")
        ledger.record(db.session(), by_hand.attempt.id, found, heard, services().now)
    call_back(client, daraja, 1)

    page = operator.get(f"{LIST}/{payment}").text

    assert "other payment has it" in page
    assert f"{LIST}/{payment}/paid" not in page


@on_both
def test_a_receipt_of_another_payment_marks_nothing(
    app, operator, client, daraja, make_order, payment
):
    call_back(client, daraja, 1)
    second = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]

    answer = ask(operator, second, "paid", receipt=RECEIPT)

    assert answer.status_code == 400
    assert "That receipt belongs to another payment." in answer.text
    assert status_of(client, second)["status"] == "PENDING"


@on_both
def test_a_receipt_that_is_used_between_the_two_askings_marks_nothing(
    app, operator, client, daraja, make_order, payment
):
    second = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]
    again = ask(operator, second, "paid", receipt=RECEIPT)
    call_back(client, daraja, 1)

    answer = operator.post(f"{LIST}/{second}/paid/confirm", data=hidden(again.text))

    assert answer.status_code == 400
    assert status_of(client, second)["status"] == "PENDING"


@pytest.mark.parametrize("name", ["settle", "nonsense", "reveal"])
def test_an_act_that_makes_no_sense_is_not_offered(operator, payment, name):
    assert operator.get(f"{LIST}/{payment}/{name}").status_code in (404, 409)
    assert send(operator, f"{LIST}/{payment}/{name}-x/confirm").status_code == 404


@pytest.mark.parametrize("name", ["paid", "not-paid", "ask"])
def test_a_payment_that_was_paid_is_not_unpaid(operator, client, daraja, payment, name):
    call_back(client, daraja)

    assert operator.get(f"{LIST}/{payment}/{name}").status_code == 409
    assert f"/{name}" not in operator.get(f"{LIST}/{payment}").text


@pytest.mark.parametrize("name", ["paid", "not-paid", "ask", "settle"])
def test_nothing_is_done_by_asking_once(app, operator, doubtful, name):
    before = row_of(app, doubtful)

    ask(operator, doubtful, name, receipt=RECEIPT)

    after = row_of(app, doubtful)
    assert (after.seq, after.needs_review) == (before.seq, True)
    assert acts_of(app, doubtful) == []


# -- twice, and too late -------------------------------------------------------------------------


@on_both
def test_an_act_needs_no_second_connection_to_the_database(
    make_app, daraja, monkeypatch, database_url
):
    """What is checked under the order's lock is read on the connection that holds it."""
    monkeypatch.setattr(
        "mpesa.runtime.database.POOL", {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    )
    app = make_app()
    client, operator = app.test_client(), logged_in(app)
    order = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()["order_id"]
    payment = pushed(client, order)["transaction_id"]

    act(operator, payment, "ask")
    act(operator, payment, "paid", receipt=RECEIPT)

    assert row_of(app, payment).status == "SUCCESS"


@on_both
@pytest.mark.parametrize("name", ["ask"])
def test_the_same_confirmation_sent_twice_does_nothing_twice(app, operator, payment, name):
    fields = hidden(ask(operator, payment, name).text)
    path = f"{LIST}/{payment}/{name}/confirm"
    operator.post(path, data=fields)
    seq = row_of(app, payment).seq

    answer = operator.post(path, data=fields)

    assert answer.status_code == 303
    assert "nothing was done twice" in operator.get(answer.headers["Location"]).text
    assert row_of(app, payment).seq == seq
    assert len(acts_of(app, payment)) == 1


@on_both
def test_an_act_on_a_state_that_has_passed_is_refused_with_what_changed(
    app, operator, client, daraja, payment
):
    fields = hidden(ask(operator, payment, "not-paid").text)
    call_back(client, daraja)

    answer = operator.post(f"{LIST}/{payment}/not-paid/confirm", data=fields)

    assert answer.status_code == 409
    assert "This payment has changed meanwhile" in answer.text
    assert "M-PESA confirmed: paid." in answer.text
    assert status_of(client, payment)["status"] == "SUCCESS"
    assert acts_of(app, payment) == []


def test_a_review_is_not_settled_over_a_doubt_that_nobody_saw(
    app, operator, client, daraja, doubtful
):
    fields = hidden(ask(operator, doubtful, "settle").text)
    ids = daraja.checkout_id(1), daraja.merchant_id(1)
    call_back(client, daraja, 1, raw(success_callback(*ids, amount=2, receipt="UKO8ABCDEF")))

    answer = operator.post(f"{LIST}/{doubtful}/settle/confirm", data=fields)

    assert answer.status_code == 409
    assert row_of(app, doubtful).needs_review


def test_two_operators_do_not_settle_one_review_twice(app, operator, doubtful):
    second = logged_in(app, "otieno")
    fields = [hidden(ask(each, doubtful, "settle").text) for each in (operator, second)]

    answers = [
        each.post(f"{LIST}/{doubtful}/settle/confirm", data=form)
        for each, form in zip((operator, second), fields, strict=True)
    ]

    assert [each.status_code for each in answers] == [303, 409]
    assert f"<b>{NAME}</b>" in answers[1].text


def test_evidence_that_decides_nothing_stops_no_act(app, operator, client, daraja, payment):
    fields = hidden(ask(operator, payment, "not-paid").text)
    call_back(client, daraja, 1, b"garbage")

    answer = operator.post(f"{LIST}/{payment}/not-paid/confirm", data=fields)

    assert answer.status_code == 303
    assert row_of(app, payment).reason == "closed_by_operator"


def test_a_made_up_mark_is_a_state_that_has_passed(operator, payment):
    fields = hidden(ask(operator, payment, "not-paid").text)

    for mark in ("", "x", "9.9.9", "'", "1.2.99999999999999999999"):
        answer = operator.post(f"{LIST}/{payment}/not-paid/confirm", data={**fields, "mark": mark})
        assert answer.status_code == 409, mark


def test_hostile_words_of_an_operator_are_only_text(operator, payment):
    act(operator, payment, "ask", reason="<script>alert(1)</script>")

    assert "<script>alert" not in operator.get(f"{LIST}/{payment}").text


# -- review --------------------------------------------------------------------------------------


def test_with_nothing_to_decide_the_review_says_so(operator):
    assert "Nothing to decide" in operator.get("/console/review").text


@on_both
def test_what_needs_review_says_what_is_contradictory_with_both_sides(operator, doubtful):
    page = operator.get("/console/review").text

    assert "M-PESA reported paid, but another amount than was asked for." in page
    for fact in ("KES 150", "KES 1<", "UKO9ABCDEF", "0712•••678"):
        assert fact in page.replace("\N{NO-BREAK SPACE}", " ")
    for name in ("settle", "ask", "paid", "not-paid"):
        assert f'href="{LIST}/{doubtful}/{name}"' in page


@on_both
def test_who_has_anothers_receipt_by_an_operators_word_is_shown_beside_that_other(
    operator, client, daraja, make_order, payment
):
    second = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]
    act(operator, payment, "paid", receipt=RECEIPT)

    call_back(client, daraja, 2)

    page = operator.get("/console/review").text
    assert "An operator named this receipt, and now M-PESA names it for another payment." in page
    assert "The receipt that was named already belongs to another payment." in page
    for other in (payment, second):
        assert f'<a href="{LIST}/{other}"><span class="mono">{other}</span></a>' in page
    timeline = operator.get(f"{LIST}/{payment}").text
    assert "Another payment named this receipt" in timeline
    assert second in timeline


@on_both
def test_a_query_that_a_callback_contradicts_says_so(app, operator, doubtful):
    with app.app_context():
        heard = settlement.QueryAnswered("0")
        ledger.record(db.session(), doubtful, heard, Raw(Kind.QUERY, b"{}"), services().now)

    page = operator.get("/console/review").text

    assert "M-PESA says paid, but its report gave another amount than was asked for." in page


@pytest.mark.parametrize("lang", ["en", "sw"])
def test_every_reason_for_a_decision_has_a_sentence(app, lang):
    with app.test_request_context(f"/?lang={lang}"):
        told = {each: decisions.why(f"{each}: {Reason.CANCELLED}") for each in Why}

    assert set(decisions.SENTENCES) == set(Why)
    assert set(decisions.DOUBTS) < set(Why)
    assert len(set(told.values())) == len(Why)
    assert not [each for each in told.values() if "%(" in each or "_" in each]


def test_a_decision_from_before_there_were_words_is_shown_as_it_is(app, operator, doubtful):
    prose = "the receipt belongs to another payment: i-Jp1gVDeyYgV2zYq4mFmQ & so on"
    with app.app_context():
        newest = db.session.scalars(select(DecisionRow).order_by(DecisionRow.id.desc())).first()
        newest.why = prose
        db.session.commit()

    operator.get("/console/review?technical=on")
    page = operator.get("/console/review?lang=sw").text

    assert f'<span lang="en">{escape(prose)}</span>' in page


def test_a_decision_is_told_in_kiswahili_on_the_timeline(operator, payment):
    page = operator.get(f"{LIST}/{payment}?lang=sw").text

    assert "M-PESA ilikubali ombi" in page
    assert "M-PESA accepted the request" not in page


@pytest.mark.parametrize(
    ("text", "words", "about"),
    [
        ("push_taken", [Why.PUSH_TAKEN], ""),
        ("callback_says_failed: wrong_pin", [Why.CALLBACK_SAYS_FAILED], "wrong_pin"),
        (
            "money_twice: query_paid_receipt_taken: i-Jp1gVDeyYgV2zYq4mFmQ",
            [Why.MONEY_TWICE, Why.QUERY_PAID_RECEIPT_TAKEN],
            "i-Jp1gVDeyYgV2zYq4mFmQ",
        ),
        ("forgotten_by_age: 400: x", [Why.FORGOTTEN_BY_AGE], "400: x"),
    ],
)
def test_what_a_row_keeps_is_read_as_words_and_what_they_are_about(text, words, about):
    assert words_of(text) == (words, about)


@pytest.mark.parametrize("prose", ["the callback could not be read", "a: b", "", "push_taken "])
def test_prose_is_no_word(prose):
    assert words_of(prose) is None


def test_the_oldest_is_first(operator, client, daraja, make_order, clock, doubtful):
    clock.pass_(minutes=1)
    second = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]
    call_back(client, daraja, 2, raw(failure_callback("ws_CO_1", "2")))

    page = operator.get("/console/review").text

    assert page.index(doubtful) < page.index(second)
    assert "it names another payment" in page


def test_a_long_review_is_read_a_page_at_a_time(
    operator, client, daraja, make_order, clock, doubtful, monkeypatch
):
    monkeypatch.setattr("mpesa.web.console.review.PAGE", 1)
    second = pushed(client, make_order(), SECOND_PAYER)["transaction_id"]
    call_back(client, daraja, 2, raw(failure_callback("ws_CO_1", "2")))

    first = operator.get("/console/review").text
    following = re.search(r'href="([^"]+after=[^"]+)"', first)[1]
    page = operator.get(following).text

    assert {doubtful in first, second in page} == {True} or {second in first, doubtful in page} == {
        True
    }


def test_codes_that_shoppers_typed_and_late_money_are_shown(
    operator, client, daraja, make_order, payment
):
    client.post("/sms-code", json={"tx_id": payment, "code": "UKO7ABCDEF"})
    late = pushed(client, make_order(reference="LATE-1"), SECOND_PAYER)["transaction_id"]
    fail(client, daraja, 1032, 2)
    ids = daraja.checkout_id(2), daraja.merchant_id(2)
    call_back(client, daraja, 2, raw(success_callback(*ids, receipt="UKO6ABCDEF")))

    page = operator.get("/console/review").text

    assert "UKO7ABCDEF" in page
    assert "UKO6ABCDEF" in page
    assert f'href="{LIST}/{late}"' in page


def test_the_frame_counts_what_needs_review(operator, doubtful):
    page = operator.get(LIST).text

    assert re.search(r'data-live="waiting-review">1<', page)

"""Webhooks in the console: what was sent, page by page, and sending once more."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select

from mpesa import receipts
from mpesa.ids import hash_token, new_id
from mpesa.models import EvidenceRow, WebhookAttempt, WebhookEndpoint, WebhookMessage, db
from tests.factories import API_KEY, RECEIPT, confirmation
from tests.web.console.steps import NAME, hidden, logged_in
from tests.web.steps import pushed

URL = "https://shop.example/hook"
HOOK = {"WEBHOOK_URL": URL, "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

BODY = json.dumps({"data": {"reference": "INV-77", "amount": 150}})


@pytest.fixture
def app(make_app):
    return make_app(**HOOK)


@pytest.fixture
def transaction_id(client, make_order):
    return pushed(client, make_order())["transaction_id"]


@pytest.fixture
def write(app, transaction_id, clock):
    """Write messages, each a minute newer than the one before."""

    def write_some(count=1, **columns):
        with app.app_context():
            ids = [new_id() for _ in range(count)]
            for number, message_id in enumerate(ids):
                at = clock() + timedelta(minutes=number)
                fields = {"tries": 0, "next_attempt_at": at, **columns}
                db.session.add(
                    WebhookMessage(
                        id=message_id, transaction_id=transaction_id, type="transaction.succeeded",
                        body=BODY, seq=2, created_at=at, **fields,
                    )
                )  # fmt: skip
            db.session.commit()
        return ids

    return write_some


def test_a_row_names_the_order(operator, write):
    write()

    assert "INV-77 ·" in operator.get("/console/webhooks").text


def shown(page):
    return [each.split('"', 1)[0] for each in page.split('<li id="w')[1:]]


def test_without_a_message_the_page_says_so(operator):
    assert "Nothing here" in operator.get("/console/webhooks").text


def test_without_an_address_the_page_says_what_to_set(make_app):
    assert "No address is set" in logged_in(make_app()).get("/console/webhooks").text


def test_every_message_is_on_one_page_of_several_and_on_one_only(operator, write):
    ids = write(60)

    address, seen = "/console/webhooks", []
    while address:
        page = operator.get(address).text
        seen += shown(page)
        older = page.split(">Older</a>")[0].rsplit("<a ", 1)[1] if ">Older</a>" in page else ""
        address = older.split('href="')[1].split('"')[0] if "href=" in older else None

    assert seen == ids[::-1]


def test_only_what_was_not_delivered_can_be_shown(operator, write, clock):
    [waiting] = write()
    write(next_attempt_at=None, delivered_at=clock())

    assert shown(operator.get("/console/webhooks?state=undelivered").text) == [waiting]


def test_each_try_is_told(app, operator, write, clock):
    [message_id] = write(tries=2)
    with app.app_context():
        tries = [{"status_code": 500}, {"failure": "timed_out"}]
        for fields in tries:
            db.session.add(
                WebhookAttempt(message_id=message_id, started_at=clock(), took_ms=1234, **fields)
            )
        db.session.commit()

    page = operator.get("/console/webhooks").text

    assert "2 tries" in page
    assert "answered 500" in page
    assert "no answer in time" in page


def test_sending_again_is_offered_beside_what_failed_and_in_the_details_of_the_rest(
    app, operator, write, clock
):
    [failed] = write(tries=10, next_attempt_at=None)
    [delivered] = write(tries=1, next_attempt_at=None, delivered_at=clock())
    with app.app_context():
        for message_id, status in ((failed, 500), (delivered, 200)):
            db.session.add(
                WebhookAttempt(
                    message_id=message_id, started_at=clock(), took_ms=12, status_code=status
                )
            )
        db.session.commit()

    page = operator.get("/console/webhooks").text

    for message_id, is_beside in ((failed, True), (delivered, False)):
        row = page.split(f'<li id="w{message_id}"', 1)[1].split('<li id="w', 1)[0]
        beside, details = row.split("<details", 1)
        assert ("Send again" in beside, "Send again" in details) == (is_beside, not is_beside)


@pytest.mark.parametrize(
    "query", ["before=x", "before=1.x", "before=99999999999999999.a", "state=%00", "transaction='"]
)
def test_a_nonsensical_address_is_the_first_page(operator, write, query):
    ids = write(2)

    assert shown(operator.get(f"/console/webhooks?{query}").text) == ids[::-1]


def send_again(operator, message_id, reason="The shop lost it"):
    """Open the form, and send it."""
    page = operator.get(f"/console/webhooks/{message_id}/again")
    assert page.status_code == 200
    fields = {**hidden(page.text), "reason": reason}
    return operator.post(f"/console/webhooks/{message_id}/again", data=fields), fields


def test_sending_again_is_asked_first_and_changes_nothing_by_itself(app, operator, write, clock):
    [message_id] = write(next_attempt_at=None, delivered_at=clock(), tries=1)

    page = operator.get(f"/console/webhooks/{message_id}/again")

    assert "are you sure?" in page.text
    with app.app_context():
        assert db.session.get(WebhookMessage, message_id).next_attempt_at is None


def test_a_message_is_sent_again_at_once_and_who_wanted_it_is_kept(app, operator, write, clock):
    [message_id] = write(next_attempt_at=None, tries=9)

    send_again(operator, message_id)

    with app.app_context():
        message = db.session.get(WebhookMessage, message_id)
        kept = db.session.scalars(select(EvidenceRow).where(EvidenceRow.kind == "operator")).one()
        assert message.next_attempt_at == clock()
        assert kept.source == NAME
        assert json.loads(kept.body)["reason"] == "The shop lost it"
        assert json.loads(kept.body)["message"] == message_id


def test_the_same_form_sent_twice_sends_once(app, operator, write, clock):
    [message_id] = write(next_attempt_at=None, tries=9)
    _, fields = send_again(operator, message_id)
    with app.app_context():
        db.session.get(WebhookMessage, message_id).next_attempt_at = None
        db.session.commit()

    operator.post(f"/console/webhooks/{message_id}/again", data=fields)

    with app.app_context():
        assert db.session.get(WebhookMessage, message_id).next_attempt_at is None


def test_a_reason_is_asked_for(app, operator, write):
    [message_id] = write(next_attempt_at=None)

    answer, _ = send_again(operator, message_id, reason=" ")

    assert answer.status_code == 400
    assert "Say why" in answer.text


def test_a_form_without_its_token_sends_nothing(app, operator, write):
    [message_id] = write(next_attempt_at=None)

    answer = operator.post(f"/console/webhooks/{message_id}/again", data={"reason": "Because"})

    assert answer.status_code == 400
    with app.app_context():
        assert db.session.get(WebhookMessage, message_id).next_attempt_at is None


def test_an_endpoint_that_answered_410_is_shown_and_opened_by_sending_again(
    app, operator, write, clock
):
    [message_id] = write(next_attempt_at=None)
    with app.app_context():
        db.session.add(WebhookEndpoint(id=hash_token(URL), failures=1, stopped_at=clock()))
        db.session.commit()
    before = operator.get("/console/webhooks").text

    send_again(operator, message_id)

    assert "answered 410" in before
    assert "answered 410" not in operator.get("/console/webhooks").text


@pytest.mark.parametrize("message_id", ["nothing-of-ours-00000000", "'", "x" * 300])
def test_an_unknown_message_cannot_be_sent(operator, message_id):
    assert operator.get(f"/console/webhooks/{message_id}/again").status_code == 404


def test_a_guest_sends_nothing(app, client, write):
    [message_id] = write(next_attempt_at=None)

    answer = client.post(f"/console/webhooks/{message_id}/again", data={"reason": "Because"})

    assert answer.status_code == 303
    assert "/console/login" in answer.headers["Location"]


# -- about receipts --------------------------------------------------------------------------------


@pytest.fixture
def about_a_receipt(app, client, clock):
    """The id of a message about a receipt that is nobody's."""
    [token] = app.extensions["mpesa"].settings.c2b_token
    client.post(f"/c2b/{token}/confirmation", json=confirmation("JANE", amount="1149.50"))
    clock.pass_(minutes=15)
    with app.app_context():
        receipts.tell_unclaimed(db.session(), clock)
        message = db.session.scalars(select(WebhookMessage)).one()
        message.next_attempt_at = None
        db.session.commit()
        return message.id


def test_a_row_about_a_receipt_names_number_and_amount(operator, about_a_receipt):
    page = operator.get("/console/webhooks").text

    assert shown(page) == [about_a_receipt]
    assert f"{RECEIPT} · KES 1149.50" in page


def test_a_message_about_a_receipt_is_sent_again(app, operator, about_a_receipt, clock, log_lines):
    send_again(operator, about_a_receipt)

    with app.app_context():
        assert db.session.get(WebhookMessage, about_a_receipt).next_attempt_at == clock()
    assert f"webhook {about_a_receipt} is sent again by {NAME}" in [
        each["message"] for each in log_lines
    ]


def test_once_the_receipt_is_claimed_its_payment_keeps_who_sent_it_again(
    app, operator, about_a_receipt, client, make_order
):
    client.post(
        f"/api/receipts/{RECEIPT}/claim", headers=API_KEY,
        json={"order_id": make_order(), "accept_amount": True, "reason": "A tip."},
    )  # fmt: skip

    send_again(operator, about_a_receipt)

    with app.app_context():
        acts = db.session.scalars(select(EvidenceRow).where(EvidenceRow.kind == "operator")).all()
        assert [json.loads(each.body)["act"] for each in acts] == ["claim", "webhook"]

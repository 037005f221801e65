"""What a payer, Daraja and a merchant do in these tests, one call each."""

from sqlalchemy import func, select

from mpesa.models import EvidenceRow, IdempotencyKey, Order, Transaction, db
from mpesa.web.http.problems import MEANINGS
from tests.factories import PAYER, failure_callback, raw, success_callback


def push(client, order_id, phone=PAYER, **more):
    """The page of an order asks for a push."""
    return client.post("/stk-push", json={"order_id": order_id, "phone": phone}, **more)


def push_form(client, order_id, phone=PAYER, **more):
    """A page without a script posts its form."""
    return client.post("/stk-push", data={"order_id": order_id, "phone": phone}, **more)


def pushed(client, order_id, phone=PAYER, **more):
    """A push that is taken; returns its snapshot."""
    answer = push(client, order_id, phone, **more)
    assert answer.status_code == 202, answer.text
    return answer.get_json()


def call_back(client, daraja, number=1, body=None, **more):
    """Daraja tells what became of its n-th push; a success where no body is given."""
    document = success_callback(daraja.checkout_id(number), daraja.merchant_id(number))
    sent = raw(document) if body is None else body
    address = f"/callback/{daraja.token_of(number)}"
    return client.post(address, data=sent, content_type="application/json", **more)


def fail(client, daraja, code, number=1):
    """Daraja tells that its n-th push failed."""
    document = failure_callback(daraja.checkout_id(number), daraja.merchant_id(number), code)
    return call_back(client, daraja, number, raw(document))


def status_of(client, transaction_id, **more):
    """The snapshot, as a poll sees it."""
    return client.get("/check-status", query_string={"tx_id": transaction_id}, **more).get_json()


def rows(app):
    """How many rows each table has."""
    with app.app_context():
        return tuple(
            db.session.scalar(select(func.count()).select_from(table))
            for table in (Order, Transaction, EvidenceRow, IdempotencyKey)
        )


def problem(answer, status, code, field=None):
    """Whether an answer is this problem, and all that a problem has to be."""
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    body = answer.get_json()
    assert (body["status"], body["code"], body.get("field")) == (status, code, field)
    assert body["detail"]
    assert (body["type"], body["title"]) == (f"/docs/api#{code}", MEANINGS[code].title)
    if status == 429:
        assert int(answer.headers["Retry-After"]) >= 1
    return body

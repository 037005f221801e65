"""POST /result/<token> and /timeout/<token>: stored, answered with 200, judged afterwards."""

import json
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from mpesa import awaited, status
from mpesa.awaited import Awaited, Subject
from mpesa.database import writing
from mpesa.models import HeardResult, Receipt, db
from mpesa.web.http.services import receipt_needs, services, status_needs
from tests.conftest import on_both
from tests.factories import PAYER_MSISDN, RECEIPT
from tests.questions import LISTED, answer
from tests.web.steps import problem

ACCEPTED = {"ResultCode": 0, "ResultDesc": "Accepted"}
FROM_SAFARICOM = {"REMOTE_ADDR": LISTED}


@pytest.fixture
def app(make_app):
    return make_app(CALLBACK_ALLOWED_IPS=LISTED)


@pytest.fixture
def token(app):
    with app.app_context():
        now = services().now()
        wanted = Awaited(Subject.STATUS, RECEIPT, "c" * 64, now + timedelta(days=30))
        made, row = awaited.addresses(wanted, "https://pay.example", now)
        with writing(db.session()):
            db.session().connection().execute(row.statement, dict(row.values))
    return made.result_url.rsplit("/", 1)[1]


def heard(app):
    with app.app_context():
        return db.session.scalars(select(HeardResult).order_by(HeardResult.id)).all()


def judge(app):
    with app.app_context():
        status.judge_waiting(db.session(), status_needs())


def receipts(app):
    with app.app_context():
        return [each.state for each in db.session.scalars(select(Receipt))]


def post(client, path, body, **more):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.post(path, data=data, environ_base={**FROM_SAFARICOM, **more})


@on_both
@pytest.mark.parametrize("slash", ["", "/"])
def test_a_result_is_stored_and_answered(client, app, token, slash):
    response = post(client, f"/result/{token}{slash}", answer())

    assert (response.status_code, response.get_json()) == (200, ACCEPTED)
    (kept,) = heard(app)
    assert (kept.timed_out, kept.source, kept.judged) == (False, LISTED, False)
    judge(app)
    assert receipts(app) == ["unclaimed"]


@on_both
def test_a_time_out_is_stored_and_says_nothing(client, app, token):
    response = post(client, f"/timeout/{token}", answer())

    assert (response.status_code, response.get_json()) == (200, ACCEPTED)
    judge(app)
    assert receipts(app) == []


@on_both
def test_a_result_after_its_time_out_counts(client, app, token):
    post(client, f"/timeout/{token}", b"")
    judge(app)

    post(client, f"/result/{token}", answer())
    judge(app)

    assert receipts(app) == ["unclaimed"]


@on_both
def test_an_unlisted_address_gets_its_200_and_says_nothing(client, app, token):
    response = post(client, f"/result/{token}", answer(), REMOTE_ADDR="203.0.113.9")

    assert (response.status_code, response.get_json()) == (200, ACCEPTED)
    judge(app)
    assert receipts(app) == []
    assert [each.judged for each in heard(app)] == [True]

    post(client, f"/result/{token}", answer())
    judge(app)
    assert receipts(app) == ["unclaimed"]


@on_both
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff" * 1000, b"{}", b'{"Result": null}', b"[" * 9999], ids=range(6)
)
def test_garbage_is_stored_and_answered(client, app, token, body):
    response = post(client, f"/result/{token}", body)

    assert (response.status_code, response.get_json()) == (200, ACCEPTED)
    judge(app)
    assert (receipts(app), len(heard(app))) == ([], 1)


@on_both
@pytest.mark.parametrize("path", ["result", "timeout"])
@pytest.mark.parametrize("wrong", ["0" * 64, "A" * 64, "short", "%00" * 8, "٣" * 64])
def test_another_token_is_not_found(client, app, token, path, wrong):
    problem(post(client, f"/{path}/{wrong}", answer()), 404, "not_found")
    assert heard(app) == []


@pytest.mark.parametrize("path", ["result", "timeout"])
def test_a_body_above_64_kib_is_refused(client, app, token, path):
    problem(post(client, f"/{path}/{token}", b"x" * (64 * 1024 + 1)), 413, "payload_too_large")
    assert heard(app) == []


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_only_a_post_is_heard(client, token, method):
    assert getattr(client, method)(f"/result/{token}").status_code == 405


def test_what_cannot_be_stored_gets_a_503(client, app, token, monkeypatch):
    def fails(*_args, **_kwargs):
        raise OperationalError("INSERT", {}, Exception("the disk is full"))

    monkeypatch.setattr(awaited, "hear", fails)

    assert post(client, f"/result/{token}", answer()).status_code == 503


@on_both
def test_the_payers_number_is_nowhere_but_in_a_keyed_hash(client, app, token, log_lines):
    post(client, f"/result/{token}", answer())
    judge(app)

    with app.app_context():
        mark = receipt_needs().mark_of(PAYER_MSISDN)
        (receipt,) = db.session.scalars(select(Receipt))
        assert receipt.payer_hash == mark
    assert all(PAYER_MSISDN[3:] not in str(vars(each)) for each in heard(app))
    assert all(token not in str(line) and PAYER_MSISDN not in str(line) for line in log_lines)

"""POST /c2b/<token>/validation: every payment may pass."""

import json

import pytest
from sqlalchemy import func, select

from mpesa.models import Witness, db
from mpesa.web.http.proofs import Purpose, proof
from mpesa.web.http.services import services
from tests.domain.bodies import confirmation
from tests.web.steps import problem, rows

ACCEPTED = {"ResultCode": "0", "ResultDesc": "Accepted"}


@pytest.mark.parametrize(
    "body",
    [json.dumps(confirmation()).encode(), b"", b"<html>", b"\xff" * 64 * 1024],
    ids=["a validation", "nothing", "a page", "64 KiB"],
)
@pytest.mark.parametrize("token", ["0" * 64, "a" * 32, "pull", "%00"])
def test_every_payment_may_pass_whatever_is_asked(client, app, token, body):
    before = rows(app)

    answer = client.post(f"/c2b/{token}/validation", data=body)

    assert (answer.status_code, answer.get_json()) == (200, ACCEPTED)
    assert rows(app) == before


def test_a_slash_behind_the_address_turns_no_payer_away(client):
    assert client.post(f"/c2b/{'0' * 64}/validation/").get_json() == ACCEPTED


def test_a_payment_may_pass_while_the_database_is_gone(client, app, monkeypatch):
    def gone(*_, **__):
        raise AssertionError("the database was asked")

    with app.app_context():
        monkeypatch.setattr(db.engine.pool, "connect", gone)

    assert client.post(f"/c2b/{'0' * 64}/validation", data=b"{}").get_json() == ACCEPTED


def test_a_body_above_64_kib_is_refused(client):
    answer = client.post(f"/c2b/{'0' * 64}/validation", data=b"x" * (64 * 1024 + 1))

    problem(answer, 413, "payload_too_large")


@pytest.mark.parametrize("method", ["get", "put", "delete"])
def test_only_a_post_is_a_question(client, method):
    assert getattr(client, method)(f"/c2b/{'0' * 64}/validation").status_code == 405


# -- the doctor's test -----------------------------------------------------------------------------

TOKEN = "f" * 32
NONCE = "0123456789abcdef" * 2


@pytest.fixture
def heard(make_app):
    return make_app(C2B_TOKEN=TOKEN)


def test_the_doctors_test_is_answered_with_a_proof_and_kept_nowhere(heard):
    before = rows(heard)

    answer = heard.test_client().post(f"/c2b/{TOKEN}/confirmation", json={"flask doctor": NONCE})

    told = answer.get_json()
    with heard.app_context():
        secret_key = services().settings.secret_key
    assert told["proof"] == proof(secret_key, NONCE, Purpose.CONFIRMATION)
    assert told["proof"] != proof(secret_key, NONCE)
    assert rows(heard) == before
    assert witnesses(heard) == 0


@pytest.mark.parametrize(
    "body",
    [
        {"flask doctor": NONCE, "TransID": "UKO1ABCDEF", "TransAmount": "150.00"},
        {**confirmation(), "flask doctor": NONCE},
        {"flask doctor": NONCE, "x": 1},
        {"flask doctor": {"TransID": "UKO1ABCDEF"}},
        {"flask doctor": 7},
        [{"flask doctor": NONCE}],
        {"flask doctor": NONCE + " " * 100},
    ],
    ids=range(7),
)
def test_what_has_another_field_is_no_test_and_is_kept(heard, body):
    answer = heard.test_client().post(f"/c2b/{TOKEN}/confirmation", json=body)

    assert (answer.status_code, answer.get_json()) == (200, {**ACCEPTED, "ResultCode": 0})
    assert witnesses(heard) == 1


def test_a_test_under_another_token_is_not_found(heard):
    answer = heard.test_client().post(f"/c2b/{'e' * 32}/confirmation", json={"flask doctor": NONCE})

    problem(answer, 404, "not_found")


@pytest.mark.parametrize("nonce", ["", "g" * 32, "0" * 31, "0" * 33])
def test_what_is_no_nonce_gets_no_proof(heard, nonce):
    answer = heard.test_client().post(f"/c2b/{TOKEN}/confirmation", json={"flask doctor": nonce})

    assert answer.get_json()["proof"] is None


def witnesses(app):
    with app.app_context():
        return db.session.scalar(select(func.count()).select_from(Witness))

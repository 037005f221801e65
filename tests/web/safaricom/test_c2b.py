"""POST /c2b/<token>/validation: every payment may pass."""

import json

import pytest

from mpesa.models import db
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

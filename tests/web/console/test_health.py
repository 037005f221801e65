"""Health: what is known is shown, what is wrong stands out, and nobody is asked for it."""

import re
from datetime import timedelta

import pytest

from mpesa import counters, ledger, pull
from mpesa.daraja import NotSent, Refused
from mpesa.daraja_access import access_key
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.result_codes import Reason
from mpesa.ids import hash_token
from mpesa.models import DarajaAccess, db
from mpesa.web.console import health
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import confirmation
from tests.web.console.steps import logged_in
from tests.web.steps import pushed

SECRETS = {
    "WEBHOOK_URL": "http://user:pass-word-of-the-hook@127.0.0.1:9/hook",
    "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "METRICS_TOKEN": "the-token-of-the-metrics",
    "SECRET_KEY": "the-key-of-all-the-cookies-of-this-shop",
    "DARAJA_PASSKEY": "the-passkey-of-the-shortcode",
    "DARAJA_CONSUMER_SECRET": "the-secret-of-the-consumer",
    "API_KEYS": "the-key-of-the-merchants-server",
}


@pytest.fixture(autouse=True)
def nothing_heard(monkeypatch):
    """Other tests' Daraja has told this process nothing."""
    monkeypatch.setattr(counters, "_marks", {})
    monkeypatch.setattr(counters, "_counts", type(counters._counts)())


def checks(client):
    """Name of each check: how it came out, and its words."""
    page = client.get("/console/health")
    assert page.status_code == 200
    rows = re.findall(r'<li class="is-(\w+)" id="check-.*?<h2>(.*?) <b>(.*?)</b>', page.text)
    return {name: (sign, word) for sign, name, word in rows}


@on_both
def test_a_fresh_server_has_nothing_wrong(app):
    found = checks(logged_in(app))

    assert found["Database"] == ("good", "answers, migrated")
    assert not [each for each in found.values() if each[0] in ("wrong", "warm")]


def test_looking_asks_daraja_nothing(app, daraja):
    client = logged_in(app)

    client.get("/console/health")

    assert daraja.pushes == daraja.queries == []


def test_no_secret_is_on_the_page(make_app):
    client = logged_in(make_app(**SECRETS))

    page = client.get("/console/health").text

    assert "WEBHOOK_URL" in page
    assert not [value for value in (*SECRETS.values(), "pass-word-of-the-hook") if value in page]


def test_a_redis_that_is_away_is_wrong(make_app):
    client = logged_in(make_app(REDIS_URL="redis://127.0.0.1:1/0"))

    assert checks(client)["Redis"] == ("wrong", "does not answer")


def test_pushes_that_daraja_refuses_stand_out(app, client, daraja, make_order):
    for number in range(3):
        daraja.answers.append(NotSent(Reason.SYSTEM_BUSY, "nobody there"))
        pushed(client, make_order(), f"071234567{number}")

    assert checks(logged_in(app))["Payment requests"] == ("wrong", "3 of 3 refused: M-PESA busy")


def test_pushes_that_only_the_merchant_can_put_right_say_so(app, client, daraja, make_order):
    daraja.answers.append(Refused(Reason.MISCONFIGURED))
    pushed(client, make_order())

    assert checks(logged_in(app))["Payment requests"] == ("wrong", "1 of 1 refused: misconfigured")


def test_pushes_that_daraja_takes_are_good(app, client, make_order):
    pushed(client, make_order())

    assert checks(logged_in(app))["Payment requests"][0] == "good"


def test_the_token_is_told_by_its_life_and_never_itself(app, clock):
    operator = logged_in(app)
    with app.app_context():
        row = DarajaAccess(id=hash_token(access_key(services().settings)), token="the-token-itself")
        row.expires_at = clock()
        db.session.add(row)
        db.session.commit()
    clock.pass_(minutes=-30)

    page = operator.get("/console/health").text

    assert "good for 30 minutes" in page
    assert "the-token-itself" not in page


def test_a_callback_that_nobody_judged_is_wrong(app, client, clock, make_order):
    transaction_id = pushed(client, make_order())["transaction_id"]
    operator = logged_in(app)
    with app.app_context():
        ledger.store(db.session(), transaction_id, Raw(Kind.CALLBACK, b"{}"), clock)
    clock.pass_(minutes=1)

    assert checks(operator)["Results waiting to be processed"] == ("wrong", "1")


def test_a_guest_sees_nothing_of_it(client):
    assert client.get("/console/health").status_code == 303


@pytest.mark.parametrize(
    ("skew", "expected"),
    [
        (0.0, ("good", "agrees with M-PESA&#39;s")),
        (-29.0, ("good", "agrees with M-PESA&#39;s")),
        (10_800.0, ("wrong", "ahead by 3 hours")),
        (-7200.0, ("wrong", "behind by 2 hours")),
    ],
)
def test_a_clock_that_is_not_darajas_is_named(app, skew, expected):
    before = checks(logged_in(app))["Clock"]
    counters.mark("daraja_clock_skew_seconds", skew)

    assert before == ("off", "not compared yet")
    assert checks(logged_in(app))["Clock"] == expected


# -- money that no push asked for ------------------------------------------------------------------

PULLS = {"PULL_NOMINATED_NUMBER": "254722000000"}
PULL = "Pull: what was paid"


def pulled(app, *pauses):
    """Complete pulls, so many hours after each other."""
    with app.app_context():
        for hours in pauses:
            services().now.pass_(hours=hours)
            pull._claim(db.session(), "174379", services().now(), timedelta(0))
            pull._note_complete(db.session(), "174379", services().now())


@on_both
@pytest.mark.parametrize(
    ("pauses", "later", "sign", "says"),
    [
        ((), 0, "warm", "flask pull run says why."),
        ((0,), 0, "good", "It reaches back to 22 Nov 2026, 12:00:00."),
        ((0, 1), 2, "good", "It reaches back to 22 Nov 2026, 12:00:00."),
        ((0, 1), 3, "warm", "It reaches back to 22 Nov 2026, 12:00:00."),
        ((0,), 49, "wrong", "no longer see what was paid since then: import a statement."),
        ((0, 50), 0, "warm", "from 24 Nov 2026, 12:00:00 to 24 Nov 2026, 14:00:00"),
    ],
    ids=["never", "once", "two hours ago", "three hours ago", "two days ago", "a gap"],
)
def test_how_far_back_pull_reaches_is_told(make_app, clock, pauses, later, sign, says):
    app = make_app(**PULLS)
    pulled(app, *pauses)
    clock.pass_(hours=later)

    client = logged_in(app)

    assert checks(client)[PULL][0] == sign
    assert says in client.get("/console/health").text


CONFIRMATIONS = "Confirmations of money by hand"


def test_confirmations_of_no_payment_to_us_stand_out(make_app, client):
    app = make_app(C2B_TOKEN="f" * 32)
    assert checks(logged_in(app))[CONFIRMATIONS] == ("off", "none in the last day")
    guest = app.test_client()

    guest.post(f"/c2b/{'f' * 32}/confirmation", json=confirmation("INV-1"))
    assert checks(logged_in(app, "amina"))[CONFIRMATIONS][0] == "good"
    foreign = confirmation("INV-1", receipt="UKO2GHIJKL", BusinessShortCode="600999")
    guest.post(f"/c2b/{'f' * 32}/confirmation", json=foreign)

    assert checks(logged_in(app, "baraka"))[CONFIRMATIONS] == ("warm", "not all understood")


def test_so_do_those_that_know_no_token_of_ours(make_app):
    app = make_app(C2B_TOKEN="f" * 32)

    app.test_client().post(f"/c2b/{'e' * 32}/confirmation", json=confirmation("INV-1"))

    assert checks(logged_in(app))[CONFIRMATIONS] == ("warm", "not all understood")


def test_without_a_token_such_money_is_not_seen(make_app):
    named = {"DARAJA_ENV": "sandbox", "DARAJA_CONSUMER_KEY": "k", "DARAJA_CONSUMER_SECRET": "s"}
    named |= {"PUBLIC_URL": "https://pay.example", "SECRET_KEY": "ours", "API_KEYS": "ours"}
    app = make_app(**named, MANUAL_PAYMENT="on")

    with app.app_context():
        found = health._confirmations(services())

    assert (found.sign.value, found.word) == ("warm", "not heard")

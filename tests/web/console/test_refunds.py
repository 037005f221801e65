"""Giving money back in the console: one person asks, another releases."""

import html
import json
import re
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select

from mpesa import operators, retention
from mpesa.domain.refund import Event, RefundStatus
from mpesa.domain.roles import Role
from mpesa.models import Receipt, Refund, RefundStep, WebhookMessage, db
from mpesa.web.console.refunds import STEPS, WORDS
from mpesa.web.http.services import services
from tests.factories import RECEIPT
from tests.web.console.steps import PASSWORD, hidden, hire, logged_in, send, try_login

ASK = f"/console/receipts/{RECEIPT}/refund"


@pytest.fixture
def paid(shop):
    push = shop.attempt()
    shop.callback(1, shop.paid())
    return push


@pytest.fixture
def clerk(app):
    return logged_in(app, "amina", Role.CLERK)


@pytest.fixture
def secret(app):
    """What the manager's authenticator was given."""
    hire(app, "baraka", role=Role.MANAGER)
    with app.app_context():
        return operators.enrol(db.session(), "baraka", services().settings.secret_key)


@pytest.fixture
def manager(app, secret):
    client = app.test_client()
    assert try_login(client, "baraka").status_code == 303
    return client


@pytest.fixture
def code(secret, clock):
    return pyotp.TOTP(secret).at(clock())


def asked(clerk):
    answer = send(clerk, ASK, on=ASK, reason="paid twice")
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def test_one_person_asks_and_another_releases(paid, clerk, manager, code):
    page = asked(clerk)
    assert "Release it?" not in clerk.get(page).text

    shown = manager.get(page).text
    released = send(manager, f"{page}/release", on=page, password=PASSWORD, code=code)

    assert "KES 150" in shown
    assert "KES 50,000 of KES 50,000" in shown
    assert released.status_code == 303
    assert "Released" in manager.get(page).text


def test_refunds_are_listed_by_when_they_were_asked_for(paid, clerk):
    asked(clerk)

    def listed(period):
        return clerk.get(f"/console/refunds?period={period}").text.split("All refunds", 1)[1]

    assert RECEIPT in listed("month")
    assert "Asked for" in listed("month")
    assert RECEIPT not in listed("last_month")
    assert "No refund was asked for then." in listed("last_month")


def test_refunds_are_read_page_by_page_within_a_period(shop, clerk, clock, monkeypatch):
    monkeypatch.setattr("mpesa.web.console.refunds.PAGE", 2)
    numbers = [f"UKO3KNOWN{n}" for n in range(5)]
    for number in numbers:
        shop.confirm("NOBODY", receipt=number)
        page = f"/console/receipts/{number}/refund"
        assert send(clerk, page, on=page, reason="sent by mistake").status_code == 303
        clock.pass_(seconds=1)

    address, seen = "/console/refunds?period=month", []
    while address:
        page = clerk.get(address).text.split("All refunds", 1)[1]
        seen.append(re.findall("UKO3KNOWN[0-9]", page))
        found = re.search('href="([^"]*before=[^"]*)" rel="next"', page)
        address = html.unescape(found[1]) if found else None
        assert address is None or "period=month" in address

    assert seen == [numbers[:2:-1], numbers[2:0:-1], numbers[:1]]
    assert 'href="/console/refunds?period=month"' in page


def test_only_where_another_receipt_of_the_order_goes_back_a_release_asks_about_it(
    shop, paid, clerk, manager, code
):
    page = asked(clerk)
    alone = manager.get(page).text
    with shop.sessions() as session:
        row = session.query(Receipt).one()
        kept = {each.name: getattr(row, each.name) for each in Receipt.__table__.columns}
        other = {"id": "other", "receipt": "UKO3KNOWN1", "state": "returned", "refund_id": None}
        session.add(Receipt(**kept | other))
        session.commit()

    both = manager.get(page).text
    refused = send(manager, f"{page}/release", on=page, password=PASSWORD, code=code)

    assert ('name="returns_all"' in alone, 'name="returns_all"' in both) == (False, True)
    assert refused.status_code == 409
    assert "Tick the box" in refused.text


def test_without_the_code_nothing_is_released(paid, clerk, manager, code):
    page = asked(clerk)
    refused = send(manager, f"{page}/release", on=page, password=PASSWORD, code="000000")

    assert refused.status_code == 409
    assert "The password or the code is wrong" in refused.text
    assert "Waits for a release" in manager.get(page).text


def test_who_asked_does_not_release(paid, manager, code):
    page = asked(manager)

    assert "another person releases it" in manager.get(page).text
    refused = send(
        manager, f"{page}/release", on="/console/refunds", password=PASSWORD,
        code=code,
    )  # fmt: skip
    assert refused.status_code == 409


@pytest.mark.parametrize("act", ["release", "refuse", "end"])
def test_a_clerk_releases_refuses_and_ends_nothing(shop, paid, clerk, act):
    page = asked(clerk)

    refused = send(clerk, f"{page}/{act}", on=ASK, password=PASSWORD, code="000000", back="yes")

    assert refused.status_code == 403


def test_a_manager_refuses(paid, clerk, manager):
    page = asked(clerk)

    assert send(manager, f"{page}/refuse", on=page).status_code == 303

    assert "Refused" in manager.get(page).text
    assert RECEIPT in manager.get("/console/refunds").text


def test_a_payment_leads_to_its_refund(paid, clerk):
    before = clerk.get(f"/console/transactions/{paid}").text
    page = asked(clerk)
    after = clerk.get(f"/console/transactions/{paid}").text

    assert ASK in before
    assert page in after
    assert send(clerk, ASK, on=ASK, reason="once more").headers["Location"] == page


def test_a_reason_is_needed(paid, clerk):
    answer = send(clerk, ASK, on=ASK, reason="x")

    assert answer.status_code == 409
    assert "2 to 100 characters" in answer.text


def test_what_waits_is_counted_beside_the_menu(paid, clerk, manager):
    asked(clerk)

    assert 'data-live="waiting-refunds">1<' in manager.get("/console/").text


# -- a refund that a person has to look at ---------------------------------------------------------


@pytest.fixture
def doubted(app, paid, clerk):
    """A refund that M-PESA first called failed, and then a success."""
    page = asked(clerk)
    with app.app_context():
        row = db.session.get_one(Refund, page.rsplit("/", 1)[1])
        row.status, row.needs_review = RefundStatus.SUCCEEDED, True
        db.session.commit()
    return page


def settled(app, page):
    """What is kept of the reviews of a refund: who, and why."""
    with app.app_context():
        kept = select(RefundStep).where(
            RefundStep.refund_id == page.rsplit("/", 1)[1],
            RefundStep.event == Event.REVIEW_SETTLED.value,
        )
        return [(each.by, json.loads(each.body)["reason"]) for each in db.session.scalars(kept)]


def test_a_clerk_settles_the_review_of_a_refund_with_a_reason(app, doubted, clerk):
    form = clerk.get(f"{doubted}/settle").text

    answer = clerk.post(f"{doubted}/settle", data=hidden(form) | {"reason": "One reversal <b>"})

    assert answer.headers["Location"] == "/console/review"
    page = clerk.get(doubted).text
    assert "A person has to look at it" not in page
    assert "One reversal &lt;b&gt;" in page
    assert settled(app, doubted) == [("amina", "One reversal <b>")]
    with app.app_context():
        row = db.session.get_one(Refund, doubted.rsplit("/", 1)[1])
        assert (row.status, row.seq, row.needs_review) == ("succeeded", 1, False)
        assert not db.session.scalars(select(WebhookMessage.type)).all()


def test_who_settled_a_review_and_why_outlives_what_is_forgotten(app, doubted, clerk, clock):
    form = hidden(clerk.get(f"{doubted}/settle").text) | {"reason": "One reversal"}
    clerk.post(f"{doubted}/settle", data=form)

    with app.app_context():
        retention.by_age(db.session(), clock() + timedelta(days=400), timedelta(days=1), "cron")

    assert settled(app, doubted) == [("amina", "One reversal")]
    assert "One reversal" in clerk.get(doubted).text
    assert clerk.post(f"{doubted}/settle", data=form).status_code == 303


def test_the_review_of_a_refund_takes_a_clerk(app, doubted):
    viewer = logged_in(app, "njeri", Role.VIEWER)

    assert "Settle the review" not in viewer.get(doubted).text
    assert viewer.get(f"{doubted}/settle").status_code == 403
    refused = send(viewer, f"{doubted}/settle", reason="I would like to", seq="1")
    assert refused.status_code == 403
    assert settled(app, doubted) == []


def test_a_review_of_a_refund_that_is_sent_twice_is_kept_once(app, doubted, clerk):
    fields = hidden(clerk.get(f"{doubted}/settle").text) | {"reason": "One reversal"}

    answers = [clerk.post(f"{doubted}/settle", data=fields).status_code for _ in range(2)]

    assert answers == [303, 303]
    assert len(settled(app, doubted)) == 1


@pytest.mark.parametrize(
    ("changed", "fields", "status"),
    [
        ({}, {"reason": ""}, 400),
        ({"seq": 2}, {}, 409),
        ({"needs_review": False}, {}, 409),
        ({"status": "unknown"}, {}, 409),
    ],
    ids=["no reason", "heard of meanwhile", "settled meanwhile", "unknown: it has to be ended"],
)
def test_a_review_of_a_refund_is_not_settled(app, doubted, clerk, changed, fields, status):
    form = hidden(clerk.get(f"{doubted}/settle").text) | {"reason": "One reversal"}
    with app.app_context():
        row = db.session.get_one(Refund, doubted.rsplit("/", 1)[1])
        for name, value in changed.items():
            setattr(row, name, value)
        db.session.commit()

    answer = clerk.post(f"{doubted}/settle", data=form | fields)

    assert answer.status_code == status
    assert settled(app, doubted) == []


def test_a_refund_that_a_person_has_to_look_at_is_counted_beside_the_menu(doubted, clerk):
    assert 'data-live="waiting-refunds">1<' in clerk.get("/console/").text


def test_there_is_no_such_refund(manager):
    assert manager.get("/console/refunds/nonsense").status_code == 404
    assert manager.get("/console/receipts/UKO0NOTHER/refund").status_code == 404


def test_each_state_and_each_step_has_a_word():
    assert set(WORDS) == set(RefundStatus)
    assert set(STEPS) == set(Event)

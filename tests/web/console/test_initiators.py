"""A stopped API user in the console: Health says what to do, and a manager says go, once."""

import pytest
from sqlalchemy import select

from mpesa import counters, initiators
from mpesa.daraja.initiators import Initiator
from mpesa.domain.results import parse_result
from mpesa.domain.roles import Role
from mpesa.ids import new_id
from mpesa.initiators import Name
from mpesa.models import InitiatorAct, db
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import raw
from tests.questions import answer
from tests.web.console.steps import NAME, hidden, logged_in, send
from tests.web.console.test_health import checks

GO = "/console/health/initiators/status/go"
ASKS = "API user that asks about receipts"


@pytest.fixture(autouse=True)
def nothing_heard(monkeypatch):
    """Other tests have counted nothing."""
    monkeypatch.setattr(counters, "_counts", type(counters._counts)())


def used(app, name=Name.STATUS, code="8006"):
    """Use an API user, and have M-PESA answer."""
    with app.app_context():
        ours, session = services(), db.session()
        settings = ours.settings
        user = (
            Initiator(settings.daraja_status_initiator, "", "status_api ")
            if name is Name.STATUS
            else Initiator(settings.daraja_refund_initiator, "", "refund_api ")
        )
        assert initiators.is_free(session, name, user, ours.now())
        result = parse_result(raw(answer(code=code)))
        mark = initiators.mark_of(user)
        assert mark == initiators.mark_in(settings, name)
        initiators.note_answer(session, name, result, mark, ours.now(), ours.now())


def stopped(app, name=Name.STATUS):
    with app.app_context():
        mark = initiators.mark_in(services().settings, name)
        return initiators.standing(db.session(), name, mark).stopped_at is not None


def acts(app):
    with app.app_context():
        return db.session.scalars(select(InitiatorAct)).all()


@on_both
def test_health_says_why_it_is_stopped_and_what_to_do(app):
    client = logged_in(app)
    assert checks(client)[ASKS] == ("off", "not tried yet")

    used(app, code="8006")

    page = client.get("/console/health").text
    assert checks(client)[ASKS] == ("wrong", "stopped since 24 Nov 2026, 12:00:00")
    assert "M-PESA has locked it." in page
    assert "flask initiator seal" in page
    assert f'href="{GO}"' in page


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("2001", "M-PESA called its password wrong."),
        ("18", "M-PESA called its password wrong."),
        ("8006", "M-PESA has locked it."),
    ],
)
def test_each_reason_has_its_words(app, code, says):
    used(app, code=code)

    assert says in logged_in(app).get("/console/health").text


def test_one_that_answers_is_well(app):
    used(app, code="2032")

    assert checks(logged_in(app))[ASKS] == ("good", "answers")


@on_both
def test_a_manager_says_go_with_a_reason(app, clock):
    client = logged_in(app)
    used(app)
    page = client.get(GO)
    assert page.status_code == 200

    answered = client.post(GO, data={**hidden(page.text), "reason": "A new password was set"})

    assert answered.status_code == 303
    assert not stopped(app)
    (act,) = acts(app)
    assert (act.by, act.reason, act.initiator) == (NAME, "A new password was set", "status")
    assert "It is used again" in client.get("/console/health").text


@on_both
def test_the_same_form_twice_acts_once(app):
    client = logged_in(app)
    used(app)
    form = {**hidden(client.get(GO).text), "reason": "A new password was set"}
    client.post(GO, data=form)
    used(app)

    client.post(GO, data=form)

    assert stopped(app)
    assert len(acts(app)) == 1


@pytest.mark.parametrize("reason", ["", "  ", "no", "x" * 501])
def test_without_a_reason_nothing_is_done(app, reason):
    client = logged_in(app)
    used(app)

    answered = client.post(GO, data={**hidden(client.get(GO).text), "reason": reason})

    assert answered.status_code == 400
    assert stopped(app)


def test_one_that_is_not_stopped_needs_nobody(app):
    client = logged_in(app)

    assert client.get(GO).status_code == 303
    answered = send(client, GO, reason="Just so", once=new_id())
    assert answered.status_code == 303
    assert acts(app) == []


@pytest.mark.parametrize("role", [Role.VIEWER, Role.CLERK])
def test_who_is_no_manager_is_shown_no_way_and_is_refused(app, role):
    client = logged_in(app, "clerk", role)
    used(app)

    assert GO not in client.get("/console/health").text
    assert client.get(GO).status_code == 403
    assert send(client, GO, reason="A new password was set").status_code == 403
    assert stopped(app)


def test_a_guest_is_led_to_the_login(app, client):
    used(app)

    assert client.get(GO).status_code == 303
    assert stopped(app)


def test_each_has_its_own_way(app):
    used(app, Name.REFUND)
    client = logged_in(app)
    way = GO.replace("status", "refund")
    assert "It gives money back" in client.get(way).text

    client.post(way, data={**hidden(client.get(way).text), "reason": "Unlocked on the portal"})

    assert not stopped(app, Name.REFUND)


def test_another_name_is_not_found(app):
    assert logged_in(app).get(GO.replace("status", "root")).status_code == 404

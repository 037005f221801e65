"""The loops beside the requests outlive whatever goes wrong in a round."""

from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from mpesa import ledger, workers
from mpesa.domain.evidence import Kind, Raw
from mpesa.models import Announcement, db
from mpesa.outbox import Announced
from mpesa.runtime import loops
from mpesa.web.http.services import services
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import SECOND_PAYER_MSISDN, raw, success_callback
from tests.servers import wait_until
from tests.web.steps import fail, pushed

on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)


def broken(*_):
    raise OperationalError("SELECT 1", {}, Exception("the server closed the connection"))


@pytest.mark.parametrize("error", [broken, lambda *_: 1 / 0])
def test_a_round_that_fails_does_not_end_the_loop(app, error):
    loops._try(app, error)


def test_a_connection_that_cannot_be_given_back_does_not_end_the_loop(app):
    failures = iter([broken])
    app.teardown_appcontext(lambda _error: next(failures, lambda: None)())

    loops._try(app, lambda _services: None)

    assert next(failures, None) is None


def test_daraja_is_looked_at_more_than_once_a_tick_only_after_it_was_asked(
    app, client, make_order, clock
):
    pushed(client, make_order())
    idle = loops._try(app, loops._reconciler)
    clock.pass_(seconds=60)

    after_a_question = loops._try(app, loops._reconciler)

    with app.app_context():
        between = services().access.budget.pause.total_seconds()
    assert (idle, after_a_question) == (None, max(0.05, min(loops.TICK, between)))


def written(app):
    with app.app_context():
        return db.session.execute(select(Announcement.transaction_id, Announcement.seq)).all()


def test_what_was_announced_last_is_written_down_before_the_process_ends(app, client, make_order):
    transaction_id = pushed(client, make_order())["transaction_id"]
    ours = app.extensions["mpesa"]
    ours.announced.append(
        Announced(transaction_id, 1, "PENDING", "awaiting_pin", "OPEN", 1, ours.now())
    )

    with app.app_context():
        loops.finish(app, services())

    wait_until(lambda: written(app) == [(transaction_id, 1)])


def test_who_was_told_of_a_failure_is_told_when_nobody_can_answer_its_prompt_any_longer(
    app, client, make_order, daraja, clock
):
    transaction_id = pushed(client, make_order())["transaction_id"]
    fail(client, daraja, 1037)
    look, heard = loops._prompts_over(), []

    with app.app_context():
        ours = replace(services(), tell_again=heard.append)
        for _turn in range(4):
            look(ours)
            clock.pass_(seconds=80)

    assert heard == [[], [], [transaction_id]]


def test_what_could_not_be_announced_is_announced_with_the_next_turn(app, client, make_order):
    transaction_id = pushed(client, make_order())["transaction_id"]
    look, heard, troubles = loops._outbox(), [], [OperationalError("", {}, Exception("gone"))]

    def announce(changes):
        if troubles:
            raise troubles.pop()
        heard.append([each.transaction_id for each in changes])

    with app.app_context():
        ours = replace(services(), announce_here=announce)
        with pytest.raises(OperationalError):
            look(ours)
        for _turn in range(2):
            look(ours)

    assert heard == [[transaction_id], []]


@on_both
@pytest.mark.parametrize("broken_rounds", [1, 2, 3])
def test_an_old_callback_that_could_not_be_judged_is_judged_when_it_can_be(
    app, shop, clock, monkeypatch, broken_rounds
):
    old, recent = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    judge, usual = loops._unjudged(), ledger.record
    with shop.sessions() as session:
        ledger.store(session, old, stored_callback(shop, 1), clock)
    clock.pass_(hours=5)

    monkeypatch.setattr(ledger, "record", broken)
    for _round in range(broken_rounds):
        a_round(app, judge)
        clock.pass_(seconds=5)
    with shop.sessions() as session:
        ledger.store(session, recent, stored_callback(shop, 2), clock)
    clock.pass_(hours=2)
    a_round(app, judge)
    during = shop.transaction(old).status, shop.transaction(recent).status
    monkeypatch.setattr(ledger, "record", usual)
    clock.pass_(hours=2)
    for _round in range(2):
        a_round(app, judge)

    assert during == ("PENDING", "PENDING")
    assert [shop.transaction(each).status for each in (old, recent)] == ["SUCCESS", "SUCCESS"]


def test_callbacks_that_nobody_can_judge_keep_no_other_one_waiting(app, shop, clock, monkeypatch):
    monkeypatch.setattr(loops, "_JUDGED_AGAIN", 1)
    poisoned, healthy = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    judge, usual = loops._unjudged(), ledger.record
    with shop.sessions() as session:
        for transaction_id, push in ((poisoned, 1), (poisoned, 1), (healthy, 2)):
            ledger.store(session, transaction_id, stored_callback(shop, push), clock)
    clock.pass_(hours=5)

    def refuse(session, transaction_id, *rest):
        if transaction_id == poisoned:
            raise ValueError
        return usual(session, transaction_id, *rest)

    monkeypatch.setattr(ledger, "record", broken)
    a_round(app, judge)
    monkeypatch.setattr(ledger, "record", refuse)
    for _round in range(3):
        clock.pass_(seconds=5)
        a_round(app, judge)

    assert shop.transaction(healthy).status == "SUCCESS"


def a_round(app, work):
    with app.app_context():
        work(services())


def stored_callback(shop, push):
    ids = shop.daraja.checkout_id(push), shop.daraja.merchant_id(push)
    body = raw(success_callback(*ids, receipt=f"UKO1ABCD{push:02d}"))
    return Raw(Kind.CALLBACK, body, "196.201.212.69")


# -- workers that share a database ---------------------------------------------------------------


def look_around(*apps, rounds=2):
    """Let a worker of each application look for the others."""
    looks = [loops._workers() for _ in apps]
    for _round in range(rounds):
        for app, look in zip(apps, looks, strict=True):
            with app.app_context():
                look(services())


def warnings(caplog):
    return [each.getMessage() for each in caplog.records if "REDIS_URL" in each.getMessage()]


@on_postgresql
def test_each_of_two_workers_without_redis_says_so_once(make_app, caplog):
    look_around(make_app(), make_app())

    said = warnings(caplog)
    assert len(said) == 2
    assert all("2 workers" in each for each in said)


@on_postgresql
def test_the_doctor_finds_workers_without_redis(make_app):
    look_around(make_app(), make_app())

    result = make_app().test_cli_runner().invoke(args=["doctor"])

    assert "BAD  redis" in result.output
    assert "2 workers" in result.output


@pytest.mark.redis
@on_postgresql
def test_the_doctor_finds_workers_that_listen_on_another_redis(make_app, redis_url):
    look_around(make_app(), make_app())

    result = make_app(REDIS_URL=redis_url).test_cli_runner().invoke(args=["doctor"])

    assert "BAD  redis" in result.output
    assert "2 workers run, and 0 listen here" in result.output


@on_both
def test_a_worker_alone_says_nothing_of_redis(make_app, caplog):
    app = make_app()
    look_around(app)

    result = app.test_cli_runner().invoke(args=["doctor"])

    assert warnings(caplog) == []
    assert "ok   redis" in result.output


@on_postgresql
def test_workers_with_redis_say_nothing_of_it(make_app, caplog):
    url = "redis://127.0.0.1:1/0"

    look_around(make_app(REDIS_URL=url), make_app(REDIS_URL=url))

    assert warnings(caplog) == []


@on_postgresql
def test_a_worker_that_was_killed_is_counted_no_longer(make_app):
    gone, other = make_app(), make_app()
    look_around(gone)
    before = running(other)

    with gone.app_context():
        db.engine.dispose()  # its connections end with it

    assert before == 1
    wait_until(lambda: running(other) == 0)


def running(app):
    with app.app_context():
        return workers.count(db.session())

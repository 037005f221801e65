"""The server's clock is set, by hours, in the middle of a payment: nothing waits for longer than
its own rule, and no second prompt goes out beside the first."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.orm import Session

from mpesa import inbox, ledger, operators, reconciler
from mpesa.daraja import QueryAnswer, UnknownOutcome
from mpesa.daraja_access import Access
from mpesa.deadlines import run_once
from mpesa.domain.refusals import AttemptOpen, LineBusy, OrderError, RetryLater
from mpesa.ledger import Kind, Raw
from mpesa.runtime import loops
from mpesa.web.http.services import services
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
any_step = pytest.mark.parametrize("hours", [3, -3])
# What a worker says of a step, or what is left to the rows where none was there to see it.
noticed = pytest.mark.parametrize("seen", [True, False])


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def another(desk: Desk) -> Desk:
    """A worker that starts now, on the same database."""
    return Desk(desk.app, desk.now, desk.daraja)


def ids(desk: Desk, push: int = 1) -> tuple[str, str]:
    return desk.daraja.checkout_id(push), desk.daraja.merchant_id(push)


def let_pass(desk: Desk, seconds: int) -> None:
    """Time passes, and the worker's clock ticks; each second at the beginning and at the end."""
    left = seconds
    while left:
        pause = 5 if 10 < left < seconds else 1
        desk.now.pass_(seconds=pause)
        desk.tick()
        left -= pause


def refused(desk: Desk, order: str, msisdn: str = SECOND_PAYER_MSISDN) -> OrderError:
    with pytest.raises(OrderError) as refusal:
        desk.start(order, msisdn)
    return refusal.value


def ask(desk: Desk) -> int:
    with desk.sessions() as session:
        access = Access(desk.daraja, desk.budget, desk.now)  # type: ignore[arg-type]
        return reconciler.run_once(session, access, desk.announce)


# -- a living prompt -----------------------------------------------------------------------------


@on_both
@any_step
def test_a_prompt_stays_open_for_what_was_left_of_it(desk: Desk, clock: Clock, hours: int) -> None:
    order, other = desk.order(), desk.order()
    first = desk.start(order).transaction_id
    let_pass(desk, 100)
    clock.step(hours=hours)
    let_pass(desk, 79)
    during = refused(desk, order), refused(desk, other, "254712345678")
    with pytest.raises(AttemptOpen):
        desk.cancel(order)
    let_pass(desk, 1)

    second = desk.start(order)

    assert [type(each) for each in during] == [AttemptOpen, LineBusy]
    assert [each.seconds for each in during] == [1, 1]  # type: ignore[attr-defined]
    assert second.status_code == 202
    assert (desk.transaction(first).status, desk.transaction(first).is_open) == ("PENDING", False)


@on_both
@pytest.mark.parametrize("before", ["seen at a tick", "begun since the tick"])
def test_no_second_prompt_goes_out_between_a_step_and_the_tick_that_notices_it(
    desk: Desk, clock: Clock, before: str
) -> None:
    order = desk.order()
    if before == "seen at a tick":
        desk.start(order)
        desk.tick()
    else:
        desk.tick()
        clock.pass_(seconds=0.5)
        desk.start(order)
    clock.step(hours=3)

    at_once = refused(desk, order)
    desk.tick()
    later = refused(desk, order)

    assert isinstance(at_once, RetryLater)
    assert at_once.seconds <= 2
    assert isinstance(later, AttemptOpen)
    assert 178 <= later.seconds <= 180
    assert len(desk.daraja.pushes) == 1


@on_both
def test_no_second_prompt_goes_out_where_the_clock_steps_while_daraja_is_asked(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = desk.order()
    desk.start(order)
    let_pass(desk, 200)
    query = desk.daraja.query

    def answer(checkout_request_id: str, **more: Any) -> QueryAnswer:
        monkeypatch.setattr(desk.daraja, "query", query)
        desk.start(order)  # another press, which has no budget to ask and goes on
        clock.step(minutes=5)
        return query(checkout_request_id, **more)

    monkeypatch.setattr(desk.daraja, "query", answer)

    with pytest.raises(RetryLater):
        desk.start(order)

    desk.tick()
    assert isinstance(refused(desk, order), AttemptOpen)
    assert len(desk.daraja.pushes) == 2


@on_both
@any_step
@pytest.mark.parametrize("told", ["before the step", "after the step"])
def test_no_second_prompt_goes_out_where_the_push_is_answered_around_the_step(
    desk: Desk, clock: Clock, hours: int, told: str
) -> None:
    order = desk.order()
    desk.tick()
    clock.pass_(seconds=0.2)

    def answer(_push: object) -> None:
        clock.pass_(seconds=0.2)
        if told == "after the step":
            clock.step(hours=hours)
            clock.pass_(seconds=0.2)

    desk.daraja.answers.append(answer)
    desk.start(order)
    if told == "before the step":
        clock.pass_(seconds=0.2)
        clock.step(hours=hours)
    desk.tick()

    assert 178 <= refused(desk, order).seconds <= 180  # type: ignore[attr-defined]
    assert len(desk.daraja.pushes) == 1


@on_both
@any_step
def test_a_failures_wait_that_began_just_before_the_step_is_kept(
    desk: Desk, clock: Clock, hours: int
) -> None:
    order = desk.order()
    desk.start(order)
    clock.pass_(seconds=5)
    desk.tick()
    clock.pass_(seconds=0.3)
    desk.callback(1, failure_callback(*ids(desk), 1037))
    clock.pass_(seconds=0.3)
    clock.step(hours=hours)
    at_once = refused(desk, order)
    desk.tick()
    later = refused(desk, order)

    assert isinstance(at_once, RetryLater)
    assert isinstance(later, RetryLater)
    assert 113 <= later.seconds <= 115


@on_both
def test_nothing_ends_by_a_clock_that_was_just_put_forward(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    desk.tick()
    clock.step(hours=3)

    with pytest.raises(AttemptOpen):
        desk.cancel(order)
    with desk.sessions() as session:
        due = run_once(session, desk.now, timedelta(0), desk.announce, desk.watch.stepped)

    assert due == 0
    assert desk.transaction(transaction).is_open


@on_both
@any_step
def test_a_push_that_is_answered_after_the_step_is_open_for_its_whole_life(
    desk: Desk, clock: Clock, hours: int
) -> None:
    order = desk.order()
    desk.tick()

    def step(_push: object) -> None:
        clock.pass_(seconds=1)
        desk.tick()
        clock.step(hours=hours)
        clock.pass_(seconds=9)

    desk.daraja.answers.append(step)
    desk.start(order)
    let_pass(desk, 179)
    during = refused(desk, order)
    let_pass(desk, 1)

    assert isinstance(during, AttemptOpen)
    assert desk.start(order).status_code == 202


@on_both
def test_a_step_back_that_nobody_saw_keeps_order_and_line_for_one_life_of_a_prompt_at_most(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    desk.start(order)
    clock.step(hours=-3)
    before = refused(desk, order)
    started = another(desk)
    let_pass(started, 199)
    during = refused(started, order)
    let_pass(started, 2)

    assert isinstance(before, AttemptOpen)
    assert before.seconds <= 200
    assert isinstance(during, AttemptOpen)
    assert started.start(order).status_code == 202


@on_both
@any_step
def test_every_worker_notices_a_step_and_one_puts_it_right(
    desk: Desk, clock: Clock, hours: int
) -> None:
    workers = [desk, another(desk), another(desk)]
    transaction = desk.attempt()
    for each in workers:
        each.tick()
    before = desk.transaction(transaction)
    clock.step(hours=hours)
    for each in workers:
        clock.pass_(seconds=0.3)
        each.tick()

    after = desk.transaction(transaction)

    assert after.seq == before.seq + 1
    assert after.created_at == before.created_at + timedelta(hours=hours)
    assert [each.announced for each in workers] == [[transaction], [], []]
    assert [each.kind for each in desk.evidence(transaction)] == ["push_answer", "clock"]


@on_both
@pytest.mark.parametrize("seconds", [-60, -5, 5, 60])
def test_small_steps_are_noticed_too(desk: Desk, clock: Clock, seconds: int) -> None:
    order = desk.order()
    desk.start(order)
    let_pass(desk, 10)
    clock.step(seconds=seconds)
    let_pass(desk, 169)
    during = refused(desk, order)
    let_pass(desk, 1)

    assert isinstance(during, AttemptOpen)
    assert desk.start(order).status_code == 202


def test_a_clock_that_is_only_corrected_a_little_changes_nothing(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    seq = desk.transaction(transaction).seq
    for _ in range(30):
        clock.step(seconds=0.5)
        let_pass(desk, 1)

    assert desk.transaction(transaction).seq == seq


# -- the wait, and the questions -----------------------------------------------------------------


# A step forward that nobody saw only makes what is waited for come sooner.
@on_both
@pytest.mark.parametrize(("hours", "seen"), [(3, True), (-3, True), (-3, False)])
def test_the_wait_ends_and_daraja_is_asked_as_planned(
    desk: Desk, clock: Clock, hours: int, seen: bool
) -> None:
    transaction = desk.attempt()
    desk.tick()
    clock.step(hours=hours)
    worker = desk if seen else another(desk)
    worker.tick()
    asked_at: list[float] = []
    for _ in range(70):
        let_pass(worker, 1)
        if ask(worker):
            asked_at.append(clock.monotonic())

    assert asked_at[:3] == [15, 35, 65]
    assert desk.snapshot(transaction)["reason"] == "overdue"


@on_both
@pytest.mark.parametrize("old", [timedelta(minutes=10), timedelta(hours=5), timedelta(hours=30)])
def test_an_old_silence_is_asked_about_no_later_than_its_plan(
    desk: Desk, clock: Clock, old: timedelta
) -> None:
    transaction = desk.attempt()
    while (left := old.total_seconds() - clock.monotonic()) > 0:
        until_due = (desk.transaction(transaction).next_ask_at or clock()) - clock()
        clock.pass_(seconds=min(left, max(60, until_due.total_seconds())))
        desk.tick()
        ask(desk)
    longest = {600: 300, 18_000: 7_200, 108_000: 43_200}[int(old.total_seconds())]
    clock.step(hours=-3)
    desk.tick()

    until_due = (desk.transaction(transaction).next_ask_at or clock()) - clock()

    assert until_due <= timedelta(seconds=longest)


@on_both
@noticed
def test_what_is_to_be_asked_at_once_is_asked_at_once(desk: Desk, clock: Clock, seen: bool) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=5)
    desk.tick()
    while ask(desk):
        clock.pass_(seconds=12)
    desk.callback(1, b"?")
    clock.step(hours=-3)
    worker = desk if seen else another(desk)
    worker.tick()
    clock.pass_(seconds=12)

    assert ask(worker) == 1
    assert desk.transaction(transaction).times_asked > 0


@on_both
@noticed
def test_silence_without_an_id_reaches_a_person_after_an_hour(
    desk: Desk, clock: Clock, seen: bool
) -> None:
    desk.daraja.answers.append(UnknownOutcome())
    transaction = desk.attempt()
    desk.tick()
    clock.step(hours=-3)
    worker = desk if seen else another(desk)
    worker.tick()
    clock.pass_(minutes=59)
    worker.tick()
    before = desk.transaction(transaction).needs_review
    clock.pass_(minutes=1, seconds=1)
    worker.tick()

    assert (before, desk.transaction(transaction).needs_review) == (False, True)


@on_both
def test_a_receipt_is_waited_for_a_day_and_not_longer(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)
    desk.daraja.query_answers.append("0")
    ask(desk)
    desk.tick()
    clock.step(hours=-3)
    desk.tick()
    clock.pass_(hours=24, seconds=1)
    desk.tick()

    row = desk.transaction(transaction)
    assert (row.status, row.final, row.needs_review) == ("SUCCESS", True, True)


@on_both
def test_daraja_is_asked_again_however_far_the_clock_was_ahead(desk: Desk, clock: Clock) -> None:
    assert desk.budget.take()
    clock.step(hours=-3)

    assert desk.budget.wait() == timedelta(0)
    assert desk.budget.take()
    assert not desk.budget.take()
    assert desk.budget.wait() == desk.budget.pause


@on_both
def test_workers_whose_clocks_differ_a_little_share_one_budget(desk: Desk, clock: Clock) -> None:
    assert desk.budget.take()
    clock.step(seconds=-9)

    assert not desk.budget.take()


# -- a failure's wait ----------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("ticks", [True, False])
@pytest.mark.parametrize(("code", "longest"), [(1037, 120), (1019, 60), (1001, 120), (9999, 60)])
def test_no_wait_grows_longer_than_its_rule(
    desk: Desk, clock: Clock, code: int, longest: int, ticks: bool
) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    clock.step(hours=-3)
    desk.callback(1, failure_callback(*ids(desk), code))
    if ticks:
        desk.tick()
    at_once, shown = refused(desk, order), desk.snapshot(transaction)["retry_after"]
    desk.tick()
    let_pass(desk, longest)

    assert isinstance(at_once, RetryLater)
    assert at_once.seconds <= longest
    assert shown is not None
    assert shown <= longest
    assert desk.start(order).status_code == 202


@on_both
@any_step
def test_money_after_a_step_is_money(desk: Desk, clock: Clock, hours: int) -> None:
    transaction = desk.attempt()
    desk.tick()
    clock.step(hours=hours)
    desk.callback(1, success_callback(*ids(desk)))
    desk.tick()

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


@on_both
def test_an_order_expires_by_the_clock_as_it_is_and_not_beside_a_living_prompt(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order(expires_at=clock() + timedelta(hours=1))
    desk.start(order)
    desk.tick()
    clock.step(hours=3)
    let_pass(desk, 179)
    before = desk.order_row(order).status
    let_pass(desk, 1)

    assert (before, desk.order_row(order).status) == ("OPEN", "EXPIRED")


# -- the rest that has a time --------------------------------------------------------------------


@on_both
def test_codes_are_limited_for_an_hour_and_not_longer(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()

    def type_five() -> None:
        for _ in range(5):
            with desk.sessions() as session:
                inbox.take_code(session, transaction, "UKO9ZZZZZZ", desk.inbox_needs())

    type_five()
    clock.step(hours=-3)
    type_five()

    with desk.sessions() as session, pytest.raises(inbox.TooManyCodes) as refusal:
        inbox.take_code(session, transaction, "UKO9ZZZZZZ", desk.inbox_needs())
    assert refusal.value.seconds <= 3600


@on_both
def test_a_login_lasts_no_longer_because_the_clock_was_ahead(
    session: Session, app: Flask, clock: Clock
) -> None:
    operators.add(session, "ann", "a long and quiet password", clock())
    login = operators.log_in(session, "ann", "a long and quiet password", "127.0.0.1", clock())
    assert login is not None
    clock.step(hours=-3)
    loops._clock(services())
    clock.pass_(hours=11)
    during = operators.who(session, login.token, clock())
    clock.pass_(hours=1, seconds=1)

    assert (during, operators.who(session, login.token, clock())) == ("ann", None)


@on_both
def test_what_was_stored_before_a_step_back_is_judged(desk: Desk, app: Flask, clock: Clock) -> None:
    transaction = desk.attempt()
    look = loops._unjudged()
    with app.app_context():
        look(services())
        stored = Raw(Kind.CALLBACK, raw(success_callback(*ids(desk))), "196.201.212.69")
        with desk.sessions() as session:
            ledger.store(session, transaction, stored, clock)
        clock.step(hours=-3)
        clock.pass_(seconds=5)
        look(services())

    assert desk.transaction(transaction).status == "SUCCESS"


@on_both
def test_another_workers_changes_are_announced_after_a_step_back(
    desk: Desk, app: Flask, clock: Clock
) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    clock.pass_(minutes=5)
    look, told = loops._outbox(), list[str]()

    def here(changes: object) -> None:
        told.extend(each.transaction_id for each in changes)  # type: ignore[attr-defined]

    with app.app_context():
        ours = services()
        object.__setattr__(ours, "announce_here", here)
        look(ours)
        clock.step(hours=-3)
        clock.pass_(seconds=0.5)
        desk.callback(1, success_callback(*ids(desk)))
        for _ in range(2):
            clock.pass_(seconds=1)
            look(ours)

    assert told.count(transaction) >= 1


def test_a_tick_that_looks_for_steps_reads_no_whole_table(desk: Desk) -> None:
    plans: list[str] = []

    def explain(_connection: Any, cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if statement.startswith("SELECT") and "FROM transactions" in statement:
            found = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(row[3] for row in found)

    desk.tick()
    event.listen(desk.engine, "before_cursor_execute", explain)
    with desk.sessions() as session:
        desk.watch.look(session, desk.announce)
    event.remove(desk.engine, "before_cursor_execute", explain)

    assert len(plans) == 5
    assert not [plan for plan in plans if not plan.startswith("SEARCH") and "INDEX" not in plan]

"""The server's clock is set, by hours, in the middle of a payment: nothing waits for longer than
its own rule, and no second prompt goes out beside the first."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from mpesa import inbox, ledger, operators, reconciler
from mpesa.daraja import UnknownOutcome
from mpesa.daraja_access import Access
from mpesa.deadlines import run_once
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.refusals import AttemptOpen, LineBusy, OrderError, RetryLater
from mpesa.runtime import loops
from mpesa.web.http.services import services
from tests.conftest import on_both
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
    success_callback,
)
from tests.shop import Shop

any_step = pytest.mark.parametrize("hours", [3, -3])
# What a worker says of a step, or what is left to the rows where none was there to see it.
noticed = pytest.mark.parametrize("seen", [True, False])


def another(shop):
    """A worker that starts now, on the same database."""
    return Shop(shop.app, shop.now, shop.daraja)


def ids(shop, push=1):
    return shop.daraja.checkout_id(push), shop.daraja.merchant_id(push)


def let_pass(shop, seconds):
    """Time passes, and the worker's clock ticks; each second at the beginning and at the end."""
    left = seconds
    while left:
        pause = min(30, left - 10) if 10 < left < seconds else 1
        shop.now.pass_(seconds=pause)
        shop.tick()
        left -= pause


def refused(shop, order, msisdn=SECOND_PAYER_MSISDN):
    with pytest.raises(OrderError) as refusal:
        shop.start(order, msisdn)
    return refusal.value


def ask(shop):
    with shop.sessions() as session:
        access = Access(shop.daraja, shop.budget, shop.now)
        return reconciler.run_once(session, access, shop.announce)


# -- a living prompt -----------------------------------------------------------------------------


@on_both
@any_step
def test_a_prompt_stays_open_for_what_was_left_of_it(shop, clock, hours):
    order, other = shop.order(), shop.order()
    first = shop.start(order).transaction_id
    let_pass(shop, 100)
    clock.step(hours=hours)
    let_pass(shop, 79)
    during = refused(shop, order), refused(shop, other, "254712345678")
    with pytest.raises(AttemptOpen):
        shop.cancel(order)
    let_pass(shop, 1)

    second = shop.start(order)

    assert [type(each) for each in during] == [AttemptOpen, LineBusy]
    assert [each.seconds for each in during] == [1, 1]
    assert second.status_code == 202
    assert (shop.transaction(first).status, shop.transaction(first).is_open) == ("PENDING", False)


@on_both
@pytest.mark.parametrize("before", ["seen at a tick", "begun since the tick"])
def test_no_second_prompt_goes_out_between_a_step_and_the_tick_that_notices_it(shop, clock, before):
    order = shop.order()
    if before == "seen at a tick":
        shop.start(order)
        shop.tick()
    else:
        shop.tick()
        clock.pass_(seconds=0.5)
        shop.start(order)
    clock.step(hours=3)

    at_once = refused(shop, order)
    shop.tick()
    later = refused(shop, order)

    assert isinstance(at_once, RetryLater)
    assert at_once.seconds <= 2
    assert isinstance(later, AttemptOpen)
    assert 178 <= later.seconds <= 180
    assert len(shop.daraja.pushes) == 1


@on_both
def test_no_second_prompt_goes_out_where_the_clock_steps_while_daraja_is_asked(
    shop, clock, monkeypatch
):
    order = shop.order()
    shop.start(order)
    let_pass(shop, 200)
    query = shop.daraja.query

    def answer(checkout_request_id, **more):
        monkeypatch.setattr(shop.daraja, "query", query)
        shop.start(order)  # another press, which has no budget to ask and goes on
        clock.step(minutes=5)
        return query(checkout_request_id, **more)

    monkeypatch.setattr(shop.daraja, "query", answer)

    with pytest.raises(RetryLater):
        shop.start(order)

    shop.tick()
    assert isinstance(refused(shop, order), AttemptOpen)
    assert len(shop.daraja.pushes) == 2


@on_both
@any_step
@pytest.mark.parametrize("told", ["before the step", "after the step"])
def test_no_second_prompt_goes_out_where_the_push_is_answered_around_the_step(
    shop, clock, hours, told
):
    order = shop.order()
    shop.tick()
    clock.pass_(seconds=0.2)

    def answer(_push):
        clock.pass_(seconds=0.2)
        if told == "after the step":
            clock.step(hours=hours)
            clock.pass_(seconds=0.2)

    shop.daraja.answers.append(answer)
    shop.start(order)
    if told == "before the step":
        clock.pass_(seconds=0.2)
        clock.step(hours=hours)
    shop.tick()

    assert 178 <= refused(shop, order).seconds <= 180
    assert len(shop.daraja.pushes) == 1


@on_both
@any_step
def test_a_failures_wait_that_began_just_before_the_step_is_kept(shop, clock, hours):
    order = shop.order()
    shop.start(order)
    clock.pass_(seconds=5)
    shop.tick()
    clock.pass_(seconds=0.3)
    shop.callback(1, failure_callback(*ids(shop), 1037))
    clock.pass_(seconds=0.3)
    clock.step(hours=hours)
    at_once = refused(shop, order)
    shop.tick()
    later = refused(shop, order)

    assert isinstance(at_once, RetryLater)
    assert isinstance(later, RetryLater)
    assert 113 <= later.seconds <= 115


@on_both
def test_nothing_ends_by_a_clock_that_was_just_put_forward(shop, clock):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    shop.tick()
    clock.step(hours=3)

    with pytest.raises(AttemptOpen):
        shop.cancel(order)
    with shop.sessions() as session:
        due = run_once(session, shop.now, timedelta(0), shop.announce, shop.watch.stepped)

    assert due == 0
    assert shop.transaction(transaction).is_open


@on_both
@any_step
def test_a_push_that_is_answered_after_the_step_is_open_for_its_whole_life(shop, clock, hours):
    order = shop.order()
    shop.tick()

    def step(_push):
        clock.pass_(seconds=1)
        shop.tick()
        clock.step(hours=hours)
        clock.pass_(seconds=9)

    shop.daraja.answers.append(step)
    shop.start(order)
    let_pass(shop, 179)
    during = refused(shop, order)
    let_pass(shop, 1)

    assert isinstance(during, AttemptOpen)
    assert shop.start(order).status_code == 202


@on_both
def test_a_step_back_that_nobody_saw_keeps_order_and_line_for_one_life_of_a_prompt_at_most(
    shop, clock
):
    order = shop.order()
    shop.start(order)
    clock.step(hours=-3)
    before = refused(shop, order)
    started = another(shop)
    let_pass(started, 199)
    during = refused(started, order)
    let_pass(started, 2)

    assert isinstance(before, AttemptOpen)
    assert before.seconds <= 200
    assert isinstance(during, AttemptOpen)
    assert started.start(order).status_code == 202


@on_both
@any_step
def test_every_worker_notices_a_step_and_one_puts_it_right(shop, clock, hours):
    workers = [shop, another(shop), another(shop)]
    transaction = shop.attempt()
    for each in workers:
        each.tick()
    before = shop.transaction(transaction)
    clock.step(hours=hours)
    for each in workers:
        clock.pass_(seconds=0.3)
        each.tick()

    after = shop.transaction(transaction)

    assert after.seq == before.seq + 1
    assert after.created_at == before.created_at + timedelta(hours=hours)
    assert [each.announced for each in workers] == [[transaction], [], []]
    assert [each.kind for each in shop.evidence(transaction)] == ["push_answer", "clock"]


@on_both
@pytest.mark.parametrize("seconds", [-5, 5])
def test_small_steps_are_noticed_too(shop, clock, seconds):
    order = shop.order()
    shop.start(order)
    let_pass(shop, 10)
    clock.step(seconds=seconds)
    let_pass(shop, 169)
    during = refused(shop, order)
    let_pass(shop, 1)

    assert isinstance(during, AttemptOpen)
    assert shop.start(order).status_code == 202


def test_a_clock_that_is_only_corrected_a_little_changes_nothing(shop, clock):
    transaction = shop.attempt()
    seq = shop.transaction(transaction).seq
    for _ in range(30):
        clock.step(seconds=0.5)
        let_pass(shop, 1)

    assert shop.transaction(transaction).seq == seq


# -- the wait, and the questions -----------------------------------------------------------------


# A step forward that nobody saw only makes what is waited for come sooner.
@on_both
@pytest.mark.parametrize(("hours", "seen"), [(3, True), (-3, True), (-3, False)])
def test_the_wait_ends_and_daraja_is_asked_as_planned(shop, clock, hours, seen):
    transaction = shop.attempt()
    shop.tick()
    clock.step(hours=hours)
    worker = shop if seen else another(shop)
    worker.tick()
    asked_at: list[float] = []
    for _ in range(70):
        let_pass(worker, 1)
        if ask(worker):
            asked_at.append(clock.monotonic())

    assert asked_at[:3] == [15, 35, 65]
    assert shop.snapshot(transaction)["reason"] == "overdue"


@on_both
@pytest.mark.parametrize("old", [timedelta(minutes=10), timedelta(hours=5), timedelta(hours=30)])
def test_an_old_silence_is_asked_about_no_later_than_its_plan(shop, clock, old):
    transaction = shop.attempt()
    while (left := old.total_seconds() - clock.monotonic()) > 0:
        until_due = (shop.transaction(transaction).next_ask_at or clock()) - clock()
        clock.pass_(seconds=min(left, max(60, until_due.total_seconds())))
        shop.tick()
        ask(shop)
    longest = {600: 300, 18_000: 7_200, 108_000: 43_200}[int(old.total_seconds())]
    clock.step(hours=-3)
    shop.tick()

    until_due = (shop.transaction(transaction).next_ask_at or clock()) - clock()

    assert until_due <= timedelta(seconds=longest)


@on_both
@noticed
def test_what_is_to_be_asked_at_once_is_asked_at_once(shop, clock, seen):
    transaction = shop.attempt()
    clock.pass_(hours=5)
    shop.tick()
    while ask(shop):
        clock.pass_(seconds=12)
    shop.callback(1, b"?")
    clock.step(hours=-3)
    worker = shop if seen else another(shop)
    worker.tick()
    clock.pass_(seconds=12)

    assert ask(worker) == 1
    assert shop.transaction(transaction).times_asked > 0


@on_both
@noticed
def test_silence_without_an_id_reaches_a_person_after_an_hour(shop, clock, seen):
    shop.daraja.answers.append(UnknownOutcome())
    transaction = shop.attempt()
    shop.tick()
    clock.step(hours=-3)
    worker = shop if seen else another(shop)
    worker.tick()
    clock.pass_(minutes=59)
    worker.tick()
    before = shop.transaction(transaction).needs_review
    clock.pass_(minutes=1, seconds=1)
    worker.tick()

    assert (before, shop.transaction(transaction).needs_review) == (False, True)


@on_both
def test_a_receipt_is_waited_for_a_day_and_not_longer(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=15)
    shop.daraja.query_answers.append("0")
    ask(shop)
    shop.tick()
    clock.step(hours=-3)
    shop.tick()
    clock.pass_(hours=24, seconds=1)
    shop.tick()

    row = shop.transaction(transaction)
    assert (row.status, row.final, row.needs_review) == ("SUCCESS", True, True)


@on_both
def test_daraja_is_asked_again_however_far_the_clock_was_ahead(shop, clock):
    assert shop.budget.take()
    clock.step(hours=-3)

    assert shop.budget.wait() == timedelta(0)
    assert shop.budget.take()
    assert not shop.budget.take()
    assert shop.budget.wait() == shop.budget.pause


@on_both
def test_workers_whose_clocks_differ_a_little_share_one_budget(shop, clock):
    assert shop.budget.take()
    clock.step(seconds=-9)

    assert not shop.budget.take()


# -- a failure's wait ----------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("ticks", [True, False])
@pytest.mark.parametrize(("code", "longest"), [(1037, 120), (9999, 60)])
def test_no_wait_grows_longer_than_its_rule(shop, clock, code, longest, ticks):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    clock.step(hours=-3)
    shop.callback(1, failure_callback(*ids(shop), code))
    if ticks:
        shop.tick()
    at_once, shown = refused(shop, order), shop.snapshot(transaction)["retry_after"]
    shop.tick()
    let_pass(shop, longest)

    assert isinstance(at_once, RetryLater)
    assert at_once.seconds <= longest
    assert shown is not None
    assert shown <= longest
    assert shop.start(order).status_code == 202


@on_both
@any_step
def test_money_after_a_step_is_money(shop, clock, hours):
    transaction = shop.attempt()
    shop.tick()
    clock.step(hours=hours)
    shop.callback(1, success_callback(*ids(shop)))
    shop.tick()

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


@on_both
def test_an_order_expires_by_the_clock_as_it_is_and_not_beside_a_living_prompt(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(hours=1))
    shop.start(order)
    shop.tick()
    clock.step(hours=3)
    let_pass(shop, 179)
    before = shop.order_row(order).status
    let_pass(shop, 1)

    assert (before, shop.order_row(order).status) == ("OPEN", "EXPIRED")


# -- the rest that has a time --------------------------------------------------------------------


@on_both
def test_codes_are_limited_for_an_hour_and_not_longer(shop, clock):
    transaction = shop.attempt()

    def type_five():
        for _ in range(5):
            with shop.sessions() as session:
                inbox.take_code(session, transaction, "UKO9ZZZZZZ", shop.inbox_needs())

    type_five()
    clock.step(hours=-3)
    type_five()

    with shop.sessions() as session, pytest.raises(inbox.TooManyCodes) as refusal:
        inbox.take_code(session, transaction, "UKO9ZZZZZZ", shop.inbox_needs())
    assert refusal.value.seconds <= 3600


@on_both
def test_a_login_lasts_no_longer_because_the_clock_was_ahead(session, app, clock):
    operators.add(session, "ann", "a long and quiet password", clock())
    login = operators.log_in(session, "ann", "a long and quiet password", "127.0.0.1", clock())
    assert login is not None
    clock.step(hours=-3)
    loops._clock(services())
    clock.pass_(hours=11)
    during = operators.who(session, login.token, clock())
    clock.pass_(hours=1, seconds=1)

    assert during is not None
    assert operators.who(session, login.token, clock()) is None


@on_both
def test_what_was_stored_before_a_step_back_is_judged(shop, app, clock):
    transaction = shop.attempt()
    look = loops._unjudged()
    with app.app_context():
        look(services())
        stored = Raw(Kind.CALLBACK, raw(success_callback(*ids(shop))), "196.201.212.69")
        with shop.sessions() as session:
            ledger.store(session, transaction, stored, clock)
        clock.step(hours=-3)
        clock.pass_(seconds=5)
        look(services())

    assert shop.transaction(transaction).status == "SUCCESS"


@on_both
def test_another_workers_changes_are_announced_after_a_step_back(shop, app, clock):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    clock.pass_(minutes=5)
    look, told = loops._outbox(), list[str]()

    def here(changes):
        told.extend(each.transaction_id for each in changes)

    with app.app_context():
        ours = services()
        object.__setattr__(ours, "announce_here", here)
        look(ours)
        clock.step(hours=-3)
        clock.pass_(seconds=0.5)
        shop.callback(1, success_callback(*ids(shop)))
        for _ in range(2):
            clock.pass_(seconds=1)
            look(ours)

    assert told.count(transaction) >= 1


def test_a_tick_that_looks_for_steps_reads_no_whole_table(shop):
    plans: list[str] = []

    def explain(_connection, cursor, statement, values, *_):
        if statement.startswith("SELECT") and "FROM transactions" in statement:
            found = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            plans.extend(row[3] for row in found)

    shop.tick()
    event.listen(shop.engine, "before_cursor_execute", explain)
    with shop.sessions() as session:
        shop.watch.look(session, shop.announce)
    event.remove(shop.engine, "before_cursor_execute", explain)

    assert len(plans) == 5
    assert not [plan for plan in plans if not plan.startswith("SEARCH") and "INDEX" not in plan]

"""Silence is asked about: when, in which order, within which budget, and what an answer does."""

from datetime import timedelta

import pytest

from mpesa import reconciler, turns
from mpesa.config import Rate
from mpesa.daraja import NoAnswer, NotSent, QueryAnswer, UnknownOutcome
from mpesa.daraja_access import Access, QueryBudget
from mpesa.domain.evidence import Kind
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import CodeTyped
from tests.conftest import on_both
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.fakes import FakeDaraja
from tests.shop import Shop, at_once

MINUTE, HOUR = 60, 3600
# In seconds: closer together at first, as questions are.
EIGHTY_HOURS = [*range(0, 2 * HOUR, 3 * MINUTE), *range(2 * HOUR, 80 * HOUR, 30 * MINUTE)]


class Unlimited:
    """A budget that never ends: what is tested is the order of questions, not their number."""

    def take(self):
        return True

    def wait(self):
        return timedelta(0)


class Killed(BaseException):
    """The process ended here."""


def reconcile(shop, budget=None):
    """One turn; returns how many were asked about."""
    access = Access(shop.daraja, budget or shop.budget, shop.now)
    with shop.sessions() as session:
        return reconciler.run_until_idle(session, access, shop.announce)


def ask_once(shop, budget):
    access = Access(shop.daraja, budget, shop.now)
    with shop.sessions() as session:
        return reconciler.run_once(session, access, shop.announce)


def numbers_asked(shop):
    """The pushes that Daraja was asked about, by number, in that order."""
    all_ids = [shop.daraja.checkout_id(each + 1) for each in range(len(shop.daraja.pushes))]
    return [all_ids.index(each) + 1 for each in shop.daraja.queries]


def line(number):
    return f"2547{number:08d}"


def ids(shop, push=1):
    return shop.daraja.checkout_id(push), shop.daraja.merchant_id(push)


def seconds_of_questions(shop, clock, moments):
    """The moments, in seconds from now, at which Daraja was asked."""
    start, asked = clock(), []
    for moment in moments:
        clock.wait_until(start + timedelta(seconds=moment))
        shop.tick()
        asked += [moment] * reconcile(shop, Unlimited())
    return asked


# -- when ----------------------------------------------------------------------------------------


def test_a_silent_payment_is_asked_about_ever_more_rarely(shop, clock):
    shop.attempt()
    first_hours = range(5 * MINUTE, 3 * HOUR, 5 * MINUTE)
    days = range(3 * HOUR, 73 * HOUR, 30 * MINUTE)

    asked = seconds_of_questions(shop, clock, [*range(200), *first_hours, *days])

    assert asked == [
        15,
        35,
        65,
        95,
        155,
        *(each * MINUTE for each in (5, 15, 60)),
        *(each * HOUR for each in (2, 4, 8, 16, 24, 36, 48, 60)),
    ]


def test_a_failure_that_may_be_mended_is_asked_about_four_times(shop, clock):
    shop.attempt()
    clock.pass_(seconds=10)
    shop.callback(1, failure_callback(*ids(shop), 1037))

    asked = seconds_of_questions(shop, clock, EIGHTY_HOURS)

    assert asked == [3 * MINUTE, 15 * MINUTE, 60 * MINUTE, 24 * HOUR]


def test_a_failure_known_from_a_question_is_asked_about_again(shop, clock):
    shop.attempt()
    shop.daraja.query_answers.append("1")
    clock.pass_(seconds=15)
    reconcile(shop)

    asked = seconds_of_questions(shop, clock, EIGHTY_HOURS)

    assert asked == [3 * MINUTE, 15 * MINUTE, 60 * MINUTE, 24 * HOUR]


def test_late_money_is_found_although_the_next_question_got_no_answer(shop, clock):
    transaction = shop.attempt()
    shop.daraja.query_answers += ["1037", NoAnswer(), "0"]
    clock.pass_(seconds=15)
    reconcile(shop)
    failed = shop.transaction(transaction).reason

    seconds_of_questions(shop, clock, [3 * MINUTE, 15 * MINUTE])

    assert failed == "unreachable"
    assert shop.transaction(transaction).reason == "paid_late"


def test_a_final_failure_is_asked_about_no_more(shop, clock):
    shop.attempt()
    shop.callback(1, failure_callback(*ids(shop), 2001))

    assert seconds_of_questions(shop, clock, list(range(0, 80 * HOUR, HOUR))) == []


def test_a_success_is_asked_about_no_more(shop, clock):
    shop.attempt()
    shop.daraja.query_answers.append("0")

    asked = seconds_of_questions(shop, clock, [15, *range(MINUTE, 80 * HOUR, HOUR)])

    assert asked == [15]


def test_a_push_without_an_id_is_never_asked_about(shop, clock):
    shop.daraja.answers.append(UnknownOutcome())
    shop.attempt()

    assert seconds_of_questions(shop, clock, list(range(0, 2 * HOUR, MINUTE))) == []


def test_a_process_that_was_down_asks_once_and_keeps_to_the_plan(shop, clock):
    shop.attempt()
    clock.pass_(seconds=400)

    first = [reconcile(shop, Unlimited()), reconcile(shop, Unlimited())]
    clock.pass_(seconds=500)

    assert (first, reconcile(shop, Unlimited())) == ([1, 0], 1)


@pytest.mark.parametrize("heard", [b"<html>", "a code"])
def test_what_was_heard_of_oddly_is_asked_about_at_once(shop, clock, heard):
    transaction = shop.attempt()
    clock.pass_(seconds=2)
    if isinstance(heard, bytes):
        shop.callback(1, heard)
    else:
        shop.record(transaction, CodeTyped(), Kind.SMS_CODE)

    assert reconcile(shop) == 1
    assert not shop.transaction(transaction).ask_urgently


# -- in which order ------------------------------------------------------------------------------


def test_what_was_heard_of_comes_first_and_failures_come_last(shop, clock):
    for number in (1, 2, 3, 4):
        shop.attempt(line(number))
    shop.callback(1, failure_callback(*ids(shop, 1), 1032))
    clock.pass_(hours=1)
    shop.attempt(line(5))
    clock.pass_(seconds=20)
    shop.callback(3, b"garbage")

    reconcile(shop, Unlimited())

    asked = numbers_asked(shop)
    # Every other turn is of what waits longest.
    assert (asked[0], asked[2], asked[-1]) == (3, 5, 1)
    assert {asked[1], asked[3]} == {2, 4}


def test_codes_that_are_typed_again_and_again_starve_no_new_payment(shop, clock):
    mine = [shop.attempt(line(number)) for number in range(1, 11)]
    clock.pass_(seconds=15)
    reconcile(shop, Unlimited())
    shop.daraja.queries.clear()
    shop.attempt(line(11))
    clock.pass_(seconds=15)
    for transaction in mine:
        shop.record(transaction, CodeTyped(), Kind.SMS_CODE)

    reconcile(shop)

    assert numbers_asked(shop) == [11]


def test_a_code_comes_before_questions_that_were_asked_already(shop, clock):
    first = shop.attempt(line(1))
    shop.attempt(line(2))
    clock.pass_(seconds=15)
    reconcile(shop, Unlimited())
    shop.daraja.queries.clear()
    clock.pass_(seconds=20)
    shop.record(first, CodeTyped(), Kind.SMS_CODE)

    reconcile(shop)

    assert numbers_asked(shop) == [1]


def test_of_the_young_those_asked_about_least_come_first(shop, clock):
    shop.attempt(line(1))
    clock.pass_(seconds=15)
    reconcile(shop, Unlimited())
    shop.attempt(line(2))
    clock.pass_(seconds=20)
    shop.daraja.queries.clear()

    reconcile(shop, Unlimited())

    assert numbers_asked(shop) == [2, 1]


def test_of_those_asked_about_as_often_the_newest_and_what_waits_longest_take_turns(shop, clock):
    for number in (1, 2, 3, 4):
        shop.attempt(line(number))
        clock.pass_(seconds=1)
    clock.pass_(seconds=15)

    reconcile(shop, Unlimited())

    assert numbers_asked(shop) == [4, 1, 3, 2]


def test_a_payment_of_now_comes_before_one_never_asked_about_of_an_hour_ago(shop, clock):
    shop.attempt(line(1))
    clock.pass_(hours=1)
    shop.attempt(line(2))
    clock.pass_(seconds=15)
    reconcile(shop, Unlimited())
    shop.daraja.queries.clear()
    shop.attempt(line(3))
    clock.pass_(seconds=20)

    reconcile(shop, Unlimited())

    assert numbers_asked(shop) == [3, 2]


def test_a_flood_of_old_silence_starves_no_new_payment(shop, clock):
    for number in range(1, 31):
        shop.attempt(line(number))
    clock.pass_(hours=5)
    shop.attempt(line(31))
    clock.pass_(seconds=15)

    reconcile(shop)

    assert numbers_asked(shop) == [31]


# -- within which budget -------------------------------------------------------------------------


def test_questions_keep_to_the_budget(shop, clock):
    for number in range(1, 11):
        shop.attempt(line(number))
    clock.pass_(seconds=15)

    asked = []
    for _second in range(60):
        asked.append(reconcile(shop))
        clock.pass_(seconds=1)

    assert sum(asked) == 5


@on_both
def test_two_workers_share_one_budget(shop, app, clock):
    for number in range(1, 11):
        shop.attempt(line(number))
    clock.pass_(seconds=15)
    other = Shop(app, clock, shop.daraja)

    asked = at_once([lambda: reconcile(shop), lambda: reconcile(other)] * 3)

    assert sum(asked) == 1


@on_both
def test_of_workers_with_budgets_of_their_own_one_asks(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=15)
    budgets = [QueryBudget(shop.sessions, f"key {n}", clock, Rate(5, 60)) for n in range(6)]

    asked = at_once([lambda each=each: ask_once(shop, each) for each in budgets])

    assert sum(asked) == 1
    assert shop.daraja.queries == [shop.daraja.checkout_id(1)]
    assert shop.transaction(transaction).times_asked == 1


def test_without_a_budget_nothing_is_looked_for(shop, clock, monkeypatch):
    shop.attempt()
    clock.pass_(seconds=15)
    shop.budget.take()
    looked: list[int] = []
    monkeypatch.setattr(turns, "most_urgent", lambda *_: looked.append(1))

    reconcile(shop)

    assert looked == []


def test_without_a_budget_the_question_stays_due(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=15)
    shop.budget.take()
    early = reconcile(shop)
    clock.pass_(seconds=12)

    assert (early, reconcile(shop)) == (0, 1)
    assert shop.transaction(transaction).times_asked == 1


# -- what an answer does -------------------------------------------------------------------------


@on_both
def test_a_success_is_taken_without_its_receipt_and_announced(shop, clock):
    transaction = shop.attempt()
    shop.daraja.query_answers.append("0")
    clock.pass_(seconds=15)
    shop.announced.clear()

    reconcile(shop)

    shown = shop.snapshot(transaction)
    assert (shown["status"], shown["reason"], shown["order_status"]) == ("SUCCESS", "paid", "PAID")
    assert (shown["receipt"], shown["final"]) == (None, False)
    assert shop.announced == [transaction]


def test_the_callback_fills_in_the_receipt_later(shop, clock):
    transaction = shop.attempt()
    shop.daraja.query_answers.append("0")
    clock.pass_(seconds=15)
    reconcile(shop)
    before = shop.snapshot(transaction)["seq"]

    shop.callback(1, success_callback(*ids(shop)))

    shown = shop.snapshot(transaction)
    assert (shown["receipt"], shown["final"], shown["seq"]) == (RECEIPT, True, before + 1)
    assert not shop.transaction(transaction).needs_review


def test_a_success_without_its_receipt_needs_a_person_after_a_day(shop, clock):
    transaction = shop.attempt()
    shop.daraja.query_answers.append("0")
    clock.pass_(seconds=15)
    reconcile(shop)
    clock.pass_(hours=24, seconds=-1)
    shop.tick()
    before = shop.transaction(transaction).needs_review
    clock.pass_(seconds=1)

    shop.tick()

    row = shop.transaction(transaction)
    assert (before, row.needs_review, row.final, row.status) == (False, True, True, "SUCCESS")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1032", "cancelled"),
        ("1", "insufficient_funds"),
        ("2001", "wrong_pin"),
        ("17", "line_busy"),
    ],
)
def test_a_failure_known_from_a_question_is_never_final(shop, clock, code, reason):
    transaction = shop.attempt()
    shop.daraja.query_answers.append(code)
    clock.pass_(seconds=15)

    reconcile(shop)

    shown = shop.snapshot(transaction)
    assert (shown["status"], shown["reason"], shown["final"]) == ("FAILED", reason, False)


def test_money_found_after_a_failure_is_paid_late(shop, clock):
    transaction = shop.attempt()
    shop.daraja.query_answers.extend(["1037", "0"])
    clock.pass_(seconds=15)
    reconcile(shop)
    clock.pass_(minutes=3)

    reconcile(shop)

    shown = shop.snapshot(transaction)
    assert (shown["status"], shown["reason"]) == ("SUCCESS", "paid_late")


@pytest.mark.parametrize(
    "answer",
    [NoAnswer(), NotSent(Reason.SYSTEM_BUSY), UnknownOutcome(), "4999", "2029", "7777", ""],
    ids=str,
)
def test_what_tells_nothing_changes_nothing_and_is_kept(shop, clock, answer):
    transaction = shop.attempt()
    before = shop.snapshot(transaction)
    shop.daraja.query_answers.append(answer)
    clock.pass_(seconds=15)

    asked = reconcile(shop)

    row = shop.transaction(transaction)
    assert asked == 1
    assert shop.snapshot(transaction) == before
    assert row.next_ask_at == row.created_at + timedelta(seconds=35)
    assert not row.needs_review
    assert [each.kind for each in shop.evidence(transaction)] == ["push_answer", "query"]


def test_2029_is_a_failure_from_30_seconds_on(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=30)
    shop.daraja.query_answers.append("2029")

    reconcile(shop)

    assert shop.snapshot(transaction)["reason"] == "misconfigured"


@pytest.mark.parametrize("named", ["another", None])
def test_an_answer_about_another_payment_is_no_answer(shop, clock, daraja, named):
    transaction = shop.attempt()
    clock.pass_(seconds=15)
    other = daraja.checkout_id(2) if named else None

    class Confused(FakeDaraja):
        def query(self, checkout_request_id, *, budget=20.0):
            return QueryAnswer("0", "", None, other, b"{}")

    shop.daraja = Confused()
    asked = reconcile(shop)

    assert (asked, shop.snapshot(transaction)["status"]) == (1, "PENDING")
    # Somebody's money may be at stake: a code 0 that was not believed is looked at by a person.
    assert shop.transaction(transaction).needs_review


@pytest.mark.parametrize("code", ["1032", "1", "4999", "2001"])
def test_a_failure_of_another_payment_fails_nobody_and_needs_no_look(shop, clock, daraja, code):
    transaction = shop.attempt()
    clock.pass_(seconds=15)

    class Confused(FakeDaraja):
        def query(self, checkout_request_id, *, budget=20.0):
            return QueryAnswer(code, "", None, "ws_CO_random", b"{}")

    shop.daraja = Confused()
    asked = reconcile(shop)

    assert (asked, shop.snapshot(transaction)["status"]) == (1, "PENDING")
    assert not shop.transaction(transaction).needs_review


def test_an_answer_after_the_callback_is_only_recorded(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=15)

    class Slow(FakeDaraja):
        def query(self, checkout_request_id, *, budget=20.0):
            shop.callback(1, success_callback(*ids(shop)))
            return QueryAnswer("1032", "", None, checkout_request_id, b"{}")

    slow = Slow()
    slow.pushes = shop.daraja.pushes
    shop.daraja = slow
    reconcile(shop)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)
    assert shop.decisions(transaction)[-1].why.startswith("query_only_recorded: ")


# -- the end of silence, and of processes ----------------------------------------------------------


def test_after_72_hours_a_person_has_to_look_and_nobody_asks_any_more(shop, clock):
    transaction = shop.attempt()
    clock.pass_(hours=72)
    shop.tick()

    asked = seconds_of_questions(shop, clock, list(range(0, 100 * HOUR, HOUR)))

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review, asked) == ("PENDING", True, [])


def test_a_success_after_the_end_of_silence_is_still_taken(shop, clock):
    transaction = shop.attempt()
    clock.pass_(hours=80)
    shop.tick()

    shop.callback(1, success_callback(*ids(shop)))

    assert shop.snapshot(transaction)["status"] == "SUCCESS"


@on_both
def test_another_process_goes_on_where_one_was_killed(shop, make_app, clock, daraja):
    transaction = shop.attempt()
    clock.pass_(seconds=15)

    class Deadly(FakeDaraja):
        def query(self, checkout_request_id, *, budget=20.0):
            raise Killed

    shop.daraja = Deadly()
    with pytest.raises(Killed):
        reconcile(shop)
    daraja.query_answers.append("0")
    reborn = Shop(make_app(), clock, daraja)
    clock.pass_(seconds=19)
    early = reconcile(reborn)
    clock.pass_(seconds=1)

    asked = reconcile(reborn)

    assert (early, asked) == (0, 1)
    assert reborn.snapshot(transaction)["status"] == "SUCCESS"


def test_two_silent_payments_are_told_apart(shop, clock):
    first, second = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    shop.daraja.query_answers.append("0")
    clock.pass_(seconds=15)

    reconcile(shop, Unlimited())

    statuses = [shop.snapshot(each)["status"] for each in (first, second)]
    (asked_first, _asked_second) = numbers_asked(shop)
    assert sorted(statuses) == ["PENDING", "SUCCESS"]
    assert statuses[asked_first - 1] == "SUCCESS"


@pytest.mark.parametrize("first", ["clock", "reconciler"])
def test_whoever_looks_first_at_the_end_of_silence_a_person_hears_of_it(shop, clock, first):
    transaction = shop.attempt()
    clock.pass_(hours=72)

    for turn in (shop.tick, lambda: reconcile(shop))[:: 1 if first == "clock" else -1]:
        turn()
    shop.tick()

    assert shop.transaction(transaction).needs_review


def test_what_is_heard_after_the_end_of_silence_is_asked_about_all_the_same(shop, clock):
    transaction = shop.attempt()
    clock.pass_(hours=73)
    shop.tick()
    shop.record(transaction, CodeTyped(), Kind.SMS_CODE)
    shop.daraja.query_answers.append("0")
    shop.tick()

    asked = reconcile(shop)

    assert (asked, shop.snapshot(transaction)["status"]) == (1, "SUCCESS")


def test_what_is_heard_just_before_the_end_of_silence_hides_it_from_nobody(shop, clock):
    transaction = shop.attempt()
    clock.pass_(hours=72, seconds=-1)
    shop.callback(1, b"<html>")
    clock.pass_(seconds=2)

    reconcile(shop)
    shop.tick()

    row = shop.transaction(transaction)
    assert (row.needs_review, row.next_ask_at, row.times_asked) == (True, None, 1)

"""Silence is asked about: when, in which order, within which budget, and what an answer does."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

from mpesa import reconciler, turns
from mpesa.config import Rate
from mpesa.daraja import DarajaError, NoAnswer, NotSent, QueryAnswer, UnknownOutcome
from mpesa.daraja_access import Access, QueryBudget
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import CodeTyped
from mpesa.ledger import Kind
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk, at_once
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
MINUTE, HOUR = 60, 3600
# In seconds: closer together at first, as questions are.
EIGHTY_HOURS = [*range(0, 2 * HOUR, 3 * MINUTE), *range(2 * HOUR, 80 * HOUR, 30 * MINUTE)]


class Unlimited:
    """A budget that never ends: what is tested is the order of questions, not their number."""

    def take(self) -> bool:
        return True

    def wait(self) -> timedelta:
        return timedelta(0)


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def reconcile(desk: Desk, budget: object = None) -> int:
    """One turn; returns how many were asked about."""
    access = Access(desk.daraja, budget or desk.budget, desk.now)  # type: ignore[arg-type]
    with desk.sessions() as session:
        return reconciler.run_until_idle(session, access, desk.announce)


def ask_once(desk: Desk, budget: object) -> int:
    access = Access(desk.daraja, budget, desk.now)  # type: ignore[arg-type]
    with desk.sessions() as session:
        return reconciler.run_once(session, access, desk.announce)


def numbers_asked(desk: Desk) -> list[int]:
    """The pushes that Daraja was asked about, by number, in that order."""
    all_ids = [desk.daraja.checkout_id(each + 1) for each in range(len(desk.daraja.pushes))]
    return [all_ids.index(each) + 1 for each in desk.daraja.queries]


def line(number: int) -> str:
    return f"2547{number:08d}"


def ids(desk: Desk, push: int = 1) -> tuple[str, str]:
    return desk.daraja.checkout_id(push), desk.daraja.merchant_id(push)


def seconds_of_questions(desk: Desk, clock: Clock, moments: list[int]) -> list[int]:
    """The moments, in seconds from now, at which Daraja was asked."""
    start, asked = clock(), []
    for moment in moments:
        clock.wait_until(start + timedelta(seconds=moment))
        desk.tick()
        asked += [moment] * reconcile(desk, Unlimited())
    return asked


# -- when ----------------------------------------------------------------------------------------


def test_a_silent_payment_is_asked_about_ever_more_rarely(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    first_hours = range(5 * MINUTE, 3 * HOUR, 5 * MINUTE)
    days = range(3 * HOUR, 73 * HOUR, 30 * MINUTE)

    asked = seconds_of_questions(desk, clock, [*range(200), *first_hours, *days])

    assert asked == [
        15,
        35,
        65,
        95,
        155,
        *(each * MINUTE for each in (5, 15, 60)),
        *(each * HOUR for each in (2, 4, 8, 16, 24, 36, 48, 60)),
    ]


def test_a_failure_that_may_be_mended_is_asked_about_four_times(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    clock.pass_(seconds=10)
    desk.callback(1, failure_callback(*ids(desk), 1037))

    asked = seconds_of_questions(desk, clock, EIGHTY_HOURS)

    assert asked == [3 * MINUTE, 15 * MINUTE, 60 * MINUTE, 24 * HOUR]


def test_a_failure_known_from_a_question_is_asked_about_again(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    desk.daraja.query_answers.append("1")
    clock.pass_(seconds=15)
    reconcile(desk)

    asked = seconds_of_questions(desk, clock, EIGHTY_HOURS)

    assert asked == [3 * MINUTE, 15 * MINUTE, 60 * MINUTE, 24 * HOUR]


def test_late_money_is_found_although_the_next_question_got_no_answer(
    desk: Desk, clock: Clock
) -> None:
    transaction = desk.attempt()
    desk.daraja.query_answers += ["1037", NoAnswer(), "0"]
    clock.pass_(seconds=15)
    reconcile(desk)
    failed = desk.transaction(transaction).reason

    seconds_of_questions(desk, clock, [3 * MINUTE, 15 * MINUTE])

    assert failed == "unreachable"
    assert desk.transaction(transaction).reason == "paid_late"


def test_a_final_failure_is_asked_about_no_more(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    desk.callback(1, failure_callback(*ids(desk), 2001))

    assert seconds_of_questions(desk, clock, list(range(0, 80 * HOUR, HOUR))) == []


def test_a_success_is_asked_about_no_more(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    desk.daraja.query_answers.append("0")

    asked = seconds_of_questions(desk, clock, [15, *range(MINUTE, 80 * HOUR, HOUR)])

    assert asked == [15]


def test_a_push_without_an_id_is_never_asked_about(desk: Desk, clock: Clock) -> None:
    desk.daraja.answers.append(UnknownOutcome())
    desk.attempt()

    assert seconds_of_questions(desk, clock, list(range(0, 2 * HOUR, MINUTE))) == []


def test_a_process_that_was_down_asks_once_and_keeps_to_the_plan(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    clock.pass_(seconds=400)

    first = [reconcile(desk, Unlimited()), reconcile(desk, Unlimited())]
    clock.pass_(seconds=500)

    assert (first, reconcile(desk, Unlimited())) == ([1, 0], 1)


@pytest.mark.parametrize("heard", [b"<html>", "a code"])
def test_what_was_heard_of_oddly_is_asked_about_at_once(
    desk: Desk, clock: Clock, heard: object
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=2)
    if isinstance(heard, bytes):
        desk.callback(1, heard)
    else:
        desk.record(transaction, CodeTyped(), Kind.SMS_CODE)

    assert reconcile(desk) == 1
    assert not desk.transaction(transaction).ask_urgently


# -- in which order ------------------------------------------------------------------------------


def test_what_was_heard_of_comes_first_and_failures_come_last(desk: Desk, clock: Clock) -> None:
    for number in (1, 2, 3, 4):
        desk.attempt(line(number))
    desk.callback(1, failure_callback(*ids(desk, 1), 1032))
    clock.pass_(hours=1)
    desk.attempt(line(5))
    clock.pass_(seconds=20)
    desk.callback(3, b"garbage")

    reconcile(desk, Unlimited())

    asked = numbers_asked(desk)
    # Every other turn is of what waits longest.
    assert (asked[0], asked[2], asked[-1]) == (3, 5, 1)
    assert {asked[1], asked[3]} == {2, 4}


def test_codes_that_are_typed_again_and_again_starve_no_new_payment(
    desk: Desk, clock: Clock
) -> None:
    mine = [desk.attempt(line(number)) for number in range(1, 11)]
    clock.pass_(seconds=15)
    reconcile(desk, Unlimited())
    desk.daraja.queries.clear()
    desk.attempt(line(11))
    clock.pass_(seconds=15)
    for transaction in mine:
        desk.record(transaction, CodeTyped(), Kind.SMS_CODE)

    reconcile(desk)

    assert numbers_asked(desk) == [11]


def test_a_code_comes_before_questions_that_were_asked_already(desk: Desk, clock: Clock) -> None:
    first = desk.attempt(line(1))
    desk.attempt(line(2))
    clock.pass_(seconds=15)
    reconcile(desk, Unlimited())
    desk.daraja.queries.clear()
    clock.pass_(seconds=20)
    desk.record(first, CodeTyped(), Kind.SMS_CODE)

    reconcile(desk)

    assert numbers_asked(desk) == [1]


def test_of_the_young_those_asked_about_least_come_first(desk: Desk, clock: Clock) -> None:
    desk.attempt(line(1))
    clock.pass_(seconds=15)
    reconcile(desk, Unlimited())
    desk.attempt(line(2))
    clock.pass_(seconds=20)
    desk.daraja.queries.clear()

    reconcile(desk, Unlimited())

    assert numbers_asked(desk) == [2, 1]


def test_of_those_asked_about_as_often_the_newest_and_what_waits_longest_take_turns(
    desk: Desk, clock: Clock
) -> None:
    for number in (1, 2, 3, 4):
        desk.attempt(line(number))
        clock.pass_(seconds=1)
    clock.pass_(seconds=15)

    reconcile(desk, Unlimited())

    assert numbers_asked(desk) == [4, 1, 3, 2]


def test_a_payment_of_now_comes_before_one_never_asked_about_of_an_hour_ago(
    desk: Desk, clock: Clock
) -> None:
    desk.attempt(line(1))
    clock.pass_(hours=1)
    desk.attempt(line(2))
    clock.pass_(seconds=15)
    reconcile(desk, Unlimited())
    desk.daraja.queries.clear()
    desk.attempt(line(3))
    clock.pass_(seconds=20)

    reconcile(desk, Unlimited())

    assert numbers_asked(desk) == [3, 2]


def test_a_flood_of_old_silence_starves_no_new_payment(desk: Desk, clock: Clock) -> None:
    for number in range(1, 31):
        desk.attempt(line(number))
    clock.pass_(hours=5)
    desk.attempt(line(31))
    clock.pass_(seconds=15)

    reconcile(desk)

    assert numbers_asked(desk) == [31]


# -- within which budget -------------------------------------------------------------------------


def test_questions_keep_to_the_budget(desk: Desk, clock: Clock) -> None:
    for number in range(1, 11):
        desk.attempt(line(number))
    clock.pass_(seconds=15)

    asked = []
    for _second in range(60):
        asked.append(reconcile(desk))
        clock.pass_(seconds=1)

    assert sum(asked) == 5


@on_both
def test_two_workers_share_one_budget(desk: Desk, app: Flask, clock: Clock) -> None:
    for number in range(1, 11):
        desk.attempt(line(number))
    clock.pass_(seconds=15)
    other = Desk(app, clock, desk.daraja)

    asked = at_once([lambda: reconcile(desk), lambda: reconcile(other)] * 3)

    assert sum(asked) == 1


@on_both
def test_of_workers_with_budgets_of_their_own_one_asks(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)
    budgets = [QueryBudget(desk.sessions, f"key {n}", clock, Rate(5, 60)) for n in range(6)]

    asked = at_once([lambda each=each: ask_once(desk, each) for each in budgets])

    assert sum(asked) == 1
    assert desk.daraja.queries == [desk.daraja.checkout_id(1)]
    assert desk.transaction(transaction).times_asked == 1


def test_without_a_budget_nothing_is_looked_for(desk: Desk, clock: Clock, monkeypatch) -> None:
    desk.attempt()
    clock.pass_(seconds=15)
    desk.budget.take()
    looked: list[int] = []
    monkeypatch.setattr(turns, "most_urgent", lambda *_: looked.append(1))

    reconcile(desk)

    assert looked == []


def test_without_a_budget_the_question_stays_due(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)
    desk.budget.take()
    early = reconcile(desk)
    clock.pass_(seconds=12)

    assert (early, reconcile(desk)) == (0, 1)
    assert desk.transaction(transaction).times_asked == 1


# -- what an answer does -------------------------------------------------------------------------


@on_both
def test_a_success_is_taken_without_its_receipt_and_announced(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    desk.daraja.query_answers.append("0")
    clock.pass_(seconds=15)
    desk.announced.clear()

    reconcile(desk)

    shown = desk.snapshot(transaction)
    assert (shown["status"], shown["reason"], shown["order_status"]) == ("SUCCESS", "paid", "PAID")
    assert (shown["receipt"], shown["final"]) == (None, False)
    assert desk.announced == [transaction]


def test_the_callback_fills_in_the_receipt_later(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    desk.daraja.query_answers.append("0")
    clock.pass_(seconds=15)
    reconcile(desk)
    before = desk.snapshot(transaction)["seq"]

    desk.callback(1, success_callback(*ids(desk)))

    shown = desk.snapshot(transaction)
    assert (shown["receipt"], shown["final"], shown["seq"]) == (RECEIPT, True, before + 1)
    assert not desk.transaction(transaction).needs_review


def test_a_success_without_its_receipt_needs_a_person_after_a_day(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    desk.daraja.query_answers.append("0")
    clock.pass_(seconds=15)
    reconcile(desk)
    clock.pass_(hours=24, seconds=-1)
    desk.tick()
    before = desk.transaction(transaction).needs_review
    clock.pass_(seconds=1)

    desk.tick()

    row = desk.transaction(transaction)
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
def test_a_failure_known_from_a_question_is_never_final(
    desk: Desk, clock: Clock, code: str, reason: str
) -> None:
    transaction = desk.attempt()
    desk.daraja.query_answers.append(code)
    clock.pass_(seconds=15)

    reconcile(desk)

    shown = desk.snapshot(transaction)
    assert (shown["status"], shown["reason"], shown["final"]) == ("FAILED", reason, False)


def test_money_found_after_a_failure_is_paid_late(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    desk.daraja.query_answers.extend(["1037", "0"])
    clock.pass_(seconds=15)
    reconcile(desk)
    clock.pass_(minutes=3)

    reconcile(desk)

    shown = desk.snapshot(transaction)
    assert (shown["status"], shown["reason"]) == ("SUCCESS", "paid_late")


@pytest.mark.parametrize(
    "answer",
    [NoAnswer(), NotSent(Reason.SYSTEM_BUSY), UnknownOutcome(), "4999", "2029", "7777", ""],
    ids=str,
)
def test_what_tells_nothing_changes_nothing_and_is_kept(
    desk: Desk, clock: Clock, answer: DarajaError | str
) -> None:
    transaction = desk.attempt()
    before = desk.snapshot(transaction)
    desk.daraja.query_answers.append(answer)
    clock.pass_(seconds=15)

    asked = reconcile(desk)

    row = desk.transaction(transaction)
    assert asked == 1
    assert desk.snapshot(transaction) == before
    assert row.next_ask_at == row.created_at + timedelta(seconds=35)
    assert not row.needs_review
    assert [each.kind for each in desk.evidence(transaction)] == ["push_answer", "query"]


def test_2029_is_a_failure_from_30_seconds_on(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=30)
    desk.daraja.query_answers.append("2029")

    reconcile(desk)

    assert desk.snapshot(transaction)["reason"] == "misconfigured"


@pytest.mark.parametrize("named", ["another", None])
def test_an_answer_about_another_payment_is_no_answer(
    desk: Desk, clock: Clock, daraja: FakeDaraja, named: str | None
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)
    other = daraja.checkout_id(2) if named else None

    class Confused(FakeDaraja):
        def query(self, checkout_request_id: str, *, budget: float = 20.0) -> QueryAnswer:
            return QueryAnswer("0", "", None, other, b"{}")

    desk.daraja = Confused()
    asked = reconcile(desk)

    assert (asked, desk.snapshot(transaction)["status"]) == (1, "PENDING")
    # Somebody's money may be at stake: a code 0 that was not believed is looked at by a person.
    assert desk.transaction(transaction).needs_review


@pytest.mark.parametrize("code", ["1032", "1", "4999", "2001"])
def test_a_failure_of_another_payment_fails_nobody_and_needs_no_look(
    desk: Desk, clock: Clock, daraja: FakeDaraja, code: str
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)

    class Confused(FakeDaraja):
        def query(self, checkout_request_id: str, *, budget: float = 20.0) -> QueryAnswer:
            return QueryAnswer(code, "", None, "ws_CO_random", b"{}")

    desk.daraja = Confused()
    asked = reconcile(desk)

    assert (asked, desk.snapshot(transaction)["status"]) == (1, "PENDING")
    assert not desk.transaction(transaction).needs_review


def test_an_answer_after_the_callback_is_only_recorded(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)

    class Slow(FakeDaraja):
        def query(self, checkout_request_id: str, *, budget: float = 20.0) -> QueryAnswer:
            desk.callback(1, success_callback(*ids(desk)))
            return QueryAnswer("1032", "", None, checkout_request_id, b"{}")

    slow = Slow()
    slow.pushes = desk.daraja.pushes
    desk.daraja = slow
    reconcile(desk)

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)
    assert desk.decisions(transaction)[-1].why.startswith("query_only_recorded: ")


# -- the end of silence, and of processes ----------------------------------------------------------


def test_after_72_hours_a_person_has_to_look_and_nobody_asks_any_more(
    desk: Desk, clock: Clock
) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=72)
    desk.tick()

    asked = seconds_of_questions(desk, clock, list(range(0, 100 * HOUR, HOUR)))

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review, asked) == ("PENDING", True, [])


def test_a_success_after_the_end_of_silence_is_still_taken(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=80)
    desk.tick()

    desk.callback(1, success_callback(*ids(desk)))

    assert desk.snapshot(transaction)["status"] == "SUCCESS"


@on_both
def test_another_process_goes_on_where_one_was_killed(
    desk: Desk, make_app: Callable[..., Flask], clock: Clock, daraja: FakeDaraja
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=15)

    class Deadly(FakeDaraja):
        def query(self, checkout_request_id: str, *, budget: float = 20.0) -> QueryAnswer:
            raise Killed

    desk.daraja = Deadly()
    with pytest.raises(Killed):
        reconcile(desk)
    daraja.query_answers.append("0")
    reborn = Desk(make_app(), clock, daraja)
    clock.pass_(seconds=19)
    early = reconcile(reborn)
    clock.pass_(seconds=1)

    asked = reconcile(reborn)

    assert (early, asked) == (0, 1)
    assert reborn.snapshot(transaction)["status"] == "SUCCESS"


def test_two_silent_payments_are_told_apart(desk: Desk, clock: Clock) -> None:
    first, second = desk.attempt(), desk.attempt(SECOND_PAYER_MSISDN)
    desk.daraja.query_answers.append("0")
    clock.pass_(seconds=15)

    reconcile(desk, Unlimited())

    statuses = [desk.snapshot(each)["status"] for each in (first, second)]
    (asked_first, _asked_second) = numbers_asked(desk)
    assert sorted(statuses) == ["PENDING", "SUCCESS"]
    assert statuses[asked_first - 1] == "SUCCESS"


@pytest.mark.parametrize("first", ["clock", "reconciler"])
def test_whoever_looks_first_at_the_end_of_silence_a_person_hears_of_it(
    desk: Desk, clock: Clock, first: str
) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=72)

    for turn in (desk.tick, lambda: reconcile(desk))[:: 1 if first == "clock" else -1]:
        turn()
    desk.tick()

    assert desk.transaction(transaction).needs_review


def test_what_is_heard_after_the_end_of_silence_is_asked_about_all_the_same(
    desk: Desk, clock: Clock
) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=73)
    desk.tick()
    desk.record(transaction, CodeTyped(), Kind.SMS_CODE)
    desk.daraja.query_answers.append("0")
    desk.tick()

    asked = reconcile(desk)

    assert (asked, desk.snapshot(transaction)["status"]) == (1, "SUCCESS")


def test_what_is_heard_just_before_the_end_of_silence_hides_it_from_nobody(
    desk: Desk, clock: Clock
) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=72, seconds=-1)
    desk.callback(1, b"<html>")
    clock.pass_(seconds=2)

    reconcile(desk)
    desk.tick()

    row = desk.transaction(transaction)
    assert (row.needs_review, row.next_ask_at, row.times_asked) == (True, None, 1)

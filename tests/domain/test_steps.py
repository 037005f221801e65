"""Times before and after a step of the clock: each within its own rule, and none lost."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain import settlement
from mpesa.domain.result_codes import FAILED_REASONS, RULES, Reason, Status
from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.domain.settlement import Attempt, decide
from mpesa.domain.snapshot import OPEN_UNANSWERED
from mpesa.domain.steps import CLOCKS_DIFFER, Times, skew, stepped, within_their_rules

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
HOURS = timedelta(hours=3)
BEGUN = Times(
    created_at=NOW,
    updated_at=NOW,
    settled_at=None,
    retry_at=None,
    prompt_ends_at=NOW + timedelta(seconds=180),
    next_ask_at=NOW + FIRST_QUESTION,
)
PENDING = {"status": Status.PENDING, "reason": Reason.AWAITING_PIN, "final": False, "has_id": True}

moments = st.integers(-400_000, 400_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
times = st.builds(
    Times, moments, moments, st.none() | moments, st.none() | moments, st.none() | moments,
    st.none() | moments, st.booleans(),
)  # fmt: skip
back = st.integers(0, 40_000).map(lambda seconds: -timedelta(seconds=seconds))
reasons = st.sampled_from(sorted(FAILED_REASONS))


@given(times, back, reasons)
def test_nothing_lies_further_in_the_future_than_its_rule(
    told: Times, by: timedelta, reason: Reason
) -> None:
    failed = {"status": Status.FAILED, "reason": reason, "final": False, "has_id": True}

    kept = within_their_rules(told, NOW, by, **failed)  # type: ignore[arg-type]

    latest = NOW + CLOCKS_DIFFER
    wait = timedelta(seconds=RULES[reason].wait_seconds)
    assert kept.created_at <= latest
    assert kept.updated_at <= latest
    assert (kept.settled_at or NOW) <= latest
    assert (kept.retry_at or NOW) <= latest + wait
    assert (kept.prompt_ends_at or NOW) <= latest + OPEN_UNANSWERED
    assert kept.next_ask_at is None or kept.next_ask_at <= told.next_ask_at  # type: ignore[operator]


@given(times, back, reasons)
def test_what_was_put_right_is_right(told: Times, by: timedelta, reason: Reason) -> None:
    failed = {"status": Status.FAILED, "reason": reason, "final": False, "has_id": True}
    once = within_their_rules(told, NOW, by, **failed)  # type: ignore[arg-type]

    assert within_their_rules(once, NOW, by, **failed) == once  # type: ignore[arg-type]


@given(st.integers(0, 170))
def test_times_of_a_right_clock_stay_as_they_are(seconds: int) -> None:
    later = NOW + timedelta(seconds=seconds)
    plan = replace(BEGUN, next_ask_at=None)

    assert within_their_rules(plan, later, timedelta(0), **PENDING) == plan  # type: ignore[arg-type]


def test_a_step_that_was_measured_takes_all_times_along() -> None:
    moved = stepped(BEGUN, BEGUN, HOURS)

    assert moved is not None
    assert moved.created_at - BEGUN.created_at == HOURS
    assert moved.prompt_ends_at == NOW + HOURS + timedelta(seconds=180)
    assert moved.next_ask_at == NOW + HOURS + FIRST_QUESTION


def test_what_another_worker_put_right_is_left_alone() -> None:
    moved = stepped(BEGUN, BEGUN, -HOURS)

    assert moved is not None
    assert stepped(moved, BEGUN, -HOURS) is None


def test_an_end_that_was_told_after_the_step_stays() -> None:
    answered = replace(BEGUN, prompt_ends_at=NOW - HOURS + timedelta(seconds=181))

    moved = stepped(answered, BEGUN, -HOURS)

    assert moved is not None
    assert moved.prompt_ends_at == answered.prompt_ends_at
    assert moved.created_at == NOW - HOURS


def test_a_failure_that_was_told_after_the_step_waits_from_then() -> None:
    told = NOW + HOURS
    failed = replace(BEGUN, settled_at=told, retry_at=told + timedelta(seconds=60))

    moved = stepped(failed, BEGUN, HOURS)

    assert moved is not None
    assert (moved.settled_at, moved.retry_at) == (told, told + timedelta(seconds=60))


@pytest.mark.parametrize("by", [-HOURS, timedelta(0)])
def test_a_step_decides_nothing_about_money(by: timedelta) -> None:
    attempt = Attempt(Status.PENDING, Reason.AWAITING_PIN, False, 150, NOW, times=BEGUN)

    decision = decide(attempt, settlement.TimesAhead(by), NOW - HOURS)

    assert decision.times is not None
    assert decision.times.created_at == NOW - HOURS
    assert (decision.status, decision.reason) == (attempt.status, attempt.reason)
    assert not decision.closes
    assert "2026-11-24T09:00:00" in decision.why


@pytest.mark.parametrize(
    ("theirs", "sent", "got", "by"),
    [
        (0, 0, 0, 0),
        (0, 0.2, 1.4, 0),  # rounded down, and told while the request was under way
        (3, 0, 5, 0),  # a slow answer hides what is less than it took
        (0, 3600, 3601, 3599),
        (3600, 0, 1.5, -3598.5),
    ],
)
def test_a_servers_date_shows_a_skew_only_where_no_delay_explains_it(
    theirs: float, sent: float, got: float, by: float
) -> None:
    at = [NOW + timedelta(seconds=each) for each in (theirs, sent, got)]

    assert skew(*at) == timedelta(seconds=by)

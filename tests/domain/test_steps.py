"""Times before and after a step of the clock: each within its own rule, and none lost."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain import settlement
from mpesa.domain.attempt import OPEN_UNANSWERED, Times
from mpesa.domain.result_codes import FAILED_REASONS, RULES, Reason, Status
from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.domain.settlement import decide
from mpesa.domain.steps import CLOCKS_DIFFER, Step, skew, stepped, within_their_rules
from tests.domain.known import attempt

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


def named(told, reason=Reason.AWAITING_PIN):
    """An attempt with these times that Daraja can be asked about."""
    status = Status.FAILED if reason in FAILED_REASONS else Status.PENDING
    times = {each.name: getattr(told, each.name) for each in fields(Times)}
    return attempt(status=status, reason=reason, checkout_request_id="ws_CO_1", **times)


moments = st.integers(-400_000, 400_000).map(lambda seconds: NOW + timedelta(seconds=seconds))
times = st.builds(
    Times, moments, moments, st.none() | moments, st.none() | moments, st.none() | moments,
    st.none() | moments, st.booleans(),
)  # fmt: skip
back = st.integers(0, 40_000).map(lambda seconds: -timedelta(seconds=seconds))
reasons = st.sampled_from(sorted(FAILED_REASONS))


@given(times, back, reasons)
def test_nothing_lies_further_in_the_future_than_its_rule(told, by, reason):
    kept = within_their_rules(named(told, reason), NOW, by)

    latest = NOW + CLOCKS_DIFFER
    wait = timedelta(seconds=RULES[reason].wait_seconds)
    assert kept.created_at <= latest
    assert kept.updated_at <= latest
    assert (kept.settled_at or NOW) <= latest
    assert (kept.retry_at or NOW) <= latest + wait
    assert (kept.prompt_ends_at or NOW) <= latest + OPEN_UNANSWERED
    assert kept.next_ask_at is None or kept.next_ask_at <= told.next_ask_at


@given(times, back, reasons)
def test_what_was_put_right_is_right(told, by, reason):
    once = within_their_rules(named(told, reason), NOW, by)

    assert within_their_rules(named(once, reason), NOW, by) == once


@given(st.integers(0, 170))
def test_times_of_a_right_clock_stay_as_they_are(seconds):
    later = NOW + timedelta(seconds=seconds)
    plan = replace(BEGUN, next_ask_at=None)

    assert within_their_rules(named(plan), later, timedelta(0)) == plan


def move(times, by, seen=BEGUN, after=60, wait=0):
    """What becomes of times where a worker notices a step so many seconds after BEGUN."""
    passed = timedelta(seconds=1)
    noticed = NOW + timedelta(seconds=after) + by
    return stepped(times, seen, Step(by, passed, noticed), noticed, timedelta(seconds=wait))


def test_a_step_that_was_measured_takes_all_times_along():
    moved = move(BEGUN, HOURS)

    assert moved is not None
    assert moved.created_at - BEGUN.created_at == HOURS
    assert moved.prompt_ends_at == NOW + HOURS + timedelta(seconds=180)
    assert moved.next_ask_at == NOW + HOURS + FIRST_QUESTION


def test_what_another_worker_put_right_is_left_alone():
    moved = move(BEGUN, -HOURS)

    assert moved is not None
    assert move(moved, -HOURS) is None


def test_what_was_begun_since_the_look_is_put_right_once():
    moved = move(BEGUN, -HOURS, seen=None, after=0.5)

    assert moved is not None
    assert moved.created_at == NOW - HOURS
    assert move(moved, -HOURS, seen=None, after=0.5) is None


@pytest.mark.parametrize("by", [HOURS, -HOURS])
@pytest.mark.parametrize("by_the_new_clock", [True, False])
def test_an_end_that_was_told_around_the_step_lies_one_life_after_it(by, *, by_the_new_clock):
    told = NOW + timedelta(seconds=59.5) + (by if by_the_new_clock else timedelta(0))
    answered = replace(BEGUN, prompt_ends_at=told + timedelta(seconds=180))

    moved = move(answered, by)

    assert moved is not None
    assert moved.prompt_ends_at == NOW + by + timedelta(seconds=59.5 + 180)
    assert moved.created_at == NOW + by


@pytest.mark.parametrize("by", [HOURS, -HOURS])
@pytest.mark.parametrize("by_the_new_clock", [True, False])
def test_a_failure_that_was_told_around_the_step_waits_from_then(by, *, by_the_new_clock):
    told = NOW + timedelta(seconds=59.5) + (by if by_the_new_clock else timedelta(0))
    failed = replace(BEGUN, settled_at=told, retry_at=told + timedelta(seconds=60))

    moved = move(failed, by, wait=60)

    told_rightly = NOW + by + timedelta(seconds=59.5)
    assert moved is not None
    assert (moved.settled_at, moved.retry_at) == (
        told_rightly,
        told_rightly + timedelta(seconds=60),
    )


@given(st.integers(-400, 400), st.integers(1, 180))
def test_an_end_of_unknown_clock_is_never_before_its_time(by, left):
    """By whichever clock it was told, no prompt is let go early, nor kept beyond one life."""
    step = timedelta(seconds=by)
    noticed = NOW + timedelta(seconds=60) + step
    for told in (noticed, noticed - step):
        ends = told + timedelta(seconds=left)
        moved = move(replace(BEGUN, prompt_ends_at=ends), step)

        assert moved is not None
        assert moved.prompt_ends_at is not None
        assert moved.prompt_ends_at >= noticed + timedelta(seconds=left)
        assert moved.prompt_ends_at <= noticed + OPEN_UNANSWERED


@pytest.mark.parametrize("by", [-HOURS, timedelta(0)])
def test_a_step_decides_nothing_about_money(by):
    begun = named(BEGUN)

    decision = decide(begun, settlement.TimesAhead(by), NOW - HOURS)

    assert decision.times is not None
    assert decision.times.created_at == NOW - HOURS
    assert (decision.status, decision.reason) == (begun.status, begun.reason)
    assert not decision.closes
    assert "2026-11-24T09:00:00" in decision.about


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
def test_a_servers_date_shows_a_skew_only_where_no_delay_explains_it(theirs, sent, got, by):
    at = [NOW + timedelta(seconds=each) for each in (theirs, sent, got)]

    assert skew(*at) == timedelta(seconds=by)

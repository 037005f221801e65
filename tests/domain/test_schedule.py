"""When Daraja is asked about silence, and when a person takes over."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.result_codes import Status
from mpesa.domain.schedule import after_question, next_question
from tests.domain.known import PUSHED_AT, attempt

SETTLED_AT = PUSHED_AT + timedelta(seconds=26)
PENDING = attempt(checkout_request_id="ws_CO_1")
FAILED = attempt(status=Status.FAILED, checkout_request_id="ws_CO_1", settled_at=SETTLED_AT)
PAID = replace(FAILED, status=Status.SUCCESS)


def plan(standing):
    """Every planned moment, counted from the push."""
    moments, after = [], PUSHED_AT
    while (moment := next_question(standing, after)) is not None:
        moments.append(moment - PUSHED_AT)
        after = moment
    return moments


def test_a_silent_payment_is_asked_about_often_at_first_and_handed_over_after_72_h():
    moments = plan(PENDING)

    first = [timedelta(seconds=each) for each in (15, 35, 65, 95, 155)]
    then = [timedelta(minutes=each) for each in (5, 15, 60)]
    assert moments[:8] == [*first, *then]
    assert moments[-1] == timedelta(hours=72)


def test_questions_about_one_payment_never_come_closer_than_the_budget():
    moments = plan(PENDING)

    # Five a minute are allowed, whoever asks.
    assert all(later - earlier >= timedelta(seconds=12) for earlier, later in pairwise(moments))


def test_a_payment_without_an_id_is_handed_over_after_an_hour():
    nameless = replace(PENDING, checkout_request_id=None)

    assert plan(nameless) == [timedelta(hours=1)]


def test_a_failure_that_may_be_mended_is_looked_at_four_times():
    moments = [PUSHED_AT + each - SETTLED_AT for each in plan(FAILED)]

    assert moments == [
        timedelta(minutes=3),
        timedelta(minutes=15),
        timedelta(minutes=60),
        timedelta(hours=24),
    ]


def test_a_failure_without_an_id_cannot_be_asked_about():
    nameless = replace(FAILED, checkout_request_id=None)

    assert plan(nameless) == []


def test_a_payment_without_its_receipt_is_handed_over_after_24_h():
    assert plan(PAID) == [SETTLED_AT + timedelta(hours=24) - PUSHED_AT]


@pytest.mark.parametrize("status", [Status.FAILED, Status.SUCCESS])
def test_what_is_final_is_left_alone(status):
    final = replace(FAILED, status=status, final=True)

    assert plan(final) == []


@given(
    st.sampled_from([PENDING, FAILED, PAID]),
    st.timedeltas(timedelta(0), timedelta(days=4)),
)
def test_the_next_question_lies_ahead(standing, age):
    moment = next_question(standing, PUSHED_AT + age)

    assert moment is None or moment > PUSHED_AT + age


@pytest.mark.parametrize("final", [False, True])
@pytest.mark.parametrize("passed", [timedelta(0), timedelta(hours=1), timedelta(days=30)])
def test_a_question_whether_a_failure_is_paid_after_all_is_put_again_until_it_is_answered(
    final, passed
):
    claimed = replace(FAILED, final=final, success_claimed=True)
    asked_at = SETTLED_AT + passed

    assert after_question(claimed, asked_at) == asked_at + timedelta(minutes=3)

"""What comes next where a shopper asks for a push."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.attempt import OPEN_UNANSWERED, Account, OrderStatus
from mpesa.domain.push_rules import (
    AskFirst,
    CloseOld,
    Count,
    Done,
    Join,
    Refuse,
    Seen,
    SendPush,
    next_step,
)
from mpesa.domain.refusals import AttemptOpen, LineBusy, OrderClosed, OrderPaid, RetryLater
from mpesa.domain.result_codes import FAILED_REASONS, PENDING_REASONS, RULES, Reason, Status
from tests.domain import known

NOW = known.PUSHED_AT + timedelta(seconds=45)
PAYER, ANOTHER = "254712345678", "254722000111"
OPEN = known.attempt(prompt_ends_at=NOW + timedelta(seconds=60))
OUTLIVED = replace(OPEN, prompt_ends_at=NOW)
SILENT = replace(OUTLIVED, is_open=False, checkout_request_id="ws_CO_1")
FAILED = replace(SILENT, status=Status.FAILED, reason=Reason.CANCELLED)
ELSEWHERE = replace(OPEN, id="elsewhere", order_id="another")
COUNTED = Done(counted=True)


def seen(*attempts, on_line=(), **order):
    return Seen(Account(known.order(**order), attempts), on_line)


def step(seen, done=COUNTED, msisdn=PAYER):
    return next_step(seen, msisdn, NOW, done)


def refusal(step):
    assert isinstance(step, Refuse)
    return step.refusal


def test_the_first_push_is_counted_and_then_sent():
    assert step(seen(), Done()) == Count()
    assert step(seen(), COUNTED) == SendPush()


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (OrderStatus.PAID, OrderPaid),
        (OrderStatus.CANCELLED, OrderClosed),
        (OrderStatus.EXPIRED, OrderClosed),
    ],
)
def test_an_order_that_ended_takes_no_push(status, why):
    assert isinstance(refusal(step(seen(FAILED, status=status))), why)


def test_an_order_whose_end_has_passed_takes_no_push_though_nobody_wrote_that_down():
    assert isinstance(refusal(step(seen(expires_at=NOW))), OrderClosed)


def test_the_same_phone_joins_the_open_prompt_and_is_not_counted():
    assert step(seen(OPEN), Done()) == Join(OPEN.id)


def test_another_phone_waits_for_the_open_prompt():
    told = refusal(step(seen(OPEN), msisdn=ANOTHER))

    assert told == AttemptOpen(60)


def test_the_wait_of_the_newest_attempt_is_kept():
    busy = replace(FAILED, reason=Reason.LINE_BUSY, retry_at=NOW + timedelta(seconds=30))

    assert refusal(step(seen(busy))) == RetryLater(30)
    assert step(seen(FAILED, busy), Done()) == Count()


def test_a_line_with_another_orders_prompt_is_busy():
    assert refusal(step(seen(on_line=(ELSEWHERE,)))) == LineBusy(60)


@pytest.mark.parametrize("on_line", [(), (replace(OUTLIVED, id="elsewhere"),)])
def test_what_outlived_its_prompt_is_closed_before_anything_is_refused(
    on_line,
):
    attempts = () if on_line else (OUTLIVED,)

    assert step(seen(*attempts, on_line=on_line), Done()) == CloseOld(
        tuple(each.id for each in (*attempts, *on_line))
    )


def test_daraja_is_asked_once_about_what_may_be_paid_before_the_push():
    told_by_query = replace(FAILED, id="told", failed_by_query=True)
    told_by_query = replace(told_by_query, prompt_ends_at=NOW + timedelta(seconds=1))
    both = seen(told_by_query, SILENT)

    assert step(both) == AskFirst((told_by_query, SILENT))
    asked = replace(COUNTED, asked=frozenset({told_by_query.id}))
    assert step(both, asked) == AskFirst((SILENT,))
    asked = replace(COUNTED, asked=frozenset({told_by_query.id, SILENT.id}))
    assert step(both, asked) == SendPush()


@pytest.mark.parametrize(
    "attempt",
    [
        FAILED,
        replace(FAILED, failed_by_query=True),  # its prompt is over
        replace(SILENT, checkout_request_id=None),
    ],
)
def test_nothing_is_asked_about_what_cannot_be_paid_or_asked_about(attempt):
    assert step(seen(attempt)) == SendPush()


def attempts():
    ends = st.none() | st.integers(-300, 300).map(lambda seconds: NOW + timedelta(seconds=seconds))
    shared = {
        "prompt_ends_at": ends,
        "msisdn": st.sampled_from([PAYER, ANOTHER, None]),
        "checkout_request_id": st.sampled_from([None, "ws_CO_1"]),
    }
    pending = st.fixed_dictionaries(
        {**shared, "reason": st.sampled_from(sorted(PENDING_REASONS)), "is_open": st.booleans()}
    )
    failed = st.fixed_dictionaries(
        {
            **shared,
            "status": st.just(Status.FAILED),
            "reason": st.sampled_from(sorted(FAILED_REASONS)),
            "is_open": st.just(False),
            "failed_by_query": st.booleans(),
            "retry_at": ends,
        }
    )
    return (pending | failed).map(lambda fields: known.attempt(**fields))


@given(
    st.lists(attempts(), max_size=3),
    st.lists(attempts(), max_size=1),
    st.sampled_from(OrderStatus),
    st.booleans(),
)
def test_no_push_is_sent_while_a_prompt_of_the_order_or_the_line_may_live(
    own, others, status, counted
):
    own = [replace(each, id=f"own {number}") for number, each in enumerate(own)]
    on_line = tuple(replace(each, id="elsewhere") for each in others if each.is_open)
    found = step(seen(*own, on_line=on_line, status=status), Done(counted=counted))

    if isinstance(found, Count | AskFirst | SendPush):
        assert status is OrderStatus.OPEN
        assert not any(each.is_open for each in (*own, *on_line))
        assert not own or not own[0].retry_at or own[0].retry_at <= NOW or waits_for_nothing(own[0])
    if isinstance(found, SendPush):
        assert counted


def waits_for_nothing(attempt):
    """A wait counts for failures alone, and for no longer than their rule."""
    return attempt.reason not in RULES or not RULES[attempt.reason].wait_seconds


def test_an_end_that_lies_too_far_away_is_no_reason_to_wait_for_longer():
    """It was written before a step back of the clock."""
    ahead = replace(OPEN, prompt_ends_at=NOW + timedelta(hours=3))

    told = refusal(step(seen(ahead), msisdn=ANOTHER))

    assert told == AttemptOpen(int(OPEN_UNANSWERED.total_seconds()))

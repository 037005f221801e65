"""What everybody is shown of a transaction, and when another push is offered."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpesa.domain.attempt import OPEN_FOR, Account, Channel, OrderStatus
from mpesa.domain.result_codes import FAILED_REASONS, RULES, Reason, Status
from mpesa.domain.snapshot import Retry, draw, may_retry, poll_after, seconds_left, utc_text
from tests.domain.known import attempt, order

PUSHED_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NOW = PUSHED_AT + timedelta(seconds=45)
WAITING = attempt(updated_at=PUSHED_AT + timedelta(seconds=1), seq=2)


def newest(reason, *, status=Status.FAILED, wait=None):
    retry_at = NOW + wait if wait is not None else None
    return attempt(status=status, reason=reason, is_open=False, retry_at=retry_at)


def retry_after(attempt):
    return may_retry(order_open=True, attempt_open=False, newest=attempt, now=NOW)


# -- another push ------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", sorted(FAILED_REASONS))
def test_a_failure_without_a_wait_offers_another_push_at_once(reason):
    assert retry_after(newest(reason)) == Retry(allowed=True, after=None)


@pytest.mark.parametrize(
    "reason", sorted(reason for reason, rule in RULES.items() if 30 <= rule.wait_seconds < 600)
)
def test_a_wait_is_counted_down_beside_the_offer(reason):
    attempt = newest(reason, wait=timedelta(seconds=30))

    assert retry_after(attempt) == Retry(allowed=True, after=30)


def test_a_shop_that_is_misconfigured_offers_nothing_until_its_wait_is_over():
    waiting = newest(Reason.MISCONFIGURED, wait=timedelta(seconds=600))
    over = newest(Reason.MISCONFIGURED, wait=timedelta(0))

    assert retry_after(waiting) == Retry(allowed=False, after=None)
    assert retry_after(over) == Retry(allowed=True, after=None)


@pytest.mark.parametrize("reason", [Reason.AWAITING_PIN, Reason.PUSH_UNCONFIRMED, Reason.OVERDUE])
def test_silence_offers_another_push_at_once_when_no_prompt_can_be_open(reason):
    attempt = newest(reason, status=Status.PENDING)

    assert retry_after(attempt) == Retry(allowed=True, after=None)


@pytest.mark.parametrize(("order_open", "attempt_open"), [(False, False), (True, True)])
@pytest.mark.parametrize("wait", [None, timedelta(seconds=30)])
def test_a_closed_order_and_an_open_attempt_offer_nothing(order_open, attempt_open, wait):
    attempt = newest(Reason.LINE_BUSY, wait=wait)

    retry = may_retry(order_open=order_open, attempt_open=attempt_open, newest=attempt, now=NOW)

    assert retry == Retry(allowed=False, after=None)


@pytest.mark.parametrize("reason", [Reason.PAID, Reason.PAID_LATE])
def test_a_payment_offers_nothing(reason):
    assert not retry_after(newest(reason, status=Status.SUCCESS)).allowed


@pytest.mark.parametrize(
    ("left", "seconds"),
    [
        (timedelta(seconds=30), 30),
        (timedelta(seconds=29, microseconds=1), 30),
        (timedelta(microseconds=1), 1),
        (timedelta(0), None),
        (timedelta(seconds=-1), None),
    ],
)
def test_a_wait_is_told_in_whole_seconds_rounded_up(left, seconds):
    assert seconds_left(NOW + left, NOW) == seconds


def test_no_wait_leaves_no_seconds():
    assert seconds_left(None, NOW) is None


# -- the order ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expires_in", "attempt_open", "status"),
    [
        (None, False, OrderStatus.OPEN),
        (timedelta(seconds=1), False, OrderStatus.OPEN),
        (timedelta(0), False, OrderStatus.EXPIRED),
        (timedelta(days=-1), False, OrderStatus.EXPIRED),
        (timedelta(0), True, OrderStatus.OPEN),
        (timedelta(days=-1), True, OrderStatus.OPEN),
    ],
)
def test_an_order_expires_unless_a_prompt_may_still_be_answered(expires_in, attempt_open, status):
    expires_at = NOW + expires_in if expires_in is not None else None
    account = Account(order(expires_at=expires_at), (attempt(is_open=attempt_open),))

    assert account.status(NOW) is status


@pytest.mark.parametrize("stored", [OrderStatus.PAID, OrderStatus.CANCELLED, OrderStatus.EXPIRED])
@pytest.mark.parametrize("attempt_open", [True, False])
def test_an_order_that_ended_does_not_expire(stored, attempt_open):
    ended = order(status=stored, expires_at=NOW - timedelta(days=1))

    assert Account(ended, (attempt(is_open=attempt_open),)).status(NOW) is stored


def test_an_order_that_nobody_tried_to_pay_expires():
    assert Account(order(expires_at=NOW), ()).status(NOW) is OrderStatus.EXPIRED


# -- what is shown -------------------------------------------------------------------------------


def test_the_snapshot_has_the_published_fields_in_their_order():
    snapshot = draw(Account(order(), (WAITING,)), WAITING, NOW)

    assert list(snapshot.items()) == [
        ("transaction_id", "t" * 22),
        ("order_id", "o" * 22),
        ("order_status", "OPEN"),
        ("channel", "push"),
        ("status", "PENDING"),
        ("reason", "awaiting_pin"),
        ("view", "waiting"),
        ("money", "unknown"),
        ("next", "enter_pin"),
        ("final", False),
        ("can_retry", False),
        ("retry_after", None),
        ("again_at", "2026-11-24T09:03:20Z"),
        ("amount", 150),
        ("currency", "KES"),
        ("phone", "0712•••678"),
        ("receipt", None),
        ("receipt_amount", None),
        ("settled_by", None),
        ("refund", None),
        ("pay_by_hand", None),
        ("created_at", "2026-11-24T09:00:00Z"),
        ("updated_at", "2026-11-24T09:00:01Z"),
        ("seq", 2),
        ("poll_after", 3),
    ]


def test_the_snapshot_holds_plain_values_that_json_can_write():
    failed = newest(Reason.LINE_BUSY, wait=timedelta(seconds=7))

    snapshot = draw(Account(order(), (failed,)), failed, NOW)

    assert {type(value) for value in snapshot.values()} <= {str, int, bool, type(None)}
    assert (snapshot["can_retry"], snapshot["retry_after"]) == (True, 7)


def test_money_by_hand_has_no_number_and_is_asked_about_less_and_less():
    by_hand = attempt(
        channel=Channel.HAND, msisdn=None, is_open=False, reason=Reason.AWAITING_PAYMENT
    )
    account = Account(order(pay_code="234567890"), (by_hand,))

    soon, late = draw(account, by_hand, NOW), draw(account, by_hand, NOW + timedelta(minutes=10))

    assert (soon["phone"], soon["pay_by_hand"], soon["can_retry"]) == (None, "234567890", True)
    assert (soon["poll_after"], late["poll_after"]) == (5, 30)


def test_another_amount_that_a_person_accepted_is_told_to_the_cent():
    paid = attempt(status=Status.SUCCESS, reason=Reason.PAID, receipt_amount=14_950)

    assert draw(Account(order(), (paid,)), paid, NOW)["receipt_amount"] == "149.50"


def test_money_in_sight_offers_no_other_push():
    sighted = order(in_sight_until=NOW + timedelta(minutes=1))
    failed = newest(Reason.WRONG_PIN)

    assert not draw(Account(sighted, (failed,)), failed, NOW)["can_retry"]


def test_what_bars_another_push_tells_when_it_will_at_the_latest_be_over():
    ends = NOW + timedelta(seconds=135)
    waiting = attempt(prompt_ends_at=ends)
    sighted = order(in_sight_until=ends + timedelta(minutes=1))

    def again_at(order, attempt, now=NOW):
        return draw(Account(order, (attempt,)), attempt, now)["again_at"]

    assert again_at(order(), waiting) == utc_text(ends)
    assert again_at(sighted, waiting) == utc_text(sighted.in_sight_until)
    assert again_at(order(), waiting, ends) is None
    assert again_at(order(), newest(Reason.CANCELLED)) is None
    assert again_at(order(expires_at=ends), waiting) is None
    assert again_at(order(status=OrderStatus.CANCELLED), waiting) is None


def test_a_forgotten_phone_number_leaves_an_empty_one():
    forgotten = attempt(msisdn=None)

    assert draw(Account(order(), (forgotten,)), forgotten, NOW)["phone"] == ""


def test_the_phone_number_is_never_shown_whole():
    snapshot = draw(Account(order(), (WAITING,)), WAITING, NOW)

    assert "712345678" not in str(snapshot)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 24, 9, 0, tzinfo=UTC),
        datetime(2026, 11, 24, 9, 0, 0, 999_999, tzinfo=UTC),
        datetime(2026, 11, 24, 12, 0, tzinfo=timezone(timedelta(hours=3))),
    ],
)
def test_a_time_is_told_in_utc_and_whole_seconds(moment):
    assert utc_text(moment) == "2026-11-24T09:00:00Z"


# -- the next poll -----------------------------------------------------------------------------


@given(
    st.sampled_from(sorted(Status)),
    st.booleans(),
    st.booleans(),
)
def test_a_client_polls_every_few_seconds_and_never_without_a_pause(status, final, prompt_lives):
    assert 1 <= poll_after(status, final=final, prompt_lives=prompt_lives) <= 60


def test_a_client_polls_less_when_less_is_to_be_expected():
    young = poll_after(Status.PENDING, final=False, prompt_lives=True)
    silent = poll_after(Status.PENDING, final=False, prompt_lives=False)
    over = poll_after(Status.FAILED, final=True, prompt_lives=False)

    assert young < silent < over


def test_a_prompt_lives_three_minutes_at_most():
    assert timedelta(seconds=180) == OPEN_FOR

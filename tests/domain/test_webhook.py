"""What the merchant's server is told, and when it is told again."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mpesa.domain import webhook
from mpesa.domain.attempt import Account, Channel, OrderStatus
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import draw
from mpesa.domain.webhook import FOR_PAGES, MessageType
from tests.domain.known import attempt, order

NOON = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)

WAITING = attempt(status=Status.PENDING, reason=Reason.AWAITING_PIN)
OVERDUE = attempt(status=Status.PENDING, reason=Reason.OVERDUE)
SILENT = attempt(status=Status.PENDING, reason=Reason.OVERDUE, needs_review=True)
PAID = attempt(status=Status.SUCCESS, reason=Reason.PAID, final=True, receipt="UKO1ABCDEF")
PAID_BY_QUERY = attempt(status=Status.SUCCESS, reason=Reason.PAID)
PAID_TWICE = attempt(
    status=Status.SUCCESS, reason=Reason.PAID, final=True, receipt="UKO1ABCDEF", needs_review=True
)
NO_RECEIPT = attempt(status=Status.SUCCESS, reason=Reason.PAID, final=True, needs_review=True)
CANCELLED = attempt(status=Status.FAILED, reason=Reason.CANCELLED)
CLOSED = attempt(status=Status.FAILED, reason=Reason.CLOSED_BY_OPERATOR, final=True)
SURELY_CANCELLED = attempt(status=Status.FAILED, reason=Reason.CANCELLED, final=True)
UNKNOWN = attempt(status=Status.FAILED, reason=Reason.UNKNOWN_CODE, needs_review=True)
ASKED_BY_HAND = attempt(channel=Channel.HAND, reason=Reason.AWAITING_PAYMENT)
NOT_RECEIVED = attempt(channel=Channel.HAND, status=Status.FAILED, reason=Reason.NOT_RECEIVED)

succeeded, failed, review, *_ = MessageType


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (WAITING, WAITING, []),
        (WAITING, OVERDUE, []),
        (OVERDUE, SILENT, [review]),
        (SILENT, SILENT, []),
        (WAITING, PAID, [succeeded]),
        (WAITING, PAID_BY_QUERY, [succeeded]),
        (PAID_BY_QUERY, PAID, [succeeded]),
        (PAID_BY_QUERY, NO_RECEIPT, [review]),
        (PAID, PAID, []),
        (PAID, PAID_TWICE, [review]),
        (WAITING, PAID_TWICE, [succeeded, review]),
        (WAITING, CANCELLED, [failed]),
        (CANCELLED, CANCELLED, []),
        (CANCELLED, CLOSED, [failed]),
        (CANCELLED, SURELY_CANCELLED, [failed]),
        (CANCELLED, PAID, [succeeded]),
        (WAITING, UNKNOWN, [failed, review]),
        (SILENT, PAID, [succeeded]),
        (ASKED_BY_HAND, NOT_RECEIVED, []),
        (NOT_RECEIVED, PAID, [succeeded]),
    ],
)
def test_each_change_calls_for_its_messages(before, after, expected):
    assert webhook.due(before, after) == expected


def test_a_message_is_plain_json_with_the_snapshot_and_the_reference():
    account = Account(order(status=OrderStatus.PAID), (PAID,))
    snapshot = draw(account, PAID, NOON)

    text = webhook.body(succeeded, snapshot, "INV-1", NOON)

    assert text.isascii()
    assert json.loads(text) == {
        "type": "transaction.succeeded",
        "timestamp": "2026-11-24T09:00:00Z",
        "data": {
            **{name: value for name, value in snapshot.items() if name not in FOR_PAGES},
            "reference": "INV-1",
        },
    }
    assert json.loads(text)["data"]["money"] == "taken"
    assert "254712345678" not in text


def test_the_tries_follow_the_schedule_and_then_end():
    pauses = [webhook.pause_after(tries, 0.0) for tries in range(1, 11)]

    seconds = [pause and pause.total_seconds() for pause in pauses]
    hour = 3600
    assert seconds == [5, 300, 1800, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour,
                       24 * hour, None]  # fmt: skip


def test_chance_makes_a_pause_longer_and_never_shorter():
    assert webhook.pause_after(2, 1.0) == timedelta(seconds=330)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("120", 120),
        (" 120 ", 120),
        ("Tue, 24 Nov 2026 09:02:00 GMT", 120),
        ("Tue, 24 Nov 2026 09:02:00 -0000", 120),
        ("Tue, 24 Nov 2026 08:00:00 GMT", 0),
        ("999999999", 24 * 3600),
        ("Tue, 24 Nov 2099 09:02:00 GMT", 24 * 3600),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("Mon, 99 Foo 2026 09:02:00 GMT", 0),
        ("Tue, 24 Nov 99999999999 09:02:00 GMT", 0),
    ],
)
def test_a_pause_that_is_asked_for_is_kept_within_bounds(header, seconds):
    assert webhook.asked_pause(header, NOON) == timedelta(seconds=seconds)


@given(
    st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,3} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{1,9} .*")
)
@example("9" * 5000)
@example("Tue, 24 Nov 0001 00:00:00 +2359")
@example("Fri, 31 Dec 9999 23:59:59 -2359")
def test_no_header_makes_a_pause_unbounded(header):
    assert timedelta(0) <= webhook.asked_pause(header, NOON) <= timedelta(hours=24)

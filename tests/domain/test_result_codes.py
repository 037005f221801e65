"""The public table of failures, written out once more: reason, codes, finality, wait."""

from datetime import UTC, datetime, timedelta

import pytest

from mpesa.domain.result_codes import (
    FAILED_REASONS,
    PENDING_REASONS,
    RULES,
    SUCCESS_REASONS,
    Reason,
    Status,
    WaitFrom,
    reason_of_callback,
    reason_of_query,
    retry_at,
)

PUSHED_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FAILED_AT = PUSHED_AT + timedelta(seconds=26)
LATE = timedelta(minutes=5)

# reason, codes, final, seconds to wait, from when, whether a push is offered meanwhile
PUBLISHED = [
    ("cancelled", "1031 1032", False, 0, None, True),
    ("insufficient_funds", "1", True, 0, None, True),
    ("wrong_pin", "2001", True, 0, None, True),
    ("pin_locked", "8006", True, 0, None, True),
    ("unreachable", "1036 1037", False, 120, "push", True),
    ("expired", "1019", False, 60, "push", True),
    ("line_busy", "17 1001", True, 120, "failure", True),
    ("over_limit", "3 4", True, 0, None, True),
    ("declined", "2 11 2006 E3008", True, 0, None, True),
    ("system_busy", "26 1025 9999", False, 60, "failure", True),
    (
        "misconfigured",
        "8 15 20 21 1101 1102 2028 2029 SFC_IC0003",
        True,
        600,
        "failure",
        False,
    ),
    ("push_refused", "", True, 0, None, True),
    ("unknown_code", "", False, 180, "push", True),
    ("closed_by_operator", "", False, 180, "push", True),
]
CODES = [
    pytest.param(code, Reason(row[0]), id=code) for row in PUBLISHED for code in row[1].split()
]
UNKNOWN = ["", "00", "5", "10", "99", "1033", "2032", "2040", "7777", "e3008", "sfc_ic0003", "-1"]


def test_the_published_table_has_every_reason_of_a_failure_once():
    published = [Reason(row[0]) for row in PUBLISHED]

    assert len(published) == len(set(published))
    assert {*published, Reason.NOT_RECEIVED} == FAILED_REASONS == set(RULES)


def test_every_reason_belongs_to_one_status():
    assert set(Status) == {"PENDING", "SUCCESS", "FAILED"}
    assert {"awaiting_pin", "push_unconfirmed", "overdue", "awaiting_payment"} == PENDING_REASONS
    assert {"paid", "paid_late"} == SUCCESS_REASONS
    assert not FAILED_REASONS & (PENDING_REASONS | SUCCESS_REASONS)


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_a_callback_gives_the_published_reason(code, reason):
    assert reason_of_callback(code) is reason


@pytest.mark.parametrize(("code", "reason"), CODES)
def test_a_query_gives_the_published_reason(code, reason):
    assert reason_of_query(code, LATE) is reason


@pytest.mark.parametrize("code", UNKNOWN)
def test_an_unknown_code_counts_from_a_callback_and_tells_nothing_from_a_query(code):
    assert reason_of_callback(code) is Reason.UNKNOWN_CODE
    assert reason_of_query(code, LATE) is None


def test_4999_is_never_a_result():
    assert reason_of_callback("4999") is None
    assert reason_of_query("4999", LATE) is None


@pytest.mark.parametrize(
    ("seconds", "reason"),
    [
        (0, None),
        (12, None),
        (29.999, None),
        (30, Reason.MISCONFIGURED),
        (31, Reason.MISCONFIGURED),
        (86_400, Reason.MISCONFIGURED),
    ],
)
def test_2029_from_a_query_counts_from_30_s_after_the_push_on(seconds, reason):
    assert reason_of_query("2029", timedelta(seconds=seconds)) is reason


@pytest.mark.parametrize("code", ["1", "1032", "1037", "SFC_IC0003"])
def test_other_codes_from_a_query_count_at_once(code):
    assert reason_of_query(code, timedelta(0)) is not None


@pytest.mark.parametrize(
    ("reason", "final", "blocks"), [(row[0], row[2], not row[5]) for row in PUBLISHED]
)
def test_finality_is_as_published(reason, final, blocks):
    rule = RULES[Reason(reason)]

    assert rule.final is final
    assert rule.blocks_retry is blocks


@pytest.mark.parametrize(
    ("reason", "seconds", "counted_from"), [(row[0], row[3], row[4]) for row in PUBLISHED]
)
def test_the_wait_is_as_published(reason, seconds, counted_from):
    starts = {"push": PUSHED_AT, "failure": FAILED_AT}
    expected = starts[counted_from] + timedelta(seconds=seconds) if counted_from else None

    assert retry_at(Reason(reason), PUSHED_AT, FAILED_AT) == expected


def test_a_wait_is_counted_from_the_push_or_from_the_failure():
    assert {each.value for each in WaitFrom} == {"push", "failure"}

"""The grid of a refund: each state meets each event, and each result is read as ran or not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mpesa.domain.refund import (
    COUNTED,
    DID_NOT_RUN,
    TABLE,
    UNDER_WAY,
    Event,
    Refund,
    RefundStatus,
    after,
    event_of,
)
from mpesa.domain.results import Result

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
REFUND = Refund(
    id="r" * 22,
    receipt_id="c" * 22,
    receipt="UKO1ABCDEF",
    amount=15_000,
    reason="paid twice",
    status=RefundStatus.REQUESTED,
    requested_by="amina",
    created_at=NOW,
    updated_at=NOW,
)

# `.`: recorded, and nothing else. `?`: a person has to look.
GRID = """
                    | requested | released  | sent       | unknown    | succeeded | failed     | refused
requested           | .         | .         | .          | .          | .         | .          | .
released            | released  | .         | .          | .          | .         | .          | .
refused             | refused   | .         | .          | .          | .         | .          | .
out_of_time         | refused   | .         | .          | .          | .         | .          | .
sent                | .         | sent      | .          | .          | .         | .          | .
acknowledged        | .         | .         | .          | .          | .         | .          | .
not_run             | .         | .         | failed     | .          | .         | .          | .
no_answer           | .         | .         | unknown?   | .          | .         | .          | .
silent              | .         | .         | unknown?   | .          | .         | .          | .
timed_out           | .         | .         | unknown?   | .          | .         | .          | .
result_succeeded    | .         | .         | succeeded  | succeeded  | .         | succeeded? | .
result_already_back | .         | .         | succeeded  | succeeded  | .         | succeeded? | .
result_failed       | .         | .         | failed     | failed     | .         | .          | .
result_unclear      | .         | .         | unknown?   | .          | .         | .          | .
returned_otherwise  | refused   | refused   | succeeded  | succeeded  | .         | succeeded? | .
ended_back          | .         | .         | .          | succeeded  | .         | .          | .
ended_not_back      | .         | .         | .          | failed     | .         | .          | .
"""  # noqa: E501 - a table that wraps cannot be read


def read_grid():
    header, *lines = (
        [c.strip() for c in line.split("|")] for line in GRID.strip("\n").splitlines()
    )
    for event, *words in lines:
        for status, word in zip(header[1:], words, strict=True):
            yield pytest.param(RefundStatus(status), Event(event), word, id=f"{event}-{status}")


CELLS = list(read_grid())


def test_the_grid_has_every_cell():
    assert len(CELLS) == len(RefundStatus) * (len(Event) - 1)  # a settled review has its own test


@pytest.mark.parametrize(("status", "event", "word"), CELLS)
def test_each_state_meets_each_event(status, event, word):
    changed = after(replace(REFUND, status=status), event, LATER)

    assert changed.status.value == (status.value if word == "." else word.rstrip("?"))
    assert changed.needs_review is word.endswith("?")
    assert (changed.seq, changed.updated_at) == (2, LATER)


@pytest.mark.parametrize("status", RefundStatus)
def test_a_settled_review_changes_nothing_that_is_told(status):
    doubted = replace(REFUND, status=status, needs_review=True)

    assert after(doubted, Event.REVIEW_SETTLED, LATER) == replace(doubted, needs_review=False)
    assert doubted.can_be_settled is (status is not RefundStatus.UNKNOWN)


def test_nothing_leads_out_of_a_success_and_nothing_sends_what_is_unknown():
    assert not [each for each, _ in TABLE if each is RefundStatus.SUCCEEDED]
    assert {became for (_, _), became in TABLE.items() if became is RefundStatus.SENT} == {
        TABLE[RefundStatus.RELEASED, Event.SENT]
    }
    assert RefundStatus.UNKNOWN in UNDER_WAY & COUNTED


def result(code="0", receipt="UKO9REVERS", conversation=None, **parameters):
    named = {"OriginalTransactionID": "UKO1ABCDEF", "Amount": "150.00", **parameters}
    told = tuple((name, value) for name, value in named.items() if value is not None)
    return Result(code, "", conversation, None, receipt, told)


@pytest.mark.parametrize(
    ("told", "event"),
    [
        (result(), Event.RESULT_SUCCEEDED),
        (result(OriginalTransactionID=None, Amount=None), Event.RESULT_SUCCEEDED),
        (result(OriginalTransactionID="UKO2GHIJKL"), Event.RESULT_UNCLEAR),
        (result(Amount="149.00"), Event.RESULT_UNCLEAR),
        (result(Amount="a lot"), Event.RESULT_UNCLEAR),
        (result("R000001"), Event.RESULT_ALREADY_BACK),
        (result("R000001", conversation="AG_other"), Event.RESULT_UNCLEAR),
        (result(conversation="AG_other"), Event.RESULT_UNCLEAR),
        (result("17"), Event.RESULT_UNCLEAR),
        (result("26"), Event.RESULT_UNCLEAR),
        (result("999"), Event.RESULT_UNCLEAR),
        *((result(code), Event.RESULT_FAILED) for code in sorted(DID_NOT_RUN)),
    ],
)
def test_a_result_says_that_it_ran_did_not_run_or_nothing(told, event):
    sent = replace(REFUND, status=RefundStatus.SENT, conversation_id="AG_ours")

    assert event_of(told, sent, listed=True) is event
    assert event_of(told, sent, listed=False) is Event.RESULT_UNCLEAR

"""What the merchant's server is told, when it is told again, and how a message looks."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from mpesa.domain.attempt import Attempt
from mpesa.domain.result_codes import Status
from mpesa.domain.snapshot import Snapshot, utc_text

FOR_PAGES = ("view", "next")


class MessageType(StrEnum):
    """What a message tells of."""

    SUCCEEDED = "transaction.succeeded"
    FAILED = "transaction.failed"
    NEEDS_REVIEW = "transaction.needs_review"


# Of a message that is sent on demand, and tells of no transaction.
TEST = "webhook.test"


def due(before: Attempt, after: Attempt) -> list[MessageType]:
    """The messages that a change of one transaction calls for, in the order of their sending."""
    types: list[MessageType] = []
    if after.status is Status.SUCCESS and _success(before) != _success(after):
        types.append(MessageType.SUCCEEDED)
    if after.status is Status.FAILED and _failure(before) != _failure(after):
        types.append(MessageType.FAILED)
    if after.needs_review and not before.needs_review:
        types.append(MessageType.NEEDS_REVIEW)
    return types


def _success(told: Attempt) -> tuple[object, ...]:
    return told.status, told.receipt


def _failure(told: Attempt) -> tuple[object, ...]:
    return told.status, told.reason, told.final


def body(message: MessageType, snapshot: Snapshot, reference: str, now: datetime) -> str:
    """The JSON text that is signed and sent, in ASCII (Standard Webhooks 1.0.0, "Payload").

    Args:
        snapshot: as committed with the change; what only a page needs is left out.
        reference: the merchant's own, of the order.
        now: when it happened, aware UTC.
    """
    told: dict[str, Any] = {
        "type": message.value,
        "timestamp": utc_text(now),
        "data": {
            **{name: value for name, value in snapshot.items() if name not in FOR_PAGES},
            "reference": reference,
        },
    }
    return json.dumps(told, separators=(",", ":"))


def test_body(now: datetime) -> str:
    """The JSON text of a message that only shows that messages arrive and that signatures fit."""
    told = {
        "type": TEST,
        "timestamp": utc_text(now),
        "data": {"note": "Sent by flask webhooks test. It tells of no payment."},
    }
    return json.dumps(told, separators=(",", ":"))


# How long after a failed try the next one follows: the schedule that Standard Webhooks 1.0.0
# recommends. Ten tries in all, over three days: an endpoint that broke on a Friday is mended.
RETRY_AFTER = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
# A tenth, at random: what failed together does not come back together.
_JITTER = 0.1
# Whoever asks for more than the longest pause of the schedule would be forgotten.
LONGEST_PAUSE = RETRY_AFTER[-1]


def pause_after(tries: int, chance: float) -> timedelta | None:
    """How long to wait after so many failed tries; None: it is given up.

    Args:
        tries: from 1.
        chance: from 0 to 1; lengthens the pause by a tenth at the most.
    """
    if tries > len(RETRY_AFTER):
        return None
    return RETRY_AFTER[tries - 1] * (1 + _JITTER * chance)


def asked_pause(header: str | None, now: datetime) -> timedelta:
    """The pause that a `Retry-After` asks for (RFC 9110, 10.2.3), none where it is not readable.

    Args:
        header: seconds or an HTTP date.
        now: aware UTC.
    """
    text = (header or "").strip()
    in_seconds = re.fullmatch(r"[0-9]{1,9}", text)
    pause = timedelta(seconds=int(text)) if in_seconds else _until(text, now)
    return min(max(pause, timedelta(0)), LONGEST_PAUSE)


def _until(text: str, now: datetime) -> timedelta:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError, IndexError):
        return timedelta(0)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now

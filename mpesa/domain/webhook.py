"""The messages for the merchant's server: what calls for one, how it looks, when it is repeated."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from mpesa.domain.attempt import Attempt
from mpesa.domain.receipt_shown import ReceiptShown
from mpesa.domain.refund import Refund, RefundStatus
from mpesa.domain.refund_shown import RefundShown
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Snapshot, utc_text

FOR_PAGES = ("view", "next", "again_at", "pay_by_hand")


class MessageType(StrEnum):
    """The subject of a message."""

    SUCCEEDED = "transaction.succeeded"
    FAILED = "transaction.failed"
    NEEDS_REVIEW = "transaction.needs_review"
    UNCLAIMED = "receipt.unclaimed"
    RETURNED = "receipt.returned"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    REFUND_NEEDS_REVIEW = "refund.needs_review"


# In the order in which they are sent.
OF_RECEIPTS = (MessageType.UNCLAIMED, MessageType.RETURNED)


# The type of a message that is sent on demand and tells of no transaction.
TEST = "webhook.test"


def due(before: Attempt, after: Attempt) -> list[MessageType]:
    """Say which messages the change of a transaction calls for, in the order of their sending."""
    types: list[MessageType] = []
    succeeded = after.status is Status.SUCCESS and _success(before) != _success(after)
    if succeeded and not after.shares_receipt:  # one receipt is one success
        types.append(MessageType.SUCCEEDED)
    told = after.reason is not Reason.NOT_RECEIVED  # nobody was asked, and nothing has failed
    if told and after.status is Status.FAILED and _failure(before) != _failure(after):
        types.append(MessageType.FAILED)
    if after.needs_review and not before.needs_review:
        types.append(MessageType.NEEDS_REVIEW)
    return types


def _success(attempt: Attempt) -> tuple[object, ...]:
    return attempt.status, attempt.receipt


def _failure(attempt: Attempt) -> tuple[object, ...]:
    return attempt.status, attempt.reason, attempt.final


def body(message: MessageType, snapshot: Snapshot, reference: str, now: datetime) -> str:
    """Make the JSON text that is signed and sent, in ASCII (Standard Webhooks 1.0.0, "Payload").

    Args:
        snapshot: as committed with the change; fields that only a page needs are left out.
        reference: the merchant's reference of the order.
        now: the time of the change, aware UTC.
    """
    told = {name: value for name, value in snapshot.items() if name not in FOR_PAGES}
    return _text(message, now, {**told, "reference": reference})


def receipt_body(message: MessageType, receipt: ReceiptShown, now: datetime) -> str:
    """Make the JSON text of a message about a receipt, likewise.

    Args:
        receipt: as webhooks tell it.
        now: the time of the change, aware UTC.
    """
    return _text(message, now, receipt)


def due_of_refund(before: Refund | None, after: Refund) -> list[MessageType]:
    """Say which messages the change of a refund calls for, in the order of their sending."""
    types: list[MessageType] = []
    changed = before is None or before.status is not after.status
    if changed and after.status is RefundStatus.SUCCEEDED:
        types.append(MessageType.REFUND_SUCCEEDED)
    if changed and after.status is RefundStatus.FAILED:
        types.append(MessageType.REFUND_FAILED)
    if after.needs_review and not (before is not None and before.needs_review):
        types.append(MessageType.REFUND_NEEDS_REVIEW)
    return types


def refund_body(message: MessageType, refund: RefundShown, now: datetime) -> str:
    """Make the JSON text of a message about a refund, likewise.

    Args:
        refund: as the API tells it.
        now: the time of the change, aware UTC.
    """
    return _text(message, now, refund)


def test_body(now: datetime) -> str:
    """Make the JSON text of a message that only shows that messages arrive and can be verified."""
    return _text(TEST, now, {"note": "Sent by flask webhooks test. It tells of no payment."})


def _text(kind: str, now: datetime, told: Mapping[str, Any]) -> str:
    message = {"type": str(kind), "timestamp": utc_text(now), "data": told}
    return json.dumps(message, separators=(",", ":"))


# The time from a failed try to the next: the schedule that Standard Webhooks 1.0.0 recommends. Ten
# tries in all, over three days, so that an endpoint that broke on a Friday is repaired in time.
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
# A tenth, at random, so that messages that failed together are not repeated together.
_JITTER = 0.1
# A server that asks for more than the longest pause of the schedule gets that pause.
LONGEST_PAUSE = RETRY_AFTER[-1]


def pause_after(tries: int, chance: float) -> timedelta | None:
    """The pause after a failed try; None: the message is given up.

    Args:
        tries: the number of failed tries, from 1.
        chance: from 0 to 1; it lengthens the pause by up to a tenth.
    """
    if tries > len(RETRY_AFTER):
        return None
    return RETRY_AFTER[tries - 1] * (1 + _JITTER * chance)


def asked_pause(header: str | None, now: datetime) -> timedelta:
    """Read the pause that a `Retry-After` asks for (RFC 9110, 10.2.3).

    Args:
        header: seconds or an HTTP date; None: the answer had none.
        now: aware UTC.

    Returns:
        From zero, also where the header cannot be read, to the longest pause of the schedule.
    """
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        pause = timedelta(seconds=int(text))
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, OverflowError, IndexError):
            return timedelta(0)
        pause = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now
    return min(max(pause, timedelta(0)), LONGEST_PAUSE)

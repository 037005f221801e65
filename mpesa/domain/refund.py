"""A refund: one receipt given back in full by Reversal. What may happen to it, and what it means.

Pure: no I/O, no clock. `refunds` asks, and the ledger writes it down.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from mpesa.domain.results import Result, read_receipt


class RefundStatus(StrEnum):
    """Where a refund stands; `unknown` is a state of its own, and is never sent again."""

    REQUESTED = "requested"
    RELEASED = "released"
    SENT = "sent"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"
    REFUSED = "refused"


# A receipt with one of these is neither claimed nor asked for again.
UNDER_WAY = frozenset(
    {RefundStatus.REQUESTED, RefundStatus.RELEASED, RefundStatus.SENT, RefundStatus.UNKNOWN}
)
# These count against the limit of the day of their release.
COUNTED = frozenset(
    {RefundStatus.RELEASED, RefundStatus.SENT, RefundStatus.UNKNOWN, RefundStatus.SUCCEEDED}
)
# A request that nobody released in this time is refused by the clock.
RELEASED_WITHIN = timedelta(hours=24)
# An acknowledgement that takes longer is none; the process that waited for it may have ended.
ACKNOWLEDGED_WITHIN = timedelta(seconds=25)
RESULT_WITHIN = timedelta(minutes=10)
# M-PESA is asked about the original payment this long after a refund became unknown.
ASKED_AFTER = timedelta(minutes=15)

_SUCCESS = "0"
# "The transaction has already been reversed": the money is back, no matter who sent it.
_ALREADY_BACK = "R000001"
# Codes of a reversal that did not run (Daraja docs, Reversals and "Result" of each of its family).
DID_NOT_RUN = frozenset(
    {
        "1", "2", "3", "4", "8", "11", "18", "20", "21", "22", "24", "25", "2001", "2006", "2028",
        "8006", "R000002", "SFC_IC0003", "TP40153",
    }
)  # fmt: skip


class Event(StrEnum):
    """What happened to a refund; `RefundStep` rows keep each with its time and its source."""

    REQUESTED = "requested"
    RELEASED = "released"
    REFUSED = "refused"
    OUT_OF_TIME = "out_of_time"
    SENT = "sent"
    ACKNOWLEDGED = "acknowledged"
    NOT_RUN = "not_run"
    NO_ANSWER = "no_answer"
    SILENT = "silent"
    TIMED_OUT = "timed_out"
    RESULT_SUCCEEDED = "result_succeeded"
    RESULT_ALREADY_BACK = "result_already_back"
    RESULT_FAILED = "result_failed"
    RESULT_UNCLEAR = "result_unclear"
    RETURNED_OTHERWISE = "returned_otherwise"
    ENDED_BACK = "ended_back"
    ENDED_NOT_BACK = "ended_not_back"
    REVIEW_SETTLED = "review_settled"


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as its row has it, every column by its own name (`models.Refund`).

    Attributes:
        amount: all of the receipt, in cents.
        order_id: None: the receipt was nobody's.
        reason: a person's words; they stay here.
        released_day: the day in Nairobi against whose limit it counts.
        reversal_receipt: M-PESA's receipt of the reversal; None: not known.
        result_code: of Daraja's last word about it.
    """

    id: str
    receipt_id: str
    receipt: str
    amount: int
    reason: str
    status: RefundStatus
    requested_by: str
    created_at: datetime
    updated_at: datetime
    order_id: str | None = None
    released_by: str | None = None
    released_day: str | None = None
    sent_at: datetime | None = None
    acknowledged_at: datetime | None = None
    conversation_id: str | None = None
    reversal_receipt: str | None = None
    result_code: str | None = None
    needs_review: bool = False
    seq: int = 1
    asked_key: str | None = None
    fingerprint: str | None = None

    @property
    def under_way(self) -> bool:
        """Whether its money may still go back."""
        return self.status in UNDER_WAY

    @property
    def can_be_settled(self) -> bool:
        """Whether a person's look is all that it waits for; one that is unknown has to be ended."""
        return self.needs_review and self.status is not RefundStatus.UNKNOWN


# What becomes of a refund: state x event. A cell that is missing changes nothing: it is recorded.
_S = RefundStatus
TABLE: dict[tuple[RefundStatus, Event], RefundStatus] = {
    (_S.REQUESTED, Event.RELEASED): _S.RELEASED,
    (_S.REQUESTED, Event.REFUSED): _S.REFUSED,
    (_S.REQUESTED, Event.OUT_OF_TIME): _S.REFUSED,
    (_S.REQUESTED, Event.RETURNED_OTHERWISE): _S.REFUSED,
    (_S.RELEASED, Event.SENT): _S.SENT,
    (_S.RELEASED, Event.RETURNED_OTHERWISE): _S.REFUSED,
    (_S.SENT, Event.NOT_RUN): _S.FAILED,
    (_S.SENT, Event.NO_ANSWER): _S.UNKNOWN,
    (_S.SENT, Event.SILENT): _S.UNKNOWN,
    (_S.SENT, Event.TIMED_OUT): _S.UNKNOWN,
    (_S.SENT, Event.RESULT_SUCCEEDED): _S.SUCCEEDED,
    (_S.SENT, Event.RESULT_ALREADY_BACK): _S.SUCCEEDED,
    (_S.SENT, Event.RESULT_FAILED): _S.FAILED,
    (_S.SENT, Event.RESULT_UNCLEAR): _S.UNKNOWN,
    (_S.SENT, Event.RETURNED_OTHERWISE): _S.SUCCEEDED,
    (_S.UNKNOWN, Event.RESULT_SUCCEEDED): _S.SUCCEEDED,
    (_S.UNKNOWN, Event.RESULT_ALREADY_BACK): _S.SUCCEEDED,
    (_S.UNKNOWN, Event.RESULT_FAILED): _S.FAILED,
    (_S.UNKNOWN, Event.RETURNED_OTHERWISE): _S.SUCCEEDED,
    (_S.UNKNOWN, Event.ENDED_BACK): _S.SUCCEEDED,
    (_S.UNKNOWN, Event.ENDED_NOT_BACK): _S.FAILED,
    # Its own result says that the money went back after all.
    (_S.FAILED, Event.RESULT_SUCCEEDED): _S.SUCCEEDED,
    (_S.FAILED, Event.RESULT_ALREADY_BACK): _S.SUCCEEDED,
    (_S.FAILED, Event.RETURNED_OTHERWISE): _S.SUCCEEDED,
}


def after(refund: Refund, event: Event, now: datetime) -> Refund:
    """The refund as an event leaves it; the same status where the event decides nothing.

    Unknown, and a success after a failure, are for a person to look at. That somebody did is no
    change that the shop or the payer is told of.
    """
    if event is Event.REVIEW_SETTLED:
        return replace(refund, needs_review=False)
    status = TABLE.get((refund.status, event), refund.status)
    if status is refund.status:
        return replace(refund, updated_at=now, seq=refund.seq + 1)
    doubtful = status is _S.UNKNOWN or refund.status is _S.FAILED
    ended = event in (Event.ENDED_BACK, Event.ENDED_NOT_BACK)
    return replace(
        refund,
        status=status,
        updated_at=now,
        seq=refund.seq + 1,
        needs_review=doubtful or (refund.needs_review and not ended and status is not _S.SUCCEEDED),
    )


def event_of(result: Result, refund: Refund, *, listed: bool) -> Event:
    """What a result under the refund's own secret address says.

    Args:
        listed: it came from an address that may be believed.
    """
    asked, answered = refund.conversation_id, result.conversation_id
    other_request = asked is not None and answered is not None and asked != answered
    named = result.values("OriginalTransactionID")
    other_receipt = any(read_receipt(each) != refund.receipt for each in named)
    if not listed or other_request or other_receipt:
        return Event.RESULT_UNCLEAR
    if result.code == _SUCCESS:
        told, amount = result.value("Amount"), result.amount("Amount")
        other_amount = told is not None and amount != refund.amount
        unclear = other_amount or result.disagrees("Amount")
        return Event.RESULT_UNCLEAR if unclear else Event.RESULT_SUCCEEDED
    if result.code == _ALREADY_BACK:
        return Event.RESULT_ALREADY_BACK
    return Event.RESULT_FAILED if result.code in DID_NOT_RUN else Event.RESULT_UNCLEAR

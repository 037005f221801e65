"""The meaning of Daraja's result codes: reason, finality, and when to try again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Status(StrEnum):
    """Where a transaction stands. There is no fourth word."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    FAILED = "FAILED"


class Reason(StrEnum):
    """Why a transaction stands where it does."""

    AWAITING_PIN = "awaiting_pin"
    PUSH_UNCONFIRMED = "push_unconfirmed"
    OVERDUE = "overdue"
    AWAITING_PAYMENT = "awaiting_payment"

    PAID = "paid"
    PAID_LATE = "paid_late"

    CANCELLED = "cancelled"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    WRONG_PIN = "wrong_pin"
    PIN_LOCKED = "pin_locked"
    UNREACHABLE = "unreachable"
    EXPIRED = "expired"
    LINE_BUSY = "line_busy"
    OVER_LIMIT = "over_limit"
    DECLINED = "declined"
    SYSTEM_BUSY = "system_busy"
    MISCONFIGURED = "misconfigured"
    PUSH_REFUSED = "push_refused"
    UNKNOWN_CODE = "unknown_code"
    CLOSED_BY_OPERATOR = "closed_by_operator"
    NOT_RECEIVED = "not_received"


PENDING_REASONS = frozenset(
    {Reason.AWAITING_PIN, Reason.PUSH_UNCONFIRMED, Reason.OVERDUE, Reason.AWAITING_PAYMENT}
)
SUCCESS_REASONS = frozenset({Reason.PAID, Reason.PAID_LATE})
FAILED_REASONS = frozenset(Reason) - PENDING_REASONS - SUCCESS_REASONS


def status_of(reason: Reason) -> Status:
    """The one status that a reason belongs to."""
    if reason in FAILED_REASONS:
        return Status.FAILED
    return Status.PENDING if reason in PENDING_REASONS else Status.SUCCESS


class WaitFrom(StrEnum):
    """The moment from which a wait before the next push is counted."""

    PUSH = "push"
    FAILURE = "failure"


@dataclass(frozen=True)
class FailureRule:
    """How a failure is treated.

    Attributes:
        final: no later change is expected (after a callback or a clear refusal).
        wait_seconds: how long the next push of the order has to wait.
        wait_from: the moment from which that wait is counted.
        blocks_retry: during the wait the page offers no new push at all.
    """

    final: bool
    wait_seconds: int = 0
    wait_from: WaitFrom = WaitFrom.FAILURE
    blocks_retry: bool = False


# The waits: a prompt may live on a phone for 180 s, and a line stays locked for one to three
# minutes after a push (Daraja docs, M-PESA Express, and the older FAQ).
RULES: dict[Reason, FailureRule] = {
    Reason.CANCELLED: FailureRule(final=False),
    Reason.INSUFFICIENT_FUNDS: FailureRule(final=True),
    Reason.WRONG_PIN: FailureRule(final=True),
    Reason.PIN_LOCKED: FailureRule(final=True),
    Reason.UNREACHABLE: FailureRule(final=False, wait_seconds=120, wait_from=WaitFrom.PUSH),
    Reason.EXPIRED: FailureRule(final=False, wait_seconds=60, wait_from=WaitFrom.PUSH),
    Reason.LINE_BUSY: FailureRule(final=True, wait_seconds=120),
    Reason.OVER_LIMIT: FailureRule(final=True),
    Reason.DECLINED: FailureRule(final=True),
    Reason.SYSTEM_BUSY: FailureRule(final=False, wait_seconds=60),
    Reason.MISCONFIGURED: FailureRule(final=True, wait_seconds=600, blocks_retry=True),
    Reason.PUSH_REFUSED: FailureRule(final=True),
    Reason.UNKNOWN_CODE: FailureRule(final=False, wait_seconds=180, wait_from=WaitFrom.PUSH),
    Reason.CLOSED_BY_OPERATOR: FailureRule(final=False, wait_seconds=180, wait_from=WaitFrom.PUSH),
    Reason.NOT_RECEIVED: FailureRule(final=False),
}

PAID_CODE = "0"
# "The transaction is still under processing": never a result, wherever it stands.
UNDER_WAY_CODE = "4999"
# Sandbox queries answer it for a payment that succeeds later, in its first seconds.
UNRESOLVED_CODE = "2029"
UNRESOLVED_TRUSTED_AFTER = timedelta(seconds=30)

_REASON_OF_CODE: dict[str, Reason] = {
    **dict.fromkeys(("1031", "1032"), Reason.CANCELLED),
    "1": Reason.INSUFFICIENT_FUNDS,
    "2001": Reason.WRONG_PIN,
    "8006": Reason.PIN_LOCKED,
    **dict.fromkeys(("1036", "1037"), Reason.UNREACHABLE),
    "1019": Reason.EXPIRED,
    **dict.fromkeys(("17", "1001"), Reason.LINE_BUSY),
    **dict.fromkeys(("3", "4"), Reason.OVER_LIMIT),
    **dict.fromkeys(("2", "11", "2006", "E3008"), Reason.DECLINED),
    **dict.fromkeys(("26", "1025", "9999"), Reason.SYSTEM_BUSY),
    **dict.fromkeys(
        ("8", "15", "20", "21", "1101", "1102", "2028", "2029", "SFC_IC0003"),
        Reason.MISCONFIGURED,
    ),
}


def reason_of_callback(code: str) -> Reason | None:
    """Find the reason behind a failure code in a callback.

    Returns:
        `unknown_code` where the code is not documented; None for 4999, which is no result.
    """
    if code == UNDER_WAY_CODE:
        return None
    return _REASON_OF_CODE.get(code, Reason.UNKNOWN_CODE)


def reason_of_query(code: str, asked_after: timedelta) -> Reason | None:
    """Find the reason behind a failure code in the answer to a query.

    Args:
        code: the `ResultCode` of the answer.
        asked_after: the time from the push to the question.

    Returns:
        None where the answer tells nothing: 4999 (still under processing), unknown codes, and
        2029 in the first 30 s.
    """
    if code == UNRESOLVED_CODE and asked_after < UNRESOLVED_TRUSTED_AFTER:
        return None
    return _REASON_OF_CODE.get(code)


def retry_at(reason: Reason, created_at: datetime, failed_at: datetime) -> datetime | None:
    """When the order's next push may go out after a failure; None: at once."""
    rule = RULES[reason]
    if not rule.wait_seconds:
        return None
    start = created_at if rule.wait_from is WaitFrom.PUSH else failed_at
    return start + timedelta(seconds=rule.wait_seconds)

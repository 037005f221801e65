"""The operator's words for states, reasons, kinds of evidence and times."""

from datetime import UTC, datetime
from typing import Any

from flask_babel import format_datetime
from flask_babel import lazy_gettext as _l

from mpesa.domain.attempt import OrderStatus
from mpesa.domain.evidence import Kind
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.roles import Role
from mpesa.web.console.blueprint import console

STATUSES: dict[str, Any] = {
    Status.PENDING: _l("Pending"),
    Status.SUCCESS: _l("Paid"),
    Status.FAILED: _l("Failed"),
}
REASONS: dict[str, Any] = {
    Reason.AWAITING_PIN: _l("awaiting the PIN"),
    Reason.PUSH_UNCONFIRMED: _l("push unconfirmed"),
    Reason.OVERDUE: _l("overdue"),
    Reason.PAID: _l("in time"),
    Reason.PAID_LATE: _l("after a failure"),
    Reason.CANCELLED: _l("cancelled"),
    Reason.INSUFFICIENT_FUNDS: _l("not enough money"),
    Reason.WRONG_PIN: _l("wrong PIN"),
    Reason.PIN_LOCKED: _l("PIN locked"),
    Reason.UNREACHABLE: _l("phone unreachable"),
    Reason.EXPIRED: _l("prompt expired"),
    Reason.LINE_BUSY: _l("line busy"),
    Reason.OVER_LIMIT: _l("over the limit"),
    Reason.DECLINED: _l("declined"),
    Reason.SYSTEM_BUSY: _l("M-PESA busy"),
    Reason.MISCONFIGURED: _l("misconfigured"),
    Reason.PUSH_REFUSED: _l("push refused"),
    Reason.UNKNOWN_CODE: _l("unknown code"),
    Reason.CLOSED_BY_OPERATOR: _l("closed by an operator"),
}
ORDERS: dict[str, Any] = {
    OrderStatus.OPEN: _l("open"),
    OrderStatus.PAID: _l("paid"),
    OrderStatus.CANCELLED: _l("cancelled"),
    OrderStatus.EXPIRED: _l("expired"),
}
KINDS: dict[str, Any] = {
    Kind.PUSH_ANSWER: _l("Daraja answered the push"),
    Kind.CALLBACK: _l("Callback"),
    Kind.QUERY: _l("Daraja was asked"),
    Kind.CLOCK: _l("Time passed"),
    Kind.SMS_CODE: _l("The shopper typed a code from an SMS"),
    Kind.OPERATOR: _l("Operator"),
    Kind.FORGOTTEN: _l("Forgotten"),
    Kind.CLAIM: _l("Another payment named this receipt"),
}
ROLES: dict[str, Any] = {
    Role.VIEWER: _l("viewer"),
    Role.CLERK: _l("clerk"),
    Role.MANAGER: _l("manager"),
}


@console.app_template_filter("status_word")
def status_word(status: str) -> str:
    """A status for a person."""
    return str(STATUSES.get(status, status))


@console.app_template_filter("reason_word")
def reason_word(reason: str) -> str:
    """A reason for a person."""
    return str(REASONS.get(reason, reason))


@console.app_template_filter("order_word")
def order_word(status: str) -> str:
    """An order's status for a person."""
    return str(ORDERS.get(status, status))


@console.app_template_filter("role_word")
def role_word(role: str) -> str:
    """What an operator is, for a person."""
    return str(ROLES.get(role, role))


@console.app_template_filter("nairobi")
def nairobi(moment: datetime, pattern: str = "d MMM yyyy, HH:mm:ss") -> str:
    """A time as a person in Nairobi reads it."""
    return str(format_datetime(moment, pattern))


@console.app_template_filter("moment")
def moment_in_nairobi(moment: datetime) -> str:
    """A time in Nairobi to the millisecond, for events within the same second."""
    return f"{nairobi(moment, 'd MMM, HH:mm:ss')}.{moment.microsecond // 1000:03}"


@console.app_template_filter("utc")
def utc(moment: datetime) -> str:
    """A time in UTC, to the millisecond."""
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z").replace("T", " ")

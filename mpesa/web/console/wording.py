"""The operator's words for states, reasons, kinds of evidence and times."""

from datetime import UTC, datetime
from typing import Any

from flask_babel import format_datetime
from flask_babel import lazy_gettext as _l

from mpesa.domain.attempt import Channel, OrderStatus
from mpesa.domain.evidence import Kind
from mpesa.domain.money import format_cents
from mpesa.domain.receipt import State
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.roles import Role
from mpesa.domain.told import WitnessKind
from mpesa.domain.webhook import MessageType
from mpesa.web.console.blueprint import console

STATUSES: dict[str, Any] = {
    Status.PENDING: _l("Pending"),
    Status.SUCCESS: _l("Paid"),
    Status.FAILED: _l("Failed"),
}
REASONS: dict[str, Any] = {
    Reason.AWAITING_PIN: _l("awaiting the PIN"),
    Reason.PUSH_UNCONFIRMED: _l("request unconfirmed"),
    Reason.OVERDUE: _l("overdue"),
    Reason.AWAITING_PAYMENT: _l("awaiting the money"),
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
    Reason.PUSH_REFUSED: _l("request refused"),
    Reason.UNKNOWN_CODE: _l("unknown code"),
    Reason.CLOSED_BY_OPERATOR: _l("closed by an operator"),
    Reason.NOT_RECEIVED: _l("no money came"),
}
ORDERS: dict[str, Any] = {
    OrderStatus.OPEN: _l("open"),
    OrderStatus.PAID: _l("paid"),
    OrderStatus.CANCELLED: _l("cancelled"),
    OrderStatus.EXPIRED: _l("expired"),
}
KINDS: dict[str, Any] = {
    Kind.PUSH_ANSWER: _l("M-PESA answered the request"),
    Kind.CALLBACK: _l("M-PESA reported"),
    Kind.QUERY: _l("Asked M-PESA"),
    Kind.CLOCK: _l("Time passed"),
    Kind.SMS_CODE: _l("The shopper typed a code from an SMS"),
    Kind.OPERATOR: _l("Operator"),
    Kind.FORGOTTEN: _l("Forgotten"),
    Kind.CLAIM: _l("Another payment named this receipt"),
    Kind.RECEIPT: _l("A receipt was given to it"),
    Kind.HAND: _l("The shopper chose to pay by hand"),
}
CHANNELS: dict[str, Any] = {
    Channel.PUSH: _l("by prompt"),
    Channel.HAND: _l("by hand"),
}
RECEIPTS: dict[str, Any] = {
    State.UNPROVEN: _l("Unproven"),
    State.UNCLAIMED: _l("Unclaimed"),
    State.CLAIMED: _l("Claimed"),
    State.RETURNED: _l("Returned"),
}
WITNESSES: dict[str, Any] = {
    WitnessKind.CALLBACK: _l("M-PESA's report on a payment request"),
    WitnessKind.CONFIRMATION: _l("M-PESA's confirmation"),
    WitnessKind.PULL: _l("M-PESA's list of the last 48 hours"),
    WitnessKind.STATUS: _l("Asked M-PESA about the receipt"),
    WitnessKind.STATEMENT: _l("Line of your statement"),
    WitnessKind.OPERATOR: _l("Operator"),
}
WEBHOOKS: dict[str, Any] = {
    MessageType.SUCCEEDED: _l("Your shop's server was told: paid"),
    MessageType.FAILED: _l("Your shop's server was told: not paid"),
    MessageType.NEEDS_REVIEW: _l("Your shop's server was told: needs review"),
    MessageType.UNCLAIMED: _l("Your shop's server was told: money that no order has"),
    MessageType.RETURNED: _l("Your shop's server was told: money went back"),
    MessageType.REFUND_SUCCEEDED: _l("Your shop's server was told: given back"),
    MessageType.REFUND_FAILED: _l("Your shop's server was told: not given back"),
    MessageType.REFUND_NEEDS_REVIEW: _l("Your shop's server was told: the refund needs review"),
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


@console.app_template_filter("channel_word")
def channel_word(channel: str) -> str:
    """How the money was sent, for a person."""
    return str(CHANNELS.get(channel, channel))


@console.app_template_filter("receipt_word")
def receipt_word(state: str) -> str:
    """A receipt's state for a person."""
    return str(RECEIPTS.get(state, state))


@console.app_template_filter("witness_word")
def witness_word(kind: str) -> str:
    """A kind of witness for a person."""
    return str(WITNESSES.get(kind, kind))


@console.app_template_filter("webhook_word")
def webhook_word(kind: str) -> str:
    """What a webhook told the shop's server, for a person."""
    return str(WEBHOOKS.get(kind, kind))


@console.app_template_filter("cents")
def cents(amount: int) -> str:
    """An amount in cents for a person: `150050` becomes `KES 1,500.50`."""
    return format_cents(amount)


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

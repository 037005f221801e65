"""What an operator is told: states, reasons, kinds of evidence, and what is contradictory."""

from datetime import UTC, datetime
from typing import Any

from flask_babel import format_datetime
from flask_babel import lazy_gettext as _l

from mpesa.domain import settlement
from mpesa.domain.attempt import OrderStatus
from mpesa.domain.result_codes import Reason, Status
from mpesa.ledger import Kind
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
# By the words of `domain/settlement.py`, which the decision row keeps.
DOUBTS: dict[str, Any] = {
    "the push's answer names other ids": _l(
        "Daraja's answer to the push names other ids than those we know."
    ),
    settlement.UNREADABLE: _l(
        "A callback came that cannot be read: either there is no id to ask Daraja with, or it"
        " seems to name another amount."
    ),
    settlement.CLAIM_NOT_PROVEN: _l(
        "A callback with a fault in it said paid, and M-PESA does not say so when it is asked. Only"
        " your statement can tell."
    ),
    settlement.SAYS_OTHERWISE: _l(
        "A callback with a fault in it said paid, and a later one says that the payment failed."
        " Only your statement can tell."
    ),
    "the callback names no CheckoutRequestID": _l(
        "A callback came under this payment's address, and does not say which payment it means."
    ),
    "a query says that it was paid, and a callback told another amount": _l(
        "M-PESA says paid, but its callback told another amount than was asked for. Only your"
        " statement can tell what came."
    ),
    settlement.PAID_UNNAMED: _l(
        "M-PESA was asked about this payment and said paid, but it named another payment, or none."
    ),
    "the callback came from an address that is not listed": _l(
        "A callback came from an address that is not on your list, so it was not believed."
    ),
    "the callback's ids disagree": _l(
        "A callback came under this payment's address, but with another payment's ids."
    ),
    "code 0 without amount or receipt": _l(
        "A callback says paid, but names no amount or no receipt."
    ),
    "code 0 with another amount": _l(
        "A callback says paid, but another amount than was asked for."
    ),
    settlement.RECEIPT_TAKEN: _l("The receipt that was named already belongs to another payment."),
    f"a query says that it was paid; {settlement.RECEIPT_TAKEN}": _l(
        "M-PESA says paid, but the receipt that it named already belongs to another payment."
    ),
    settlement.RECEIPT_CLAIMED: _l(
        "An operator named this receipt, and now M-PESA names it for another payment. One of the"
        " two may not be paid."
    ),
    "a second receipt for the same payment": _l(
        "A second receipt came for a payment that has one: it may have been paid twice."
    ),
    "the operator names another receipt": _l(
        "An operator named another receipt than the one that is known."
    ),
    "a failure after the success": _l("M-PESA said paid, and later that it failed."),
    "nothing was heard; a person has to look": _l(
        "Nothing was heard of this payment for so long that only your statement can tell."
    ),
    "the receipt never came": _l(
        "It is paid by M-PESA's word, but its receipt did not come within a day."
    ),
    "the shopper typed a code from an SMS": _l(
        "The shopper typed a code from an SMS, and there is no id to ask Daraja with."
    ),
    "an operator has Daraja asked": _l("There is no id to ask Daraja with."),
    f"the callback says {Reason.UNKNOWN_CODE}": _l(
        "M-PESA answered with a code that nobody knows."
    ),
}
_ORDER_PAID = _l("The order was paid already: this money came twice, and somebody gets it back.")
_ORDER_CLOSED = _l(
    "Money came for an order that was closed: deliver it after all, or give the money back."
)


def doubt(why: str) -> str:
    """One sentence that says what is contradictory, from a decision's own words."""
    if why.endswith("already"):
        return str(_ORDER_PAID if f" {OrderStatus.PAID} " in why else _ORDER_CLOSED)
    return str(DOUBTS.get(why.partition(": ")[0], why))


def other_payment(why: str) -> str | None:
    """The id of the other transaction that a decision's words name, if any."""
    about, _colon, rest = why.partition(": ")
    names_one = about.endswith((settlement.RECEIPT_TAKEN, settlement.RECEIPT_CLAIMED))
    return rest.partition(",")[0] if names_one else None


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


@console.app_template_filter("nairobi")
def nairobi(moment: datetime, pattern: str = "d MMM yyyy, HH:mm:ss") -> str:
    """A time as a person in Nairobi reads it."""
    return str(format_datetime(moment, pattern))


@console.app_template_filter("moment")
def moment_in_nairobi(moment: datetime) -> str:
    """The same to the millisecond, for what happens within a second."""
    return f"{nairobi(moment, 'd MMM, HH:mm:ss')}.{moment.microsecond // 1000:03}"


@console.app_template_filter("utc")
def utc(moment: datetime) -> str:
    """A time in UTC, to the millisecond."""
    told = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return told.replace("+00:00", "Z").replace("T", " ")

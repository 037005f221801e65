"""The SMS that a payer gets after a payment."""

from dataclasses import dataclass
from datetime import datetime

from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.validation import TILL


@dataclass(frozen=True)
class Message:
    """One SMS on a line.

    Attributes:
        number: it counts up over all lines.
        is_receipt: the SMS confirms a payment.
    """

    number: int
    text: str
    is_receipt: bool
    received_at: datetime


def sms_about(payment: Payment, business: str, balance: int) -> str | None:
    """Write the SMS about a payment's ending.

    Args:
        business: the name of the merchant.
        balance: the line's, in KES, after the payment.

    Returns:
        None where M-PESA would stay silent.
    """
    amount = f"Ksh{payment.request.amount:,}.00"
    if payment.outcome is Outcome.PAID and payment.paid_at:
        local = payment.paid_at.astimezone(NAIROBI)
        day, hour = (
            f"{local.day}/{local.month}/{local:%y}",
            f"{local.hour % 12 or 12}:{local:%M %p}",
        )
        sent = f"sent to {business} for account {payment.request.reference}"
        recipient = f"paid to {business}" if payment.request.kind == TILL else sent
        return (
            f"{payment.receipt} Confirmed. {amount} {recipient} on {day} at {hour}. "
            f"New M-PESA balance is Ksh{balance:,}.00. Transaction cost, Ksh0.00."
        )
    if payment.outcome is Outcome.INSUFFICIENT:
        return (
            f"Failed. There is not enough money in your M-PESA to pay {amount} to {business}. "
            f"Your M-PESA balance is Ksh{balance:,}.00."
        )
    if payment.outcome is Outcome.WRONG_PIN:
        return f"Failed. You entered a wrong PIN. {amount} was not paid to {business}."
    return None

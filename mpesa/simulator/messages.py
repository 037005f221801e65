"""The SMS that a payer gets afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.validation import TILL


@dataclass(frozen=True)
class Message:
    """One SMS on a line, newest last; `number` counts up over all lines."""

    number: int
    text: str
    is_receipt: bool
    received_at: datetime


def sms_about(payment: Payment, business: str, balance: int) -> str | None:
    """Return the SMS about a payment's ending, None where M-PESA would stay silent.

    `balance` is the line's, in KES, after the payment.
    """
    amount = f"Ksh{payment.request.amount:,}.00"
    if payment.outcome is Outcome.PAID and payment.paid_at:
        local = payment.paid_at.astimezone(NAIROBI)
        return (
            f"{payment.receipt} Confirmed. {amount} {_recipient(payment, business)} "
            f"on {_day(local)} at {_hour(local)}. New M-PESA balance is Ksh{balance:,}.00. "
            "Transaction cost, Ksh0.00."
        )
    if payment.outcome is Outcome.INSUFFICIENT:
        return (
            f"Failed. There is not enough money in your M-PESA to pay {amount} to {business}. "
            f"Your M-PESA balance is Ksh{balance:,}.00."
        )
    if payment.outcome is Outcome.WRONG_PIN:
        return f"Failed. You entered a wrong PIN. {amount} was not paid to {business}."
    return None


def _recipient(payment: Payment, business: str) -> str:
    if payment.request.kind == TILL:
        return f"paid to {business}"
    return f"sent to {business} for account {payment.request.reference}"


def _day(local: datetime) -> str:
    return f"{local.day}/{local.month}/{local:%y}"


def _hour(local: datetime) -> str:
    return f"{local.hour % 12 or 12}:{local:%M %p}"

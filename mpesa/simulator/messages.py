"""The SMS that a payer gets after a payment."""

from dataclasses import dataclass
from datetime import datetime

from mpesa.simulator.ids import NAIROBI
from mpesa.simulator.movement import Movement
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.payment import Payment
from mpesa.simulator.validation import TILL


@dataclass(frozen=True)
class Message:
    """One SMS on a line.

    Attributes:
        number: it counts up over all lines.
        is_receipt: the SMS confirms that money moved.
    """

    number: int
    text: str
    is_receipt: bool
    received_at: datetime


def sms_of_receipt(movement: Movement, business: str, balance: int) -> str:
    """Write the SMS about money that a line has paid.

    Args:
        business: the name of the merchant.
        balance: the line's, in KES, after the payment.
    """
    sent = f"sent to {business} for account {movement.account}"
    recipient = f"paid to {business}" if movement.payee.kind == TILL else sent
    return (
        f"{movement.receipt} Confirmed. {_ksh(movement.amount)} {recipient} "
        f"{_on(movement.paid_at)}. "
        f"New M-PESA balance is {_ksh(balance)}. Transaction cost, Ksh0.00."
    )


def sms_of_reversal(back: Movement, balance: int) -> str:
    """Write the SMS about money that came back to a line.

    Args:
        balance: the line's, in KES, with it.
    """
    amount = _ksh(back.amount)
    return (
        f"{back.receipt} Confirmed. Transaction {back.reverses} has been reversed "
        f"{_on(back.paid_at)}, and {amount} is credited to your M-PESA account. "
        f"New M-PESA balance is {_ksh(balance)}."
    )


def sms_of_failure(payment: Payment, business: str, balance: int) -> str | None:
    """Write the SMS about a push that was not paid.

    Args:
        business: the name of the merchant.
        balance: the line's, in KES.

    Returns:
        None where M-PESA would stay silent.
    """
    amount = payment.request.amount
    if payment.outcome is Outcome.INSUFFICIENT:
        return sms_of_too_little(amount, business, balance)
    if payment.outcome is Outcome.WRONG_PIN:
        return sms_of_wrong_pin(amount, business)
    return None


def sms_of_too_little(amount: int, business: str, balance: int) -> str:
    """Write the SMS to a payer who has not got that much."""
    return (
        f"Failed. There is not enough money in your M-PESA to pay {_ksh(amount)} to {business}. "
        f"Your M-PESA balance is {_ksh(balance)}."
    )


def sms_of_wrong_pin(amount: int, business: str) -> str:
    """Write the SMS to a payer who typed another PIN."""
    return f"Failed. You entered a wrong PIN. {_ksh(amount)} was not paid to {business}."


def _ksh(amount: int) -> str:
    return f"Ksh{amount:,}.00"


def _on(moment: datetime) -> str:
    local = moment.astimezone(NAIROBI)
    day = f"{local.day}/{local.month}/{local:%y}"
    return f"on {day} at {local.hour % 12 or 12}:{local:%M %p}"

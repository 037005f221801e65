"""The merchants behind short codes: the simulator's own, and somebody else's."""

import re
from dataclasses import dataclass

from mpesa.simulator.validation import PAYBILL, SHORTCODE, STORE, STORE_TILL, TILL

# The sandbox gives C2B short codes of this form to its test apps.
_SANDBOX_SHORTCODE = r"600[0-9]{3}"

# A pattern of the numbers that payers may find ours by; JavaScript reads it too.
OWN_NUMBERS = f"{SHORTCODE}|{STORE}|{STORE_TILL}|{_SANDBOX_SHORTCODE}"

SOMEBODY_ELSE = "Duka Jingine"


@dataclass(frozen=True)
class Payee:
    """Whom a number pays.

    Attributes:
        number: the one that is paid: a PayBill's or a till's.
        shortcode: the organisation whose accounts get the money; a till's is its store.
        kind: PAYBILL or TILL.
        is_ours: the simulator keeps the books of that organisation.
    """

    number: str
    shortcode: str
    kind: str
    is_ours: bool = True


def organisation_of(number: str) -> str | None:
    """Find the short code of the organisation behind a number; None where it is not one of ours."""
    if number in (STORE, STORE_TILL):
        return STORE
    return number if re.fullmatch(OWN_NUMBERS, number) else None


def payee_of(number: str, account: str) -> Payee:
    """Find whom a payment by hand pays.

    Args:
        account: what the payer typed as account; empty where the menu *Buy Goods* asked for none.
    """
    shortcode = organisation_of(number)
    return Payee(number, shortcode or number, PAYBILL if account else TILL, shortcode is not None)

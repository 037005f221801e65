"""Money sent by hand: what a payer types into *Lipa na M-PESA*, and why it may be declined."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mpesa.simulator.fields import PARTY
from mpesa.simulator.merchants import Payee, payee_of
from mpesa.simulator.script import MSISDN
from mpesa.simulator.validation import PAYBILL, SHORTCODE, STORE_TILL
from mpesa.simulator.wishes import InvalidField

_FIELDS = ("msisdn", "short_code", "account", "amount", "pin")
_LONGEST_ACCOUNT = 20  # Daraja docs, Customer To Business: BillRefNumber


@dataclass(frozen=True)
class HandPayment:
    """One payment as it was typed.

    Attributes:
        amount: whole KES.
        account: empty at a till.
        pin: None: nobody has to type one.
    """

    msisdn: str
    payee: Payee
    account: str
    amount: int
    pin: str | None = None


class Declined(Exception):
    """A payment by hand that moved nothing; the text says why to its payer.

    Attributes:
        code: a word for it.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def read(body: Mapping[str, object]) -> HandPayment:
    """Read a payment from a JSON object.

    Raises:
        InvalidField: a field that the phone would not let pass.
    """
    for name in body:
        if name not in _FIELDS:
            raise InvalidField(name, f"is not a field; there are {', '.join(_FIELDS)}")
    account, amount, pin = body.get("account") or "", body.get("amount"), body.get("pin")
    if not isinstance(account, str) or len(account.strip()) > _LONGEST_ACCOUNT:
        raise InvalidField("account", f"must be a string of up to {_LONGEST_ACCOUNT} characters")
    if type(amount) is not int or amount < 1:
        raise InvalidField("amount", "must be a whole number of KES, at least 1")
    if pin is not None and not (isinstance(pin, str) and re.fullmatch(r"[0-9]{4}", pin)):
        raise InvalidField("pin", 'must be a string of four digits, like "1234"')
    payee = payee_of(_matching(body, "short_code", PARTY, SHORTCODE), account.strip())
    if payee.number == SHORTCODE and payee.kind != PAYBILL:
        raise InvalidField("account", f"must not be empty: {SHORTCODE} is a PayBill")
    if payee.number == STORE_TILL and payee.kind == PAYBILL:
        raise InvalidField("account", f"must be empty: {STORE_TILL} is a till")
    msisdn = _matching(body, "msisdn", MSISDN.pattern, "254712345678")
    return HandPayment(msisdn, payee, account.strip(), amount, pin)


def _matching(body: Mapping[str, object], name: str, pattern: str, example: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InvalidField(name, f'must be a string like "{example}"')
    return value

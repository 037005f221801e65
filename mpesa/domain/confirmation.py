"""Read a confirmation, which Safaricom posts for each payment (Daraja docs, Customer To Business).

It carries no signature, and its address stands in settings for years: what it claims is evidence,
and `matching` decides how much of it is believed.
"""

import re

from mpesa.domain.callback import parse_receipt
from mpesa.domain.money import cents_told
from mpesa.domain.told import Told
from mpesa.domain.untrusted_json import Unreadable, read_json, read_text
from mpesa.domain.wire_words import first_word, read_nairobi_time, read_payer

# "BillRefNumber: up to 20 characters"; a longer one is kept, cut, and names no order of ours.
LONGEST_ACCOUNT = 64
_SHORT_CODE = re.compile(r"[0-9]{1,12}")

# The one field of the confirmation with which `flask doctor` tries the registered address.
TEST_FIELD = "flask doctor"
_LONGEST_TEST = 100


class UnreadableConfirmation(Unreadable):
    """The body cannot be understood as a confirmation; the message says why."""


def parse_confirmation(body: bytes) -> Told:
    """Read the body of a confirmation of version 1 or 2; texts may be numbers, and names missing.

    Args:
        body: the raw bytes of the POST.

    Returns:
        Its claims. Version 1 tells the payer's number as a hash, version 2 masked. What may be
        missing or odd (account, payer, name, time) is then not told.

    Raises:
        UnreadableConfirmation: the body is no JSON object, or has no receipt number or no positive
            amount to the cent, or names what was paid by something that is no short code.
    """
    try:
        fields = read_json(body)
    except Unreadable as why:
        raise UnreadableConfirmation(str(why)) from None
    if not isinstance(fields, dict):
        raise UnreadableConfirmation("no object")
    receipt = parse_receipt(fields.get("TransID"))
    if receipt is None:
        raise UnreadableConfirmation("no TransID")
    amount = cents_told(fields.get("TransAmount"))
    if amount is None:
        raise UnreadableConfirmation("no TransAmount")
    return Told(
        receipt=receipt,
        amount=amount,
        short_code=_short_code(fields.get("BusinessShortCode")),
        account=read_account(fields, "BillRefNumber"),
        payer=read_payer(fields.get("MSISDN")),
        name=first_word(fields.get("FirstName")),
        paid_at=read_nairobi_time(fields.get("TransTime")),
    )


def nonce_of_test(body: bytes) -> str | None:
    """The nonce of the doctor's test confirmation, which has no other field: it can be no money.

    Returns:
        None for everything else.
    """
    try:
        fields = read_json(body) if len(body) < _LONGEST_TEST else None
    except Unreadable:
        return None
    if not isinstance(fields, dict) or list(fields) != [TEST_FIELD]:
        return None
    nonce = fields[TEST_FIELD]
    return nonce if isinstance(nonce, str) else None


def read_account(fields: dict[str, object], key: str) -> str | None:
    """Read what the payer typed as account: `""` where it is told as empty or null, as tills' is.

    Returns:
        None where there is no such field, or it holds what is neither text nor number.
    """
    value = fields.get(key, False)
    return "" if value is None else read_text(value, LONGEST_ACCOUNT)


def _short_code(value: object) -> str | None:
    text = read_text(value, longest=64)
    if value is None or text == "":
        return None
    if text is None or not _SHORT_CODE.fullmatch(text):
        # "Not told" would let it pass for one of ours.
        raise UnreadableConfirmation("BusinessShortCode of an unknown form")
    return text

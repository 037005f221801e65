"""Kenyan mobile numbers: what a shopper types, what Daraja wants, what a page may show."""

import re

import phonenumbers
from phonenumbers import PhoneNumberType

# Latin digits and the marks that people put between them. `\d` would let other scripts' digits in.
_TYPED = re.compile(r"\+?[0-9][0-9 ().\-]{6,22}")
_MOBILE = {PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE}


class InvalidPhone(ValueError):
    """What was typed is not a Kenyan mobile number."""


def parse_msisdn(typed: str) -> str:
    """Turn what a shopper typed into an MSISDN as Daraja takes it.

    Args:
        typed: `07…`, `01…`, `7…`, `+254…` or `254…`, spaces and dashes allowed.

    Returns:
        Twelve digits, `2547XXXXXXXX` or `2541XXXXXXXX`.

    Raises:
        InvalidPhone: anything else.
    """
    text = typed.strip()
    if not _TYPED.fullmatch(text):
        raise InvalidPhone("not a phone number")
    if text.startswith("254"):
        text = "+" + text
    try:
        number = phonenumbers.parse(text, "KE")
    except phonenumbers.NumberParseException:
        raise InvalidPhone("not a phone number") from None
    if number.country_code != 254 or not phonenumbers.is_valid_number(number):
        raise InvalidPhone("not a Kenyan number")
    if phonenumbers.number_type(number) not in _MOBILE:
        raise InvalidPhone("not a mobile number")
    return f"254{number.national_number}"


def mask_msisdn(msisdn: str) -> str:
    """The number as a page may show it: `254712345678` becomes `0712•••678`."""
    national = "0" + msisdn.removeprefix("254")
    return f"{national[:4]}•••{national[-3:]}"

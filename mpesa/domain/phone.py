"""Kenyan mobile numbers: what a shopper types, what Daraja wants, what a page may show.

The page reads numbers by the same grammar (`static/checkout/phone_number.js`); both are tested with
`tests/cases/phones.json`. No numbering table is asked: ranges are issued after a release, numbers
are ported, and Daraja knows which line has M-PESA.
"""

import re
import unicodedata

from mpesa.domain.people_text import SEPARATORS

# What is no part of a number however it is written: marks that nobody sees, accents and variation
# selectors, every blank, dash and bracket. By category, since no list of them would ever be whole.
_BESIDE = {"Cf", "Mn", "Me", "Zs", "Zl", "Zp", "Pd", "Ps", "Pe"}
# Abroad one dials 00, and Kenya's own way out is 000. `[0-9]`: `\d` takes other scripts' digits.
_CALLED = re.compile(r"(?:tel:)?(?:(?:\+|000?)?2540?|0?)(?P<line>[17][0-9]*)", re.IGNORECASE)
_BEGUN = re.compile(r"(?:tel:)?(?:\+|0{0,3})(?:2|25|2540?)?", re.IGNORECASE)
_LINE_DIGITS = 9


class InvalidPhone(ValueError):
    """What was typed is not a Kenyan mobile number."""


class NoPhone(InvalidPhone):
    """Nothing was typed."""


class PhoneTooShort(InvalidPhone):
    """It begins like a Kenyan mobile number, and digits are missing."""


class PhoneTooLong(InvalidPhone):
    """It begins like a Kenyan mobile number, and has more digits than one."""


def parse_msisdn(typed: str) -> str:
    """Turn what a shopper typed or pasted into an MSISDN as Daraja takes it.

    Args:
        typed: `07…`, `01…`, `7…`, `254…`, also with `+`, `00`, `000` or `tel:` in front and with a
            0 after the country code; with whatever blanks, dashes, brackets and dots.

    Returns:
        Twelve digits, `2547XXXXXXXX` or `2541XXXXXXXX`.

    Raises:
        NoPhone, PhoneTooShort, PhoneTooLong: what is wrong is known.
        InvalidPhone: anything else.
    """
    written = "".join(filter(_belongs, unicodedata.normalize("NFKC", typed)))
    if not written:
        raise NoPhone("nothing was typed")
    called = _CALLED.fullmatch(written)
    line = called["line"] if called else ""
    if _BEGUN.fullmatch(written) or 0 < len(line) < _LINE_DIGITS:
        raise PhoneTooShort("digits are missing")
    if len(line) > _LINE_DIGITS:
        raise PhoneTooLong("more digits than a number has")
    if not line:
        raise InvalidPhone("not a Kenyan mobile number")
    return f"254{line}"


def _belongs(character: str) -> bool:
    return character not in SEPARATORS and unicodedata.category(character) not in _BESIDE


def mask_msisdn(msisdn: str) -> str:
    """The number as a page may show it: `254712345678` becomes `0712•••678`."""
    national = "0" + msisdn.removeprefix("254")
    return f"{national[:4]}•••{national[-3:]}"

"""Kenyan mobile numbers: as a shopper types them, as Daraja wants them, as a page may show them.

The page reads numbers by the same grammar (`static/checkout/phone_number.js`); both are tested with
`tests/cases/phones.json`. No table of ranges decides whether a number is taken: some are issued
after a release, numbers are ported, and Daraja knows which line has M-PESA. A number that begins
like another network's is only remarked upon.
"""

import re
import unicodedata

from mpesa.domain.people_text import SEPARATORS

# Categories of characters that are no part of a number: invisible marks, accents and variation
# selectors, every blank, dash and bracket. No list of single characters would ever be complete.
_BESIDE = {"Cf", "Mn", "Me", "Zs", "Zl", "Zp", "Pd", "Ps", "Pe"}
# Most countries dial 00 for abroad, and Kenya 000. `[0-9]`: `\d` takes other scripts' digits.
_CALLED = re.compile(r"(?:tel:)?(?:(?:\+|000?)?2540?|0?)(?P<line>[17][0-9]*)", re.IGNORECASE)
_BEGUN = re.compile(r"(?:tel:)?(?:\+|0{0,3})(?:2|25|2540?)?", re.IGNORECASE)
_LINE_DIGITS = 9
# Where another network's numbers begin, after the 0, as the page's script has it too
# (`static/checkout/phone_number.js`); both are tested with `tests/cases/networks.json`.
_NETWORKS = {
    "airtel": re.compile("73|75[0-6]|76[027]|78|10[0-8]|13[5-9]"),
    "telkom": re.compile("77|761|120"),
}


class InvalidPhone(ValueError):
    """The text is not a Kenyan mobile number."""


class NoPhone(InvalidPhone):
    """Nothing was typed."""


class PhoneTooShort(InvalidPhone):
    """The text begins like a Kenyan mobile number, and digits are missing."""


class PhoneTooLong(InvalidPhone):
    """The text begins like a Kenyan mobile number, and has too many digits."""


def parse_msisdn(typed: str) -> str:
    """Read a number that a shopper typed or pasted, as Daraja takes it.

    Args:
        typed: `07…`, `01…`, `7…`, `254…`, also with `+`, `00`, `000` or `tel:` in front and with a
            0 after the country code; with any blanks, dashes, brackets and dots.

    Returns:
        Twelve digits, `2547XXXXXXXX` or `2541XXXXXXXX`.

    Raises:
        NoPhone: nothing was typed.
        PhoneTooShort: digits are missing.
        PhoneTooLong: there are too many digits.
        InvalidPhone: the text is no Kenyan mobile number for another reason.
    """
    written = "".join(
        each
        for each in unicodedata.normalize("NFKC", typed)
        if each not in SEPARATORS and unicodedata.category(each) not in _BESIDE
    )
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


def mask_msisdn(msisdn: str) -> str:
    """Write a number as a page may show it: `254712345678` becomes `0712•••678`."""
    national = "0" + msisdn.removeprefix("254")
    return f"{national[:4]}•••{national[-3:]}"


def other_network(phone: str) -> str | None:
    """Whose number it looks like from its beginning: `airtel` or `telkom`.

    Args:
        phone: as people write it, also masked: `0733•••456`.

    Returns:
        None for Safaricom's numbers and for those of an unknown network.
    """
    line = phone.removeprefix("0")
    return next((name for name, begins in _NETWORKS.items() if begins.match(line)), None)

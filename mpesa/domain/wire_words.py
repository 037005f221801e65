"""Words that several of Daraja's bodies share: a payer's number, their name, a time of day.

Daraja writes each of them in several forms; a form that is not known tells nothing, since money
must not go unseen because of a name.
"""

import re
from datetime import UTC, datetime, timedelta, timezone

from mpesa.domain.people_text import read_line
from mpesa.domain.phone import InvalidPhone, parse_msisdn
from mpesa.domain.told import Payer
from mpesa.domain.untrusted_json import read_text

# Kenya has kept UTC+3 all year since 1960, so no time zone database is needed.
NAIROBI = timezone(timedelta(hours=3), "EAT")
# M-PESA began in March 2007. The end keeps every sum with such a time within datetime's years.
_FIRST_YEAR, _LAST_YEAR = 2007, 9000

# `[0-9]`: `\d` takes other scripts' digits, and so does `parse_msisdn`.
_WHOLE = re.compile(r"\+?[0-9]{9,13}")
_MASKED = re.compile(r"[0-9]+\*+[0-9]+")
_LONGEST_MASKED = 16
_HASHED = re.compile(r"[0-9a-f]{64}")
_LONGEST_NAME = 40

# "20261001101507", and in B2C's results "01.10.2026 10:15:07" (Daraja docs, B2C).
_FORMS_OF_TIME = {
    "%Y%m%d%H%M%S": re.compile(r"[0-9]{14}"),
    "%d.%m.%Y %H:%M:%S": re.compile(r"([0-9]{2}\.){2}[0-9]{4} ([0-9]{2}:){2}[0-9]{2}"),
}


def read_payer(value: object) -> Payer:
    """Read a payer's number: whole, masked with blanks ("2547 ***** 149"), or as its SHA-256.

    (Daraja docs, Customer To Business; v1 tells the hash, v2 the mask.)

    Args:
        value: any value from JSON; a number too.

    Returns:
        A Payer of whom nothing is known where the value tells nothing.
    """
    text = "".join((read_text(value, longest=80) or "").split())
    if _WHOLE.fullmatch(text):
        try:
            return Payer(msisdn=parse_msisdn(text))
        except InvalidPhone:
            return Payer()
    if _MASKED.fullmatch(text) and len(text) <= _LONGEST_MASKED:
        return Payer(masked=text)
    if _HASHED.fullmatch(text.lower()):
        return Payer(hashed=text.lower())
    return Payer()


def first_word(value: object) -> str | None:
    """Read the first word of a name; the rest is nobody's business here.

    Returns:
        At most 40 characters; None where the value is no name.
    """
    words = value.split(maxsplit=1) if isinstance(value, str) else []
    return read_line(words[0][:_LONGEST_NAME], _LONGEST_NAME) if words else None


def read_nairobi_time(value: object) -> datetime | None:
    """Read a time of Nairobi, `20261001101507` as number or text, or `01.10.2026 10:15:07`.

    Returns:
        Aware UTC; None where the value is no time since M-PESA began.
    """
    text = read_text(value, longest=32) or ""
    for directives, form in _FORMS_OF_TIME.items():
        if form.fullmatch(text):
            return nairobi_time(text, directives)
    return None


def nairobi_time(text: str, directives: str) -> datetime | None:
    """Read a time of Nairobi in the form of `strptime`'s directives, as aware UTC.

    Args:
        text: of digits, and of the signs between them, in just that form: `strptime` alone would
            take other scripts' digits too.

    Returns:
        None where there is no such time, or it lies before M-PESA began.
    """
    try:
        local = datetime.strptime(text, directives).replace(tzinfo=NAIROBI)
    except ValueError:
        return None
    return local.astimezone(UTC) if _FIRST_YEAR <= local.year <= _LAST_YEAR else None

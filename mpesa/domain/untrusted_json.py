"""Read JSON that a stranger may have written: nothing in it is guessed, and no number is rounded.

All that is posted to us or fetched from Daraja goes through here (`callback`, `confirmation`,
`results`, `pull_rows`), so that one body never means two things.
"""

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from mpesa.domain.people_text import is_sound

# Daraja sends integers for its own codes and strings for the core's ("SFC_IC0003", "E3008").
_CODE = re.compile(r"-?[A-Za-z0-9_.]{1,32}")
_LARGEST_CODE = 10**12
# A number with more places than this before its point is no number of Daraja's.
_MOST_DIGITS = 30


class Unreadable(ValueError):
    """The body cannot be understood; the message says why, and repeats nothing of it."""


def read_json(body: bytes) -> Any:
    """Read one JSON document; its broken numbers are exact.

    Args:
        body: raw bytes; a byte order mark in front is no fault (RFC 8259, 8.1).

    Returns:
        Objects as dicts; numbers without point and exponent as ints, all others as Decimals.

    Raises:
        Unreadable: the body is no JSON in UTF-8, has a key twice in one object, of which parsers
            choose different ones, or has a number that JSON does not have or nothing can hold.
    """
    try:
        return json.loads(body.decode("utf-8-sig"), **STRICT)
    except Unreadable:
        raise
    except (ValueError, RecursionError):
        raise Unreadable("not JSON") from None


def read_code(value: object) -> str:
    """Read a result code as text; `0`, `0.0` and `"0"` are one code, `False` and `""` are none.

    Raises:
        Unreadable: the value is no code; a missing one is never 0.
    """
    # Compared, since arithmetic on an absurd exponent overflows.
    if isinstance(value, Decimal) and -_LARGEST_CODE <= value <= _LARGEST_CODE:
        value = int(value) if value == value.to_integral_value() else None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Unreadable("no ResultCode")
    if isinstance(value, int) and abs(value) > _LARGEST_CODE:
        raise Unreadable("ResultCode out of range")
    text = str(value).strip()
    if not _CODE.fullmatch(text):
        raise Unreadable("ResultCode of an unknown form")
    return text


def read_text(value: object, longest: int) -> str | None:
    """Read what Daraja writes as a text or as a number, trimmed and cut.

    Characters that no database takes, halves of UTF-16 pairs and control characters, become U+FFFD:
    money must not go unseen because of one.

    Args:
        value: any value from `read_json`.
        longest: the most characters that are kept.

    Returns:
        None where the value is neither a text nor a number, or an absurd number.
    """
    if isinstance(value, Decimal):
        if value.adjusted() >= _MOST_DIGITS:
            return None
        # As Daraja would write it in a text: `20261001101507.0` has no point there.
        value = int(value) if value == value.to_integral_value() else str(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    if isinstance(value, int):
        return str(value) if abs(value) < 10**_MOST_DIGITS else None
    text = value.strip()[:longest]
    return "".join(each if is_sound(each) else "\N{REPLACEMENT CHARACTER}" for each in text)


def _refuse(constant: str) -> NoReturn:
    raise Unreadable(f"{constant} is not JSON")


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Unreadable("a number that nothing can hold") from None


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Unreadable("a key stands twice")
    return members


# What makes Python's own reader strict; for a JSONDecoder as well.
STRICT: dict[str, Any] = {
    "parse_constant": _refuse,
    "parse_float": _exact,
    "object_pairs_hook": _unique_pairs,
}

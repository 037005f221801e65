"""Identifiers in the shapes that Daraja gives them today."""

from datetime import datetime, timedelta, timezone
from random import Random
from string import ascii_letters, ascii_lowercase, ascii_uppercase, digits, hexdigits

# Kenya has no daylight saving time, so a fixed offset needs no time zone database.
NAIROBI = timezone(timedelta(hours=3), "EAT")

_HEX = hexdigits[:16]
_DAYS = digits[1:] + ascii_uppercase
# Receipts of 2024 begin with S, of 2025 with T, of 2026 with U.
_FIRST_YEAR = 2006


def checkout_request_id(now: datetime, msisdn: str) -> str:
    """Make `ws_CO_`, the Nairobi time of `now` to the millisecond, and the number without 254."""
    local = now.astimezone(NAIROBI)
    return f"ws_CO_{local:%d%m%Y%H%M%S}{local.microsecond // 1000:03d}{msisdn[-9:]}"


def merchant_request_id(chance: Random) -> str:
    """Make four groups of hex digits and a decimal tail, like a MerchantRequestID."""
    groups = "-".join(_drawn(chance, _HEX, 4) for _ in range(3))
    return f"{groups}-{_drawn(chance, _HEX, 12)}{chance.randrange(1000, 10_000)}"


def conversation_id(now: datetime, chance: Random) -> str:
    """Make `AG_`, the day in Nairobi, and 20 lower-case letters and digits, as in 2026."""
    return f"AG_{now.astimezone(NAIROBI):%Y%m%d}_{_drawn(chance, ascii_lowercase + digits, 20)}"


def placeholder_receipt(now: datetime) -> str:
    """Make what stands for a receipt where none was made: the day's letters and zeros."""
    return _letters_of(now) + "0" * 7


def receipt_number(now: datetime, chance: Random) -> str:
    """Make ten upper-case letters and digits: year, month and day of Nairobi, then chance."""
    return _letters_of(now) + _drawn(chance, ascii_uppercase + digits, 7)


def access_token(chance: Random) -> str:
    """Make 28 letters and digits, the length of Daraja's tokens."""
    return _drawn(chance, ascii_letters + digits, 28)


def _letters_of(now: datetime) -> str:
    local = now.astimezone(NAIROBI)
    year = ascii_uppercase[(local.year - _FIRST_YEAR) % 26]
    return year + ascii_uppercase[local.month - 1] + _DAYS[local.day - 1]


def _drawn(chance: Random, alphabet: str, length: int) -> str:
    return "".join(chance.choices(alphabet, k=length))

"""Pay codes: the account numbers that people type who pay an order by hand.

Nine digits, the last of them a check digit after Damm (H. M. Damm, "Total anti-symmetrische
Quasigruppen", 2004), which finds every single wrong digit and every swap of two neighbours. The
first digit is none with which a Kenyan phone number or a country code begins.
"""

import re
from collections.abc import Callable

FIRST_DIGITS = "2345689"
LENGTH = 9
_FORM = re.compile(f"[{FIRST_DIGITS}][0-9]{{8}}")
# A totally anti-symmetric quasigroup of order ten with zeros on its diagonal (Damm, 2004).
_TABLE = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)


def draw(below: Callable[[int], int]) -> str:
    """Draw a pay code.

    Args:
        below: returns a random number from 0 to one less than its argument.
    """
    digits = FIRST_DIGITS[below(len(FIRST_DIGITS))] + f"{below(10**7):07d}"
    return digits + _check_digit(digits)


def is_pay_code(text: str) -> bool:
    """Whether a text is nine digits that a pay code can have."""
    return _FORM.fullmatch(text) is not None and _check_digit(text) == "0"


def grouped(code: str) -> str:
    """Write a pay code as people read it: `234 567 890`."""
    return f"{code[:3]} {code[3:6]} {code[6:]}"


def near(typed: str) -> list[str]:
    """The pay codes that differ from a text of nine digits by one digit, or one swap."""
    found = set()
    for place, digit in enumerate(typed):
        for other in "0123456789":
            found.add(typed[:place] + other + typed[place + 1 :])
        if place + 1 < len(typed):
            found.add(typed[:place] + typed[place + 1] + digit + typed[place + 2 :])
    return sorted(each for each in found - {typed} if is_pay_code(each))


def _check_digit(digits: str) -> str:
    """The digit that ends a code of these digits; `0` for a code with its own check digit."""
    interim = "0"
    for digit in digits:
        interim = _TABLE[int(interim)][int(digit)]
    return interim

"""M-PESA's receipt number in what people type or paste; `callback` reads Daraja's own."""

import re
import unicodedata

from mpesa.domain.people_text import SEPARATORS

_RECEIPT = re.compile(r"[A-Z0-9]{10}")
# In a message the receipt is the first word of its form: "UKO1ABCDEF Confirmed. Ksh150.00 sent to".
# A digit tells it from words of ten letters.
_WORD = re.compile(r"(?<![A-Z0-9])(?=[A-Z]*[0-9])[A-Z0-9]{10}(?![A-Z0-9])")
# Blanks and hyphens that people put between its groups, beside the separators.
_BETWEEN = {"Zs", "Zl", "Zp", "Pd"}


def find_receipt(typed: object) -> str | None:
    """The receipt in what somebody typed or pasted: the code alone, or the whole SMS.

    Args:
        typed: any text; small letters, full-width ones and invisible marks do no harm.

    Returns:
        Ten upper-case letters and digits; None where there is none.
    """
    if not isinstance(typed, str):
        return None
    seen = (
        each for each in unicodedata.normalize("NFKC", typed) if unicodedata.category(each) != "Cf"
    )
    text = "".join(seen).upper()
    word = _WORD.search(text)
    if word:
        return word[0]
    closed_up = "".join(each for each in text if not _is_between(each))
    return closed_up if _RECEIPT.fullmatch(closed_up) else None


def _is_between(character: str) -> bool:
    return character in SEPARATORS or unicodedata.category(character) in _BETWEEN

"""M-PESA's receipt number in texts that people type or paste; `callback` reads Daraja's own."""

import re
import unicodedata

from mpesa.domain.people_text import SEPARATORS

_RECEIPT = re.compile(r"[A-Z0-9]{10}")
# In a message the receipt is the first word of its form: "UKO1ABCDEF Confirmed. Ksh150.00 sent to".
# A digit tells it from words of ten letters.
_WORD = re.compile(r"(?<![A-Z0-9])(?=[A-Z]*[0-9])[A-Z0-9]{10}(?![A-Z0-9])")
# Categories of blanks and hyphens that people put between groups, beside the separators.
_BETWEEN = {"Zs", "Zl", "Zp", "Pd"}


def find_receipt(typed: object) -> str | None:
    """Find the receipt in a text that a person typed or pasted: the code alone, or the whole SMS.

    Args:
        typed: any text; small letters, full-width ones and invisible marks do no harm.

    Returns:
        Ten upper-case letters and digits; None where there is none.
    """
    if not isinstance(typed, str):
        return None
    visible = (
        each for each in unicodedata.normalize("NFKC", typed) if unicodedata.category(each) != "Cf"
    )
    text = "".join(visible).upper()
    word = _WORD.search(text)
    if word:
        return word[0]
    closed_up = "".join(
        each
        for each in text
        if each not in SEPARATORS and unicodedata.category(each) not in _BETWEEN
    )
    return closed_up if _RECEIPT.fullmatch(closed_up) else None

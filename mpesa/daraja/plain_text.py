"""The two texts that a shopper sees in the prompt, made to fit Daraja's fields."""

import re
import unicodedata

# "Maximum of 12 characters" and "maximum of 13 characters" (Daraja docs, M-PESA Express).
_REFERENCE = re.compile(r"[A-Za-z0-9._/-]{1,12}")
_DESCRIPTION_LENGTH = 13
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")

# The docs call TransactionDesc optional, yet leaving it out gets "Invalid Remarks".
_NO_DESCRIPTION = "Payment"


def account_reference(reference: str) -> str:
    """`AccountReference`: the order's reference as it is, never shortened or changed.

    Raises:
        ValueError: it is not 1 to 12 of `A-Z a-z 0-9 . _ / -`.
    """
    if not _REFERENCE.fullmatch(reference):
        raise ValueError("a reference is 1 to 12 of A-Z, a-z, 0-9, '.', '_', '/' and '-'")
    return reference


def transaction_desc(description: str) -> str:
    """`TransactionDesc`: 1 to 13 ASCII letters, digits and single inner spaces.

    Accents are dropped ("café" is "cafe"), every run of anything else but letters and digits
    becomes one space, what is longer than 13 is cut, the ends are trimmed. "Payment" where
    nothing is left.
    """
    folded = unicodedata.normalize("NFKD", description).encode("ascii", "ignore").decode("ascii")
    plain = _NOT_PLAIN.sub(" ", folded).strip()
    return plain[:_DESCRIPTION_LENGTH].strip() or _NO_DESCRIPTION

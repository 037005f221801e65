"""The description of what is paid for, made to fit Daraja's field."""

import re
import unicodedata

# "Maximum of 13 characters" (Daraja docs, M-PESA Express).
_DESCRIPTION_LENGTH = 13
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9]+")

# The docs call TransactionDesc optional, yet leaving it out gets "Invalid Remarks".
_NO_DESCRIPTION = "Payment"


def transaction_desc(description: str) -> str:
    """Make `TransactionDesc`: 1 to 13 ASCII letters, digits and single inner spaces.

    Accents are dropped ("café" becomes "cafe"), every run of other characters becomes one space,
    the text is cut after 13 characters, and its ends are trimmed. It is "Payment" where nothing is
    left.
    """
    folded = unicodedata.normalize("NFKD", description).encode("ascii", "ignore").decode("ascii")
    plain = _NOT_PLAIN.sub(" ", folded).strip()
    return plain[:_DESCRIPTION_LENGTH].strip() or _NO_DESCRIPTION

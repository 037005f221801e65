"""A merchant's reference of an order, and the part of it that the payer's prompt shows."""

import re
from typing import TypeGuard

# "Maximum of 12 characters" (Daraja docs, M-PESA Express, AccountReference).
_SHOWN = 12
_REFERENCE = re.compile(r"[A-Za-z0-9._/-]{1,64}")


def is_reference(value: object) -> TypeGuard[str]:
    """Whether a value is a text of 1 to 64 of `A-Z a-z 0-9 . _ / -`."""
    return isinstance(value, str) and _REFERENCE.fullmatch(value) is not None


def account_reference(reference: str) -> str:
    """The part of a reference that Daraja takes: its last 12 characters, in which orders differ.

    Raises:
        ValueError: the text is no reference.
    """
    if not is_reference(reference):
        raise ValueError("a reference is 1 to 64 of A-Z, a-z, 0-9, '.', '_', '/' and '-'")
    return reference[-_SHOWN:]

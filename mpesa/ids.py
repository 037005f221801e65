"""Ids that cannot be guessed, and callback tokens that are stored as hashes only."""

import hashlib
import re
import secrets

# 16 bytes are the 128 bits below which an id could be guessed (OWASP ASVS 5.0, 7.2.3).
_RANDOM_BYTES = 16
_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


def new_id() -> str:
    """Make a URL-safe id with 128 random bits, for orders and transactions."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def is_id(value: object) -> bool:
    """Whether a value has the form of our ids; only such a value is looked up in the database."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def new_callback_token() -> str:
    """Make a secret path segment for the callback address: 256 bits, in lower-case hexadecimal.

    Daraja refuses addresses that contain words like `sql` or `cmd`, which random letters can spell
    and hexadecimal digits cannot.
    """
    return secrets.token_hex(2 * _RANDOM_BYTES)


def hash_token(token: str) -> str:
    """The hash under which a token is stored and looked up: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()

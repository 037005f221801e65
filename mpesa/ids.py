"""Ids that nobody can guess, and callback tokens that are stored as hashes only."""

import hashlib
import re
import secrets

# 16 bytes are the 128 bits below which an id could be guessed (OWASP ASVS 5.0, 7.2.3).
_RANDOM_BYTES = 16
_ID = re.compile(r"[A-Za-z0-9_-]{16,64}")


def new_id() -> str:
    """A URL-safe id with 128 random bits, for orders and transactions."""
    return secrets.token_urlsafe(_RANDOM_BYTES)


def is_id(value: object) -> bool:
    """Whether it has the form of our ids; nothing else is worth a look in the database."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def new_callback_token() -> str:
    """A secret path segment for the callback address, 256 bits in lower-case hexadecimal.

    Hexadecimal, since Daraja refuses addresses with words like `sql` or `cmd` in them, which
    random letters can spell.
    """
    return secrets.token_hex(2 * _RANDOM_BYTES)


def hash_token(token: str) -> str:
    """What is stored of a token, and looked up by: its SHA-256 in hexadecimal."""
    return hashlib.sha256(token.encode()).hexdigest()

"""Texts for addresses that nobody may read in a proxy's log."""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def seal(text: str, secret_key: str) -> str:
    """Encrypt a text, in characters that need no quoting in an address.

    Args:
        secret_key: SECRET_KEY.
    """
    return _lock(secret_key).encrypt(text.encode()).decode().rstrip("=")


def unseal(sealed: str, secret_key: str) -> str | None:
    """Decrypt what `seal` made; None for anything else, or under another key."""
    try:
        padded = sealed.encode("ascii") + b"=" * (-len(sealed) % 4)
        return _lock(secret_key).decrypt(padded).decode()
    except (InvalidToken, ValueError):
        return None


def _lock(secret_key: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"what operators search for")
    return Fernet(base64.urlsafe_b64encode(derived.derive(secret_key.encode())))

"""How a server shows `flask doctor` that it is the one that was meant."""

import hmac
import re

_NONCE = re.compile(r"[0-9a-f]{32}")
# What is signed with SECRET_KEY elsewhere never begins like this.
_PURPOSE = "healthz:"


def of(secret_key: str, nonce: str) -> str | None:
    """What only a server with this SECRET_KEY can answer; None for anything but 32 hex digits."""
    if not _NONCE.fullmatch(nonce):
        return None
    return hmac.digest(secret_key.encode(), f"{_PURPOSE}{nonce}".encode(), "sha256").hex()

"""Proofs for `flask doctor`: only a server with its SECRET_KEY can give them."""

import hmac
import re
from enum import StrEnum

_NONCE = re.compile(r"[0-9a-f]{32}")


class Purpose(StrEnum):
    """What a proof is for: nothing else that is signed with SECRET_KEY begins with these."""

    HEALTHZ = "healthz:"
    CONFIRMATION = "confirmation:"


def proof(secret_key: str, nonce: str, purpose: Purpose = Purpose.HEALTHZ) -> str | None:
    """The answer to a nonce that only a server with this SECRET_KEY can give.

    None if the nonce is not 32 hexadecimal digits.
    """
    if not _NONCE.fullmatch(nonce):
        return None
    return hmac.digest(secret_key.encode(), f"{purpose}{nonce}".encode(), "sha256").hex()

"""A second factor: the secret of an authenticator app, sealed, and the codes that it makes."""

import base64
import binascii
import hmac
import os
import re
from datetime import datetime

import pyotp
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# What authenticator apps take for granted: six digits, a new code every 30 s (RFC 6238, 5.2).
_STEP = 30
_CODE = re.compile(r"[0-9]{6}")
_NONCE = 12


def new_secret() -> str:
    """Make a secret of 160 random bits, in base32 as apps take it (RFC 4226, 4)."""
    return pyotp.random_base32()


def address(secret: str, name: str, issuer: str) -> str:
    """The address for an app's QR code.

    Args:
        name, issuer: what the app shows beside the code.
    """
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def step_of(secret: str, code: str, now: datetime) -> int | None:
    """The time step that a code belongs to.

    Args:
        code: as it was typed.
        now: aware.

    Returns:
        None where it is a code neither of the present step nor of the one before or after, by which
        a phone's clock may differ (RFC 6238, 5.2 and 6).
    """
    digits = "".join(code.split())
    if not _CODE.fullmatch(digits):
        digits = ""
    present, totp = int(now.timestamp()) // _STEP, pyotp.TOTP(secret)
    fitting = [
        step
        for step in (present - 1, present, present + 1)
        if hmac.compare_digest(totp.at(step * _STEP), digits)
    ]
    return fitting[0] if fitting else None


def seal(secret: str, name: str, secret_key: str) -> str:
    """Encrypt a secret, so that a copy of the database makes no codes.

    Args:
        name: the operator's; what is sealed for one opens for nobody else.
        secret_key: SECRET_KEY.
    """
    nonce = os.urandom(_NONCE)
    sealed = AESGCM(_key(secret_key)).encrypt(nonce, secret.encode(), name.encode())
    return base64.urlsafe_b64encode(nonce + sealed).decode()


def unseal(sealed: str, name: str, secret_key: str) -> str | None:
    """The secret again; None: it was sealed with another SECRET_KEY, or for another operator."""
    try:
        kept = base64.urlsafe_b64decode(sealed)
        opened = AESGCM(_key(secret_key)).decrypt(kept[:_NONCE], kept[_NONCE:], name.encode())
    except (InvalidTag, ValueError, binascii.Error):
        return None
    return opened.decode()


def _key(secret_key: str) -> bytes:
    derived = HKDF(SHA256(), length=32, salt=None, info=b"operators' second factors")
    return derived.derive(secret_key.encode())

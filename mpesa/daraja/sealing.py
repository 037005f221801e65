"""Seal an API user's password for Safaricom, who alone can open it: the SecurityCredential."""

import re
from base64 import b64encode

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

_BITS = 2048
# PKCS#1 v1.5 needs eleven bytes beside the message (RFC 8017, 7.2.1).
_LONGEST_PASSWORD = _BITS // 8 - 11
_PEM = b"-----BEGIN"
# Safaricom's pages name "# & % $" as the only signs that passwords may have, and advise against
# others (Daraja docs, Business To Customer).
_SAFE = re.compile(r"[A-Za-z0-9#&%$]+")


class CannotSeal(ValueError):
    """The certificate or the password is unfit; the message says why, and repeats neither."""


def seal(password: str, certificate: bytes) -> str:
    """Encrypt a password with the key in a certificate, by RSA with PKCS#1 v1.5 padding.

    (Daraja docs, Getting Started, "Security Credentials".) The result is another one each time, and
    each of them works as long as the password does.

    Args:
        password: the API user's, as it was set on the organisation portal.
        certificate: X.509, in PEM or DER. Its dates are not looked at, since the sandbox's right
            one expired long ago.

    Returns:
        344 characters of base64.

    Raises:
        CannotSeal: there is no certificate with an RSA key of 2,048 bits, or no usable password.
    """
    load = x509.load_pem_x509_certificate if _PEM in certificate else x509.load_der_x509_certificate
    try:
        key = load(certificate).public_key()
    except Exception:  # noqa: BLE001 - each kind of garbage raises an error of its own
        raise CannotSeal("the file is no X.509 certificate, in PEM or DER") from None
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size != _BITS:
        raise CannotSeal(f"the certificate's key is no RSA key of {_BITS} bits, as Safaricom's is")
    written = password.encode("utf-8", "surrogateescape")
    if not 0 < len(written) <= _LONGEST_PASSWORD:
        raise CannotSeal(f"a password has 1 to {_LONGEST_PASSWORD} bytes")
    return b64encode(key.encrypt(written, padding.PKCS1v15())).decode("ascii")


def is_doubtful(password: str) -> bool:
    """Whether a password has signs that Safaricom's pages forbid or advise against."""
    return _SAFE.fullmatch(password) is None

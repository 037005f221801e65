"""The key pair of M-PESA's API gateway, with which API users' passwords are sealed and opened.

It stands here for all to read, like the passkey: workers and restarts agree on it without a file,
and a credential that was sealed yesterday still opens. It guards nothing: the password is public.
"""

from base64 import b64decode
from binascii import Error as NotBase64
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

_P = int(
    "f4c3893a816f20a5305fc04181911ba31ab517bbd62c9cf125313014faf6a32d"
    "c42e1bca3111820aa7f87a22abec5558a48647fc6420e6bdd9d28a48fab599b1"
    "837e3271926b511446b898d043ee328531830db5082d6bfe1b8801337c81b9d5"
    "7cdf06bb75f9251d60f30ef4818f47fd927b004e822ba200215b091f0306712d",
    16,
)
_Q = int(
    "dea4f99108affe33910463a6d29560e34a50ae289ad185daab67022b6b5a344b"
    "9458fde21810cfaed1c58752dc40c64ed787462c856df004c866d4274c1df78e"
    "79100455acbec902dc7220adf3a7589efd18afa8d032c41e5431c99de60134ba"
    "27cf0f1f9a9af5580ed82aef046709dd0606ce71a9440dcee912b664d4c33a1f",
    16,
)
_E = 65_537


@cache
def private_key() -> rsa.RSAPrivateKey:
    """The private half: 2048 bits, as Safaricom's."""
    d = rsa.rsa_recover_private_exponent(_E, _P, _Q)
    return rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, _P),
        dmq1=rsa.rsa_crt_dmq1(d, _Q),
        iqmp=rsa.rsa_crt_iqmp(_P, _Q),
        public_numbers=rsa.RSAPublicNumbers(_E, _P * _Q),
    ).private_key(unsafe_skip_rsa_key_validation=True)  # a start need not wait for it


@cache
def certificate() -> bytes:
    """The public half as an X.509 certificate in PEM, the same one at each call.

    It has expired, as the one that Safaricom's sandbox hands out: clients take the key and leave
    the dates alone.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apicrypt.simulator.invalid")])
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private_key().public_key())
        .serial_number(1)
        .not_valid_before(datetime(2014, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2016, 1, 1, tzinfo=UTC))
    )
    return unsigned.sign(private_key(), SHA256()).public_bytes(Encoding.PEM)


def opened(credential: str) -> bytes | None:
    """Open a SecurityCredential.

    Returns:
        What was sealed in it; None where it is no base64, or was sealed for another key or with
        another padding than PKCS#1 v1.5 (for which newer versions of OpenSSL make up bytes).
    """
    try:
        sealed = b64decode(credential, validate=True)
        return private_key().decrypt(sealed, padding.PKCS1v15())
    except (NotBase64, ValueError):
        return None

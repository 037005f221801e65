"""Passwords are sealed so that the owner of the key alone can open them."""

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from mpesa.daraja import Initiators, NotSent
from mpesa.daraja.sealing import CannotSeal, is_doubtful, seal
from mpesa.simulator import keys
from tests.factories import make_settings

PASSWORD = "Safaricom999#"
DER = x509.load_pem_x509_certificate(keys.certificate()).public_bytes(Encoding.DER)


def certificate_of(key):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "apicrypt.example")])
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2014, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2016, 1, 1, tzinfo=UTC))
    )
    return unsigned.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("certificate", [keys.certificate(), DER], ids=["PEM", "DER"])
def test_what_is_sealed_can_be_opened_with_the_key_of_an_expired_certificate(certificate):
    credential = seal(PASSWORD, certificate)

    assert len(credential) == 344
    assert keys.opened(credential) == PASSWORD.encode()


def test_each_credential_is_another_one():
    assert seal(PASSWORD, DER) != seal(PASSWORD, DER)


@pytest.mark.parametrize(
    "certificate",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----",
        DER[:-1],
        b"<html>",
        certificate_of(rsa.generate_private_key(65537, 1024)),  # noqa: S505 - it is refused
        certificate_of(ec.generate_private_key(ec.SECP256R1())),
    ],
    ids=["nothing", "PEM of nothing", "a key", "cut", "a page", "1,024 bits", "another kind"],
)
def test_what_is_no_certificate_of_safaricoms_form_is_refused(certificate):
    with pytest.raises(CannotSeal) as refused:
        seal(PASSWORD, certificate)

    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize("password", ["", "x" * 246])
def test_a_password_of_another_length_is_refused(password):
    with pytest.raises(CannotSeal):
        seal(password, DER)

    assert len(base64.b64decode(seal("x" * 245, DER))) == 256


@pytest.mark.parametrize(
    ("password", "doubtful"),
    [("Abc123#&%$", False), ("a(b)", True), ("a@b.c", True), ("café", True), ("a b", True)],
)
def test_signs_that_safaricom_advises_against_are_known(password, doubtful):
    assert is_doubtful(password) is doubtful


# -- the two API users -------------------------------------------------------------------------


class Counted:
    """A certificate that counts how often it was fetched."""

    def __init__(self, certificate=DER):
        self.certificate = certificate
        self.count = 0

    def __call__(self):
        self.count += 1
        return self.certificate


def test_the_simulators_users_are_sealed_once_and_only_when_they_are_needed():
    fetched = Counted()
    initiators = Initiators(make_settings(), fetched)
    before = fetched.count

    asks, again, gives = initiators.status(), initiators.status(), initiators.refund()

    assert before == 0
    assert fetched.count == 1
    assert asks == again
    assert (asks.name, gives.name) == ("status_api", "refund_api")
    assert keys.opened(asks.credential) == keys.opened(gives.credential) == b"Simulator#1"


def test_a_credential_that_is_set_needs_no_certificate():
    fetched = Counted()
    credential = seal(PASSWORD, DER)

    asks = Initiators(make_settings(DARAJA_STATUS_CREDENTIAL=credential), fetched).status()

    assert (asks.name, asks.credential) == ("status_api", credential)
    assert asks.known_by == f"status_api {credential}"
    assert fetched.count == 0
    assert credential not in repr(asks)


def test_a_certificate_that_is_none_means_that_nothing_is_sent():
    with pytest.raises(NotSent):
        Initiators(make_settings(), Counted(b"<html>")).status()


def test_outside_the_simulator_there_is_no_api_user_unless_one_is_named():
    settings = make_settings(
        DARAJA_ENV="sandbox",
        DARAJA_CONSUMER_KEY="key",
        DARAJA_CONSUMER_SECRET="secret",
        PUBLIC_URL="https://pay.example.com",
        SECRET_KEY="ours",
        API_KEYS="ours",
    )

    initiators = Initiators(settings, Counted())

    assert initiators.status() is initiators.refund() is None

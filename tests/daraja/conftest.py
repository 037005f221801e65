import socket
import ssl
import subprocess
from pathlib import Path

import pytest

from mpesa.daraja import Daraja, Merchant, Push
from tests.daraja.fake_daraja import running_daraja
from tests.daraja.shared_token import SharedToken

MERCHANT = Merchant("the-consumer-key", "the-consumer-secret", "174379", "the-passkey")


@pytest.fixture
def fake():
    with running_daraja() as fake:
        yield fake


@pytest.fixture
def make_daraja(fake):
    made = []

    def make(**options):
        base_url = options.pop("base_url", fake.base_url)
        tokens = options.pop("tokens", None) or SharedToken()
        made.append(Daraja(MERCHANT, base_url, tokens, **options))
        return made[-1]

    yield make
    for daraja in made:
        daraja.cut()


@pytest.fixture
def daraja(make_daraja):
    return make_daraja()


@pytest.fixture
def push():
    return Push("254712345678", 150, "INV-1", "Two loaves", "https://shop.example/callback/abc")


@pytest.fixture
def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    pem = tmp_path_factory.mktemp("tls") / "loopback.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=loopback -addext subjectAltName=IP:127.0.0.1 -keyout {pem} -out {pem}.crt"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    pem.write_text(pem.read_text() + Path(f"{pem}.crt").read_text())
    return pem


@pytest.fixture(params=["plain", "tls"])
def server(request, certificate):
    server_tls = client_tls = None
    if request.param == "tls":
        server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server_tls.load_cert_chain(certificate)
        client_tls = ssl.create_default_context(cafile=str(certificate))
    with running_daraja(server_tls) as fake:
        yield fake, client_tls


@pytest.fixture
def peer(
    server,
):
    fake, tls = server
    daraja = Daraja(MERCHANT, fake.base_url, SharedToken(), tls=tls)
    yield fake, daraja
    daraja.cut()

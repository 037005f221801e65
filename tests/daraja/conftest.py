import socket
from collections.abc import Callable, Iterator

import pytest

from mpesa.daraja import Daraja, Merchant, Push, SharedToken
from tests.daraja.fake_daraja import FakeDaraja, running_daraja

MERCHANT = Merchant("the-consumer-key", "the-consumer-secret", "174379", "the-passkey")


@pytest.fixture
def fake() -> Iterator[FakeDaraja]:
    with running_daraja() as fake:
        yield fake


@pytest.fixture
def make_daraja(fake: FakeDaraja) -> Iterator[Callable[..., Daraja]]:
    made = []

    def make(**options: object) -> Daraja:
        base_url = options.pop("base_url", fake.base_url)
        tokens = options.pop("tokens", None) or SharedToken()
        made.append(Daraja(MERCHANT, base_url, tokens, **options))
        return made[-1]

    yield make
    for daraja in made:
        daraja.cut()


@pytest.fixture
def daraja(make_daraja: Callable[..., Daraja]) -> Daraja:
    return make_daraja()


@pytest.fixture
def push() -> Push:
    return Push("254712345678", 150, "INV-1", "Two loaves", "https://shop.example/callback/abc")


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

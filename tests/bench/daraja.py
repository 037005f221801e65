"""The stand-in for Daraja (daraja_app.py), started and asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests

from tests.servers import PATIENCE, Server, running

_PROGRAM = ("tests/bench/daraja_app.py",)


@dataclass(frozen=True)
class Pushed:
    """What a push was answered, and where its callback goes."""

    merchant_id: str
    checkout_id: str
    callback_path: str


class Daraja:
    """A stand-in that runs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.address = server.address

    def answer_after(self, seconds: float) -> None:
        """From now on pushes wait so long for their answer."""
        url = self._server.url("/delay")
        requests.put(url, json={"seconds": seconds}, timeout=PATIENCE).raise_for_status()

    def pushed(self) -> dict[str, Pushed]:
        """All pushes since the last call, by MSISDN."""
        return {
            msisdn: Pushed(
                told["MerchantRequestID"],
                told["CheckoutRequestID"],
                urlsplit(told["CallBackURL"]).path,
            )
            for msisdn, told in self._server.get("/pushed").json().items()
        }


@contextmanager
def stand_in(folder: Path) -> Iterator[Daraja]:
    """A Daraja that runs as long as the context."""
    with running(folder, _PROGRAM) as server:
        yield Daraja(server)

"""Who sends a request, as far as its address tells: read once, before anything looks at it."""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

from flask import current_app, request

from mpesa.domain.address import read_address, sender_of


class AddressReader:
    """WSGI: gives everything behind it, sockets too, one way to write the address of a request.

    Args:
        app: what is called with it.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Hand the request on."""
        environ["REMOTE_ADDR"] = read_address(environ.get("REMOTE_ADDR"))
        return self._app(environ, start_response)


def sender() -> str:
    """What stands for the sender of the present request."""
    return sender_of(request.remote_addr or "")


def sender_mark() -> str:
    """A keyed hash of the present sender, to be kept beside a payment: it names nobody."""
    secret = current_app.extensions["mpesa"].settings.secret_key.encode()
    return hmac.digest(secret, f"sender {sender()}".encode(), "sha256").hex()

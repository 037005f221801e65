"""Who sends a request, as far as its address tells: read once, before anything looks at it."""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

from flask import current_app, request

from mpesa.domain.address import read_address, sender_of

# A home or a rented machine gets a /56 or a /48 (RFC 6177, section 2), so one stranger has up to
# 65,536 networks of /64, each of which would have a share of Daraja's questions. Neighbours within
# a /48 share turns, which only makes them wait; the limits, which refuse, stay at the /64.
_SHARES_BY = 48


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
    """A keyed hash of whose share of Daraja's questions pays for the present sender's.

    It is kept beside a payment, and names nobody.
    """
    share = sender_of(request.remote_addr or "", ipv6_prefix=_SHARES_BY)
    secret = current_app.extensions["mpesa"].settings.secret_key.encode()
    return hmac.digest(secret, f"sender {share}".encode(), "sha256").hex()

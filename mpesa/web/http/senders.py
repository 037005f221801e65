"""The sender of a request, as far as its address tells: read once, before anything else uses it."""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

from flask import current_app, request

from mpesa.domain.address import read_address, sender_of

# Bits. A home or a rented machine gets a /56 or a /48 (RFC 6177, section 2), so one stranger has up
# to 65,536 networks of /64, each of which would get a share of the status queries. Neighbours
# within a /48 share turns, which only makes them wait; the limits refuse, and stay at the /64.
_SHARES_BY = 48


class AddressReader:
    """WSGI: writes the address of every request in one form, for sockets too.

    Args:
        app: the application that is wrapped.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]]) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the application with the address in its one form."""
        environ["REMOTE_ADDR"] = read_address(environ.get("REMOTE_ADDR"))
        return self._app(environ, start_response)


def sender() -> str:
    """The sender of the present request: an IPv4 address or an IPv6 network."""
    return sender_of(request.remote_addr or "")


def sender_mark() -> str:
    """A keyed hash of the sender among whom status queries are shared out.

    It is stored with a payment, and does not reveal the address.
    """
    share = sender_of(request.remote_addr or "", ipv6_prefix=_SHARES_BY)
    secret = current_app.extensions["mpesa"].settings.secret_key.encode()
    return hmac.digest(secret, f"sender {share}".encode(), "sha256").hex()

"""One id for each request, in its answer and on every line that it writes to the log."""

import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

from mpesa import logs

# The ids that proxies make (nginx: 32 hexadecimal digits; others: a UUID), and nothing that could
# look like more than one word of a log line.
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestIds:
    """WSGI: takes the id of a request from our proxy, or makes one.

    Args:
        app: the application that is wrapped.
        proxied: whether X-Request-ID comes from our own proxy; without one, a shopper could choose
            it, and it is ignored.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], *, proxied: bool) -> None:
        self._app = app
        self._proxied = proxied

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Call the application, and add the id to its answer."""
        given = environ.get("HTTP_X_REQUEST_ID", "") if self._proxied else ""
        request_id = given if _ID.fullmatch(given) else secrets.token_hex(16)
        logs.begin_request(request_id)

        def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start_response(status, [*headers, ("X-Request-ID", request_id)], *more)

        return self._app(environ, start)

"""The OAuth token: one for all clients, since each new token ends the one before it.

(Daraja docs, Authorization page: "each request invalidates the previous token".)
"""

from collections.abc import Callable
from typing import Protocol

from mpesa.daraja.answers import AccessToken


class TokenSource(Protocol):
    """A source of valid tokens.

    It is asked in the thread (greenlet) of a call, which has none of the caller's context: no
    request, no application, no database session. A call whose time is over does not wait for it.
    """

    def token(self, fetch: Callable[[], AccessToken], *, dead: str | None = None) -> str:
        """Return a valid token.

        Args:
            fetch: gets a new token from Daraja; only one of several simultaneous calls calls it.
            dead: a token that Daraja just refused as dead; a different one is returned.

        Raises:
            NotSent: there is no token.
            OutOfTime: `fetch` raised it; the other calls must then fetch for themselves.
        """
        ...

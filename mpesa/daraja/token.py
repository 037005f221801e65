"""The OAuth token: one for everybody, since each new one kills the one before it.

(Daraja docs, Authorization page: "each request invalidates the previous token".)
"""

from collections.abc import Callable
from typing import Protocol

from mpesa.daraja.answers import AccessToken


class TokenSource(Protocol):
    """Where a valid token comes from.

    It is asked in the thread (greenlet) of a call, which has none of the caller's context: no
    request, no application, no database session. A call whose time is over leaves it behind.
    """

    def token(self, fetch: Callable[[], AccessToken], *, dead: str | None = None) -> str:
        """A valid token.

        Args:
            fetch: gets a new one; it is called by at most one of all who ask at once.
            dead: one that Daraja just refused as dead, so that a different one is due.

        Raises:
            NotSent: there is no token to be had.
            OutOfTime: as `fetch` raised it; others who wait must then fetch for themselves.
        """
        ...

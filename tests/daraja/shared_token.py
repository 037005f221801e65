"""A TokenSource for one process, without a database: for tests of the client alone."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from mpesa.bounded_http import OutOfTime
from mpesa.daraja import AccessToken

# So that no token dies on its way to Daraja; its lifetime is an hour.
RENEW_EARLY_SECONDS = 60


class SharedToken:
    """A TokenSource in memory, for all threads or greenlets of one process.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._value: str | None = None
        self._renew_at = 0.0
        self._fetching: Future[str] | None = None

    def token(self, fetch: Callable[[], AccessToken], *, dead: str | None = None) -> str:
        """A valid token; those who ask while one is being fetched share its outcome."""
        while True:
            with self._lock:
                if self._value not in (None, dead) and self._clock() < self._renew_at:
                    return str(self._value)
                fetching = self._fetching
                mine = self._fetching = fetching or Future()
            if fetching is None:
                return self._fetch(fetch, mine)
            try:
                return fetching.result()
            except OutOfTime:
                continue  # the time of whoever fetched was over, not ours

    def _fetch(self, fetch: Callable[[], AccessToken], outcome: "Future[str]") -> str:
        asked_at = self._clock()
        try:
            token = fetch()
        except BaseException as error:
            self._landed()
            outcome.set_exception(error)
            raise
        self._landed(token, asked_at + token.expires_in - RENEW_EARLY_SECONDS)
        outcome.set_result(token.value)
        return token.value

    def _landed(self, token: AccessToken | None = None, renew_at: float = 0.0) -> None:
        with self._lock:
            self._fetching = None
            self._value = token.value if token else None
            self._renew_at = renew_at

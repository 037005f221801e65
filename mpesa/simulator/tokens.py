"""Access tokens, for an hour: only a consumer key's newest one lives, unless all shall."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from threading import Lock

from mpesa.simulator.ids import access_token
from mpesa.simulator.organisation import LivingTokens
from mpesa.simulator.refusals import (
    Blocked,
    UnknownConsumer,
    dead_token,
    no_bearer,
    wrong_authentication,
)

LIFETIME = 3599  # seconds, as Daraja announces it

# The two consumer keys that get no token: as unknown ones do, and as the firewall does it.
_WRONG_KEY, _BUSY_KEY = "wrong", "busy"


class Tokens:
    """The tokens that were given out; any consumer key and secret but two will do."""

    def __init__(self, now: Callable[[], datetime], chance: Random) -> None:
        self._now = now
        self._chance = chance
        self._lock = Lock()
        self._expiries: dict[str, datetime] = {}
        self._given: dict[str, list[str]] = {}

    def give(self, authorization: str, living: LivingTokens) -> str:
        """Return a new token for a Basic `Authorization` header; the key's others die or live.

        Raises Refusal for another scheme, UnknownConsumer for the key `wrong` and for an empty key
        or secret, Blocked for the key `busy`.
        """
        consumer_key = _consumer_key(authorization)
        token = access_token(self._chance)
        with self._lock:
            now, kept = self._now(), []
            for given in self._given.get(consumer_key, ()):
                if living is LivingTokens.ALL and now < self._expiries[given]:
                    kept.append(given)
                else:
                    del self._expiries[given]
            self._given[consumer_key] = [*kept, token]
            self._expiries[token] = now + timedelta(seconds=LIFETIME)
        return token

    def check(self, authorization: str) -> None:
        """Raise Refusal unless the `Authorization` header bears a living token."""
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise no_bearer()
        expires_at = self._expiries.get(token.strip())
        if expires_at is None or self._now() >= expires_at:
            raise dead_token()

    def forget(self) -> None:
        """Kill every token."""
        with self._lock:
            self._expiries.clear()
            self._given.clear()


def _consumer_key(authorization: str) -> str:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise wrong_authentication()
    try:
        key, colon, secret = b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError):
        raise wrong_authentication() from None
    if not colon:
        raise wrong_authentication()
    if key == _BUSY_KEY:
        raise Blocked
    if not key or not secret or key == _WRONG_KEY:
        raise UnknownConsumer
    return key

"""Access tokens: one a consumer key, for an hour, and the newest kills the one before."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random
from threading import Lock

from mpesa.simulator.ids import access_token
from mpesa.simulator.refusals import UnknownConsumer, dead_token, no_bearer, wrong_authentication

LIFETIME = 3599  # seconds, as Daraja announces it


class Tokens:
    """The tokens that were given out; any consumer key and secret will do."""

    def __init__(self, now: Callable[[], datetime], chance: Random) -> None:
        self._now = now
        self._chance = chance
        self._lock = Lock()
        self._expiries: dict[str, datetime] = {}
        self._newest: dict[str, str] = {}

    def give(self, authorization: str) -> str:
        """Return a new token for a Basic `Authorization` header, and forget the key's last one.

        Raises Refusal for another scheme, UnknownConsumer for an empty key or secret.
        """
        consumer_key = _consumer_key(authorization)
        token = access_token(self._chance)
        with self._lock:
            self._expiries.pop(self._newest.get(consumer_key, ""), None)
            self._newest[consumer_key] = token
            self._expiries[token] = self._now() + timedelta(seconds=LIFETIME)
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
            self._newest.clear()


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
    if not key or not secret:
        raise UnknownConsumer
    return key

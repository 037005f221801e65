"""Access tokens, each for an hour: only a consumer key's newest one is valid, unless all are."""

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

# Two consumer keys get no token: the first counts as unknown, and the firewall answers the second.
_WRONG_KEY, _BUSY_KEY = "wrong", "busy"


class Tokens:
    """The tokens that were given out; all consumer keys are known, except two.

    Args:
        now: the clock, aware UTC.
        chance: the source of tokens.
    """

    def __init__(self, now: Callable[[], datetime], chance: Random) -> None:
        self._now = now
        self._chance = chance
        self._lock = Lock()
        self._expiries: dict[str, datetime] = {}
        self._given: dict[str, list[str]] = {}

    def give(self, authorization: str, living: LivingTokens) -> str:
        """Give a new token to a consumer key.

        Args:
            authorization: the header, with Basic credentials.
            living: whether the key's other tokens stay valid.

        Raises:
            Refusal: the header has another scheme, or is malformed.
            UnknownConsumer: the key is `wrong`, or key or secret is empty.
            Blocked: the key is `busy`.
        """
        scheme, _, encoded = authorization.partition(" ")
        if scheme.lower() != "basic":
            raise wrong_authentication()
        try:
            decoded = b64decode(encoded.strip(), validate=True).decode()
        except (NotBase64, UnicodeDecodeError):
            raise wrong_authentication() from None
        consumer_key, colon, secret = decoded.partition(":")
        if not colon:
            raise wrong_authentication()
        if consumer_key == _BUSY_KEY:
            raise Blocked
        if not consumer_key or not secret or consumer_key == _WRONG_KEY:
            raise UnknownConsumer
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
        """Check the token in an `Authorization` header.

        Raises:
            Refusal: there is none, or it is not valid.
        """
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise no_bearer()
        expires_at = self._expiries.get(token.strip())
        if expires_at is None or self._now() >= expires_at:
            raise dead_token()

    def forget(self) -> None:
        """Forget every token."""
        with self._lock:
            self._expiries.clear()
            self._given.clear()

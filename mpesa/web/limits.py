"""How often a line, and an address, may ask for a push."""

import hmac
import re
import time
from contextlib import AbstractContextManager, suppress
from typing import Any

from flask import Flask, g
from flask_babel import ngettext
from flask_limiter import Limiter, RateLimitExceeded
from flask_limiter.util import get_remote_address
from redis.exceptions import RedisError

from mpesa.config import Rate, Settings
from mpesa.web.errors import Problem

# Redis is on the same network; a request that waited longer would make a payment wait for a limit.
# One that finds it gone may wait twice, for its count and for a look whether it is back: under a
# second in all. After that, such looks become rare.
_REDIS_PATIENCE: dict[str, Any] = {"socket_timeout": 0.4, "socket_connect_timeout": 0.4}


class PushLimits:
    """The limits of POST /stk-push; in memory, or in Redis with memory as the fallback."""

    def __init__(self, app: Flask, settings: Settings) -> None:
        self._secret = settings.secret_key.encode()
        redis = settings.redis_url
        self._limiter = Limiter(
            get_remote_address,
            app=app,
            strategy="moving-window",
            storage_uri=_storage(redis),
            storage_options=dict(_REDIS_PATIENCE) if redis else {},
            in_memory_fallback_enabled=bool(redis),
        )
        self._limits = [
            # The address first: one that is over its limit must not use up other people's lines.
            *self._limit(settings.stk_push_limit_per_ip, "address", get_remote_address),
            *self._limit(settings.stk_push_limit_per_phone, "line", lambda: g.limited_line),
        ]

    def check(self, msisdn: str) -> None:
        """Count a push of this line, and of the request's address.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        # A keyed hash: whoever reads Redis learns no phone numbers.
        g.limited_line = hmac.digest(self._secret, msisdn.encode(), "sha256").hex()
        try:
            for limit in self._limits:
                _count(limit)
        except RateLimitExceeded:
            raise self._problem() from None

    def _limit(self, rate: Rate | None, scope: str, key: Any) -> list[AbstractContextManager[None]]:
        if rate is None:
            return []
        text = f"{rate.count} per {rate.seconds} second"
        return [self._limiter.shared_limit(text, scope=f"stk-push:{scope}", key_func=key)]

    def _problem(self) -> Problem:
        current = self._limiter.current_limit
        seconds = max(1, round(current.reset_at - time.time())) if current else 60
        detail = ngettext(
            "Too many requests. Try again in %(num)d second.",
            "Too many requests. Try again in %(num)d seconds.",
            seconds,
        )
        return Problem(429, "rate_limited", detail, retry_after=seconds)


def _count(limit: AbstractContextManager[None]) -> None:
    try:
        with limit:
            pass
    except (RedisError, OSError):
        # Of requests that find Redis gone together, the library sends one on to its memory and lets
        # the others fail; memory is in use by now. A push is not lost over its count.
        with suppress(RedisError, OSError), limit:
            pass


def _storage(redis: str | None) -> str:
    """The address as the limits library spells it: a socket's has a scheme of its own there."""
    return re.sub("^unix:", "redis+unix:", redis or "memory://")

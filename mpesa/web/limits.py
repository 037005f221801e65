"""How often a line, and an address, may ask for a push, and who may try to log in."""

import hmac
import math
import re
import time
from ipaddress import ip_address, ip_network

from flask import request
from flask_babel import ngettext
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter
from redis.exceptions import RedisError

from mpesa.config import Rate, Settings
from mpesa.web.errors import Problem

# Redis is on the same network; a request that waited longer (seconds) would make a payment wait for
# a limit.
_REDIS_PATIENCE = 0.4
# While Redis is away, one request in so many seconds looks whether it is back; the others count in
# memory at once.
_LOOK_AGAIN = 5.0

# Tries to log in, right or wrong: per address; per name and address; per name, wherever from. An
# honest operator needs one or two. The last is more than one address can use up by itself, since
# strangers count into it as well.
_LOGINS = {"address": Rate(30, 600), "pair": Rate(5, 900), "name": Rate(50, 3600)}


class Tally:
    """Counts what was asked for lately: in Redis, or in memory where there is none or it is away.

    Not Flask-Limiter: its hooks cost every request, polls and callbacks too, 0.1 ms.
    """

    def __init__(self, settings: Settings) -> None:
        # Keyed hashes: whoever reads Redis learns neither numbers nor names.
        self._secret = settings.secret_key.encode()
        self._memory = MovingWindowRateLimiter(storage_from_string("memory://"))
        self._redis = _redis(settings.redis_url) if settings.redis_url else None
        self._away_until = 0.0

    def count(self, scope: str, key: str, rate: Rate) -> None:
        """Count one.

        Args:
            scope: what is counted; the same key counts for itself in each.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        limit = RateLimitItemPerSecond(rate.count, rate.seconds)
        hashed = hmac.digest(self._secret, f"{scope} {key}".encode(), "sha256").hex()
        if self._redis is not None and time.monotonic() >= self._away_until:
            try:
                return _hit(self._redis, limit, hashed)
            except (RedisError, OSError):
                self._away_until = time.monotonic() + _LOOK_AGAIN
        return _hit(self._memory, limit, hashed)


class PushLimits:
    """The limits of POST /stk-push."""

    def __init__(self, tally: Tally, settings: Settings) -> None:
        self._tally = tally
        self._per_address = settings.stk_push_limit_per_ip
        self._per_line = settings.stk_push_limit_per_phone

    def check(self, msisdn: str) -> None:
        """Count a push of this line, and of the request's address.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        # The address first: one that is over its limit must not use up other people's lines.
        if self._per_address is not None:
            self._tally.count("stk-push:address", _address(), self._per_address)
        if self._per_line is not None:
            self._tally.count("stk-push:line", msisdn, self._per_line)


class LoginLimits:
    """The limits of POST /console/login."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def check(self, name: str, *, known: bool) -> None:
        """Count a try.

        Args:
            known: the operator of that name logged in from this address last; strangers who use up
                the name's tries elsewhere keep nobody out there.

        Raises:
            Problem: 429, with the seconds until the next try is allowed.
        """
        keys = {"address": _address(), "pair": f"{name} {_address()}", "name": name}
        for scope, key in keys.items():
            if scope != "name" or not known:
                self._tally.count(f"login:{scope}", key, _LOGINS[scope])


def _address() -> str:
    """The request's address; of IPv6 the network of one customer (RFC 6177: a /64 at least)."""
    text = request.remote_addr or ""
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if address.version == 4:
        return text
    plain = address.ipv4_mapped
    return str(plain or ip_network(f"{address}/64", strict=False))


def _hit(window: MovingWindowRateLimiter, limit: RateLimitItem, key: str) -> None:
    if window.hit(limit, key):
        return
    free_at = window.get_window_stats(limit, key).reset_time
    seconds = max(1, math.ceil(free_at - time.time()))
    detail = ngettext(
        "Too many requests. Try again in %(num)d second.",
        "Too many requests. Try again in %(num)d seconds.",
        seconds,
    )
    raise Problem(429, "rate_limited", detail, retry_after=seconds)


def _redis(url: str) -> MovingWindowRateLimiter:
    # The library's word for a socket is another one.
    address = re.sub("^unix:", "redis+unix:", url)
    patience = {
        "socket_timeout": _REDIS_PATIENCE,
        "socket_connect_timeout": _REDIS_PATIENCE,
    }
    return MovingWindowRateLimiter(storage_from_string(address, **patience))

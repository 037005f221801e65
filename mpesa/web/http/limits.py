"""How often a line and an address may ask for a push, and how often a login may be tried."""

import hmac
import math
import time
from collections.abc import Callable
from contextlib import suppress

from flask_babel import ngettext
from redis.exceptions import RedisError

from mpesa.config import Rate, Settings
from mpesa.web.http.errors import Problem
from mpesa.web.http.senders import sender
from mpesa.web.http.sentences import minutes
from mpesa.windows import Full, InMemory, InRedis, Windows

# Seconds. While Redis is away, one request in this time tries it again; the others count in memory
# without waiting.
_LOOK_AGAIN = 5.0

# Wrong tries to log in: per address; per name and address; per name from all addresses. An honest
# operator needs one or two. The limit per name is higher than one address alone can use up, since
# the tries of strangers count towards it as well.
_STRANGERS = {"address": Rate(30, 600), "pair": Rate(5, 900), "name": Rate(50, 3600)}
# Strangers may share the address from which an operator logged in last. Operator and strangers
# there share as many tries as one name has elsewhere, and no try from another address counts.
_SAME_ADDRESS = Rate(50, 3600)
# A browser in which that operator logged in before has tries of its own.
_SAME_BROWSER = Rate(5, 900)
# The one count from which another number is free.
_OF_LINE = "stk-push:line"


class Tally:
    """Counts recent requests: in Redis, or in memory if there is no Redis or it is away.

    Not Flask-Limiter: its hooks cost every request 0.1 ms, polls and callbacks too.
    """

    def __init__(self, settings: Settings) -> None:
        # Keyed hashes: a reader of Redis learns neither numbers nor names.
        self._secret = settings.secret_key.encode()
        self._memory = InMemory()
        self._redis = InRedis(settings.redis_url) if settings.redis_url else None
        self._away_until = 0.0

    def count(self, scope: str, key: str, rate: Rate) -> Callable[[], None]:
        """Count one request.

        Args:
            scope: what is counted; a key is counted separately in each scope.
            key: what the request is counted for, such as an address.
            rate: how many requests in how many seconds are allowed.

        Returns:
            A function that takes the request out of the count again.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        hashed = hmac.digest(self._secret, f"{scope} {key}".encode(), "sha256").hex()
        if self._redis is not None and time.monotonic() >= self._away_until:
            with suppress(RedisError, OSError):
                return _count_in(self._redis, scope, hashed, rate)
            self._away_until = time.monotonic() + _LOOK_AGAIN
        return _count_in(self._memory, scope, hashed, rate)


class PushLimits:
    """The limits of POST /stk-push and POST /sms-code."""

    def __init__(self, tally: Tally, settings: Settings) -> None:
        self._tally = tally
        self._per_address = settings.stk_push_limit_per_ip
        self._per_line = settings.stk_push_limit_per_phone

    def check(self, msisdn: str) -> None:
        """Count a push of this line, and of the request's address.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        # The address comes first: one that is over its limit must not use up other people's lines.
        self.check_sender()
        if self._per_line is not None:
            self._tally.count(_OF_LINE, msisdn, self._per_line)

    def check_sender(self) -> None:
        """Count a wish to pay, by push or by hand, of the request's address.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        if self._per_address is not None:
            self._tally.count("stk-push:address", sender(), self._per_address)

    def check_code(self) -> None:
        """Count a code that was typed at the request's address, as often as it may push.

        Raises:
            Problem: 429, with the seconds until the next one is allowed.
        """
        if self._per_address is not None:
            self._tally.count("sms-code:address", sender(), self._per_address)


class LoginLimits:
    """The limits of POST /console/login, where a right try is taken out of the count again."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def check(self, name: str, *, known: bool, browser: str | None = None) -> Callable[[], None]:
        """Count a try before its password is checked, so that many at once cannot pass the limit.

        Args:
            name: the operator's name, as it was typed.
            known: whether the operator of that name logged in from this address last.
            browser: identifies a browser in which that operator logged in before; None for others.

        Returns:
            A function that takes the try out of the count again, for a right password.

        Raises:
            Problem: 429, with the seconds until the next try is allowed.
        """
        if browser is not None:
            return self._tally.count("login:browser", f"{name} {browser}", _SAME_BROWSER)
        if known:
            return self._tally.count("login:known", f"{name} {sender()}", _SAME_ADDRESS)
        keys = {"address": sender(), "pair": f"{name} {sender()}", "name": name}
        counted = [
            self._tally.count(f"login:{scope}", key, _STRANGERS[scope])
            for scope, key in keys.items()
        ]

        def take_back() -> None:
            for each in counted:
                each()

        return take_back


def _count_in(windows: Windows, scope: str, key: str, rate: Rate) -> Callable[[], None]:
    try:
        take_back = windows.count(key, rate)
    except Full as full:
        seconds = math.ceil(full.seconds) or 1
        detail = ngettext(
            "Too many tries. Try again in about %(num)d minute.",
            "Too many tries. Try again in about %(num)d minutes.",
            minutes(seconds),
        )
        if scope == _OF_LINE:
            detail = ngettext(
                "This number was asked too often. Try again in about %(num)d minute, or use another"
                " number.",
                "This number was asked too often. Try again in about %(num)d minutes, or use"
                " another number.",
                minutes(seconds),
            )
        raise Problem(429, "rate_limited", detail, retry_after=seconds) from None

    def take_back_if_possible() -> None:
        with suppress(RedisError, OSError):  # Redis is away by now: the request stays counted
            take_back()

    return take_back_if_possible

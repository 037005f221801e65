"""Moving windows: how often a key was counted lately, in Redis or in this worker's memory.

The library `limits` does not do: its memory keeps every key for ever and searches all of them after
each count, its windows in Redis go by each worker's own clock, and it takes no count back.
"""

import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mpesa.config import Rate

# Seconds. Redis is on the same network; a longer wait would make a payment wait for a limit.
_PATIENCE = 0.4
# More keys go with each count than can come with it, so that keys whose window is over do not stay.
_FORGOTTEN_AT_ONCE = 4
# Keys of one rate, about 45 MB. A line or a name that is being tried is among the newest of them.
_MOST_KEYS = 50_000


@dataclass
class Full(Exception):
    """Nothing more may be counted under a key now.

    Attributes:
        seconds: the time until it may be, at most the window's.
    """

    seconds: float


class Windows(Protocol):
    """Counts under keys."""

    def count(self, key: str, rate: Rate) -> Callable[[], None]:
        """Count once under a key.

        Returns:
            A function that takes the count back.

        Raises:
            Full: the rate is reached, and nothing was counted.
        """


class InMemory:
    """Windows of one worker.

    Args:
        now: seconds of a clock that never steps.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        # By rate and key, the times of its counts; the key that was counted last is at the end.
        self._keys: dict[Rate, OrderedDict[str, deque[float]]] = {}

    def __len__(self) -> int:
        """The number of keys that are remembered."""
        return sum(map(len, self._keys.values()))

    def count(self, key: str, rate: Rate) -> Callable[[], None]:
        """Count once, and forget a few keys whose window is over."""
        now = self._now()
        for each, counted in self._keys.items():
            for _ in range(min(_FORGOTTEN_AT_ONCE, len(counted))):
                oldest = next(iter(counted.values()))
                if oldest[-1] > now - each.seconds and len(counted) < _MOST_KEYS:
                    break
                counted.popitem(last=False)
        keys = self._keys.setdefault(rate, OrderedDict())
        times = keys.get(key, deque())
        while times and times[0] <= now - rate.seconds:
            times.popleft()
        if len(times) >= rate.count:
            raise Full(times[0] + rate.seconds - now)
        times.append(now)
        keys[key] = times
        keys.move_to_end(key)
        return lambda: self._take_back(keys, key, now)

    @staticmethod
    def _take_back(keys: OrderedDict[str, deque[float]], key: str, counted_at: float) -> None:
        times = keys.get(key, deque())
        if counted_at in times:
            times.remove(counted_at)
        if not times:
            keys.pop(key, None)


class InRedis:
    """Windows that all workers share, by Redis's own clock.

    Args:
        url: REDIS_URL.
    """

    def __init__(self, url: str) -> None:
        client = redis.Redis.from_url(
            url,
            socket_timeout=_PATIENCE,
            socket_connect_timeout=_PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        self._client = client
        self._script = client.register_script(_COUNT)

    def count(self, key: str, rate: Rate) -> Callable[[], None]:
        """Count once.

        Raises:
            Full: the rate is reached, and nothing was counted.
            redis.RedisError: Redis did not answer as it should.
            OSError: Redis did not answer in time.
        """
        key, mark = f"mpesa:count:{key}", secrets.token_hex(8)
        wait: Any = self._script([key], [rate.count, rate.seconds * 1000, mark])
        if int(wait):
            raise Full(int(wait) / 1000)

        def take_back() -> None:
            self._client.zrem(key, mark)

        return take_back


# A sorted set of marks by the time of their counting, in milliseconds. A time ahead of now was
# written before Redis's clock stepped back: it goes as well, or it would count until then.
_COUNT = """
local time = redis.call('TIME')
local now, most, window = time[1] * 1000 + math.floor(time[2] / 1000), ARGV[1] + 0, ARGV[2] + 0
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 1, '+inf')
if redis.call('ZCARD', KEYS[1]) < most then
    redis.call('ZADD', KEYS[1], now, ARGV[3])
    redis.call('PEXPIRE', KEYS[1], window)
    return 0
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return oldest[2] + window - now
"""

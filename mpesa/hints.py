"""Hints between workers: "transaction seq" on a Redis channel of our own, and nothing else.

A hint is worth a look at the database and is never an answer: a stranger who can publish on Redis
can make a worker read a row again, and no more. Nothing is tried twice, since the outbox finds the
same changes a second later, with Redis or without.
"""

import logging
import queue
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from mpesa import counters
from mpesa.config import refuse
from mpesa.ledger import Change

CHANNEL = "mpesa:changed"
# Seconds. Redis is on the same network; if it takes longer, it is not there.
_PATIENCE = 1.0
# Seconds without a message after which the connection is tested: one whose other end vanished
# silently is given up after twice as long.
_QUIET = 1.0
# Seconds from the loss of Redis, or from a failed attempt, to the next attempt to listen.
LISTEN_AGAIN = 0.5
# More than a second's changes; a longer queue has stood still, and the outbox has all of them.
_MOST_WAITING = 1000
# Seconds without listening after an untrue hint; so a liar costs ten reads a second at most.
_AFTER_NONSENSE = 0.1
# A socket that always has something to read never lets other greenlets run. These numbers allow
# 5,000 hints a second: more than one database's workers can cause, and requests keep their time.
_BURST, _BREATH = 100, 0.02

_HINT = re.compile(rb"([A-Za-z0-9_-]{16,64}) ([0-9]{1,9})")

log = logging.getLogger(__name__)


class Hints:
    """One worker's sending and receiving end.

    Args:
        url: REDIS_URL.
        hear: called with a change that another worker tells of; returns False where it is untrue.
    """

    def __init__(self, url: str, hear: Callable[[Change], bool]) -> None:
        self._redis = _client(url)
        self._hear = hear
        self._waiting: queue.Queue[str] = queue.Queue(_MOST_WAITING)
        self._away = False
        self._heard = 0

    def send(self, changes: Sequence[Change]) -> None:
        """Queue hints to be published; returns at once, whatever Redis does."""
        with suppress(queue.Full):
            for each in changes:
                self._waiting.put_nowait(f"{each.transaction_id} {each.seq}")

    def publish_next(self) -> None:
        """Wait for a hint and publish it; if that fails, those behind it are dropped as too old."""
        hint = self._waiting.get()
        try:
            self._redis.publish(CHANNEL, hint)
        except (redis.RedisError, OSError):
            counters.count("hint_failures", kind="not_sent")
            with suppress(queue.Empty):
                while True:
                    self._waiting.get_nowait()

    def listen(self, pause: Callable[[float], Any]) -> None:
        """Listen to other workers' hints until Redis goes away.

        Args:
            pause: sleeps for a number of seconds, and lets other tasks run.
        """
        asked = False
        try:
            with self._redis.pubsub() as channel:  # type: ignore[no-untyped-call]
                channel.subscribe(CHANNEL)
                while True:
                    message = channel.get_message(timeout=_QUIET)
                    if message is None and asked:
                        raise redis.TimeoutError
                    asked = message is None
                    if message is None:
                        channel.ping()
                    else:
                        self._take(message, pause)
        except (redis.RedisError, OSError) as error:
            if not self._away:
                reason = type(error).__name__
                log.warning("Redis is away (%s): changes are looked up every second", reason)
            self._away = True

    def _take(self, message: dict[str, Any], pause: Callable[[float], Any]) -> None:
        if message["type"] == "subscribe":
            if self._away:
                log.info("Redis is back: other workers are heard again")
            self._away = False
        elif message["type"] == "message":
            self._heard += 1
            hint = _HINT.fullmatch(message["data"])
            if hint is None or not self._hear(Change(hint[1].decode(), int(hint[2]))):
                counters.count("hint_failures", kind="untrue")
                pause(_AFTER_NONSENSE)
            elif self._heard % _BURST == 0:
                pause(_BREATH)


def check_address(url: str) -> None:
    """Check that a client can be made of REDIS_URL, without a connection.

    Raises:
        SettingsError: redis-py does not know a parameter, or does not accept its value.
    """
    try:
        _client(url).connection_pool.make_connection()
    except (ValueError, TypeError):  # their texts name the value
        refuse("REDIS_URL", "a URL with redis-py's parameters, such as redis://host:6379/0")


def ping(url: str) -> None:
    """Ask Redis for a sign of life.

    Raises:
        redis.RedisError: it does not answer as it should.
        OSError: it does not answer.
    """
    with _client(url) as client:
        client.ping()


def listeners(url: str) -> int:
    """Count the workers that listen on a Redis.

    Raises:
        redis.RedisError: it does not answer as it should.
        OSError: it does not answer.
    """
    with _client(url) as client:
        [(_channel, count)] = client.pubsub_numsub(CHANNEL)
    return int(count)


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=_PATIENCE,
        socket_timeout=_PATIENCE,
        retry=Retry(NoBackoff(), 0),
    )

"""What `flask doctor` looks at, and what it says to mend."""

from collections.abc import Iterator
from dataclasses import dataclass

import redis
import requests
from sqlalchemy.exc import SQLAlchemyError

from mpesa.daraja import DarajaError
from mpesa.domain.result_codes import Reason
from mpesa.models import db
from mpesa.web import workers
from mpesa.web.api import database_trouble, redis_trouble
from mpesa.web.hints import listeners
from mpesa.web.services import Services

# PUBLIC_URL may go through a proxy and a tunnel (seconds).
_PATIENCE = 10


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    says: str


def examine(ours: Services) -> list[Finding]:
    """Look at everything; settings were checked before, or there would be no application."""
    return [
        Finding("settings", True, f"DARAJA_ENV={ours.settings.daraja_env.value}"),
        *_from_trouble("database", database_trouble(), "answers, and is migrated"),
        *_redis(ours),
        _daraja(ours),
        _public_url(ours),
    ]


def _redis(ours: Services) -> Iterator[Finding]:
    running, url = _workers(), ours.settings.redis_url
    if url is None:
        says = f"REDIS_URL is not set, and {running} workers share the database: give all the same"
        alone = "not configured; set REDIS_URL for more than one worker"
        yield Finding("redis", running < 2, alone if running < 2 else says)
    else:
        trouble = redis_trouble(url) or _unheard(url, running)
        yield from _from_trouble("redis", trouble, "answers")


def _workers() -> int:
    try:
        return workers.count(db.session())
    except SQLAlchemyError:
        return 0  # the database has a finding of its own


def _unheard(url: str, running: int) -> list[str]:
    """What is wrong where not every worker listens on this Redis."""
    try:
        listening = listeners(url)
    except (redis.RedisError, OSError):
        return ["Redis answers, but not to PUBSUB: check the rights of its user."]
    if listening >= running:
        return []
    return [f"{running} workers run, and {listening} listen here: give all the same REDIS_URL."]


def _from_trouble(what: str, trouble: list[str], well: str) -> Iterator[Finding]:
    yield Finding(what, not trouble, " ".join(trouble) or well)


def _daraja(ours: Services) -> Finding:
    try:
        ours.line.daraja.check_credentials()
    except DarajaError as error:
        refused = getattr(error, "reason", None) is Reason.MISCONFIGURED
        mend = (
            "refused the credentials: check DARAJA_CONSUMER_KEY, DARAJA_CONSUMER_SECRET and"
            " DARAJA_ENV"
            if refused
            else f"does not answer ({error}): check DARAJA_BASE_URL, the network, and that the"
            " simulator runs"
        )
        return Finding("daraja", False, mend)
    return Finding("daraja", True, "took the credentials")


def _public_url(ours: Services) -> Finding:
    url = ours.settings.public_url
    try:
        answer = requests.get(f"{url}/healthz", timeout=_PATIENCE, allow_redirects=False)
        reached = answer.status_code == 200 and answer.json() == {"status": "ok"}
    except (requests.RequestException, ValueError):
        reached = False
    says = "reaches this server" if reached else "does not reach it: is it started, and the proxy?"
    return Finding("PUBLIC_URL", reached, f"{url} {says}")

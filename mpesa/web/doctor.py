"""What `flask doctor` looks at, and what it says to mend."""

from collections.abc import Iterator
from dataclasses import dataclass

import requests

from mpesa.daraja import DarajaError
from mpesa.domain.result_codes import Reason
from mpesa.web.api import database_trouble, redis_trouble
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
    if ours.settings.redis_url is None:
        yield Finding("redis", True, "not configured; set REDIS_URL for more than one worker")
    else:
        yield from _from_trouble("redis", redis_trouble(ours.settings.redis_url), "answers")


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

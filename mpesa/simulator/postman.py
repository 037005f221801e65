"""Carries callbacks to the merchant over real HTTP: once, unsigned, never again if it fails."""

from __future__ import annotations

import logging
from collections.abc import Callable

import requests

Post = Callable[[str, bytes, str], None]

# Seconds to connect and to wait for the answer. Safaricom's own patience is not published;
# about 5 s is claimed, and a slow test machine needs a little more.
_TIMEOUT = (5, 10)

_log = logging.getLogger(__name__)


def post_callback(url: str, body: bytes, shortcode: str) -> None:
    """POST a callback with Daraja's headers; whatever the merchant answers is of no interest."""
    headers = {
        "Content-Type": "application/json;charset=UTF-8",
        "BusinessShortCode": shortcode,
        "User-Agent": "Daraja simulator",
    }
    with requests.Session() as session:
        # Proxies and netrc entries of this machine are the developer's, not Safaricom's.
        session.trust_env = False
        try:
            session.post(url, body, headers=headers, timeout=_TIMEOUT, allow_redirects=False)
        except (requests.RequestException, ValueError) as problem:
            # A host name that cannot be one ends as a ValueError of urllib3, not of requests.
            # The URL holds the merchant's secret token, so only the kind of problem is told.
            _log.warning("a callback was not delivered: %s", type(problem).__name__)

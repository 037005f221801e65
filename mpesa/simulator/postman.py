"""Callbacks to the merchant over real HTTP: sent once, unsigned, and not again after a failure."""

import logging
from collections.abc import Callable

import requests

Post = Callable[[str, bytes, str], None]

# Seconds to connect and to wait for the answer. Safaricom does not publish its own limit; about 5 s
# is claimed, and a slow test machine needs a little more.
_TIMEOUT = (5, 10)

_log = logging.getLogger(__name__)


def post_callback(url: str, body: bytes, shortcode: str) -> None:
    """POST a callback with Daraja's headers; the merchant's answer is ignored.

    Args:
        url: the merchant's CallBackURL.
        shortcode: the merchant's, for a header.
    """
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
            # An impossible host name raises a ValueError of urllib3, not of requests. The URL
            # contains the merchant's secret token, so only the kind of problem is logged.
            _log.warning("a callback was not delivered: %s", type(problem).__name__)

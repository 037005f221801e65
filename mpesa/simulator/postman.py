"""What the merchant is told and asked over real HTTP: once, unsigned, not again after a failure."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError

Post = Callable[[str, bytes, str], None]
Ask = Callable[[str, bytes, str], bytes | None]

# Seconds to connect and to wait for the answer. Safaricom does not publish its own limit; about 5 s
# is claimed, and a slow test machine needs a little more.
_TIMEOUT = (5, 10)

# A validation is answered within about 8 s (Daraja docs, Customer To Business).
_ASK_TIMEOUT = (5, 8)
_LONGEST_ANSWER = 65_536

Origin = tuple[str, str | None, int | None]

_log = logging.getLogger(__name__)


def origin_of(url: str) -> Origin | None:
    """The scheme, host and port of an address; None where it has none, or says who asks."""
    try:
        parts = urlsplit(url)
        if parts.username is not None or parts.password is not None or "\\" in url:
            return None
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    return parts.scheme, parts.hostname, port


def post_callback(url: str, body: bytes, shortcode: str) -> None:
    """POST a callback with Daraja's headers; the merchant's answer is ignored.

    Args:
        url: the merchant's CallBackURL.
        shortcode: the merchant's, for a header.
    """
    with _answer_to(url, body, shortcode, _TIMEOUT, is_read_later=False):
        pass


def ask_merchant(url: str, body: bytes, shortcode: str) -> bytes | None:
    """POST a question with Daraja's headers.

    Args:
        url: the merchant's ValidationURL.
        shortcode: the merchant's, for a header.

    Returns:
        The body of a 200; None where no such answer came in time.
    """
    with _answer_to(url, body, shortcode, _ASK_TIMEOUT, is_read_later=True) as response:
        if response is None or response.status_code != requests.codes.ok:
            return None
        try:
            return response.raw.read(_LONGEST_ANSWER, decode_content=True) or b""
        except (OSError, ValueError, HTTPError):
            return None


@contextmanager
def _answer_to(
    url: str, body: bytes, shortcode: str, timeout: tuple[float, float], *, is_read_later: bool
) -> Iterator[requests.Response | None]:
    headers = {
        "Content-Type": "application/json;charset=UTF-8",
        "BusinessShortCode": shortcode,
        "User-Agent": "Daraja simulator",
    }
    with requests.Session() as session:
        # Proxies and netrc entries of this machine are the developer's, not Safaricom's.
        session.trust_env = False
        try:
            response = session.post(
                url,
                body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
                stream=is_read_later,
            )
        except (requests.RequestException, ValueError) as problem:
            # An impossible host name raises a ValueError of urllib3, not of requests. The URL
            # contains the merchant's secret token, so only the kind of problem is logged.
            _log.warning("a callback was not delivered: %s", type(problem).__name__)
            response = None
        yield response

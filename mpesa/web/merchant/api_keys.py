"""The keys by which the shop's server is known."""

import hmac

from flask import request
from flask_babel import gettext as _

from mpesa.ids import hash_token
from mpesa.web.http.errors import Problem
from mpesa.web.http.services import services


def check_api_key() -> str:
    """Return the API key of the request.

    Raises:
        Problem: 401 if it sends none of API_KEYS.
    """
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        hashed = hash_token(given.strip())
        for key in services().settings.api_keys:
            if hmac.compare_digest(hashed, hash_token(key)):
                return key
    raise Problem(401, "unauthorized", _("Send Authorization: Bearer and one of API_KEYS."))


def name_of(api_key: str) -> str:
    """The name under which evidence keeps who asked: enough to tell a shop's few keys apart."""
    return f"api:{hash_token(api_key)[:4]}"

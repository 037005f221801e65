"""Read what a client sent: bounded, typed, with an error that names the field."""

import json
from typing import Any

from flask import request
from flask_babel import gettext as _
from werkzeug.exceptions import RequestEntityTooLarge

from mpesa.web.http.errors import Problem, invalid
from mpesa.web.http.security import MAX_BODY

_KEY_LONGEST = 255


def json_object() -> dict[str, Any]:
    """Return the request's JSON object.

    Raises:
        Problem: 415 for another content type, 400 if the body is not a JSON object.
        RequestEntityTooLarge: the body is longer than MAX_BODY.
    """
    if not request.is_json:
        raise Problem(
            415, "unsupported_media_type", _("Send JSON with Content-Type: application/json.")
        )
    try:
        text = whole_body().decode("utf-8")
        document = json.loads(text, object_pairs_hook=_unique_pairs)
    except (ValueError, RecursionError):
        raise Problem(400, "invalid_request", _("The body is not JSON.")) from None
    if not isinstance(document, dict):
        raise Problem(400, "invalid_request", _("The body has to be a JSON object."))
    return document


def whole_body() -> bytes:
    """Return the request's body, raw.

    Raises:
        RequestEntityTooLarge: it is longer than MAX_BODY.
    """
    body = request.get_data()
    # Werkzeug cuts a chunked body off at the bound and raises nothing (3.1, LimitedStream.readall).
    if len(body) >= MAX_BODY and request.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return body


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a name that appears twice, since two readers may differ on which value counts."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name appears twice")
    return members


def idempotency_key() -> str | None:
    """Return the request's Idempotency-Key; None if it has none.

    Raises:
        Problem: it is empty, too long, or not printable ASCII.
    """
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not key.strip() or len(key) > _KEY_LONGEST or not (key.isascii() and key.isprintable()):
        detail = _("Idempotency-Key has to be 1 to 255 printable ASCII characters.")
        raise invalid("Idempotency-Key", detail)
    return key

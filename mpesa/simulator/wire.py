"""How Daraja's HTTP is read and answered, by whichever of its APIs."""

import json
from typing import Any

from flask import Response, request

from mpesa.simulator import refusals
from mpesa.simulator.fields import Body
from mpesa.simulator.tokens import Tokens

# Routes are added with all of them: Daraja answers wrong ones in its own words.
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def require_method(method: str) -> None:
    """Refuse the request if it came with another method."""
    if request.method != method:
        raise refusals.wrong_method()


def body_of_request(tokens: Tokens, first_field: str) -> Body:
    """Read the JSON object that was POSTed with a living token.

    Args:
        first_field: the field that the gateway misses where the content type is another one, since
            it then reads no field at all (Daraja docs, M-PESA Express FAQ 9).

    Raises:
        Refusal: the method, the token, the content type or the body is wrong.
    """
    require_method("POST")
    tokens.check(request.headers.get("Authorization", ""))
    if request.mimetype != "application/json":
        raise refusals.invalid(first_field)
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise refusals.unreadable() from None
    if not isinstance(body, dict):
        raise refusals.unreadable()
    return body


def answered(body: Any, status: int = 200) -> Response:
    """Answer with the fields in Daraja's order, however the app writes its own JSON."""
    return Response(json.dumps(body), status, content_type="application/json")

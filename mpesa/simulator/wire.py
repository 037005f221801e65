"""How Daraja's HTTP is read and answered, by whichever of its APIs."""

import json
from typing import Any

from flask import Response, request

from mpesa.simulator import refusals
from mpesa.simulator.fields import Body
from mpesa.simulator.organisation import Gateway
from mpesa.simulator.tokens import Tokens

# Routes are added with all of them: Daraja answers wrong ones in its own words.
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def require_method(method: str) -> None:
    """Refuse the request if it came with another method."""
    if request.method != method:
        raise refusals.wrong_method()


def body_of_request(tokens: Tokens, first_field: str, gateway: Gateway = Gateway.OPEN) -> Body:
    """Read the JSON object that was POSTed with a living token.

    Args:
        gateway: how the gateway is today.
        first_field: the field that the gateway misses where the content type is another one, since
            it then reads no field at all (Daraja docs, M-PESA Express FAQ 9).

    Raises:
        Refusal: the method, the token, the content type or the body is wrong; or the gateway is.
        RateLimited: the gateway says so.
        Blocked: the firewall before it says so.
    """
    require_method("POST")
    tokens.check(request.headers.get("Authorization", ""))
    _pass(gateway)
    if request.mimetype != "application/json":
        raise refusals.invalid(first_field)
    try:
        body = json.loads(request.get_data())
    except (ValueError, RecursionError):
        raise refusals.unreadable() from None
    if not isinstance(body, dict):
        raise refusals.unreadable()
    return body


def _pass(gateway: Gateway) -> None:
    match gateway:
        case Gateway.BUSY_500:
            raise refusals.busy()
        case Gateway.QUOTA:
            raise refusals.over_quota()
        case Gateway.RATE_429:
            raise refusals.RateLimited
        case Gateway.HTML_503:
            raise refusals.Blocked
        case Gateway.DEAD_TOKEN:
            raise refusals.dead_token()
        case Gateway.NO_PRODUCT:
            raise refusals.no_product()


def answered(body: Any, status: int = 200) -> Response:
    """Answer with the fields in Daraja's order, however the app writes its own JSON."""
    return Response(json.dumps(body), status, content_type="application/json")

"""GET /openapi.json: what the JSON routes take and answer, and GET /docs/api to read it.

Words that the domain has as enums are taken from there, so that the document cannot drift.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, current_app, json, render_template, request

from mpesa import __version__
from mpesa.config import Settings
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.snapshot import Money, Next, OrderStatus, View

openapi = Blueprint("openapi", __name__)

JSON, PROBLEM, FORM, HTML = (
    "application/json",
    "application/problem+json",
    "application/x-www-form-urlencoded",
    "text/html",
)
_AN_ID = "fPXIkVzsACg7ZCB7oJ3rbA"
_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]{16,64}$", "examples": [_AN_ID]}
_REFERENCE = {"type": "string", "pattern": "^[A-Za-z0-9._/-]{1,64}$", "examples": ["INV-1"]}
_TIME = {"type": "string", "format": "date-time", "examples": ["2030-01-31T12:00:00Z"]}
_MAYBE_TIME = {**_TIME, "type": ["string", "null"]}
_RECEIPT = {"type": "string", "pattern": "^[A-Z0-9]{10}$", "examples": ["UKO8I5ILFE"]}


def register(app: Flask, settings: Settings) -> None:
    """Build the document once, and add its two addresses."""
    app.extensions["mpesa.openapi"] = document(settings)
    app.register_blueprint(openapi)


@openapi.get("/openapi.json")
def show_document() -> Response:
    """The document, as OpenAPI 3.1."""
    response = Response(json.dumps(current_app.extensions["mpesa.openapi"]), content_type=JSON)
    return _kept(response)


@openapi.get("/docs/api")
def show_page() -> Response:
    """The document for people."""
    page = render_template("api.html", api=current_app.extensions["mpesa.openapi"])
    return _kept(Response(page))


def _kept(response: Response) -> Response:
    """It changes with the program or its settings only."""
    response.headers["Cache-Control"] = "public, max-age=300"
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]


def document(settings: Settings) -> dict[str, Any]:
    """The whole document, for these settings."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "M-PESA checkout",
            "version": __version__,
            "summary": "Orders, pushes and their results.",
            "description": (
                "Your server makes an order and sends the shopper to its `checkout_url`. Whether"
                " it is paid, your server asks at `GET /api/orders/{order_id}` or hears by webhook."
                " Errors are problem details (RFC 9457) whose `code` is stable. Amounts are whole"
                " Kenyan shillings."
            ),
        },
        "servers": [{"url": settings.public_url}],
        "tags": [
            {"name": "orders", "description": "For your server: wants one of API_KEYS."},
            {"name": "payments", "description": "For the page that waits: the ids are the key."},
            {"name": "callbacks", "description": "For Safaricom alone."},
            {"name": "operations", "description": "For load balancers and developers."},
        ],
        "paths": _paths(settings.daraja_max_amount),
        "components": {
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of API_KEYS.",
                }
            },
            "schemas": {"Snapshot": _snapshot(), "Order": _order(), "Problem": _problem()},
        },
    }


# -- pieces ------------------------------------------------------------------------------------


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _words(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": [str(word) for word in words]}


def _object(properties: Mapping[str, Any], optional: Iterable[str] = ()) -> dict[str, Any]:
    required = [name for name in properties if name not in set(optional)]
    return {
        "type": "object",
        "properties": dict(properties),
        "required": required,
        "additionalProperties": False,
    }


def _answer(description: str, schema: Any, **headers: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description, "content": {JSON: {"schema": schema}}}
    if headers:
        answer["headers"] = _headers(headers)
    return answer


def _headers(headers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name.replace("_", "-"): {"required": True, **each} for name, each in headers.items()}


def _refusals(*codes: str, page: bool = False) -> dict[str, Any]:
    """Answers for machine words, one a status.

    Args:
        page: a plain form is answered with a page under the same status.
    """
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(_STATUS[code], []).append(code)
    return {str(status): _refusal(status, words, page) for status, words in by_status.items()}


def _refusal(status: int, codes: list[str], page: bool) -> dict[str, Any]:
    schema = {**_ref("Problem"), "properties": {"code": {"enum": codes}}}
    answer: dict[str, Any] = {
        "description": " or ".join(f"`{code}`" for code in codes) + f": {_WHEN[codes[0]]}",
        "content": {PROBLEM: {"schema": schema}},
    }
    if page:
        answer["content"][HTML] = {"schema": {"type": "string"}}
    if status in (429, 503):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        answer["headers"] = {"Retry-After": {"required": status == 429, **seconds}}
    return answer


_STATUS = {
    "invalid_request": 400,
    "invalid_phone": 400,
    "unauthorized": 401,
    "not_found": 404,
    "order_not_found": 404,
    "transaction_not_found": 404,
    "order_paid": 409,
    "order_closed": 409,
    "attempt_open": 409,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "idempotency_mismatch": 422,
    "line_busy": 429,
    "retry_later": 429,
    "rate_limited": 429,
    "unavailable": 503,
}
_WHEN = {
    "invalid_request": "a field is wrong, named in `field`",
    "unauthorized": "no key, or not one of API_KEYS",
    "not_found": "no such address",
    "order_not_found": "no such order",
    "transaction_not_found": "no such transaction",
    "order_paid": "the order's state does not allow it",
    "attempt_open": "the order's state does not allow it",
    "payload_too_large": "more than 64 KiB",
    "unsupported_media_type": "another Content-Type than those above",
    "idempotency_mismatch": "this Idempotency-Key came before with other fields",
    "line_busy": "wait as long as `Retry-After` says",
    "rate_limited": "wait as long as `Retry-After` says",
    "unavailable": "the database does not answer, or cannot be written; nothing is lost, try again",
}
_BODY_REFUSALS = ("payload_too_large", "unsupported_media_type")

_KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same key with the same fields gives the first answer again.",
    "schema": {"type": "string", "maxLength": 255, "pattern": "^[!-~]([ -~]*[!-~])?$"},
}
_LANG = {
    "name": "lang",
    "in": "query",
    "description": "The language of `message`, as `sw` or `sw-KE`; else by Accept-Language.",
    "schema": {"type": "string", "examples": ["sw"]},
}
_ORDER_ID = {"name": "order_id", "in": "path", "required": True, "schema": _ID}


# -- routes ------------------------------------------------------------------------------------


def _paths(largest: int) -> dict[str, Any]:
    return {
        "/api/orders": {"post": _create_order(largest), "get": _find_orders()},
        "/api/orders/{order_id}": {"get": _read_order()},
        "/api/orders/{order_id}/cancel": {"post": _cancel_order()},
        "/stk-push": {"post": _stk_push()},
        "/check-status": {"get": _check_status()},
        "/sms-code": {"post": _sms_code()},
        "/callback/{token}": {"post": _callback()},
        "/healthz": {"get": _healthz()},
        "/readyz": {"get": _readyz()},
        "/openapi.json": {"get": _openapi()},
    }


def _route(
    tag: str, summary: str, responses: dict[str, Any], *, keyed: bool = False, **more: Any
) -> dict[str, Any]:
    return {
        "tags": [tag],
        "summary": summary,
        "security": [{"apiKey": []}] if keyed else [],
        **more,
        "responses": responses,
    }


def _body(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "required": True,
        "content": {kind: {"schema": schema} for kind, schema in schemas.items()},
    }


def _create_order(largest: int) -> dict[str, Any]:
    fields = _object(
        {
            "amount": {"type": "integer", "minimum": 1, "maximum": largest, "examples": [150]},
            "reference": {**_REFERENCE, "description": "Yours; the payer sees the last 12."},
            "description": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "format": "one-line",
                "description": "What is paid for, in any script; no control characters.",
                "examples": ["Two coffees"],
            },
            "currency": {"enum": ["KES", None], "description": "May be left out."},
            "return_url": {
                "type": ["string", "null"],
                "format": "uri",
                "maxLength": 2000,
                "description": "Where the shopper goes afterwards: https (with the simulator also"
                " http on loopback). What it brings along proves nothing.",
            },
            "expires_at": {**_MAYBE_TIME, "description": "Within ten years, with its zone."},
        },
        optional=("currency", "return_url", "expires_at"),
    )
    # What is not known is passed over, so that tomorrow's clients can speak with today's server.
    fields["additionalProperties"] = True
    location = {"description": "The order's address.", "schema": {"type": "string"}}
    return _route(
        "orders",
        "Make an order",
        {
            "201": _answer("The new order, or the one that this key made.", _ref("Order"),
                           Location=location),
            **_refusals("invalid_request", "unauthorized", *_BODY_REFUSALS,
                        "idempotency_mismatch", "unavailable"),
        },
        keyed=True,
        parameters=[_KEY_HEADER],
        requestBody=_body({JSON: fields}),
    )  # fmt: skip


def _find_orders() -> dict[str, Any]:
    reference = {"name": "reference", "in": "query", "required": True, "schema": _REFERENCE}
    found = _object({"orders": {"type": "array", "items": _ref("Order")}})
    return _route(
        "orders",
        "Find orders by reference, newest first",
        {
            "200": _answer("They may be none.", found),
            **_refusals("invalid_request", "unauthorized", "unavailable"),
        },
        keyed=True,
        parameters=[reference],
    )


def _read_order() -> dict[str, Any]:
    return _route(
        "orders",
        "Read an order, with its transactions",
        {
            "200": _answer("The order as it is now.", _ref("Order")),
            **_refusals("invalid_request", "unauthorized", "order_not_found", "unavailable"),
        },
        keyed=True,
        parameters=[_ORDER_ID],
    )


def _cancel_order() -> dict[str, Any]:
    return _route(
        "orders",
        "Cancel an order; once more does no harm",
        {
            "200": _answer("The cancelled order.", _ref("Order")),
            **_refusals("invalid_request", "unauthorized", "order_not_found", "attempt_open",
                        "order_paid", "unavailable"),
        },
        keyed=True,
        parameters=[_ORDER_ID],
    )  # fmt: skip


def _stk_push() -> dict[str, Any]:
    fields = _object(
        {
            "order_id": {"type": "string", "minLength": 1, "examples": _ID["examples"]},
            "phone": {
                "type": "string",
                "format": "kenyan-mobile",
                "description": "07…, 01…, 7…, 254…; also with +, 00, 000 or tel: in front, and with"
                " whatever blanks, dashes, brackets and dots people write or paste.",
                "examples": ["0712 345 678"],
            },
        }
    )
    fields["additionalProperties"] = True
    return _route(
        "payments",
        "Have a prompt shown on the payer's phone",
        {
            "202": _answer("A push went out; the snapshot says what became of it.",
                           _ref("Snapshot")),
            "200": _answer("The same phone joined the open attempt.", _ref("Snapshot")),
            "303": _redirect(),
            **_refusals("invalid_request", "invalid_phone", "order_not_found", "order_paid",
                        "order_closed", "attempt_open", "idempotency_mismatch", "line_busy",
                        "retry_later", "rate_limited", *_BODY_REFUSALS, "unavailable", page=True),
        },
        parameters=[_KEY_HEADER],
        requestBody=_body({JSON: fields, FORM: fields}),
    )  # fmt: skip


def _redirect() -> dict[str, Any]:
    location = {"description": "The checkout page.", "schema": {"type": "string"}}
    return {
        "description": "A plain form goes on to the checkout page.",
        "headers": _headers({"Location": location}),
        "content": {HTML: {"schema": {"type": "string"}}},
    }


def _check_status() -> dict[str, Any]:
    etag = {"description": "Changes with what is shown.", "schema": {"type": "string"}}
    return _route(
        "payments",
        "Ask how a transaction stands",
        {
            "200": _answer("The snapshot. Ask again after `poll_after` seconds.",
                           _ref("Snapshot"), ETag=etag),
            "304": {"description": "Nothing changed since the ETag in If-None-Match.",
                    "headers": _headers({"ETag": etag})},
            **_refusals("invalid_request", "transaction_not_found", "unavailable"),
        },
        parameters=[
            {"name": "tx_id", "in": "query", "required": True,
             "schema": {"type": "string", "minLength": 1, "examples": _ID["examples"]}},
            _LANG,
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}},
        ],
    )  # fmt: skip


def _sms_code() -> dict[str, Any]:
    fields = _object(
        {
            "tx_id": {"type": "string", "minLength": 1, "examples": _ID["examples"]},
            "code": {
                "type": "string",
                "format": "receipt",
                "description": "The receipt of the shopper's SMS, or the whole SMS. Kept, never"
                " believed by itself.",
                "examples": _RECEIPT["examples"],
            },
        }
    )
    fields["additionalProperties"] = True
    return _route(
        "payments",
        "Send the code of an M-PESA SMS, and have Daraja asked at once",
        {
            "202": _answer("The snapshot.", _ref("Snapshot")),
            "303": _redirect(),
            **_refusals("invalid_request", "transaction_not_found", "rate_limited",
                        *_BODY_REFUSALS, "unavailable", page=True),
        },
        requestBody=_body({JSON: fields, FORM: fields}),
    )  # fmt: skip


def _callback() -> dict[str, Any]:
    taken = _object(
        {"ResultCode": {"type": "integer", "const": 0}, "ResultDesc": {"const": "Accepted"}}
    )
    token = {
        "name": "token",
        "in": "path",
        "required": True,
        "description": "The secret of one transaction.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    return _route(
        "callbacks",
        "Take in Daraja's word on a transaction",
        {
            "200": _answer("Its raw body is committed, whatever it says.", taken),
            **_refusals("invalid_request", "not_found", "payload_too_large", "unavailable"),
        },
        parameters=[token],
        requestBody={"required": False, "content": {"*/*": {}}},
    )


def _healthz() -> dict[str, Any]:
    fields = _object(
        {
            "status": {"const": "ok"},
            "version": {"type": "string", "examples": [__version__],
                        "description": "This program's, as everywhere that names one."},
            "proof": {"type": "string", "pattern": "^[0-9a-f]{64}$",
                      "description": "Only this server can say it of that nonce."},
        },
        optional=("proof",),
    )  # fmt: skip
    nonce = {"name": "nonce", "in": "query", "schema": {"type": "string"},
             "description": "32 hexadecimal digits, from `flask doctor`."}  # fmt: skip
    return _route(
        "operations",
        "Whether the process serves",
        {"200": _answer("It does.", fields), **_refusals("invalid_request")},
        parameters=[nonce],
    )


def _readyz() -> dict[str, Any]:
    ready = _object({"status": {"const": "ready"}})
    return _route(
        "operations",
        "Whether the database can be written, and Redis answers",
        {
            "200": _answer("Ready.", ready),
            **_refusals("invalid_request", "unavailable"),
        },
    )


def _openapi() -> dict[str, Any]:
    return _route(
        "operations",
        "This document",
        {
            "200": _answer("OpenAPI 3.1.", {"type": "object"}),
            **_refusals("invalid_request"),
        },
    )


# -- what is answered --------------------------------------------------------------------------


def _snapshot() -> dict[str, Any]:
    seconds = {"type": ["integer", "null"], "minimum": 1}
    return _object(
        {
            "transaction_id": {**_ID, "description": "This attempt: one STK push."},
            "order_id": {**_ID, "description": "What it pays for."},
            "order_status": {
                **_words(OrderStatus),
                "description": "PAID on an attempt that is not: another one paid.",
            },
            "status": {**_words(Status), "description": "Nothing else, ever."},
            "reason": {**_words(Reason), "description": "Why it stands where it does."},
            "message": {"type": "string", "description": "One plain sentence for the shopper."},
            "view": {
                **_words(each for each in View if each is not View.PHONE),
                "description": "What the checkout page shows.",
            },
            "money": {**_words(Money), "description": "Whether money was taken."},
            "next": {**_words(Next), "description": "The one thing for the shopper to do."},
            "final": {"type": "boolean", "description": "No change is expected any more."},
            "can_retry": {"type": "boolean", "description": "Another push may be offered."},
            "retry_after": {
                **seconds,
                "description": "Seconds until that; null: at once, or not at all.",
            },
            "amount": {"type": "integer", "minimum": 1},
            "currency": {"const": "KES"},
            "phone": {
                "type": "string",
                "description": "Who was asked, masked; empty once it was forgotten.",
                "examples": ["0712•••678"],
            },
            "receipt": {
                **_RECEIPT,
                "type": ["string", "null"],
                "description": "M-PESA's receipt number once known.",
            },
            "created_at": _TIME,
            "updated_at": _TIME,
            "seq": {
                "type": "integer",
                "minimum": 1,
                "description": "Only grows: drop a snapshot with a smaller one than you have.",
            },
            "poll_after": {
                "type": "integer",
                "minimum": 1,
                "description": "Seconds until the next poll.",
            },
        }
    )


def _order() -> dict[str, Any]:
    return _object(
        {
            "order_id": _ID,
            "checkout_url": {
                "type": "string",
                "format": "uri",
                "description": "Where to send the shopper.",
            },
            "status": _words(OrderStatus),
            "amount": {"type": "integer", "minimum": 1},
            "currency": {"const": "KES"},
            "reference": _REFERENCE,
            "description": {"type": "string", "minLength": 1, "maxLength": 200},
            "return_url": {"type": ["string", "null"]},
            "expires_at": _MAYBE_TIME,
            "created_at": _TIME,
            "needs_review": {"type": "boolean", "description": "A person has to look."},
            "transactions": {
                "type": "array",
                "items": _ref("Snapshot"),
                "description": "Its attempts, newest first.",
            },
        }
    )


def _problem() -> dict[str, Any]:
    """Not closed, since an answer narrows it."""
    return {
        "type": "object",
        "properties": {
            "type": {"const": "about:blank"},
            "title": {"type": "string", "examples": [HTTPStatus.BAD_REQUEST.phrase]},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {"type": "string", "description": "For programs; stable."},
            "detail": {"type": "string", "description": "For people."},
            "field": {"type": "string", "description": "The field that is wrong."},
        },
        "required": ["type", "title", "status", "code", "detail"],
    }

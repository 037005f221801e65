"""GET /openapi.json: what the JSON routes take and answer, and GET /docs/api to read it.

Words that the domain has as enums are taken from there, so that the document cannot drift.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from flask import Blueprint, Flask, Response, current_app, json, render_template, request

from mpesa import __version__
from mpesa.config import Settings
from mpesa.domain.attempt import OrderStatus
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.view import Money, Next, View
from mpesa.domain.webhook import FOR_PAGES, TEST, MessageType
from mpesa.web.http.problems import MEANINGS, Code, type_of

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
    document = current_app.extensions["mpesa.openapi"]
    page = render_template("api.html", api=document, meanings=MEANINGS)
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
                " Errors are problem details (RFC 9457): `code` is stable, and `type` leads to its"
                " explanation. Amounts are whole Kenyan shillings."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": settings.public_url}],
        "tags": [
            {"name": "orders", "description": "For your server: wants one of API_KEYS."},
            {"name": "payments", "description": "For the page that waits: the ids are the key."},
            {"name": "callbacks", "description": "For Safaricom alone."},
            {"name": "operations", "description": "For load balancers and developers."},
            {"name": "webhooks", "description": "What this server posts to your WEBHOOK_URL."},
        ],
        "paths": _paths(settings.daraja_max_amount),
        "webhooks": _webhooks(),
        "components": {
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "One of API_KEYS.",
                }
            },
            "schemas": {
                "Snapshot": _snapshot(),
                "Order": _order(),
                "WebhookSnapshot": _webhook_snapshot(),
                "Problem": _problem(),
            },
        },
    }


# -- pieces ------------------------------------------------------------------------------------


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _always(word: str, description: str | None = None) -> dict[str, Any]:
    schema = {"type": "string", "const": word}
    return schema if description is None else {**schema, "description": description}


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


def _refusals(*codes: Code, page: bool = False) -> dict[str, Any]:
    """Answers for machine words, one a status.

    Args:
        page: a plain form is answered with a page under the same status.
    """
    by_status: dict[int, list[Code]] = {}
    for code in codes:
        by_status.setdefault(MEANINGS[code].status, []).append(code)
    return {str(status): _refusal(status, words, page) for status, words in by_status.items()}


def _refusal(status: int, codes: list[Code], page: bool = False) -> dict[str, Any]:
    # allOf, since generators of clients read nothing that stands beside a $ref.
    narrowed = {
        "type": "object",
        "properties": {
            "type": _words(type_of(code) for code in codes),
            "title": _words(MEANINGS[code].title for code in codes),
            "status": {"type": "integer", "const": status},
            "code": _words(codes),
        },
    }
    answer: dict[str, Any] = {
        "description": " ".join(f"`{code}`: {MEANINGS[code].title}." for code in codes),
        "content": {PROBLEM: {"schema": {"allOf": [_ref("Problem"), narrowed]}}},
    }
    if page:
        answer["content"][HTML] = {"schema": {"type": "string"}}
    if status in (429, 500, 503):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        answer["headers"] = {"Retry-After": {"required": status == 429, **seconds}}
    return answer


_BODY_REFUSALS: tuple[Code, ...] = ("payload_too_large", "unsupported_media_type")

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
_ORDER_ID = {
    "name": "order_id",
    "in": "path",
    "required": True,
    "description": "As it came when the order was made.",
    "schema": _ID,
}


# -- routes ------------------------------------------------------------------------------------


def _paths(largest: int) -> dict[str, Any]:
    return {
        "/api/orders": {"get": _find_orders(), "post": _create_order(largest)},
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
    operation_id: str,
    tag: str,
    summary: str,
    description: str,
    responses: dict[str, Any],
    *,
    keyed: bool = False,
    **more: Any,
) -> dict[str, Any]:
    return {
        "operationId": operation_id,
        "tags": [tag],
        "summary": summary,
        "description": description,
        "security": [{"apiKey": []}] if keyed else [],
        **more,
        "responses": dict(sorted({**responses, "500": _refusal(500, ["unavailable"])}.items())),
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
            "currency": {
                "type": ["string", "null"],
                "enum": ["KES", None],
                "description": "May be left out.",
            },
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
        "createOrder",
        "orders",
        "Make an order",
        "Fixes what is to be paid, and gives the `checkout_url` to send the shopper to. Fields that"
        " are not known are passed over. The same Idempotency-Key with the same fields gives the"
        " same order again, so that a request without an answer can be repeated.",
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
    reference = {"name": "reference", "in": "query", "required": True,
                 "description": "The orders' own.", "schema": _REFERENCE}  # fmt: skip
    found = _object({"orders": {"type": "array", "items": _ref("Order")}})
    return _route(
        "findOrders",
        "orders",
        "Find orders by reference, newest first",
        "Several orders may have one reference. Ask here where no webhook came.",
        {
            "200": _answer("They may be none.", found),
            **_refusals("invalid_request", "unauthorized", "unavailable"),
        },
        keyed=True,
        parameters=[reference],
    )


def _read_order() -> dict[str, Any]:
    return _route(
        "readOrder",
        "orders",
        "Read an order, with its transactions",
        "`status` says whether it is paid; ship once where it is PAID. Each transaction is one"
        " push, with its result and receipt.",
        {
            "200": _answer("The order as it is now.", _ref("Order")),
            **_refusals("invalid_request", "unauthorized", "order_not_found", "unavailable"),
        },
        keyed=True,
        parameters=[_ORDER_ID],
    )


def _cancel_order() -> dict[str, Any]:
    return _route(
        "cancelOrder",
        "orders",
        "Cancel an order; once more does no harm",
        "Stops new pushes. Refused while a prompt is open, since it may still be paid. Money that"
        " comes all the same makes the order PAID, and needs review.",
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
        "startPush",
        "payments",
        "Have a prompt shown on the payer's phone",
        "Starts a transaction: one STK push for the order's amount. The answer is a snapshot and"
        " no result; the result comes by `GET /check-status` or Socket.IO. With an Idempotency-Key"
        " a repeated request starts no second one.",
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
        "readStatus",
        "payments",
        "Ask how a transaction stands",
        "What pages without a socket poll: the same snapshot that the socket brings.",
        {
            "200": _answer("The snapshot. Ask again after `poll_after` seconds.",
                           _ref("Snapshot"), ETag=etag),
            "304": {"description": "Nothing changed since the ETag in If-None-Match.",
                    "headers": _headers({"ETag": etag})},
            **_refusals("invalid_request", "transaction_not_found", "unavailable"),
        },
        parameters=[
            {"name": "tx_id", "in": "query", "required": True,
             "description": "The `transaction_id` of a snapshot.",
             "schema": {"type": "string", "minLength": 1, "examples": _ID["examples"]}},
            _LANG,
            {"name": "If-None-Match", "in": "header", "schema": {"type": "string"},
             "description": "The last answer's ETag."},
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
        "sendSmsCode",
        "payments",
        "Send the code of an M-PESA SMS, and have Daraja asked at once",
        "For a shopper who has paid while the page does not know it yet. Five an hour for one"
        " transaction.",
        {
            "202": _answer("The snapshot.", _ref("Snapshot")),
            "303": _redirect(),
            **_refusals("invalid_request", "transaction_not_found", "rate_limited",
                        *_BODY_REFUSALS, "unavailable", page=True),
        },
        requestBody=_body({JSON: fields, FORM: fields}),
    )  # fmt: skip


_ASKED = {"MerchantRequestID": "29115-34620561-1", "CheckoutRequestID": "ws_CO_191220191020363925"}
_PAID = {"Amount": 1, "MpesaReceiptNumber": "NLJ7RT61SV", "TransactionDate": 20191219102115,
         "PhoneNumber": 254708374149}  # fmt: skip
# As Safaricom documents them (Daraja docs, M-Pesa Express, "Results").
_CALLBACKS = {
    "paid": {
        "summary": "The payer paid.",
        "value": {"Body": {"stkCallback": {
            **_ASKED,
            "ResultCode": 0,
            "ResultDesc": "The service request is processed successfully.",
            "CallbackMetadata": {
                "Item": [{"Name": name, "Value": value} for name, value in _PAID.items()],
            },
        }}},
    },
    "cancelled": {
        "summary": "The payer cancelled the prompt.",
        "value": {"Body": {"stkCallback": {
            **_ASKED, "ResultCode": 1032, "ResultDesc": "Request canceled by user.",
        }}},
    },
}  # fmt: skip


def _callback() -> dict[str, Any]:
    taken = _object(
        {"ResultCode": {"type": "integer", "const": 0}, "ResultDesc": _always("Accepted")}
    )
    token = {
        "name": "token",
        "in": "path",
        "required": True,
        "description": "The secret of one transaction.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    return _route(
        "takeCallback",
        "callbacks",
        "Take in Daraja's word on a transaction",
        "Daraja sends `application/json`. Anything else that arrives under a known token is kept as"
        " well, and answered 200, since a callback comes only once.",
        {
            "200": _answer("Its raw body is committed, whatever it says.", taken),
            **_refusals("invalid_request", "not_found", "payload_too_large", "unavailable"),
        },
        parameters=[token],
        requestBody={
            "required": False,
            "content": {
                JSON: {
                    "schema": {"description": "Daraja's, and not checked here."},
                    "examples": _CALLBACKS,
                }
            },
        },
    )


def _healthz() -> dict[str, Any]:
    fields = _object(
        {
            "status": _always("ok"),
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
        "readHealth",
        "operations",
        "Whether the process serves",
        "Asks neither the database nor Redis.",
        {"200": _answer("It does.", fields), **_refusals("invalid_request")},
        parameters=[nonce],
    )


def _readyz() -> dict[str, Any]:
    ready = _object({"status": _always("ready")})
    return _route(
        "readReadiness",
        "operations",
        "Whether the database can be written, and Redis answers",
        "What is wrong is named in `detail`.",
        {
            "200": _answer("Ready.", ready),
            **_refusals("invalid_request", "unavailable"),
        },
    )


def _openapi() -> dict[str, Any]:
    return _route(
        "readDocument",
        "operations",
        "This document",
        "The same for people is at /docs/api.",
        {
            "200": _answer("OpenAPI 3.1.", {"type": "object", "additionalProperties": True}),
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
            "currency": _always("KES"),
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
            "currency": _always("KES"),
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
    codes = list(MEANINGS)
    return {
        "type": "object",
        "properties": {
            "type": {
                "type": "string",
                "format": "uri-reference",
                "description": "Where `code` is explained, on this server.",
                "examples": [type_of("invalid_phone")],
            },
            "title": {
                "type": "string",
                "description": "The same wherever `code` is the same.",
                "examples": [MEANINGS["invalid_phone"].title],
            },
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "code": {**_words(codes), "description": "For programs; stable."},
            "detail": {
                "type": "string",
                "description": "For people, in the language of the request.",
            },
            "field": {"type": "string", "description": "The field that is wrong."},
        },
        "required": ["type", "title", "status", "code", "detail"],
    }


# -- what is told by webhook ---------------------------------------------------------------------


def _webhooks() -> dict[str, Any]:
    snapshot = _ref("WebhookSnapshot")
    note = _object({"note": {"type": "string", "description": "Says so to people."}})
    return {
        MessageType.SUCCEEDED.value: _message(
            "transactionSucceeded",
            "A transaction was paid",
            "Sent once more where the receipt comes later than the news. Ship where `order_status`"
            " is PAID, once for each `order_id`.",
            _told(MessageType.SUCCEEDED, snapshot),
        ),
        MessageType.FAILED.value: _message(
            "transactionFailed",
            "A transaction failed",
            "Sent once more where its `reason` or `final` changes. While `final` is false, money"
            " may still come.",
            _told(MessageType.FAILED, snapshot),
        ),
        MessageType.NEEDS_REVIEW.value: _message(
            "transactionNeedsReview",
            "A person has to look at a transaction",
            "Money may be at stake, and no rule decides it.",
            _told(MessageType.NEEDS_REVIEW, snapshot),
        ),
        TEST: _message(
            "webhookTest",
            "A test on demand",
            "Sent by `flask webhooks test` alone, signed like the others. It tells of no payment.",
            _told(TEST, note),
        ),
    }


def _told(kind: str, what: dict[str, Any]) -> dict[str, Any]:
    when = {**_TIME, "description": "When it happened."}
    return _object({"type": _always(kind), "timestamp": when, "data": what})


def _message(
    operation_id: str, summary: str, description: str, body: dict[str, Any]
) -> dict[str, Any]:
    operation = {
        "operationId": operation_id,
        "tags": ["webhooks"],
        "summary": summary,
        "description": description,
        "security": [],
        "parameters": _SIGNED,
        "requestBody": _body({JSON: body}),
        "responses": {
            "2XX": {"description": "It was taken."},
            "default": {
                "description": "It was not taken, and is sent again, over three days. 410 stops the"
                " endpoint until an operator opens it."
            },
        },
    }
    return {"post": operation}


# Standard Webhooks 1.0.0, "Webhook metadata".
_SIGNED = [
    {
        "name": "webhook-id",
        "in": "header",
        "required": True,
        "description": "The message's own, the same when it is sent again: act once on each.",
        "schema": {"type": "string", "pattern": "^msg_[A-Za-z0-9_-]+$"},
    },
    {
        "name": "webhook-timestamp",
        "in": "header",
        "required": True,
        "description": "When it was sent, in seconds since 1970. Refuse one that is more than five"
        " minutes away.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    {
        "name": "webhook-signature",
        "in": "header",
        "required": True,
        "description": "One for each secret of WEBHOOK_SECRET, separated by spaces: `v1,` and the"
        " base64 of HMAC-SHA256, with the secret's bytes, over `webhook-id`, a dot,"
        " `webhook-timestamp`, a dot and the raw body. Compare in constant time; any one that fits"
        " will do.",
        "schema": {"type": "string", "pattern": "^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"},
    },
]


def _webhook_snapshot() -> dict[str, Any]:
    left_out = {"message", *FOR_PAGES}
    fields = {k: each for k, each in _snapshot()["properties"].items() if k not in left_out}
    return _object({**fields, "reference": {**_REFERENCE, "description": "The order's, yours."}})

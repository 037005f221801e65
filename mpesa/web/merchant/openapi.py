"""GET /openapi.json describes the JSON routes, and GET /docs/api shows that document to people.

The words of enums come from the domain, so that the document and the code cannot differ.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, json, render_template, request

from mpesa import __version__
from mpesa.config import DEVELOPMENT_API_KEY, AccountType, Settings, is_loopback
from mpesa.domain import pay_code
from mpesa.domain.attempt import Channel, OrderStatus
from mpesa.domain.receipt import Direction, State
from mpesa.domain.refund import RefundStatus
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.told import WitnessKind
from mpesa.domain.view import Money, Next, View
from mpesa.domain.webhook import FOR_PAGES, TEST, MessageType
from mpesa.web.http.problems import MEANINGS, Code, type_of
from mpesa.web.http.services import services
from mpesa.web.merchant import examples, states

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
_MAYBE_RECEIPT = {**_RECEIPT, "type": ["string", "null"]}
_CENTS = {"type": "string", "pattern": "^[0-9]+[.][0-9]{2}$", "examples": ["500.00"]}
_PAY_CODE = {
    "type": ["string", "null"],
    "pattern": f"^[0-9]{{{pay_code.LENGTH}}}$",
    "examples": ["234567890"],
}

_TAGS = [
    {"name": "orders", "description": "For your server: needs one of API_KEYS."},
    {"name": "receipts", "description": "What M-PESA reported: needs one of API_KEYS."},
    {"name": "refunds", "description": "To give money back; REFUND_API_KEYS ask for it."},
    {"name": "payments", "description": "For the page that waits: the ids are the key."},
    {"name": "callbacks", "description": "For Safaricom alone."},
    {"name": "operations", "description": "For load balancers and developers."},
    {"name": "webhooks", "description": "What this server posts to your WEBHOOK_URL."},
]


@openapi.get("/openapi.json")
def show_document() -> Response:
    """Answer with the document, as OpenAPI 3.1."""
    response = Response(json.dumps(document(services().settings)), content_type=JSON)
    return _cached(response)


@openapi.get("/docs/api")
def show_page() -> Response:
    """Show the document to people."""
    settings = services().settings
    address = _address(settings)
    page = render_template(
        "api.html",
        api=document(settings),
        meanings=MEANINGS,
        address=address,
        recorded=examples.recorded(address),
        curl=examples.curl,
        in_colour=examples.in_colour,
        from_text=json.loads,
        of_the_simulator=examples.OF_THE_SIMULATOR if settings.asks_its_own_simulator else (),
        of_any_reason=states.of_any_reason(),
        by_status={status: states.of_status(status) for status in Status},
        development_key=DEVELOPMENT_API_KEY if DEVELOPMENT_API_KEY in settings.api_keys else None,
    )
    return _cached(Response(page))


def _address(settings: Settings) -> str:
    """Where the page's reader reaches this server: PUBLIC_URL, or its name on its own machine."""
    own = settings.simulated and is_loopback(urlsplit(request.host_url).hostname or "")
    return request.host_url.rstrip("/") if own else settings.public_url


def _cached(response: Response) -> Response:
    """Let browsers keep it for five minutes: it changes with the program or its settings only."""
    response.headers["Cache-Control"] = "public, max-age=300"
    response.add_etag()
    return response.make_conditional(request)  # type: ignore[return-value]


def document(settings: Settings) -> dict[str, Any]:
    """The whole document for these settings, with examples of calls and their answers."""
    return _document(settings.public_url, settings.daraja_max_amount)


@cache
def _document(public_url: str, most: int) -> dict[str, Any]:
    return examples.add(_described(public_url, most), examples.recorded(public_url))


def _described(public_url: str, most: int) -> dict[str, Any]:
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
                " explanation. Amounts of orders and transactions are whole Kenyan shillings; those"
                " of receipts are texts with two decimal places."
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": public_url}],
        "tags": _TAGS,
        "paths": {
            "/api/orders": {
                "post": _create_order(most),
                "get": _FIND_ORDERS,
            },
            "/api/orders/{order_id}": {"get": _READ_ORDER},
            "/api/orders/{order_id}/cancel": {"post": _CANCEL_ORDER},
            "/api/receipts": {"get": _LIST_RECEIPTS},
            "/api/receipts/{receipt}": {"get": _READ_RECEIPT},
            "/api/receipts/{receipt}/claim": {"post": _CLAIM_RECEIPT},
            "/api/refunds": {"post": _ASK_FOR_REFUND, "get": _LIST_REFUNDS},
            "/api/refunds/{refund_id}": {"get": _READ_REFUND},
            "/stk-push": {"post": _START_PUSH},
            "/pay-by-hand": {"post": _PAY_BY_HAND},
            "/check-status": {"get": _READ_STATUS},
            "/sms-code": {"post": _SEND_SMS_CODE},
            "/callback/{token}": {"post": _TAKE_CALLBACK},
            "/c2b/{token}/confirmation": {"post": _TAKE_CONFIRMATION},
            "/c2b/{token}/validation": {"post": _LET_PASS},
            "/result/{token}": {"post": _TAKE_RESULT},
            "/timeout/{token}": {"post": _TAKE_TIMEOUT},
            "/healthz": {"get": _READ_HEALTH},
            "/readyz": {"get": _READ_READINESS},
            "/openapi.json": {"get": _READ_DOCUMENT},
        },
        "webhooks": _WEBHOOKS,
        "components": {
            "securitySchemes": {
                "apiKey": _bearer("One of API_KEYS."),
                "refundKey": _bearer("One of REFUND_API_KEYS."),
            },
            "schemas": _SCHEMAS,
        },
    }


# -- pieces ------------------------------------------------------------------------------------


def _bearer(description: str) -> dict[str, Any]:
    return {"type": "http", "scheme": "bearer", "description": description}


def _schema(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{name}"}


def _always(word: str, description: str | None = None) -> dict[str, Any]:
    schema = {"type": "string", "const": word}
    return schema if description is None else {**schema, "description": description}


def _one_of(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": [str(word) for word in words]}


def _object(
    properties: Mapping[str, Any], optional: Iterable[str] = (), *, closed: bool = True
) -> dict[str, Any]:
    """An object.

    Args:
        closed: whether it has no other properties. What the server takes is open: it passes over
            fields that it does not know, so that newer clients can speak with an older server.
    """
    return {
        "type": "object",
        "properties": dict(properties),
        "required": [name for name in properties if name not in set(optional)],
        "additionalProperties": not closed,
    }


def _json_answer(description: str, schema: Any, **headers: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": description, "content": {JSON: {"schema": schema}}}
    if headers:
        answer["headers"] = _headers(headers)
    return answer


def _headers(headers: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    return {name.replace("_", "-"): {"required": True, **each} for name, each in headers.items()}


def _refusals(*codes: Code, page: bool = False) -> dict[str, Any]:
    """Answers for machine words, one answer for each status.

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
            "type": _one_of(type_of(code) for code in codes),
            "title": _one_of(MEANINGS[code].title for code in codes),
            "status": {"type": "integer", "const": status},
            "code": _one_of(codes),
        },
    }
    answer: dict[str, Any] = {
        "description": " ".join(f"`{code}`: {MEANINGS[code].title}." for code in codes),
        "content": {PROBLEM: {"schema": {"allOf": [_schema("Problem"), narrowed]}}},
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
    "description": "From the answer that created the order.",
    "schema": _ID,
}


# -- routes ------------------------------------------------------------------------------------


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
            "reference": {
                **_REFERENCE,
                "description": "Your reference; the payer sees its last 12 characters.",
            },
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
                " http on loopback). The parameters that are added to it prove nothing.",
            },
            "expires_at": {**_MAYBE_TIME, "description": "Within ten years, with its zone."},
        },
        optional=("currency", "return_url", "expires_at"),
        closed=False,
    )
    location = {"description": "The order's address.", "schema": {"type": "string"}}
    return _route(
        "createOrder",
        "orders",
        "Make an order",
        "Fixes what is to be paid, and gives the `checkout_url` to send the shopper to. Unknown"
        " fields are ignored. The same Idempotency-Key with the same fields gives the"
        " same order again, so that a request without an answer can be repeated.",
        {
            "201": _json_answer("The new order, or the one that this key made.", _schema("Order"),
                                Location=location),
            **_refusals("invalid_request", "unauthorized", *_BODY_REFUSALS,
                        "idempotency_mismatch", "unavailable"),
        },
        keyed=True,
        parameters=[_KEY_HEADER],
        requestBody=_body({JSON: fields}),
    )  # fmt: skip


_FIND_ORDERS = _route(
    "findOrders",
    "orders",
    "Find orders by reference, newest first",
    "Several orders may have one reference. Ask here where no webhook came.",
    {
        "200": _json_answer("All of them; the list may be empty.",
                            _object({"orders": {"type": "array", "items": _schema("Order")}})),
        **_refusals("invalid_request", "unauthorized", "unavailable"),
    },
    keyed=True,
    parameters=[
        {"name": "reference", "in": "query", "required": True,
         "description": "The reference of the orders.", "schema": _REFERENCE},
    ],
)  # fmt: skip

_READ_ORDER = _route(
    "readOrder",
    "orders",
    "Read an order, with its transactions",
    "`status` says whether it is paid; ship once where it is PAID. Each transaction is one"
    " try to pay it, by push or by hand, with its result and receipt.",
    {
        "200": _json_answer("The order as it is now.", _schema("Order")),
        **_refusals("invalid_request", "unauthorized", "order_not_found", "unavailable"),
    },
    keyed=True,
    parameters=[_ORDER_ID],
)

_CANCEL_ORDER = _route(
    "cancelOrder",
    "orders",
    "Cancel an order; once more does no harm",
    "Stops new pushes. Refused while a prompt is open, since it may still be paid. Money that"
    " comes all the same makes the order PAID, and needs review.",
    {
        "200": _json_answer("The cancelled order.", _schema("Order")),
        **_refusals("invalid_request", "unauthorized", "order_not_found", "attempt_open",
                    "order_paid", "unavailable"),
    },
    keyed=True,
    parameters=[_ORDER_ID],
)  # fmt: skip

_NUMBER = {
    "name": "receipt",
    "in": "path",
    "required": True,
    "description": "M-PESA's receipt number.",
    "schema": {"type": "string", "minLength": 1, "examples": _RECEIPT["examples"]},
}

_CURSOR = {
    "name": "cursor",
    "in": "query",
    "description": "The `next` of an earlier answer; from the beginning without it.",
    "schema": {"type": "string", "format": "cursor"},
}
_LIMIT = {
    "name": "limit",
    "in": "query",
    "description": "How many at most.",
    "schema": {"type": "integer", "minimum": 1, "maximum": 200, "default": 50},
}

_LIST_RECEIPTS = _route(
    "listReceipts",
    "receipts",
    "List receipts, the oldest change first",
    "Keep `next`, and send it as `cursor` when you ask again: you see each receipt in its latest"
    " state, and one that changed since then once more. `next` is null where the page is empty:"
    " keep the one that you have. The newest 15 seconds are left out, since changes of that time"
    " may still be written.",
    {
        "200": _json_answer(
            "A page of them.",
            _object(
                {
                    "receipts": {"type": "array", "items": _schema("Receipt")},
                    "next": {
                        "type": ["string", "null"],
                        "description": "The cursor of the next page; null: this one is empty.",
                    },
                }
            ),
        ),
        **_refusals("invalid_request", "unauthorized", "unavailable"),
    },
    keyed=True,
    parameters=[
        {"name": "state", "in": "query", "schema": _one_of(State),
         "description": "Only payments in this state, and no reversals."},
        _CURSOR,
        _LIMIT,
    ],
)  # fmt: skip

_READ_RECEIPT = _route(
    "readReceipt",
    "receipts",
    "Read a receipt",
    "One movement of money at M-PESA, however many messages report it.",
    {
        "200": _json_answer("The receipt as it is now.", _schema("Receipt")),
        **_refusals("invalid_request", "unauthorized", "receipt_not_found", "unavailable"),
    },
    keyed=True,
    parameters=[
        _NUMBER,
        {"name": "direction", "in": "query", "schema": {**_one_of(Direction), "default": "in"},
         "description": "`in` is a payment to you, `out` its reversal."},
    ],
)  # fmt: skip

_CLAIM_FIELDS = {
    **_object(
        {
            "order_id": {"type": "string", "minLength": 1, "examples": _ID["examples"]},
            "accept_amount": {
                "type": ["boolean", "null"],
                "description": "The order is paid by it, whatever came; needs a `reason`.",
            },
            "reason": {
                "type": ["string", "null"],
                "minLength": 2,
                "maxLength": 100,
                "format": "reason",
                "description": "Kept as evidence, on one line.",
                "examples": ["The rest was paid in cash."],
            },
        },
        optional=("accept_amount", "reason"),
        closed=False,
    ),
    "if": {"properties": {"accept_amount": {"const": True}}, "required": ["accept_amount"]},
    "then": {"properties": {"reason": {"type": "string"}}, "required": ["reason"]},
}

_CLAIM_RECEIPT = _route(
    "claimReceipt",
    "receipts",
    "Give an unclaimed receipt to an order",
    "The order is PAID by it, and you are told by webhook as of any payment. This is never undone:"
    " a wrong claim is put right by a refund. Once more with the same order changes nothing. An"
    " order that was cancelled, or that ended before the money came, is paid by it as well, and"
    " needs review.",
    {
        "200": _json_answer("The receipt from now on.", _schema("Receipt")),
        **_refusals("invalid_request", "unauthorized", "receipt_not_found", "order_not_found",
                    "receipt_claimed", "receipt_unproven", "receipt_returned", "refund_exists",
                    "amount_differs", "order_paid", *_BODY_REFUSALS, "unavailable"),
    },
    keyed=True,
    parameters=[_NUMBER],
    requestBody=_body({JSON: _CLAIM_FIELDS}),
)  # fmt: skip

_EITHER_KEY: list[dict[str, list[str]]] = [{"apiKey": []}, {"refundKey": []}]

_LIST_REFUNDS = _route(
    "listRefunds",
    "refunds",
    "List refunds, the oldest change first",
    "By a cursor, as receipts are listed. Either kind of key reads.",
    {
        "200": _json_answer(
            "A page of them.",
            _object(
                {
                    "refunds": {"type": "array", "items": _schema("Refund")},
                    "next": {
                        "type": ["string", "null"],
                        "description": "The cursor of the next page; null: this one is empty.",
                    },
                }
            ),
        ),
        **_refusals("invalid_request", "unauthorized", "unavailable"),
    },
    security=_EITHER_KEY,
    parameters=[_CURSOR, _LIMIT],
)

_READ_REFUND = _route(
    "readRefund",
    "refunds",
    "Read a refund",
    "Either kind of key reads.",
    {
        "200": _json_answer("The refund as it is now.", _schema("Refund")),
        **_refusals("invalid_request", "unauthorized", "refund_not_found", "unavailable"),
    },
    security=_EITHER_KEY,
    parameters=[
        {"name": "refund_id", "in": "path", "required": True,
         "description": "From the answer that asked for it.", "schema": _ID},
    ],
)  # fmt: skip

_REFUND_FIELDS = _object(
    {
        "receipt": {
            "type": "string",
            "minLength": 1,
            "description": "Given back in full, once a person has released it.",
            "examples": _RECEIPT["examples"],
        },
        "reason": {
            "type": "string",
            "minLength": 2,
            "maxLength": 100,
            "format": "reason",
            "description": "Kept here, on one line; M-PESA does not get it.",
            "examples": ["The buyer sent the goods back."],
        },
        "returns_all": {
            "type": "boolean",
            "description": "Also where another receipt of the same order goes back already.",
        },
    },
    optional=("returns_all",),
    closed=False,
)

_ASK_FOR_REFUND = _route(
    "askForRefund",
    "refunds",
    "Ask for a refund",
    "Asked for only: a manager releases it in the console, or by `flask refunds release`, within 24"
    " hours. Needs one of REFUND_API_KEYS; a key of API_KEYS alone is refused. The same"
    " Idempotency-Key with the same fields gives the same refund again.",
    {
        "201": _json_answer("The refund, or the one that this key asked for.", _schema("Refund")),
        **_refusals("invalid_request", "unauthorized", "refunds_off", "receipt_not_found",
                    "refund_exists", "not_refundable", "other_receipt_returned", *_BODY_REFUSALS,
                    "idempotency_mismatch", "unavailable"),
    },
    security=[{"refundKey": []}],
    parameters=[_KEY_HEADER],
    requestBody=_body({JSON: _REFUND_FIELDS}),
)  # fmt: skip

_REDIRECT = {
    "description": "A plain form goes on to the checkout page.",
    "headers": _headers(
        {"Location": {"description": "The checkout page.", "schema": {"type": "string"}}}
    ),
    "content": {HTML: {"schema": {"type": "string"}}},
}

_PUSH_FIELDS = _object(
    {
        "order_id": {"type": "string", "minLength": 1, "examples": _ID["examples"]},
        "phone": {
            "type": "string",
            "format": "kenyan-mobile",
            "description": "07…, 01…, 7…, 254…; also with +, 00, 000 or tel: in front, and with"
            " whatever blanks, dashes, brackets and dots people write or paste.",
            "examples": ["0712 345 678"],
        },
    },
    closed=False,
)

_START_PUSH = _route(
    "startPush",
    "payments",
    "Have a prompt shown on the payer's phone",
    "Starts a transaction: one STK push for the order's amount. The answer is a snapshot and"
    " no result; the result comes by `GET /check-status` or Socket.IO. With an Idempotency-Key"
    " a repeated request starts no second one.",
    {
        "202": _json_answer("A push went out; the snapshot says what became of it.",
                            _schema("Snapshot")),
        "200": _json_answer("The same phone joined the open attempt.", _schema("Snapshot")),
        "303": _REDIRECT,
        **_refusals("invalid_request", "invalid_phone", "order_not_found", "order_paid",
                    "order_closed", "attempt_open", "idempotency_mismatch", "line_busy",
                    "retry_later", "rate_limited", *_BODY_REFUSALS, "unavailable", page=True),
    },
    parameters=[_KEY_HEADER],
    requestBody=_body({JSON: _PUSH_FIELDS, FORM: _PUSH_FIELDS}),
)  # fmt: skip

_PAY_BY_HAND_FIELDS = _object(
    {"order_id": {"type": "string", "minLength": 1, "examples": _ID["examples"]}}, closed=False
)

_PAY_BY_HAND = _route(
    "payByHand",
    "payments",
    "Say that the shopper pays by hand",
    "Starts a transaction that waits for money sent from the M-PESA menu: `pay_by_hand` of the"
    " snapshot says where to. Its result comes as that of a push does. An order has one of them at"
    " a time, beside a push too. 404 where MANUAL_PAYMENT is off.",
    {
        "201": _json_answer("It waits for the money.", _schema("Snapshot")),
        "200": _json_answer("One that waits already.", _schema("Snapshot")),
        "303": _REDIRECT,
        **_refusals("invalid_request", "order_not_found", "order_paid", "order_closed",
                    "rate_limited", *_BODY_REFUSALS, "unavailable", page=True),
    },
    requestBody=_body({JSON: _PAY_BY_HAND_FIELDS, FORM: _PAY_BY_HAND_FIELDS}),
)  # fmt: skip

_ETAG = {"description": "Changes with what is shown.", "schema": {"type": "string"}}

_READ_STATUS = _route(
    "readStatus",
    "payments",
    "Ask how a transaction stands",
    "What pages without a socket poll: the same snapshot that the socket brings.",
    {
        "200": _json_answer("The snapshot. Ask again after `poll_after` seconds.",
                            _schema("Snapshot"), ETag=_ETAG),
        "304": {"description": "Nothing changed since the ETag in If-None-Match.",
                "headers": _headers({"ETag": _ETAG})},
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

_CODE_FIELDS = _object(
    {
        "tx_id": {"type": "string", "minLength": 1, "examples": _ID["examples"]},
        "code": {
            "type": "string",
            "format": "receipt",
            "description": "The receipt of the shopper's SMS, or the whole SMS. Kept, never"
            " believed by itself.",
            "examples": _RECEIPT["examples"],
        },
    },
    closed=False,
)

_SEND_SMS_CODE = _route(
    "sendSmsCode",
    "payments",
    "Send the code of an M-PESA SMS, and have Daraja asked at once",
    "For a shopper who has paid while the page does not know it yet. Five an hour for one"
    " transaction.",
    {
        "202": _json_answer("The snapshot.", _schema("Snapshot")),
        "303": _REDIRECT,
        **_refusals("invalid_request", "transaction_not_found", "rate_limited",
                    *_BODY_REFUSALS, "unavailable", page=True),
    },
    requestBody=_body({JSON: _CODE_FIELDS, FORM: _CODE_FIELDS}),
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

_ACCEPTED = _json_answer(
    "Its raw body is committed, whatever it says.",
    _object({"ResultCode": {"type": "integer", "const": 0}, "ResultDesc": _always("Accepted")}),
)

_TAKE_CALLBACK = _route(
    "takeCallback",
    "callbacks",
    "Take in Daraja's word on a transaction",
    "Daraja sends `application/json`. Anything else that arrives under a known token is kept as"
    " well, and answered 200, since a callback comes only once.",
    {
        "200": _ACCEPTED,
        **_refusals("invalid_request", "not_found", "payload_too_large", "unavailable"),
    },
    parameters=[
        {
            "name": "token",
            "in": "path",
            "required": True,
            "description": "The secret of one transaction.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        }
    ],
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

_LET_PASS = _route(
    "letPass",
    "callbacks",
    "Let a payment by hand pass",
    "Safaricom asks before it takes the money, where validation is switched on. The answer is the"
    " same for every body and every token.",
    {
        "200": _json_answer(
            "The payment may be made.",
            _object({"ResultCode": _always("0"), "ResultDesc": _always("Accepted")}),
        ),
        **_refusals("invalid_request", "payload_too_large"),
    },
    parameters=[
        {
            "name": "token",
            "in": "path",
            "required": True,
            "description": "One of C2B_TOKEN.",
            "schema": {"type": "string"},
        }
    ],
    requestBody={
        "required": False,
        "content": {JSON: {"schema": {"description": "Daraja's, and not checked here."}}},
    },
)

# As Safaricom documents it (Daraja docs, Customer To Business Register URL, version 2).
_CONFIRMED = {
    "paid": {
        "summary": "A payer sent money.",
        "value": {
            "TransactionType": "Pay Bill",
            "TransID": "RKTQDM7W6S",
            "TransTime": "20191122063845",
            "TransAmount": "10",
            "BusinessShortCode": "600638",
            "BillRefNumber": "234567890",
            "InvoiceNumber": "",
            "OrgAccountBalance": "49197.00",
            "ThirdPartyTransID": "",
            "MSISDN": "2547*****149",
            "FirstName": "Jane",
        },
    }
}

_TAKE_CONFIRMATION = _route(
    "takeConfirmation",
    "callbacks",
    "Take in Daraja's word on a payment to the short code",
    "Daraja confirms every payment here, by push or by hand, once `flask c2b register` named the"
    " address.",
    {
        "200": _ACCEPTED,
        **_refusals("invalid_request", "not_found", "payload_too_large", "unavailable"),
    },
    parameters=[
        {
            "name": "token",
            "in": "path",
            "required": True,
            "description": "One of C2B_TOKEN.",
            "schema": {"type": "string", "pattern": "^[0-9a-f]{32,64}$"},
        }
    ],
    requestBody={
        "required": False,
        "content": {
            JSON: {
                "schema": {"description": "Daraja's, and not checked here."},
                "examples": _CONFIRMED,
            }
        },
    },
)


def _answered_later(operation_id: str, summary: str, description: str) -> dict[str, Any]:
    return _route(
        operation_id,
        "callbacks",
        summary,
        description,
        {
            "200": _ACCEPTED,
            **_refusals("invalid_request", "not_found", "payload_too_large", "unavailable"),
        },
        parameters=[
            {
                "name": "token",
                "in": "path",
                "required": True,
                "description": "The secret of one request.",
                "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
            }
        ],
        requestBody={
            "required": False,
            "content": {JSON: {"schema": {"description": "Daraja's, and not checked here."}}},
        },
    )


_TAKE_RESULT = _answered_later(
    "takeResult",
    "Take in the result of a request",
    "What Daraja was asked a while ago about a receipt is answered here.",
)
_TAKE_TIMEOUT = _answered_later(
    "takeTimeout",
    "Take in that a request timed out",
    "Daraja gave up, which says nothing about what became of the request.",
)

_HEALTH = _object(
    {
        "status": _always("ok"),
        "version": {"type": "string", "examples": [__version__],
                    "description": "The version of this program."},
        "proof": {"type": "string", "pattern": "^[0-9a-f]{64}$",
                  "description": "What only this server can answer to that nonce."},
    },
    optional=("proof",),
)  # fmt: skip
_READ_HEALTH = _route(
    "readHealth",
    "operations",
    "Whether the process serves",
    "Asks neither the database nor Redis.",
    {"200": _json_answer("It does.", _HEALTH), **_refusals("invalid_request")},
    parameters=[
        {"name": "nonce", "in": "query", "schema": {"type": "string"},
         "description": "32 hexadecimal digits, from `flask doctor`."},
    ],
)  # fmt: skip

_READ_READINESS = _route(
    "readReadiness",
    "operations",
    "Whether the database can be written, and Redis answers",
    "What is wrong is named in `detail`.",
    {
        "200": _json_answer("Ready.", _object({"status": _always("ready")})),
        **_refusals("invalid_request", "unavailable"),
    },
)

_READ_DOCUMENT = _route(
    "readDocument",
    "operations",
    "This document",
    "The same for people is at /docs/api.",
    {
        "200": _json_answer("OpenAPI 3.1.", {"type": "object", "additionalProperties": True}),
        **_refusals("invalid_request"),
    },
)


# -- what is answered --------------------------------------------------------------------------


_SNAPSHOT_REFUND_SCHEMA = _object(
    {
        "refund_id": _ID,
        "status": {**_one_of(RefundStatus), "description": "How far it has got."},
        "amount": _CENTS,
        "receipt": {**_MAYBE_RECEIPT, "description": "The receipt that is given back."},
        "updated_at": _TIME,
    }
)

_PAY_BY_HAND_SCHEMA = _object(
    {
        "kind": {**_one_of(AccountType), "description": "Lipa na M-PESA: PayBill, or Buy Goods."},
        "number": {"type": "string", "pattern": "^[0-9]{5,7}$", "examples": ["174379"]},
        "account": {
            **_PAY_CODE,
            "description": "The account number to type; null at a till, which asks for none.",
        },
        "amount": {"type": "integer", "minimum": 1},
    }
)

_SNAPSHOT_SCHEMA = _object(
    {
        "transaction_id": {**_ID, "description": "This try to pay: one STK push, or by hand."},
        "order_id": {**_ID, "description": "What it pays for."},
        "order_status": {
            **_one_of(OrderStatus),
            "description": "PAID on an attempt that is not: another one paid. It stays PAID where"
            " the money went back; see `money` and `refund`.",
        },
        "channel": {
            **_one_of(Channel),
            "description": "Whether the payer is asked by a push, or sends the money by hand.",
        },
        "status": {**_one_of(Status), "description": "There is no other status."},
        "reason": {**_one_of(Reason), "description": "Why it stands where it does."},
        "message": {
            "type": "string",
            "description": "One plain sentence for the shopper; of a failure also whether money"
            " was taken.",
        },
        "view": {
            **_one_of(each for each in View if each is not View.PHONE),
            "description": "What the checkout page shows.",
        },
        "money": {**_one_of(Money), "description": "Whether money was taken."},
        "next": {**_one_of(Next), "description": "The one thing for the shopper to do."},
        "final": {"type": "boolean", "description": "No further change is expected."},
        "can_retry": {"type": "boolean", "description": "Another push may be offered."},
        "retry_after": {
            "type": ["integer", "null"],
            "minimum": 1,
            "description": "Seconds until that; null: at once, or not at all.",
        },
        "again_at": {
            **_MAYBE_TIME,
            "description": "While `can_retry` is false because a prompt may still be answered or"
            " money is in sight: when another push is taken at the latest. Else null.",
        },
        "amount": {"type": "integer", "minimum": 1},
        "currency": _always("KES"),
        "phone": {
            "type": ["string", "null"],
            "description": "The number that was asked to pay, masked; empty once it was forgotten,"
            " null where none was asked.",
            "examples": ["0712•••678"],
        },
        "receipt": {
            **_MAYBE_RECEIPT,
            "description": "M-PESA's receipt number once known.",
        },
        "receipt_amount": {
            **_CENTS,
            "type": ["string", "null"],
            "description": "What came, where a person accepted another amount; else null.",
        },
        "settled_by": {
            **_ID,
            "type": ["string", "null"],
            "description": "The transaction that paid the order; null: none has.",
        },
        "refund": {
            "anyOf": [_schema("SnapshotRefund"), {"type": "null"}],
            "description": "Of its receipt, the newest refund that was not refused.",
        },
        "pay_by_hand": {
            "anyOf": [_schema("PayByHand"), {"type": "null"}],
            "description": "Where to send the money by hand; null: the shop does not offer it, or"
            " the order can no longer be paid.",
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

_ORDER_SCHEMA = _object(
    {
        "order_id": _ID,
        "checkout_url": {
            "type": "string",
            "format": "uri",
            "description": "Where to send the shopper.",
        },
        "status": _one_of(OrderStatus),
        "amount": {"type": "integer", "minimum": 1},
        "currency": _always("KES"),
        "reference": _REFERENCE,
        "description": {"type": "string", "minLength": 1, "maxLength": 200},
        "return_url": {"type": ["string", "null"]},
        "expires_at": _MAYBE_TIME,
        "created_at": _TIME,
        "pay_code": {
            **_PAY_CODE,
            "description": "Its account number for paying by hand; null on orders without one.",
        },
        "settled_by": {
            **_ID,
            "type": ["string", "null"],
            "description": "The transaction that paid it; null: none has.",
        },
        "needs_review": {"type": "boolean", "description": "A person has to look at it."},
        "transactions": {
            "type": "array",
            "items": _schema("Snapshot"),
            "description": "Its attempts, newest first.",
        },
    }
)

_RECEIPT_FIELDS = {
    "receipt": _RECEIPT,
    "direction": {
        **_one_of(Direction),
        "description": "`in` is a payment to you, `out` a reversal.",
    },
    "amount": {**_CENTS, "description": "What came, in shillings."},
    "paid_at": {**_MAYBE_TIME, "description": "As M-PESA told it; null: nobody did."},
    "account": {
        "type": ["string", "null"],
        "description": "What the payer typed, masked where it was a phone number; null: nobody"
        " told it.",
        "examples": ["234567890"],
    },
    "phone": {
        "type": ["string", "null"],
        "description": "The payer's number, masked; null: not told, or forgotten.",
        "examples": ["0712•••678"],
    },
    "name": {
        "type": ["string", "null"],
        "description": "The first word of the payer's name.",
        "examples": ["WANJIKU"],
    },
    "state": {
        "type": ["string", "null"],
        "enum": [*map(str, State), None],
        "description": "Whose it is: `unproven` and `unclaimed` are nobody's yet; null for a"
        " reversal.",
    },
    "order_id": {**_ID, "type": ["string", "null"], "description": "The order that it paid."},
    "transaction_id": {
        **_ID,
        "type": ["string", "null"],
        "description": "The transaction of that order.",
    },
    "returned_by": {**_MAYBE_RECEIPT, "description": "The receipt of its reversal."},
    "suggestions": {
        "type": "array",
        "items": _ID,
        "description": "Orders that it may belong to, the likeliest first.",
    },
    "learned_at": {**_TIME, "description": "When it was first heard of."},
    "changed_at": {**_TIME, "description": "When its state changed last."},
}
_RECEIPT_SCHEMA = _object(
    {
        **_RECEIPT_FIELDS,
        "witnesses": {
            "type": "array",
            "items": _object({"kind": _one_of(WitnessKind), "received_at": _TIME}),
            "description": "Who reported it, and when first.",
        },
    }
)
_WEBHOOK_RECEIPT_SCHEMA = _object(
    {
        **_RECEIPT_FIELDS,
        "account": {
            **_RECEIPT_FIELDS["account"],
            "description": "What the payer typed; null too where it has letters and names no order"
            " of yours.",
        },
    }
)

_REFUND_SCHEMA = _object(
    {
        "refund_id": _ID,
        "receipt": {**_RECEIPT, "description": "What is given back, in full."},
        "order_id": {
            **_ID,
            "type": ["string", "null"],
            "description": "The order that the receipt paid; null: it was nobody's.",
        },
        "amount": {**_CENTS, "description": "In shillings."},
        "status": {
            **_one_of(RefundStatus),
            "description": "`unknown` is never sent again: it may have gone back.",
        },
        "reason": {"type": "string", "minLength": 2, "maxLength": 100},
        "requested_by": {
            "type": "string",
            "description": "An operator, or `api:` and four characters of the key's hash.",
            "examples": ["api:1a2b"],
        },
        "released_by": {"type": ["string", "null"], "description": "The manager who released it."},
        "reversal_receipt": {
            **_MAYBE_RECEIPT,
            "description": "M-PESA's receipt of the reversal, once known.",
        },
        "created_at": _TIME,
        "updated_at": _TIME,
        "seq": {"type": "integer", "minimum": 1, "description": "Only grows."},
    }
)

# Not closed, since each answer narrows it.
_PROBLEM_SCHEMA = {
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
        "code": {**_one_of(MEANINGS), "description": "For programs; stable."},
        "detail": {
            "type": "string",
            "description": "For people, in the language of the request.",
        },
        "field": {"type": "string", "description": "The field that is wrong."},
        "refund_id": {**_ID, "description": "With `refund_exists`: the refund that is there."},
    },
    "required": ["type", "title", "status", "code", "detail"],
}


# -- what is told by webhook ---------------------------------------------------------------------


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


def _message_body(kind: str, what: dict[str, Any]) -> dict[str, Any]:
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


_WEBHOOKS = {
    MessageType.SUCCEEDED.value: _message(
        "transactionSucceeded",
        "A transaction was paid",
        "Sent once more where the receipt comes later than the news. Ship where `order_status`"
        " is PAID, once for each `order_id`.",
        _message_body(MessageType.SUCCEEDED, _schema("WebhookSnapshot")),
    ),
    MessageType.FAILED.value: _message(
        "transactionFailed",
        "A transaction failed",
        "Sent once more where its `reason` or `final` changes. While `final` is false, money"
        " may still come.",
        _message_body(MessageType.FAILED, _schema("WebhookSnapshot")),
    ),
    MessageType.NEEDS_REVIEW.value: _message(
        "transactionNeedsReview",
        "A person has to look at a transaction",
        "Money may be at stake, and no rule decides it.",
        _message_body(MessageType.NEEDS_REVIEW, _schema("WebhookSnapshot")),
    ),
    MessageType.UNCLAIMED.value: _message(
        "receiptUnclaimed",
        "Money came that no rule gave to an order",
        "Sent once, 15 minutes after it was heard of. Claim it for an order, or give it back.",
        _message_body(MessageType.UNCLAIMED, _schema("WebhookReceipt")),
    ),
    MessageType.RETURNED.value: _message(
        "receiptReturned",
        "Money went back without a refund of yours",
        "M-PESA, or somebody in its portal, reversed the payment.",
        _message_body(MessageType.RETURNED, _schema("WebhookReceipt")),
    ),
    MessageType.REFUND_SUCCEEDED.value: _message(
        "refundSucceeded",
        "A refund went back to the payer",
        "M-PESA says so, or a manager found it in the statement. The order stays PAID.",
        _message_body(MessageType.REFUND_SUCCEEDED, _schema("Refund")),
    ),
    MessageType.REFUND_FAILED.value: _message(
        "refundFailed",
        "A refund did not run",
        "The money is still here; it may be asked for again.",
        _message_body(MessageType.REFUND_FAILED, _schema("Refund")),
    ),
    MessageType.REFUND_NEEDS_REVIEW.value: _message(
        "refundNeedsReview",
        "A person has to look at a refund",
        "Nobody knows whether it ran, or its words contradict each other.",
        _message_body(MessageType.REFUND_NEEDS_REVIEW, _schema("Refund")),
    ),
    TEST: _message(
        "webhookTest",
        "A test on demand",
        "Sent by `flask webhooks test` alone, signed like the others. It is about no payment.",
        _message_body(
            TEST, _object({"note": {"type": "string", "description": "Says so to people."}})
        ),
    ),
}

_WEBHOOK_SNAPSHOT_SCHEMA = _object(
    {
        **{
            name: field
            for name, field in _SNAPSHOT_SCHEMA["properties"].items()
            if name not in {"message", *FOR_PAGES}
        },
        "reference": {**_REFERENCE, "description": "Your reference of the order."},
    }
)

_SCHEMAS = {
    "Snapshot": {
        **_SNAPSHOT_SCHEMA,
        "externalDocs": {
            "url": "/docs/api#states",
            "description": "The states of a snapshot, and what a client does in each.",
        },
    },
    "PayByHand": _PAY_BY_HAND_SCHEMA,
    "SnapshotRefund": _SNAPSHOT_REFUND_SCHEMA,
    "Order": _ORDER_SCHEMA,
    "Receipt": _RECEIPT_SCHEMA,
    "Refund": _REFUND_SCHEMA,
    "WebhookSnapshot": _WEBHOOK_SNAPSHOT_SCHEMA,
    "WebhookReceipt": _WEBHOOK_RECEIPT_SCHEMA,
    "Problem": _PROBLEM_SCHEMA,
}

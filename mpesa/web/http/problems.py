"""What each error means to a developer: the one table of our machine words.

Answers take `type` and `title` from here, `/docs/api` explains each word at the address in `type`,
and `/openapi.json` lists them.
"""

from dataclasses import dataclass
from typing import Literal

# mypy refuses a Problem with another word.
Code = Literal[
    "invalid_request",
    "invalid_phone",
    "unauthorized",
    "not_found",
    "order_not_found",
    "transaction_not_found",
    "receipt_not_found",
    "method_not_allowed",
    "order_paid",
    "order_closed",
    "attempt_open",
    "receipt_claimed",
    "receipt_unproven",
    "receipt_returned",
    "refund_exists",
    "amount_differs",
    "refund_not_found",
    "not_refundable",
    "other_receipt_returned",
    "refunds_off",
    "payload_too_large",
    "unsupported_media_type",
    "idempotency_mismatch",
    "line_busy",
    "retry_later",
    "rate_limited",
    "unavailable",
]


@dataclass(frozen=True)
class Meaning:
    """What a machine word means, in English like the rest of the API.

    Attributes:
        status: the usual HTTP status of its answers.
        title: the same for every answer with this word (RFC 9457, 3.1.3).
        when: what causes the error.
        remedy: what the caller can do about it.
    """

    status: int
    title: str
    when: str
    remedy: str


def type_of(code: Code) -> str:
    """A problem's `type`: where it is explained, with its full path (RFC 9457, 3.1.1)."""
    return f"/docs/api#{code}"


MEANINGS: dict[Code, Meaning] = {
    "invalid_request": Meaning(
        400,
        "The request is wrong",
        "The body or a field is wrong, or the host name is none of ALLOWED_HOSTS.",
        "Correct what `field` names, as `detail` says; the same request fails again.",
    ),
    "invalid_phone": Meaning(
        400,
        "The phone number is wrong",
        "There is no number, it is too short or too long, or it is not a Kenyan mobile number.",
        "Show `detail` to the shopper at the field for the number.",
    ),
    "unauthorized": Meaning(
        401,
        "The key is missing or wrong",
        "There is no `Authorization: Bearer`, or what follows is not one of API_KEYS.",
        "Send one of the keys that this server was started with.",
    ),
    "not_found": Meaning(
        404,
        "There is nothing at this address",
        "No route has this path, or no transaction has this callback token.",
        "Compare the path with the routes on this page.",
    ),
    "order_not_found": Meaning(
        404,
        "There is no such order",
        "No order has this id.",
        "Look for it by your reference: `GET /api/orders?reference=`.",
    ),
    "transaction_not_found": Meaning(
        404,
        "There is no such transaction",
        "No transaction has this id.",
        "Read the order, which lists its transactions.",
    ),
    "receipt_not_found": Meaning(
        404,
        "There is no such receipt",
        "No payment, or reversal, with this number is known.",
        "Compare it with your statement. M-PESA may report it later.",
    ),
    "method_not_allowed": Meaning(
        405,
        "The address does not take this method",
        "The path is right and the method is not.",
        "Use one that the header `Allow` names.",
    ),
    "order_paid": Meaning(
        409,
        "The order is paid",
        "A push was asked for, to pay by hand, a cancellation, or to claim a receipt, and the order"
        " is PAID.",
        "Do not ask for the money again: read the order for its receipt. Money that came twice has"
        " to be given back.",
    ),
    "order_closed": Meaning(
        409,
        "The order is cancelled or expired",
        "A push was asked for, or to pay by hand, and the order is CANCELLED or EXPIRED.",
        "Make a new order.",
    ),
    "attempt_open": Meaning(
        409,
        "A prompt of this order may still be answered",
        "Another phone was asked to pay this order, or the order was to be cancelled, while a"
        " prompt of it is open: until it is settled, three minutes at most.",
        "Wait for its result (`GET /check-status`, or Socket.IO), then try again.",
    ),
    "receipt_claimed": Meaning(
        409,
        "The receipt is another order's",
        "It was claimed before, by a rule or by a person.",
        "Read the receipt for its order. A wrong claim is put right by a refund.",
    ),
    "receipt_unproven": Meaning(
        409,
        "Nothing proves the receipt yet",
        "Its only witness is a confirmation of a large amount, or came from an address that is not"
        " Safaricom's.",
        "Wait until M-PESA has been asked about it, or look for it in your statement.",
    ),
    "receipt_returned": Meaning(
        409,
        "The money went back",
        "The payment of this receipt was reversed.",
        "Ask for the money again.",
    ),
    "refund_exists": Meaning(
        409,
        "A refund of the receipt exists",
        "A refund of it was asked for, and was not refused.",
        "Wait for what becomes of the refund.",
    ),
    "amount_differs": Meaning(
        409,
        "The amount is not the order's",
        "The receipt has another amount than the order.",
        "Let a person decide. With `accept_amount` and a `reason` the order is paid by it.",
    ),
    "refund_not_found": Meaning(
        404,
        "There is no such refund",
        "No refund has this id.",
        "Read the refunds with `GET /api/refunds`.",
    ),
    "not_refundable": Meaning(
        409,
        "The receipt cannot be given back",
        "It is not proven, its money went back already, or its amount has parts of a shilling.",
        "Read the receipt for its state. What M-PESA cannot reverse is given back by hand.",
    ),
    "other_receipt_returned": Meaning(
        409,
        "Another receipt of the order goes back",
        "A receipt of the same order is returned, or a refund of it is under way, so that the order"
        " would be paid no longer.",
        "If that is meant, send `returns_all` as true.",
    ),
    "refunds_off": Meaning(
        403,
        "Refunds are off",
        "No API user is set that may give money back.",
        "Set `DARAJA_REFUND_INITIATOR` and its credential.",
    ),
    "payload_too_large": Meaning(
        413,
        "The body is too large",
        "The body is larger than 64 KiB, or a form has more than 1,000 parts.",
        "Send the documented fields alone; they fit.",
    ),
    "unsupported_media_type": Meaning(
        415,
        "The body's type is not taken",
        "The Content-Type is neither JSON nor, where forms are taken, that of a form.",
        "Send JSON with `Content-Type: application/json`.",
    ),
    "idempotency_mismatch": Meaning(
        422,
        "The Idempotency-Key was used with other fields",
        "This Idempotency-Key came before, with other fields.",
        "Use a new key for each new order or push, and an old one only to repeat a request.",
    ),
    "line_busy": Meaning(
        429,
        "The phone has another prompt open",
        "The phone has an open prompt of another order. It can show only one.",
        "Wait as long as `Retry-After` says.",
    ),
    "retry_later": Meaning(
        429,
        "The wait after the last attempt is not over",
        "The last attempt's `retry_after` has not passed, or its money may still be on its way.",
        "Wait as long as `Retry-After` says; the snapshot shows the same time.",
    ),
    "rate_limited": Meaning(
        429,
        "Too many requests",
        "The phone or the address asked for more than STK_PUSH_LIMIT_PER_PHONE or"
        " STK_PUSH_LIMIT_PER_IP allows, or too many SMS codes came for one transaction.",
        "Wait as long as `Retry-After` says.",
    ),
    "unavailable": Meaning(
        503,
        "The server cannot do this now",
        "The database does not answer or cannot be written (503), or the server met a mistake of"
        " its own (500). Nothing is lost.",
        "Try again with the same Idempotency-Key, after `Retry-After` where it is sent.",
    ),
}

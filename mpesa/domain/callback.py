"""Read untrusted callback bytes: any stranger can POST any bytes to a public address."""

import json
import re
import zlib
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from mpesa.domain.money import shillings_told
from mpesa.domain.untrusted_json import STRICT, Unreadable, read_code, read_json
from mpesa.domain.wire_words import read_nairobi_time

_RECEIPT = re.compile(r"[A-Z0-9]{10}")
# Ids have 20 to 45 characters today; a longer text than this is no id, and fits no column.
_LONGEST_ID = 64
_GZIP = b"\x1f\x8b"
# The limit of bodies that are not packed; a few packed bytes can unpack to gigabytes.
_LONGEST_UNPACKED = 64 * 1024


class UnreadableCallback(Unreadable):
    """The body cannot be understood as a callback; the message says why."""


@dataclass(frozen=True)
class StkResult:
    """The claims of a callback.

    Attributes:
        code: the result code as text; `"0"` claims a payment.
        merchant_request_id: None where missing or unusable.
        checkout_request_id: None where missing or unusable.
        amount: shillings, an int where they are whole; None where missing or no number.
        receipt: ten upper-case letters and digits; None where missing or of another form.
        paid_at: aware UTC; None where missing or no time.
    """

    code: str
    merchant_request_id: str | None
    checkout_request_id: str | None
    amount: int | Decimal | None = None
    receipt: str | None = None
    paid_at: datetime | None = None


def parse_callback(body: bytes) -> StkResult:
    """Read a callback's body (Daraja docs, M-PESA Express, "callback").

    Args:
        body: the raw bytes of the POST; a byte order mark in front is no fault (RFC 8259, 8.1).

    Returns:
        Its claims. Items are read by name, since their order and number vary; `Balance` comes
        without a value, and a phone number masked or not at all.

    Raises:
        UnreadableCallback: the body is no JSON, or has no `stkCallback` or no usable `ResultCode`.
            A missing, null or boolean code is never 0.
    """
    try:
        return _result(read_json(body))
    except UnreadableCallback:
        raise
    except Unreadable as why:
        raise UnreadableCallback(str(why)) from None


def read_roughly(body: bytes) -> StkResult | None:
    """Read the claims of a malformed body, as far as they can be made out.

    This reads bodies with more bytes behind the JSON, in another encoding (UTF-16, Latin-1), with
    raw line breaks in their texts, or packed by gzip. Such a body is never believed.

    Args:
        body: the raw bytes of the POST.

    Returns:
        None where the claims cannot be made out.
    """
    if body.startswith(_GZIP):
        try:
            # 31: a gzip header, and the largest window (zlib's manual, inflateInit2).
            body = zlib.decompressobj(31).decompress(body, _LONGEST_UNPACKED)
        except zlib.error:
            body = b""
    encoding = json.detect_encoding(body)  # UTF-8, UTF-16 or UTF-32, by the NULs at the beginning
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        # Latin-1 reads all bytes, and what matters in a callback is ASCII.
        text = body.decode("latin-1" if encoding.startswith("utf-8") else encoding, "replace")
    try:
        document, _end = _ROUGH.raw_decode(text, max(text.find("{"), 0))
        return _result(document)
    except (ValueError, RecursionError):
        return None


def _result(document: Any) -> StkResult:
    body = document.get("Body") if isinstance(document, dict) else None
    callback = body.get("stkCallback") if isinstance(body, dict) else None
    if not isinstance(callback, dict):
        raise UnreadableCallback("no Body.stkCallback")
    metadata = callback.get("CallbackMetadata")
    listed = metadata.get("Item") if isinstance(metadata, dict) else None
    items: dict[str, Any] = {}
    for item in listed if isinstance(listed, list) else ():
        if isinstance(item, dict) and isinstance(item.get("Name"), str) and "Value" in item:
            name, value = item["Name"], item["Value"]
            # An item that comes twice with two values tells nothing.
            items[name] = value if items.get(name, value) == value else None
    return StkResult(
        code=read_code(callback.get("ResultCode")),
        merchant_request_id=parse_id(callback.get("MerchantRequestID")),
        checkout_request_id=parse_id(callback.get("CheckoutRequestID")),
        amount=shillings_told(items.get("Amount")),
        receipt=parse_receipt(items.get("MpesaReceiptNumber")),
        paid_at=read_nairobi_time(items.get("TransactionDate")),
    )


def parse_receipt(value: object) -> str | None:
    """Read an M-PESA receipt number, upper-cased and trimmed; None where it has another form."""
    # ASCII alone: another script's small letter can become one of A to Z.
    if not isinstance(value, str) or not value.isascii():
        return None
    receipt = value.strip().upper()
    return receipt if _RECEIPT.fullmatch(receipt) else None


def parse_id(value: object) -> str | None:
    """Read one of Daraja's ids, trimmed; None where it is none, or is too long for its column."""
    identifier = value.strip() if isinstance(value, str) else ""
    return identifier if 0 < len(identifier) <= _LONGEST_ID and identifier.isprintable() else None


_ROUGH = json.JSONDecoder(strict=False, **STRICT)

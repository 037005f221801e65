"""Untrusted callback bytes into an StkResult. Anybody can POST anything to a public address."""

import json
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from mpesa.domain.money import whole_shillings

# Daraja sends integers for its own codes and strings for the core's ("SFC_IC0003", "E3008").
_CODE = re.compile(r"-?[A-Za-z0-9_.]{1,32}")
_RECEIPT = re.compile(r"[A-Z0-9]{10}")
_LONGEST_ID = 64


class UnreadableCallback(ValueError):
    """The body is no callback that can be understood; the message says why."""


@dataclass(frozen=True)
class StkResult:
    """What a callback claims.

    Attributes:
        code: the result code as text; `"0"` claims a payment.
        merchant_request_id, checkout_request_id: None where missing or unusable.
        amount: whole shillings; None where missing or no whole amount.
        receipt: ten upper-case letters and digits; None where missing or of another form.
    """

    code: str
    merchant_request_id: str | None
    checkout_request_id: str | None
    amount: int | None = None
    receipt: str | None = None


def parse_callback(body: bytes) -> StkResult:
    """Read a callback's body (Daraja docs, M-PESA Express, "callback").

    Args:
        body: the raw bytes of the POST.

    Returns:
        What it claims. Items are read by name, since their order and number vary; `Balance`
        comes without a value, a phone number masked or not at all.

    Raises:
        UnreadableCallback: no JSON, no `stkCallback`, or no usable `ResultCode`. A missing,
            null or boolean code is never 0.
    """
    callback = _stk_callback(_load(body))
    items = _items(callback.get("CallbackMetadata"))
    return StkResult(
        code=_code(callback.get("ResultCode")),
        merchant_request_id=_identifier(callback.get("MerchantRequestID")),
        checkout_request_id=_identifier(callback.get("CheckoutRequestID")),
        amount=whole_shillings(items.get("Amount")),
        receipt=parse_receipt(items.get("MpesaReceiptNumber")),
    )


def parse_receipt(value: object) -> str | None:
    """An M-PESA receipt number, upper-cased and trimmed; None where it has another form."""
    if not isinstance(value, str):
        return None
    receipt = value.strip().upper()
    return receipt if _RECEIPT.fullmatch(receipt) else None


def _load(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8"),
            parse_constant=_refuse,
            parse_float=_number,
            object_pairs_hook=_unique_pairs,
        )
    except UnreadableCallback:
        raise
    except (ValueError, RecursionError):
        raise UnreadableCallback("not JSON") from None


def _refuse(constant: str) -> NoReturn:
    raise UnreadableCallback(f"{constant} is not JSON")


def _number(text: str) -> float:
    number = float(text)
    if not number and re.search("[1-9]", text.lower().partition("e")[0]):
        raise UnreadableCallback("too small to be told from 0")  # and 0 claims a payment
    return number


def _unique_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may differ on which of two equal keys counts, so neither does."""
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnreadableCallback("a key stands twice")
    return members


def _stk_callback(document: Any) -> dict[str, Any]:
    body = document.get("Body") if isinstance(document, dict) else None
    callback = body.get("stkCallback") if isinstance(body, dict) else None
    if not isinstance(callback, dict):
        raise UnreadableCallback("no Body.stkCallback")
    return callback


def _code(value: Any) -> str:
    """The code as text; `0`, `0.0` and `"0"` are the same number, `False` and `""` are none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise UnreadableCallback("no ResultCode")
    if isinstance(value, int) and abs(value) > 10**12:
        raise UnreadableCallback("ResultCode out of range")
    text = str(value).strip()
    if not _CODE.fullmatch(text):
        raise UnreadableCallback("ResultCode of an unknown form")
    return text


def _identifier(value: Any) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _LONGEST_ID and value.isprintable():
        return value
    return None


def _items(metadata: Any) -> dict[str, Any]:
    items = metadata.get("Item") if isinstance(metadata, dict) else None
    if not isinstance(items, list):
        return {}
    named: dict[str, Any] = {}
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("Name"), str) and "Value" in item:
            _keep_unless_contradicted(named, item["Name"], item["Value"])
    return named


def _keep_unless_contradicted(named: dict[str, Any], name: str, value: Any) -> None:
    """The same item twice with two values tells nothing."""
    named[name] = value if named.get(name, value) == value else None

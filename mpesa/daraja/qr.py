"""Dynamic QR: have Daraja draw the code that M-PESA's app reads (Daraja docs, Dynamic QR)."""

import binascii
import struct
import zlib
from base64 import b64decode
from dataclasses import dataclass

from mpesa.config import AccountType
from mpesa.daraja.answers import Answer
from mpesa.daraja.client import BUDGET_SECONDS, Daraja
from mpesa.daraja.errors import NoAnswer, UnknownOutcome

QR_PATH = "/mpesa/qrcode/v1/generate"
# Pixels; the page shows it at about half of that, so that dense screens draw it sharply.
_SIZE = "300"
LARGEST_PICTURE = 256 * 1024
_LARGEST_ANSWER = 512 * 1024
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_PIXELS = 2000
_CODES = {AccountType.PAYBILL: "PB", AccountType.TILL: "BG"}


@dataclass(frozen=True)
class QrOrder:
    """What the code asks the payer's app to fill in.

    Attributes:
        merchant_name: shown by the app.
        account: of a PayBill; a till has none, and shows it as a reference.
        amount: whole shillings.
        kind: what `number` is.
        number: the PayBill, or the till.
    """

    merchant_name: str
    account: str
    amount: int
    kind: AccountType
    number: str


def qr_body(order: QrOrder) -> dict[str, str | int]:
    """Make the JSON fields of `POST /mpesa/qrcode/v1/generate`."""
    return {
        "MerchantName": order.merchant_name,
        "RefNo": order.account,
        "Amount": order.amount,
        "TrxCode": _CODES[order.kind],
        "CPI": order.number,
        "Size": _SIZE,
    }


def draw_qr(daraja: Daraja, order: QrOrder, *, budget: float = BUDGET_SECONDS) -> bytes:
    """Have the code drawn.

    Args:
        budget: seconds for everything; a hard limit.

    Returns:
        A PNG.

    Raises:
        NotSent: nothing was sent.
        NoAnswer: what came back, if anything, is no picture.
    """
    try:
        answer = daraja.post(QR_PATH, qr_body(order), budget=budget, largest=_LARGEST_ANSWER)
    except UnknownOutcome as error:
        raise NoAnswer(str(error), error.body) from error
    return read_qr(answer)


def read_qr(answer: Answer) -> bytes:
    """Read the picture in an answer; its ResponseCode is "00", or an id in Daraja's own sample.

    Raises:
        NoAnswer: there is no PNG of a sensible size in it.
    """
    drawn = (answer.fields or {}).get("QRCode")
    try:
        picture = b64decode(drawn, validate=True) if isinstance(drawn, str) else b""
    except (binascii.Error, ValueError):
        picture = b""
    if answer.status != 200 or not is_png(picture):
        raise NoAnswer(f"no picture: {answer}", answer.excerpt)
    return picture


def is_png(picture: bytes) -> bool:
    """Whether bytes are one PNG and nothing else, of at most 2,000 pixels a side.

    (PNG Specification, 5.3 and 5.6: chunks with checksums, IHDR first, IEND last.)
    """
    if len(picture) > LARGEST_PICTURE or not picture.startswith(_PNG):
        return False
    kinds: list[bytes] = []
    at = len(_PNG)
    while at + 12 <= len(picture) and kinds[-1:] != [b"IEND"]:
        (length,) = struct.unpack(">I", picture[at : at + 4])
        checked, end = picture[at + 4 : at + 8 + length], at + 12 + length
        if picture[at + 8 + length : end] != struct.pack(">I", zlib.crc32(checked)):
            return False
        kinds.append(checked[:4])
        at = end
    if kinds[:1] != [b"IHDR"] or kinds[-1:] != [b"IEND"] or b"IDAT" not in kinds:
        return False
    sides: tuple[int, int] = struct.unpack(">II", picture[16:24])
    return at == len(picture) and all(0 < side <= _MOST_PIXELS for side in sides)

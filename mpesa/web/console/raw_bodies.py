"""Raw bodies as text that can be read, whatever they hold, with the payer's number masked."""

import json
import re
import unicodedata

from mpesa.web.console.blueprint import console

# A Kenyan mobile number, however it is written; not a part of a longer run of digits.
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:\+?254|0)([17][0-9]{2})[0-9]{3}([0-9]{3})(?![0-9A-Za-z])")
# It ends in the payer's number (daraja/answers: CheckoutRequestID).
_CHECKOUT_ID = re.compile(r"ws_CO_[0-9A-Za-z_-]*?([0-9A-Za-z]{0,3})(?![0-9A-Za-z_-])")
# The SHA-256 of a number, which is found by trying all of them.
_HASH = re.compile(r"(?<![0-9A-Za-z])[0-9A-Fa-f]{64}(?![0-9A-Za-z])")
# A whole JSON string, else a punctuation mark, else anything but white space.
_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
# Characters that end a line, which few readers expect.
_BREAKS = "\u2028\u2029"
# Characters; the rest of a longer body is shown on demand.
SHOWN = 3000
# Characters that are read beyond the shown ones, so that no number is cut in two before masking.
MARGIN = 200
_DEEPEST = 12


def readable(body: bytes, most: int | None = None) -> str:
    """The body as text: JSON in lines, every value as it came, invisible characters spelled out.

    Args:
        most: about how many characters are read, however long the body is; None for all.
    """
    text = body.decode("utf-8", "backslashreplace")
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return visible(text[:most])
    return visible(_json_in_lines(text, most))


def masked(text: str, msisdn: str | None) -> str:
    """The text without numbers of payers, however they are written, and without Daraja's ids.

    Args:
        msisdn: the payer's number; None if it was forgotten.
    """
    text = _CHECKOUT_ID.sub(r"ws_CO_•••\1", text)
    text = _NUMBER.sub(r"0\1•••\2", text)
    text = _HASH.sub("•••", text)
    if msisdn:
        own = msisdn.removeprefix("254")
        spaced = r"[ .()\-]{0,2}".join(own)
        text = re.sub(rf"(?:\+?254|0)?[ -]?{spaced}", f"0{own[:3]}•••{own[-3:]}", text)
    return text


def _json_in_lines(text: str, most: int | None) -> str:
    """JSON with an indent, part by part: numbers and repeated names stay as they were sent."""
    out: list[str] = []
    depth, length, before = 0, 0, ""
    for found in _PART.finditer(text):
        part = found[0]
        if part in "}]":
            depth -= 1
            out.append(part if before in ("{", "[") else f"\n{_indent(depth)}{part}")
        else:
            out.append(f"\n{_indent(depth)}{part}" if before in ("{", "[", ",") else part)
        if part in "{[":
            depth += 1
        elif part == ":":
            out.append(" ")
        before, length = part, length + len(out[-1])
        if most is not None and length > most:
            break
    return "".join(out)[:most]


def _indent(depth: int) -> str:
    """Two spaces for each level, to a limit: Daraja's bodies have five levels."""
    return "  " * min(depth, _DEEPEST)


@console.app_template_filter("visible")
def visible(text: str) -> str:
    """Write characters that reverse text, hide it or move the cursor as their numbers."""
    return "".join(
        each
        if each in "\n\t" or not (unicodedata.category(each).startswith("C") or each in _BREAKS)
        else f"\\u{ord(each):04x}"
        for each in text
    )

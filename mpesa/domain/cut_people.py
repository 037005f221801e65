"""Cut people out of bodies before they are stored: whole phone numbers, and names after one word.

Results of Transaction Status and of Reversal, and answers to Pull, tell the payer's whole number
and name (Daraja docs, on each page). What we need of them is read first; what is kept as evidence
has no more than a confirmation tells. All the rest of a body stays, byte for byte.
"""

import json
import re
import zlib

from mpesa.domain.phone import InvalidPhone, parse_msisdn

# 2547…, +2547…, 07… or 7…, and the same with 1, with no digit beside it: ids and times are longer.
# A balance such as 712345678.00 is none.
_NUMBER = r"(?<![0-9A-Za-z_.])\+?(?:254|0)?[17][0-9]{8}(?![0-9A-Za-z_]|\.[0-9])"
_PHONE = re.compile(_NUMBER)
# "2547*****149 - TEST PAYER" becomes "2547*****149 - TEST".
_NAME_BEHIND = re.compile(r"([0-9]{2,6}\s?\*{3,8}\s?[0-9]{2,4}\s*-\s*[^\s\"<>\\]+)\s[^\"<>\\\n]*")
# Organisations stand there too, by their short code: "600999 - EXAMPLE SHOP".
_ORGANISATION = re.compile(r"\s*[0-9]{5,7}(?![0-9*])")
_DIGITS_FIRST = re.compile(r"\s*\+?[0-9]")

_TOKEN = re.compile(
    r"""
    (?P<text> "(?:[^"\\]|\\.)*" ) (?P<colon> \s*: )?
    | (?P<number> -?[0-9][0-9.eE+-]* )
    | (?P<open> \{ )
    """,
    re.VERBOSE | re.DOTALL,
)
# Of these a part may look like a number by chance, and it is needed as it is.
_IDS = frozenset(
    ["conversationid", "originatorconversationid", "transactionid", "originaltransactionid",
     "receiptno", "responserefid", "requestid", "queuetimeouturl"]
)  # fmt: skip
_NAMES = frozenset(
    ["debitpartyname", "creditpartyname", "debitpartypublicname", "creditpartypublicname",
     "receiverpartypublicname", "sender", "firstname", "middlename", "lastname"]
)  # fmt: skip

_GZIP = b"\x1f\x8b"
_LONGEST_UNPACKED = 1024 * 1024


def cut_people(body: bytes) -> bytes:
    """The body without whole phone numbers and without names after their first word.

    Args:
        body: raw bytes. If they are no JSON, numbers and names are found by their form alone; a
            body packed by gzip is unpacked.

    Returns:
        A number as `2547*****149`. Where a JSON number was one, a text stands there.
    """
    if body.startswith(_GZIP):
        try:
            # 31: a gzip header, and the largest window (zlib's manual, inflateInit2).
            body = zlib.decompressobj(31).decompress(body, _LONGEST_UNPACKED)
        except zlib.error:
            return body
    encoding: str = json.detect_encoding(body)
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError:
        # Latin-1 reads all bytes, and gives them back.
        encoding = "latin-1"
        text = body.decode(encoding)
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        kept = _by_form(text).encode(encoding, "surrogatepass")
        # Some bytes pass for UTF-16 and are none.
        ascii_too = encoding.startswith(("utf-16", "utf-32"))
        return _by_form(kept.decode("latin-1")).encode("latin-1") if ascii_too else kept
    return _by_key(text).encode(encoding, "surrogatepass")


def mask(number: str) -> str:
    """A number of any form as M-PESA masks it: `2547*****149`."""
    try:
        msisdn = parse_msisdn(number)
    except InvalidPhone:
        return number
    return f"{msisdn[:4]}*****{msisdn[-3:]}"


def mask_numbers(text: str) -> str:
    """The text with each whole phone number in it masked."""
    return _PHONE.sub(lambda found: mask(found[0]), text)


def _by_form(text: str) -> str:
    return _NAME_BEHIND.sub(r"\1", mask_numbers(text))


def _by_key(text: str) -> str:
    """Cut each text and number of a JSON document, by the key that it stands under.

    Results name a value by its neighbour (`{"Key": "DebitPartyName", "Value": …}`). Where that
    comes second, the value is cut by its form.
    """
    key, named = "", ""
    pieces: list[str] = []
    end = 0
    for token in _TOKEN.finditer(text):
        if token["open"]:
            key = named = ""
            continue
        if token["colon"]:
            key = _letters(token["text"])
            continue
        under = named if key == "value" else key
        cut = _cut_token(token, under)
        if token["text"] and key == "key":
            named = _letters(token["text"])
        pieces += [text[end : token.start()], cut]
        end = token.end()
    return "".join([*pieces, text[end:]])


def _letters(written: str) -> str:
    """A key without blanks and in small letters, since Daraja spells some in two ways."""
    return "".join(str(json.loads(written)).lower().split())


def _cut_token(token: re.Match[str], under: str) -> str:
    written = token[0]
    if under in _IDS:
        return written
    if token["number"]:
        return json.dumps(mask(written)) if _PHONE.fullmatch(written) else written
    value = json.loads(written)
    cut = _by_form(value)
    if under in _NAMES and not _ORGANISATION.match(cut) and not _DIGITS_FIRST.match(cut):
        cut = " ".join(cut.split()[:1])
    return written if cut == value else json.dumps(cut)

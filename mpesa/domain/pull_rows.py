"""Read what Pull Transactions answers: the payments by hand and by push of the last 48 hours.

(Daraja docs, Pull Transactions, and answers of its sandbox, which spells keys with blanks.)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from mpesa.domain.confirmation import read_account
from mpesa.domain.money import cents_told
from mpesa.domain.results import read_receipt
from mpesa.domain.told import Told
from mpesa.domain.untrusted_json import Unreadable, read_json, read_text
from mpesa.domain.wire_words import first_word, nairobi_time, read_payer

_FOUND, _NONE_FOUND = "1000", "1001"
_NOUGHTS = re.compile(r"0+")
# Daraja's sentence for "none", and for what went wrong there as well.
_NOT_RETRIEVED = b"failed to retrieve transactions"
# "2026-10-01T10:15:07Z", and with a blank, without the Z, with parts of a second.
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
)
# What stands in `sender` instead of a name.
_NO_NAME = "MPESA"
_BESIDE_LETTERS = re.compile(r"[\s_-]+")


class UnreadablePull(Unreadable):
    """The answer cannot be understood; the message says why."""


@dataclass(frozen=True, slots=True)
class PullPage:
    """One page of an answer.

    Attributes:
        told: its payments, in the order of the answer; each time is doubtful.
        unread: how many rows could not be read.
        others: how many rows are no payments to us.
        is_sure: False for HTTP 500, by which Daraja says "none" and that it failed as well.
    """

    told: tuple[Told, ...] = ()
    unread: int = 0
    others: int = 0
    is_sure: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether no page can follow."""
        return not self.rows

    @property
    def rows(self) -> int:
        """How many rows there were in all."""
        return len(self.told) + self.unread + self.others


def read_pull(status: int, body: bytes, short_code: str) -> PullPage:
    """Read one page.

    Args:
        status: of HTTP.
        body: the raw bytes of the answer.
        short_code: the one that was asked about, whose payments alone are in the answer.

    Raises:
        UnreadablePull: it is neither a list of payments nor one of Daraja's ways to say "none".
    """
    try:
        document = read_json(body)
        if not isinstance(document, dict):
            raise UnreadablePull("no object")
        if status == 500 and _NOT_RETRIEVED in body.lower():
            return PullPage(is_sure=False)
        if status != 200:
            raise UnreadablePull(f"HTTP {status}")
        fields = _by_letters(document)
        rows = list(_rows(fields.get("response")))
    except UnreadablePull:
        raise
    except Unreadable as why:
        raise UnreadablePull(str(why)) from None
    code = read_text(fields.get("responsecode", fields.get("responsestatus")), longest=32) or ""
    # Money that stands there is read, whatever the code beside it says.
    if not rows and code not in (_FOUND, _NONE_FOUND) and not _NOUGHTS.fullmatch(code):
        raise UnreadablePull("no ResponseCode that is known")
    told = [_told(row, short_code) for row in rows if not _went_back(row)]
    others = len(rows) - len(told)
    return PullPage(tuple(each for each in told if each), told.count(None), others)


def _rows(response: object) -> Iterator[object]:
    """The rows in a list, in lists within it, and in a text of such lists as `"[[]]"`."""
    waiting = [response]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, list):
            waiting = [*each, *waiting]
        elif isinstance(each, str) and each.strip():
            inner = read_json(each.encode("utf-8", "replace"))
            if not isinstance(inner, list | dict):
                raise UnreadablePull("a Response that is no list")
            waiting = [inner, *waiting]
        elif each not in (None, "") and each != {}:
            yield each


def _told(row: object, short_code: str) -> Told | None:
    try:
        fields = _by_letters(row) if isinstance(row, dict) else {}
    except UnreadablePull:
        return None
    receipt = read_receipt(fields.get("transactionid"))
    amount = cents_told(fields.get("amount"))
    if receipt is None or amount is None:
        return None
    name = first_word(fields.get("sender"))
    is_name = name is not None and name != _NO_NAME and not name.strip("+")[:1].isdigit()
    time = _TIME.fullmatch(read_text(fields.get("trxdate"), longest=40) or "")
    return Told(
        receipt=receipt,
        amount=amount,
        short_code=short_code,
        account=read_account(fields, "billreference"),
        payer=read_payer(fields.get("msisdn")),
        name=name if is_name else None,
        # Read as Nairobi's, whatever zone it names: which one is meant is not known.
        paid_at=nairobi_time(f"{time[1]} {time[2]}", "%Y-%m-%d %H:%M:%S") if time else None,
        paid_at_doubtful=True,
    )


def _went_back(row: object) -> bool:
    """Whether a row is a reversal, which is no payment to us."""
    try:
        fields = _by_letters(row) if isinstance(row, dict) else {}
    except UnreadablePull:
        return False
    kind = read_text(fields.get("transactiontype"), longest=64) or ""
    return "revers" in kind.lower()


def _by_letters(fields: dict[str, Any]) -> dict[str, Any]:
    """Keys by their letters alone, in small ones: "Response Status", "ResponseStatus".

    Raises:
        UnreadablePull: two keys have the same letters and different values.
    """
    found: dict[str, Any] = {}
    for key, value in fields.items():
        letters = _BESIDE_LETTERS.sub("", key).lower()
        if found.setdefault(letters, value) != value:
            raise UnreadablePull("a key stands twice")
    return found

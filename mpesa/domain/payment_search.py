"""What a part of something, typed into the search of payments, may be a part of."""

import re
import unicodedata
from dataclasses import dataclass

from mpesa.domain.money import cents_told

# Characters; a reference has 64 at most, and of a description some words suffice.
LONGEST = 100
_MOST_WORDS = 6
# The masked form of a number shows its last three digits.
DIGITS_SHOWN = 3
_TAIL = re.compile(r"[0-9]{3,6}")
_BEGINNING = re.compile(r"[A-Z0-9._/-]{2,64}")
_RECEIPT = re.compile(r"[A-Z0-9]{2,10}")
_WORD = re.compile(r"[^\W_]{2,}")


@dataclass(frozen=True, slots=True)
class Parts:
    """What a text may be; a part that is None or empty it can't be.

    Attributes:
        amount: in shillings.
        last_digits: of a phone number, three to six.
        reference: its beginning, in capitals.
        receipt: its beginning, in capitals.
        words: of a description, each with its beginning, in small letters.
    """

    amount: int | None = None
    last_digits: str | None = None
    reference: str | None = None
    receipt: str | None = None
    words: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything can fit."""
        return self != Parts()


def read(typed: str, *, sees_people: bool) -> Parts:
    """Read what was typed.

    Args:
        typed: as it was typed; what is longer than `LONGEST` is nothing.
        sees_people: whether that person may find out whose a number is. Another one finds by the
            digits that a masked number shows, and by no more.
    """
    text = unicodedata.normalize("NFKC", typed).strip()
    if not text or len(text) > LONGEST or "\0" in text:
        return Parts()
    capitals, digits = text.upper(), text.replace(" ", "")
    tail = digits if _TAIL.fullmatch(digits) else None
    if tail and len(tail) > DIGITS_SHOWN and not sees_people:
        tail = None
    amount = _amount(capitals)
    # What is written as an amount can be nothing else; bare digits can.
    words = () if amount is not None and not digits.isdigit() else _WORD.findall(text.lower())
    return Parts(
        amount=amount,
        last_digits=tail,
        reference=capitals if _BEGINNING.fullmatch(capitals) else None,
        receipt=capitals if _RECEIPT.fullmatch(capitals) else None,
        words=tuple(words[:_MOST_WORDS]),
    )


def _amount(capitals: str) -> int | None:
    plain = capitals.removeprefix("KES").removeprefix("KSH").strip().removesuffix("/=")
    cents = cents_told(plain.replace(",", ""))
    return None if cents is None or cents % 100 else cents // 100

"""Texts that people write: the characters that they may contain.

`str.isprintable` is no rule for them: it refuses every blank but one, and the joiners that half of
all scripts and many emoji need. The rule is tested with `tests/cases/texts.json`.
"""

import unicodedata

# Control characters, and halves of UTF-16 pairs, which no database and no encoding accepts.
_BROKEN = {"Cc", "Cs"}
_UNSEEN = {"Cf", "Zs", "Zl", "Zp"}

# A spreadsheet takes a cell that begins like this for a formula (OWASP, CSV Injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

# Characters that people put between groups of digits and letters, and whose categories have others
# too: white space among the control characters, the minus sign, and dots.
SEPARATORS = frozenset("\t\n\v\f\r\x85\u2212.\u00b7")


def is_sound(text: str, *, may_break: bool = False) -> bool:
    """Whether a text contains neither control characters nor lone surrogates.

    Args:
        may_break: line breaks and tabs are allowed, as in a field of several lines.
    """
    return all(
        unicodedata.category(each) not in _BROKEN or (may_break and each in "\n\t") for each in text
    )


def read_line(value: object, longest: int) -> str | None:
    """Read one line of text, without the blanks around it.

    Args:
        value: any value from JSON.
        longest: the most characters (code points) that the line may have.

    Returns:
        None where the value is no text, or one that is too long, not sound, or invisible.
    """
    if not isinstance(value, str) or not is_sound(value):
        return None
    line = value.strip()
    shows = any(unicodedata.category(each) not in _UNSEEN for each in line)
    return line if shows and len(line) <= longest else None


def harmless(text: str) -> str:
    """The text, with an apostrophe before it if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text

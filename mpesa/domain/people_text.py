"""Texts that people write: which characters they may hold.

`str.isprintable` is no rule for them: it refuses every blank but one, and the joiners without which
half of all scripts and many emoji fall apart. The rule is tested with `tests/cases/texts.json`.
"""

import unicodedata

# Control characters, and halves of UTF-16 pairs, which no database and no encoding takes.
_BROKEN = {"Cc", "Cs"}
_UNSEEN = {"Cf", "Zs", "Zl", "Zp"}

# What people put between groups of digits and letters and no category names alone: white space
# among the control characters, the minus sign, and dots.
SEPARATORS = frozenset("\t\n\v\f\r\x85\u2212.\u00b7")


def is_sound(text: str, *, may_break: bool = False) -> bool:
    """Whether it holds neither control characters nor lone surrogates.

    Args:
        may_break: line breaks and tabs are fine, as in a field of several lines.
    """
    return all(
        unicodedata.category(each) not in _BROKEN or (may_break and each in "\n\t") for each in text
    )


def read_line(value: object, longest: int) -> str | None:
    """One line as it was written, without the blanks around it.

    Args:
        value: what JSON gave.
        longest: the most characters (code points) that it may have.

    Returns:
        None where it is no text, too long, not sound, or shows nothing.
    """
    if not isinstance(value, str) or not is_sound(value):
        return None
    line = value.strip()
    shows = any(unicodedata.category(each) not in _UNSEEN for each in line)
    return line if shows and len(line) <= longest else None

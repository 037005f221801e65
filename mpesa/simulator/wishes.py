"""Switches that are set by JSON objects: each wish is checked, and a wrong one is named."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, cast

_LONGEST_WAIT = 86_400  # a day; a longer wait is a slip of the keyboard
_LARGEST_BALANCE = 1_000_000_000

Readers = Mapping[str, Callable[[object], Any]]


class InvalidField(ValueError):
    """A wish that cannot be met; the text says what is expected.

    Attributes:
        field: the name of the wrong one.
    """

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


def read(wishes: Mapping[str, object], readers: Readers) -> dict[str, Any]:
    """Read the wishes as values.

    Args:
        readers: one for each switch; it raises ValueError where it does not accept a wish.

    Raises:
        InvalidField: a name is unknown, or a value is out of bounds.
    """
    values = {}
    for name, wish in wishes.items():
        if name not in readers:
            raise InvalidField(name, f"is not a switch; there are {', '.join(readers)}")
        try:
            values[name] = readers[name](wish)
        except ValueError as problem:
            raise InvalidField(name, str(problem)) from None
    return values


def one_of(words: type[StrEnum]) -> Callable[[object], StrEnum]:
    """Make a reader that accepts one of these words."""

    def reader(value: object) -> StrEnum:
        if value not in list(words):
            raise ValueError(f"must be one of {', '.join(words)}")
        return words(cast(str, value))

    return reader


def shillings(value: object) -> int:
    """Read whole KES."""
    # A bool is an int in Python, but `true` is no amount of money.
    if type(value) is not int or not 0 <= value <= _LARGEST_BALANCE:
        raise ValueError(f"must be a whole number of KES from 0 to {_LARGEST_BALANCE}")
    return value


def some_shillings(value: object) -> int:
    """Read whole KES, of at least one."""
    if found := shillings(value):
        return found
    raise ValueError("must be at least 1")


def words(value: object) -> str:
    """Read a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("must be a string")
    return value


def seconds(value: object) -> float:
    """Read a wait."""
    return _seconds_from(0, value)


def seconds_either_way(value: object) -> float:
    """Read by how much something is ahead, or behind where it is negative."""
    return _seconds_from(-_LONGEST_WAIT, value)


def yes_or_no(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _seconds_from(least: float, value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN, which Python's JSON reader lets in, fails this comparison as it should.
    if is_number and least <= cast(float, value) <= _LONGEST_WAIT:
        return cast(float, value)
    raise ValueError(f"must be a number of seconds from {least} to {_LONGEST_WAIT}")

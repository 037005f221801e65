"""Switches that are set by JSON objects: each wish is checked, and a wrong one is named."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, cast

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

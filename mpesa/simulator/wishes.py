"""Switches that are set by JSON objects: what is wished for, checked and named if it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, cast

Readers = Mapping[str, Callable[[object], Any]]


class InvalidField(ValueError):
    """A wish that cannot be met: `field` names the culprit, the text says what is expected."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


def read(wishes: Mapping[str, object], readers: Readers) -> dict[str, Any]:
    """Return the wishes as values; `readers` has one a switch, which raises ValueError.

    Raises InvalidField for an unknown name or a value out of bounds.
    """
    return {name: _value(name, wish, readers) for name, wish in wishes.items()}


def one_of(words: type[StrEnum]) -> Callable[[object], StrEnum]:
    """Return a reader of one of these words."""

    def reader(value: object) -> StrEnum:
        if value not in list(words):
            raise ValueError(f"must be one of {', '.join(words)}")
        return words(cast(str, value))

    return reader


def _value(name: str, wish: object, readers: Readers) -> Any:
    reader = readers.get(name)
    if reader is None:
        raise InvalidField(name, f"is not a switch; there are {', '.join(readers)}")
    try:
        return reader(wish)
    except ValueError as problem:
        raise InvalidField(name, str(problem)) from None

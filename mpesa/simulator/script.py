"""What a line has and does: the switches that make a payer, and Daraja, behave or misbehave."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, cast

MSISDN = re.compile(r"254[17][0-9]{8}")

# Safaricom's published test number: it never answers a prompt, in the real sandbox too.
SILENT_LINE = "254708374149"

_LONGEST_WAIT = 86_400  # a day; anything longer is a slip of the keyboard
_LARGEST_BALANCE = 1_000_000_000


class Answer(StrEnum):
    """What the payer does with a prompt."""

    MANUAL = "manual"
    PAY = "pay"
    CANCEL = "cancel"
    WRONG_PIN = "wrong_pin"
    IGNORE = "ignore"
    UNREACHABLE = "unreachable"
    BUSY = "busy"


class Callback(StrEnum):
    """What becomes of the result callback."""

    ONCE = "once"
    TWICE = "twice"
    NEVER = "never"
    BEFORE_RESPONSE = "before_response"
    GARBLED = "garbled"


class Push(StrEnum):
    """How the push request itself is answered."""

    NORMAL = "normal"
    TIMEOUT = "timeout"
    ERROR_500 = "error_500"
    HTML_503 = "html_503"
    REFUSED = "refused"


class Query(StrEnum):
    """How a status query is answered."""

    HONEST = "honest"
    PENDING = "pending"
    WRONG_FAILED = "wrong_failed"
    FLAKY = "flaky"
    RATE_LIMITED = "rate_limited"


class InvalidField(ValueError):
    """A wish that cannot be met: `field` names the culprit, the text says what is expected."""

    def __init__(self, field: str, expected: str) -> None:
        super().__init__(f"{field}: {expected}")
        self.field = field


@dataclass(frozen=True)
class Script:
    """One line's money, PIN and behaviour; money in whole KES, times in seconds."""

    balance: int = 50_000
    pin: str = "1234"
    answer: Answer = Answer.MANUAL
    after: float = 0
    callback: Callback = Callback.ONCE
    callback_after: float = 0
    push: Push = Push.NORMAL
    query: Query = Query.HONEST
    late_success_after: float | None = None


def first_script(msisdn: str) -> Script:
    """Return the script of a line that nobody has scripted yet."""
    return Script(answer=Answer.IGNORE) if msisdn == SILENT_LINE else Script()


def changed(script: Script, wishes: Mapping[str, object]) -> Script:
    """Return the script with the wishes met; what is left out stays as it was.

    Raises InvalidField for an unknown name or a value out of bounds, and then changes nothing.
    """
    return replace(script, **{name: _read(name, value) for name, value in wishes.items()})


def as_json(script: Script) -> dict[str, Any]:
    """Return the script as the JSON object that the line routes answer and take."""
    return asdict(script)


def _read(name: str, value: object) -> Any:
    reader = _READERS.get(name)
    if reader is None:
        raise InvalidField(name, f"is not a switch; there are {', '.join(_READERS)}")
    try:
        return reader(value)
    except ValueError as problem:
        raise InvalidField(name, str(problem)) from None


def _shillings(value: object) -> int:
    # bool is an int in Python, but `true` is no amount of money.
    if type(value) is not int or not 0 <= value <= _LARGEST_BALANCE:
        raise ValueError(f"must be a whole number of KES from 0 to {_LARGEST_BALANCE}")
    return value


def _pin(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}", value):
        raise ValueError('must be a string of four digits, like "1234"')
    return value


def _seconds(value: object) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    # NaN, which Python's JSON reader lets in, fails this comparison as it should.
    if is_number and 0 <= cast(float, value) <= _LONGEST_WAIT:
        return cast(float, value)
    raise ValueError(f"must be a number of seconds from 0 to {_LONGEST_WAIT}")


def _seconds_or_off(value: object) -> float | None:
    """Null and 0 both turn the late success off: nothing late happens after no time at all."""
    return None if value is None else _seconds(value) or None


def _one_of(words: type[StrEnum]) -> Callable[[object], StrEnum]:
    def read(value: object) -> StrEnum:
        if value not in list(words):
            raise ValueError(f"must be one of {', '.join(words)}")
        return words(cast(str, value))

    return read


_READERS: dict[str, Callable[[object], Any]] = {
    "balance": _shillings,
    "pin": _pin,
    "answer": _one_of(Answer),
    "after": _seconds,
    "callback": _one_of(Callback),
    "callback_after": _seconds,
    "push": _one_of(Push),
    "query": _one_of(Query),
    "late_success_after": _seconds_or_off,
}

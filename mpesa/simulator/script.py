"""A line's money, PIN and behaviour: switches that make a payer, and Daraja, behave or not."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from mpesa.simulator import wishes
from mpesa.simulator.outcomes import Outcome
from mpesa.simulator.wishes import one_of, seconds, shillings

MSISDN = re.compile(r"254[17][0-9]{8}")

# Safaricom's published test number: it never answers a prompt, in the real sandbox too.
SILENT_LINE = "254708374149"


class Answer(StrEnum):
    """The payer's reaction to a prompt."""

    MANUAL = "manual"
    PAY = "pay"
    CANCEL = "cancel"
    WRONG_PIN = "wrong_pin"
    IGNORE = "ignore"
    UNREACHABLE = "unreachable"
    BUSY = "busy"


# An `answer` may also name a result that no payer can bring about, like "code:1019".
RESULTS = {f"code:{each.code}": each for each in Outcome if each is not Outcome.PAID}


class Callback(StrEnum):
    """The fate of the result callback."""

    ONCE = "once"
    TWICE = "twice"
    NEVER = "never"
    BEFORE_RESPONSE = "before_response"
    GARBLED = "garbled"


class PushAnswer(StrEnum):
    """The answer to the push request itself."""

    NORMAL = "normal"
    TIMEOUT = "timeout"
    ERROR_500 = "error_500"
    HTML_503 = "html_503"
    REFUSED = "refused"
    BUSY_500 = "busy_500"
    QUOTA = "quota"
    RATE_429 = "rate_429"
    DEAD_TOKEN = "dead_token"


class Query(StrEnum):
    """The answer to a status query."""

    HONEST = "honest"
    PENDING = "pending"
    WRONG_FAILED = "wrong_failed"
    FLAKY = "flaky"
    RATE_LIMITED = "rate_limited"
    PENDING_500 = "pending_500"
    TOO_EARLY = "too_early"


class Metadata(StrEnum):
    """The form of this line's success callbacks, of those seen in real ones."""

    CLASSIC = "classic"
    NO_BALANCE = "no_balance"
    MASKED_PHONE = "masked_phone"
    NO_PHONE = "no_phone"
    WHOLE_AMOUNT = "whole_amount"


class Again(StrEnum):
    """The fate of a push to a line that was asked to pay a moment ago."""

    TAKEN = "taken"
    RULE_17 = "rule_17"
    LOCKED = "locked"


@dataclass(frozen=True)
class Script:
    """One line's money, PIN and behaviour.

    Attributes:
        balance: whole KES.
        answer: one of `Answer`, or of `RESULTS`.
        after: seconds from the push's answer to the payer's.
        callback_after: seconds from the payment's end to its callback.
        late_success_after: seconds from a failure's callback to a success; None: there is none.
    """

    balance: int = 50_000
    pin: str = "1234"
    answer: str = Answer.MANUAL
    # No payer is faster than the answer to the push: the quickest real payment took 9 s. Two are
    # enough for a merchant to have stored what that answer said.
    after: float = 2
    callback: Callback = Callback.ONCE
    callback_after: float = 0
    push: PushAnswer = PushAnswer.NORMAL
    query: Query = Query.HONEST
    late_success_after: float | None = None
    metadata: Metadata = Metadata.CLASSIC
    again: Again = Again.TAKEN

    @property
    def result(self) -> Outcome | None:
        """The result that `answer` names; None where a payer decides."""
        return RESULTS.get(self.answer)


def first_script(msisdn: str) -> Script:
    """Make the script of a line that was not scripted yet."""
    if msisdn != SILENT_LINE:
        return Script()
    # A query told of its end at 14 s, the callback at 26 s (nkap, sandbox runs of September 2026).
    return Script(answer=Answer.IGNORE, callback_after=12)


def changed(script: Script, wanted: Mapping[str, object]) -> Script:
    """The script with the wishes met; switches that are not named stay.

    Raises:
        InvalidField: a name is unknown, or a value is out of bounds.
    """
    return replace(script, **wishes.read(wanted, _READERS))


def as_json(script: Script) -> dict[str, Any]:
    """Make the JSON object that the routes of lines answer and accept."""
    return asdict(script)


def _pin(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}", value):
        raise ValueError('must be a string of four digits, like "1234"')
    return value


def _seconds_or_off(value: object) -> float | None:
    """Seconds; null and 0 both turn the late success off."""
    return None if value is None else seconds(value) or None


def _answer(value: object) -> str:
    answers = [*Answer, *RESULTS]
    if not isinstance(value, str) or value not in answers:
        raise ValueError(f"must be one of {', '.join(answers)}")
    return value


_READERS: wishes.Readers = {
    "balance": shillings,
    "pin": _pin,
    "answer": _answer,
    "after": seconds,
    "callback": one_of(Callback),
    "callback_after": seconds,
    "push": one_of(PushAnswer),
    "query": one_of(Query),
    "late_success_after": _seconds_or_off,
    "metadata": one_of(Metadata),
    "again": one_of(Again),
}

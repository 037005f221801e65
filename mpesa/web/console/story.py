"""What happened to a payment, line by line, as a person in a shop reads it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mpesa.domain.evidence import Kind
from mpesa.domain.receipt import nairobi_day
from mpesa.web.console import wording
from mpesa.web.console.decisions import headline

# What these bring says itself best in the words of what was decided on it.
_TOLD_BY_ITS_DECISION = frozenset({Kind.PUSH_ANSWER, Kind.CALLBACK, Kind.QUERY, Kind.CLOCK})


@dataclass(frozen=True)
class Event:
    """Something that happened to a payment.

    Attributes:
        kind: a `Kind`, or `created`, `announced`, `webhook` or `witness`.
        at: aware UTC.
        about: the sender of the evidence, or the type of the webhook.
        decisions: the decisions on evidence; the announcement; the tries to deliver a webhook; the
            telling of a witness.
        raw: the body as text; None if there is none, or if it is not to be shown.
        whole: whether `raw` is the whole body, not only its beginning.
        body: the fields of an operator's act; None for anything else.
    """

    kind: str
    at: datetime
    about: str | None = None
    evidence_id: int | None = None
    decisions: Sequence[Any] = ()
    raw: str | None = None
    whole: bool = True
    body: dict[str, str] | None = None

    @property
    def turn(self) -> str:
        """The status after the last decision on it; empty if there was no decision."""
        return self.decisions[-1].status if self.decisions and self.kind in list(Kind) else ""


@dataclass(frozen=True)
class Line:
    """A line of the story: an event, or several in a row that say the same.

    Attributes:
        event: the first of them.
        said: what happened, in a few words; empty for what the page words itself.
        is_turn: the payment stands otherwise than before, or needs a person.
        times: how many events it stands for.
        last_at: the time of the last of them.
    """

    event: Event
    said: str
    is_turn: bool
    times: int
    last_at: datetime

    @property
    def spans_days(self) -> bool:
        """Whether the last of them was on another day in Nairobi."""
        return nairobi_day(self.event.at) != nairobi_day(self.last_at)


def lines_of(events: Iterable[Event], *, folded: bool) -> list[Line]:
    """Tell events in their order.

    Args:
        folded: whether those that say the same as the one before, and change nothing, are counted
            on its line, so that a quarter of an hour of equal questions is not a page of them.
    """
    lines: list[Line] = []
    stands: tuple[str, str] | None = None
    for event in events:
        decision = event.decisions[-1] if event.turn else None
        now = (decision.status, decision.reason) if decision else stands
        is_turn = decision is not None and (now != stands or decision.needs_review)
        line = Line(event, _said(event), is_turn, 1, event.at)
        if folded and lines and not is_turn and _is_repeated(lines[-1], line):
            lines[-1] = replace(lines[-1], times=lines[-1].times + 1, last_at=event.at)
        else:
            lines.append(line)
        stands = now
    return lines


def _is_repeated(before: Line, line: Line) -> bool:
    kind = line.event.kind
    same = (before.event.kind, before.said) == (kind, line.said)
    return same and kind in _TOLD_BY_ITS_DECISION


def _said(event: Event) -> str:
    if event.kind in _TOLD_BY_ITS_DECISION and event.decisions:
        return headline(event.decisions[-1].why)
    return str(wording.KINDS.get(event.kind, ""))

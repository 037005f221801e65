"""Spans of whole days in Nairobi, as a person chooses them: today, last month, two days."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from mpesa.domain.wire_words import NAIROBI

_DAY = timedelta(days=1)
# `date.fromisoformat` reads weeks and dates without hyphens too, which nobody is told of.
_WRITTEN = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# Time zones reach no further, and no payment is older.
_FIRST_YEAR, _LAST_YEAR = 1971, 9000


class Named(StrEnum):
    """A period that moves with the day; its value is that of `period` in an address."""

    TODAY = "today"
    YESTERDAY = "yesterday"
    WEEK = "7days"
    MONTH = "month"
    LAST_MONTH = "last_month"


class Fault(StrEnum):
    """Why a query tells no period."""

    UNKNOWN_NAME = "unknown_name"
    NO_DAY = "no_day"
    FROM_IS_MISSING = "from_is_missing"
    FROM_AFTER_TO = "from_after_to"


@dataclass(frozen=True)
class BadPeriod(Exception):
    """A query that tells no period.

    Attributes:
        field: the parameter to change.
    """

    field: str
    fault: Fault


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in Nairobi, one after the other.

    Attributes:
        first: the first day.
        last: the last day, which is included.
        name: how it was chosen; None: by its days.
    """

    first: date
    last: date
    name: Named | None = None

    @property
    def begin(self) -> datetime:
        """Its first moment, aware UTC."""
        return datetime.combine(self.first, time(), NAIROBI).astimezone(UTC)

    @property
    def end(self) -> datetime:
        """The first moment after it, aware UTC."""
        return datetime.combine(self.last, time(), NAIROBI).astimezone(UTC) + _DAY

    @property
    def days(self) -> list[date]:
        """Each of its days, the first one first."""
        return [self.first + each * _DAY for each in range((self.last - self.first).days + 1)]

    @property
    def is_a_day(self) -> bool:
        """Whether it is one day."""
        return self.first == self.last

    @property
    def query(self) -> dict[str, str]:
        """The parameters by which `read` finds it again."""
        if self.name is not None:
            return {"period": self.name.value}
        return {"from": self.first.isoformat(), "to": self.last.isoformat()}


def named(name: Named, today: date) -> Period:
    """The period of a name.

    Args:
        today: the day in Nairobi.
    """
    match name:
        case Named.TODAY:
            return Period(today, today, name)
        case Named.YESTERDAY:
            return Period(today - _DAY, today - _DAY, name)
        case Named.WEEK:
            return Period(today - 6 * _DAY, today, name)
        case Named.MONTH:
            return Period(today.replace(day=1), today, name)
        case Named.LAST_MONTH:
            last = today.replace(day=1) - _DAY
            return Period(last.replace(day=1), last, name)


def read(query: Mapping[str, str], today: date) -> Period | None:
    """Read the period that an address asks for.

    Args:
        query: `period` with the value of a `Named`; or the days `from` and `to` as `2026-11-24`,
            both included, where `to` may be left out up to today; or one `day`. Empty ones count as
            left out.
        today: the day in Nairobi.

    Returns:
        None where the address names no period.

    Raises:
        BadPeriod: it names one that there is not.
    """
    if name := query.get("period"):
        if name not in list(Named):
            raise BadPeriod("period", Fault.UNKNOWN_NAME)
        return named(Named(name), today)
    if query.get("day"):
        day = _day(query, "day")
        return Period(day, day)
    if not query.get("from"):
        if query.get("to"):
            raise BadPeriod("from", Fault.FROM_IS_MISSING)
        return None
    first = _day(query, "from")
    last = _day(query, "to") if query.get("to") else max(first, today)
    if last < first:
        raise BadPeriod("to", Fault.FROM_AFTER_TO)
    return Period(first, last)


def _day(query: Mapping[str, str], field: str) -> date:
    text = query[field]
    try:
        day = date.fromisoformat(text if _WRITTEN.fullmatch(text) else "")
    except ValueError:
        raise BadPeriod(field, Fault.NO_DAY) from None
    if not _FIRST_YEAR <= day.year < _LAST_YEAR:
        raise BadPeriod(field, Fault.NO_DAY)
    return day

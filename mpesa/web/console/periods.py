"""The one control by which pages choose a period, and the words for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import request, url_for
from flask_babel import format_date
from flask_babel import lazy_gettext as _l

from mpesa.domain import period
from mpesa.domain.period import BadPeriod, Fault, Named, Period
from mpesa.domain.receipt import nairobi_day
from mpesa.web.console.blueprint import console
from mpesa.web.http.errors import invalid
from mpesa.web.http.services import services

NAMES: dict[Named, Any] = {
    Named.TODAY: _l("Today"),
    Named.YESTERDAY: _l("Yesterday"),
    Named.WEEK: _l("7 days"),
    Named.MONTH: _l("This month"),
    Named.LAST_MONTH: _l("Last month"),
}
_FAULTS: dict[Fault, Any] = {
    Fault.UNKNOWN_NAME: _l("There is no such period. Choose one of these, or two days."),
    Fault.NO_DAY: _l("That is no day. Write it as 2026-11-24."),
    Fault.FROM_IS_MISSING: _l("Choose the first day too."),
    Fault.FROM_AFTER_TO: _l("The last day is before the first one."),
}


@dataclass(frozen=True)
class Asked:
    """What the address of a page says about its period.

    Attributes:
        period: None where it says nothing, or nothing that can be.
        error: what is wrong with it; None: nothing.
        field: the parameter to change then.
        typed: the days as they were typed, for the fields.
    """

    period: Period | None
    error: str | None = None
    field: str | None = None
    typed: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Choice:
    """A period to choose, with its address on this page."""

    word: str
    address: str
    chosen: bool


def today() -> date:
    """The day in Nairobi."""
    return nairobi_day(services().now())


def of_today() -> Period:
    """The day so far."""
    return period.named(Named.TODAY, today())


def asked() -> Asked:
    """Read the period of this request's address."""
    try:
        found = period.read(request.args, today())
    except BadPeriod as bad:
        typed = (request.args.get("from", ""), request.args.get("to", ""))
        return Asked(None, str(_FAULTS[bad.fault]), bad.field, typed)
    typed = (found.first.isoformat(), found.last.isoformat()) if found else ("", "")
    return Asked(found, typed=typed)


def asked_or_refused() -> Period | None:
    """The same for a file, which can't say what is wrong beside a field.

    Raises:
        Problem: the address asks for a period that there is not.
    """
    found = asked()
    if found.error is not None:
        raise invalid(found.field or "period", found.error)
    return found.period


def choices(endpoint: str, chosen: Period | None, kept: Mapping[str, str]) -> list[Choice]:
    """The named periods of a page.

    Args:
        kept: the other parameters of its address.
    """
    return [
        Choice(
            str(word),
            url_for(endpoint, **{**kept, "period": name.value}),  # type: ignore[arg-type]
            chosen is not None and chosen.name is name,
        )
        for name, word in NAMES.items()
    ]


@console.app_template_filter("period_word")
def period_word(found: Period) -> str:
    """A period as people write it: one day, or the first and the last; with a year that is over."""
    first, last = found.first, found.last
    this_year = first.year == last.year == today().year
    to = format_date(last, "d MMM" if this_year else "d MMM yyyy")
    if found.is_a_day:
        return str(to)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}\N{EN DASH}{to}"
    from_ = format_date(first, "d MMM" if first.year == last.year else "d MMM yyyy")
    return f"{from_} \N{EN DASH} {to}"


@console.app_template_filter("day_word")
def day_word(day: date) -> str:
    """A day as the heading of what happened on it."""
    now = today()
    written = str(format_date(day, "EEEE d MMM" if day.year == now.year else "EEEE d MMM yyyy"))
    if day == now:
        return f"{NAMES[Named.TODAY]}, {written}"
    return f"{NAMES[Named.YESTERDAY]}, {written}" if day == now - timedelta(days=1) else written

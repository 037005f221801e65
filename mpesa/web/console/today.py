"""Today at a glance: what came in, what did not, and whether M-PESA is to blame."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import render_template
from flask_babel import gettext as _
from markupsafe import Markup

from mpesa.domain.result_codes import Reason
from mpesa.models import db
from mpesa.web.console import charts, stats
from mpesa.web.console.blueprint import console
from mpesa.web.console.charts import Column, Share, Span
from mpesa.web.console.stats import Day, Tally
from mpesa.web.http.services import services

# An hour with fewer results has no rate worth a line.
_FEW = 4
# From the bottom of a column up; classes of the style sheet.
_KINDS = ("paid", "by-payer", "at-mpesa", "waiting")


@dataclass(frozen=True)
class ReasonShare:
    """A reason of failure beside the others."""

    reason: Reason
    count: int
    share: float
    at_mpesa: bool
    bar: Markup


@console.get("/")
def today() -> str:
    """The day in Nairobi so far, beside yesterday."""
    now = services().now()
    day = stats.read_day(db.session(), now)
    hours = [_hour_words(day, hour) for hour in range(24)]
    return render_template(
        "console/today.html",
        now=now,
        day=day,
        open=stats.read_open(db.session()),
        rate_chart=_rate_chart(day),
        hour_chart=_hour_chart(day, hours),
        wait_chart=_wait_chart(day),
        hour_rows=[_row(day, hour) for hour in range(24) if _has_any(day, hour)],
        bad_hours=_bad_hours(day),
        reasons=reasons_of(day.total),
    )


def reasons_of(tally: Tally) -> Sequence[ReasonShare]:
    """Reasons of failure, the most frequent first; bars are by the longest."""
    found = tally.reasons.most_common()
    most = found[0][1] if found else 1
    return [
        ReasonShare(
            reason,
            count,
            count / tally.failed,
            reason in stats.AT_MPESA,
            charts.bar(count / most, "at-mpesa" if reason in stats.AT_MPESA else "by-payer"),
        )
        for reason, count in found
    ]


def span_of(hour: int) -> str:
    """An hour as people write it, from when to when."""
    return f"{hour:02}:00\N{EN DASH}{(hour + 1) % 24:02}:00"


def _has_any(day: Day, hour: int) -> bool:
    return day.hours[hour].all > 0


def _bad_hours(day: Day) -> list[dict[str, Any]]:
    return [
        {
            "span": span_of(hour),
            "rate": day.hours[hour].rate,
            "worst": next(each for each in reasons_of(day.hours[hour]) if each.at_mpesa),
        }
        for hour in range(24)
        if day.is_bad(hour)
    ]


def _row(day: Day, hour: int) -> dict[str, Any]:
    return {
        "span": span_of(hour),
        "tally": day.hours[hour],
        "waits": day.waits.get(hour),
        "bad": day.is_bad(hour),
    }


def _hour_words(day: Day, hour: int) -> str:
    tally = day.hours[hour]
    return str(
        _(
            "%(span)s: %(paid)d paid, %(by_payer)d ended by the payer, %(at_mpesa)d failed at"
            " M-PESA, %(waiting)d not settled",
            span=span_of(hour),
            paid=tally.paid,
            by_payer=tally.by_payer,
            at_mpesa=tally.at_mpesa,
            waiting=tally.waiting,
        )
    )


def _hour_chart(day: Day, words: Sequence[str]) -> Markup:
    columns = [
        Column(
            f"{hour:02}",
            (each.paid, each.by_payer, each.at_mpesa, each.waiting),
            words[hour],
            marked=day.is_bad(hour),
            major=hour % 3 == 0,
        )
        for hour, each in enumerate(day.hours)
    ]
    about = _("A column for each hour of the day; the same numbers are in the table below.")
    return charts.stacked("hours", _("Payments by hour"), about, _KINDS, columns, 210)


def _rate_chart(day: Day) -> Markup:
    shares = [
        Share(
            each.rate,
            _(
                "%(span)s: %(rate)s of the settled were paid",
                span=span_of(hour),
                rate=percent(each.rate),
            ),
            marked=day.is_bad(hour),
            few=each.paid + each.failed < _FEW,
        )
        for hour, each in enumerate(day.hours)
    ]
    about = _("A dot for each hour; the dashed line is yesterday's share.")
    return charts.shares("rates", _("Success rate by hour"), about, shares, day.before.rate, 92)


def _wait_chart(day: Day) -> Markup:
    spans = []
    for hour in range(24):
        waits = day.waits.get(hour)
        words = _(
            "%(span)s: half within %(middle)d s, nine of ten within %(upper)d s",
            span=span_of(hour),
            middle=waits.middle if waits else 0,
            upper=waits.upper if waits else 0,
        )
        middle, upper = (waits.middle, waits.upper) if waits else (None, None)
        spans.append(
            Span(f"{hour:02}", middle, upper, words, day.is_bad(hour), major=hour % 3 == 0)
        )
    about = _("The dot is what half of the payments took, the bar's top what nine of ten did.")
    return charts.spans("waits", _("Time from push to result"), about, " s", spans, 236)


@console.app_template_filter("percent")
def percent(share: float | None) -> str:
    """`0.823` becomes `82%`; nothing to divide is a dash."""
    return "\N{EN DASH}" if share is None else f"{share:.0%}"


@console.app_template_filter("points")
def points(share: float, before: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{(share - before) * 100:+.0f}".replace("-", "\N{MINUS SIGN}")

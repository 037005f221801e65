"""Today at a glance: what was paid, what failed, and whether M-PESA is the cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import render_template
from flask_babel import gettext as _
from markupsafe import Markup
from sqlalchemy import Row, select

from mpesa.domain.result_codes import Reason
from mpesa.models import Order, Receipt, Transaction, db
from mpesa.web.console import charts, stats
from mpesa.web.console.blueprint import console
from mpesa.web.console.charts import Column, Share, Span
from mpesa.web.console.stats import Day, Outcomes
from mpesa.web.http.services import services

# With fewer results, an hour's rate means too little for the line.
_FEW = 4
# With fewer payments, on this day and the day before, charts by the hour are mostly empty.
_ENOUGH = 20
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
    """Show the day in Nairobi so far, beside yesterday."""
    now = services().now()
    day = stats.read_day(db.session(), now)
    hour_rows = [
        {
            "span": span_of(hour),
            "tally": tally,
            "waits": day.waits.get(hour),
            "bad": day.is_bad(hour),
        }
        for hour, tally in enumerate(day.hours)
        if tally.all
    ]
    bad_hours = [
        {
            "span": span_of(hour),
            "rate": tally.rate,
            "worst": next(each for each in reasons_of(tally) if each.at_mpesa),
        }
        for hour, tally in enumerate(day.hours)
        if day.is_bad(hour)
    ]
    is_young = max(_count(day.total, day.hand), _count(day.before)) < _ENOUGH
    few = _payments_of(day) if is_young else None
    return render_template(
        "console/today.html",
        few=few,
        enough=_ENOUGH,
        is_new=not few and is_young and not _has_any(),
        now=now,
        day=day,
        open=stats.read_open(db.session()),
        rate_chart=_rate_chart(day),
        hour_chart=_hour_chart(day),
        wait_chart=_wait_chart(day),
        hour_rows=hour_rows,
        bad_hours=bad_hours,
        reasons=reasons_of(day.total),
    )


def _count(*tallies: Outcomes) -> int:
    return sum(each.all for each in tallies)


def _payments_of(day: Day) -> Sequence[Row[*tuple[Any, ...]]]:
    """The payments of a day, newest first, where they are few."""
    begin, end = stats.bounds(day.date)
    shown = (
        select(Transaction.id, Transaction.created_at, Transaction.status, Transaction.reason,
               Transaction.amount, Order.reference, Order.description)
        .join_from(Transaction, Order)
        .where(Transaction.created_at >= begin, Transaction.created_at < end)
        .order_by(Transaction.created_at.desc())
        .limit(_ENOUGH)
    )  # fmt: skip
    return db.session.execute(shown).all()


def _has_any() -> bool:
    """Whether money was ever asked for or came."""
    some: tuple[Any, ...] = (select(Transaction.id), select(Receipt.id))
    return any(db.session.scalar(each.limit(1)) is not None for each in some)


def reasons_of(tally: Outcomes) -> Sequence[ReasonShare]:
    """Reasons of failure, the most frequent first; its bar has the full width."""
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
    """An hour as people write it, from its beginning to its end."""
    return f"{hour:02}:00\N{EN DASH}{(hour + 1) % 24:02}:00"


def _hour_chart(day: Day) -> Markup:
    columns = []
    for hour, each in enumerate(day.hours):
        words = _(
            "%(span)s: %(paid)d paid, %(by_payer)d ended by the payer, %(at_mpesa)d failed at"
            " M-PESA, %(waiting)d without a result",
            span=span_of(hour),
            paid=each.paid,
            by_payer=each.by_payer,
            at_mpesa=each.at_mpesa,
            waiting=each.waiting,
        )
        parts = (each.paid, each.by_payer, each.at_mpesa, each.waiting)
        columns.append(
            Column(f"{hour:02}", parts, words, marked=day.is_bad(hour), major=hour % 3 == 0)
        )
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
    return charts.spans("waits", _("Time from request to result"), about, " s", spans, 236)


@console.app_template_filter("percent")
def percent(share: float | None) -> str:
    """Write a share in per cent: `0.823` becomes `82%`; None becomes a dash."""
    return "\N{EN DASH}" if share is None else f"{share:.0%}"


@console.app_template_filter("points")
def points(share: float, before: float) -> str:
    """Write the difference of two shares in percentage points, with its sign."""
    return f"{(share - before) * 100:+.0f}".replace("-", "\N{MINUS SIGN}")

"""Today at a glance, or another period: what was paid, what failed, whether M-PESA is the cause."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flask import render_template
from flask_babel import format_date
from flask_babel import gettext as _
from markupsafe import Markup
from sqlalchemy import Row, select
from werkzeug.wrappers import Response

from mpesa.domain.period import Period
from mpesa.domain.result_codes import Reason
from mpesa.models import Order, Receipt, Transaction, db
from mpesa.web.console import charts, periods, stats
from mpesa.web.console.blueprint import console
from mpesa.web.console.charts import Column, Share, Span
from mpesa.web.console.stats import Day, Figures, Outcomes, Waits
from mpesa.web.http.services import services

# With fewer results, an hour's rate means too little for the line.
_FEW = 4
# With fewer payments, on this day and the day before, charts by the hour are mostly empty.
_ENOUGH = 20
# From the bottom of a column up; classes of the style sheet.
_KINDS = ("paid", "by-payer", "at-mpesa", "waiting")
# So many days have room for a label each, every third of them on a phone.
_LABELS = 31


@dataclass(frozen=True)
class ReasonShare:
    """A reason of failure beside the others."""

    reason: Reason
    count: int
    share: float
    at_mpesa: bool
    bar: Markup


@dataclass(frozen=True)
class Part:
    """An hour of a day, or a day of several.

    Attributes:
        name: as people write it: an hour from its beginning to its end, `Tue 3 Nov`.
        label: below its column.
        major: whether the label stays on a narrow screen.
        period: whose payments it leads to.
    """

    name: str
    label: str
    major: bool
    tally: Outcomes
    bad: bool
    period: Period
    waits: Waits | None = None


@console.get("/")
def today() -> Response:
    """Show the day in Nairobi so far, beside yesterday; or the period that the address asks for."""
    now, asked = services().now(), periods.asked()
    period = asked.period or periods.of_today()
    if len(period.days) > stats.MOST_DAYS:
        error = _("The figures of a year at most can be shown at once.")
        asked = periods.Asked(None, error, "from", asked.typed)
    is_today = period.is_a_day and period.first == periods.today()
    figures, parts, few, is_new = None, list[Part](), None, False
    if asked.error is None:
        figures = _read(period)
        parts = _parts(figures)
    if is_today and isinstance(figures, Day):
        is_young = max(_count(figures.total, figures.hand), _count(figures.before)) < _ENOUGH
        few = _payments_of(figures) if is_young else None
        is_new = not few and is_young and not _has_any()
    page = render_template(
        "console/today.html",
        few=few,
        enough=_ENOUGH,
        is_new=is_new,
        now=now,
        asked=asked,
        period=period,
        choices=periods.choices("console.today", period, {}),
        is_today=is_today,
        figures=figures,
        open=stats.read_open(db.session()),
        rate_chart=_rate_chart(figures, parts) if figures else "",
        outcome_chart=_outcome_chart(figures, parts) if figures else "",
        wait_chart=_wait_chart(parts) if isinstance(figures, Day) else "",
        rows=[each for each in parts if each.tally.all],
        bad=[(each, _worst(each.tally)) for each in parts if each.bad],
        reasons=reasons_of(figures.total) if figures else (),
    )
    status = 200 if asked.error is None else 400
    return Response(page, status, content_type="text/html; charset=utf-8")


def _read(period: Period) -> Figures:
    if period.is_a_day:
        return stats.read_day(db.session(), services().now(), period)
    return stats.read_days(db.session(), period)


def _parts(figures: Figures) -> list[Part]:
    if isinstance(figures, Day):
        return [
            Part(
                span_of(hour),
                f"{hour:02}",
                hour % 3 == 0,
                tally,
                figures.is_bad(hour),
                figures.period,
                figures.waits.get(hour),
            )
            for hour, tally in enumerate(figures.parts)
        ]
    days = figures.period.days
    # Of a long period every Nth day has a label, and its month with it.
    step = -(-len(days) // _LABELS)
    return [
        Part(
            format_date(day, "EEE d MMM"),
            "" if at % step else str(day.day) if step == 1 else format_date(day, "d MMM"),
            at % (3 * step) == 0 if len(days) > 7 else True,
            tally,
            figures.is_bad(at),
            Period(day, day),
        )
        for at, (day, tally) in enumerate(zip(days, figures.parts, strict=True))
    ]


def _worst(tally: Outcomes) -> ReasonShare:
    return next(each for each in reasons_of(tally) if each.at_mpesa)


def _count(*tallies: Outcomes) -> int:
    return sum(each.all for each in tallies)


def _payments_of(day: Day) -> Sequence[Row[*tuple[Any, ...]]]:
    """The payments of a day, newest first, where they are few."""
    shown = (
        select(Transaction.id, Transaction.created_at, Transaction.status, Transaction.reason,
               Transaction.amount, Order.reference, Order.description)
        .join_from(Transaction, Order)
        .where(Transaction.created_at >= day.period.begin, Transaction.created_at < day.period.end)
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


def _outcome_chart(figures: Figures, parts: Sequence[Part]) -> Markup:
    columns = []
    for part in parts:
        each = part.tally
        words = _(
            "%(span)s: %(paid)d paid, %(by_payer)d ended by the payer, %(at_mpesa)d failed at"
            " M-PESA, %(waiting)d without a result",
            span=part.name,
            paid=each.paid,
            by_payer=each.by_payer,
            at_mpesa=each.at_mpesa,
            waiting=each.waiting,
        )
        counts = (each.paid, each.by_payer, each.at_mpesa, each.waiting)
        columns.append(Column(part.label, counts, words, marked=part.bad, major=part.major))
    if isinstance(figures, Day):
        title = _("Payments by hour")
        about = _("A column for each hour of the day; the same numbers are in the table below.")
    else:
        title = _("Payments by day")
        about = _("A column for each day; the same numbers are in the table below.")
    return charts.stacked("parts", title, about, _KINDS, columns, 210)


def _rate_chart(figures: Figures, parts: Sequence[Part]) -> Markup:
    shares = [
        Share(
            each.tally.rate,
            _(
                "%(span)s: %(rate)s of the settled were paid",
                span=each.name,
                rate=percent(each.tally.rate),
            ),
            marked=each.bad,
            few=each.tally.paid + each.tally.failed < _FEW,
        )
        for each in parts
    ]
    if isinstance(figures, Day):
        title = _("Success rate by hour")
        about = _("A dot for each hour; the dashed line is the share of the day before.")
        usual = figures.before.rate
    else:
        title = _("Success rate by day")
        about = _("A dot for each day; the dashed line is the share of the whole period.")
        usual = figures.usual_rate
    return charts.shares("rates", title, about, shares, usual, 92)


def _wait_chart(parts: Sequence[Part]) -> Markup:
    spans = []
    for part in parts:
        words = _(
            "%(span)s: half within %(middle)d s, nine of ten within %(upper)d s",
            span=part.name,
            middle=part.waits.middle if part.waits else 0,
            upper=part.waits.upper if part.waits else 0,
        )
        middle, upper = (part.waits.middle, part.waits.upper) if part.waits else (None, None)
        spans.append(Span(part.label, middle, upper, words, part.bad, part.major))
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

"""Charts as SVG, drawn from numbers: no script, no library, and colours by CSS variables.

Across, everything is in per cent and, up and down, in pixels: so a chart is as wide as its place,
and its letters stay as large as they were on a phone and on a desk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

# Pixels.
_TOP, _FOOT = 14, 22
# What a column leaves of its slot, so that neighbours do not touch.
_GAP = 0.22
# A count of one beside a thousand is still to be seen.
_LEAST = 1.5


@dataclass(frozen=True)
class Column:
    """One column of a stacked chart.

    Attributes:
        label: what stands below it.
        parts: from the bottom up, as many as the chart has kinds.
        says: the whole column in words.
        marked: it stands out for a reason that `says` names.
        major: its label stays where there is little room.
    """

    label: str
    parts: Sequence[int]
    says: str
    marked: bool = False
    major: bool = True


@dataclass(frozen=True)
class Span:
    """The usual and the slow end of what was measured; None where nothing was.

    Attributes:
        middle: half of all were below it.
        upper: nine of ten were below it.
    """

    label: str
    middle: float | None
    upper: float | None
    says: str
    marked: bool = False
    major: bool = True


@dataclass(frozen=True)
class Share:
    """A part of a whole, 0 to 1; None where there is no whole.

    Attributes:
        few: of so little that it says not much; no line leads there.
    """

    value: float | None
    says: str
    marked: bool = False
    few: bool = False


def stacked(
    name: str, title: str, about: str, kinds: Sequence[str], columns: Sequence[Column], tall: int
) -> Markup:
    """Columns of several kinds on top of each other.

    Args:
        name: for the ids within the page.
        about: what the chart shows, in a sentence, for who does not see it.
        kinds: a CSS class for each part, from the bottom up.
        tall: pixels of the whole drawing.
    """
    top = nice_top(max((sum(each.parts) for each in columns), default=0))
    plot = _Plot(tall, top, len(columns))
    drawn = [plot.grid(), *(_column(plot, i, kinds, each) for i, each in enumerate(columns))]
    return _svg(name, title, about, tall, [*drawn, plot.labels(columns)])


def spans(name: str, title: str, about: str, unit: str, each: Sequence[Span], tall: int) -> Markup:
    """A bar from the middle to the slow end, and a dot at the middle.

    Args:
        unit: stands behind the numbers of the scale.
    """
    top = nice_top(max((one.upper or 0 for one in each), default=0))
    plot = _Plot(tall, top, len(each))
    drawn = [plot.grid(unit), *(_span(plot, i, one) for i, one in enumerate(each))]
    return _svg(name, title, about, tall, [*drawn, plot.labels(each)])


def shares(
    name: str, title: str, about: str, each: Sequence[Share], usual: float | None, tall: int
) -> Markup:
    """Shares as dots that a line joins, over a dashed line at the usual share."""
    plot = _Plot(tall, 1, len(each), foot=6)
    drawn = [plot.rule(1, "100%", "grid"), plot.rule(0, "", "grid")]
    if usual is not None:
        drawn.append(plot.rule(usual, "", "usual"))
    return _svg(name, title, about, tall, [*drawn, *_joined(plot, each), *_dots(plot, each)])


def bar(share: float, kind: str) -> Markup:
    """A bar beside a number that stands there in words already, so hidden from screen readers.

    Args:
        share: 0 to 1 of the width.
        kind: its CSS class.
    """
    wide = max(0.0, min(1.0, share)) * 100
    return Markup(
        '<svg class="bar" width="100%" height="8" aria-hidden="true" focusable="false">'
        '<rect class="bar-rail" width="100%" height="8" rx="4"/>'
        '<rect class="{}" width="{}%" height="8" rx="4"/></svg>'
    ).format(kind, _number(wide))


def nice_top(most: float) -> int:
    """The end of a scale that `most` fits under: 4, 10, 12, 16, 20, 30 and so on."""
    if most <= 4:
        return 4
    step = 10
    while True:
        for factor in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8):
            if most <= step * factor:
                return round(step * factor)
        step *= 10


class _Plot:
    """Where a number stands in a drawing.

    Args:
        top: the number at the upper end.
        slots: how many columns there are.
        foot: pixels below the plot.
    """

    def __init__(self, tall: int, top: float, slots: int, foot: int = _FOOT) -> None:
        self.floor = tall - foot
        self._top = top
        self.slot = 100 / max(1, slots)

    def y(self, value: float) -> float:
        return self.floor - self.high(value)

    def high(self, value: float) -> float:
        """How many pixels a number is high."""
        return (self.floor - _TOP) * min(value, self._top) / self._top

    def middle(self, index: int) -> float:
        return self.slot * (index + 0.5)

    def grid(self, unit: str = "") -> Markup:
        half = self._top / 2
        lines = [self.rule(value, f"{value:,.0f}{unit}", "grid") for value in (self._top, half)]
        return _join([*lines, self.rule(0, "", "floor")])

    def rule(self, value: float, label: str, kind: str) -> Markup:
        y = self.y(value)
        line = _tag("line", x1="0", x2="100%", y1=y, y2=y, class_=kind)
        return line + (_text(label, "100%", y - 4, "scale") if label else "")

    def band(self, index: int) -> Markup:
        """Behind a column that stands out."""
        x, wide = _percent(self.slot * index), _percent(self.slot)
        return _tag("rect", x=x, y=0, width=wide, height=self.floor, class_="bad-band")

    def labels(self, each: Sequence[Column | Span]) -> Markup:
        return _join(
            _text(
                one.label,
                _percent(self.middle(i)),
                self.floor + 16,
                "label" if one.major else "label minor",
            )
            for i, one in enumerate(each)
        )


def _column(plot: _Plot, index: int, kinds: Sequence[str], column: Column) -> Markup:
    x, wide = _percent(plot.slot * (index + _GAP / 2)), _percent(plot.slot * (1 - _GAP))
    drawn, y = [], float(plot.floor)
    for kind, count in zip(kinds, column.parts, strict=True):
        if count:
            high = max(_LEAST, plot.high(count))
            y -= high
            drawn.append(_tag("rect", x=x, y=y, width=wide, height=high, rx=1.5, class_=kind))
    return _slot(plot, index, column, drawn)


def _span(plot: _Plot, index: int, span: Span) -> Markup:
    if span.middle is None or span.upper is None:
        return Markup("")
    wide = plot.slot * 0.34
    x, y = _percent(plot.middle(index) - wide / 2), plot.y(span.upper)
    high = max(_LEAST, plot.y(span.middle) - y)
    return _slot(
        plot,
        index,
        span,
        [
            _tag("rect", x=x, y=y, width=_percent(wide), height=high, rx=2, class_="span"),
            _tag("circle", cx=_percent(plot.middle(index)), cy=plot.y(span.middle), r=3.5),
        ],
    )


def _slot(plot: _Plot, index: int, shown: Column | Span, drawn: Iterable[Markup]) -> Markup:
    """A column with its words, which appear wherever one points above it."""
    x, wide = _percent(plot.slot * index), _percent(plot.slot)
    hit = _tag("rect", x=x, y=0, width=wide, height=plot.floor, class_="hit")
    band = plot.band(index) if shown.marked else ""
    return Markup('<g class="slot"><title>{}</title>{}{}{}</g>').format(
        shown.says, band, _join(drawn), hit
    )


def _joined(plot: _Plot, each: Sequence[Share]) -> list[Markup]:
    """From each share to the next; an hour without any breaks the line."""
    known = [(i, one.value) for i, one in enumerate(each) if one.value is not None and not one.few]
    return [
        _tag(
            "line",
            x1=_percent(plot.middle(i)),
            x2=_percent(plot.middle(j)),
            y1=plot.y(value),
            y2=plot.y(following),
            class_="rate",
        )
        for (i, value), (j, following) in pairwise(known)
        if j == i + 1
    ]


def _dots(plot: _Plot, each: Sequence[Share]) -> list[Markup]:
    return [
        Markup('<g class="slot"><title>{}</title>{}{}</g>').format(
            one.says,
            plot.band(i) if one.marked else "",
            _tag(
                "circle",
                cx=_percent(plot.middle(i)),
                cy=plot.y(one.value),
                r=2 if one.few else 3.5,
                class_="rate bad" if one.marked else "rate",
            ),
        )
        for i, one in enumerate(each)
        if one.value is not None
    ]


def _svg(name: str, title: str, about: str, tall: int, drawn: Iterable[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" width="100%" height="{tall}" role="img"'
        ' aria-labelledby="{name}-title {name}-about">'
        '<title id="{name}-title">{title}</title><desc id="{name}-about">{about}</desc>'
        "{drawn}</svg>"
    ).format(name=name, title=title, about=about, tall=tall, drawn=_join(drawn))


def _text(words: str, x: str, y: float, kind: str) -> Markup:
    return Markup('<text x="{}" y="{}" class="{}">{}</text>').format(x, _number(y), kind, words)


def _tag(tag: str, *, class_: str = "", **attributes: str | float) -> Markup:
    named = {"class": class_, **attributes} if class_ else attributes
    written = (
        f'{name}="{escape(value if isinstance(value, str) else _number(value))}"'
        for name, value in named.items()
    )
    # Names are ours, values were escaped.
    return Markup(f"<{tag} {' '.join(written)}/>")  # noqa: S704


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _percent(value: float) -> str:
    return f"{_number(value)}%"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

"""Charts as SVG, drawn from numbers: no script, no library, and colours from CSS variables.

Widths are in per cent and heights in pixels, so that a chart fills the width of its place while its
letters keep their size, on a phone and on a desktop.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup, escape

# Pixels.
_TOP, _FOOT = 14, 22
# The part of its slot that a column leaves empty, so that neighbours do not touch.
_GAP = 0.22
# Pixels; a count of one beside a thousand stays visible.
_LEAST = 1.5


@dataclass(frozen=True)
class Column:
    """One column of a stacked chart.

    Attributes:
        label: the text below it.
        parts: its numbers from the bottom up, one for each kind of the chart.
        says: the whole column in words.
        marked: whether it is highlighted, for a reason that `says` names.
        major: whether its label stays on a narrow screen.
    """

    label: str
    parts: Sequence[int]
    says: str
    marked: bool = False
    major: bool = True


@dataclass(frozen=True)
class Span:
    """The median and the slow end of what was measured; None if nothing was measured.

    Attributes:
        middle: half of the values were below it.
        upper: nine of ten values were below it.
    """

    label: str
    middle: float | None
    upper: float | None
    says: str
    marked: bool = False
    major: bool = True


@dataclass(frozen=True)
class Share:
    """A part of a whole, 0 to 1; None if there is no whole.

    Attributes:
        few: whether too few cases are behind it to mean much; then no line leads there.
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
        name: the beginning of the ids within the page.
        about: what the chart shows, in a sentence for screen readers.
        kinds: a CSS class for each part, from the bottom up.
        tall: pixels of the whole drawing.
    """
    top = nice_top(max((sum(each.parts) for each in columns), default=0))
    plot = _Plot(tall, top, len(columns))
    drawn = [plot.grid()]
    wide = _percent(plot.slot * (1 - _GAP))
    for index, column in enumerate(columns):
        x, y, parts = _percent(plot.slot * (index + _GAP / 2)), float(plot.floor), []
        for kind, count in zip(kinds, column.parts, strict=True):
            if count:
                high = max(_LEAST, plot.high(count))
                y -= high
                parts.append(_tag("rect", x=x, y=y, width=wide, height=high, rx=1.5, class_=kind))
        drawn.append(_slot(plot, index, column, parts))
    return _svg(name, title, about, tall, [*drawn, plot.labels(columns)])


def spans(name: str, title: str, about: str, unit: str, each: Sequence[Span], tall: int) -> Markup:
    """A bar from the median to the slow end, and a dot at the median.

    Args:
        unit: stands behind the numbers of the scale.
        tall: pixels of the whole drawing.
    """
    top = nice_top(max((one.upper or 0 for one in each), default=0))
    plot = _Plot(tall, top, len(each))
    drawn = [plot.grid(unit)]
    wide = plot.slot * 0.34
    for index, span in enumerate(each):
        if span.middle is None or span.upper is None:
            continue
        x, y, middle = plot.middle(index), plot.y(span.upper), plot.y(span.middle)
        high, left = max(_LEAST, middle - y), _percent(x - wide / 2)
        bar = _tag("rect", x=left, y=y, width=_percent(wide), height=high, rx=2, class_="span")
        dot = _tag("circle", cx=_percent(x), cy=middle, r=3.5)
        drawn.append(_slot(plot, index, span, [bar, dot]))
    return _svg(name, title, about, tall, [*drawn, plot.labels(each)])


def shares(
    name: str, title: str, about: str, each: Sequence[Share], usual: float | None, tall: int
) -> Markup:
    """Shares as dots that a line joins, over a dashed line at the usual share.

    Args:
        usual: 0 to 1; None for no dashed line.
        tall: pixels of the whole drawing.
    """
    plot = _Plot(tall, 1, len(each), foot=6)
    drawn = [plot.rule(1, "100%", "grid"), plot.rule(0, "0%", "grid")]
    if usual is not None:
        drawn.append(plot.rule(usual, "", "usual"))
    known = [(i, one.value) for i, one in enumerate(each) if one.value is not None and not one.few]
    for (i, value), (j, following) in pairwise(known):
        if j == i + 1:  # an hour without a share breaks the line
            x1, x2 = _percent(plot.middle(i)), _percent(plot.middle(j))
            y1, y2 = plot.y(value), plot.y(following)
            drawn.append(_tag("line", x1=x1, x2=x2, y1=y1, y2=y2, class_="rate"))
    for i, one in enumerate(each):
        if one.value is None:
            continue
        dot = _tag(
            "circle",
            cx=_percent(plot.middle(i)),
            cy=plot.y(one.value),
            r=2 if one.few else 3.5,
            class_="rate bad" if one.marked else "rate",
        )
        band = plot.band(i) if one.marked else ""
        slot = Markup('<g class="slot"><title>{}</title>{}{}</g>')
        drawn.append(slot.format(one.says, band, dot))
    return _svg(name, title, about, tall, drawn)


def bar(share: float, kind: str) -> Markup:
    """A bar beside a number, hidden from screen readers because the number says the same.

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
    """The end of a scale that has room for `most`: 4, 10, 12, 16, 20, 30 and so on."""
    if most <= 4:
        return 4
    step = 10
    while True:
        for factor in (1, 1.2, 1.6, 2, 3, 4, 5, 6, 8):
            if most <= step * factor:
                return round(step * factor)
        step *= 10


class _Plot:
    """The places of numbers in a drawing.

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
        """The height of a number, in pixels."""
        return (self.floor - _TOP) * min(value, self._top) / self._top

    def middle(self, index: int) -> float:
        return self.slot * (index + 0.5)

    def grid(self, unit: str = "") -> Markup:
        half = self._top / 2
        lines = [self.rule(value, f"{value:,.0f}{unit}", "grid") for value in (self._top, half)]
        return _join([*lines, self.rule(0, f"0{unit}", "floor")])

    def rule(self, value: float, label: str, kind: str) -> Markup:
        y = self.y(value)
        line = _tag("line", x1="0", x2="100%", y1=y, y2=y, class_=kind)
        return line + (_text(label, "100%", y - 4, "scale") if label else "")

    def band(self, index: int) -> Markup:
        """The band behind a column that is highlighted."""
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


def _slot(plot: _Plot, index: int, shown: Column | Span, drawn: Iterable[Markup]) -> Markup:
    """A column with its words, which appear when the pointer is anywhere above it."""
    x, wide = _percent(plot.slot * index), _percent(plot.slot)
    hit = _tag("rect", x=x, y=0, width=wide, height=plot.floor, class_="hit")
    band = plot.band(index) if shown.marked else ""
    return Markup('<g class="slot"><title>{}</title>{}{}{}</g>').format(
        shown.says, band, _join(drawn), hit
    )


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
    # The names are ours, and the values were escaped.
    return Markup(f"<{tag} {' '.join(written)}/>")  # noqa: S704


def _join(parts: Iterable[Markup]) -> Markup:
    return Markup("").join(parts)


def _percent(value: float) -> str:
    return f"{_number(value)}%"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")

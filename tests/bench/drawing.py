"""Line charts as SVG, legible on light and on dark pages."""

import math
from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 90, 62, 52
# All keep a contrast of 4.5 on their ground; dashes tell the lines apart without colour.
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600 }
  .grid { stroke: #24292f; stroke-opacity: .18 } .line { fill: none; stroke-width: 2.5 }
  .s0 { stroke: #0b6b3a; fill: #0b6b3a } .s1 { stroke: #b3261e; fill: #b3261e }
  .s2 { stroke: #0b57d0; fill: #0b57d0 } text.s0, text.s1, text.s2 { stroke: none }
  .s1.line { stroke-dasharray: 7 4 } .s2.line { stroke-dasharray: 2 4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .grid { stroke: #e6edf3 }
    .s0 { stroke: #4ad38b; fill: #4ad38b } .s1 { stroke: #ff8a80; fill: #ff8a80 }
    .s2 { stroke: #8ab4f8; fill: #8ab4f8 }
  }
  .line { fill: none }
"""


def chart(title: str, x_name: str, y_name: str, lines: Mapping[str, Points]) -> str:
    """Draw lines; both axes begin at 0.

    Args:
        lines: points by the line's name; three lines at most have colours.
    """
    x_top = ceiling(max(x for points in lines.values() for x, _ in points))
    y_top = ceiling(max(y for points in lines.values() for _, y in points))
    drawn = [
        _text(_LEFT, 22, title, "title"),
        _text(_LEFT + _inner_width() / 2, _HEIGHT - 10, x_name, anchor="middle"),
        _text(_LEFT, _TOP - 18, y_name),
        *_grid(x_top, y_top),
    ]
    for number, (name, points) in enumerate(lines.items()):
        placed = [_place(x / x_top, y / y_top) for x, y in points]
        drawn += _line(name, placed, f"s{number}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img"'
        f' aria-label="{escape(title)}">\n<style>{_STYLE}</style>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def ceiling(value: float) -> float:
    """The next of 1, 2, 2.5, 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)


def _inner_width() -> int:
    return _WIDTH - _LEFT - _RIGHT


def _place(x: float, y: float) -> tuple[float, float]:
    """Where a point lies whose coordinates are shares of the axes."""
    height = _HEIGHT - _TOP - _BOTTOM
    return round(_LEFT + x * _inner_width(), 1), round(_TOP + (1 - y) * height, 1)


def _grid(x_top: float, y_top: float) -> list[str]:
    drawn = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        (left, y), (right, _) = _place(0, share), _place(1, share)
        drawn.append(f'<line class="grid" x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>')
        drawn.append(_text(left - 8, y + 4, _number(share * y_top), anchor="end"))
        x, bottom = _place(share, 0)
        drawn.append(_text(x, bottom + 20, _number(share * x_top), anchor="middle"))
    return drawn


def _line(name: str, placed: list[tuple[float, float]], style: str) -> list[str]:
    path = " ".join(f"{x},{y}" for x, y in placed)
    dots = [f'<circle class="{style}" cx="{x}" cy="{y}" r="3.5"/>' for x, y in placed]
    x, y = placed[-1]
    return [
        f'<polyline class="{style} line" points="{path}"/>',
        *dots,
        _text(x + 9, y + 4, name, style),
    ]


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    return f'<text class="{style}" x="{x}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:g}"

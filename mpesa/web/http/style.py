"""The pages' style sheet with the merchant's colours, written into each page.

A linked sheet costs a second round trip before a page shows anything: on Slow 3G more than two
seconds.
"""

import re
from functools import cache
from pathlib import Path

from markupsafe import Markup

from mpesa.web.http.inline import Inline


@cache
def style_of(static_folder: Path, colour: str, *, pattern: bool) -> Inline:
    """The style sheet of a merchant.

    Args:
        static_folder: where the sheets are.
        colour: the merchant's colour, `#rrggbb`.
        pattern: whether the page has the ornament; without it, its bytes are left out.
    """
    names = ("pattern.css", "app.css") if pattern else ("app.css",)
    sheet = "".join((static_folder / "css" / name).read_text("utf-8") for name in names)
    # A thirteenth of each page, packed: what only people need who read the files.
    sheet = re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)
    sheet = re.sub(r"\s*([{};])\s*|([:,])\s+", r"\1\2", sheet)
    theme = f":root{{--brand:{colour};--on-brand:{readable_on(colour)}}}"
    # Our own files, and a colour that was checked at the start.
    return Inline(Markup(sheet + theme))  # noqa: S704


def readable_on(colour: str) -> str:
    """Black or white, whichever contrasts more (WCAG 2.2, relative luminance)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    white, black = 1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05
    return "#ffffff" if white >= black else "#000000"

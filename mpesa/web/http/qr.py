"""An address as a QR code, for a page and for a terminal."""

import io

import segno
from markupsafe import Markup


def svg(address: str) -> Markup:
    """A picture to stand in a page; its colours and its size come from the style sheet."""
    # Level M bears a scratched screen; the quiet zone of four modules is ISO/IEC 18004's.
    code = segno.make(address, error="m", micro=False)
    return Markup(  # noqa: S704 - drawn by segno from modules, no text of the address is in it
        code.svg_inline(omitsize=True, border=4, svgclass="qr-code", lineclass=None)
    )


def terminal(address: str) -> str:
    """Lines to print in a terminal, two modules in the height of one character."""
    lines = io.StringIO()
    segno.make(address, error="l", micro=False).terminal(lines, compact=True)
    return lines.getvalue()

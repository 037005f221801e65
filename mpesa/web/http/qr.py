"""An address as a QR code, for a page and for a terminal."""

import io

import segno
from markupsafe import Markup


def svg(address: str) -> Markup:
    """Draw the code for a page; its colours and its size come from the style sheet."""
    # Level M can still be read on a scratched screen; ISO/IEC 18004 asks for a margin of 4 modules.
    code = segno.make(address, error="m", micro=False)
    return Markup(  # noqa: S704 - drawn by segno from modules, no text of the address is in it
        code.svg_inline(omitsize=True, border=4, svgclass="qr-code", lineclass=None)
    )


def terminal(address: str) -> str:
    """Draw the code as lines for a terminal, two modules in the height of one character."""
    lines = io.StringIO()
    segno.make(address, error="l", micro=False).terminal(lines, compact=True)
    return lines.getvalue()

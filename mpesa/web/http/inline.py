"""Text that is written into a page instead of linked, and how the page's policy allows it."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup


@dataclass(frozen=True)
class Inline:
    """What stands between `<style>` and `</style>`, or `<script>` and `</script>`."""

    text: Markup

    @property
    def source(self) -> str:
        """How the Content-Security-Policy allows this text and no other (CSP Level 3, 8.3)."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"


def reload_of(static_folder: Path) -> Inline:
    """The script that loads a page again until its modules run.

    A file of its own could be lost as well as they; this one is there if the page is.
    """
    # Our own file.
    return Inline(Markup((static_folder / "checkout" / "reload.js").read_text("utf-8")))  # noqa: S704

"""Text that is written into a page instead of linked, and its source for the page's policy."""

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup


@dataclass(frozen=True)
class Inline:
    """The text between `<style>` and `</style>`, or between `<script>` and `</script>`."""

    text: Markup

    @property
    def source(self) -> str:
        """The source that allows this text and no other in the policy (CSP Level 3, 8.3)."""
        digest = hashlib.sha256(self.text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"


def reload_of(static_folder: Path) -> Inline:
    """The script that loads a page again until its modules run.

    It is inline because a file of its own could fail to load just as the modules did.
    """
    script = (static_folder / "checkout" / "reload.js").read_text("utf-8")
    return Inline(Markup(script))  # noqa: S704 - our own file

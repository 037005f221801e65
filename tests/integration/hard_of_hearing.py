"""`python -m tests.integration.hard_of_hearing`: app.py, whose outbox can be stopped.

While the file that OUTBOX_OFF names is there, nothing but a hint tells this worker what another one
changed.
"""

from mpesa import serving  # isort: skip - first, as in app.py: it patches what all else imports

import os
import runpy
from pathlib import Path
from typing import Any

from mpesa import outbox

ROOT = Path(__file__).resolve().parents[2]
OFF = Path(os.environ["OUTBOX_OFF"])

look_back = outbox.run_once


def look_back_unless_off(*arguments: Any) -> dict[str, int]:
    return {} if OFF.exists() else look_back(*arguments)


outbox.run_once = look_back_unless_off

if __name__ == "__main__":
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")

__all__ = ["serving"]

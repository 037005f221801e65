"""`python -m tests.integration.tidy`: app.py without the garbage collector.

At SIGUSR1 it says how many connections it still has in its memory.
"""

from mpesa import serving  # isort: skip - first, as in app.py: it patches what all else imports

import gc
import runpy
import signal
import sys
from pathlib import Path

from mpesa.live import connections

ROOT = Path(__file__).resolve().parents[2]
CONNECTIONS = ("_Protocol", "_Handler", "Connection", "WebSocket")


def count(*_: object) -> None:
    """Our own objects of connections: the WSGI server's, and what is kept of a page."""
    kept = [each for each in gc.get_objects() if type(each).__name__ in CONNECTIONS]
    kept = [each for each in kept if type(each).__module__.startswith("mpesa.")]
    sys.stderr.write(f"connections {len(kept)}\n")
    sys.stderr.flush()


def soon(self: connections.Later, server: object, seconds: float) -> None:
    """Nothing is remembered until a next ping for longer than a test has time."""
    later(self, server, min(seconds, 1.0))


later = connections.Later.__init__
connections.Later.__init__ = soon  # type: ignore[method-assign, assignment]

if __name__ == "__main__":
    gc.disable()
    signal.signal(signal.SIGUSR1, count)
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")

__all__ = ["serving"]

"""How log lines are written: for a person at a console, or as JSON for a collector."""

import json
import logging
import sys
from datetime import UTC, datetime

from mpesa.config import LogFormat


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


# Of what a stranger sent: enough to recognise a host or an origin by.
_SHOWN = 120


def quoted(text: str) -> str:
    """What a stranger sent, as a log line may hold it: its beginning, escaped, in quotes."""
    return ascii(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")


def set_up(log_format: LogFormat) -> None:
    """Send this project's log to standard error; libraries speak from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    console = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s")
    handler.setFormatter(_JsonLines() if log_format is LogFormat.JSON else console)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("mpesa").setLevel(logging.INFO)
    # urllib3 would write whole addresses, and with them callback tokens, at its lower levels.
    logging.getLogger("urllib3").setLevel(logging.ERROR)

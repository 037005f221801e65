"""How log lines are written: for a person at a console, or as JSON for a collector.

Beside its message, each line names the version that wrote it and, as far as it is about them, the
request, the order and the transaction.
"""

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType

from mpesa import __version__
from mpesa.config import LogFormat

# Each request and each loop has a greenlet or a thread of its own, and with it a context.
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))


def begin_request(request_id: str) -> None:
    """Let the lines from here on be about a request, and so far about no order or transaction.

    This lasts until the next request, since a server's line about a failed one comes after it.
    """
    _about.set({"request_id": request_id})


def note(*, order_id: str | None = None, transaction_id: str | None = None) -> None:
    """Let the rest of a request's lines be about an order, a transaction, or both.

    Args:
        order_id: in the form of our ids, never a stranger's text; None: as before.
        transaction_id: likewise.
    """
    _about.set({**_about.get(), **_given(order_id, transaction_id)})


@contextmanager
def about(*, order_id: str | None = None, transaction_id: str | None = None) -> Iterator[None]:
    """Let the lines of a block be about an order, a transaction, or both; afterwards as before."""
    before = _about.get()
    _about.set({**before, **_given(order_id, transaction_id)})
    try:
        yield
    finally:
        _about.set(before)


def _given(order_id: str | None, transaction_id: str | None) -> dict[str, str]:
    ids = {"order_id": order_id, "transaction_id": transaction_id}
    return {each: value for each, value in ids.items() if value is not None}


class _ConsoleLines(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s  %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields = {**_about.get(), "version": __version__}
        pairs = " ".join(f"{field}={value}" for field, value in fields.items())
        return f"{super().formatMessage(record)}  {pairs}"


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_about.get(),
            "version": __version__,
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


# Characters of a stranger's text: enough to recognise a host or an origin.
_SHOWN = 120


def quoted(text: str) -> str:
    """A stranger's text as a log line may hold it: its beginning, escaped, in quotes."""
    return ascii(text[:_SHOWN]) + ("..." if len(text) > _SHOWN else "")


def formatter(log_format: LogFormat) -> logging.Formatter:
    """Make the formatter of log lines."""
    return _JsonLines() if log_format is LogFormat.JSON else _ConsoleLines()


def set_up(log_format: LogFormat) -> None:
    """Send this project's log to standard error, and that of libraries from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter(log_format))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("mpesa").setLevel(logging.INFO)
    # At its lower levels, urllib3 would write whole URLs, and with them callback tokens.
    logging.getLogger("urllib3").setLevel(logging.ERROR)

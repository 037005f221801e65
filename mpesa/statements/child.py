"""The process that reads one file: `python -m mpesa.statements.child`, which `reading` starts.

What somebody uploads may be made to crash a reader, or to have it eat all memory: here it has no
secret, no connection and bounds of its own, and what comes out is what the server reads.
"""

import fcntl
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import fields
from datetime import date, datetime
from pathlib import Path

from mpesa.domain.statement_lines import Asked, Line, Statement, StatementDefect, read
from mpesa.statements.sheets import rows_of

# 200,000 rows take half of it.
_MEMORY = 2 * 1024**3
# Others may be reading; a file takes seconds.
_TURN_WITHIN = 60.0
_OF_LINE = tuple(each.name for each in fields(Line))


def main() -> None:
    """Read what is asked on the first line of standard input, then the file; write JSON lines."""
    told = json.loads(sys.stdin.buffer.readline())
    for what, limit in (
        (resource.RLIMIT_AS, _MEMORY),
        (resource.RLIMIT_CPU, told["seconds"]),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # a system without this one
            resource.setrlimit(what, (limit, limit))
    if not _have_a_turn():
        _say({"busy": True})
        return
    days = [date.fromisoformat(each) for each in told["days"] or ()]
    asked = Asked(
        numbers=frozenset(told["numbers"]),
        now=datetime.fromisoformat(told["now"]),
        name=told["name"],
        days=(days[0], days[1]) if days else None,
    )
    try:
        statement = read(rows_of(sys.stdin.buffer.read()), asked)
    except StatementDefect as defect:
        _say({"defect": defect.args[0], "line": defect.line})
    except MemoryError:
        _say({"defect": "the file needs too much memory: export it in parts", "line": None})
    else:
        for each in _told(statement):
            _say(each)


def _have_a_turn() -> bool:
    """Wait until no other process of this machine reads a statement; the lock ends with us."""
    # Kept open by its number: a lock of a file object would end with the object.
    ours = Path(__file__).open("rb")  # noqa: SIM115
    globals()["_turn"] = ours
    until = time.monotonic() + _TURN_WITHIN
    while time.monotonic() < until:
        with suppress(BlockingIOError):
            fcntl.flock(ours, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.1)
    return False


def _told(statement: Statement) -> Iterator[object]:
    yield {
        "family": statement.family,
        "short_code": statement.short_code,
        "account": statement.account,
        "since": statement.since.isoformat(),
        "until": statement.until.isoformat(),
        "vouched": statement.vouched,
        "rows": len(statement.lines),
        "balances": {
            day.isoformat(): [each.opening, each.closing]
            for day, each in statement.balances.items()
        },
    }
    for line in statement.lines:
        yield {**{name: getattr(line, name) for name in _OF_LINE}, "at": line.at.isoformat()}


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    main()

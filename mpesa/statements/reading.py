"""Have a statement read, in a process of its own, one at a time."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import IO

from mpesa.domain.statement_lines import (
    Asked,
    Balances,
    Family,
    Line,
    LineKind,
    Statement,
    StatementDefect,
)

_ROOT = Path(__file__).resolve().parent.parent.parent
# Seconds of CPU: 200,000 rows of a workbook take a third of it, a broken one may take for ever.
CPU = 180
# Seconds in which it has had its turn, and all that CPU on a busy machine.
_WITHIN = 420.0


class ReaderBusy(Exception):
    """Other statements are being read; this one may be tried again."""

    def __str__(self) -> str:
        """One line for a person."""
        return "other statements are being read"


@dataclass(frozen=True)
class ReadStatement:
    """A statement that was read and adds up.

    Attributes:
        head: without its lines.
        rows: how many lines it has.
    """

    head: Statement
    rows: int
    _told: IO[bytes]

    def lines(self) -> Iterator[Line]:
        """Its lines, the oldest first, one at a time; they can be had once more."""
        self._told.seek(0)
        self._told.readline()
        for each in self._told:
            fields = json.loads(each)
            yield Line(
                **{
                    **fields,
                    "at": datetime.fromisoformat(fields["at"]),
                    "kind": LineKind(fields["kind"]),
                }
            )


@contextmanager
def read(raw: bytes, asked: Asked) -> Iterator[ReadStatement]:
    """Read a statement.

    Args:
        raw: the file.

    Raises:
        StatementDefect: what is wrong with it.
        ReaderBusy: other statements are being read.
    """
    fields = {
        "numbers": sorted(asked.numbers),
        "now": asked.now.isoformat(),
        "name": asked.name,
        "seconds": CPU,
        "days": [each.isoformat() for each in asked.days] if asked.days else None,
    }
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as told:
        given.write(json.dumps(fields).encode() + b"\n")
        given.write(raw)
        given.seek(0)
        _run(given, told)
        told.seek(0)
        yield _statement(told)


def _run(given: IO[bytes], told: IO[bytes]) -> None:
    """Let the child read; whatever ends it early is the file's fault.

    Raises:
        StatementDefect: it crashed, or took too long.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "mpesa.statements.child"],
        stdin=given,
        stdout=told,
        stderr=subprocess.DEVNULL,
        cwd=_ROOT,
        env={},  # nothing of ours is its business
    )
    try:
        ended = child.wait(_WITHIN)
    except subprocess.TimeoutExpired:
        raise StatementDefect("reading it takes too long: export it in parts") from None
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if ended != 0:
        raise StatementDefect("the file cannot be read: export it again, as CSV")


def _statement(told: IO[bytes]) -> ReadStatement:
    head = json.loads(told.readline())
    if "busy" in head:
        raise ReaderBusy
    if "defect" in head:
        raise StatementDefect(head["defect"], head["line"])
    balances = {date.fromisoformat(day): Balances(*each) for day, each in head["balances"].items()}
    statement = Statement(
        family=Family(head["family"]),
        short_code=head["short_code"],
        account=head["account"],
        since=datetime.fromisoformat(head["since"]),
        until=datetime.fromisoformat(head["until"]),
        vouched=head["vouched"],
        lines=(),
        balances=balances,
    )
    return ReadStatement(statement, head["rows"], told)

"""`python -m tests.crash.doomed`: app.py, but it can be told to end itself with -9 at a point.

The file that DOOM names is read at every point. It says `die POINT`, or `hold POINT` to let the
point take HOLD_FOR seconds, once. Points are called after what the process does there: what a
commit writes, which address of Daraja is called, what is emitted or answered. Nothing is killed
while the file is missing, so the same process can set a stage, and survive as the restarted one.
"""

from mpesa import serving  # isort: skip - first, as in app.py: it patches what all else imports

import os
import runpy
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from flask import Flask, request
from flask_socketio import SocketIO
from sqlalchemy import Engine, Insert, Update, event
from sqlalchemy.engine.default import DefaultDialect

from mpesa import books
from mpesa.books import Write
from mpesa.daraja.http import Transport

ROOT = Path(__file__).resolve().parents[2]
# Long enough for a test to do something meanwhile (seconds).
HOLD_FOR = 1.5


def reach(point: str) -> None:
    """Do here what the file says."""
    doom = Path(os.environ["DOOM"])
    try:
        word, _, wanted = doom.read_text().partition(" ")
    except FileNotFoundError:
        return
    if wanted != point:
        return
    doom.unlink()
    sys.stderr.write(f"{word} {point}\n")
    sys.stderr.flush()
    if word == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(HOLD_FOR)


def around(owner: type | ModuleType, method: str, name: Callable[..., str | None]) -> None:
    """Make points `before …` and `after …` of a method; no name, no point."""
    original = getattr(owner, method)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        step = name(*arguments)
        if step is None:
            return original(*arguments, **named)
        reach(f"before {step}")
        result = original(*arguments, **named)
        reach(f"after {step}")
        return result

    setattr(owner, method, wrapped)


# What each connection wrote since its last commit, by the address of psycopg2's connection.
_written: dict[int, dict[str, str]] = {}


def note_writes(_conn: Any, cursor: Any, statement: str, *_more: Any) -> None:
    """Remember a write until its commit; `books` sends its own along, see `books_name`."""
    if getattr(cursor.connection, "autocommit", False) is True:
        return
    verb, *words = statement.split()[:5]
    if verb not in ("INSERT", "UPDATE") or "announcements" in words:
        return
    table = words[1] if verb == "INSERT" else words[0]
    _written.setdefault(id(cursor.connection), {})[table] = f"{verb} {' '.join(words)}"


def commit_name(_dialect: Any, connection: Any) -> str | None:
    """What a commit is called, after what it writes; None for one that writes nothing."""
    wrote = _written.pop(id(connection.dbapi_connection), {})
    if "evidence" in wrote:
        return "the raw callback"
    return _access_name(wrote.get("daraja_access", ""))


def _access_name(change: str) -> str | None:
    """Token and budget share a row; the first column that is set tells which it is."""
    if not change.startswith("UPDATE"):
        return None
    column = change.split("SET ")[1].partition("=")[0]
    return {"fetching_until": "the lease of the token", "token": "the token"}.get(
        column, "the query budget"
    )


def books_name(_connection: Any, writes: Sequence[Write]) -> str | None:
    """What the one door writes and commits."""
    # A witness's row is written as text.
    told = any(each.values["kind"] == "confirmation" for each in writes if _is_witness(each))
    tables = [each.statement for each in writes if isinstance(each.statement, Insert | Update)]
    rows = [(each.table.name, type(each).__name__) for each in tables]
    if ("decisions", "Insert") in rows:
        # Of what was stored before and is judged now there is no new evidence.
        kinds = [each.values["kind"] for each in writes if each.statement is books.ADD_EVIDENCE]
        return f"the judgement of a {kinds[0] if kinds else 'callback'}"
    if told and ("orders", "Update") in rows:
        return "the sight of a confirmation"
    if told:
        return "the receipt" if ("receipts", "Insert") in rows else "the raw confirmation"
    if ("transactions", "Insert") in rows:
        return "the row"
    return "the claim of a question" if ("transactions", "Update") in rows else None


def _is_witness(write: Write) -> bool:
    return write.statement is books.ADD_WITNESS


def call_name(_transport: Any, _call: Any, asked: Any) -> str:
    """Which address of Daraja is called."""
    if "oauth" in asked.path:
        return "asking for a token"
    return "asking what became of it" if "query" in asked.path else "asking for a push"


def emit_name(_socketio: Any, name: str, *_more: Any) -> str | None:
    """Only what rooms are told."""
    return "the emit" if name == "status" else None


def answer_name(_app: Any, _response: Any) -> str | None:
    """Only the routes that money goes through."""
    known = {
        "payments.stk_push": "answering the page",
        "callbacks.callback": "answering Daraja",
        "c2b.confirmation": "answering Daraja",
    }
    return known.get(request.endpoint or "")


event.listen(Engine, "before_cursor_execute", note_writes)
around(DefaultDialect, "do_commit", commit_name)
around(books, "write_and_commit", books_name)
around(Transport, "exchange", call_name)
around(SocketIO, "emit", emit_name)
around(Flask, "process_response", answer_name)

if __name__ == "__main__":
    runpy.run_path(str(ROOT / "app.py"), run_name="__main__")

__all__ = ["serving"]

"""On what it was measured: figures without this say nothing."""

import os
import platform
import re
import shutil
import sqlite3
from importlib.metadata import version
from pathlib import Path

import psycopg2

_OURS = ("flask", "flask-socketio", "python-socketio", "eventlet", "gevent", "SQLAlchemy")
_FAST = ("uvicorn", "uvloop", "starlette", "asyncpg", "aiohttp")


def described() -> str:
    """Processor, system, versions and load, one a line."""
    packages = ", ".join(f"{name} {version(name)}" for name in (*_OURS, *_FAST))
    return "\n".join(
        (
            f"Machine   {os.cpu_count()} x {_processor()}, {platform.system()}"
            f" {platform.release()}, load {load()}",
            f"Versions  Python {platform.python_version()}, {packages}",
        )
    )


def load() -> str:
    """The load averages of 1, 5 and 15 minutes; a busy machine measures its neighbours."""
    return " ".join(f"{each:.2f}" for each in os.getloadavg())


def has_postgres() -> bool:
    """Whether PostgreSQL's programs are installed."""
    return bool(shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb")))


def sqlite_described() -> str:
    """SQLite's version, and how the application has it commit."""
    return f"SQLite {sqlite3.sqlite_version}, write-ahead log, synchronous=FULL"


def postgres_described(url: str) -> str:
    """The server's version, and how it commits."""
    connection = psycopg2.connect(url)
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT current_setting('server_version'), current_setting('synchronous_commit'),"
                " current_setting('fsync')"
            )
            number, commit, fsync = cursor.fetchone() or ("?", "?", "?")
    finally:
        connection.close()
    return f"PostgreSQL {number}, synchronous_commit={commit}, fsync={fsync}, on loopback"


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    text = described.read_text() if described.exists() else ""
    found = re.search(r"model name\s*: (.+)", text)
    return found[1] if found else platform.processor() or "unknown processor"

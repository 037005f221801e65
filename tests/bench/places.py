"""Where it is measured: throw-away folders, databases and servers."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench import machine
from tests.servers import Postgres


@contextmanager
def folder() -> Iterator[Path]:
    """An empty folder."""
    # A short path: PostgreSQL's socket lies in it.
    made = Path(tempfile.mkdtemp(prefix="mpesa-bench-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def postgres(inside: Path) -> Iterator[Postgres]:
    """A PostgreSQL that commits as in production, in a folder of ours."""
    own = inside / "pg"
    own.mkdir()
    inside.chmod(0o755)
    cluster = Postgres(own, durable=True).create()
    try:
        yield cluster
    finally:
        cluster.stop("immediate")


@contextmanager
def database(name: str, inside: Path) -> Iterator[tuple[str, str]]:
    """An empty database; yields its address, and what it is with its way to commit."""
    if name == "sqlite":
        yield f"sqlite:///{inside}/bench.sqlite", machine.sqlite_described()
        return
    with postgres(inside) as cluster:
        url = cluster.new_database()
        yield url, machine.postgres_described(url)

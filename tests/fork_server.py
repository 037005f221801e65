"""`python -m tests.fork_server`: all that a start imports, and starts that are made by forking.

The imports are most of what a start costs. A line of standard input has what is to be started, as
JSON (`tests.forks.Forked`); a line of standard output has its process id. Once it ends, the status
that waitpid(2) tells is in its file.
"""

import os
import signal

# Before the async servers put their own in their place, which would wait in an event loop.
close, fork, read, waitpid = os.close, os.fork, os.read, os.waitpid

from mpesa import serving  # noqa: E402, F401, I001 - as in app.py, before all that it patches

import atexit  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import threading  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import app  # noqa: E402 - with all that it imports
from mpesa.config import Settings  # noqa: E402
from mpesa.models import db  # noqa: E402
from mpesa.runtime import database  # noqa: E402
from tests.once import share_what_is_alike  # noqa: E402


def warm_up() -> None:
    """Do once what is done at each start, and kept for the next in one process.

    SQLAlchemy maps the models, Alembic reads its migrations, Werkzeug compiles the rules.
    """
    share_what_is_alike()
    with tempfile.TemporaryDirectory(prefix="mpesa-warm-") as folder:
        settings = Settings.from_env({"DATABASE_URL": f"sqlite:///{folder}/mpesa.sqlite"})
        made = app.create_app(settings)
        with made.app_context():
            database.migrate()
            db.session.remove()
            db.engine.dispose()


def guard(wanted: dict[str, Any]) -> None:
    """Start it in a process of its own, tell its id, and write down how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    started = fork()
    if not started:
        become(wanted)
    os.write(1, b"%d\n" % started)
    _, status = waitpid(started, 0)
    written = Path(wanted["status"])
    written.with_suffix(".part").write_text(str(status))
    written.with_suffix(".part").rename(written)
    os._exit(0)


def become(wanted: dict[str, Any]) -> None:
    """Start as `python PROGRAM` does, and end as Python ends.

    But for the freeing of all modules: the pages that a fork shares are copied for that, which
    takes longer than the start.
    """
    os.setsid()
    have_own_hub()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(wanted["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    errors = os.open(wanted.get("errors", wanted["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for own, stream in ((nothing, 0), (log, 1), (errors, 2)):
        os.dup2(own, stream)
    os.environ.clear()
    os.environ.update(wanted["environment"])
    status = 0
    try:
        run(wanted["program"])
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)  # noqa: T201 - why it cannot start
    except BaseException:  # noqa: BLE001 - as Python does with whatever nobody caught
        sys.excepthook(*sys.exc_info())
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def have_own_hub() -> None:
    """Wait at an event loop of one's own: a fork shares its parent's, and its siblings' events."""
    if "gevent" in sys.modules:
        import gevent

        gevent.reinit()
    elif "eventlet" in sys.modules:
        from eventlet import hubs

        hubs.use_hub()


def run(program: list[str]) -> None:
    """What `python FILE …` or `python -m MODULE …` runs."""
    if program[0] == "-m":
        sys.argv = program[1:]
        runpy.run_module(program[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = program
        runpy.run_path(program[0], run_name="__main__")


if __name__ == "__main__":
    warm_up()
    # A look for garbage would copy each page that a fork shares, and would delay signals.
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if not fork():
            guard(json.loads(line))

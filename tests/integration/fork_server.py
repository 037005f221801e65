"""`python -m tests.integration.fork_server`: all that a start imports, and starts made by forking.

A line of standard input has the environments of starts that begin together, as JSON; LOG in each is
the file for what it writes. Their process ids are printed in a line, then a line for each end: the
id, and the status that waitpid(2) tells. So a start costs what comes after its imports, and nothing
else: they take most of it.
"""

import os

# Before the async servers put their own in their place, which would wait in an event loop.
fork, waitpid = os.fork, os.waitpid

from mpesa import serving  # noqa: E402, F401, I001 - as in app.py, before all that it patches

import atexit  # noqa: E402
import gc  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import runpy  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402

import app  # noqa: E402, F401 - with all that it imports


def start(environment: dict[str, str]) -> int:
    """Begin a start in a process of its own; returns its id."""
    started = fork()
    if not started:
        _become(environment)
    return started


def _become(environment: dict[str, str]) -> None:
    """Start as `python app.py` does, and end as Python ends.

    But for the freeing of all modules: the pages that a fork shares are copied for that, which
    takes longer than the start.
    """
    os.setsid()
    log = os.open(environment["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.update(environment)
    status = 0
    try:
        runpy.run_path("app.py", run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            raise  # the line that says why it cannot start
        status = end.code or 0
    threading._shutdown()
    atexit._run_exitfuncs()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


# A look for garbage would copy each page that a fork shares, and lets no signal through meanwhile.
gc.freeze()
for line in sys.stdin:
    together = [start(each) for each in json.loads(line)]
    print(*together, flush=True)  # noqa: T201
    for _ in together:
        print(*waitpid(-1, 0), flush=True)  # noqa: T201

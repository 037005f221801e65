"""`python -m tests.integration.fork_server`: starts that begin together, made by forking.

A line of standard input has their environments, as JSON; LOG in each is the file for what it
writes. Their process ids are printed in a line, then a line for each end: the id, and the status
that waitpid(2) tells. So a start costs what comes after its imports, and after what is made in
memory once for all starts of a process: they take most of it.
"""

import gc
import json
import os
import sys

from tests.fork_server import become, close, fork, read, waitpid, warm_up


def start(environment: dict[str, str], gate: int, opened_by: int) -> int:
    """Make a process that starts once the gate opens; returns its id."""
    started = fork()
    if not started:
        close(opened_by)
        read(gate, 1)
        close(gate)
        become({"environment": environment, "log": environment["LOG"], "program": ["app.py"]})
    return started


warm_up()
# A look for garbage would copy each page that a fork shares, and would delay signals.
gc.freeze()
for line in sys.stdin:
    # They wait for each other: the first would serve before the last was forked.
    ends = os.pipe()
    together = [start(each, *ends) for each in json.loads(line)]
    print(*together, flush=True)  # noqa: T201
    for end in ends:
        close(end)
    for _ in together:
        print(*waitpid(-1, 0), flush=True)  # noqa: T201

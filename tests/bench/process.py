"""What a process has used, as Linux counts it."""

import contextlib
import os
import re
import resource
import time
from pathlib import Path

from tests.servers import Server

_TICKS = os.sysconf("SC_CLK_TCK")
# Below this share of a core it only answers pings and looks at the clock.
_QUIET = 0.05
# What a process has open besides its sockets: database connections, log, libraries.
_OTHER_FILES = 500


def pid_of(server: Server) -> int:
    """The server's process."""
    assert server.process is not None
    return server.process.pid


def cpu_of(pid: int) -> float:
    """CPU seconds, user's and system's; Linux counts them in ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory_of(pid: int) -> int:
    """Bytes of memory, shared pages by share (PSS)."""
    found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.M)
    assert found, "this Linux has no Pss in smaps_rollup"
    return int(found[1]) * 1024


def open_files(pid: int) -> int:
    """How many files and sockets it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - twice as fast, with 20,000 of them


def wait_until_quiet(pid: int, most_files: int, seconds: float = 300.0) -> float:
    """Wait until it has closed its sockets and does nothing; returns its CPU seconds by then."""
    give_up, before = time.monotonic() + seconds, cpu_of(pid)
    while time.monotonic() < give_up:
        time.sleep(0.5)
        now = cpu_of(pid)
        if now - before < 0.5 * _QUIET and open_files(pid) <= most_files:
            return now
        before = now
    raise TimeoutError(f"{open_files(pid)} files are still open, or it is still at work")


def allow_many_files() -> None:
    """Take all the open files that the system allows, for this process and those it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_sockets(wanted: int) -> int:
    """As many as wanted, or what one process may have open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - _OTHER_FILES)

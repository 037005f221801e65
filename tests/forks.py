"""Processes of ours, forked from one that has imported everything; one for each async server."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path
from threading import Lock

ROOT = Path(__file__).parents[1]
_LOOK_EVERY = 0.005
# Read by what is imported, and so by the process that forks.
_READ_BY_IMPORTS = ("PYTHON", "EVENTLET", "GEVENT")


def can_fork(environment: Mapping[str, str], program: Sequence[str]) -> bool:
    """Whether a fork differs in nothing from a start of that program with that environment."""
    plain = not any(name.startswith(_READ_BY_IMPORTS) for name in environment)
    known = environment.get("ASYNC_MODE", "") in ("", "eventlet", "gevent")
    return plain and known and (program[0] == "-m" or program[0].endswith(".py"))


class Forked:
    """A process that was forked, with what `subprocess.Popen` has for one.

    Args:
        environment: all of it.
        program: arguments to Python.
        log: takes what it writes.
        errors: takes what it writes to its standard error; None: the log.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        program: Sequence[str],
        log: Path,
        errors: Path | None = None,
    ) -> None:
        self.returncode: int | None = None
        forks = _forks_for(environment.get("ASYNC_MODE", ""))
        wanted = {"environment": dict(environment), "program": list(program), "log": str(log)}
        if errors is not None:
            wanted["errors"] = str(errors)
        self._status, self.pid = forks.begin(wanted)

    def poll(self) -> int | None:
        """The exit status, negative for a signal; None: it runs."""
        if self.returncode is None and self._status.exists():
            self.returncode = os.waitstatus_to_exitcode(int(self._status.read_text()))
            self._status.unlink()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, once it ended.

        Raises:
            subprocess.TimeoutExpired: it did not within so many seconds.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if until is not None and time.monotonic() > until:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
            time.sleep(_LOOK_EVERY)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it runs."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it ended just now
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def run(
    environment: Mapping[str, str], program: Sequence[str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a program of ours to its end, forked, as `subprocess.run` runs one.

    Args:
        environment: all of it.
        program: arguments to Python.
        timeout: seconds.

    Raises:
        subprocess.TimeoutExpired: it did not end in time; it was killed.
    """
    assert can_fork(environment, program), "start it from nothing"
    with tempfile.TemporaryDirectory(prefix="mpesa-run-") as folder:
        output, errors = Path(folder, "output"), Path(folder, "errors")
        process = Forked(environment, program, output, errors)
        try:
            status = process.wait(timeout)
        finally:
            process.kill()
        return subprocess.CompletedProcess(program, status, output.read_text(), errors.read_text())


class _Forks:
    """A process that forks. It ends when its standard input does, with this process."""

    def __init__(self, mode: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="mpesa-forks-")
        self._numbers, self._turn = count(), Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.fork_server"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "ASYNC_MODE": mode},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )

    def begin(self, wanted: Mapping[str, object]) -> tuple[Path, int]:
        """Begin a start; returns the file for its status, and its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._turn:
            status = Path(self._folder.name) / f"{next(self._numbers)}"
            line = json.dumps({**wanted, "status": str(status)})
            self._process.stdin.write(f"{line}\n".encode())
            started = self._process.stdout.readline()
        assert started, "tests/fork_server.py ended: run it, and see why"
        return status, int(started)


_forks_for = cache(_Forks)

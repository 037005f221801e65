"""Starts that are stopped at some moment, and how each of them ended."""

import json
import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import PATIENCE, ROOT, Server, listens, wait_until

# Promised are 5 s; machines that run tests are slow and shared.
SOON = 15.0


@dataclass(frozen=True)
class Ending:
    """How a start ended that was stopped.

    Attributes:
        after: seconds from its beginning to the signal.
        caught: the process had its own handler when the signal was sent. Before that Python has
            none for SIGTERM: the system ends it, and nothing was begun.
        served: it took connections when the signal was sent.
        status: the exit status, negative for a signal.
        took: seconds from the signal to the end.
        said: what it wrote.
        left: what is still there of it, in words; empty where nothing is.
    """

    after: float
    caught: bool
    served: bool
    status: int
    took: float
    said: str
    left: str

    @property
    def ignored(self) -> bool:
        """Python ignored the exception of the handler, where it happened to run, and said so."""
        return "Exception ignored" in self.said

    @property
    def wrong(self) -> bool:
        """It ended in another way than it should."""
        well = (0,) if self.caught else (0, -signal.SIGTERM)
        loud = "Traceback" in self.said and not self.ignored
        return self.status not in well or bool(self.left) or loud


def true_start(server: Server, after: float) -> Ending:
    """Start the program from nothing, and stop it so many seconds later.

    Raises:
        AssertionError: it did not end.
    """
    process = begin(server)
    time.sleep(after)
    served = serves(server)
    caught, sent = stop(process.pid)
    try:
        status = process.wait(SOON)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"stopped after {after:.3f} s, it went on: {server.why()}") from None
    took = time.monotonic() - sent
    return Ending(after, caught, served, status, took, server.why(), left_of(server, process.pid))


def begin(server: Server) -> "subprocess.Popen[bytes]":
    """Begin a start, with a group of its own, and wait for nothing."""
    with server.log.open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *server.program],
            cwd=ROOT, env=server.environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip


class ForkServer:
    """A process that has imported all that a start imports, and makes starts by forking."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.fork_server"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip

    def served(self, servers: Sequence[Server]) -> float:
        """Begin starts together, and stop them once all serve; returns seconds until then.

        Raises:
            AssertionError: one of them does not serve, or ended in another way than it should.
        """
        pids, began = self._begin(servers), time.monotonic()
        wait_until(
            lambda: all(serves(each) for each in servers),
            lambda: [each.why() for each in servers],
        )
        took = time.monotonic() - began
        for pid in pids:
            stop(pid)
        ends = [self._told(SOON) for _ in pids]
        assert all(status == 0 for _, status in ends), [each.why() for each in servers]
        return took

    def stopped(self, servers: Sequence[Server], moments: Sequence[float]) -> list[Ending]:
        """Begin starts together, and stop each at its moment, in seconds after the imports.

        Args:
            moments: in their order.

        Raises:
            AssertionError: one of them did not end.
        """
        pids, began = self._begin(servers), time.monotonic()
        served, signals = {}, {}
        for pid, server, moment in zip(pids, servers, moments, strict=True):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            served[pid] = serves(server)
            signals[pid] = stop(pid)
        ends: dict[int, tuple[int, float]] = {}
        try:
            for _ in pids:
                pid, status = self._told(SOON)
                ends[pid] = os.waitstatus_to_exitcode(status), time.monotonic()
        except TimeoutError:
            still = [each for each in zip(pids, servers, strict=True) if each[0] not in ends]
            for pid, _ in still:
                os.kill(pid, signal.SIGKILL)
            raise AssertionError([server.why() for _, server in still]) from None
        return [
            Ending(
                moment, signals[pid][0], served[pid], ends[pid][0],
                ends[pid][1] - signals[pid][1], server.why(), left_of(server, pid),
            )
            for pid, moment, server in zip(pids, moments, servers, strict=True)
        ]  # fmt: skip

    def _begin(self, servers: Sequence[Server]) -> list[int]:
        for each in servers:
            each.log.write_bytes(b"")
        given = json.dumps([{**each.environment, "LOG": str(each.log)} for each in servers])
        assert self._process.stdin is not None
        self._process.stdin.write(f"{given}\n".encode())
        return self._told(PATIENCE)

    def _told(self, seconds: float) -> list[int]:
        """The numbers of the next line."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not ready:
            raise TimeoutError
        return [int(each) for each in self._process.stdout.readline().split()]

    def end(self) -> None:
        """It has no more to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE)


@contextmanager
def fork_server(environment: dict[str, str]) -> Iterator[ForkServer]:
    """A fork server, ended afterwards."""
    made = ForkServer(environment)
    try:
        yield made
    finally:
        made.end()


def serves(server: Server) -> bool:
    """Whether it said that it takes connections."""
    return "Serving on" in server.why()


def stop(pid: int) -> tuple[bool, float]:
    """Send SIGTERM; returns whether a handler waited for it, and when it was sent."""
    caught = catches(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGTERM)
    return caught, time.monotonic()


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal (proc(5), SigCgt)."""
    status = Path(f"/proc/{pid}/status").read_text()
    (mask,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def left_of(server: Server, pid: int) -> str:
    """What is still there of a process that ended: others of its group, its port, half a database.

    Half a migration is none: the next start goes on from there, which is for the caller to see.
    """
    left = []
    try:
        os.killpg(pid, 0)
        left.append("a process of its group")
    except ProcessLookupError:
        pass
    if listens(server.port):
        left.append("its port")
    file = Path(server.environment["DATABASE_URL"].removeprefix("sqlite:///"))
    if file.exists():
        with closing(sqlite3.connect(file)) as database:
            if database.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                left.append("a broken database")
    return ", ".join(left)

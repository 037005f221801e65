"""HTTP connections that are kept alive, for one request after another."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

Job = TypeVar("Job")
Done = TypeVar("Done")


@dataclass(frozen=True)
class Answer:
    """What was answered; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Line:
    """A connection to a port of this machine; opened by the first request."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str, **headers: str) -> Answer:
        """GET a path."""
        return await self._ask("GET", path, b"", headers)

    async def post(self, path: str, body: bytes, **headers: str) -> Answer:
        """POST JSON to a path, named as Daraja names it."""
        named = {"Content-Type": "application/json;charset=UTF-8", **headers}
        return await self._ask("POST", path, body, named)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()

    async def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        reader, writer = await self._opened()
        named = {"Host": f"127.0.0.1:{self._port}", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)
        return await _read(reader)

    async def _opened(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams


# Does a job on a connection; it begins at the third argument, a moment of `time.monotonic()`.
Work = Callable[[Line, Job, float], Awaitable[Done]]


async def in_flight(
    ports: Sequence[int], jobs: Collection[Job], work: Work[Job, Done], at_once: int
) -> list[Done]:
    """Do all jobs, so many at any time, each followed by the next at once.

    Args:
        ports: connections go to them in turn.
    """
    left, done = iter(jobs), []

    async def lane(port: int) -> None:
        line = Line(port)
        done.extend([await work(line, job, time.monotonic()) for job in left])
        line.close()

    await asyncio.gather(*map(lane, itertools.islice(itertools.cycle(ports), at_once)))
    return done


async def at_rate(
    ports: Sequence[int], jobs: Collection[Job], work: Work[Job, Done], per_second: float
) -> list[Done]:
    """Do each job at its own time, whatever became of the one before."""
    turns, idle, begin = itertools.cycle(ports), list[Line](), time.monotonic()

    async def done_at(at: float, job: Job) -> Done:
        await asyncio.sleep(at - time.monotonic())
        line = idle.pop() if idle else Line(next(turns))
        done = await work(line, job, at)
        idle.append(line)
        return done

    timed = (done_at(begin + number / per_second, job) for number, job in enumerate(jobs))
    all_done = await asyncio.gather(*timed)
    for line in idle:
        line.close()
    return all_done


async def _read(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)
    }
    # A 304 may name the length of what it leaves out.
    status = int(first.split(" ")[1])
    length = 0 if status == 304 else int(headers.get("content-length", "0"))
    return Answer(status, headers, await reader.readexactly(length))

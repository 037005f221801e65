"""One HTTP connection that is kept alive, for one request after another."""

import asyncio
from dataclasses import dataclass


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

    async def post(self, path: str, body: bytes) -> Answer:
        """POST JSON to a path, named as Daraja names it."""
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        return await self._ask("POST", path, body, headers)

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


async def _read(reader: asyncio.StreamReader) -> Answer:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    headers = {
        name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)
    }
    # A 304 may name the length of what it leaves out.
    status = int(first.split(" ")[1])
    length = 0 if status == 304 else int(headers.get("content-length", "0"))
    return Answer(status, headers, await reader.readexactly(length))

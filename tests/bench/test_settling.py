import asyncio

import pytest

from tests.bench.crowd import Crowd
from tests.bench.http_line import Answer, Line
from tests.bench.settling import Settled, Settling
from tests.bench.subjects import Waiting


class Told:
    """A shopper whose push came at 2.0 on the clock."""

    waiting = Waiting("t", "/c", b"")

    def __init__(self):
        self.settled = asyncio.get_running_loop().create_future()
        self.settled.set_result(2.0)

    def leave(self):
        """Gone."""


class OneWaits(Crowd):
    """A crowd of one, who is told at once."""

    def __init__(self):
        super().__init__([0])

    async def longest_waiting(self):
        return Told()


class Answers(Line):
    """A server that has one answer."""

    def __init__(self, status):
        super().__init__(0)
        self.status = status

    async def post(self, path, body, **headers):
        return Answer(self.status, {}, b"")


def settle(status):
    settled, settling = Settled(), Settling(OneWaits(), [0])
    asyncio.run(settling.one(Answers(status), settled, 1.5))
    return settled


def test_a_push_is_timed_from_the_callbacks_sending():
    settled = settle(200)

    assert (settled.pushed, settled.failed) == ([0.5], 0)


def test_a_callback_that_got_no_200_is_a_failed_payment():
    settled = settle(503)

    assert (settled.pushed, settled.failed, len(settled.answered)) == ([], 1, 1)


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
        (b"HTTP/1.1 304 NOT MODIFIED\r\nContent-Length: 2\r\nETag: x\r\n\r\n", 304, b""),
    ],
)
def test_one_connection_serves_one_request_after_another(answer, status, body):
    async def serve(reader, writer):
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)

    async def asked_twice():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        line = Line(server.sockets[0].getsockname()[1])
        answers = [await line.get("/"), await line.get("/")]
        server.close()
        return answers

    first, second = asyncio.run(asked_twice())
    assert (first.status, first.body) == (status, body)
    assert second == first

"""Bytes on a wire that are no proper request, and connections that say little or nothing."""

import re
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from tests.integration.steps import started, status_of
from tests.servers import PATIENCE, running

TOKEN = "5ec7e7" * 10 + "0123"
HOST = "Host: 127.0.0.1\r\n"
HEALTH = f"GET /healthz HTTP/1.1\r\n{HOST}\r\n"
CHUNKED = f"POST /callback/{TOKEN} HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n"
WEBSOCKET = (
    f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n{HOST}Upgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\n"
)
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
MANY_HEADERS = "".join(f"X-{number}: x\r\n" for number in range(200))


def said(server, *parts, pause=0.0):
    """What the server answers until it closes the connection."""
    answer = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as bare:
        with suppress(ConnectionError):
            for part in parts:
                bare.sendall(part.encode("latin-1"))
                time.sleep(pause)
        with suppress(ConnectionError):
            while piece := bare.recv(65_536):
                answer += piece
    return answer.decode()


UNREADABLE = {
    "a version of HTTP that is not ours": f"POST /callback/{TOKEN} HTTP/2.0\r\n{HOST}\r\n",
    "no version of HTTP": f"POST /callback/{TOKEN} HTTP/x.y\r\n{HOST}\r\n",
    "four words": f"POST /callback/{TOKEN} or so HTTP/1.1\r\n{HOST}\r\n",
    "too many headers": f"POST /callback/{TOKEN} HTTP/1.1\r\n{MANY_HEADERS}\r\n",
    "a header that is too long": f"GET /callback/{TOKEN} HTTP/1.1\r\nX: {'x' * 9000}\r\n\r\n",
    "headers that are too large": f"GET /callback/{TOKEN} HTTP/1.1\r\n"
    + f"X: {'x' * 8000}\r\n" * 9
    + "\r\n",
    "a line that is too long": f"GET /callback/{TOKEN}{'x' * 9000} HTTP/1.1\r\n{HOST}\r\n",
    "a length that is no number": f"POST /callback/{TOKEN} HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    "two lengths": f"{CHUNKED}Content-Length: 4\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
    "a chunk that is none": f"{CHUNKED}\r\nzz\r\n{{}}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("request_text", UNREADABLE.values(), ids=list(UNREADABLE))
def test_what_cannot_be_read_is_refused_once_and_nothing_of_it_is_written(server, request_text):
    answer = said(server, request_text)

    # Of what follows an error, nothing is taken for a request.
    assert " 200 " not in answer
    assert len(re.findall(r"HTTP/1\.[01] [0-9]{3} ", answer)) <= 1
    assert TOKEN not in server.why()
    assert "Traceback" not in server.why()


def test_requests_that_are_sent_at_once_are_answered_one_by_one(server):
    last = HEALTH.replace(HOST, f"{HOST}Connection: close\r\n")
    body = "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

    answer = said(server, HEALTH + f"POST /nowhere HTTP/1.1\r\n{HOST}{body}" + last)

    statuses = [line.split()[1] for line in answer.splitlines() if line.startswith("HTTP/1.1")]
    assert statuses == ["200", "404", "200"]


def test_a_client_that_asks_whether_to_send_its_body_is_told_to_go_on(server):
    head = (
        f"POST /stk-push HTTP/1.1\r\n{HOST}Connection: close\r\nExpect: 100-continue\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n"
    )

    answer = said(server, head, "{}", pause=0.1)

    assert answer.startswith("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 4")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (f"Connection: keep-alive, Upgrade\r\n{KEY}", "101"),
        (KEY, "400"),
        ("Connection: Upgrade\r\n", "400"),
    ],
    ids=["proper", "no upgrade", "no key"],
)
def test_a_handshake_is_checked(server, headers, status):
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as bare:
        bare.sendall(f"{WEBSOCKET}{headers}\r\n".encode())

        assert bare.recv(100).split()[1].decode() == status


def test_no_compression_is_agreed_on(server):
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as bare:
        bare.sendall(f"{WEBSOCKET}Connection: Upgrade\r\n{KEY}{offer}\r\n".encode())

        head = bare.recv(1000).partition(b"\r\n\r\n")[0]

    assert b" 101 " in head
    assert b"Sec-WebSocket-Extensions" not in head


def test_a_body_that_is_sent_as_if_to_upgrade_is_read_all_the_same(server):
    _, transaction_id = started(server)
    body = f'{{"tx_id": "{transaction_id}", "code": "SAB12CDE34"}}'
    head = (
        f"POST /sms-code HTTP/1.1\r\n{HOST}Connection: Upgrade\r\nUpgrade: h2c\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as bare:
        bare.sendall(f"{head}{len(body):x}\r\n{body}\r\n0\r\n\r\n".encode())

        assert bare.recv(100).split()[1] == b"202"
    assert status_of(server, transaction_id)["status"] == "PENDING"


# -- silence -----------------------------------------------------------------------------------


@pytest.fixture
def impatient(tmp_path, async_mode):
    """A server that closes what is silent for a second."""
    with running(tmp_path, ("-m", "tests.integration.impatient")) as server:
        yield server


def test_a_connection_that_stays_silent_is_closed(impatient):
    silences = {"nothing": "", "half a head": HEALTH[:-10], "idle": HEALTH}
    took = {}
    for name, text in silences.items():
        begin = time.monotonic()
        said(impatient, text)
        took[name] = time.monotonic() - begin

    assert all(0.8 < seconds < 5 for seconds in took.values()), took


@pytest.mark.parametrize("text", ["GET /" + "x" * 60, HEALTH[:-2] + "X: " + "x" * 60])
def test_a_head_that_comes_byte_by_byte_is_not_waited_for(impatient, text):
    begin = time.monotonic()

    answer = said(impatient, text[:-30], *text[-30:], pause=0.1)

    assert " 200 " not in answer
    assert time.monotonic() - begin < 3.5


def test_more_connections_than_files_keep_nobody_out_for_long(impatient):
    address = ("127.0.0.1", impatient.port)
    with ExitStack() as crowd:
        for _ in range(150):
            crowd.enter_context(socket.create_connection(address, timeout=PATIENCE))

        answer = said(impatient, HEALTH)

    assert answer.endswith("hello")
    assert "Traceback" not in impatient.why()

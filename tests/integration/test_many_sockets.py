"""1,500 shoppers who wait keep nobody out."""

import json
import resource
import socket
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest

from tests.integration.steps import new_order, phone, push, started, status_of, watching
from tests.servers import running, wait_until

# More than eventlet's own bound of 1,024 connections.
WAITING = 1500

# Masked with zeros, which changes nothing.
PONG = b"\x81\x81\0\0\0\x003"
HANDSHAKE = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def many_files():
    """Each waiting shopper is an open file on both sides."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WAITING + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.fail(f"the system allows {hard} open files; this test needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def waiting_shopper(port, transaction_id):
    """A bare WebSocket in the transaction's room."""
    shopper = socket.create_connection(("127.0.0.1", port), timeout=60)
    connect = b"40" + json.dumps({"tx_id": transaction_id}).encode()
    # A client's frame is masked; a mask of zeros changes nothing.
    frame = bytes([0x81, 0x80 | len(connect), 0, 0, 0, 0]) + connect
    shopper.sendall(HANDSHAKE.encode())
    read_until(shopper, b"pingInterval")
    shopper.sendall(frame)
    return shopper


@contextmanager
def staying_alive(shoppers):
    """Answer Engine.IO's pings, as pages do, before they come."""
    over = threading.Event()

    def answer():
        while not over.wait(10):
            for shopper in list(shoppers):
                with suppress(OSError):
                    shopper.sendall(PONG)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def read_until(shopper, text):
    seen = b""
    while text not in seen:
        part = shopper.recv(65_536)
        assert part, seen
        seen += part


@pytest.mark.usefixtures("async_mode")
@pytest.mark.slow
def test_1500_open_sockets_hinder_no_request_callback_or_push(tmp_path, many_files):
    with running(tmp_path) as server, ExitStack() as cleanup:
        msisdn, transaction_id = started(server)
        shoppers = []
        cleanup.enter_context(staying_alive(shoppers))
        for _ in range(WAITING):
            shopper = cleanup.enter_context(waiting_shopper(server.port, transaction_id))
            read_until(shopper, b'"seq"')
            shoppers.append(shopper)

        begin = time.monotonic()
        assert server.get("/healthz").status_code == 200
        assert server.get(f"/checkout/{new_order(server)}").status_code == 200
        other, another = started(server)
        with watching(server, another) as page:
            phone(server, other).answer(pin="1234")
            page.snapshot_with(status="SUCCESS")
        assert time.monotonic() - begin < 15

        phone(server, msisdn).answer(pin="1234")
        for shopper in shoppers:
            read_until(shopper, b"SUCCESS")
        assert status_of(server, transaction_id)["status"] == "SUCCESS"
        assert push(server, new_order(server), other)["status"] == "PENDING"


@pytest.mark.slow
def test_1500_shoppers_who_leave_at_once_leave_the_server_well(tmp_path, many_files):
    with running(tmp_path) as server, ExitStack() as cleanup:
        _, transaction_id = started(server)
        for _ in range(WAITING):
            shopper = cleanup.enter_context(waiting_shopper(server.port, transaction_id))
            read_until(shopper, b'"seq"')
        cleanup.close()

        begin = time.monotonic()
        wait_until(lambda: server.get("/healthz").ok)
        msisdn, another = started(server)
        with watching(server, another) as page:
            phone(server, msisdn).answer(pin="1234")
            page.snapshot_with(status="SUCCESS")

        assert time.monotonic() - begin < 20
        assert "Traceback" not in server.why()

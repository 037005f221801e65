"""Who may listen to what, and what a hostile client gets."""

import json
import re
import signal
import socket
import sqlite3
import struct
import threading
import time
from contextlib import ExitStack, closing, suppress

import pytest
import requests
import socketio
import websocket

from tests.integration.conftest import on_one_server
from tests.integration.steps import (
    Page,
    new_order,
    phone,
    push,
    started,
    status_of,
    watching,
)
from tests.servers import PATIENCE, running, wait_until

UNKNOWN = "A" * 22
# Engine.IO's packet that closes a connection.
CLOSE = "1"


# -- the first snapshot ------------------------------------------------------------------------


def test_the_snapshot_follows_the_acknowledgement_of_the_connect(server):
    _, transaction_id = started(server)
    with Page(server) as page:
        acknowledged = page.connect(tx_id=transaction_id)
        snapshot = page.snapshot()

    assert page.opened.startswith("0{")
    assert acknowledged.startswith('40{"sid"')
    assert snapshot["transaction_id"] == transaction_id
    assert page.ws.getstatus() == 101


def test_a_result_that_landed_before_the_socket_is_not_missed(server):
    msisdn, transaction_id = started(server)
    phone(server, msisdn).answer(pin="1234")
    wait_until(lambda: settled(server, transaction_id))

    with watching(server, transaction_id) as page:
        assert page.first["status"] == "SUCCESS"


def test_two_pages_of_two_languages_get_their_own_words(server):
    msisdn, transaction_id = started(server)
    with (
        watching(server, transaction_id, "en") as english,
        watching(server, transaction_id, "sw") as swahili,
    ):
        phone(server, msisdn).answer(cancel=True)
        told = [page.snapshot_with(status="FAILED") for page in (english, swahili)]

    assert told == [status_of(server, transaction_id, lang) for lang in ("en", "sw")]
    assert told[0]["message"] != told[1]["message"]


@pytest.mark.parametrize("lang", [None, "xx", 7, ["sw"], {"a": 1}])
def test_without_a_language_of_ours_the_handshakes_counts(server, lang):
    _, transaction_id = started(server)
    with watching(server, transaction_id, "sw") as asked:
        pass
    with Page(server, header=["Accept-Language: sw-KE,sw"]) as page:
        page.connect(tx_id=transaction_id, lang=lang)

        assert page.snapshot()["message"] == asked.first["message"]


def settled(server, transaction_id):
    answer = server.get("/check-status", params={"tx_id": transaction_id})
    return answer.json()["status"] != "PENDING"


# -- rooms -------------------------------------------------------------------------------------


@on_one_server
def test_a_second_payer_hears_nothing_of_the_first(server):
    msisdn, first = started(server)
    _, second = started(server)
    with watching(server, first) as page, watching(server, second) as other:
        phone(server, msisdn).answer(pin="1234")
        page.snapshot_with(status="SUCCESS")

        assert other.hears_nothing()


EVENTS = [
    '["join","{room}"]',
    '["enter_room",{{"room":"{room}"}}]',
    '["subscribe","{tx}"]',
    '["status",{{"tx_id":"{tx}","status":"SUCCESS"}}]',
    '["connect",{{"tx_id":"{tx}"}}]',
    '["disconnect"]',
    '["message"]',
    '7["ack","{room}"]',
]


@on_one_server
@pytest.mark.parametrize("event", EVENTS)
def test_no_event_lets_a_client_into_another_room(server, event):
    msisdn, first = started(server)
    _, second = started(server)
    with watching(server, first) as page, watching(server, second) as intruder:
        intruder.ws.send("42" + event.format(room=f"{first}:en", tx=first))
        phone(server, msisdn).answer(pin="1234")
        page.snapshot_with(status="SUCCESS")

        assert intruder.hears_nothing()


@on_one_server
def test_what_a_client_emits_reaches_nobody_else(server):
    _, transaction_id = started(server)
    with watching(server, transaction_id) as page, watching(server, transaction_id) as forger:
        forger.ws.send('42["status",{"status":"SUCCESS","seq":99}]')

        assert page.hears_nothing()


def test_a_second_connect_on_the_same_connection_ends_it(server):
    _, first = started(server)
    _, second = started(server)
    with watching(server, first) as page:
        answer = page.connect(tx_id=second)

        assert answer in (CLOSE, "")
        assert page.closed_after() < PATIENCE


def test_a_client_that_talks_without_end_is_closed(server):
    _, transaction_id = started(server)
    with watching(server, transaction_id) as page:
        with suppress(OSError):
            for _ in range(200):
                page.ws.send('42["hello"]')

        assert page.closed_after() < PATIENCE


def test_a_flood_of_frames_that_are_no_messages_keeps_nobody_out(server):
    """Of pongs, which no library counts as messages, with never a moment to spare."""
    _, transaction_id = started(server)
    over = threading.Event()
    with watching(server, transaction_id) as page:
        flood = threading.Thread(target=send_pongs, args=(page, over))
        flood.start()
        try:
            answer = server.get("/healthz")
            still_flooding = flood.is_alive()
        finally:
            over.set()
            flood.join()

    assert answer.status_code == 200
    assert still_flooding


def send_pongs(page, over):
    pongs = b"\x8a\x80\0\0\0\0" * 2000
    give_up = time.monotonic() + 10
    with suppress(OSError):
        while not over.is_set() and time.monotonic() < give_up:
            page.ws.sock.sendall(pongs)


@pytest.mark.parametrize("namespace", ["/console", "/other", "/" + "x" * 500])
def test_other_namespaces_are_closed_to_shoppers(server, namespace):
    _, transaction_id = started(server)
    with Page(server) as page:
        page.ws.send(f'40{namespace},{{"tx_id":"{transaction_id}"}}')

        assert page.frame().startswith(f"44{namespace},")


def test_a_client_of_socketio_as_published_gets_the_result(server):
    msisdn, transaction_id = started(server)
    with socketio.SimpleClient() as client:
        client.connect(server.address, auth={"tx_id": transaction_id}, transports=["websocket"])
        first = client.receive(timeout=10)
        phone(server, msisdn).answer(pin="1234")
        told = [client.receive(timeout=10)]
        while told[-1][1]["status"] != "SUCCESS":
            told.append(client.receive(timeout=10))

    assert first[0] == "status"
    assert told[-1][1]["transaction_id"] == transaction_id


# -- who is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "auth",
    [
        {"tx_id": UNKNOWN},
        {},
        {"tx_id": None},
        {"tx_id": 7},
        {"tx_id": ["x"]},
        {"tx_id": "\0"},
        {"tx_id": "x" * 3000},
    ],
    ids=range(7),
)
def test_an_unknown_id_is_refused_and_its_connection_closed_within_a_second(server, auth):
    with Page(server) as page:
        answer = page.connect(**auth)

        assert answer == '44{"message":"transaction_not_found"}'
        assert page.closed_after() <= 1


@pytest.mark.parametrize("asked", ["40/admin,", '40/admin,{"tx_id":"x"}'])
def test_a_namespace_that_is_none_of_ours_is_closed_within_a_second(server, asked):
    with Page(server) as page:
        page.ws.send(asked)

        assert page.closed_after() <= 2


@pytest.mark.parametrize("asked", ['40{"tx_id":"AAAAAAAAAAAAAAAAAAAAAA"}', "40/console,"])
def test_connects_in_one_burst_leave_nothing_behind_and_no_traceback(server, asked):
    with Page(server) as page:
        with suppress(OSError):
            for _ in range(6):
                page.ws.send(asked)

        assert page.closed_after() <= 2
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("auth", ["40", "40[]", '40["x"]', '40"x"', "40null", "40true", "407"])
def test_an_auth_that_is_no_object_is_refused_and_closed(server, auth):
    with Page(server) as page:
        page.ws.send(auth)

        assert page.closed_after() <= 2


def test_a_client_of_socketio_as_published_sees_why_it_is_refused(server):
    client, seen = socketio.Client(reconnection=False), []
    client.on("connect_error", seen.append)

    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(server.address, auth={"tx_id": UNKNOWN}, transports=["websocket"])

    assert seen == [{"message": "transaction_not_found"}]


@on_one_server
def test_one_that_sends_no_connect_is_closed_after_ten_seconds(server):
    with Page(server) as page:
        assert 8 <= page.closed_after() <= 14


def test_one_that_only_plays_with_the_protocol_is_closed_too(server):
    with Page(server) as page:
        for frame in ("3", "6", '42["status"]', "41", "43[]"):
            with suppress(websocket.WebSocketException, OSError):
                page.ws.send(frame)

        assert page.closed_after() <= 14


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://127.0.0.1",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://127.0.0.1:{port}.evil.example",
        "null",
    ],
)
def test_another_sites_page_may_not_open_a_socket(server, origin):
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        Page(server, origin=origin.format(port=server.port))

    assert refused.value.status_code == 400


def test_our_own_page_may(server):
    _, transaction_id = started(server)
    with watching(server, transaction_id, origin=server.address) as page:
        assert page.first["transaction_id"] == transaction_id


def test_another_host_name_that_leads_here_is_refused(server):
    names = {"host": f"evil.example:{server.port}", "origin": f"http://evil.example:{server.port}"}
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        Page(server, **names)

    assert refused.value.status_code == 400
    assert b"invalid_request" in refused.value.resp_body
    assert "is not in ALLOWED_HOSTS" in server.log.read_text()


def test_what_a_refused_handshake_says_stands_escaped_in_one_json_line(tmp_path, async_mode):
    hostile = "http://evil.example/\x1b[2J\x85" + '{"level":"error"}' * 200
    with running(tmp_path, LOG_FORMAT="json", ASYNC_MODE=async_mode) as server:
        for named in ({"origin": hostile}, {"host": hostile}):
            for _again in range(3):
                with pytest.raises(websocket.WebSocketBadStatusException):
                    Page(server, **named)
        server.get("/socket.io/?EIO=4&transport=websocket&sid=" + "x" * 3000)

    written = server.log.read_text("utf-8").splitlines()
    told = [json.loads(line) for line in written if "evil" in line or "xxx" in line]
    assert [each["logger"] for each in told] == [
        "mpesa.live.admission.engine",
        "mpesa.live.admission",
        "mpesa.live.admission.engine",
    ]
    assert "not in ALLOWED_HOSTS" in told[1]["message"]
    for each in told:
        assert len(each["message"]) < 250
        assert each["message"].isascii()
        assert each["message"].isprintable()


def test_a_database_that_fails_is_told_as_that_and_the_payment_is_there_afterwards(
    tmp_path, async_mode
):
    with running(tmp_path, ASYNC_MODE=async_mode) as server:
        _, transaction_id = started(server)
        file = server.environment["DATABASE_URL"].removeprefix("sqlite:///")
        with closing(sqlite3.connect(file, timeout=PATIENCE)) as database:
            database.execute("ALTER TABLE transactions RENAME TO moved_away")
            with Page(server) as page:
                refused = page.connect(tx_id=transaction_id)
            database.execute("ALTER TABLE moved_away RENAME TO transactions")
        with Page(server) as page:
            acknowledged = page.connect(tx_id=transaction_id)

    assert json.loads(refused.removeprefix("44")) == {"message": "unavailable"}
    (told,) = [line for line in server.log.read_text().splitlines() if "was refused" in line]
    assert "a socket was refused: the database failed" in told
    assert re.search(rf" request_id=[0-9a-f]{{32}} transaction_id={transaction_id} ", told)
    assert acknowledged.startswith('40{"sid"')


def test_behind_a_proxy_the_host_that_it_passed_on_counts(tmp_path):
    with running(tmp_path, TRUSTED_PROXIES="1", ALLOWED_HOSTS="pay.example.com") as server:
        named = {"X-Forwarded-Host": "pay.example.com"}
        order_id = requests_order(server, named)
        body = {"order_id": order_id, "phone": "0712345678"}
        answer = server.post("/stk-push", json=body, headers=named)
        header = [f"{name}: {value}" for name, value in named.items()]
        with Page(server, header=header) as page:
            acknowledged = page.connect(tx_id=answer.json()["transaction_id"])

    assert acknowledged.startswith('40{"sid"')


def requests_order(server, headers):
    from tests.factories import API_KEY, order_fields

    answer = server.post("/api/orders", json=order_fields(), headers=API_KEY | headers)
    return answer.json()["order_id"]


# -- the transport -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post"])
def test_long_polling_is_refused(server, method):
    url = server.url("/socket.io/?EIO=4&transport=polling")

    answer = requests.request(method, url, data=b"40", timeout=10)

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "query", ["", "EIO=3&transport=websocket", "transport=x", "EIO=4&transport=websocket&sid=x"]
)
def test_a_handshake_of_another_kind_is_refused(server, query):
    answer = requests.get(server.url(f"/socket.io/?{query}"), timeout=10)

    assert answer.status_code == 400


def test_an_outdated_draft_of_websocket_is_refused(server):
    keys = {
        "Sec-WebSocket-Key1": "4 @1  46546xW%0l 1 5",
        "Sec-WebSocket-Key2": "12998 5 Y3 1  .P00",
    }
    headers = {"Upgrade": "WebSocket", "Connection": "Upgrade", **keys}

    answer = requests.get(
        server.url("/socket.io/?EIO=4&transport=websocket"), headers=headers, timeout=10
    )

    assert answer.status_code == 426


def test_a_message_above_4_kib_closes_the_socket(server):
    _, transaction_id = started(server)
    with watching(server, transaction_id) as page:
        with suppress(OSError):
            page.ws.send('42["' + "x" * 5000 + '"]')

        assert page.closed_after() <= 5


def test_a_message_of_fragments_above_4_kib_closes_the_socket(server):
    _, transaction_id = started(server)
    with watching(server, transaction_id) as page:
        send_fragments(page, [b"x" * 3000] * 3)

        assert page.closed_after() <= 5


def test_fragments_without_an_end_close_the_socket(server):
    _, transaction_id = started(server)
    with watching(server, transaction_id) as page:
        send_fragments(page, [b"x" * 2000] * 5, end=False)

        assert page.closed_after() <= 5


def test_a_connect_in_fragments_is_put_together(server):
    _, transaction_id = started(server)
    with Page(server) as page:
        whole = ("40" + json.dumps({"tx_id": transaction_id})).encode()
        send_fragments(page, [whole[:9], whole[9:20], whole[20:]])

        assert page.frame().startswith('40{"sid"')


def send_fragments(page, parts, *, end=True):
    with suppress(OSError):
        for number, part in enumerate(parts):
            opcode = websocket.ABNF.OPCODE_CONT if number else websocket.ABNF.OPCODE_TEXT
            last = int(end and number == len(parts) - 1)
            page.ws.send_frame(websocket.ABNF(last, 0, 0, 0, opcode, 1, part))


GARBAGE = [
    b"\x00" * 100,
    b"\xff\xfe\xfd",
    b"4",
    b"\x85\xff" + struct.pack("!Q", 2**62),
    bytes(range(256)),
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
@pytest.mark.parametrize("framed", [True, False])
def test_binary_garbage_is_survived(server, garbage, framed):
    _, transaction_id = started(server)
    with watching(server, transaction_id) as page, suppress(OSError):
        if framed:
            page.ws.send_binary(garbage)
        else:
            page.ws.sock.sendall(garbage)

    msisdn, other = started(server)
    with watching(server, other) as page:
        phone(server, msisdn).answer(pin="1234")
        assert page.snapshot_with(status="SUCCESS")


@pytest.mark.parametrize(
    "frame",
    [
        "4",
        "49",
        "4" + "9" * 3000,
        '45999-["x"]',
        '451-["x",{"_placeholder":true,"num":0}]',
        "42{}",
        "42[]",
        "42[[]]",
        '42["status"',
        "42" + "[" * 4000,
        "b" + "A" * 100,
        '40{"tx_id":' + "9" * 4000,
        "40" + '{"a":' * 700,
    ],
    ids=range(13),
)
def test_frames_that_are_no_protocol_end_their_own_connection_only(server, frame):
    _, transaction_id = started(server)
    written = server.log.stat().st_size
    with watching(server, transaction_id) as page, suppress(OSError):
        page.ws.send(frame)
        page.ws.send("41")

        page.closed_after()

    with watching(server, transaction_id) as again:
        assert again.first["transaction_id"] == transaction_id
    assert "Traceback" not in server.log.read_text()[written:]


def test_a_client_that_vanishes_hinders_nobody(server):
    order_id, line = new_order(server), "254712999111"
    transaction_id = push(server, order_id, line)["transaction_id"]
    gone = [watching(server, transaction_id) for _ in range(20)]
    for page in gone:
        reset(page.ws.sock)
    with watching(server, transaction_id) as page:
        begin = time.monotonic()
        phone(server, line).answer(pin="1234")
        page.snapshot_with(status="SUCCESS")

    assert time.monotonic() - begin < 5


def reset(sock):
    """Vanish without a word: the other side gets a reset, not an end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    with closing(sock):
        pass


# -- what a page that left leaves behind -----------------------------------------------------------


def connections_in_memory(tidy):
    """What the server says that it still keeps of connections."""
    before = tidy.why().count("connections ")
    tidy.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: tidy.why().count("connections ") > before)
    return int(re.findall(r"connections (\d+)", tidy.why())[-1])


def test_pages_that_left_are_forgotten_without_the_garbage_collector(async_mode, tmp_path):
    with running(tmp_path, ("-m", "tests.integration.tidy")) as tidy:
        _, transaction_id = started(tidy)
        with ExitStack() as open_pages:
            for _page in range(20):
                open_pages.enter_context(watching(tidy, transaction_id))
            with_pages = connections_in_memory(tidy)

        wait_until(lambda: connections_in_memory(tidy) < 10)

    assert with_pages >= 2 * 20

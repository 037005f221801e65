"""A waiting page's connection: light, in order, and gone when nobody is at the other end."""

import logging
import queue
import threading
import time
from collections import deque

import engineio
import pytest
from engineio import base_socket, packet
from engineio.socket import Socket
from flask import request
from werkzeug.test import EnvironBuilder

from mpesa.live import connections
from mpesa.live.connections import Connection, Later, Outgoing, lighten, slim

PATIENCE = 10.0
START = 1000.0
INTERVAL, ANSWER_WITHIN = 25.0, 20.0


class Loop:
    """Time, and what runs beside the present task, one after the other and by hand."""

    def __init__(self):
        self.now = START
        self.tasks = deque()
        self.started = 0

    def time(self):
        return self.now

    monotonic = time

    def sleep(self, seconds):
        self.now += seconds

    def start_background_task(self, function, *arguments):
        self.started += 1
        self.tasks.append((function, arguments))

    def run(self):
        while self.tasks:
            function, arguments = self.tasks.popleft()
            function(*arguments)


class Page:
    """The other end of a WebSocket: what it was sent, and what it says; then it has left."""

    def __init__(self, *says):
        self.says = deque(says)
        self.sent = []
        self.closed = 0
        self.at_send = lambda _message: None

    def send(self, message):
        self.at_send(message)
        self.sent.append(message)

    def wait(self):
        return self.says.popleft() if self.says else None

    def close(self):
        self.closed += 1


@pytest.fixture
def loop(monkeypatch):
    """A loop whose time is Engine.IO's and ours."""
    made = Loop()
    for module in (connections, engineio.socket, base_socket):
        monkeypatch.setattr(module, "time", made)
    return made


def message(text):
    return packet.Packet(packet.MESSAGE, text)


# -- Later ---------------------------------------------------------------------------------------


def test_each_is_called_in_its_turn_once_its_time_has_passed(loop):
    later, called = Later(loop, 25.0), []

    def note(name):
        called.append((name, loop.now))

    later.call(note, "first")
    loop.now += 3
    later.call(note, "second")
    loop.run()

    assert called == [("first", START + 25), ("second", START + 28)]


def test_one_task_calls_all_and_ends_with_the_last(loop):
    later, called = Later(loop, 25.0), []
    for number in range(50):
        later.call(called.append, number)
    loop.run()
    began = loop.started

    later.call(called.append, 50)
    loop.run()

    assert (began, loop.started) == (1, 2)
    assert called == list(range(51))


def test_what_is_wished_for_meanwhile_is_called_by_the_same_task(loop):
    later, called = Later(loop, 25.0), []

    def again():
        called.append(loop.now)
        if len(called) < 3:
            later.call(again)

    later.call(again)
    loop.run()

    assert called == [START + 25, START + 50, START + 75]
    assert loop.started == 1


def test_a_function_that_fails_keeps_no_other_one_from_its_turn(loop, caplog):
    later, called = Later(loop, 25.0), []

    def fail():
        raise KeyError("gone")

    later.call(fail)
    later.call(called.append, "next")
    loop.run()

    assert called == ["next"]
    assert "fail failed" in caplog.text


# -- Outgoing ------------------------------------------------------------------------------------


def test_what_was_put_before_the_websocket_stood_is_written_first(loop):
    outgoing, page = Outgoing(loop), Page()
    outgoing.put(message("a"))
    outgoing.put(message("b"))
    loop.run()
    before = list(page.sent)

    outgoing.open(page)
    outgoing.put(message("c"))
    loop.run()

    assert (before, page.sent) == ([], ["4a", "4b", "4c"])


def test_what_stands_in_engine_ios_queue_is_taken_over(loop):
    server = engineio.Server(async_mode="threading")
    theirs, outgoing, page = server.create_queue(), Outgoing(loop), Page()
    theirs.put(message("a"))
    theirs.put(message("b"))

    outgoing.take_over(theirs)
    outgoing.open(page)
    loop.run()

    assert page.sent == ["4a", "4b"]


def test_what_comes_while_something_is_written_waits_for_its_turn(loop):
    outgoing, page = Outgoing(loop), Page()
    during = deque([message("b"), message("c")])
    page.at_send = lambda _: outgoing.put(during.popleft()) if during else None
    outgoing.open(page)

    outgoing.put(message("a"))
    loop.run()

    assert page.sent == ["4a", "4b", "4c"]
    assert loop.started == 1


def test_none_closes_once_all_before_it_is_written(loop):
    outgoing, page = Outgoing(loop), Page()
    closed_at_send = []
    page.at_send = lambda _: closed_at_send.append(page.closed)

    for each in (message("a"), message("b"), None, message("too late")):
        outgoing.put(each)
    outgoing.open(page)
    outgoing.put(message("later still"))
    loop.run()

    assert (page.sent, closed_at_send, page.closed) == (["4a", "4b"], [0, 0], 1)


def test_a_page_that_left_is_closed_and_written_to_no_more(loop):
    outgoing, page = Outgoing(loop), Page()
    tried = []

    def refuse(text):
        tried.append(text)
        raise OSError("gone")

    page.at_send = refuse
    outgoing.open(page)
    outgoing.put(message("a"))
    outgoing.put(message("b"))
    loop.run()
    outgoing.put(message("c"))
    loop.run()

    assert (tried, page.closed) == (["4a"], 1)
    assert loop.started == 1


def test_join_waits_until_all_is_written(loop):
    outgoing, page = Outgoing(loop), Page()
    outgoing.open(page)
    outgoing.put(message("a"))
    waited = []

    def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 3:
            loop.run()

    loop.sleep = sleep
    outgoing.join()

    assert (len(waited), page.sent) == (3, ["4a"])


def test_join_waits_no_longer_than_a_second(loop):
    outgoing = Outgoing(loop)
    outgoing.open(Page())
    outgoing.put(message("never written: the loop does not run"))

    outgoing.join()

    assert START < loop.now <= START + 1.01


def test_join_does_not_wait_where_nothing_was_ever_opened(loop):
    outgoing = Outgoing(loop)
    outgoing.put(None)

    outgoing.join()

    assert loop.now == START


def test_many_writers_never_mix_and_lose_nothing():
    writers, each_writes = 4, 12
    server = engineio.Server(async_mode="threading")
    outgoing, page = Outgoing(server), Page()
    one_at_a_time, all_written, overlapped = threading.Lock(), threading.Event(), []

    def watch(text):
        if not one_at_a_time.acquire(blocking=False):
            overlapped.append(text)
            return
        time.sleep(0)  # lets another writer run in the middle
        one_at_a_time.release()
        if len(page.sent) == writers * each_writes - 1:
            all_written.set()

    page.at_send = watch
    outgoing.open(page)

    def write(writer):
        for number in range(each_writes):
            outgoing.put(message(f"{writer}-{number}"))

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    all_written.wait(PATIENCE)
    outgoing.join()

    assert overlapped == []
    for writer in range(writers):
        own = [text for text in page.sent if text.startswith(f"4{writer}-")]
        assert own == [f"4{writer}-{number}" for number in range(each_writes)]


# -- Connection ----------------------------------------------------------------------------------


class Accepted:
    """A connection that Engine.IO has just accepted, made light."""

    def __init__(self, loop):
        self.server = engineio.Server(
            async_mode="threading",
            async_handlers=False,
            ping_interval=INTERVAL,
            ping_timeout=ANSWER_WITHIN,
            monitor_clients=False,
        )
        self.server.start_background_task = loop.start_background_task
        self.server.sleep = loop.sleep
        self.events = []
        self.server.on("message", lambda _sid, text: self.events.append(("message", text)))
        self.server.on("disconnect", lambda _sid, why: self.events.append(("left", why)))
        self.connection = Socket(self.server, "sid")
        self.server.sockets["sid"] = self.connection
        self.connection.send(packet.Packet(packet.OPEN))
        lighten(self.connection, Later(loop, INTERVAL))
        self.connection.schedule_ping()

    def open(self, page):
        """As the WebSocket's handler does, without reading."""
        self.connection.connected = self.connection.upgraded = True
        self.connection.queue.open(page)


@pytest.fixture
def accepted(loop):
    return Accepted(loop)


def at_times(loop, page):
    """Note when the page was sent what."""
    heard = []
    page.at_send = lambda text: heard.append((loop.now - START, text))
    return heard


def test_a_page_is_greeted_then_pinged_once_the_interval_has_passed(accepted, loop):
    page = Page()
    heard = at_times(loop, page)
    accepted.open(page)
    loop.tasks.rotate(1)  # the greeting is written before the time passes

    loop.run()

    assert heard == [(0, "0"), (INTERVAL, "2")]


def test_a_pong_schedules_the_next_ping_and_only_a_pong_does(accepted, loop):
    page = Page()
    accepted.open(page)
    loop.tasks.rotate(1)
    loop.run()
    heard = at_times(loop, page)
    loop.now += 5

    accepted.connection.receive(packet.Packet(packet.PONG))
    accepted.connection.receive(packet.Packet(packet.PONG))
    loop.run()

    assert heard == [(INTERVAL + 5 + INTERVAL, "2")]


def test_a_page_that_left_is_pinged_no_more(accepted, loop):
    page = Page()
    accepted.open(page)
    accepted.connection.close(wait=False, abort=True)

    loop.run()

    assert "2" not in page.sent


@pytest.mark.parametrize("name", ["_sock", "socket"])
def test_a_silent_page_is_closed_after_a_ping_and_its_answers_time(accepted, loop, name):
    class Silent(Page):
        limit = None

        def settimeout(self, seconds):
            self.limit = seconds

        def wait(self):
            assert self.limit is not None, "it would be waited for without end"
            raise TimeoutError("timed out")

    page = Silent()
    setattr(page, name, page)

    accepted.connection._websocket_handler(page)
    loop.run()

    assert page.limit == INTERVAL + ANSWER_WITHIN
    assert accepted.events == [("left", accepted.server.reason.TRANSPORT_CLOSE)]
    assert accepted.connection.closed


def test_messages_are_taken_until_the_page_leaves(accepted, loop):
    page = Page("4first", "4second")

    accepted.connection._websocket_handler(page)
    loop.run()

    left = ("left", accepted.server.reason.TRANSPORT_CLOSE)
    assert accepted.events == [("message", "first"), ("message", "second"), left]


def test_nothing_is_written_once_the_page_has_left(accepted, loop):
    page = Page("4first")
    accepted.server.on("message", lambda *_: accepted.connection.send(message("an answer")))

    accepted.connection._websocket_handler(page)
    accepted.connection.queue.put(message("too late"))
    loop.run()

    assert page.sent == []


@pytest.mark.parametrize("nonsense", ["", "x", "9", "2", "7probe", "4" + "[" * 100_000])
def test_what_is_no_protocol_ends_the_connection_without_a_traceback(
    accepted, loop, caplog, nonsense
):
    page = Page(nonsense, "4too late")

    with caplog.at_level(logging.INFO):
        accepted.connection._websocket_handler(page)
        loop.run()

    assert ("message", "too late") not in accepted.events
    assert accepted.connection.closed
    assert not [each for each in caplog.records if each.exc_info]


def test_a_message_that_cannot_be_handled_ends_its_connection_and_is_logged(accepted, loop, caplog):
    def fail(_packet):
        raise KeyError("a bug")

    accepted.connection.receive = fail
    page = Page("4first")

    accepted.connection._websocket_handler(page)
    loop.run()

    assert accepted.connection.closed
    assert "could not be handled" in caplog.text


def test_a_connection_that_the_server_ends_hears_so_before_it_is_closed(accepted, loop):
    page = Page()
    accepted.open(page)
    accepted.connection.send(message("the last word"))

    accepted.connection.close(wait=False)
    loop.run()

    assert (page.sent, page.closed) == (["0", "4the last word", "1"], 1)


# -- slim ----------------------------------------------------------------------------------------


def a_request(app):
    builder = EnvironBuilder(
        path="/socket.io/",
        query_string="transport=websocket&EIO=4",
        base_url="http://localhost",
        headers={"Accept-Language": "sw", "Cookie": "a=1", "User-Agent": "Firefox", "X-Long": "y"},
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )
    return {**builder.get_environ(), "flask.app": app, "mpesa.expected": "x", "eventlet.input": 1}


def seen_in(environ):
    """What a connect handler of a namespace can look at, as flask-socketio has it look."""
    with environ["flask.app"].request_context(environ):
        return (
            request.host, request.url, request.method, request.remote_addr,
            request.accept_languages.best, dict(request.cookies), request.args.to_dict(),
        )  # fmt: skip


def test_another_namespaces_connect_finds_what_it_needs_afterwards(app):
    environ = a_request(app)
    before = seen_in(dict(environ))

    slim(environ)

    assert seen_in(environ) == before
    assert environ["mpesa.expected"] == "x"


def test_what_nobody_needs_is_forgotten(app):
    environ = a_request(app)

    slim(environ)

    assert not environ.keys() & {"HTTP_USER_AGENT", "HTTP_X_LONG", "eventlet.input", "wsgi.errors"}


# -- what an update of Engine.IO must not change -------------------------------------------------


def test_engine_io_has_what_is_overridden_and_nothing_that_is_not_known_here():
    fresh = Socket(engineio.Server(async_mode="threading"), "sid")

    assert {"schedule_ping", "_websocket_handler", "_send_ping"} <= vars(Socket).keys()
    assert not vars(Socket).keys() & {"ping", "_handle_message", "pings"}
    assert vars(fresh).keys() == {
        "server", "sid", "queue", "last_ping", "connected", "upgrading", "upgraded", "closing",
        "closed", "session",
    }  # fmt: skip
    assert (fresh.connected, fresh.upgraded) == (False, False)
    assert fresh.last_ping


def test_engine_io_asks_no_more_of_its_queue_than_ours_can_do():
    """`poll` alone gets from it, and our handler of WebSockets never polls."""
    used = {
        name
        for function in vars(Socket).values()
        if callable(function) and function.__name__ not in ("poll", "_websocket_handler")
        for name in function.__code__.co_names
        if name in vars(queue.Queue) and name not in vars(dict)  # an environ is asked with `get`
    }

    assert used == {"put", "join"}
    assert used <= vars(Outgoing).keys()


def test_engine_io_runs_the_connect_handler_on_a_listed_socket_before_it_pings_or_upgrades():
    server = engineio.Server(async_mode="threading", transports=["websocket"])
    steps = []

    class Watched(Socket):
        def schedule_ping(self):
            steps.append("schedule_ping")

        def _websocket_handler(self, _ws):
            """Found by name when the WebSocket is upgraded."""

        def _upgrade_websocket(self, _environ, _start_response):
            steps.append("upgrade")
            return []

    def connect(sid, _environ):
        steps.append("connect")
        server.sockets[sid].__class__ = Watched
        steps.extend(pkt.packet_type for pkt in server.sockets[sid].poll())

    server.on("connect", connect)
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    builder = EnvironBuilder(query_string="transport=websocket&EIO=4", headers=headers)

    server.handle_request(builder.get_environ(), lambda *_: None)

    assert steps == ["connect", packet.OPEN, "schedule_ping", "upgrade"]


def test_engine_io_hands_the_websocket_to_the_handler_by_its_name():
    assert "_websocket_handler" in Socket._upgrade_websocket.__code__.co_names
    assert "schedule_ping" in Socket.receive.__code__.co_names
    assert issubclass(Connection, Socket)

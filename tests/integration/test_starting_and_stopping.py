"""How a process begins and ends: what it says, how long it takes, and what it leaves behind."""

import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing

import pytest
import requests

from tests import forks
from tests.integration.conftest import by_every_signal
from tests.integration.steps import new_line, new_order, phone, push, started, watching
from tests.servers import PATIENCE, ROOT, Server, free_port, running, wait_until

# Promised are 5 s, and 10 s with a push under way; machines that run tests are slow and shared.
SOON = 15


# The socket as file 3, and whom it is meant for (sd_listen_fds(3)).
AS_SYSTEMD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


def timed_stop(server, number):
    """Stop it; returns the exit status and how long it took, in seconds."""
    begin = time.monotonic()
    status = server.stop(number)
    took = time.monotonic() - begin
    print(f"stopped by {signal.Signals(number).name} after {took:.2f} s")  # noqa: T201 - pytest -s
    return status, took


@pytest.fixture
def from_nothing(monkeypatch):
    """As people and systemd start it: here it matters how Python begins, and how it ends."""
    monkeypatch.setattr(Server, "truly", True)


# -- stopping ----------------------------------------------------------------------------------


@by_every_signal
@pytest.mark.usefixtures("async_mode", "from_nothing")
def test_it_ends_soon_with_status_0_while_sockets_are_open(tmp_path, number):
    with running(tmp_path) as server:
        _, transaction_id = started(server)
        pages = [watching(server, transaction_id) for _ in range(20)]
        keep_alive = requests.Session()
        keep_alive.get(server.url("/healthz"), timeout=10)

        status, took = timed_stop(server, number)

        assert status == 0
        assert took < SOON
        assert all(page.closed_after() < 1 for page in pages)
        assert "Traceback" not in server.why()


@by_every_signal
@pytest.mark.usefixtures("async_mode")
def test_it_ends_soon_with_status_0_while_nothing_happens(tmp_path, number):
    with running(tmp_path) as server:
        wait_until(lambda: "Serving on" in server.why())

        status, took = timed_stop(server, number)

    assert (status, took < SOON) == (0, True)
    assert "Traceback" not in server.why()


@pytest.mark.usefixtures("async_mode")
def test_more_signals_change_nothing(tmp_path):
    with running(tmp_path) as server:
        _, transaction_id = started(server)
        watching(server, transaction_id)
        for _ in range(5):
            server.process.send_signal(signal.SIGTERM)
            server.process.send_signal(signal.SIGINT)

        assert server.process.wait(PATIENCE) == 0


@pytest.mark.usefixtures("async_mode")
def test_a_client_that_reads_nothing_does_not_delay_the_end(tmp_path):
    with running(tmp_path) as server:
        _, transaction_id = started(server)
        deaf = watching(server, transaction_id)
        half = socket.create_connection(("127.0.0.1", server.port))
        half.sendall(b"POST /stk-push HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{")

        status, took = timed_stop(server, signal.SIGTERM)

        half.close()
        deaf.close()
    assert (status, took < SOON) == (0, True)


class MuteDaraja:
    """A Daraja that gives a token, takes the push and never answers it."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.pushed = threading.Event()
        self.open = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        while asked := connection.recv(65_536):
            if b"/oauth/" in asked.split(b"\r\n")[0]:
                body = b'{"access_token": "token", "expires_in": "3599"}'
                head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 47"
                connection.sendall(head.encode() + b"\r\n\r\n" + body)
            elif b"/stkpush/" in asked.split(b"\r\n")[0]:
                self.pushed.set()

    def close(self):
        for each in [self.listener, *self.open]:
            each.close()


@by_every_signal
@pytest.mark.usefixtures("async_mode")
def test_a_push_under_way_is_recorded_as_unconfirmed_before_the_end(tmp_path, number):
    with closing(MuteDaraja()) as mute, running(tmp_path, DARAJA_BASE_URL=mute.address) as server:
        order_id = new_order(server)
        answers = []
        payer = threading.Thread(
            target=lambda: answers.append(
                server.post("/stk-push", json={"order_id": order_id, "phone": new_line()})
            )
        )
        payer.start()
        assert mute.pushed.wait(PATIENCE)

        status, took = timed_stop(server, number)
        payer.join(PATIENCE)

    with closing(sqlite3.connect(tmp_path / f"mpesa-{server.port}.sqlite")) as database:
        (row,) = database.execute("SELECT status, reason FROM transactions").fetchall()
    assert row == ("PENDING", "push_unconfirmed")
    assert (status, took < SOON) == (0, True)
    assert [each.status_code for each in answers] == [202]
    assert answers[0].json()["reason"] == "push_unconfirmed"


def test_the_simulators_slow_push_ends_as_unconfirmed_too(tmp_path):
    with running(tmp_path) as server:
        msisdn, order_id = new_line(), new_order(server)
        phone(server, msisdn).script(push="timeout")
        payer = threading.Thread(target=lambda: try_push(server, order_id, msisdn))
        payer.start()
        wait_until(phone(server, msisdn).prompts)

        status, took = timed_stop(server, signal.SIGTERM)
        payer.join(PATIENCE)

    with closing(sqlite3.connect(tmp_path / f"mpesa-{server.port}.sqlite")) as database:
        rows = database.execute("SELECT status, reason FROM transactions").fetchall()
    assert rows == [("PENDING", "push_unconfirmed")]
    assert (status, took < SOON) == (0, True)


def try_push(server, order_id, msisdn):
    try:
        push(server, order_id, msisdn)
    except (requests.RequestException, AssertionError):
        return


# -- starting ----------------------------------------------------------------------------------


def refusal(tmp_path, program=("app.py",), **settings):
    """Start what cannot start; returns its exit status and what it wrote."""
    port = settings.pop("PORT", str(free_port()))
    environment = Server(tmp_path, program, **settings).environment | {"PORT": port}
    if forks.can_fork(environment, program):
        done = forks.run(environment, program, PATIENCE)
    else:
        done = subprocess.run(
            [sys.executable, *program], cwd=ROOT, env=environment,
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).splitlines()


def assert_one_line(outcome, *words):
    status, lines = outcome
    assert status == 1
    assert len(lines) == 1, lines
    assert all(word in lines[0] for word in words), lines


def test_a_taken_port_is_said_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert_one_line(refusal(tmp_path, PORT=port), "PORT", port)


def test_the_simulator_too_names_an_async_server_that_there_is_not(tmp_path):
    outcome = refusal(tmp_path, ("-m", "mpesa.simulator"), ASYNC_MODE="threads")

    assert_one_line(outcome, "ASYNC_MODE", "eventlet", "gevent")


def test_the_simulator_too_says_in_one_line_that_its_port_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        assert_one_line(refusal(tmp_path, ("-m", "mpesa.simulator", "--port", port)), port)


def test_an_address_that_is_not_ours_is_said_in_one_line(tmp_path):
    outcome = refusal(tmp_path, HOST="192.0.2.1", SIMULATOR_PUBLIC="1")

    assert_one_line(outcome, "192.0.2.1", "HOST")


@pytest.mark.parametrize("beyond", ["mpesa.sqlite", "deeper/mpesa.sqlite"])
def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path, beyond):
    file = tmp_path / "no-folder"
    file.write_text("")

    outcome = refusal(tmp_path, DATABASE_URL=f"sqlite:///{file}/{beyond}")

    assert_one_line(outcome, "DATABASE_URL", str(file))


def test_a_file_that_is_no_database_is_said_in_one_line(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("these are notes, and no database, of more than a hundred bytes " * 30)

    assert_one_line(refusal(tmp_path, DATABASE_URL=f"sqlite:///{file}"), "DATABASE_URL")


@pytest.mark.usefixtures("async_mode")
def test_a_postgresql_that_does_not_answer_is_said_in_one_line_without_its_password(tmp_path):
    url = f"postgresql://mpesa:s3cret@127.0.0.1:{free_port()}/mpesa"

    outcome = refusal(tmp_path, DATABASE_URL=url)

    assert_one_line(outcome, "DATABASE_URL")
    assert "s3cret" not in outcome[1][0]


# One is read before all else, one is a secret, one an address; tests/test_config.py has the rest.
@pytest.mark.parametrize(
    ("name", "value"),
    [("ASYNC_MODE", "threads"), ("WEBHOOK_SECRET", "hunter2"), ("DATABASE_URL", "mysql://x/y")],
)
def test_a_bad_setting_is_named_in_one_line(tmp_path, name, value):
    outcome = refusal(tmp_path, **{name: value})

    assert_one_line(outcome, name)
    assert "hunter2" not in outcome[1][0]


def test_a_passkey_of_another_form_is_said_at_the_start_and_not_shown(tmp_path):
    named = {
        "DARAJA_ENV": "sandbox", "DARAJA_CONSUMER_KEY": "k", "DARAJA_CONSUMER_SECRET": "s",
        "DARAJA_PASSKEY": "hunter2hunter2", "DARAJA_BASE_URL": f"http://127.0.0.1:{free_port()}",
        "PUBLIC_URL": "https://127.0.0.1", "SECRET_KEY": "s", "API_KEYS": "k",
    }  # fmt: skip
    with running(tmp_path, **named) as server:
        said = server.log.read_text()

    assert "DARAJA_PASSKEY is not 64 hexadecimal digits" in said
    assert "hunter2" not in said


def test_a_start_says_in_one_line_that_eventlet_serves_production(tmp_path, async_mode):
    mixed = "Xq7c0VbR3yTzN5kJ1wLd8HsGf4uPaEo2"
    named = {
        "DARAJA_ENV": "production", "DARAJA_CONSUMER_KEY": "k", "DARAJA_CONSUMER_SECRET": "s",
        "DARAJA_SHORTCODE": "600000", "DARAJA_PASSKEY": "0123456789abcdef" * 4,
        "DARAJA_BASE_URL": f"http://127.0.0.1:{free_port()}", "PUBLIC_URL": "https://127.0.0.1",
        "SECRET_KEY": mixed, "API_KEYS": mixed,
    }  # fmt: skip
    with running(tmp_path, **named) as server:
        said = [line for line in server.log.read_text().splitlines() if "ASYNC_MODE" in line]

    assert len(said) == (async_mode == "eventlet")
    assert all("ASYNC_MODE=gevent" in line for line in said)


def test_production_does_not_start_on_development_secrets(tmp_path):
    outcome = refusal(tmp_path, DARAJA_ENV="production")

    status, lines = outcome
    assert (status, len(lines)) == (1, 1)


@pytest.mark.postgres
def test_a_postgresql_of_another_encoding_is_said_in_one_line(tmp_path, postgres):
    url = postgres.new_database()
    base, name = url.rsplit("/", 1)
    import psycopg2

    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(
                f"CREATE DATABASE {name}_ascii TEMPLATE template0 ENCODING 'SQL_ASCII'"
                " LC_COLLATE 'C' LC_CTYPE 'C'"
            )

    outcome = refusal(tmp_path, DATABASE_URL=f"{base}/{name}_ascii")

    assert_one_line(outcome, "DATABASE_URL", "UTF8")


def test_a_second_start_finds_the_database_as_it_was(tmp_path):
    with running(tmp_path) as server:
        order_id = new_order(server)
        port, url = server.port, server.environment["DATABASE_URL"]
        assert server.stop() == 0

    with running(tmp_path, PORT=str(port), DATABASE_URL=url) as again:
        assert push(again, order_id, new_line())["status"] == "PENDING"
        assert "Traceback" not in again.why()


def test_a_killed_server_starts_again_on_the_same_port_and_database(tmp_path):
    with running(tmp_path) as server:
        _, transaction_id = started(server)
        server.process.kill()
        server.process.wait(PATIENCE)
        port, url = server.port, server.environment["DATABASE_URL"]

    with (
        running(tmp_path, PORT=str(port), DATABASE_URL=url) as again,
        watching(again, transaction_id) as page,
    ):
        assert page.first["status"] == "PENDING"


def test_what_it_says_at_the_start_leads_to_what_it_serves(tmp_path):
    with running(tmp_path) as server:
        wait_until(lambda: server.address in server.why())
        said = server.why()

        assert f"{server.address}/simulator/" in said
        assert server.get("/simulator/").status_code == 200


def test_it_listens_on_localhost(tmp_path):
    with running(tmp_path, HOST="localhost") as server:
        answer = requests.get(f"http://localhost:{server.port}/readyz", timeout=10)

    assert answer.status_code == 200


LOCALHOST_IS_BOTH = """
import socket
from mpesa.serving import listen

socket.getaddrinfo = lambda host, port, type: [
    (socket.AF_INET6, type, 6, "", ("::1", port, 0, 0)),
    (socket.AF_INET, type, 6, "", ("127.0.0.1", port)),
]
with listen("localhost", 0) as listener:
    print(listener.getsockname()[0])
"""


def test_where_localhost_names_both_kinds_of_address_it_listens_where_public_url_leads():
    done = subprocess.run(
        [sys.executable, "-c", LOCALHOST_IS_BOTH],
        cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip

    assert done.stdout.split() == ["127.0.0.1"]


class OnIPv6(Server):
    """A server that listens on the loopback address of IPv6."""

    def answers(self):
        with socket.socket(socket.AF_INET6) as probe:
            return probe.connect_ex(("::1", self.port)) == 0


@pytest.mark.usefixtures("async_mode")
@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_the_main_job_works_on_ipv6_too(tmp_path):
    server = OnIPv6(tmp_path, HOST="::1")
    server.address = f"http://[::1]:{server.port}"
    server.start()
    try:
        msisdn, transaction_id = started(server)
        with watching(server, transaction_id, origin=server.address) as page:
            phone(server, msisdn).answer(pin="1234")

            assert page.snapshot_with(status="SUCCESS")
        assert f"Serving on {server.address} " in server.why()
    finally:
        server.stop()


@by_every_signal
@pytest.mark.usefixtures("async_mode", "from_nothing")
def test_a_signal_during_the_start_ends_it_quietly(tmp_path, number):
    server = Server(tmp_path)
    server.start()  # it listens before it migrates

    status, took = timed_stop(server, number)

    assert (status, took < SOON) == (0, True)
    assert "Traceback" not in server.why()


def test_it_serves_on_the_socket_that_the_service_manager_holds(tmp_path):
    """As systemd passes it on; who connects while the worker starts waits, and is answered."""
    with socket.create_server(("127.0.0.1", 0)) as held, closing(socket.socket()) as early:
        port = held.getsockname()[1]
        early.connect(("127.0.0.1", port))
        early.sendall(f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        worker = subprocess.Popen(
            [sys.executable, "-c", AS_SYSTEMD, str(held.fileno()), sys.executable, "app.py"],
            cwd=ROOT,
            env={"PORT": str(port), "DATABASE_URL": f"sqlite:///{tmp_path}/mpesa.sqlite"},
            pass_fds=[held.fileno()],
            stdout=subprocess.DEVNULL,
        )
        try:
            early.settimeout(PATIENCE)
            answer = early.recv(4096)
        finally:
            worker.terminate()
            status = worker.wait(PATIENCE)

        assert answer.startswith(b"HTTP/1.1 200")
        assert status == 0


# A handler that runs inside a weak reference's callback cannot raise out of it.
# Where Python ignores exceptions, and where one would leave a lock behind that imports wait for.
IN_A_CALLBACK = """
class Gone: pass
gone = Gone()
kept = weakref.ref(gone, lambda _: signalled())
del gone
"""
IN_AN_IMPORT = """
def find_spec(name, path, target=None):
    try:
        signalled()
    except BaseException:
        print("an exception came out of it", file=sys.stderr, flush=True)
sys.meta_path.insert(0, types.SimpleNamespace(find_spec=find_spec))
import not_there
"""
SIGNALLED = """
import os, runpy, signal, sys, types, weakref
from mpesa import serving

def signalled():
    os.kill(os.getpid(), int(os.environ["SIGNAL"]))
    for _ in range(1000): pass
{where}
print("goes on", file=sys.stderr, flush=True)
sys.argv = ["app.py"]
runpy.run_path("app.py", run_name="__main__")
"""


@by_every_signal
@pytest.mark.parametrize("where", [IN_A_CALLBACK, IN_AN_IMPORT], ids=["callback", "import"])
@pytest.mark.usefixtures("async_mode")
def test_a_signal_that_comes_where_no_exception_may_ends_it_all_the_same(tmp_path, number, where):
    program = ("-c", SIGNALLED.replace("{where}", where))
    server = Server(tmp_path, program, SIGNAL=str(int(number)))
    with server.log.open("wb") as log:
        server.process = subprocess.Popen(
            [sys.executable, *program], cwd=ROOT, env=server.environment, stdout=log, stderr=log
        )
    try:
        status = server.process.wait(PATIENCE)
    finally:
        server.process.kill()

    assert (status, server.why().count("goes on"), "came out" in server.why()) == (0, 0, False)

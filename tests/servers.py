"""Real processes on loopback: our server, PostgreSQL, Redis. Each test ends what it started."""

import fcntl
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

import psycopg2
import requests

from tests.forks import Forked, can_fork

ROOT = Path(__file__).parents[1]
# Machines that run tests are slow and shared; this only bounds a failure.
PATIENCE = 30.0
# Chromium asks nobody but the server, and starts the same way everywhere.
CHROMIUM = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium(*, whole: bool = False) -> str:
    """The browser's program: the headless shell of Chromium, else all of Chromium.

    Both lay out, draw and script alike; a page costs the shell a third of the processor's time.

    Args:
        whole: also with what only all of it has: it keeps pages for the back button.
    """
    names = ("chromium-headless-shell", "chromium", "google-chrome")[whole:]
    program = next(filter(None, map(shutil.which, names)), None)
    assert program, "Chromium is not installed"
    return program


# Below the ports that a system chooses itself (RFC 6335; Linux: from 32768): another program could
# get one of those between our look and our server's start.
_PORTS = range(11_000, 32_768)


def free_port() -> int:
    """A port that nobody listens on just now, nor is likely to before its server starts."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


# linux/sockios.h, linux/if.h
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 0x1


def loopback_up() -> None:
    """Begin to use a new network namespace, whose loopback is down; not every machine has ip(8)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh", b"lo", _IFF_UP))


# As a shop runs: the limits' defaults, and shoppers who come through a proxy.
LIMITED = {
    "STK_PUSH_LIMIT_PER_PHONE": "5/10minutes",
    "STK_PUSH_LIMIT_PER_IP": "300/minute",
    "TRUSTED_PROXIES": "1",
}


def from_address(number: int) -> dict[str, str]:
    """The header with which a proxy passes on a shopper who has an address alone."""
    return {"X-Forwarded-For": str(IPv4Address("10.0.0.0") + number)}


class Server:
    """One of our programs as a process of its own.

    Args:
        folder: for its log and its SQLite file.
        settings: environment on top of the defaults; PORT is chosen.
        program: arguments to Python.

    Attributes:
        truly: start it from nothing. A process that was forked once everything was imported starts
            in half the time, and differs in nothing else that a test can see.
    """

    truly = False

    def __init__(
        self, folder: Path, program: tuple[str, ...] = ("app.py",), **settings: str
    ) -> None:
        self.port = int(settings.pop("PORT", "0")) or free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.log = folder / f"server-{self.port}.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PORT": str(self.port),
            "ASYNC_MODE": os.environ.get("ASYNC_MODE", ""),
            "DATABASE_URL": f"sqlite:///{folder}/mpesa-{self.port}.sqlite",
            # A payer in a test pays more often than a person.
            "STK_PUSH_LIMIT_PER_PHONE": "",
            "STK_PUSH_LIMIT_PER_IP": "",
            **settings,
        }
        self.program = program
        self.process: subprocess.Popen[bytes] | Forked | None = None

    def start(self) -> "Server":
        """Start it and wait until it answers."""
        if not self.truly and can_fork(self.environment, self.program):
            self.process = Forked(self.environment, self.program, self.log)
        else:
            self.process = self._from_nothing()
        wait_until(self.answers, self.why)
        return self

    def _from_nothing(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *self.program],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether it takes connections; fails at once where it ended."""
        assert self.process is not None
        assert self.process.poll() is None, self.why()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def why(self) -> str:
        """What it wrote, for the failure's message."""
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self, number: int = 15) -> int:
        """Send a signal, wait, and return the exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()

    def url(self, path: str) -> str:
        """An address on it."""
        return f"{self.address}{path}"

    def get(self, path: str, **more: object) -> requests.Response:
        """GET one of its addresses."""
        return requests.get(self.url(path), timeout=PATIENCE, **more)  # type: ignore[arg-type]

    def put(self, path: str, **more: object) -> requests.Response:
        """PUT to one of its addresses."""
        return requests.put(self.url(path), timeout=PATIENCE, **more)  # type: ignore[arg-type]

    def post(self, path: str, **more: object) -> requests.Response:
        """POST to one of its addresses."""
        return requests.post(self.url(path), timeout=PATIENCE, **more)  # type: ignore[arg-type]


@contextmanager
def running(
    folder: Path, program: tuple[str, ...] = ("app.py",), **settings: str
) -> Iterator[Server]:
    """A server that is up, and ended afterwards."""
    server = Server(folder, program, **settings)
    try:
        yield server.start()
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()


def wait_until(condition: object, why: object = lambda: "", seconds: float = PATIENCE) -> None:
    """Look until a condition holds; an assertion error with `why()` where it never does."""
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, why()  # type: ignore[operator]
        time.sleep(0.02)


class Postgres:
    """A throw-away PostgreSQL cluster.

    Args:
        durable: commits outlive a power cut, as in production; tests only ever kill processes.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self.folder = folder
        self.options = "" if durable else "-c fsync=off -c full_page_writes=off "
        self.port = free_port()
        self.programs = _postgres_programs()
        # PostgreSQL refuses to run as root.
        self.user = "postgres" if os.geteuid() == 0 else None
        self.databases = 0

    def create(self) -> "Postgres":
        """Make the cluster and start it."""
        if self.user:
            shutil.chown(self.folder, self.user)
        self._run(
            "initdb", "-D", str(self.folder / "data"), "-U", "mpesa", "-A", "trust", "-E", "UTF8"
        )
        self.start()
        return self

    def start(self) -> None:
        """Start the cluster."""
        options = (
            f"{self.options}-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -N 200"
        )
        log = str(self.folder / "log")
        self._run(
            "pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", log, "-o", options, "start"
        )

    def stop(self, mode: str = "fast") -> None:
        """Stop it; `immediate` is a power cut."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-m", mode, "stop")

    def be_standby(self) -> None:
        """Begin the next time as a standby: it may be read, and waits for what never comes."""
        signal = self.folder / "data" / "standby.signal"
        signal.touch()
        if self.user:
            shutil.chown(signal, self.user)

    def promote(self) -> None:
        """Make a primary of a standby, as a failover does."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-w", "promote")

    def new_database(self, template: str = "template1") -> str:
        """A new database, a copy of another; returns its address."""
        self.databases += 1
        name = f"mpesa_{self.databases}"
        connection = psycopg2.connect(self._address("postgres"))
        try:
            connection.autocommit = True
            # Since release 15 a copy is written to the log, unless told otherwise: three times the
            # work, for a database of a second's life.
            copied = " STRATEGY file_copy" if connection.server_version >= 150_000 else ""
            with connection.cursor() as cursor:
                cursor.execute(f"CREATE DATABASE {name} TEMPLATE {template}{copied}")
        finally:
            connection.close()
        return self._address(name)

    def drop_database(self, address: str) -> None:
        """Take a database away again, and the connections to it."""
        connection = psycopg2.connect(self._address("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(f"DROP DATABASE {address.rsplit('/', 1)[1]} WITH (FORCE)")
        finally:
            connection.close()

    def _address(self, name: str) -> str:
        return f"postgresql://mpesa@127.0.0.1:{self.port}/{name}"

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command,
            user=self.user,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()


def _postgres_programs() -> Path:
    """Where the server's programs lie: Debian keeps them off the PATH."""
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if packaged:
        return packaged[-1].parent
    found = shutil.which("initdb")
    assert found, "PostgreSQL's initdb is not installed"
    return Path(found).parent


@contextmanager
def redis_server(folder: Path, port: int | None = None) -> Iterator[str]:
    """A Redis without persistence; yields its address."""
    port = port or free_port()
    program = shutil.which("redis-server")
    assert program, "redis-server is not installed"
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: listens(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(PATIENCE)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0

"""Fixtures: an application with a clock and a Daraja of its own, and real servers."""

import gc
import json
import logging
import os
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import BytecodeCache

from app import create_app
from mpesa import logs
from mpesa.config import LogFormat
from mpesa.models import db
from mpesa.runtime import database
from tests.factories import API_KEY, make_settings, order_fields
from tests.fakes import Clock, FakeDaraja
from tests.once import share_what_is_alike
from tests.servers import Postgres, redis_server, running
from tests.shop import Shop

BOTH_DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
_MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder of our own in it
# Bytes. A test's database has 8 MB, and a few have a hundred; beside them is 1 GB of log at most.
_ROOM_FOR_DATABASES = 4 << 30


# Python's own numbers spend a fifth of the suite's time on walks through thousands of tests and
# applications, of which hardly anything is garbage.
gc.set_threshold(100_000, 20, 100)

share_what_is_alike()


def pytest_collection_finish():
    """Leave what was imported and collected out of those walks."""
    gc.freeze()


class _CompiledTemplates(BytecodeCache):
    """What Jinja makes of the templates: each application has the same, and most of its pages."""

    def __init__(self):
        self._code = {}

    def load_bytecode(self, bucket):
        # By its source too: tests have templates of their own.
        bucket.code = self._code.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket):
        self._code[bucket.key, bucket.checksum] = bucket.code


_templates = _CompiledTemplates()


def _has_memory():
    """Whether databases, and programs that tests write, can lie in memory."""
    if not _MEMORY.is_dir() or os.statvfs(_MEMORY).f_flag & os.ST_NOEXEC:
        return False
    return shutil.disk_usage(_MEMORY).free > _ROOM_FOR_DATABASES


def pytest_configure(config):
    """Put the folders of tests into memory: there a commit need not wait for a disk."""
    if config.option.basetemp is None and _has_memory():
        folder = tempfile.mkdtemp(prefix="mpesa-tests-", dir=_MEMORY)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.option.basetemp = f"{folder}/t"


def pytest_addoption(parser):
    """`--record` writes the examples of the API anew (`make api-examples`)."""
    parser.addoption("--record", action="store_true", help="write the API's examples anew")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With CI=true a test that is skipped fails: nobody reads what a green run left out."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true" and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped under CI=true: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def postgres():
    """One throw-away cluster for the whole run."""
    # Its socket's path must be short, and its user must be able to enter the folder. Hundreds of
    # databases are made and dropped: in memory, where there is room for the few of one moment.
    folder = Path(tempfile.mkdtemp(prefix="mpesa-pg-", dir=_MEMORY if _has_memory() else None))
    cluster = Postgres(folder).create()
    yield cluster
    cluster.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def redis_url(tmp_path):
    """A Redis for one test."""
    with redis_server(tmp_path) as address:
        yield address


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory):
    """A migrated SQLite file to copy."""
    file = tmp_path_factory.mktemp("migrated") / "mpesa.sqlite"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres):
    """The name of a migrated database to copy."""
    address = postgres.new_database()
    _migrate(address)
    return address.rsplit("/", 1)[1]


def _migrate(address):
    app = create_app(make_settings(DATABASE_URL=address))
    with app.app_context():
        database.migrate()
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def database_url(request, tmp_path):
    """A database: SQLite, or by indirect parameter `postgresql`; migrated where an app uses it."""
    migrated = "make_app" in request.fixturenames
    if getattr(request, "param", "sqlite") == "sqlite":
        file = tmp_path / "mpesa.sqlite"
        if migrated:
            shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        yield f"sqlite:///{file}"
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    template = request.getfixturevalue("migrated_postgres") if migrated else "template1"
    address = cluster.new_database(template)
    yield address
    cluster.drop_database(address)


@pytest.fixture
def clock():
    """A clock that stands at noon in Nairobi until it is moved."""
    return Clock(datetime(2026, 11, 24, 9, 0, tzinfo=UTC))


@pytest.fixture
def daraja():
    """A Daraja that takes every push and remembers it."""
    return FakeDaraja()


@pytest.fixture
def make_app(database_url, clock, daraja):
    """Make a migrated application with the fake Daraja; named arguments are settings."""
    apps: list[Flask] = []

    def make(**settings):
        named = {"STK_PUSH_LIMIT_PER_PHONE": "", "STK_PUSH_LIMIT_PER_IP": "", **settings}
        app = create_app(
            make_settings(DATABASE_URL=database_url, **named),
            daraja=daraja,
            now=clock,
            monotonic=clock.monotonic,
        )
        app.testing = True
        app.jinja_env.bytecode_cache = _templates
        # Errors are answered as in production, so that a test can see that none is a 500.
        app.config["PROPAGATE_EXCEPTIONS"] = False
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@pytest.fixture
def app(make_app):
    """A migrated application on the default settings."""
    return make_app()


@pytest.fixture
def client(app):
    """HTTP without a network."""
    return app.test_client()


class _Lines(logging.Handler):
    """Keeps what LOG_FORMAT=json would write, member by member."""

    def __init__(self):
        super().__init__(logging.INFO)
        self.setFormatter(logs.formatter(LogFormat.JSON))
        self.written: list[dict[str, str]] = []

    def emit(self, record):
        self.written.append(json.loads(self.format(record)))


@pytest.fixture
def log_lines(caplog):
    """The lines of our log, as they come."""
    caplog.set_level(logging.INFO, "mpesa")
    handler = _Lines()
    logging.getLogger("mpesa").addHandler(handler)
    yield handler.written
    logging.getLogger("mpesa").removeHandler(handler)


@pytest.fixture
def session(app):
    """The application's database, in an application context."""
    with app.app_context():
        yield db.session()


@pytest.fixture
def make_order(client):
    """Make an order through the API; returns its id."""

    def make(**fields):
        answer = client.post("/api/orders", json=order_fields(**fields), headers=API_KEY)
        assert answer.status_code == 201, answer.text
        order_id: str = answer.get_json()["order_id"]
        return order_id

    return make


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Our server with the simulator, as a process: real HTTP, real sockets.

    It ends with its module: one that nobody visits works too.
    """
    with running(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def shop(app, clock, daraja):
    """The middle without the web, on the application's database."""
    return Shop(app, clock, daraja)

"""What is wrong is named the same everywhere: /readyz, /metrics, the doctor, the console."""

import resource
import shutil
import tempfile
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import inspect, text

from app import create_app
from mpesa import vitals
from mpesa.cli import examination
from mpesa.domain.result_codes import Reason
from mpesa.models import db
from mpesa.runtime import database
from mpesa.vitals import Database
from mpesa.web.http.services import services
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import API_KEY, make_settings, order_fields
from tests.servers import Postgres, free_port, running
from tests.web.console.steps import logged_in
from tests.web.steps import problem, pushed

on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
TOKEN = {"METRICS_TOKEN": "t"}


def stands(app):
    with app.app_context():
        return vitals.database(db.engine)


def metrics(app):
    page = app.test_client().get("/metrics", headers={"Authorization": "Bearer t"}).text
    lines = [line.split() for line in page.splitlines() if line.startswith("mpesa_database_")]
    return {name: float(value) for name, value in lines}


def findings(app):
    with app.app_context():
        return {each.what: each for each in examination.examine(services())}


def order_status(client):
    return client.post("/api/orders", json=order_fields(), headers=API_KEY).status_code


def only_read(app):
    """From now on sessions may only read, as on a managed server whose disk is full."""
    with app.app_context():
        statement = (
            f'ALTER DATABASE "{db.engine.url.database}" SET default_transaction_read_only=on'
        )
        with db.engine.begin() as connection:
            connection.execute(text(statement))
        db.engine.dispose()


@pytest.fixture
def read_only(make_app):
    """An application on PostgreSQL whose sessions may only read."""

    def make(**named):
        app: Flask = make_app(**named)
        only_read(app)
        return app

    return make


@on_both
def test_a_database_that_can_be_written_is_well(make_app):
    app = make_app(**TOKEN)

    assert stands(app) is Database.WELL
    assert app.test_client().get("/readyz").status_code == 200
    assert metrics(app)["mpesa_database_up"] == 1
    assert metrics(app)["mpesa_database_writable"] == 1


@on_both
def test_looking_leaves_nothing_behind(app):
    with app.app_context():
        before = inspect(db.engine).get_table_names()
        for _ in range(3):
            vitals.database(db.engine)

        assert inspect(db.engine).get_table_names() == before


@on_postgresql
def test_a_read_only_database_is_named_everywhere(read_only):
    app = read_only(**TOKEN)
    client = app.test_client()

    assert stands(app) is Database.READ_ONLY
    detail = problem(client.get("/readyz"), 503, "unavailable")["detail"]
    assert "cannot be written" in detail
    seen = metrics(app)
    assert (seen["mpesa_database_up"], seen["mpesa_database_writable"]) == (1, 0)
    told = findings(app)
    assert not told["database"].well
    assert "default_transaction_read_only" in told["database"].says


@on_postgresql
def test_the_doctor_does_not_blame_daraja_for_a_database_that_fails(read_only):
    told = findings(read_only())

    assert told["daraja"] == examination.Finding(
        "daraja", False, "not asked, since the database fails"
    )


@on_postgresql
def test_a_page_and_the_log_say_that_it_is_the_server(read_only, caplog):
    client = read_only().test_client()

    answer = client.post("/api/orders", json=order_fields(), headers=API_KEY)

    assert "cannot save anything just now" in problem(answer, 503, "unavailable")["detail"]
    assert "the database cannot be written" in caplog.text
    assert "ReadOnlySqlTransaction" in caplog.text


@on_both
def test_a_database_that_is_not_migrated_is_named(database_url):
    app = Flask("bare")
    database.connect(app, make_settings(DATABASE_URL=database_url))

    assert stands(app) is Database.UNMIGRATED
    with app.app_context():
        db.engine.dispose()


def test_a_database_that_is_not_there_is_silent():
    app = Flask("bare")
    nowhere = f"postgresql://u@127.0.0.1:{free_port()}/x"
    database.connect(app, make_settings(DATABASE_URL=nowhere))

    assert stands(app) is Database.SILENT


def test_every_state_but_the_good_one_says_what_to_do():
    assert set(vitals.ADVICE) == set(Database) - {Database.WELL}
    assert [each for each in Database if each.can_be_written] == [
        Database.WELL, Database.UNMIGRATED,
    ]  # fmt: skip


# -- a standby -----------------------------------------------------------------------------------


@pytest.fixture
def standby():
    """A cluster of our own, which begins as a primary."""
    folder = Path(tempfile.mkdtemp(prefix="mpesa-pg-"))
    made = Postgres(folder).create()
    yield made
    made.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.postgres
def test_a_standby_is_named_and_taken_at_once_when_it_is_promoted(standby):
    address = standby.new_database()
    app = create_app(make_settings(DATABASE_URL=address))
    with app.app_context():
        database.migrate()
        db.engine.dispose()
    standby.stop()
    standby.be_standby()
    standby.start()
    client = app.test_client()

    before = stands(app), order_status(client), client.get("/readyz").get_json()["detail"]
    standby.promote()

    assert before[:2] == (Database.STANDBY, 503)
    assert "is a standby" in before[2]
    assert order_status(client) == 201
    assert stands(app) is Database.WELL
    with app.app_context():
        db.engine.dispose()


# -- SQLite on a full disk -----------------------------------------------------------------------


def test_a_full_disk_under_sqlite_is_named_and_over_when_there_is_room(tmp_path):
    with running(tmp_path, METRICS_TOKEN="t") as server:
        assert server.get("/readyz").status_code == 200
        process = server.process
        assert process is not None
        _, most = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        size = next(tmp_path.glob("*.sqlite")).stat().st_size

        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, most))
        for _ in range(500):  # the write-ahead log takes some until it is as large
            if server.post("/api/orders", json=order_fields(), headers=API_KEY).status_code == 503:
                break
        full = server.get("/readyz")
        page = server.get("/metrics", headers={"Authorization": "Bearer t"}).text
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, most))

        assert full.status_code == 503
        assert "cannot be written" in full.json()["detail"]
        assert "mpesa_database_writable 0.0" in page
        assert server.get("/readyz").status_code == 200
        answer = server.post("/api/orders", json=order_fields(), headers=API_KEY)
        assert answer.status_code == 201


def test_another_process_that_writes_just_now_is_nothing_wrong(app):
    with app.app_context(), db.engine.connect() as connection:
        writer = connection.execution_options(sqlite_begin="BEGIN IMMEDIATE")
        writer.execute(text("SELECT 1"))

        assert vitals.database(db.engine) is Database.WELL


def test_a_file_that_may_only_be_read_is_named(app):
    with app.app_context():
        db.engine.dispose()
        with db.engine.connect() as connection:
            connection.connection.dbapi_connection.execute("PRAGMA query_only = ON")
            connection.rollback()
        # The pool hands the same connection out again.
        assert vitals.database(db.engine) is Database.FULL
        db.engine.dispose()


# -- Redis and what waits ------------------------------------------------------------------------


def test_redis_that_is_away_is_named():
    seen = vitals.redis(f"redis://127.0.0.1:{free_port()}/0")

    assert (seen.answers, seen.listening, seen.failure) == (False, None, "ConnectionError")


@pytest.mark.redis
def test_redis_that_is_there_tells_who_listens(redis_url):
    assert vitals.redis(redis_url) == vitals.Redis(0)


def test_what_is_pending_is_counted_by_reason_with_the_oldest(client, session, clock, make_order):
    pushed(client, make_order())

    assert vitals.pending(session) == {Reason.AWAITING_PIN: vitals.Pending(1, clock())}


@on_postgresql
def test_the_console_says_so_too(app):
    client = logged_in(app)
    only_read(app)

    page = client.get("/console/health").text

    assert "cannot be written" in page

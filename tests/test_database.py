"""What each connection asks PostgreSQL for, and which connections are given up."""

import os
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2
import psycopg2.extensions
import pytest
from flask import Flask
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InternalError, OperationalError
from sqlalchemy.orm import Session

from mpesa import counters, database
from mpesa.cli import examination
from mpesa.database import LONG_WORK, REQUESTS, connect_args, for_long_work
from mpesa.models import db
from mpesa.outbox import OVERLAP
from mpesa.records import SHOP
from mpesa.runtime import loops
from mpesa.web.http.services import services
from tests.factories import API_KEY, PAYER, order_fields, success_callback
from tests.fakes import FakeDaraja
from tests.web.console.steps import logged_in

pytestmark = pytest.mark.postgres
ANSWERS = "SELECT 1"
BROWSER = {"Accept": "text/html"}


class Rest:
    """The time that connections rest by, moved by hand."""

    def __init__(self):
        self.seconds = 1000.0

    def monotonic(self):
        return self.seconds


@pytest.fixture
def database_url(postgres, migrated_postgres):
    """A migrated database on PostgreSQL."""
    return postgres.new_database(migrated_postgres)


@pytest.fixture
def rest(monkeypatch):
    made = Rest()
    monkeypatch.setattr(database, "time", made)
    return made


@pytest.fixture
def engine(app, rest):
    """The application's engine; its pool is empty."""
    with app.app_context():
        db.engine.dispose()
        yield db.engine


@pytest.fixture
def asked(engine):
    """What connections were asked before they were handed out."""
    made = []

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, statement, values=None):
            made.append(statement)
            super().execute(statement, values)

    def hands_out(connection, *_):
        connection.cursor_factory = Cursor

    def handed_out(connection, *_):
        connection.cursor_factory = psycopg2.extensions.cursor

    event.listen(engine, "checkout", hands_out, insert=True)
    event.listen(engine, "checkout", handed_out)
    return made


@pytest.fixture
def outside(database_url):
    """Somebody else at the server, in another database."""
    url = make_url(database_url).set(drivername="postgresql+psycopg2")
    other = create_engine(url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    with other.connect() as connection:
        yield lambda sql: connection.execute(text(sql.format(name=url.database)))
    other.dispose()


def use(engine, count=1):
    """Use so many connections at once; they rest afterwards."""
    connections = [engine.connect() for _ in range(count)]
    try:
        return [each.scalar(text(ANSWERS)) for each in connections]
    finally:
        for each in connections:
            each.close()


END_ALL = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = '{name}' AND pid <> pg_backend_pid()"
)
READ_ONLY = 'ALTER DATABASE "{name}" SET default_transaction_read_only = on'
WRITABLE = 'ALTER DATABASE "{name}" RESET default_transaction_read_only'


# -- what rested ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("seconds", "times"), [(0, 0), (0.4, 0), (0.6, 1), (1700, 1)])
def test_only_a_connection_that_rested_for_longer_is_asked(engine, rest, asked, seconds, times):
    use(engine)
    rest.seconds += seconds

    assert use(engine) == [1]
    assert len(asked) == times


def test_a_new_connection_is_not_asked(engine, asked):
    use(engine)

    assert asked == []


def test_each_rest_counts_by_itself(engine, rest, asked):
    for _ in range(5):
        use(engine)
        rest.seconds += 0.4

    assert asked == []


def test_a_connection_that_broke_while_it_rested_is_replaced_unnoticed(
    engine, rest, asked, outside
):
    use(engine)
    outside(END_ALL)
    rest.seconds += 1

    assert use(engine) == [1]
    assert len(asked) == 1


def test_after_one_broken_connection_the_whole_pool_is_made_anew(engine, rest, outside):
    use(engine, 3)
    outside(END_ALL)
    opened = []
    event.listen(engine, "connect", lambda *_: opened.append(1))
    rest.seconds += 1

    assert use(engine, 3) == [1, 1, 1]
    assert len(opened) == 3


def test_one_that_broke_without_a_rest_is_found_by_its_user(engine, outside):
    use(engine)
    outside(END_ALL)

    with pytest.raises(OperationalError):
        use(engine)

    assert use(engine) == [1]


def test_no_connection_gets_older_than_half_an_hour(engine):
    assert engine.pool._recycle == 1800


# -- read-only -----------------------------------------------------------------------------------


def order(client):
    return client.post("/api/orders", json=order_fields(), headers=API_KEY).status_code


def become_read_only(outside, engine):
    outside(READ_ONLY)
    outside(END_ALL)
    engine.dispose()
    use(engine, 5)  # pages are read meanwhile, on connections that may only read


def test_the_first_order_after_a_time_without_writing_is_taken(client, engine, rest, outside):
    become_read_only(outside, engine)
    outside(WRITABLE)
    rest.seconds += 1

    assert order(client) == 201


def test_the_first_write_that_is_refused_gives_up_all_connections(client, engine, outside):
    become_read_only(outside, engine)
    refused = order(client)
    outside(WRITABLE)

    assert refused == 503
    # None of these rests for long enough to be asked.
    assert [order(client) for _ in range(8)] == [201] * 8


def test_a_callback_that_is_refused_gives_up_all_connections(
    client, make_order, daraja, engine, outside
):
    client.post("/stk-push", json={"order_id": make_order(), "phone": PAYER})
    body = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    become_read_only(outside, engine)

    def call_back():
        return client.post(f"/callback/{daraja.token_of(1)}", json=body).status_code

    refused = call_back()
    outside(WRITABLE)

    assert refused == 503
    assert [call_back() for _ in range(4)] == [200] * 4


def test_a_transaction_that_may_not_write_costs_its_connection(engine):
    # What a standby says to a write is what a read-only session says (SQLSTATE 25006).
    with engine.connect() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(InternalError) as raised:
            connection.execute(text("DELETE FROM orders"))

    assert raised.value.connection_invalidated


# -- what a session asks for ---------------------------------------------------------------------


def shown(session, name):
    return str(session.scalar(text(f"SHOW {name}")))


def test_a_session_has_limits_of_its_own(session):
    assert shown(session, "statement_timeout") == f"{REQUESTS.statement}s"
    assert shown(session, "lock_timeout") == f"{REQUESTS.lock}s"
    assert shown(session, "idle_in_transaction_session_timeout") == f"{REQUESTS.idle}s"


def test_long_work_has_longer_limits(make_app):
    app: Flask = make_app(WEBHOOK_URL="http://127.0.0.1:9", WEBHOOK_SECRET=f"whsec_{'c2Vj' * 10}")
    with app.app_context(), for_long_work(db.engine) as engine, Session(engine) as session:
        assert shown(session, "statement_timeout") == "1h"
        assert shown(session, "lock_timeout") == f"{LONG_WORK.lock}s"
        driver = session.connection().connection.dbapi_connection
        assert driver.answers_within > LONG_WORK.statement
        # What a long look judges, the merchant's server hears of as well.
        assert engine.get_execution_options()[SHOP].tells_merchant


def test_a_lock_is_waited_for_less_long_than_the_outbox_looks_back():
    assert REQUESTS.lock < OVERLAP.total_seconds()
    assert REQUESTS.lock < REQUESTS.statement < REQUESTS.silence


def test_what_the_database_has_as_default_changes_nothing(make_app, outside):
    outside("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
    outside("ALTER DATABASE \"{name}\" SET timezone = 'Africa/Nairobi'")
    outside('ALTER DATABASE "{name}" SET statement_timeout = 0')
    with make_app().app_context():
        session = db.session()

        assert shown(session, "transaction_isolation") == "read committed"
        assert shown(session, "timezone") == "UTC"
        assert shown(session, "statement_timeout") == f"{REQUESTS.statement}s"


def test_orders_at_once_are_taken_where_the_database_is_serializable(make_app, outside):
    outside("ALTER DATABASE \"{name}\" SET default_transaction_isolation = 'serializable'")
    app, answers = make_app(), []

    def order_and_push(number):
        client = app.test_client()
        made = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
        fields = {"order_id": made["order_id"], "phone": f"071234500{number}"}
        answers.append(client.post("/stk-push", json=fields).status_code)

    threads = [threading.Thread(target=order_and_push, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert answers == [202] * 8


def test_what_database_url_asks_for_wins():
    url = make_url("postgresql://h/n?options=-c%20lock_timeout%3D3s&tcp_user_timeout=9&a=b")

    args = connect_args(url, REQUESTS)

    assert "tcp_user_timeout" not in args
    assert args["keepalives_idle"] == 5
    # PostgreSQL takes the last one.
    assert args["options"].endswith(" -c lock_timeout=3s")
    assert "-c timezone=UTC" in args["options"]


def test_an_option_in_database_url_reaches_the_session(database_url):
    url = make_url(f"{database_url}?options=-c%20lock_timeout%3D3s")
    url = url.set(drivername="postgresql+psycopg2")
    engine = create_engine(url, connect_args=connect_args(url, REQUESTS))

    with Session(engine) as session:
        assert shown(session, "lock_timeout") == "3s"
        assert shown(session, "timezone") == "UTC"
    engine.dispose()


def test_a_peer_that_is_gone_is_noticed_by_the_kernel(session):
    driver = session.connection().connection.dbapi_connection
    with socket.socket(fileno=os.dup(driver.fileno())) as its:
        assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        assert its.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
        assert its.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_sqlite_is_told_nothing():
    assert connect_args(make_url("sqlite:///file"), REQUESTS) == {}


def test_a_statement_that_takes_too_long_is_ended_and_the_connection_stays(app, engine):
    with Session(engine) as session:
        session.execute(text("SET statement_timeout = '200ms'"))
        with pytest.raises(OperationalError) as raised:
            session.execute(text("SELECT pg_sleep(5)"))

    assert not raised.value.connection_invalidated


def test_an_order_that_somebody_keeps_is_not_waited_for_without_end(client, session, make_order):
    order_id = make_order()
    held = text("SELECT id FROM orders WHERE id = :id FOR UPDATE")
    with Session(db.engine) as keeper:
        keeper.execute(held, {"id": order_id})
        began = time.monotonic()
        answer = client.post("/stk-push", json={"order_id": order_id, "phone": PAYER})
        took = time.monotonic() - began

    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")
    assert REQUESTS.lock - 0.5 < took < OVERLAP.total_seconds()


def test_a_transaction_that_its_process_forgot_gives_its_locks_back(database_url):
    limits = database.Limits(statement=5, lock=4, idle=1)
    url = make_url(database_url)
    forgetful = psycopg2.connect(database_url, **connect_args(url, limits))
    with forgetful.cursor() as cursor:
        cursor.execute("LOCK TABLE orders")
    other = psycopg2.connect(database_url, **connect_args(url, limits))
    with other.cursor() as cursor:
        cursor.execute("LOCK TABLE orders")  # within 4 s, or this raises
    other.close()
    forgetful.close()


def test_a_connection_that_breaks_after_the_answer_costs_no_answer(app, client, outside, caplog):
    """Ends every connection between the answer and the end of the request."""
    failed = counters.counted("errors", kind="database")

    @app.after_request
    def lose_the_connection(response):
        db.session.execute(text(ANSWERS))
        outside(END_ALL)
        return response

    answer = client.post("/api/orders", json=order_fields(), headers=API_KEY)

    assert answer.status_code == 201
    assert counters.counted("errors", kind="database") == failed + 1
    assert "a connection could not be given back" in caplog.text


# -- others take their time ----------------------------------------------------------------------


@pytest.fixture
def open_transactions(outside):
    """How many transactions are open in which nothing happens."""
    idle = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = '{name}' AND state LIKE 'idle in transaction%'"
    )
    return lambda: outside(idle).scalar()


class Watched(FakeDaraja):
    """A Daraja that looks, whenever it is asked, whether a transaction is open meanwhile."""

    def __init__(self, look):
        super().__init__()
        self.look, self.seen = look, []

    def push(self, push, **named):
        self.seen.append(("push", self.look()))
        return super().push(push, **named)

    def query(self, checkout_request_id, **named):
        self.seen.append(("query", self.look()))
        return super().query(checkout_request_id, **named)

    def check_credentials(self):
        self.seen.append(("credentials", self.look()))


@pytest.fixture
def daraja(open_transactions):
    return Watched(open_transactions)


def test_no_transaction_is_open_while_daraja_is_asked(app, client, make_order, daraja, clock):
    """PostgreSQL would end it after 15 s, and a push may take 20 s."""
    order_id = make_order()
    client.post("/stk-push", json={"order_id": order_id, "phone": PAYER})
    clock.pass_(minutes=4)
    with app.app_context():
        loops._reconciler(services())
    # The order's old attempt is asked about once more before the next prompt.
    client.post("/stk-push", json={"order_id": order_id, "phone": PAYER})
    with app.app_context():
        examination.examine(services())

    assert {asked for asked, _ in daraja.seen} == {"push", "query", "credentials"}
    assert [open_ for _, open_ in daraja.seen] == [0] * len(daraja.seen)


def test_no_transaction_is_open_while_the_merchants_server_is_told(
    make_app, open_transactions, daraja
):
    seen = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            seen.append(open_transactions())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook"
    app = make_app(WEBHOOK_URL=url, WEBHOOK_SECRET=f"whsec_{'c2Vj' * 10}")
    client = app.test_client()
    order_id = client.post("/api/orders", json=order_fields(), headers=API_KEY).get_json()
    client.post("/stk-push", json={"order_id": order_id["order_id"], "phone": PAYER})
    body = success_callback(daraja.checkout_id(1), daraja.merchant_id(1))
    client.post(f"/callback/{daraja.token_of(1)}", json=body)
    with app.app_context():
        loops._webhooks(services(), url)(services())
    server.shutdown()
    server.server_close()

    assert seen == [0]


# -- the console, while it is away ---------------------------------------------------------------


def test_an_operator_is_told_so_on_a_page_and_never_by_a_bare_500(app, outside):
    client = logged_in(app)
    outside('ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
    outside(END_ALL)

    answers = [client.get(f"/console/{path}", headers=BROWSER) for path in ("", "health", "review")]
    forged = client.post("/console/login", data={"name": "x"}, headers=BROWSER)
    outside('ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')

    assert [each.status_code for each in answers] == [503] * 3
    assert all("We cannot reach our database" in each.text for each in answers)
    assert forged.status_code == 400
    assert client.get("/console/", headers=BROWSER).status_code == 200

"""How PostgreSQL reads the console's lists: by an index, never all of a table, never sorting it."""

from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from app import create_app
from mpesa import database
from mpesa.domain.wire_words import NAIROBI
from mpesa.models import db
from tests.factories import make_settings
from tests.payments import fill, fill_receipts
from tests.web.console.steps import logged_in, send

COUNT = 20_000
LIST = "/console/transactions"
RECEIPTS = "/console/receipts"
NEWEST, MIDDLE = f"t{1:021}", f"t{COUNT // 2:021}"

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def app(postgres, migrated_postgres):
    """An application whose database holds many payments."""
    app = create_app(make_settings(DATABASE_URL=postgres.new_database(migrated_postgres)))
    # All of them are of today, at whatever hour: what is planned depends on how many are.
    apart = min(1.0, seconds_of_today() / COUNT)
    with app.app_context(), db.engine.connect() as connection:
        fill(connection, COUNT, apart)
        fill_receipts(connection, COUNT, apart)
    yield app
    with app.app_context():
        db.session.remove()
        db.engine.dispose()


def seconds_of_today():
    """How long it has been today in Nairobi."""
    now = datetime.now(UTC).astimezone(NAIROBI)
    return (now - now.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()


@pytest.fixture(scope="module")
def operator(app):
    return logged_in(app)


@contextmanager
def statements(engine):
    """Every SELECT that is sent meanwhile, with its parameters."""
    sent: list[tuple[str, Any]] = []

    def note(_c, _cursor, statement, parameters, *_):
        if statement.lstrip().startswith("SELECT"):
            sent.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


def plans_of(app, read, *settings):
    """Each SELECT of a page with the nodes of its plan, run and measured under some settings."""
    with app.app_context():
        engine = db.engine
    with statements(engine) as sent:
        read()
    with engine.connect() as connection:
        for each in settings:
            connection.exec_driver_sql(f"SET LOCAL {each}")
        for statement, parameters in list(sent):
            explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
            plan = connection.exec_driver_sql(explained, parameters).scalar()
            yield statement, list(nodes(plan[0]["Plan"]))


PAGES = [
    "",
    "?status=SUCCESS",
    "?status=FAILED",
    "?status=PENDING",
    "?reason=cancelled",
    "?reason=over_limit",
    "?reason=paid_late",
    "?status=FAILED&reason=unreachable",
    "?reference=INV-77",
    f"?order=o{77:021}",
    f"?line_of={MIDDLE}",
    "?before={middle}",
    "?after={middle}",
    "?status=FAILED&before={middle}",
    "?day={today}",
    "?period=today&before={middle}",
    "?channel=hand",
]
OF_RECEIPTS = [
    "",
    "?state=unclaimed",
    "?state=unproven",
    "?state=returned",
    "?state=unclaimed&before={middle}",
    "?amount=150.00",
    "?amount=77.00",
    "?amount=77.00&state=unclaimed",
    f"?account_of=r{77:021}",
    f"?payer_of=r{77:021}",
    f"?payer_of=r{9990:021}",
    "?before={middle}",
    "?after={middle}",
    "?period=today",
    "?period=today&before={middle}",
    "?period=today&after={middle}",
    "?period=today&state=unclaimed",
]


@pytest.mark.parametrize(
    "page",
    [
        *(f"{LIST}{each}" for each in PAGES),
        *(f"{RECEIPTS}{each}" for each in OF_RECEIPTS),
        "/console/review",
    ],
)
def test_a_list_is_read_by_an_index(app, operator, page):
    with app.app_context():
        middle, today = db.session.execute(
            text(
                "SELECT (extract(epoch FROM created_at) * 1000000)::bigint || '.' || id,"
                " (now() AT TIME ZONE 'Africa/Nairobi')::date FROM transactions WHERE id = :id"
            ),
            {"id": MIDDLE},
        ).one()
    address = page.format(middle=middle, today=today)

    for statement, found in plans_of(app, lambda: operator.get(address)):
        if statement.startswith("SELECT count(*)"):
            continue  # of the export button, which has to count what it gives
        for node in found:
            # A page and one more are read, not the table; nor is more than a page's worth sorted.
            rows = node["Actual Rows"] * node["Actual Loops"]
            assert rows + node.get("Rows Removed by Filter", 0) < COUNT / 10, (statement, node)
            if node.get("Relation Name") in ("transactions", "evidence", "decisions", "receipts"):
                assert "Index" in node["Node Type"] or "Bitmap" in node["Node Type"], statement


@pytest.mark.parametrize(
    "typed", ["U000000042", f"t{77:021}", f"o{77:021}", "INV-77", "0700000077", "nothing"]
)
def test_a_search_is_read_by_an_index(app, operator, typed):
    for statement, found in plans_of(app, lambda: send(operator, LIST, q=typed)):
        scans = {each["Node Type"] for each in found if each.get("Relation Name") == "transactions"}
        assert "Seq Scan" not in scans, statement


@pytest.mark.parametrize(
    "typed", ["inv-77", "inv", "u00000004", "077", "0077", "000077", "150", "77", "coffees", "tea"]
)
def test_a_search_by_a_part_reads_a_page_and_little_more(app, operator, typed):
    address = send(operator, LIST, q=typed).headers["Location"]

    for statement, found in plans_of(app, lambda: operator.get(address)):
        if statement.startswith("SELECT count(*)"):
            continue
        for node in found:
            if node["Node Type"] == "Bitmap Index Scan":
                continue  # of words: all places, in milliseconds, before the first row is read
            rows = node["Actual Rows"] * node["Actual Loops"]
            assert rows + node.get("Rows Removed by Filter", 0) < COUNT / 10, (statement, node)


@pytest.mark.parametrize(
    "typed", ["R000000042", "ACC-77", "KES 150", "77.00", "0700000077", "1.23", "nothing"]
)
def test_a_search_for_money_is_read_by_an_index(app, operator, typed):
    for statement, found in plans_of(app, lambda: send(operator, RECEIPTS, q=typed)):
        big = ("transactions", "receipts", "orders")
        scans = {each["Node Type"] for each in found if each.get("Relation Name") in big}
        assert "Seq Scan" not in scans, statement


@pytest.mark.parametrize("number", [f"R{77:09}", f"R{2003:09}"])
def test_a_receipts_page_is_read_by_an_index(app, operator, number):
    for statement, found in plans_of(app, lambda: operator.get(f"{RECEIPTS}/{number}")):
        big = ("transactions", "receipts", "orders")
        scans = {each["Node Type"] for each in found if each.get("Relation Name") in big}
        assert "Seq Scan" not in scans, statement


def test_the_days_of_a_month_are_added_up_from_an_index_alone_by_one_statement(app, operator):
    # A table that is read anyway, since all of it is of today, would hide what an index allows.
    alone = ("enable_seqscan = off", "enable_bitmapscan = off")
    plans = plans_of(app, lambda: operator.get("/console/?period=7days"), *alone)

    [found] = [nodes for statement, nodes in plans if "UNION ALL" in statement]
    scans = [each for each in found if each.get("Relation Name") == "transactions"]
    assert [(each["Node Type"], each["Index Name"]) for each in scans] == [
        ("Index Only Scan", "ix_transactions_begun")
    ] * 7
    assert sum(each["Heap Fetches"] for each in scans) == 0


def test_the_figures_of_a_day_are_read_by_an_index(app, operator):
    # All of the table is of today, so it would be read whole if that could be.
    plans = plans_of(app, lambda: operator.get("/console/"), "enable_seqscan = off")

    for statement, found in plans:
        scans = {each["Node Type"] for each in found if each.get("Relation Name") == "transactions"}
        assert "Seq Scan" not in scans, statement


def test_the_story_of_a_payment_is_read_by_an_index(app, operator):
    for statement, found in plans_of(app, lambda: operator.get(f"{LIST}/{NEWEST}")):
        big = ("transactions", "evidence", "decisions", "orders")
        scans = {each["Node Type"] for each in found if each.get("Relation Name") in big}
        assert "Seq Scan" not in scans, statement


def test_the_migrations_are_those_that_were_tried(app):
    with app.app_context(), db.engine.connect() as connection:
        assert not database.missing_migrations(connection)

"""flask statement: what it prints and refuses, held against the simulator's own ledger."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from mpesa import operators
from mpesa.domain.roles import Role
from mpesa.models import Receipt, StatementFile, StatementLine
from tests.factories import RECEIPT
from tests.simulator.shop import Shop as Simulated
from tests.statements.files import NOON, Entry, Made, charge


@pytest.fixture
def flask(app, shop, tmp_path):
    """Import a file in the application."""

    def run(raw, *options, name="statement.csv"):
        file = tmp_path / name
        file.write_bytes(raw)
        arguments = ["statement", "import", str(file), *options]
        return app.test_cli_runner().invoke(args=arguments)

    return run


@pytest.fixture(autouse=True)
def next_morning(clock):
    clock.pass_(seconds=20 * 3600)


def rows(shop, table):
    with shop.sessions() as session:
        return session.scalar(select(func.count()).select_from(table))


MADE = Made(Entry(RECEIPT, 150), charge(RECEIPT, 0.83))


def test_a_file_is_imported_and_said_so_in_a_few_lines(shop, flask):
    told = flask(MADE.as_csv())

    assert told.exit_code == 0
    assert told.output.splitlines() == [
        "2 rows, Utility Account; it covers 2026-11-24 to 2026-11-24",
        "      1  payments                                   KES 150",
        "      1  charges                                  KES -0.83",
        "Of the payments 0 are in both, 1 are only at M-PESA, 0 differ in amount;"
        " 0 receipts of these days are only here.",
        "Imported.",
    ]
    assert (rows(shop, Receipt), rows(shop, StatementLine)) == (1, 2)


def test_a_dry_run_changes_nothing(shop, flask):
    told = flask(MADE.as_csv(), "--dry-run")

    assert "1 are only at M-PESA" in told.output
    assert "Imported" not in told.output
    assert (rows(shop, Receipt), rows(shop, StatementFile)) == (0, 0)


def test_the_same_file_again_is_said_to_change_nothing(shop, flask):
    flask(MADE.as_csv())

    told = flask(MADE.as_csv())

    assert "Nothing has changed" in told.output
    assert told.exit_code == 0


def test_a_defect_ends_it_with_status_1_and_the_line(shop, flask):
    made = Made(Entry(RECEIPT, 150), charge(RECEIPT, 0.83))
    made.body[1][5] = "250.00"

    told = flask(made.as_csv())

    assert told.exit_code == 1
    assert told.output == (
        "Error: statement.csv: line 9: the balance does not follow from the row before\n"
    )
    assert (rows(shop, Receipt), rows(shop, StatementFile)) == (0, 0)


def test_the_days_of_a_file_that_does_not_say_them_are_named(shop, flask):
    raw = Made(Entry(RECEIPT, 150), family="b").as_csv()

    assert "which days it covers" in flask(raw).output
    assert "covers 2026-11-24" in flask(raw, "--days", "2026-11-24..2026-11-24").output


@pytest.mark.parametrize("days", ["2026-11-24", "24-11-2026..25-11-2026", "2026-11-25..2026-11-24"])
def test_days_that_are_none_are_refused(flask, days):
    assert flask(MADE.as_csv(), "--days", days).exit_code == 2


# -- the simulator's statements, and its ledger --------------------------------------------------


@pytest.fixture
def simulated(clock):
    """A day at M-PESA: payments by hand, one of them given back, and a sweep."""
    ticking = Ticking(NOON)
    at_mpesa = Simulated(now=ticking)
    at_mpesa.receipts = [
        at_mpesa.pay(amount=amount).json["receipt"] for amount in (100, 500, 1500, 90)
    ]
    at_mpesa.give_back(at_mpesa.receipts[0])
    at_mpesa.http.post("/sweep")
    ticking.now = clock()
    return at_mpesa


class Ticking:
    """Each look is a second later."""

    def __init__(self, now):
        self.now = now

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


def export(at_mpesa, form="csv", **wishes):
    answer = at_mpesa.http.get(f"/statement.{form}", query_string={"day": "2026-11-24"} | wishes)
    return answer.data, answer.headers["Content-Disposition"].split("filename=")[1].strip('"')


@pytest.mark.parametrize("family", ["a", "b"])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_our_books_have_what_the_simulators_ledger_has(shop, flask, simulated, family, form):
    raw, name = export(simulated, form, family=family)

    told = flask(raw, name=name)

    assert told.exit_code == 0, told.output
    ledger = simulated.http.get("/ledger").json
    ours = {}
    with shop.sessions() as session:
        for each in session.scalars(select(Receipt)):
            ours[each.receipt, each.direction] = each.amount
    movements = ledger["movements"] if isinstance(ledger, dict) else ledger
    theirs = {
        (each["receipt"], each["direction"]): round(float(each["amount"]) * 100)
        for each in movements
    }
    assert ours == theirs
    states = {"a": "returned", "b": "unclaimed"}  # B links no reversal to its payment
    assert shop.receipt(simulated.receipts[0]).state == states[family]


@pytest.mark.parametrize("family", ["a", "b"])
@pytest.mark.parametrize("form", ["csv", "xlsx"])
@pytest.mark.parametrize("defect", ["hole", "twice", "edited", "cut", "other_short_code"])
def test_each_defect_refuses_the_file(shop, flask, simulated, family, form, defect):
    raw, name = export(simulated, form, family=family, defect=defect)

    told = flask(raw, name=name)

    assert told.exit_code == 1
    assert rows(shop, StatementFile) == 0


# -- days ----------------------------------------------------------------------------------------

PASSWORD = "correct horse battery"


@pytest.fixture
def days(app, shop):
    """Run `flask days` as a manager, or as a clerk."""
    with shop.sessions() as session:
        operators.add(session, "baraka", PASSWORD, shop.now(), Role.MANAGER)
        operators.add(session, "amina", PASSWORD, shop.now(), Role.CLERK)

    def run(*arguments):
        return app.test_cli_runner().invoke(args=["days", *arguments], input=f"{PASSWORD}\n")

    return run


def test_a_day_is_closed_with_a_word_on_its_differences(flask, days):
    flask(MADE.as_csv())

    refused = days("close", "2026-11-24", "--as", "baraka")
    assert refused.exit_code == 1
    assert "unclaimed" in refused.output
    assert "say with --word" in refused.output

    closed = days("close", "2026-11-24", "--as", "baraka", "--word", "a tip")
    assert closed.exit_code == 0
    assert "received, no order               KES 150" in closed.output
    assert "a tip" in closed.output
    again = days("close", "2026-11-24", "--as", "baraka", "--word", "a tip")
    assert "is closed already" in again.output


def test_closing_a_day_takes_a_manager(flask, days):
    flask(MADE.as_csv())

    assert "takes a manager" in days("close", "2026-11-24", "--as", "amina").output


def test_a_day_without_a_statement_is_not_closed(days):
    assert "not covered" in days("close", "2026-11-24", "--as", "baraka").output
    assert "not over" in days("close", "2026-11-25", "--as", "baraka").output


def test_the_days_are_listed_with_how_far_each_is_proved(flask, days):
    flask(MADE.as_csv())

    today, yesterday = days("list", "--days", "2").output.splitlines()

    assert today.startswith("2026-11-25  empty")
    assert yesterday == "2026-11-24  differs              KES 150  differences: 1"
    assert "unclaimed" in days("show", "2026-11-24").output

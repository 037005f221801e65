"""Statements and days in the console: look first, import, compare, close; every number has rows."""

import inspect
import re
from io import BytesIO

import pytest
from sqlalchemy import select

from mpesa.domain import statement_lines
from mpesa.domain.roles import Role
from mpesa.models import ClosedDay, StatementFile, db
from mpesa.statements import child, importing, reading, sheets
from mpesa.web.console import days, statements
from mpesa.web.http.services import statement_needs
from tests.factories import RECEIPT
from tests.statements.files import Entry, Made, charge, reversal
from tests.web.console.steps import hidden, logged_in, send, token_on

STATEMENTS, DAYS = "/console/statements", "/console/days"
DAY = f"{DAYS}/2026-11-24"
MADE = Made(Entry(RECEIPT, 150, account="JANE"), charge(RECEIPT, 0.83))


@pytest.fixture(autouse=True)
def code(shop, clock):
    """The pay code of an order that was made at noon; it is the next morning."""
    order = shop.order(amount=99, reference="ORD-99")
    clock.pass_(seconds=20 * 3600)
    return shop.order_row(order).pay_code


@pytest.fixture
def clerk(app):
    return logged_in(app, "amina", Role.CLERK)


@pytest.fixture
def manager(app):
    return logged_in(app, "baraka", Role.MANAGER)


def upload(client, raw, name="statement.csv", **fields):
    token = token_on(client.get(STATEMENTS).text)
    data = {"csrf_token": token, "file": (BytesIO(raw), name), **fields}
    return client.post(STATEMENTS, data=data, content_type="multipart/form-data")


def imported(app, client, made=MADE):
    """Upload a file, and let the loop import it."""
    answer = upload(client, made.as_csv())
    assert answer.status_code == 303, answer.text
    page = answer.headers["Location"]
    assert send(client, f"{page}/import", on=page).status_code == 303
    with app.app_context():
        assert importing.carry_on(db.session(), statement_needs())
    return page


def rows(shop, table):
    with shop.sessions() as session:
        return session.scalars(select(table)).all()


# -- a statement ---------------------------------------------------------------------------------


def test_a_file_is_looked_at_first_and_changes_nothing(app, shop, clerk):
    page = upload(clerk, MADE.as_csv()).headers["Location"]

    shown = clerk.get(page).text

    assert "Nothing has changed yet" in shown
    assert "Only at M-PESA" in shown
    assert "2026-11-24" in shown
    [file] = rows(shop, StatementFile)
    assert (file.begun_at, file.kept_by) == (None, "amina")


def test_an_import_takes_in_its_payments_in_the_background(app, shop, clerk):
    page = imported(app, clerk)

    assert "Imported" in clerk.get(page).text
    assert shop.receipt().state == "unclaimed"


def test_a_statement_is_compared_row_by_row_before_its_import_and_after_it(app, clerk):
    page = upload(clerk, MADE.as_csv()).headers["Location"]
    assert f'href="{page}/compared.csv"' in clerk.get(page).text
    looked_at = clerk.get(f"{page}/compared.csv")
    before = looked_at.text
    send(clerk, f"{page}/import", on=page)
    with app.app_context():
        importing.carry_on(db.session(), statement_needs())
    imported = clerk.get(f"{page}/compared.csv").text
    of_the_day = clerk.get(f"{DAY}/compared.csv").text
    viewer = logged_in(app, "juma", Role.VIEWER)

    assert before.splitlines()[1:] == [
        f"only_at_mpesa,2026-11-24T12:00:00+03:00,{RECEIPT},150.00,,,,JANE,",
        f"charge,2026-11-24T12:00:00+03:00,{RECEIPT},-0.83,,,,,",
    ]
    assert "statement-2026-11-24-compared.csv" in looked_at.headers["Content-Disposition"]
    assert imported == of_the_day
    assert imported.splitlines()[1].startswith("only_at_mpesa")
    assert f'href="{DAY}/compared.csv"' in clerk.get(DAY).text
    assert "JANE" not in viewer.get(f"{page}/compared.csv").text


def test_a_comparison_waits_while_another_statement_is_read(clerk, monkeypatch):
    page = upload(clerk, MADE.as_csv()).headers["Location"]

    def busy(*_):
        raise reading.ReaderBusy

    monkeypatch.setattr(importing, "read", busy)

    assert clerk.get(f"{page}/compared.csv").status_code == 503


def test_a_defect_is_told_with_its_line(clerk, shop):
    made = Made(Entry(RECEIPT, 150), charge(RECEIPT, 0.83))
    made.body[1][5] = "250.00"

    answer = upload(clerk, made.as_csv())

    assert answer.status_code == 400
    assert "Line 9: The balance does not follow from the row before" in answer.text
    assert rows(shop, StatementFile) == []


def test_a_file_without_days_asks_for_them(clerk):
    raw = Made(Entry(RECEIPT, 150), family="b").as_csv()

    assert "Name the first and the last one below" in upload(clerk, raw).text
    named = upload(clerk, raw, first="2026-11-24", last="2026-11-24")
    assert "Only the file's name, or a person, says" in clerk.get(named.headers["Location"]).text


@pytest.mark.parametrize(
    ("first", "last"), [("2026-11-24", ""), ("x", "y"), ("2026-11-25", "2026-11-24")]
)
def test_days_that_are_none_are_said_so(clerk, first, last):
    assert upload(clerk, MADE.as_csv(), first=first, last=last).status_code == 400


def test_a_file_of_more_than_ten_mib_is_refused_and_a_large_one_is_read(clerk):
    assert upload(clerk, b"x" * (11 * 1024 * 1024)).headers["Location"] == STATEMENTS
    assert "too large: up to 10 MiB" in clerk.get(STATEMENTS).text
    large = b"\n" * (9 * 1024 * 1024)
    assert "It is no statement" in upload(clerk, large).text


def test_another_form_may_not_be_as_large(clerk):
    token = token_on(clerk.get(STATEMENTS).text)
    answer = clerk.post("/console/receipts/search", data={"csrf_token": token, "q": "x" * 100_000})
    assert answer.status_code in (404, 405, 413)


def test_a_viewer_takes_no_statement_in(app):
    viewer = logged_in(app, "juma", Role.VIEWER)

    assert "Import a statement" not in viewer.get(STATEMENTS).text
    token = token_on(viewer.get("/console/transactions").text)
    data = {"csrf_token": token, "file": (BytesIO(b"x"), "a.csv")}
    assert viewer.post(STATEMENTS, data=data).status_code == 403


def test_every_defect_has_words():
    """What is raised is read from the source: each is one text."""
    modules = (statement_lines, sheets, importing, reading, child)
    source = "".join(map(inspect.getsource, modules))
    raised = re.findall(
        r'(?:StatementDefect\(\s*|why = |_[A-Z_]+ = |"defect": )"([a-z][^"]+)"', source
    )

    assert set(raised) == set(statements.DEFECTS)


# -- a day ---------------------------------------------------------------------------------------


def test_the_calendar_says_at_a_glance_what_each_day_is(app, manager):
    imported(app, manager)

    page = manager.get(DAYS).text

    assert page.count('class="a-day differs" href') == 1
    assert "November 2026" in page
    assert manager.get(f"{DAYS}?month=2026-10").status_code == 200
    assert manager.get(f"{DAYS}?month=nonsense").status_code == 200


def test_every_number_of_a_day_leads_to_its_rows(app, manager, code):
    entries = [
        Entry(RECEIPT, 150, account="JANE"),
        charge(RECEIPT, 0.83),
        Entry("UKO2BYHAND", 99, account=code),
        reversal("UKO9REVERS", 150, RECEIPT),
        Entry("UKO7STRANG", -30, "Something new", reason=""),
    ]
    imported(app, manager, Made(*entries))

    page = manager.get(DAY).text

    for which, number in (
        ("hand", "UKO2BYHAND"),
        ("unclaimed", RECEIPT),
        ("charges", RECEIPT),
        ("returned", "UKO9REVERS"),
        ("other", "UKO7STRANG"),
    ):
        assert f"{DAY}/rows/{which}" in page
        assert number in manager.get(f"{DAY}/rows/{which}").text
    assert manager.get(f"{DAY}/rows/nothing").status_code == 404


@pytest.mark.parametrize("day", ["2026-13-01", "x", "0001-01-01", "20261124", "9999-12-31"])
def test_a_day_that_is_none_is_not_found(manager, day):
    assert manager.get(f"{DAYS}/{day}").status_code == 404


def closing(client, **words):
    """Ask to close the day, once; returns the page that asks again."""
    form = client.get(f"{DAY}/close")
    assert form.status_code == 200
    return client.post(f"{DAY}/close", data={**hidden(form.text), **words})


def test_a_day_is_closed_after_it_was_asked_for_twice(app, shop, manager):
    imported(app, manager)

    again = closing(manager, word="a tip")
    assert "are you sure?" in again.text
    assert rows(shop, ClosedDay) == []

    done = manager.post(f"{DAY}/close/confirm", data=hidden(again.text), follow_redirects=True)
    assert "The day is closed." in done.text
    assert "a tip" in done.text
    [closed] = rows(shop, ClosedDay)
    assert (closed.closed_by, closed.unclaimed, closed.charges) == ("baraka", 15_000, 83)


def test_a_difference_without_a_word_is_asked_for(app, manager):
    imported(app, manager)

    answer = closing(manager)

    assert answer.status_code == 400
    assert "Write something on each difference" in answer.text


def test_one_word_may_stand_for_all(app, manager):
    imported(app, manager)

    assert "are you sure?" in closing(manager, all="looked at").text


def test_what_changed_since_it_was_asked_for_is_not_closed(app, shop, manager, clock):
    imported(app, manager)
    again = closing(manager, all="looked at")
    shop.confirm("X", receipt="UKO8TARDYS", amount="20.00")

    done = manager.post(f"{DAY}/close/confirm", data=hidden(again.text), follow_redirects=True)

    assert "It has changed meanwhile" in done.text
    assert rows(shop, ClosedDay) == []


def test_only_a_manager_closes(app, clerk):
    imported(app, clerk)

    assert "Close the day…" not in clerk.get(DAY).text
    assert clerk.get(f"{DAY}/close").status_code == 403


def test_a_closed_day_is_had_as_csv_and_viewers_see_no_names(app, manager):
    imported(app, manager)
    assert manager.get(f"{DAY}/bank.csv").status_code == 404
    again = closing(manager, all="looked at")
    manager.post(f"{DAY}/close/confirm", data=hidden(again.text))

    answer = manager.get(f"{DAY}/bank.csv")
    told = answer.text
    viewer = logged_in(app, "juma", Role.VIEWER)
    seen = viewer.get(f"{DAY}/bank.csv").text

    assert told.splitlines()[:2] == [
        "Date,Amount,Payee,Description,Reference",
        f'2026-11-24,150.00,TEST,"Payment, JANE",{RECEIPT}',
    ]
    assert 'filename="mpesa-2026-11-24.csv"' in answer.headers["Content-Disposition"]
    assert manager.get(f"{DAY}/bank.csv?part=1").text == told
    assert manager.get(f"{DAY}/bank.csv?part=2").status_code == 404
    assert "TEST" not in seen
    assert "JANE" not in seen
    assert "JANE" not in viewer.get(f"{DAY}/rows/unclaimed").text


def test_every_kind_of_difference_and_every_standing_has_words():
    assert set(days.DIFFERENCES) == set(days.DifferenceKind)
    assert set(days.STANDINGS) == set(days.Standing)

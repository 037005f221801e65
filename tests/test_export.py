"""Transactions as CSV."""

import csv
import io
import tracemalloc
from datetime import UTC, date, datetime, timedelta

import pytest

from mpesa import export
from mpesa.cli import exports
from mpesa.domain.period import Period
from mpesa.models import Order, Receipt, Transaction
from tests.conftest import on_both
from tests.factories import RECEIPT, success_callback

DAY = date(2026, 11, 24)


TODAY = Period(DAY, DAY)


def read(shop, period=TODAY, **more):
    with shop.sessions() as session:
        lines = list(export.rows(session, period, **more))
        assert export.count(session, period) == len(lines) - 1
    return list(csv.DictReader(io.StringIO("".join(lines))))


def read_receipts(shop, period=TODAY, *, sees_people=True):
    with shop.sessions() as session:
        lines = list(export.receipt_rows(session, period, sees_people=sees_people))
        assert export.count_receipts(session, period) == len(lines) - 1
    return list(csv.DictReader(io.StringIO("".join(lines))))


@on_both
def test_a_payment_is_a_line(shop):
    transaction = shop.attempt()
    shop.callback(1, success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))

    (line,) = read(shop)

    assert line == {
        "created_at": "2026-11-24T12:00:00+03:00",
        "transaction_id": transaction,
        "order_id": shop.transaction(transaction).order_id,
        "reference": "INV-1",
        "description": "Two coffees",
        "amount": "150",
        "currency": "KES",
        "status": "SUCCESS",
        "reason": "paid",
        "receipt": RECEIPT,
        "phone": "0712•••678",
        "attempt": "1",
        "settled_at": "2026-11-24T12:00:00+03:00",
        "settles_order": "yes",
        "final": "yes",
        "needs_review": "no",
        "channel": "push",
        "received": "150.00",
        "returned": "",
    }


def test_a_whole_number_is_there_where_it_was_asked_for(shop):
    shop.attempt()

    (line,) = read(shop, full_phone=True)

    assert line["phone"] == "254712345678"


@on_both
@pytest.mark.parametrize(
    ("moment", "days"),
    [
        (datetime(2026, 11, 23, 20, 59, 59, tzinfo=UTC), []),
        (datetime(2026, 11, 23, 21, 0, tzinfo=UTC), [DAY]),
        (datetime(2026, 11, 24, 20, 59, 59, tzinfo=UTC), [DAY]),
        (datetime(2026, 11, 24, 21, 0, tzinfo=UTC), []),
    ],
)
def test_days_begin_and_end_in_nairobi(shop, clock, moment, days):
    clock.wait_until(moment)
    shop.attempt()

    assert len(read(shop)) == len(days)


def test_without_payments_there_is_the_header(shop):
    with shop.sessions() as session:
        (header,) = export.rows(session, TODAY)

    assert header.strip().split(",") == list(export.COLUMNS)


@pytest.mark.parametrize(
    "text", ["=1+1", "+254", "-1", "@SUM(A1)", '=HYPERLINK("http://x","y")', "\t=1"]
)
def test_a_cell_is_never_a_formula(text):
    assert export.harmless(text) == f"'{text}"


@pytest.mark.parametrize("text", ["INV-1", "Two coffees", "", "a=b"])
def test_an_ordinary_cell_stays_as_it_is(text):
    assert export.harmless(text) == text


def test_commas_quotes_and_hostile_text_stay_in_their_cell(shop):
    text = '=cmd|"/C calc"!A0, "x"'
    shop.attempt(description=text, reference="-1/x")

    (line,) = read(shop)

    assert (line["description"], line["reference"]) == (f"'{text}", "'-1/x")


def test_a_receipt_is_a_line_whether_an_order_has_it_or_not(shop, clock):
    transaction = shop.attempt()
    shop.callback(1, success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))
    clock.pass_(seconds=60)
    shop.confirm("JANE", receipt="UKO3KNOWN1", amount="20.50", TransTime="20261124120110")

    claimed, unclaimed = read_receipts(shop)

    order = shop.transaction(transaction).order_id
    assert (claimed["receipt"], claimed["amount"], claimed["state"]) == (
        RECEIPT,
        "150.00",
        "claimed",
    )
    assert (claimed["reference"], claimed["order_id"]) == ("INV-1", order)
    assert claimed["phone"] == "0712•••678"
    assert (unclaimed["receipt"], unclaimed["amount"], unclaimed["account"]) == (
        "UKO3KNOWN1",
        "20.50",
        "JANE",
    )
    assert (unclaimed["state"], unclaimed["order_id"]) == ("unclaimed", "")
    assert set(unclaimed) == set(export.RECEIPT_COLUMNS)


@on_both
def test_lines_are_counted_up_to_one_more_than_a_number(shop):
    for n in range(3):
        shop.confirm("NOBODY", receipt=f"UKO3KNOWN{n}")
        shop.attempt(f"25471234567{n}")

    with shop.sessions() as session:
        receipts = [export.count_receipts(session, TODAY, most) for most in (None, 3, 2, 1)]
        payments = [export.count(session, TODAY, most) for most in (None, 3, 2, 1)]

    assert receipts == payments == [3, 3, 3, 2]


def test_who_sees_no_people_sees_no_account_that_may_be_a_name(shop):
    shop.confirm("JANE", receipt="UKO3KNOWN1", amount="20.00")

    (line,) = read_receipts(shop, sees_people=False)

    assert line["account"] == "•••"


@on_both
def test_a_receipt_belongs_to_the_day_on_which_its_money_moved(shop, clock):
    shop.confirm("X", receipt="UKO3KNOWN1", amount="20.00")
    with shop.sessions() as session:
        row = session.query(Receipt).one()
        row.paid_at, row.learned_at = clock(), clock() + timedelta(days=3)
        session.commit()

    after = Period(DAY + timedelta(days=3), DAY + timedelta(days=3))

    assert (len(read_receipts(shop)), len(read_receipts(shop, after))) == (1, 0)


def test_an_account_is_never_a_formula(shop):
    shop.confirm("=1+1", receipt="UKO3KNOWN1", amount="20.00")

    (line,) = read_receipts(shop)

    assert line["account"] == "'=1+1"


@on_both
@pytest.mark.parametrize(
    "lines_of",
    [export.rows, lambda *of: export.receipt_rows(*of, sees_people=True)],
    ids=["transactions", "receipts"],
)
def test_memory_does_not_grow_with_the_number_of_lines(shop, lines_of):
    with shop.sessions() as session:
        _fill(session, 6000)
        lines = lines_of(session, TODAY)
        for _ in range(600):
            next(lines)
        tracemalloc.start()
        number = sum(1 for _ in lines)
        _now, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert number == 6001 - 600
    assert most < 2_000_000


def _fill(session, number):
    moment = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    session.add(
        Order(id="o", amount=1, reference="R", description="d", created_at=moment,
              updated_at=moment)
    )  # fmt: skip
    session.flush()
    session.execute(
        Transaction.__table__.insert(),
        [
            {
                "id": f"t{each:06}", "order_id": "o", "attempt": each, "amount": 1,
                "msisdn": "254712345678", "callback_token_hash": f"h{each}", "status": "FAILED",
                "reason": "declined", "is_open": False, "seq": 1, "created_at": moment,
                "updated_at": moment, "final": True, "settles_order": False,
                "needs_review": False, "times_asked": 0, "ask_urgently": False,
            }
            for each in range(number)
        ],
    )  # fmt: skip
    session.execute(
        Receipt.__table__.insert(),
        [
            {
                "id": f"r{each:06}", "organisation": "174379", "receipt": f"R{each:09}",
                "direction": "in", "amount": 100, "state": "unclaimed", "listed": True,
                "learned_at": moment, "changed_at": moment,
            }
            for each in range(number)
        ],
    )  # fmt: skip
    session.commit()


# -- the command ---------------------------------------------------------------------------------


def test_the_command_prints_it(shop, app):
    transaction = shop.attempt()

    done = app.test_cli_runner().invoke(
        args=["transactions", "export", "--from", "2026-11-24", "--to", "2026-11-24"]
    )

    assert done.exit_code == 0
    assert transaction in done.output
    assert "712345678" not in done.output


def test_the_command_prints_the_receipts_of_a_named_period(shop, app):
    shop.confirm("JANE", receipt="UKO3KNOWN1", amount="20.00")

    done = app.test_cli_runner().invoke(args=["receipts", "export", "--period", "month"])

    assert done.exit_code == 0
    assert "UKO3KNOWN1" in done.output


@pytest.mark.parametrize("kind", ["transactions", "receipts"])
@pytest.mark.parametrize(
    "days",
    [
        ("--from", "2026-11-24", "--to", "2026-11-23"),
        ("--from", "24.11.2026", "--to", "2026-11-24"),
        ("--from", "2026-11-24", "--to", ""),
        ("--from", "2026-11-24"),
        ("--period", "month", "--to", "2026-11-24"),
        ("--period", "fortnight"),
        (),
    ],
)
def test_senseless_days_are_refused(app, kind, days):
    done = app.test_cli_runner().invoke(args=[kind, "export", *days])

    assert done.exit_code == 2


def test_a_terminal_shows_how_far_it_is_while_the_lines_go_elsewhere(shop, app, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shop.attempt()
    terminal = Terminal()
    with app.app_context():
        monkeypatch.setattr("sys.stderr", terminal)
        exports.print_lines(
            "payments",
            lambda session: export.count(session, TODAY),
            lambda session: export.rows(session, TODAY),
        )

    assert "payments" in terminal.getvalue()
    assert "100%" in terminal.getvalue()

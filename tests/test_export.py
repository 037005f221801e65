"""Transactions as CSV."""

import csv
import io
import tracemalloc
from datetime import UTC, date, datetime

import pytest

from mpesa import export
from mpesa.models import Order, Transaction
from tests.conftest import on_both
from tests.factories import RECEIPT, success_callback

DAY = date(2026, 11, 24)


def read(shop, from_=DAY, to=DAY, **more):
    with shop.sessions() as session:
        whole = "".join(export.rows(session, from_, to, **more))
    return list(csv.DictReader(io.StringIO(whole)))


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
        (header,) = export.rows(session, DAY, DAY)

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


@on_both
def test_memory_does_not_grow_with_the_number_of_lines(shop):
    with shop.sessions() as session:
        _fill(session, 6000)
        lines = export.rows(session, DAY, DAY)
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


@pytest.mark.parametrize(
    "days", [("2026-11-24", "2026-11-23"), ("24.11.2026", "2026-11-24"), ("2026-11-24", "")]
)
def test_senseless_days_are_refused(app, days):
    done = app.test_cli_runner().invoke(
        args=["transactions", "export", "--from", days[0], "--to", days[1]]
    )

    assert done.exit_code == 2

"""The one way in and out: power that is cut before or after each send, on both databases."""

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError

from mpesa import books
from mpesa.books import By
from mpesa.daraja_access import Access
from mpesa.domain.evidence import Kind
from mpesa.domain.settlement import OperatorSaysPaid, QueryAnswered, WaitOver
from mpesa.ids import hash_token
from mpesa.ledger import claim_question
from mpesa.models import Base, DecisionRow, EvidenceRow, Order
from mpesa.queries import Question, ask
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import failure_callback, success_callback
from tests.shop import Shop

on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)


class PowerCut(BaseException):
    """Nobody handles it."""


@pytest.fixture
def shop(make_app, clock, daraja):
    """A shop whose merchant is told by webhook, so that all kinds of rows are written."""
    telling = {"WEBHOOK_URL": "https://shop.example/hook", "WEBHOOK_SECRET": "whsec_" + "a" * 32}
    return Shop(make_app(**telling), clock, daraja)


def receipt_of(shop):
    """A receipt that no earlier push has."""
    return f"UKO{len(shop.daraja.pushes):07d}"


def paid(shop, push=None):
    """A push, by default the last one, and its success."""
    number = push or len(shop.daraja.pushes)
    ids = (shop.daraja.checkout_id(number), shop.daraja.merchant_id(number))
    return number, success_callback(*ids, receipt=f"UKO{number:07d}")


def failed(shop):
    """The last push, and its failure."""
    number = len(shop.daraja.pushes)
    ids = (shop.daraja.checkout_id(number), shop.daraja.merchant_id(number))
    return number, failure_callback(*ids)


def kept(shop):
    """Everything that is committed, as another connection sees it."""
    with shop.engine.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in Base.metadata.sorted_tables
        }


class Power:
    """Cuts power at the n-th send of a kind, and remembers what was committed right there."""

    def __init__(self, shop, monkeypatch):
        self.shop = shop
        self.begin(None)
        for name in SENDS:
            monkeypatch.setattr(books, name, self._around(name, getattr(books, name)))

    def begin(self, cut_at):
        """Count from here."""
        self.cut_at = cut_at
        self.sends = dict.fromkeys(SENDS, 0)
        self.committed: list[dict[str, Sequence[Any]]] = []

    def _around(self, name, send):
        def sent(*arguments, **named):
            place = self.sends[name]
            self.sends[name] += 1
            self._reach((name, place, "before"))
            answer = send(*arguments, **named)
            self._reach((name, place, "after"))
            return answer

        return sent

    def _reach(self, point):
        if self.cut_at is not None and point[:2] == self.cut_at[:2]:
            self.committed.append(kept(self.shop))
            if point == self.cut_at:
                raise PowerCut


SENDS = ("lock_and_read", "write_and_commit")
Prepare = Callable[[Shop, str], Callable[[], object]]


def an_operators_word(shop, line):
    transaction = shop.attempt(line)
    return lambda: shop.record(transaction, OperatorSaysPaid(receipt_of(shop)), Kind.OPERATOR)


def the_end_of_a_wait(shop, line):
    transaction = shop.attempt(line)
    return lambda: shop.record(transaction, WaitOver(), Kind.CLOCK)


def a_querys_answer(shop, line):
    transaction = shop.attempt(line)
    return lambda: shop.record(transaction, QueryAnswered("0"), Kind.QUERY)


def a_code(shop, line):
    transaction = shop.attempt(line)
    return lambda: shop.type_code(transaction)


def a_callback(shop, line):
    shop.attempt(line)
    return lambda: shop.callback(*paid(shop))


def a_callback_that_other_attempts_hear_of(shop, line):
    order = shop.order()
    shop.start(order, line)
    shop.callback(*failed(shop))
    shop.start(order, line)
    return lambda: shop.callback(*paid(shop))


def a_push(shop, line):
    order = shop.order()
    return lambda: shop.start(order, line, key="a")


def a_push_that_joins(shop, line):
    order = shop.order()
    shop.start(order, line)
    return lambda: shop.start(order, line, key="a")


def a_cancellation(shop, line):
    order = shop.order()
    shop.start(order, line)
    shop.callback(*failed(shop))
    return lambda: shop.cancel(order)


def a_claimed_question(shop, line):
    transaction = shop.attempt(line)
    due = shop.transaction(transaction).next_ask_at
    assert due is not None

    def claim():
        with shop.sessions() as session:
            return claim_question(session, transaction, due, shop.now)

    return claim


def a_confirmation(shop, line):
    with shop.sessions() as session:
        code = session.get_one(Order, shop.order()).pay_code
    return lambda: shop.confirm(code, receipt=f"UKP{line[-7:]}")


def a_confirmation_of_a_paid_push(shop, line):
    reference = f"INV-{line}"[-12:]
    shop.attempt(line, reference=reference)
    number, body = paid(shop)
    shop.callback(number, body)
    return lambda: shop.confirm(reference, receipt=f"UKO{number:07d}")


def an_order(shop, _line):
    return shop.order


# What is done, and how many writes it takes.
ACTS: dict[str, tuple[Prepare, int]] = {
    "an order": (an_order, 1),
    "a push": (a_push, 2),
    "a push that joins": (a_push_that_joins, 1),
    "a callback": (a_callback, 1),
    "a callback of which others hear": (a_callback_that_other_attempts_hear_of, 1),
    "a confirmation": (a_confirmation, 1),
    "a confirmation of a paid push": (a_confirmation_of_a_paid_push, 1),
    "a query": (a_querys_answer, 1),
    "the clock": (the_end_of_a_wait, 1),
    "an operator": (an_operators_word, 1),
    "a code": (a_code, 1),
    "a cancellation": (a_cancellation, 1),
    "a claimed question": (a_claimed_question, 1),
}
POINTS = [
    (name, (send, place, when))
    for name, (_, writes) in ACTS.items()
    for place in range(writes)
    for send in SENDS
    if not (name == "an order" and send == "lock_and_read")  # there is nothing to lock yet
    for when in ("before", "after")
]


@on_both
def test_power_that_is_cut_around_a_send_leaves_all_of_it_or_nothing(shop, monkeypatch):
    power = Power(shop, monkeypatch)
    for number, (name, point) in enumerate(POINTS):
        power.begin(None)
        act = ACTS[name][0](shop, f"2547000000{number:02d}")
        power.begin(point)

        with pytest.raises(PowerCut):
            act()

        # What was committed when the power was cut is all that there is, and no lock is left.
        left = kept(shop)
        assert left == power.committed[-1], (name, point)
        takes_effect = point[0] == "write_and_commit" and point[2] == "after"
        assert (left != power.committed[0]) == takes_effect, (name, point)
        assert undecided(shop) == [], (name, point)
        assert_no_order_is_held(shop)


def undecided(shop):
    """Evidence without the decision that belongs to it."""
    with shop.sessions() as session:
        alone = select(EvidenceRow.id).outerjoin(DecisionRow).where(DecisionRow.id.is_(None))
        return session.scalars(alone).all()


def assert_no_order_is_held(shop):
    if shop.engine.dialect.name == "postgresql":
        with shop.engine.connect() as connection:
            connection.execute(text("SELECT id FROM orders FOR UPDATE NOWAIT"))
    else:
        shop.order()  # a writer on SQLite holds all orders


@on_both
def test_each_act_is_as_many_writes_as_power_is_cut_at(shop, monkeypatch):
    power = Power(shop, monkeypatch)
    for number, (name, (prepare, writes)) in enumerate(ACTS.items()):
        act = prepare(shop, f"2547000000{number:02d}")
        power.begin(None)

        act()

        locks = 0 if name == "an order" else writes
        assert power.sends == {"lock_and_read": locks, "write_and_commit": writes}, name


@on_both
def test_a_whole_payment_needs_no_second_connection(
    make_app,
    clock,
    daraja,
    monkeypatch,
):
    """Who waits for one while it holds one waits for itself, where everybody does."""
    one = {"pool_size": 1, "max_overflow": 0, "pool_timeout": 1}
    monkeypatch.setattr("mpesa.runtime.database.POOL", one)
    shop = Shop(make_app(), clock, daraja)
    assert shop.engine.pool.status().startswith("Pool size: 1 ")
    order = shop.order()

    first = shop.start(order, key="a").transaction_id
    assert shop.start(order, key="b").transaction_id == first
    shop.type_code(first)
    clock.pass_(seconds=61)
    shop.tick()
    daraja.query_answers.append("1032")
    with shop.sessions() as session:
        access = Access(daraja, shop.budget, clock)
        ask(session, Question(first, daraja.checkout_id(1)), access)
    second = shop.start(order, key="c").transaction_id
    shop.callback(*paid(shop, 2))
    shop.callback(*paid(shop, 1))

    rows = [shop.transaction(each) for each in (first, second)]
    assert [each.status for each in rows] == ["SUCCESS", "SUCCESS"]
    assert [each.needs_review for each in rows] == [True, False]


# -- a connection on which nothing is begun by itself ----------------------------------------------


@on_both
def test_who_takes_an_order_out_keeps_a_second_writer_waiting(shop):
    order = shop.order()
    wait, lock = (
        ("SET lock_timeout = '10ms'", "SELECT id FROM orders FOR UPDATE")
        if shop.engine.dialect.name == "postgresql"
        else ("PRAGMA busy_timeout = 10", "UPDATE orders SET amount = amount")
    )

    with (
        shop.sessions() as session,
        books.taken_out(session, By.ORDER, order),
        shop.engine.connect() as other,
    ):
        other.execute(text(wait))
        with pytest.raises(OperationalError, match="lock"):
            other.execute(text(lock))


def test_a_commit_that_sqlite_refuses_leaves_neither_lock_nor_row(shop, monkeypatch):
    transaction = shop.attempt()
    before = kept(shop)

    def refuse(_connection):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as full:
        full.setattr(shop.engine.dialect, "do_commit", refuse)
        with pytest.raises(OperationalError, match="disk is full"):
            shop.record(transaction, QueryAnswered("0"), Kind.QUERY)

    assert kept(shop) == before
    assert_no_order_is_held(shop)
    shop.record(transaction, QueryAnswered("0"), Kind.QUERY)
    assert shop.transaction(transaction).status == "SUCCESS"


@on_postgresql
def test_what_was_taken_out_and_not_put_back_leaves_neither_lock_nor_row(shop):
    shop.attempt()
    token_hash = hash_token(shop.daraja.token_of(1))

    with shop.sessions() as session, books.taken_out(session, By.TOKEN, token_hash):
        pass

    with shop.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        assert driver.autocommit is False
        connection.execute(text("SELECT id FROM orders FOR UPDATE NOWAIT"))


@on_postgresql
def test_a_connection_that_breaks_between_reading_and_writing_is_given_up(shop):
    transaction = shop.attempt()
    before = kept(shop)

    def break_it():
        with (
            shop.sessions() as session,
            books.taken_out(session, By.TRANSACTION, transaction) as taken,
        ):
            driver: Any = taken.connection.connection.dbapi_connection
            with shop.engine.connect() as killer:
                killer.execute(text(f"SELECT pg_terminate_backend({driver.info.backend_pid})"))
            changed = taken.account.attempt(transaction).with_next_seq(shop.now())
            taken.put_back(taken.account.changed(changed))

    with pytest.raises(OperationalError):
        break_it()

    assert kept(shop) == before
    shop.callback(*paid(shop))
    assert shop.transaction(transaction).status == "SUCCESS"


@on_both
def test_what_never_changes_of_a_payment_is_not_written_again(shop):
    shop.attempt()
    written: list[str] = []

    def note(_connection, _cursor, statement, *_):
        written.extend(re.findall(r"UPDATE transactions SET (.*?) WHERE", statement, re.DOTALL))

    event.listen(shop.engine, "before_cursor_execute", note)
    shop.callback(*paid(shop))

    (columns,) = [re.findall(r"(\w+)=", each) for each in written]
    assert {"status", "receipt"} <= set(columns)
    # SQLite looks through all that refers to an id that is set.
    assert not {"id", "order_id", "msisdn", "amount", "callback_token_hash"} & set(columns)


def test_what_nobody_knows_is_not_taken_out(shop):
    shop.attempt()

    for by in By:
        with (
            pytest.raises(books.Unknown),
            shop.sessions() as session,
            books.taken_out(session, by, "nobody"),
        ):
            pass

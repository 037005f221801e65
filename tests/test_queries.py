"""One question and its answer; and the question before a shopper's next prompt."""

from collections.abc import Callable

import pytest

from mpesa import queries
from mpesa.daraja import NoAnswer, NotSent, QueryAnswer, UnknownOutcome
from mpesa.daraja_access import Access
from mpesa.domain.result_codes import Reason
from mpesa.queries import Question
from tests.conftest import on_both
from tests.factories import PAYER, SECOND_PAYER
from tests.fakes import FakeDaraja
from tests.shop import ids_of
from tests.web.steps import problem, push, pushed, status_of

MakeOrder = Callable[..., str]


def ask(shop, transaction_id, daraja=None):
    """Ask about the first push; returns the transactions that changed."""
    question = Question(transaction_id, shop.daraja.checkout_id(1))
    access = Access(daraja or shop.daraja, shop.budget, shop.now)
    with shop.sessions() as session:
        return ids_of(queries.ask(session, question, access))


# -- one question --------------------------------------------------------------------------------


@on_both
def test_an_answer_is_kept_and_changes_the_transaction(shop, clock):
    transaction = shop.attempt()
    shop.daraja.query_answers.append("1032")
    clock.pass_(seconds=15)

    changed = ask(shop, transaction)

    kept = shop.evidence(transaction)[-1]
    assert changed == [transaction]
    assert (kept.kind, kept.body) == ("query", b'{"asked": 1}')
    assert shop.snapshot(transaction)["reason"] == "cancelled"


@pytest.mark.parametrize(
    ("error", "body"),
    [
        (NoAnswer("HTTP 500", b"<html>"), b"<html>"),
        (NotSent(Reason.SYSTEM_BUSY, "not sent: TLS"), b"not sent: TLS"),
        (UnknownOutcome("time was over"), b"time was over"),
    ],
)
def test_why_there_was_no_answer_is_kept(shop, error, body):
    transaction = shop.attempt()
    shop.daraja.query_answers.append(error)

    changed = ask(shop, transaction)

    assert changed == []
    assert shop.evidence(transaction)[-1].body == body
    assert shop.snapshot(transaction)["status"] == "PENDING"


@on_both
def test_nothing_is_held_in_the_database_while_daraja_thinks(shop):
    transaction = shop.attempt()

    class Slow(FakeDaraja):
        def query(self, checkout_request_id, *, budget=20.0):
            shop.order()  # somebody else writes
            return QueryAnswer("0", "", None, checkout_request_id, b"{}")

    assert ask(shop, transaction, Slow()) == [transaction]


# -- before the next prompt ------------------------------------------------------------------------


@pytest.fixture
def silent(client, make_order, clock):
    """The snapshot of an attempt that nothing was heard of, and whose prompt is over."""
    snapshot: dict[str, str] = pushed(client, make_order())
    clock.pass_(seconds=181)
    return snapshot


def test_money_that_daraja_knows_of_stops_the_second_prompt(client, silent, daraja):
    daraja.query_answers.append("0")

    answer = push(client, silent["order_id"])

    problem(answer, 409, "order_paid")
    assert len(daraja.pushes) == 1
    assert status_of(client, silent["transaction_id"])["status"] == "SUCCESS"


def test_money_that_daraja_knows_of_stops_another_phones_prompt_too(client, silent, daraja):
    daraja.query_answers.append("0")

    answer = push(client, silent["order_id"], SECOND_PAYER)

    problem(answer, 409, "order_paid")
    assert len(daraja.pushes) == 1


@pytest.mark.parametrize("code", ["1037", "1019", "17", "9999", "2028"])
def test_a_failure_that_is_heard_only_now_makes_nobody_wait(client, silent, daraja, code):
    daraja.query_answers.append(code)

    answer = push(client, silent["order_id"])

    assert answer.status_code == 202
    assert len(daraja.pushes) == 2
    assert status_of(client, silent["transaction_id"])["status"] == "FAILED"


@pytest.mark.parametrize("answer", ["4999", "7777", NoAnswer(), NotSent(Reason.SYSTEM_BUSY)])
def test_no_answer_makes_nobody_wait_and_the_old_attempt_is_still_watched(
    client, silent, daraja, answer
):
    daraja.query_answers.append(answer)

    started = push(client, silent["order_id"])

    assert started.status_code == 202
    assert status_of(client, silent["transaction_id"])["status"] == "PENDING"


def test_without_a_budget_the_push_goes_on_unasked(client, make_order, clock, daraja):
    orders = [make_order(), make_order()]
    for order, phone in zip(orders, (PAYER, SECOND_PAYER), strict=True):
        pushed(client, order, phone)
    clock.pass_(seconds=181)

    answers = [
        push(client, order, phone).status_code
        for order, phone in zip(orders, (PAYER, SECOND_PAYER), strict=True)
    ]

    assert answers == [202, 202]
    assert daraja.queries == [daraja.checkout_id(1)]


def test_an_attempt_that_has_no_id_is_not_asked_about(client, make_order, clock, daraja):
    daraja.answers.append(UnknownOutcome())
    order = make_order()
    pushed(client, order)
    clock.pass_(seconds=201)

    answer = push(client, order)

    assert (answer.status_code, daraja.queries) == (202, [])


def test_a_shopper_waits_five_seconds_for_the_answer_at_the_most(shop, clock):
    patience = []

    class Watched(FakeDaraja):
        def query(self, checkout_request_id, *, budget=20.0):
            patience.append(budget)
            return super().query(checkout_request_id, budget=budget)

    shop.daraja = Watched()
    order = shop.order()
    shop.start(order)
    clock.pass_(seconds=181)
    shop.start(order)

    assert patience == [5.0]

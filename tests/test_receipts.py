"""Which payment a receipt belongs to: told late, told badly, or told of two payments."""

import gzip
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
from flask import Flask
from sqlalchemy import event, select

from mpesa import inbox, reconciler
from mpesa.daraja import UnknownOutcome
from mpesa.daraja_access import Access
from mpesa.domain.settlement import (
    OperatorSaysNotPaid,
    OperatorSaysPaid,
    QueryAnswered,
    ReviewSettled,
)
from mpesa.ledger import Kind
from mpesa.models import Transaction, WebhookMessage
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk, at_once
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
QUERY_PAID = QueryAnswered("0")


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def paid(desk: Desk, push: int = 1, **changed: object) -> dict:
    """The success callback of the n-th push."""
    return success_callback(
        **{
            "checkout_id": desk.daraja.checkout_id(push),
            "merchant_id": desk.daraja.merchant_id(push),
        }
        | changed
    )


# -- a callback that is nearly right -------------------------------------------------------------

FAULTS: dict[str, Callable[[bytes], bytes]] = {
    "text behind it": lambda body: body + b" []",
    "NULs behind it": lambda body: body + b"\0\0",
    "gzip": gzip.compress,
    "a raw line break": lambda body: body.replace(b"is processed", b"is\nprocessed"),
    "Latin-1": lambda body: body.replace(b"processed", "procédé".encode("latin-1")),
    "UTF-16": lambda body: body.decode().encode("utf-16"),
}


@on_both
def test_a_byte_order_mark_keeps_no_payment_out(desk: Desk) -> None:
    transaction = desk.attempt()

    desk.callback(1, b"\xef\xbb\xbf" + raw(paid(desk)))

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


@on_both
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_callback_is_kept_and_gives_its_receipt_once_daraja_says_paid(
    desk: Desk, clock: Clock, fault: str
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=5)
    desk.callback(1, FAULTS[fault](raw(paid(desk))))
    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, False)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.final) == ("SUCCESS", RECEIPT, True)
    assert not row.needs_review


@on_both
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_callback_that_comes_after_daraja_said_paid_gives_its_receipt(
    desk: Desk, fault: str
) -> None:
    transaction = desk.attempt()
    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    desk.callback(1, FAULTS[fault](raw(paid(desk))))

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.final) == ("SUCCESS", RECEIPT, True)
    assert not row.needs_review


@on_both
@pytest.mark.parametrize("absent", [None, 26544, "", "  "])
def test_a_callback_without_its_merchant_id_needs_no_person(
    desk: Desk, clock: Clock, absent: object
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=5)
    desk.callback(1, paid(desk, MerchantRequestID=absent))
    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, False)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


def test_a_callback_whose_merchant_id_is_left_out_gives_the_receipt_too(desk: Desk) -> None:
    transaction = desk.attempt()
    document = paid(desk)
    del document["Body"]["stkCallback"]["MerchantRequestID"]
    desk.callback(1, document)

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    assert desk.transaction(transaction).receipt == RECEIPT


@on_both
def test_blanks_around_ids_are_no_contradiction(desk: Desk) -> None:
    transaction = desk.attempt()
    ids = {
        "MerchantRequestID": f" {desk.daraja.merchant_id(1)}\n",
        "CheckoutRequestID": f"{desk.daraja.checkout_id(1)}\t ",
    }

    desk.callback(1, paid(desk, **ids))

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


@pytest.mark.parametrize("absent", [None, 5, ""])
def test_a_failure_without_its_merchant_id_has_daraja_asked(desk: Desk, absent: object) -> None:
    transaction = desk.attempt()
    document = failure_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1))
    document["Body"]["stkCallback"]["MerchantRequestID"] = absent

    desk.callback(1, document)

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review, row.ask_urgently) == ("PENDING", False, True)


NO_RECEIPT = {
    "other ids": {"checkout_id": "ws_CO_another"},
    "no checkout id": {"CheckoutRequestID": None},
    "other merchant id": {"merchant_id": "another"},
    "no amount": {"amount": None},
    "no receipt": {"receipt": None},
    "a failure": {"ResultCode": 1032},
}


@pytest.mark.parametrize("name", NO_RECEIPT)
def test_a_receipt_is_taken_from_no_kept_body_that_disagrees(desk: Desk, name: str) -> None:
    transaction = desk.attempt()
    desk.callback(1, raw(paid(desk, **NO_RECEIPT[name])) + b" []")

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.final) == ("SUCCESS", None, False)


def test_a_receipt_is_taken_from_no_kept_body_of_an_address_that_is_not_listed(
    make_app: Callable[..., Flask], clock: Clock, daraja: FakeDaraja
) -> None:
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    desk = Desk(app, clock, daraja)
    transaction = desk.attempt()
    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        data=raw(paid(desk)) + b" []",
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    assert (desk.transaction(transaction).status, desk.transaction(transaction).receipt) == (
        "SUCCESS",
        None,
    )


@on_both
def test_a_kept_receipt_that_another_payment_has_is_not_taken(desk: Desk) -> None:
    first = desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(1, paid(desk))
    desk.callback(2, raw(paid(desk, 2)) + b" []")

    desk.record(second, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(second)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", None, True)
    assert first in desk.decisions(second)[-1].why
    assert not desk.transaction(first).needs_review  # Safaricom itself named that receipt for it


# -- where the answer to "is it paid, then?" is not yes ------------------------------------------

CLAIMS: dict[str, Callable[[bytes], bytes]] = {
    "text behind it": FAULTS["text behind it"],
    "no merchant id": lambda body: body.replace(b'"MerchantRequestID": ', b'"MerchantId": '),
}
on_each_claim = pytest.mark.parametrize("fault", CLAIMS)


def claim(desk: Desk, fault: str) -> None:
    """A success under the right token that cannot be believed as it is."""
    desk.callback(1, CLAIMS[fault](raw(paid(desk))))


def fail(desk: Desk, code: int) -> None:
    desk.callback(1, failure_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1), code))


def ask(desk: Desk, *answers: object) -> int:
    """Let Daraja be asked about what is due; returns how many questions that were."""
    desk.daraja.query_answers += answers
    with desk.sessions() as session:
        return reconciler.run_once(
            session, Access(desk.daraja, desk.budget, desk.now), desk.announce
        )


NOT_PAID = {"a failure": "1032", "under way": "4999", "no answer": UnknownOutcome("HTTP 500")}


@on_both
@on_each_claim
@pytest.mark.parametrize("answer", NOT_PAID)
@pytest.mark.parametrize("code", [2001, 1037], ids=["final", "not final"])
def test_a_claim_about_a_failure_that_daraja_does_not_prove_has_a_person_look(
    desk: Desk, clock: Clock, fault: str, answer: str, code: int
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=20)
    fail(desk, code)
    before = desk.transaction(transaction)
    clock.pass_(seconds=5)
    claim(desk, fault)
    assert not desk.transaction(transaction).needs_review

    assert ask(desk, NOT_PAID[answer]) == 1

    row = desk.transaction(transaction)
    assert (row.status, row.reason, row.seq) == ("FAILED", before.reason, before.seq)
    assert (row.needs_review, row.next_ask_at) == (True, before.next_ask_at)
    why = desk.decisions(transaction)[-1].why
    assert why.startswith("claim_not_proven")


@on_both
@on_each_claim
def test_a_claim_that_a_query_contradicts_fails_and_has_a_person_look(
    desk: Desk, clock: Clock, fault: str
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=20)
    claim(desk, fault)

    ask(desk, "1032")

    row = desk.transaction(transaction)
    assert (row.status, row.reason, row.needs_review) == ("FAILED", "cancelled", True)


@on_each_claim
@pytest.mark.parametrize("answer", ["under way", "no answer"])
def test_what_is_pending_is_asked_about_further_and_needs_nobody_yet(
    desk: Desk, clock: Clock, fault: str, answer: str
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=20)
    claim(desk, fault)
    ask(desk, NOT_PAID[answer])
    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("PENDING", False)

    clock.pass_(seconds=15)
    ask(desk, "1032")

    assert desk.transaction(transaction).needs_review


@on_both
@on_each_claim
@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("code", [2001, 1037], ids=["final", "not final"])
def test_a_failure_that_is_told_after_a_claim_has_a_person_look_and_daraja_asked(
    desk: Desk, clock: Clock, fault: str, asked_before: bool, code: int
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=20)
    claim(desk, fault)
    if asked_before:
        ask(desk, "4999")
    clock.pass_(seconds=12)

    fail(desk, code)

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("FAILED", True)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)
    ask(desk, "0")
    row = desk.transaction(transaction)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid_late", RECEIPT)


@on_each_claim
@pytest.mark.parametrize("code", [2001, 1037], ids=["final", "not final"])
def test_a_process_that_ends_while_it_asks_is_not_the_last_to_know_of_a_claim(
    desk: Desk, clock: Clock, monkeypatch: pytest.MonkeyPatch, fault: str, code: int
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=20)
    fail(desk, code)
    claim(desk, fault)
    with monkeypatch.context() as during:
        during.setattr(desk.daraja, "query", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            ask(desk)
    clock.pass_(minutes=3)

    assert ask(desk, "4999") == 1
    assert desk.transaction(transaction).needs_review


@on_each_claim
def test_a_claim_that_was_given_to_a_person_is_not_raised_again(
    desk: Desk, clock: Clock, fault: str
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=20)
    claim(desk, fault)
    ask(desk, "1032")
    desk.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    clock.pass_(minutes=4)
    assert ask(desk, "1032") == 1

    row = desk.transaction(transaction)
    assert (row.reason, row.needs_review) == ("closed_by_operator", False)


@on_both
def test_a_second_receipt_in_a_callback_that_cannot_be_read_has_a_person_look(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk))

    desk.callback(1, raw(paid(desk, receipt="UKO2GHIJKL")) + b" []")

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, True)


# -- a callback that tells another amount --------------------------------------------------------


@on_both
@pytest.mark.parametrize("amount", [1, 151, 149.5, 0, "1.00"])
def test_a_query_does_not_overrule_a_callback_that_told_another_amount(
    desk: Desk, amount: object
) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk, amount=amount))

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert desk.order_row(row.order_id).status == "OPEN"


@on_both
def test_nor_does_it_where_that_callback_overtook_the_pushs_answer(desk: Desk) -> None:
    desk.daraja.answers.append(lambda push: desk.callback(1, paid(desk, amount=1)))
    transaction = desk.attempt()

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("PENDING", True)


def test_nor_does_it_where_a_person_put_the_review_aside(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk, amount=1))
    desk.record(transaction, ReviewSettled(), Kind.OPERATOR)
    assert not desk.transaction(transaction).needs_review

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("PENDING", True)


@on_both
def test_another_amount_that_is_told_after_a_query_leaves_the_success(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    desk.callback(1, paid(desk, amount=1))

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("SUCCESS", True)


@on_both
@pytest.mark.parametrize("how", ["a callback", "a person"])
def test_another_amount_does_not_stand_in_the_way_of_better_proof(desk: Desk, how: str) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk, amount=1))

    if how == "a callback":
        desk.callback(1, paid(desk))
    else:
        desk.record(transaction, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    row = desk.transaction(transaction)
    assert (row.status, row.receipt) == ("SUCCESS", RECEIPT)
    assert desk.order_row(row.order_id).status == "PAID"


def test_a_stranger_disputes_nothing(
    make_app: Callable[..., Flask], clock: Clock, daraja: FakeDaraja
) -> None:
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    desk = Desk(app, clock, daraja)
    transaction = desk.attempt()
    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=paid(desk, amount=1),
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )

    desk.record(transaction, QUERY_PAID, Kind.QUERY)

    assert desk.transaction(transaction).status == "SUCCESS"


# -- one receipt, two payments -------------------------------------------------------------------


def marked_with_the_others_receipt(desk: Desk) -> tuple[str, str]:
    """An operator marks the first as paid, with the receipt of the second."""
    first = desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)
    assert not desk.transaction(first).needs_review
    return first, second


def assert_both_are_looked_at(desk: Desk, first: str, second: str) -> None:
    holder, claimant = desk.transaction(first), desk.transaction(second)
    assert (holder.status, holder.receipt, holder.needs_review) == ("SUCCESS", RECEIPT, True)
    assert (claimant.receipt, claimant.needs_review) == (None, True)
    asked = [each.why for each in desk.decisions(first) if each.needs_review]
    assert asked == [f"receipt_claimed: {second}"]
    assert any(each.why.endswith(f": {first}") for each in desk.decisions(second))


@on_both
def test_who_has_a_receipt_by_a_persons_word_is_looked_at_once_its_own_callback_comes(
    desk: Desk,
) -> None:
    first, second = marked_with_the_others_receipt(desk)

    desk.callback(2, paid(desk, 2))

    assert_both_are_looked_at(desk, first, second)


@on_both
def test_so_it_is_where_the_callback_overtakes_the_pushs_answer(desk: Desk) -> None:
    first = desk.attempt()
    desk.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)
    desk.daraja.answers.append(lambda push: desk.callback(2, paid(desk, 2)))

    second = desk.attempt(SECOND_PAYER_MSISDN)

    assert_both_are_looked_at(desk, first, second)


@on_both
def test_so_it_is_where_the_receipt_stands_in_a_kept_body(desk: Desk) -> None:
    first, second = marked_with_the_others_receipt(desk)
    desk.callback(2, raw(paid(desk, 2)) + b" []")
    assert not desk.transaction(first).needs_review

    desk.record(second, QUERY_PAID, Kind.QUERY)

    assert_both_are_looked_at(desk, first, second)
    assert desk.transaction(second).status == "SUCCESS"


@on_both
def test_so_it_is_where_both_are_attempts_of_one_order(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failure_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1)))
    second = desk.start(order).transaction_id
    desk.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    desk.callback(2, paid(desk, 2))

    assert_both_are_looked_at(desk, first, second)


def test_the_merchant_is_told_of_both(
    make_app: Callable[..., Flask], clock: Clock, daraja: FakeDaraja
) -> None:
    app = make_app(WEBHOOK_URL="http://127.0.0.1:9/", WEBHOOK_SECRET="whsec_" + "a2tr" * 8)
    desk = Desk(app, clock, daraja)
    first, second = marked_with_the_others_receipt(desk)

    desk.callback(2, paid(desk, 2))

    with desk.sessions() as session:
        told = session.execute(select(WebhookMessage.transaction_id, WebhookMessage.type)).all()
    assert sorted(map(tuple, told)) == sorted(
        [
            (first, "transaction.succeeded"),
            (first, "transaction.needs_review"),
            (second, "transaction.needs_review"),
        ]
    )


def test_it_is_noted_once_however_often_the_callback_comes(desk: Desk) -> None:
    first, _second = marked_with_the_others_receipt(desk)
    desk.callback(2, paid(desk, 2))
    desk.record(first, ReviewSettled(), Kind.OPERATOR)

    for _ in range(3):
        desk.callback(2, paid(desk, 2))

    assert not desk.transaction(first).needs_review
    assert [each.kind for each in desk.evidence(first)].count("claim") == 1


def test_whose_own_callback_named_the_receipt_is_not_suspected(desk: Desk) -> None:
    first = desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)
    desk.callback(1, paid(desk))

    desk.callback(2, paid(desk, 2))

    assert not desk.transaction(first).needs_review
    assert desk.transaction(second).needs_review


@pytest.mark.parametrize("changed", [{"amount": 1}, {"checkout_id": "ws_CO_another"}])
def test_a_callback_that_would_not_be_believed_anyway_suspects_nobody(
    desk: Desk, changed: dict[str, object]
) -> None:
    first, second = marked_with_the_others_receipt(desk)

    desk.callback(2, paid(desk, 2, **changed))

    assert not desk.transaction(first).needs_review
    assert desk.transaction(second).needs_review


@on_both
def test_however_operator_and_callback_race_somebody_looks_at_both(desk: Desk) -> None:
    for number in range(10):
        receipt, push = f"UKO1ABCD{number:02d}", 2 * number + 1
        first = desk.attempt(f"2547000000{push:02d}")
        second = desk.attempt(f"2547000000{push + 1:02d}")

        outcomes = at_once(
            [
                lambda first=first, receipt=receipt: desk.record(
                    first, OperatorSaysPaid(receipt), Kind.OPERATOR
                ),
                lambda push=push, receipt=receipt: desk.callback(
                    push + 1, paid(desk, push + 1, receipt=receipt)
                ),
            ]
        )

        assert not [each for each in outcomes if isinstance(each, Exception)]
        holder, claimant = desk.transaction(first), desk.transaction(second)
        if claimant.receipt:  # the callback was first, so nobody has it on a person's word
            assert (holder.status, holder.receipt, holder.needs_review) == ("PENDING", None, True)
            assert not claimant.needs_review
        else:
            assert (holder.receipt, holder.needs_review) == (receipt, True)
            assert claimant.needs_review


class Killed(BaseException):
    """The process ended here."""


@contextmanager
def killed_before_statement(desk: Desk, left: int) -> Iterator[None]:
    def count(*_: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    event.listen(desk.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(desk.engine, "before_cursor_execute", count)


@on_both
@pytest.mark.parametrize("early", [False, True], ids=["ids known", "ids not known yet"])
def test_wherever_the_process_ends_both_are_looked_at_in_the_end(desk: Desk, early: bool) -> None:
    ended_well = 0
    for number in range(60):
        first, second, push, receipt = a_pair(desk, number, early)
        stored = taken = False
        try:
            with killed_before_statement(desk, number):
                desk.callback(push, paid(desk, push, receipt=receipt))
            taken = True
        except Killed:
            stored = any(each.kind == "callback" for each in desk.evidence(second))
            with desk.sessions() as session:
                inbox.judge_waiting(session, desk.inbox_needs())

        looked_at = [desk.transaction(each).needs_review for each in (first, second)]
        if taken or stored:
            assert looked_at == [True, True]
        assert looked_at[0] or not looked_at[1]  # never the one that was robbed alone
        ended_well += taken
    assert 1 <= ended_well < 60  # it was killed at each statement, and lived through the last


def a_pair(desk: Desk, number: int, early: bool) -> tuple[str, str, int, str]:
    """A payment that an operator marked with the receipt of another one, whose push is told."""
    receipt, push = f"UKO1ABCD{number:02d}", 2 * number + 2
    desk.now.pass_(seconds=1)
    first = desk.attempt(f"25470000{push - 1:04d}")
    second = desk.attempt(f"25470000{push:04d}")
    desk.record(first, OperatorSaysPaid(receipt), Kind.OPERATOR)
    if early:
        with desk.sessions() as session:
            row = session.get_one(Transaction, second)
            row.checkout_request_id = row.merchant_request_id = None
            session.commit()
    return first, second, push, receipt

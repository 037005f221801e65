"""Which payment a receipt belongs to: told late, told badly, or told of two payments."""

import gzip
from collections.abc import Callable
from contextlib import contextmanager
from unittest.mock import Mock

import pytest
from sqlalchemy import event, select

from mpesa import inbox, owners, receipts, reconciler
from mpesa.daraja import UnknownOutcome
from mpesa.daraja_access import Access
from mpesa.domain.evidence import Kind
from mpesa.domain.settlement import (
    OperatorSaysNotPaid,
    OperatorSaysPaid,
    QueryAnswered,
    ReviewSettled,
)
from mpesa.models import Transaction, WebhookMessage
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    raw,
)
from tests.shop import Shop, at_once

QUERY_PAID = QueryAnswered("0")


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
def test_a_byte_order_mark_keeps_no_payment_out(shop):
    transaction = shop.attempt()

    shop.callback(1, b"\xef\xbb\xbf" + raw(shop.paid()))

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


@on_both
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_callback_is_kept_and_gives_its_receipt_once_daraja_says_paid(shop, clock, fault):
    transaction = shop.attempt()
    clock.pass_(seconds=5)
    shop.callback(1, FAULTS[fault](raw(shop.paid())))
    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, False)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.final) == ("SUCCESS", RECEIPT, True)
    assert not row.needs_review


@on_both
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_callback_that_comes_after_daraja_said_paid_gives_its_receipt(shop, fault):
    transaction = shop.attempt()
    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    shop.callback(1, FAULTS[fault](raw(shop.paid())))

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.final) == ("SUCCESS", RECEIPT, True)
    assert not row.needs_review


@on_both
@pytest.mark.parametrize("absent", [None, 26544, "", "  "])
def test_a_callback_without_its_merchant_id_needs_no_person(shop, clock, absent):
    transaction = shop.attempt()
    clock.pass_(seconds=5)
    shop.callback(1, shop.paid(MerchantRequestID=absent))
    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, False)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


def test_a_callback_whose_merchant_id_is_left_out_gives_the_receipt_too(shop):
    transaction = shop.attempt()
    document = shop.paid()
    del document["Body"]["stkCallback"]["MerchantRequestID"]
    shop.callback(1, document)

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    assert shop.transaction(transaction).receipt == RECEIPT


@on_both
def test_blanks_around_ids_are_no_contradiction(shop):
    transaction = shop.attempt()
    ids = {
        "MerchantRequestID": f" {shop.daraja.merchant_id(1)}\n",
        "CheckoutRequestID": f"{shop.daraja.checkout_id(1)}\t ",
    }

    shop.callback(1, shop.paid(**ids))

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)


@pytest.mark.parametrize("absent", [None, 5, ""])
def test_a_failure_without_its_merchant_id_has_daraja_asked(shop, absent):
    transaction = shop.attempt()
    document = failure_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1))
    document["Body"]["stkCallback"]["MerchantRequestID"] = absent

    shop.callback(1, document)

    row = shop.transaction(transaction)
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
def test_a_receipt_is_taken_from_no_kept_body_that_disagrees(shop, name):
    transaction = shop.attempt()
    shop.callback(1, raw(shop.paid(**NO_RECEIPT[name])) + b" []")

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.final) == ("SUCCESS", None, False)


def test_a_receipt_is_taken_from_no_kept_body_of_an_address_that_is_not_listed(
    make_app, clock, daraja
):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    shop = Shop(app, clock, daraja)
    transaction = shop.attempt()
    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        data=raw(shop.paid()) + b" []",
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    assert (shop.transaction(transaction).status, shop.transaction(transaction).receipt) == (
        "SUCCESS",
        None,
    )


@on_both
def test_a_kept_receipt_that_another_payment_has_is_not_taken(shop):
    first = shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(1, shop.paid())
    shop.callback(2, raw(shop.paid(2)) + b" []")

    shop.record(second, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(second)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", None, True)
    assert first in shop.decisions(second)[-1].why
    assert not shop.transaction(first).needs_review  # Safaricom itself named that receipt for it


# -- where the answer to "is it paid, then?" is not yes ------------------------------------------

CLAIMS: dict[str, Callable[[bytes], bytes]] = {
    "text behind it": FAULTS["text behind it"],
    "no merchant id": lambda body: body.replace(b'"MerchantRequestID": ', b'"MerchantId": '),
}
on_each_claim = pytest.mark.parametrize("fault", CLAIMS)


def claim(shop, fault):
    """A success under the right token that cannot be believed as it is."""
    shop.callback(1, CLAIMS[fault](raw(shop.paid())))


def fail(shop, code):
    shop.callback(1, failure_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1), code))


def ask(shop, *answers):
    """Let Daraja be asked about what is due; returns how many questions that were."""
    shop.daraja.query_answers += answers
    with shop.sessions() as session:
        return reconciler.run_once(
            session, Access(shop.daraja, shop.budget, shop.now), shop.announce
        )


NOT_PAID = {"a failure": "1032", "under way": "4999", "no answer": UnknownOutcome("HTTP 500")}


@on_both
@on_each_claim
@pytest.mark.parametrize("answer", NOT_PAID)
@pytest.mark.parametrize("code", [2001, 1037], ids=["final", "not final"])
def test_a_claim_about_a_failure_that_daraja_does_not_prove_has_a_person_look(
    shop, clock, fault, answer, code
):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    fail(shop, code)
    before = shop.transaction(transaction)
    clock.pass_(seconds=5)
    claim(shop, fault)
    assert not shop.transaction(transaction).needs_review

    assert ask(shop, NOT_PAID[answer]) == 1

    row = shop.transaction(transaction)
    assert (row.status, row.reason, row.seq) == ("FAILED", before.reason, before.seq)
    assert (row.needs_review, row.next_ask_at) == (True, before.next_ask_at)
    why = shop.decisions(transaction)[-1].why
    assert why.startswith("claim_not_proven")


@on_both
@on_each_claim
def test_a_claim_that_a_query_contradicts_fails_and_has_a_person_look(shop, clock, fault):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    claim(shop, fault)

    ask(shop, "1032")

    row = shop.transaction(transaction)
    assert (row.status, row.reason, row.needs_review) == ("FAILED", "cancelled", True)


@on_each_claim
@pytest.mark.parametrize("answer", ["under way", "no answer"])
def test_what_is_pending_is_asked_about_further_and_needs_nobody_yet(shop, clock, fault, answer):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    claim(shop, fault)
    ask(shop, NOT_PAID[answer])
    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("PENDING", False)

    clock.pass_(seconds=15)
    ask(shop, "1032")

    assert shop.transaction(transaction).needs_review


@on_both
@on_each_claim
@pytest.mark.parametrize("asked_before", [False, True])
@pytest.mark.parametrize("code", [2001, 1037], ids=["final", "not final"])
def test_a_failure_that_is_told_after_a_claim_has_a_person_look_and_daraja_asked(
    shop, clock, fault, asked_before, code
):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    claim(shop, fault)
    if asked_before:
        ask(shop, "4999")
    clock.pass_(seconds=12)

    fail(shop, code)

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("FAILED", True)
    assert (row.next_ask_at, row.ask_urgently) == (clock(), True)
    ask(shop, "0")
    row = shop.transaction(transaction)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid_late", RECEIPT)


@on_each_claim
@pytest.mark.parametrize("code", [2001, 1037], ids=["final", "not final"])
def test_a_process_that_ends_while_it_asks_is_not_the_last_to_know_of_a_claim(
    shop, clock, monkeypatch, fault, code
):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    fail(shop, code)
    claim(shop, fault)
    with monkeypatch.context() as during:
        during.setattr(shop.daraja, "query", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            ask(shop)
    clock.pass_(minutes=3)

    assert ask(shop, "4999") == 1
    assert shop.transaction(transaction).needs_review


@on_each_claim
def test_a_claim_that_was_given_to_a_person_is_not_raised_again(shop, clock, fault):
    transaction = shop.attempt()
    clock.pass_(seconds=20)
    claim(shop, fault)
    ask(shop, "1032")
    shop.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    clock.pass_(minutes=4)
    assert ask(shop, "1032") == 1

    row = shop.transaction(transaction)
    assert (row.reason, row.needs_review) == ("closed_by_operator", False)


@on_both
def test_a_second_receipt_in_a_callback_that_cannot_be_read_has_a_person_look(shop):
    transaction = shop.attempt()
    shop.callback(1, shop.paid())

    shop.callback(1, raw(shop.paid(receipt="UKO2GHIJKL")) + b" []")

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, True)


# -- a callback that tells another amount --------------------------------------------------------


@on_both
@pytest.mark.parametrize("amount", [1, 151, 149.5, 0, "1.00"])
def test_a_query_does_not_overrule_a_callback_that_told_another_amount(shop, amount):
    transaction = shop.attempt()
    shop.callback(1, shop.paid(amount=amount))

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert shop.order_row(row.order_id).status == "OPEN"


@on_both
def test_nor_does_it_where_that_callback_overtook_the_pushs_answer(shop):
    shop.daraja.answers.append(lambda push: shop.callback(1, shop.paid(amount=1)))
    transaction = shop.attempt()

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("PENDING", True)


def test_nor_does_it_where_a_person_put_the_review_aside(shop):
    transaction = shop.attempt()
    shop.callback(1, shop.paid(amount=1))
    shop.record(transaction, ReviewSettled(), Kind.OPERATOR)
    assert not shop.transaction(transaction).needs_review

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("PENDING", True)


@on_both
def test_another_amount_that_is_told_after_a_query_leaves_the_success(shop):
    transaction = shop.attempt()
    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    shop.callback(1, shop.paid(amount=1))

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("SUCCESS", True)


@on_both
@pytest.mark.parametrize("how", ["a callback", "a person"])
def test_another_amount_does_not_stand_in_the_way_of_better_proof(shop, how):
    transaction = shop.attempt()
    shop.callback(1, shop.paid(amount=1))

    if how == "a callback":
        shop.callback(1, shop.paid())
    else:
        shop.record(transaction, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    row = shop.transaction(transaction)
    assert (row.status, row.receipt) == ("SUCCESS", RECEIPT)
    assert shop.order_row(row.order_id).status == "PAID"


def test_a_stranger_disputes_nothing(make_app, clock, daraja):
    app = make_app(CALLBACK_ALLOWED_IPS="196.201.212.0/24")
    shop = Shop(app, clock, daraja)
    transaction = shop.attempt()
    app.test_client().post(
        f"/callback/{daraja.token_of(1)}",
        json=shop.paid(amount=1),
        environ_base={"REMOTE_ADDR": "203.0.113.9"},
    )

    shop.record(transaction, QUERY_PAID, Kind.QUERY)

    assert shop.transaction(transaction).status == "SUCCESS"


# -- one receipt, two payments -------------------------------------------------------------------


def marked_with_the_others_receipt(shop):
    """An operator marks the first as paid, with the receipt of the second."""
    first = shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)
    assert not shop.transaction(first).needs_review
    return first, second


def assert_both_are_looked_at(shop, first, second):
    holder, claimant = shop.transaction(first), shop.transaction(second)
    assert (holder.status, holder.receipt, holder.needs_review) == ("SUCCESS", RECEIPT, True)
    assert (claimant.receipt, claimant.needs_review) == (None, True)
    asked = [each.why for each in shop.decisions(first) if each.needs_review]
    assert asked == [f"receipt_claimed: {second}"]
    assert any(each.why.endswith(f": {first}") for each in shop.decisions(second))


@on_both
def test_who_has_a_receipt_by_a_persons_word_is_looked_at_once_its_own_callback_comes(
    shop,
):
    first, second = marked_with_the_others_receipt(shop)

    shop.callback(2, shop.paid(2))

    assert_both_are_looked_at(shop, first, second)


@on_both
def test_so_it_is_where_the_callback_overtakes_the_pushs_answer(shop):
    first = shop.attempt()
    shop.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)
    shop.daraja.answers.append(lambda push: shop.callback(2, shop.paid(2)))

    second = shop.attempt(SECOND_PAYER_MSISDN)

    assert_both_are_looked_at(shop, first, second)


@on_both
def test_so_it_is_where_the_receipt_stands_in_a_kept_body(shop):
    first, second = marked_with_the_others_receipt(shop)
    shop.callback(2, raw(shop.paid(2)) + b" []")
    assert not shop.transaction(first).needs_review

    shop.record(second, QUERY_PAID, Kind.QUERY)

    assert_both_are_looked_at(shop, first, second)
    assert shop.transaction(second).status == "SUCCESS"


@on_both
def test_both_are_paid_by_one_receipt_where_they_are_attempts_of_one_order(shop):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, failure_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1)))
    second = shop.start(order).transaction_id
    shop.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    shop.callback(2, shop.paid(2))

    told = [shop.snapshot(each) for each in (first, second)]
    assert [(each["status"], each["receipt"]) for each in told] == [("SUCCESS", RECEIPT)] * 2
    assert not shop.transaction(first).needs_review
    assert not shop.transaction(second).needs_review


def test_the_merchant_is_told_of_both(make_app, clock, daraja):
    app = make_app(WEBHOOK_URL="http://127.0.0.1:9/", WEBHOOK_SECRET="whsec_" + "a2tr" * 8)
    shop = Shop(app, clock, daraja)
    first, second = marked_with_the_others_receipt(shop)

    shop.callback(2, shop.paid(2))

    with shop.sessions() as session:
        told = session.execute(select(WebhookMessage.transaction_id, WebhookMessage.type)).all()
    assert sorted(map(tuple, told)) == sorted(
        [
            (first, "transaction.succeeded"),
            (first, "transaction.needs_review"),
            (second, "transaction.needs_review"),
        ]
    )


def test_it_is_noted_once_however_often_the_callback_comes(shop):
    first, _second = marked_with_the_others_receipt(shop)
    shop.callback(2, shop.paid(2))
    shop.record(first, ReviewSettled(), Kind.OPERATOR)

    for _ in range(3):
        shop.callback(2, shop.paid(2))

    assert not shop.transaction(first).needs_review
    assert [each.kind for each in shop.evidence(first)].count("claim") == 1


def test_whose_own_callback_named_the_receipt_is_not_suspected(shop):
    first = shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.record(first, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)
    shop.callback(1, shop.paid())

    shop.callback(2, shop.paid(2))

    assert not shop.transaction(first).needs_review
    assert shop.transaction(second).needs_review


@pytest.mark.parametrize("changed", [{"amount": 1}, {"checkout_id": "ws_CO_another"}])
def test_a_callback_that_would_not_be_believed_anyway_suspects_nobody(shop, changed):
    first, second = marked_with_the_others_receipt(shop)

    shop.callback(2, shop.paid(2, **changed))

    assert not shop.transaction(first).needs_review
    assert shop.transaction(second).needs_review


@on_both
def test_however_operator_and_callback_race_somebody_looks_at_both(shop):
    for number in range(10):
        receipt, push = f"UKO1ABCD{number:02d}", 2 * number + 1
        first = shop.attempt(f"2547000000{push:02d}")
        second = shop.attempt(f"2547000000{push + 1:02d}")

        outcomes = at_once(
            [
                lambda first=first, receipt=receipt: shop.record(
                    first, OperatorSaysPaid(receipt), Kind.OPERATOR
                ),
                lambda push=push, receipt=receipt: shop.callback(
                    push + 1, shop.paid(push + 1, receipt=receipt)
                ),
            ]
        )

        assert not [each for each in outcomes if isinstance(each, Exception)]
        holder, claimant = shop.transaction(first), shop.transaction(second)
        if claimant.receipt:  # the callback was first, so nobody has it on a person's word
            assert (holder.status, holder.receipt, holder.needs_review) == ("PENDING", None, True)
            assert not claimant.needs_review
        else:
            assert (holder.receipt, holder.needs_review) == (receipt, True)
            assert claimant.needs_review


@pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
def test_who_marks_as_paid_while_another_gives_the_receipt_away_is_heard_all_the_same(
    shop, monkeypatch
):
    order, marked = shop.order(reference="INV-2"), shop.attempt()
    shop.confirm("nobody's")
    look_up = owners.look_up

    def overtaken(connection, attempt, evidence):
        found = look_up(connection, attempt, evidence)
        monkeypatch.setattr(owners, "look_up", look_up)
        with shop.sessions() as session:
            wanted = receipts.Claim(RECEIPT, order, "amina")
            receipts.claim(session, wanted, shop.receipt_needs())
        return found

    monkeypatch.setattr(owners, "look_up", overtaken)
    shop.record(marked, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    row = shop.transaction(marked)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert shop.order_row(order).status == "PAID"


class Killed(BaseException):
    """The process ended here."""


@contextmanager
def killed_before_statement(shop, left):
    def count(*_):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed

    event.listen(shop.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(shop.engine, "before_cursor_execute", count)


@on_both
@pytest.mark.parametrize("early", [False, True], ids=["ids known", "ids not known yet"])
def test_wherever_the_process_ends_both_are_looked_at_in_the_end(shop, early):
    ended_well = 0
    for number in range(60):
        first, second, push, receipt = a_pair(shop, number, early)
        stored = taken = False
        try:
            with killed_before_statement(shop, number):
                shop.callback(push, shop.paid(push, receipt=receipt))
            taken = True
        except Killed:
            stored = any(each.kind == "callback" for each in shop.evidence(second))
            with shop.sessions() as session:
                inbox.judge_waiting(session, shop.inbox_needs())

        looked_at = [shop.transaction(each).needs_review for each in (first, second)]
        if taken or stored:
            assert looked_at == [True, True]
        assert looked_at[0] or not looked_at[1]  # never the one that was robbed alone
        ended_well += taken
    assert 1 <= ended_well < 60  # it was killed at each statement, and lived through the last


def a_pair(shop, number, early):
    """A payment that an operator marked with the receipt of another one, whose push is told."""
    receipt, push = f"UKO1ABCD{number:02d}", 2 * number + 2
    shop.now.pass_(seconds=1)
    first = shop.attempt(f"25470000{push - 1:04d}")
    second = shop.attempt(f"25470000{push:04d}")
    shop.record(first, OperatorSaysPaid(receipt), Kind.OPERATOR)
    if early:
        with shop.sessions() as session:
            row = session.get_one(Transaction, second)
            row.checkout_request_id = row.merchant_request_id = None
            session.commit()
    return first, second, push, receipt

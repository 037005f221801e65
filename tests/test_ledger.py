"""The one door: evidence, decision and change in one commit, however many come at once."""

import sys
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError, OperationalError

from mpesa import inbox, ledger
from mpesa.domain.callback import StkResult
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import (
    CallbackReceived,
    CodeTyped,
    OperatorSaysNotPaid,
    OperatorSaysPaid,
    PushAnswered,
    QueryAnswered,
    WaitOver,
)
from mpesa.ids import hash_token
from mpesa.models import Transaction
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    raw,
    success_callback,
)
from tests.shop import at_once

on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
CROWD = 20


def two_payments_of_one_order(shop):
    """An order whose first attempt was cancelled and whose second was paid."""
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, shop.failed())
    second = shop.start(order).transaction_id
    shop.callback(2, shop.paid(2))
    return order, first, second


# -- one commit ----------------------------------------------------------------------------------


@on_both
def test_a_change_is_committed_together_with_its_evidence_and_its_decision(shop):
    transaction = shop.attempt()

    changed = shop.record(transaction, CallbackReceived(_success(shop)))

    row, evidence = shop.transaction(transaction), shop.evidence(transaction)[-1]
    decision = shop.decisions(transaction)[-1]
    assert changed == [transaction]
    assert (row.status, row.receipt, row.is_open) == ("SUCCESS", RECEIPT, False)
    assert (evidence.kind, evidence.body) == ("callback", b"{}")
    assert (decision.evidence_id, decision.status, decision.seq) == (
        evidence.id,
        "SUCCESS",
        row.seq,
    )
    assert decision.why


def test_evidence_that_changes_nothing_is_kept_without_a_new_seq(shop):
    transaction = shop.attempt()
    shop.callback(1, shop.paid())
    seq = shop.transaction(transaction).seq

    changed = shop.record(transaction, QueryAnswered("1032"), Kind.QUERY)

    assert changed == []
    assert shop.transaction(transaction).seq == seq
    assert shop.evidence(transaction)[-1].kind == "query"
    assert "query_only_recorded" in shop.decisions(transaction)[-1].why


def test_the_push_answer_gives_ids_without_a_new_seq(shop):
    transaction = shop.attempt()

    row = shop.transaction(transaction)

    assert row.checkout_request_id == shop.daraja.checkout_id(1)
    assert row.merchant_request_id == shop.daraja.merchant_id(1)
    assert shop.snapshot(transaction)["seq"] == row.seq


def test_seq_grows_by_one_with_every_change_that_is_shown(shop, clock):
    transaction = shop.attempt()
    seen = [shop.snapshot(transaction)["seq"]]
    for heard in (
        WaitOver(),
        QueryAnswered("1032"),
        QueryAnswered("1032"),
        CallbackReceived(_success(shop)),
        CallbackReceived(_success(shop)),
    ):
        clock.pass_(seconds=40)
        shop.record(transaction, heard)
        seen.append(shop.snapshot(transaction)["seq"])

    first = seen[0]
    assert seen == [first, first + 1, first + 2, first + 2, first + 3, first + 3]


def test_updated_at_moves_only_with_seq(shop, clock):
    transaction = shop.attempt()
    before = shop.snapshot(transaction)["updated_at"]
    clock.pass_(seconds=20)

    shop.record(transaction, QueryAnswered("4999"))
    unchanged = shop.snapshot(transaction)["updated_at"]
    shop.record(transaction, QueryAnswered("1032"))

    assert unchanged == before
    assert shop.snapshot(transaction)["updated_at"] == "2026-11-24T09:00:20Z"


def test_a_review_is_never_taken_away_by_later_evidence(shop):
    transaction = shop.attempt()
    shop.callback(1, shop.paid(amount=1))
    assert shop.transaction(transaction).needs_review

    shop.callback(1, shop.paid())

    row = shop.transaction(transaction)
    assert (row.status, row.needs_review) == ("SUCCESS", True)


def test_evidence_for_a_typed_code_asks_daraja_now(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=10)

    changed = shop.record(transaction, CodeTyped(), Kind.SMS_CODE)

    row = shop.transaction(transaction)
    assert changed == []
    assert (row.status, row.next_ask_at, row.needs_review) == ("PENDING", clock(), False)


# -- a callback and its decision in one commit ----------------------------------------------------


def record_callback(shop, token, heard):
    """Record what arrived under a token."""
    with shop.sessions() as session:
        arrived = Raw(Kind.CALLBACK, b"{}")
        return ledger.record_callback(session, hash_token(token), heard, arrived, shop.now)


@on_both
def test_a_callback_is_recorded_under_its_own_token_and_drawn_as_committed(shop):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, shop.failed())
    second = shop.start(order).transaction_id

    changes = record_callback(shop, shop.daraja.token_of(2), CallbackReceived(_success(shop, 2)))

    assert changes is not None
    assert {each.transaction_id for each in changes} == {first, second}
    assert [each.snapshot for each in changes] == [
        shop.snapshot(each.transaction_id) for each in changes
    ]
    assert shop.evidence(second)[-1].body == b"{}"


def test_no_transaction_has_an_unknown_token(shop):
    transaction = shop.attempt()
    before = len(shop.evidence(transaction))

    assert record_callback(shop, "0" * 64, CallbackReceived(_success(shop))) is None
    assert len(shop.evidence(transaction)) == before


@on_postgresql
def test_a_callback_whose_order_is_held_is_refused_at_once(shop):
    transaction = shop.attempt()
    before = len(shop.evidence(transaction))

    with shop.sessions() as holder:
        ledger.lock_order(holder, shop.transaction(transaction).order_id)
        with pytest.raises(OperationalError):
            record_callback(shop, shop.daraja.token_of(1), CallbackReceived(_success(shop)))
        holder.rollback()

    assert len(shop.evidence(transaction)) == before


@on_both
def test_a_callback_with_anothers_receipt_is_refused_whole(shop):
    shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(1, shop.paid(1))
    before = len(shop.evidence(second))

    with pytest.raises(IntegrityError):
        record_callback(shop, shop.daraja.token_of(2), CallbackReceived(_success(shop, 2)))

    assert len(shop.evidence(second)) == before
    assert shop.transaction(second).status == "PENDING"


# -- which money pays the order ------------------------------------------------------------------


@on_both
def test_the_first_success_pays_the_order_and_the_other_attempts_hear_of_it(shop):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, shop.failed())
    second = shop.start(order).transaction_id
    before = shop.snapshot(first)
    shop.announced.clear()

    shop.callback(2, shop.paid(2))

    after = shop.snapshot(first)
    assert shop.order_row(order).status == "PAID"
    assert shop.transaction(second).settles_order
    assert not shop.transaction(second).needs_review
    assert (after["seq"], after["order_status"]) == (before["seq"] + 1, "PAID")
    assert (after["status"], after["can_retry"]) == ("FAILED", False)
    assert sorted(shop.announced) == sorted([first, second])


@on_both
def test_a_second_payment_for_a_paid_order_is_a_success_that_a_person_must_see(shop):
    order, first, second = two_payments_of_one_order(shop)

    shop.callback(1, shop.paid(1, receipt="UKO1ZZZZZZ"))

    row = shop.transaction(first)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid_late", "UKO1ZZZZZZ")
    assert (row.needs_review, row.settles_order) == (True, False)
    assert shop.transaction(second).settles_order
    assert not shop.transaction(second).needs_review
    assert shop.order_row(order).status == "PAID"


def test_a_second_payment_does_not_stir_the_attempt_that_paid(shop):
    _order, first, second = two_payments_of_one_order(shop)
    before = shop.snapshot(second)["seq"]
    shop.announced.clear()

    shop.callback(1, shop.paid(1, receipt="UKO1ZZZZZZ"))

    assert shop.snapshot(second)["seq"] == before
    assert shop.announced == [first]


@on_both
def test_a_callback_that_says_what_a_query_said_ends_the_doubt_about_the_money(shop):
    transaction = shop.attempt()
    shop.record(transaction, QueryAnswered("1032"), Kind.QUERY)
    before = shop.snapshot(transaction)
    shop.announced.clear()

    shop.callback(1, shop.failed())

    after = shop.snapshot(transaction)
    assert (before["reason"], before["money"]) == ("cancelled", "unknown")
    assert (after["reason"], after["money"]) == ("cancelled", "not_taken")
    assert after["seq"] == before["seq"] + 1
    assert shop.announced == [transaction]


@on_both
def test_the_attempt_that_paid_says_as_long_as_needed_to_cancel_another_ones_prompt(shop, clock):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, shop.failed(code=1037))
    clock.pass_(seconds=120)
    second = shop.start(order).transaction_id
    shop.callback(1, shop.paid())
    before = shop.snapshot(first)
    shop.announced.clear()

    shop.callback(2, shop.failed(2))

    after = shop.snapshot(first)
    assert (before["view"], before["money"], before["next"]) == ("paid", "taken", "cancel_prompt")
    assert (after["view"], after["money"], after["next"]) == ("paid", "taken", "none")
    assert after["seq"] == before["seq"] + 1
    assert sorted(shop.announced) == sorted([first, second])


def test_money_for_a_cancelled_order_pays_it_and_needs_review(shop):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    shop.callback(1, shop.failed())
    shop.cancel(order)

    shop.callback(1, shop.paid())

    row = shop.transaction(transaction)
    assert shop.order_row(order).status == "PAID"
    assert (row.status, row.reason) == ("SUCCESS", "paid_late")
    assert (row.settles_order, row.needs_review) == (True, True)


def test_money_for_an_expired_order_pays_it_and_needs_review(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(minutes=2))
    transaction = shop.start(order).transaction_id
    clock.pass_(seconds=181)
    assert shop.snapshot(transaction)["order_status"] == "EXPIRED"

    shop.callback(1, shop.paid())

    row = shop.transaction(transaction)
    assert shop.snapshot(transaction)["order_status"] == "PAID"
    assert (row.status, row.settles_order, row.needs_review) == ("SUCCESS", True, True)


def test_money_for_a_prompt_that_outlived_the_expiry_is_in_order(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    transaction = shop.start(order).transaction_id
    clock.pass_(seconds=30)

    shop.callback(1, shop.paid())

    assert shop.order_row(order).status == "PAID"
    assert not shop.transaction(transaction).needs_review


def test_an_operators_word_pays_a_failed_attempt(shop):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    shop.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    shop.record(transaction, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    row = shop.transaction(transaction)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid_late", RECEIPT)
    assert shop.order_row(order).status == "PAID"


# -- used once -----------------------------------------------------------------------------------


def test_a_receipt_pays_once(shop):
    shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(1, shop.paid(1))

    shop.callback(2, shop.paid(2))

    row = shop.transaction(second)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert shop.evidence(second)[-1].body == raw(shop.paid(2))


def test_an_operator_cannot_spend_a_receipt_again(shop):
    shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(1, shop.paid(1))

    shop.record(second, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    assert (shop.transaction(second).status, shop.transaction(second).receipt) == ("PENDING", None)


def test_the_push_answer_cannot_take_anothers_id(shop):
    shop.attempt()
    second = shop.attempt(SECOND_PAYER_MSISDN)
    with shop.sessions() as session:
        row = session.get_one(Transaction, second)
        row.checkout_request_id = row.merchant_request_id = None
        session.commit()

    ids = (shop.daraja.merchant_id(1), shop.daraja.checkout_id(1))
    shop.record(second, PushAnswered(*ids), Kind.PUSH_ANSWER)

    row = shop.transaction(second)
    assert (row.checkout_request_id, row.status, row.needs_review) == (None, "PENDING", True)


# -- many at once --------------------------------------------------------------------------------


@on_both
def test_fifty_equal_callbacks_at_once_make_one_change(shop):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    before = shop.transaction(transaction).seq
    shop.announced.clear()

    outcomes = at_once([lambda: shop.callback(1, shop.paid())] * 50)

    row = shop.transaction(transaction)
    assert outcomes == [None] * 50
    assert (row.status, row.receipt, row.seq) == ("SUCCESS", RECEIPT, before + 1)
    assert not row.needs_review
    assert shop.announced == [transaction]
    assert len(shop.evidence(transaction)) == 1 + 50
    assert len(shop.decisions(transaction)) == 1 + 50


@on_both
def test_a_callback_a_query_and_the_clock_at_once_end_in_one_success(shop, clock):
    transaction = shop.attempt()
    before = shop.transaction(transaction).seq
    clock.pass_(seconds=61)
    query = partial(shop.record, transaction, QueryAnswered("0"), Kind.QUERY)

    outcomes = at_once([lambda: shop.callback(1, shop.paid()), query, shop.tick] * 5)

    row = shop.transaction(transaction)
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    assert (row.status, row.receipt, row.final) == ("SUCCESS", RECEIPT, True)
    assert not row.needs_review
    # The end of the wait, the query and the callback may each have been first: three changes.
    assert before < row.seq <= before + 3


@on_both
def test_a_success_and_failures_at_once_end_as_the_success(shop):
    transaction = shop.attempt()
    crowd = [lambda: shop.callback(1, shop.failed(code=1037))] * 10
    crowd.insert(5, lambda: shop.callback(1, shop.paid()))

    outcomes = at_once(crowd)

    assert outcomes == [None] * 11
    assert shop.transaction(transaction).status == "SUCCESS"
    assert shop.order_row(shop.transaction(transaction).order_id).status == "PAID"


@on_both
def test_one_receipt_claimed_for_many_orders_at_once_is_used_once(shop):
    lines = [f"2547000000{number:02d}" for number in range(10)]
    mine = [shop.attempt(line) for line in lines]

    outcomes = at_once(
        [lambda push=push: shop.callback(push, shop.paid(push)) for push in range(1, 11)]
    )

    rows = [shop.transaction(each) for each in mine]
    paid_rows = [row for row in rows if row.status == "SUCCESS"]
    assert outcomes == [None] * 10
    assert [row.receipt for row in paid_rows] == [RECEIPT]
    assert [row.needs_review for row in rows if row.status == "PENDING"] == [True] * 9
    assert all(len(shop.evidence(each)) == 2 for each in mine)
    assert all(len(shop.decisions(each)) == 2 for each in mine)


@on_both
def test_one_checkout_id_claimed_by_two_orders_at_once_is_adopted_once(shop):
    mine = [_without_ids(shop, shop.attempt(f"2547000000{number:02d}")) for number in range(6)]
    claims = [
        success_callback(shop.daraja.checkout_id(1), shop.daraja.merchant_id(1), receipt=receipt)
        for receipt in (f"UKO1AAAAA{number}" for number in range(6))
    ]

    outcomes = at_once([lambda n=n: shop.callback(n + 1, claims[n]) for n in range(6)])

    rows = [shop.transaction(each) for each in mine]
    assert outcomes == [None] * 6
    assert sorted(row.status for row in rows) == ["PENDING"] * 5 + ["SUCCESS"]
    assert [row.needs_review for row in rows if row.status == "PENDING"] == [True] * 5
    assert sum(row.checkout_request_id is not None for row in rows) == 1


@on_both
def test_two_payments_of_one_order_at_once_settle_it_once(shop, clock):
    order = shop.order()
    mine = [shop.start(order).transaction_id]
    clock.pass_(seconds=181)
    mine.append(shop.start(order).transaction_id)

    outcomes = at_once(
        [
            lambda: shop.callback(1, shop.paid(1, receipt="UKO1AAAAAA")),
            lambda: shop.callback(2, shop.paid(2, receipt="UKO1BBBBBB")),
        ]
    )

    rows = [shop.transaction(each) for each in mine]
    assert outcomes == [None, None]
    assert [row.status for row in rows] == ["SUCCESS", "SUCCESS"]
    assert sorted((row.settles_order, row.needs_review) for row in rows) == [
        (False, True),
        (True, False),
    ]


# -- a crash between storing and judging ---------------------------------------------------------


@on_both
def test_evidence_stored_before_a_crash_is_judged_afterwards(shop):
    transaction = shop.attempt()
    arrived = Raw(Kind.CALLBACK, raw(shop.paid()), "196.201.212.69")
    with shop.sessions() as session:
        stored = ledger.store(session, transaction, arrived, shop.now)
    assert shop.transaction(transaction).status == "PENDING"
    shop.announced.clear()

    with shop.sessions() as session:
        judged = inbox.judge_waiting(session, shop.inbox_needs()).count

    assert judged == 1
    assert shop.transaction(transaction).status == "SUCCESS"
    assert shop.decisions(transaction)[-1].evidence_id == stored.stored_id
    assert len(shop.evidence(transaction)) == 2
    assert shop.announced == [transaction]


def test_what_was_judged_is_not_judged_again(shop):
    transaction = shop.attempt()
    shop.callback(1, shop.paid())

    with shop.sessions() as session:
        judged = inbox.judge_waiting(session, shop.inbox_needs()).count

    assert judged == 0
    assert len(shop.decisions(transaction)) == 2


# -- reading -------------------------------------------------------------------------------------


def test_an_unknown_transaction_has_no_snapshot(shop):
    assert ledger.snapshot_of(shop.engine, "nobody", shop.now()) is None


def test_the_newest_attempt_decides_whether_any_of_them_may_retry(shop):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, shop.failed())
    assert shop.snapshot(first)["can_retry"]

    shop.start(order)

    assert not shop.snapshot(first)["can_retry"]


def test_a_snapshot_holds_neither_the_number_nor_the_checkout_id(shop):
    transaction = shop.attempt()

    shown = str(shop.snapshot(transaction))

    assert "0712•••678" in shown
    assert "712345678" not in shown
    assert "ws_CO" not in shown


def _success(shop, push=1):
    ids = (shop.daraja.merchant_id(push), shop.daraja.checkout_id(push))
    return StkResult("0", *ids, amount=150, receipt=RECEIPT)


def _without_ids(shop, transaction_id):
    """As after a push whose answer never came."""
    with shop.sessions() as session:
        row = session.get_one(Transaction, transaction_id)
        row.checkout_request_id = row.merchant_request_id = None
        session.commit()
    return transaction_id


@on_both
def test_a_receipt_filled_in_leaves_money_twice_under_review(shop):
    order = shop.order()
    shop.start(order)
    shop.now.pass_(seconds=181)
    second = shop.start(order).transaction_id
    shop.callback(1, shop.paid(1))
    shop.record(second, QueryAnswered("0"), Kind.QUERY)

    shop.record(second, OperatorSaysPaid("UKO9ZZZZZZ"), Kind.OPERATOR)

    row = shop.transaction(second)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", "UKO9ZZZZZZ", True)


@on_both
def test_a_callback_passes_three_functions_of_the_ledger_until_its_commit(shop):
    transaction = shop.attempt()
    passed, committed = [], []

    def watch(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_name == "write_and_commit":
            committed.append(True)
        if event == "call" and code.co_filename == ledger.__file__ and not committed:
            passed.append(code.co_name)

    sys.setprofile(watch)
    try:
        shop.callback(1, shop.paid())
    finally:
        sys.setprofile(None)

    assert passed == ["record_callback", "_decide_and_commit"]
    assert shop.transaction(transaction).status == "SUCCESS"

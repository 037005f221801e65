"""The one door: evidence, decision and change in one commit, however many come at once."""

import sys
from datetime import timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError, OperationalError

from mpesa import inbox, ledger
from mpesa.domain.callback import StkResult
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
from mpesa.ledger import Change, Kind, Raw
from mpesa.models import Transaction
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
on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
CROWD = 20


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def paid(desk: Desk, push: int = 1, receipt: str = RECEIPT, **changed: object) -> dict:
    """The success callback of the n-th push."""
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    return success_callback(*ids, receipt=receipt, **changed)


def failed(desk: Desk, push: int = 1, code: object = 1032) -> dict:
    """A failure callback of the n-th push."""
    return failure_callback(desk.daraja.checkout_id(push), desk.daraja.merchant_id(push), code)


def two_payments_of_one_order(desk: Desk) -> tuple[str, str, str]:
    """An order whose first attempt was cancelled and whose second was paid."""
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failed(desk))
    second = desk.start(order).transaction_id
    desk.callback(2, paid(desk, 2))
    return order, first, second


# -- one commit ----------------------------------------------------------------------------------


@on_both
def test_a_change_is_committed_together_with_its_evidence_and_its_decision(desk: Desk) -> None:
    transaction = desk.attempt()

    changed = desk.record(transaction, CallbackReceived(_success(desk)))

    row, evidence = desk.transaction(transaction), desk.evidence(transaction)[-1]
    decision = desk.decisions(transaction)[-1]
    assert changed == [transaction]
    assert (row.status, row.receipt, row.is_open) == ("SUCCESS", RECEIPT, False)
    assert (evidence.kind, evidence.body) == ("callback", b"{}")
    assert (decision.evidence_id, decision.status, decision.seq) == (
        evidence.id,
        "SUCCESS",
        row.seq,
    )
    assert decision.why


def test_evidence_that_changes_nothing_is_kept_without_a_new_seq(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk))
    seq = desk.transaction(transaction).seq

    changed = desk.record(transaction, QueryAnswered("1032"), Kind.QUERY)

    assert changed == []
    assert desk.transaction(transaction).seq == seq
    assert desk.evidence(transaction)[-1].kind == "query"
    assert "query_only_recorded" in desk.decisions(transaction)[-1].why


def test_the_push_answer_gives_ids_without_a_new_seq(desk: Desk) -> None:
    transaction = desk.attempt()

    row = desk.transaction(transaction)

    assert row.checkout_request_id == desk.daraja.checkout_id(1)
    assert row.merchant_request_id == desk.daraja.merchant_id(1)
    assert desk.snapshot(transaction)["seq"] == row.seq


def test_seq_grows_by_one_with_every_change_that_is_shown(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    seen = [desk.snapshot(transaction)["seq"]]
    for heard in (
        WaitOver(),
        QueryAnswered("1032"),
        QueryAnswered("1032"),
        CallbackReceived(_success(desk)),
        CallbackReceived(_success(desk)),
    ):
        clock.pass_(seconds=40)
        desk.record(transaction, heard)
        seen.append(desk.snapshot(transaction)["seq"])

    first = seen[0]
    assert seen == [first, first + 1, first + 2, first + 2, first + 3, first + 3]


def test_updated_at_moves_only_with_seq(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    before = desk.snapshot(transaction)["updated_at"]
    clock.pass_(seconds=20)

    desk.record(transaction, QueryAnswered("4999"))
    unchanged = desk.snapshot(transaction)["updated_at"]
    desk.record(transaction, QueryAnswered("1032"))

    assert unchanged == before
    assert desk.snapshot(transaction)["updated_at"] == "2026-11-24T09:00:20Z"


def test_a_review_is_never_taken_away_by_later_evidence(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk, amount=1))
    assert desk.transaction(transaction).needs_review

    desk.callback(1, paid(desk))

    row = desk.transaction(transaction)
    assert (row.status, row.needs_review) == ("SUCCESS", True)


def test_evidence_for_a_typed_code_asks_daraja_now(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=10)

    changed = desk.record(transaction, CodeTyped(), Kind.SMS_CODE)

    row = desk.transaction(transaction)
    assert changed == []
    assert (row.status, row.next_ask_at, row.needs_review) == ("PENDING", clock(), False)


# -- a callback and its decision in one commit ----------------------------------------------------


def record_callback(desk: Desk, token: str, heard: CallbackReceived) -> list[Change] | None:
    """Record what arrived under a token."""
    with desk.sessions() as session:
        arrived = Raw(Kind.CALLBACK, b"{}")
        return ledger.record_callback(session, hash_token(token), heard, arrived, desk.now)


@on_both
def test_a_callback_is_recorded_under_its_own_token_and_drawn_as_committed(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failed(desk))
    second = desk.start(order).transaction_id

    changes = record_callback(desk, desk.daraja.token_of(2), CallbackReceived(_success(desk, 2)))

    assert changes is not None
    assert {each.transaction_id for each in changes} == {first, second}
    assert [each.snapshot for each in changes] == [
        desk.snapshot(each.transaction_id) for each in changes
    ]
    assert desk.evidence(second)[-1].body == b"{}"


def test_no_transaction_has_an_unknown_token(desk: Desk) -> None:
    transaction = desk.attempt()
    before = len(desk.evidence(transaction))

    assert record_callback(desk, "0" * 64, CallbackReceived(_success(desk))) is None
    assert len(desk.evidence(transaction)) == before


@on_postgresql
def test_a_callback_whose_order_is_held_is_refused_at_once(desk: Desk) -> None:
    transaction = desk.attempt()
    before = len(desk.evidence(transaction))

    with desk.sessions() as holder:
        ledger.lock_order(holder, desk.transaction(transaction).order_id)
        with pytest.raises(OperationalError):
            record_callback(desk, desk.daraja.token_of(1), CallbackReceived(_success(desk)))
        holder.rollback()

    assert len(desk.evidence(transaction)) == before


@on_both
def test_a_callback_with_anothers_receipt_is_refused_whole(desk: Desk) -> None:
    desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(1, paid(desk, 1))
    before = len(desk.evidence(second))

    with pytest.raises(IntegrityError):
        record_callback(desk, desk.daraja.token_of(2), CallbackReceived(_success(desk, 2)))

    assert len(desk.evidence(second)) == before
    assert desk.transaction(second).status == "PENDING"


# -- which money pays the order ------------------------------------------------------------------


@on_both
def test_the_first_success_pays_the_order_and_the_other_attempts_hear_of_it(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failed(desk))
    second = desk.start(order).transaction_id
    before = desk.snapshot(first)
    desk.announced.clear()

    desk.callback(2, paid(desk, 2))

    after = desk.snapshot(first)
    assert desk.order_row(order).status == "PAID"
    assert desk.transaction(second).settles_order
    assert not desk.transaction(second).needs_review
    assert (after["seq"], after["order_status"]) == (before["seq"] + 1, "PAID")
    assert (after["status"], after["can_retry"]) == ("FAILED", False)
    assert sorted(desk.announced) == sorted([first, second])


@on_both
def test_a_second_payment_for_a_paid_order_is_a_success_that_a_person_must_see(desk: Desk) -> None:
    order, first, second = two_payments_of_one_order(desk)

    desk.callback(1, paid(desk, 1, receipt="UKO1ZZZZZZ"))

    row = desk.transaction(first)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid_late", "UKO1ZZZZZZ")
    assert (row.needs_review, row.settles_order) == (True, False)
    assert desk.transaction(second).settles_order
    assert not desk.transaction(second).needs_review
    assert desk.order_row(order).status == "PAID"


def test_a_second_payment_does_not_stir_the_attempt_that_paid(desk: Desk) -> None:
    _order, first, second = two_payments_of_one_order(desk)
    before = desk.snapshot(second)["seq"]
    desk.announced.clear()

    desk.callback(1, paid(desk, 1, receipt="UKO1ZZZZZZ"))

    assert desk.snapshot(second)["seq"] == before
    assert desk.announced == [first]


@on_both
def test_a_callback_that_says_what_a_query_said_ends_the_doubt_about_the_money(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.record(transaction, QueryAnswered("1032"), Kind.QUERY)
    before = desk.snapshot(transaction)
    desk.announced.clear()

    desk.callback(1, failed(desk))

    after = desk.snapshot(transaction)
    assert (before["reason"], before["money"]) == ("cancelled", "unknown")
    assert (after["reason"], after["money"]) == ("cancelled", "not_taken")
    assert after["seq"] == before["seq"] + 1
    assert desk.announced == [transaction]


@on_both
def test_the_attempt_that_paid_says_as_long_as_needed_to_cancel_another_ones_prompt(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failed(desk, code=1037))
    clock.pass_(seconds=120)
    second = desk.start(order).transaction_id
    desk.callback(1, paid(desk))
    before = desk.snapshot(first)
    desk.announced.clear()

    desk.callback(2, failed(desk, 2))

    after = desk.snapshot(first)
    assert (before["view"], before["money"], before["next"]) == ("paid", "taken", "cancel_prompt")
    assert (after["view"], after["money"], after["next"]) == ("paid", "taken", "none")
    assert after["seq"] == before["seq"] + 1
    assert sorted(desk.announced) == sorted([first, second])


def test_money_for_a_cancelled_order_pays_it_and_needs_review(desk: Desk) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    desk.callback(1, failed(desk))
    desk.cancel(order)

    desk.callback(1, paid(desk))

    row = desk.transaction(transaction)
    assert desk.order_row(order).status == "PAID"
    assert (row.status, row.reason) == ("SUCCESS", "paid_late")
    assert (row.settles_order, row.needs_review) == (True, True)


def test_money_for_an_expired_order_pays_it_and_needs_review(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(minutes=2))
    transaction = desk.start(order).transaction_id
    clock.pass_(seconds=181)
    assert desk.snapshot(transaction)["order_status"] == "EXPIRED"

    desk.callback(1, paid(desk))

    row = desk.transaction(transaction)
    assert desk.snapshot(transaction)["order_status"] == "PAID"
    assert (row.status, row.settles_order, row.needs_review) == ("SUCCESS", True, True)


def test_money_for_a_prompt_that_outlived_the_expiry_is_in_order(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    transaction = desk.start(order).transaction_id
    clock.pass_(seconds=30)

    desk.callback(1, paid(desk))

    assert desk.order_row(order).status == "PAID"
    assert not desk.transaction(transaction).needs_review


def test_an_operators_word_pays_a_failed_attempt(desk: Desk) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    desk.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    desk.record(transaction, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    row = desk.transaction(transaction)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid_late", RECEIPT)
    assert desk.order_row(order).status == "PAID"


# -- used once -----------------------------------------------------------------------------------


def test_a_receipt_pays_once(desk: Desk) -> None:
    desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(1, paid(desk, 1))

    desk.callback(2, paid(desk, 2))

    row = desk.transaction(second)
    assert (row.status, row.receipt, row.needs_review) == ("PENDING", None, True)
    assert desk.evidence(second)[-1].body == raw(paid(desk, 2))


def test_an_operator_cannot_spend_a_receipt_again(desk: Desk) -> None:
    desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(1, paid(desk, 1))

    desk.record(second, OperatorSaysPaid(RECEIPT), Kind.OPERATOR)

    assert (desk.transaction(second).status, desk.transaction(second).receipt) == ("PENDING", None)


def test_the_push_answer_cannot_take_anothers_id(desk: Desk) -> None:
    desk.attempt()
    second = desk.attempt(SECOND_PAYER_MSISDN)
    with desk.sessions() as session:
        row = session.get_one(Transaction, second)
        row.checkout_request_id = row.merchant_request_id = None
        session.commit()

    ids = (desk.daraja.merchant_id(1), desk.daraja.checkout_id(1))
    desk.record(second, PushAnswered(*ids), Kind.PUSH_ANSWER)

    row = desk.transaction(second)
    assert (row.checkout_request_id, row.status, row.needs_review) == (None, "PENDING", True)


# -- many at once --------------------------------------------------------------------------------


@on_both
def test_fifty_equal_callbacks_at_once_make_one_change(desk: Desk) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    before = desk.transaction(transaction).seq
    desk.announced.clear()

    outcomes = at_once([lambda: desk.callback(1, paid(desk))] * 50)

    row = desk.transaction(transaction)
    assert outcomes == [None] * 50
    assert (row.status, row.receipt, row.seq) == ("SUCCESS", RECEIPT, before + 1)
    assert not row.needs_review
    assert desk.announced == [transaction]
    assert len(desk.evidence(transaction)) == 1 + 50
    assert len(desk.decisions(transaction)) == 1 + 50


@on_both
def test_a_callback_a_query_and_the_clock_at_once_end_in_one_success(
    desk: Desk, clock: Clock
) -> None:
    transaction = desk.attempt()
    before = desk.transaction(transaction).seq
    clock.pass_(seconds=61)
    query = partial(desk.record, transaction, QueryAnswered("0"), Kind.QUERY)

    outcomes = at_once([lambda: desk.callback(1, paid(desk)), query, desk.tick] * 5)

    row = desk.transaction(transaction)
    assert not [each for each in outcomes if isinstance(each, BaseException)]
    assert (row.status, row.receipt, row.final) == ("SUCCESS", RECEIPT, True)
    assert not row.needs_review
    # The end of the wait, the query and the callback may each have been first: three changes.
    assert before < row.seq <= before + 3


@on_both
def test_a_success_and_failures_at_once_end_as_the_success(desk: Desk) -> None:
    transaction = desk.attempt()
    crowd = [lambda: desk.callback(1, failed(desk, code=1037))] * 10
    crowd.insert(5, lambda: desk.callback(1, paid(desk)))

    outcomes = at_once(crowd)

    assert outcomes == [None] * 11
    assert desk.transaction(transaction).status == "SUCCESS"
    assert desk.order_row(desk.transaction(transaction).order_id).status == "PAID"


@on_both
def test_one_receipt_claimed_for_many_orders_at_once_is_used_once(desk: Desk) -> None:
    lines = [f"2547000000{number:02d}" for number in range(10)]
    mine = [desk.attempt(line) for line in lines]

    outcomes = at_once(
        [lambda push=push: desk.callback(push, paid(desk, push)) for push in range(1, 11)]
    )

    rows = [desk.transaction(each) for each in mine]
    paid_rows = [row for row in rows if row.status == "SUCCESS"]
    assert outcomes == [None] * 10
    assert [row.receipt for row in paid_rows] == [RECEIPT]
    assert [row.needs_review for row in rows if row.status == "PENDING"] == [True] * 9
    assert all(len(desk.evidence(each)) == 2 for each in mine)
    assert all(len(desk.decisions(each)) == 2 for each in mine)


@on_both
def test_one_checkout_id_claimed_by_two_orders_at_once_is_adopted_once(desk: Desk) -> None:
    mine = [_without_ids(desk, desk.attempt(f"2547000000{number:02d}")) for number in range(6)]
    claims = [
        success_callback(desk.daraja.checkout_id(1), desk.daraja.merchant_id(1), receipt=receipt)
        for receipt in (f"UKO1AAAAA{number}" for number in range(6))
    ]

    outcomes = at_once([lambda n=n: desk.callback(n + 1, claims[n]) for n in range(6)])

    rows = [desk.transaction(each) for each in mine]
    assert outcomes == [None] * 6
    assert sorted(row.status for row in rows) == ["PENDING"] * 5 + ["SUCCESS"]
    assert [row.needs_review for row in rows if row.status == "PENDING"] == [True] * 5
    assert sum(row.checkout_request_id is not None for row in rows) == 1


@on_both
def test_two_payments_of_one_order_at_once_settle_it_once(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    mine = [desk.start(order).transaction_id]
    clock.pass_(seconds=181)
    mine.append(desk.start(order).transaction_id)

    outcomes = at_once(
        [
            lambda: desk.callback(1, paid(desk, 1, receipt="UKO1AAAAAA")),
            lambda: desk.callback(2, paid(desk, 2, receipt="UKO1BBBBBB")),
        ]
    )

    rows = [desk.transaction(each) for each in mine]
    assert outcomes == [None, None]
    assert [row.status for row in rows] == ["SUCCESS", "SUCCESS"]
    assert sorted((row.settles_order, row.needs_review) for row in rows) == [
        (False, True),
        (True, False),
    ]


# -- a crash between storing and judging ---------------------------------------------------------


@on_both
def test_evidence_stored_before_a_crash_is_judged_afterwards(desk: Desk) -> None:
    transaction = desk.attempt()
    arrived = Raw(Kind.CALLBACK, raw(paid(desk)), "196.201.212.69")
    with desk.sessions() as session:
        stored = ledger.store(session, transaction, arrived, desk.now)
    assert desk.transaction(transaction).status == "PENDING"
    desk.announced.clear()

    with desk.sessions() as session:
        judged = inbox.judge_waiting(session, desk.inbox_needs()).count

    assert judged == 1
    assert desk.transaction(transaction).status == "SUCCESS"
    assert desk.decisions(transaction)[-1].evidence_id == stored.stored_id
    assert len(desk.evidence(transaction)) == 2
    assert desk.announced == [transaction]


def test_what_was_judged_is_not_judged_again(desk: Desk) -> None:
    transaction = desk.attempt()
    desk.callback(1, paid(desk))

    with desk.sessions() as session:
        judged = inbox.judge_waiting(session, desk.inbox_needs()).count

    assert judged == 0
    assert len(desk.decisions(transaction)) == 2


# -- reading -------------------------------------------------------------------------------------


def test_an_unknown_transaction_has_no_snapshot(desk: Desk) -> None:
    assert ledger.snapshot_of(desk.engine, "nobody", desk.now()) is None


def test_the_newest_attempt_decides_whether_any_of_them_may_retry(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failed(desk))
    assert desk.snapshot(first)["can_retry"]

    desk.start(order)

    assert not desk.snapshot(first)["can_retry"]


def test_a_snapshot_holds_neither_the_number_nor_the_checkout_id(desk: Desk) -> None:
    transaction = desk.attempt()

    shown = str(desk.snapshot(transaction))

    assert "0712•••678" in shown
    assert "712345678" not in shown
    assert "ws_CO" not in shown


def _success(desk: Desk, push: int = 1) -> StkResult:
    ids = (desk.daraja.merchant_id(push), desk.daraja.checkout_id(push))
    return StkResult("0", *ids, amount=150, receipt=RECEIPT)


def _without_ids(desk: Desk, transaction_id: str) -> str:
    """As after a push whose answer never came."""
    with desk.sessions() as session:
        row = session.get_one(Transaction, transaction_id)
        row.checkout_request_id = row.merchant_request_id = None
        session.commit()
    return transaction_id


@on_both
def test_a_receipt_filled_in_leaves_money_twice_under_review(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    desk.now.pass_(seconds=181)
    second = desk.start(order).transaction_id
    desk.callback(1, paid(desk, 1))
    desk.record(second, QueryAnswered("0"), Kind.QUERY)

    desk.record(second, OperatorSaysPaid("UKO9ZZZZZZ"), Kind.OPERATOR)

    row = desk.transaction(second)
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", "UKO9ZZZZZZ", True)


@on_both
def test_a_callback_passes_three_functions_of_the_ledger_until_its_commit(desk):
    transaction = desk.attempt()
    passed, committed = [], []

    def watch(frame, event, _):
        code = frame.f_code
        if event == "call" and code.co_name == "write_and_commit":
            committed.append(True)
        if event == "call" and code.co_filename == ledger.__file__ and not committed:
            passed.append(code.co_name)

    sys.setprofile(watch)
    try:
        desk.callback(1, paid(desk))
    finally:
        sys.setprofile(None)

    assert passed == ["record_callback", "_decide_and_commit", "_rows"]
    assert desk.transaction(transaction).status == "SUCCESS"

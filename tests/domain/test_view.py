"""What the page says of a transaction: every row of the published table, and every combination."""

from dataclasses import replace
from datetime import timedelta
from itertools import product

import pytest

from mpesa.domain.attempt import Account, Channel, OrderStatus
from mpesa.domain.result_codes import (
    FAILED_REASONS,
    PENDING_REASONS,
    RULES,
    SUCCESS_REASONS,
    Reason,
    Status,
)
from mpesa.domain.view import Money, Next, View, next_without_by_hand, prompt_left, say
from tests.domain import known

NOW = known.PUSHED_AT + timedelta(seconds=45)
# Another attempt of the same order, whose prompt may still be answered.
ON_A_PHONE = known.attempt(id="another", prompt_ends_at=NOW + timedelta(seconds=60))
BY_HAND = known.attempt(id="by hand", channel=Channel.HAND, msisdn=None, is_open=False)
WAITED_FOR = replace(BY_HAND, reason=Reason.AWAITING_PAYMENT)
# Reasons of pushes; a transaction by hand has two of its own.
OF_PUSHES = FAILED_REASONS - {Reason.NOT_RECEIVED}
SILENT = PENDING_REASONS - {Reason.AWAITING_PAYMENT}
BY_REASON = {
    **dict.fromkeys(OF_PUSHES, "retry"),
    **dict.fromkeys(("pin_locked", "over_limit", "declined", "push_refused"), "other_number"),
    **dict.fromkeys(("unreachable", "system_busy", "misconfigured"), "pay_by_hand"),
}
OUTLIVED = ("unreachable", "expired", "system_busy", "closed_by_operator")
SETTLED_BY_CALLBACK = sorted(OF_PUSHES - {Reason.UNKNOWN_CODE})


def standing(
    reason,
    *,
    within_prompt_life=True,
    final=None,
    **changed,
):
    """An attempt with that reason, soon after its push."""
    why = Reason(reason)
    pending, failed = why in PENDING_REASONS, why in FAILED_REASONS
    status = Status.PENDING if pending else Status.FAILED if failed else Status.SUCCESS
    usual = RULES[why].final if failed else not pending
    fields = {"final": usual if final is None else final, "is_open": pending, **changed}
    ends = NOW + timedelta(seconds=1 if within_prompt_life else -1)
    by_hand = why in (Reason.AWAITING_PAYMENT, Reason.NOT_RECEIVED)
    if by_hand:
        fields |= {"channel": Channel.HAND, "is_open": False, "failed_by_query": False}
    return known.attempt(status=status, reason=why, prompt_ends_at=ends, **fields)


def account(order, *attempts):
    stored = known.order(status=OrderStatus(order))
    return Account(stored, tuple(each for each in attempts if each is not None))


def told(attempt, order="OPEN", *others):
    said = say(account(order, attempt, *others), attempt, NOW)
    return said.view, said.money, said.next


def every_attempt():
    """Whatever the columns of a row may hold together, and some that they may not."""
    flags = [(True, False)] * 4
    return [
        standing(reason, final=final, is_open=is_open, within_prompt_life=young, failed_by_query=by)
        for reason, final, is_open, young, by in product(Reason, *flags)
    ]


def every_say():
    return [
        (order, attempt, say(account(order, attempt, *others), attempt, NOW))
        for order, attempt, others in product(OrderStatus, every_attempt(), ((), (ON_A_PHONE,)))
    ]


# -- the table, row by row -------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [each.value for each in Reason])
def test_an_attempt_of_a_paid_order_is_paid_whatever_became_of_it(reason):
    attempt = standing(reason, is_open=False, within_prompt_life=False)

    assert told(attempt, "PAID") == ("paid", "taken", "none")
    assert told(attempt, "PAID", ON_A_PHONE) == ("paid", "taken", "cancel_prompt")


@pytest.mark.parametrize("order", ["CANCELLED", "EXPIRED"])
def test_an_order_that_ended_is_closed_and_money_is_in_doubt_while_an_attempt_is_pending(
    order,
):
    assert told(None, order) == ("closed", "not_taken", "none")
    assert told(standing("wrong_pin"), order) == ("closed", "not_taken", "none")
    assert told(standing("overdue", is_open=False), order) == (
        "closed",
        "unknown",
        "cancel_prompt",
    )


def test_an_open_prompt_is_waited_for():
    assert told(standing("awaiting_pin")) == ("waiting", "unknown", "enter_pin")
    assert told(standing("push_unconfirmed")) == ("waiting", "unknown", "wait")


@pytest.mark.parametrize("reason", [each.value for each in SILENT])
def test_a_silent_attempt_is_being_checked(reason):
    assert told(standing(reason, is_open=False)) == ("checking", "unknown", "wait")
    assert told(standing("overdue")) == ("checking", "unknown", "wait")


@pytest.mark.parametrize("reason", SETTLED_BY_CALLBACK)
def test_what_failed_took_no_money_and_its_reason_says_what_is_next(reason):
    attempt = standing(reason, within_prompt_life=False)

    assert told(attempt) == ("failed", "not_taken", BY_REASON[reason])


@pytest.mark.parametrize("reason", SETTLED_BY_CALLBACK)
def test_money_is_in_doubt_where_a_query_alone_told_of_the_failure(reason):
    attempt = standing(reason, final=False, within_prompt_life=False, failed_by_query=True)

    assert told(attempt) == ("failed", "unknown", BY_REASON[reason])


def test_money_is_in_doubt_after_a_code_that_nobody_knows():
    assert told(standing("unknown_code", within_prompt_life=False)) == (
        "failed",
        "unknown",
        "retry",
    )


@pytest.mark.parametrize("reason", SETTLED_BY_CALLBACK)
def test_money_is_in_doubt_while_the_prompt_of_some_failures_can_still_be_answered(
    reason,
):
    _view, money, _next = told(standing(reason, final=False))
    _view, surely, _next = told(standing(reason, final=True))

    assert money == ("unknown" if reason in OUTLIVED else "not_taken")
    assert surely == "not_taken"


def test_an_order_without_an_attempt_asks_for_a_number():
    assert told(None) == ("phone", "not_taken", "none")


@pytest.mark.parametrize("order", list(OrderStatus))
def test_a_returned_receipt_is_told_before_everything_else(order):
    attempt = standing("paid", receipt="UKO1ABCDEF", returned=True)

    assert told(attempt, order) == ("paid", "returned", "none")


def test_money_in_sight_is_waited_for_and_no_order_ends_meanwhile():
    sighted = known.order(
        in_sight_until=NOW + timedelta(minutes=1), expires_at=NOW - timedelta(seconds=1)
    )
    failed = standing("wrong_pin")

    said = say(Account(sighted, (failed,)), failed, NOW)

    assert (said.view, said.money, said.next) == ("checking", "unknown", "wait")


def test_money_in_sight_is_forgotten_when_its_time_is_over_or_lies_too_far_ahead():
    for until in (NOW, NOW + timedelta(minutes=15, seconds=1)):
        account = Account(known.order(in_sight_until=until), (standing("wrong_pin"),))

        assert not account.money_in_sight(NOW)


def test_money_by_hand_is_asked_for_and_asked_for_again():
    assert told(WAITED_FOR) == ("by_hand", "not_taken", "pay_by_hand")
    gone = replace(WAITED_FOR, status=Status.FAILED, reason=Reason.NOT_RECEIVED)
    assert told(gone) == ("failed", "not_taken", "pay_by_hand")


@pytest.mark.parametrize("order", ["CANCELLED", "EXPIRED"])
def test_nothing_is_taken_by_hand_for_an_order_that_ended(order):
    assert told(WAITED_FOR, order) == ("closed", "not_taken", "none")


def test_a_prompt_beside_money_by_hand_is_to_be_cancelled():
    assert told(standing("awaiting_pin"), "OPEN", WAITED_FOR)[2] == "cancel_prompt"
    assert told(standing("overdue"), "OPEN", WAITED_FOR)[2] == "cancel_prompt"
    assert told(standing("overdue", is_open=False), "OPEN", WAITED_FOR)[2] == "wait"


def test_a_push_that_was_paid_by_its_receipt_may_leave_a_prompt():
    soon = standing("paid", by_rule=True, settled_at=NOW - timedelta(seconds=14))
    later = standing("paid", by_rule=True, settled_at=NOW - timedelta(seconds=15))
    over = standing(
        "paid", by_rule=True, settled_at=NOW - timedelta(seconds=15), within_prompt_life=False
    )

    assert told(soon, "PAID")[2] == told(over, "PAID")[2] == "none"
    assert told(later, "PAID")[2] == "cancel_prompt"


@pytest.mark.parametrize(
    ("reason", "instead"),
    [("unreachable", "retry"), ("not_received", "retry"), ("misconfigured", "none")],
)
def test_a_shop_without_payment_by_hand_offers_something_else(reason, instead):
    assert next_without_by_hand(reason, "pay_by_hand") == instead
    assert next_without_by_hand(reason, "wait") == "wait"


# -- every combination -----------------------------------------------------------------------------


def test_something_is_said_of_everything_and_the_field_for_a_number_is_the_pages_alone():
    assert {said.view for *_, said in every_say()} == set(View) - {View.PHONE}
    assert {said.money for *_, said in every_say()} == set(Money) - {Money.RETURNED}
    assert {said.next for *_, said in every_say()} == set(Next)


def test_money_is_called_taken_where_it_was_and_nowhere_else():
    for order, attempt, said in every_say():
        was = order is OrderStatus.PAID or attempt.reason in SUCCESS_REASONS
        assert (said.money is Money.TAKEN) == (said.view is View.PAID) == was


def test_nobody_is_told_that_no_money_was_taken_while_a_prompt_may_still_be_answered():
    for order, attempt, said in every_say():
        left = prompt_left(account(order, attempt), NOW)
        if order is OrderStatus.OPEN and left and attempt.status is not Status.SUCCESS:
            assert said.money is Money.UNKNOWN, attempt


def test_a_silent_payment_is_never_called_not_taken():
    for _order, attempt, said in every_say():
        if attempt.status is Status.PENDING and not attempt.by_hand:
            assert said.money is not Money.NOT_TAKEN


def test_another_push_is_offered_after_failures_of_open_orders_alone():
    for order, attempt, said in every_say():
        if said.next in (Next.RETRY, Next.OTHER_NUMBER):
            assert (order, attempt.status) == (OrderStatus.OPEN, Status.FAILED)

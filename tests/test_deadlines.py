"""What time alone changes, seen again by any process: the rows are all that it remembers."""

from datetime import timedelta

import pytest

from mpesa import deadlines as clocks
from mpesa.daraja import UnknownOutcome
from tests.conftest import on_both
from tests.factories import SECOND_PAYER_MSISDN, failure_callback, success_callback
from tests.shop import Shop, at_once

WAIT = timedelta(seconds=60)


class Killed(BaseException):
    """The process ended here."""


def killed_while_pushing(shop, order):
    """A row whose process died before Daraja answered; returns its id."""

    def die(_push):
        raise Killed

    shop.daraja.answers.append(die)
    with pytest.raises(Killed):
        shop.start(order)
    return shop.transactions()[-1].id


def ids(shop, push=1):
    return shop.daraja.checkout_id(push), shop.daraja.merchant_id(push)


# -- the wait ------------------------------------------------------------------------------------


@on_both
def test_a_silent_payment_is_overdue_when_its_wait_is_over(shop, clock):
    transaction = shop.attempt()
    before = shop.snapshot(transaction)
    clock.pass_(seconds=59)
    early = shop.tick()
    clock.pass_(seconds=1)
    shop.announced.clear()

    shop.tick()

    after = shop.snapshot(transaction)
    assert early == 0
    assert (before["reason"], after["reason"], after["status"]) == (
        "awaiting_pin",
        "overdue",
        "PENDING",
    )
    assert after["seq"] == before["seq"] + 1
    assert (after["can_retry"], after["final"]) == (False, False)
    assert shop.announced == [transaction]


# -- what is said of it --------------------------------------------------------------------------


def shown_differently(shop, clock, seconds):
    """Of which transactions something else is said after so many seconds, and no row changed."""
    since = clock()
    clock.pass_(seconds=seconds)
    with shop.sessions() as session:
        return sorted(clocks.shown_differently(session, since, clock()))


@on_both
def test_the_end_of_a_failed_attempts_prompt_changes_what_is_said_of_its_order_once(shop, clock):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.callback(1, failure_callback(*ids(shop), 1037))
    clock.pass_(seconds=150)
    second = shop.start(order).transaction_id
    shop.callback(1, success_callback(*ids(shop)))
    third = shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(3, failure_callback(*ids(shop, 3), 1037))
    shop.callback(2, failure_callback(*ids(shop, 2), 1037))
    before = shop.snapshot(first)

    early, mine, later = (shown_differently(shop, clock, each) for each in (29, 151, 60))

    assert (before["next"], shop.snapshot(first)["next"]) == ("cancel_prompt", "none")
    assert early == []
    assert mine == sorted([first, second, third])
    assert later == []
    assert shop.snapshot(first)["seq"] == before["seq"]


@pytest.mark.parametrize("code", [1, 2001])
def test_what_is_said_of_a_final_failure_does_not_change_with_time(shop, clock, code):
    shop.attempt()
    shop.callback(1, failure_callback(*ids(shop), code))

    assert shown_differently(shop, clock, 600) == []


def test_the_wait_is_as_long_as_its_setting(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=5)

    shop.tick(wait=5)

    assert shop.snapshot(transaction)["reason"] == "overdue"


def test_an_unconfirmed_push_is_overdue_too(shop, clock):
    shop.daraja.answers.append(UnknownOutcome())
    transaction = shop.attempt()
    clock.pass_(seconds=60)

    shop.tick()

    assert shop.snapshot(transaction)["reason"] == "overdue"


def test_a_settled_payment_is_never_overdue(shop, clock):
    paid, failed = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    shop.callback(1, success_callback(*ids(shop, 1)))
    shop.callback(2, failure_callback(*ids(shop, 2)))
    before = (shop.snapshot(paid)["seq"], shop.snapshot(failed)["seq"])
    clock.pass_(seconds=181)

    looked_at = shop.tick()

    assert looked_at == 0
    assert (shop.snapshot(paid)["seq"], shop.snapshot(failed)["seq"]) == before


def test_money_after_the_wait_is_simply_paid(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=90)
    shop.tick()

    shop.callback(1, success_callback(*ids(shop)))

    assert shop.snapshot(transaction)["reason"] == "paid"


# -- the longest life of a prompt ----------------------------------------------------------------


@on_both
def test_after_180_seconds_order_and_line_are_free_and_the_page_hears_of_it(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=179)
    shop.tick()
    before = shop.snapshot(transaction)
    clock.pass_(seconds=1)
    shop.announced.clear()

    shop.tick()

    after = shop.snapshot(transaction)
    assert (before["can_retry"], after["can_retry"], after["retry_after"]) == (False, True, None)
    assert after["seq"] == before["seq"] + 1
    assert (after["status"], after["reason"]) == ("PENDING", "overdue")
    assert not shop.transaction(transaction).is_open
    assert shop.announced == [transaction]


def test_the_line_is_free_for_another_order_after_the_tick(shop, clock):
    shop.attempt()
    clock.pass_(seconds=180)
    shop.tick()

    assert shop.transaction(shop.attempt()).is_open


def test_what_is_over_is_over_once(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=180)
    shop.tick()
    seq, heard = shop.snapshot(transaction)["seq"], len(shop.evidence(transaction))

    again = shop.tick()

    assert again == 0
    assert shop.snapshot(transaction)["seq"] == seq
    assert len(shop.evidence(transaction)) == heard


# -- a push whose process died -------------------------------------------------------------------


@on_both
def test_a_push_without_an_answer_is_unconfirmed_after_25_seconds(shop, clock):
    transaction = killed_while_pushing(shop, shop.order())
    clock.pass_(seconds=24)
    early = shop.tick()
    clock.pass_(seconds=1)

    shop.tick()

    row = shop.transaction(transaction)
    assert early == 0
    assert (row.status, row.reason, row.is_open) == ("PENDING", "push_unconfirmed", True)


def test_a_push_that_was_answered_is_not_called_unconfirmed(shop, clock):
    transaction = shop.attempt()
    clock.pass_(seconds=25)

    assert shop.tick() == 0
    assert shop.snapshot(transaction)["reason"] == "awaiting_pin"


@on_both
def test_the_killed_push_blocks_order_and_line_for_200_seconds(shop, clock):
    order = shop.order()
    transaction = killed_while_pushing(shop, order)
    clock.pass_(seconds=199)
    shop.tick()
    before = shop.transaction(transaction).is_open
    clock.pass_(seconds=1)

    shop.tick()

    assert (before, shop.transaction(transaction).is_open) == (True, False)
    assert shop.start(order).status_code == 202


def test_the_killed_push_is_never_sent_again(shop, clock):
    order = shop.order()
    transaction = killed_while_pushing(shop, order)
    clock.pass_(seconds=25)
    shop.tick()

    joined = shop.start(order)

    assert (joined.transaction_id, joined.status_code) == (transaction, 200)
    assert len(shop.daraja.pushes) == 1


def test_a_callback_of_the_killed_push_pays(shop, clock):
    transaction = killed_while_pushing(shop, shop.order())
    clock.pass_(seconds=30)
    shop.tick()

    shop.callback(1, success_callback(*ids(shop)))

    row = shop.transaction(transaction)
    assert (row.status, row.checkout_request_id) == ("SUCCESS", shop.daraja.checkout_id(1))
    assert not row.needs_review


# -- any process, any time -----------------------------------------------------------------------


@on_both
def test_a_process_that_was_down_catches_up_from_the_rows_alone(shop, app, clock, daraja):
    transaction = shop.attempt()
    clock.pass_(hours=1)

    Shop(app, clock, daraja).tick()

    row = shop.transaction(transaction)
    assert (row.status, row.reason, row.is_open) == ("PENDING", "overdue", False)


@on_both
def test_two_clocks_that_tick_at_once_change_a_row_once(shop, clock):
    transaction = shop.attempt()
    seq = shop.snapshot(transaction)["seq"]
    clock.pass_(seconds=60)
    shop.announced.clear()

    outcomes = at_once([shop.tick] * 6)

    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert shop.snapshot(transaction)["seq"] == seq + 1
    assert shop.announced == [transaction]


def test_each_change_of_a_long_tick_has_its_own_time(shop, clock):
    first, second = shop.attempt(), shop.attempt(SECOND_PAYER_MSISDN)
    clock.pass_(seconds=60)
    began = clock()

    with shop.sessions() as session:  # the first announcement takes 30 s
        clocks.run_once(session, clock, WAIT, lambda _changes: clock.pass_(seconds=30))

    changed = [shop.transaction(each).updated_at for each in (first, second)]
    assert changed == [began, began + timedelta(seconds=30)]


def test_silence_is_never_a_failure(shop, clock):
    transaction = shop.attempt()
    for _day in range(10):
        clock.pass_(days=1)
        shop.tick()

    assert shop.snapshot(transaction)["status"] == "PENDING"


# -- when a person must look ---------------------------------------------------------------------


def test_silence_of_72_hours_needs_a_person(shop, clock):
    transaction = shop.attempt()
    clock.pass_(hours=72, seconds=-1)
    shop.tick()
    before = shop.transaction(transaction).needs_review
    clock.pass_(seconds=1)

    shop.tick()

    assert (before, shop.transaction(transaction).needs_review) == (False, True)


def test_silence_of_an_hour_needs_a_person_where_there_is_no_id(shop, clock):
    shop.daraja.answers.append(UnknownOutcome())
    transaction = shop.attempt()
    clock.pass_(hours=1, seconds=-1)
    shop.tick()
    before = shop.transaction(transaction).needs_review
    clock.pass_(seconds=1)

    shop.tick()

    assert (before, shop.transaction(transaction).needs_review) == (False, True)


def test_old_silence_is_told_to_a_person_once(shop, clock):
    transaction = shop.attempt()
    clock.pass_(hours=73)
    shop.tick()
    heard = len(shop.evidence(transaction))

    shop.tick()

    assert len(shop.evidence(transaction)) == heard


# -- expiry --------------------------------------------------------------------------------------


@on_both
def test_an_expired_order_is_written_down_and_its_attempts_hear_of_it(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(minutes=10))
    transaction = shop.start(order).transaction_id
    shop.callback(1, failure_callback(*ids(shop)))
    before = shop.snapshot(transaction)["seq"]
    clock.pass_(minutes=10)
    shop.announced.clear()

    shop.tick()

    after = shop.snapshot(transaction)
    assert shop.order_row(order).status == "EXPIRED"
    assert (after["seq"], after["order_status"]) == (before + 1, "EXPIRED")
    assert shop.announced == [transaction]
    assert shop.tick() == 0


def test_an_order_is_not_expired_while_its_prompt_may_be_answered(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=10))
    shop.start(order)
    clock.pass_(seconds=179)
    shop.tick()
    before = shop.order_row(order).status
    clock.pass_(seconds=1)
    shop.tick()

    assert (before, shop.order_row(order).status) == ("OPEN", "EXPIRED")

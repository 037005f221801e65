"""What time alone changes, seen again by any process: the rows are all that it remembers."""

from datetime import timedelta

import pytest
from flask import Flask

from mpesa import deadlines as clocks
from mpesa.daraja import UnknownOutcome
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk, at_once
from tests.factories import SECOND_PAYER_MSISDN, failure_callback, success_callback
from tests.fakes import Clock, FakeDaraja

WAIT = timedelta(seconds=60)
on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


class Killed(BaseException):
    """The process ended here."""


def killed_while_pushing(desk: Desk, order: str) -> str:
    """A row whose process died before Daraja answered; returns its id."""

    def die(_push: object) -> None:
        raise Killed

    desk.daraja.answers.append(die)
    with pytest.raises(Killed):
        desk.start(order)
    return desk.transactions()[-1].id


def ids(desk: Desk, push: int = 1) -> tuple[str, str]:
    return desk.daraja.checkout_id(push), desk.daraja.merchant_id(push)


# -- the wait ------------------------------------------------------------------------------------


@on_both
def test_a_silent_payment_is_overdue_when_its_wait_is_over(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    before = desk.snapshot(transaction)
    clock.pass_(seconds=59)
    early = desk.tick()
    clock.pass_(seconds=1)
    desk.announced.clear()

    desk.tick()

    after = desk.snapshot(transaction)
    assert early == 0
    assert (before["reason"], after["reason"], after["status"]) == (
        "awaiting_pin",
        "overdue",
        "PENDING",
    )
    assert after["seq"] == before["seq"] + 1
    assert (after["can_retry"], after["final"]) == (False, False)
    assert desk.announced == [transaction]


# -- what is said of it --------------------------------------------------------------------------


def shown_differently(desk: Desk, clock: Clock, seconds: int) -> list[str]:
    """Of which transactions something else is said after so many seconds, and no row changed."""
    since = clock()
    clock.pass_(seconds=seconds)
    with desk.sessions() as session:
        return sorted(clocks.shown_differently(session, since, clock()))


@on_both
def test_the_end_of_a_failed_attempts_prompt_changes_what_is_said_of_its_order_once(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    desk.callback(1, failure_callback(*ids(desk), 1037))
    clock.pass_(seconds=150)
    second = desk.start(order).transaction_id
    desk.callback(1, success_callback(*ids(desk)))
    third = desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(3, failure_callback(*ids(desk, 3), 1037))
    desk.callback(2, failure_callback(*ids(desk, 2), 1037))
    before = desk.snapshot(first)

    early, mine, later = (shown_differently(desk, clock, each) for each in (29, 151, 60))

    assert (before["next"], desk.snapshot(first)["next"]) == ("cancel_prompt", "none")
    assert early == []
    assert mine == sorted([first, second, third])
    assert later == []
    assert desk.snapshot(first)["seq"] == before["seq"]


@pytest.mark.parametrize("code", [1, 2001])
def test_what_is_said_of_a_final_failure_does_not_change_with_time(
    desk: Desk, clock: Clock, code: int
) -> None:
    desk.attempt()
    desk.callback(1, failure_callback(*ids(desk), code))

    assert shown_differently(desk, clock, 600) == []


def test_the_wait_is_as_long_as_its_setting(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=5)

    desk.tick(wait=5)

    assert desk.snapshot(transaction)["reason"] == "overdue"


def test_an_unconfirmed_push_is_overdue_too(desk: Desk, clock: Clock) -> None:
    desk.daraja.answers.append(UnknownOutcome())
    transaction = desk.attempt()
    clock.pass_(seconds=60)

    desk.tick()

    assert desk.snapshot(transaction)["reason"] == "overdue"


def test_a_settled_payment_is_never_overdue(desk: Desk, clock: Clock) -> None:
    paid, failed = desk.attempt(), desk.attempt(SECOND_PAYER_MSISDN)
    desk.callback(1, success_callback(*ids(desk, 1)))
    desk.callback(2, failure_callback(*ids(desk, 2)))
    before = (desk.snapshot(paid)["seq"], desk.snapshot(failed)["seq"])
    clock.pass_(seconds=181)

    looked_at = desk.tick()

    assert looked_at == 0
    assert (desk.snapshot(paid)["seq"], desk.snapshot(failed)["seq"]) == before


def test_money_after_the_wait_is_simply_paid(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=90)
    desk.tick()

    desk.callback(1, success_callback(*ids(desk)))

    assert desk.snapshot(transaction)["reason"] == "paid"


# -- the longest life of a prompt ----------------------------------------------------------------


@on_both
def test_after_180_seconds_order_and_line_are_free_and_the_page_hears_of_it(
    desk: Desk, clock: Clock
) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=179)
    desk.tick()
    before = desk.snapshot(transaction)
    clock.pass_(seconds=1)
    desk.announced.clear()

    desk.tick()

    after = desk.snapshot(transaction)
    assert (before["can_retry"], after["can_retry"], after["retry_after"]) == (False, True, None)
    assert after["seq"] == before["seq"] + 1
    assert (after["status"], after["reason"]) == ("PENDING", "overdue")
    assert not desk.transaction(transaction).is_open
    assert desk.announced == [transaction]


def test_the_line_is_free_for_another_order_after_the_tick(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    clock.pass_(seconds=180)
    desk.tick()

    assert desk.transaction(desk.attempt()).is_open


def test_what_is_over_is_over_once(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=180)
    desk.tick()
    seq, heard = desk.snapshot(transaction)["seq"], len(desk.evidence(transaction))

    again = desk.tick()

    assert again == 0
    assert desk.snapshot(transaction)["seq"] == seq
    assert len(desk.evidence(transaction)) == heard


# -- a push whose process died -------------------------------------------------------------------


@on_both
def test_a_push_without_an_answer_is_unconfirmed_after_25_seconds(desk: Desk, clock: Clock) -> None:
    transaction = killed_while_pushing(desk, desk.order())
    clock.pass_(seconds=24)
    early = desk.tick()
    clock.pass_(seconds=1)

    desk.tick()

    row = desk.transaction(transaction)
    assert early == 0
    assert (row.status, row.reason, row.is_open) == ("PENDING", "push_unconfirmed", True)


def test_a_push_that_was_answered_is_not_called_unconfirmed(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(seconds=25)

    assert desk.tick() == 0
    assert desk.snapshot(transaction)["reason"] == "awaiting_pin"


@on_both
def test_the_killed_push_blocks_order_and_line_for_200_seconds(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    transaction = killed_while_pushing(desk, order)
    clock.pass_(seconds=199)
    desk.tick()
    before = desk.transaction(transaction).is_open
    clock.pass_(seconds=1)

    desk.tick()

    assert (before, desk.transaction(transaction).is_open) == (True, False)
    assert desk.start(order).status_code == 202


def test_the_killed_push_is_never_sent_again(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    transaction = killed_while_pushing(desk, order)
    clock.pass_(seconds=25)
    desk.tick()

    joined = desk.start(order)

    assert (joined.transaction_id, joined.status_code) == (transaction, 200)
    assert len(desk.daraja.pushes) == 1


def test_a_callback_of_the_killed_push_pays(desk: Desk, clock: Clock) -> None:
    transaction = killed_while_pushing(desk, desk.order())
    clock.pass_(seconds=30)
    desk.tick()

    desk.callback(1, success_callback(*ids(desk)))

    row = desk.transaction(transaction)
    assert (row.status, row.checkout_request_id) == ("SUCCESS", desk.daraja.checkout_id(1))
    assert not row.needs_review


# -- any process, any time -----------------------------------------------------------------------


@on_both
def test_a_process_that_was_down_catches_up_from_the_rows_alone(
    desk: Desk, app: Flask, clock: Clock, daraja: FakeDaraja
) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=1)

    Desk(app, clock, daraja).tick()

    row = desk.transaction(transaction)
    assert (row.status, row.reason, row.is_open) == ("PENDING", "overdue", False)


@on_both
def test_two_clocks_that_tick_at_once_change_a_row_once(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    seq = desk.snapshot(transaction)["seq"]
    clock.pass_(seconds=60)
    desk.announced.clear()

    outcomes = at_once([desk.tick] * 6)

    assert not [each for each in outcomes if isinstance(each, Exception)]
    assert desk.snapshot(transaction)["seq"] == seq + 1
    assert desk.announced == [transaction]


def test_each_change_of_a_long_tick_has_its_own_time(desk: Desk, clock: Clock) -> None:
    first, second = desk.attempt(), desk.attempt(SECOND_PAYER_MSISDN)
    clock.pass_(seconds=60)
    began = clock()

    with desk.sessions() as session:  # the first announcement takes 30 s
        clocks.run_once(session, clock, WAIT, lambda _changes: clock.pass_(seconds=30))

    changed = [desk.transaction(each).updated_at for each in (first, second)]
    assert changed == [began, began + timedelta(seconds=30)]


def test_silence_is_never_a_failure(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    for _day in range(10):
        clock.pass_(days=1)
        desk.tick()

    assert desk.snapshot(transaction)["status"] == "PENDING"


# -- when a person must look ---------------------------------------------------------------------


def test_silence_of_72_hours_needs_a_person(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=72, seconds=-1)
    desk.tick()
    before = desk.transaction(transaction).needs_review
    clock.pass_(seconds=1)

    desk.tick()

    assert (before, desk.transaction(transaction).needs_review) == (False, True)


def test_silence_of_an_hour_needs_a_person_where_there_is_no_id(desk: Desk, clock: Clock) -> None:
    desk.daraja.answers.append(UnknownOutcome())
    transaction = desk.attempt()
    clock.pass_(hours=1, seconds=-1)
    desk.tick()
    before = desk.transaction(transaction).needs_review
    clock.pass_(seconds=1)

    desk.tick()

    assert (before, desk.transaction(transaction).needs_review) == (False, True)


def test_old_silence_is_told_to_a_person_once(desk: Desk, clock: Clock) -> None:
    transaction = desk.attempt()
    clock.pass_(hours=73)
    desk.tick()
    heard = len(desk.evidence(transaction))

    desk.tick()

    assert len(desk.evidence(transaction)) == heard


# -- expiry --------------------------------------------------------------------------------------


@on_both
def test_an_expired_order_is_written_down_and_its_attempts_hear_of_it(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order(expires_at=clock() + timedelta(minutes=10))
    transaction = desk.start(order).transaction_id
    desk.callback(1, failure_callback(*ids(desk)))
    before = desk.snapshot(transaction)["seq"]
    clock.pass_(minutes=10)
    desk.announced.clear()

    desk.tick()

    after = desk.snapshot(transaction)
    assert desk.order_row(order).status == "EXPIRED"
    assert (after["seq"], after["order_status"]) == (before + 1, "EXPIRED")
    assert desk.announced == [transaction]
    assert desk.tick() == 0


def test_an_order_is_not_expired_while_its_prompt_may_be_answered(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=10))
    desk.start(order)
    clock.pass_(seconds=179)
    desk.tick()
    before = desk.order_row(order).status
    clock.pass_(seconds=1)
    desk.tick()

    assert (before, desk.order_row(order).status) == ("OPEN", "EXPIRED")

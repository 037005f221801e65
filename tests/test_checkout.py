"""Starting a payment: what may stop it, in which order, and what is true while Daraja is asked."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, text

from mpesa import checkout
from mpesa.checkout import Started
from mpesa.daraja import DarajaError, NoAnswer, NotSent, Push, Refused, UnknownOutcome
from mpesa.domain.attempt import OPEN_FOR, OPEN_UNANSWERED
from mpesa.domain.refusals import (
    AttemptOpen,
    KeyReused,
    LineBusy,
    OrderClosed,
    OrderError,
    OrderNotFound,
    OrderPaid,
    RetryLater,
)
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import OperatorSaysNotPaid, QueryAnswered
from mpesa.ids import hash_token
from mpesa.ledger import Kind
from mpesa.models import IdempotencyKey
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk, at_once
from tests.factories import (
    PAYER_MSISDN,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
CROWD = 20


class TooOften(Exception):
    """What the edge raises when a line asks too often."""


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


def pay(desk: Desk, push: int = 1) -> None:
    """Let the n-th push be paid."""
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    desk.callback(push, success_callback(*ids))


def fail(desk: Desk, push: int = 1, code: object = 1032) -> None:
    """Let the n-th push end with a failure code."""
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    desk.callback(push, failure_callback(*ids, code))


def refuse(_msisdn: str) -> None:
    raise TooOften


def started_or_refused(desk: Desk, order: str, **more: object) -> Started | str:
    """What a request got: a start, or the name of the refusal."""
    try:
        return desk.start(order, **more)  # type: ignore[arg-type]
    except OrderError as refusal:
        return type(refusal).__name__


# -- the row comes first -------------------------------------------------------------------------


@on_both
def test_the_row_is_committed_before_daraja_hears_of_it(desk: Desk) -> None:
    seen = []
    desk.daraja.answers.append(lambda push: seen.extend(desk.transactions()))

    started = desk.start(desk.order())

    (row,) = seen
    assert row.id == started.transaction_id
    assert (row.status, row.reason, row.is_open, row.seq) == ("PENDING", "awaiting_pin", True, 1)
    assert row.callback_token_hash == hash_token(desk.daraja.token_of(1))


@on_both
def test_nothing_is_held_in_the_database_while_daraja_is_asked(desk: Desk) -> None:
    order = desk.order()
    held: list[int] = []

    def look(_push: Push) -> None:
        held.append(desk.engine.pool.checkedout())  # type: ignore[attr-defined]
        with desk.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            else:
                connection.execute(text("SET lock_timeout = '1ms'"))
            connection.execute(text("UPDATE orders SET description = 'locked by nobody'"))
            connection.execute(text("UPDATE transactions SET times_asked = 0"))
            connection.commit()

    desk.daraja.answers.append(look)

    desk.start(order)

    assert held == [0]
    assert desk.order_row(order).description == "locked by nobody"


def test_daraja_is_given_the_order_as_the_server_knows_it(desk: Desk) -> None:
    desk.start(desk.order(amount=1500, reference="INV-7", description="Three teas"))

    (push,) = desk.daraja.pushes
    assert (push.msisdn, push.amount) == (PAYER_MSISDN, 1500)
    assert (push.reference, push.description) == ("INV-7", "Three teas")


def test_each_attempt_has_a_secret_of_its_own(desk: Desk) -> None:
    desk.attempt()
    desk.attempt(SECOND_PAYER_MSISDN)

    first, second = desk.daraja.token_of(1), desk.daraja.token_of(2)

    assert first != second
    assert set(first + second) <= set("0123456789abcdef")
    assert len(first) * 4 >= 128


def test_a_push_that_daraja_took_waits_for_the_pin(desk: Desk) -> None:
    started = desk.start(desk.order())

    row = desk.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.is_open) == ("PENDING", "awaiting_pin", True)
    assert row.checkout_request_id == desk.daraja.checkout_id(1)


@on_both
def test_a_callback_that_overtakes_the_pushs_answer_is_believed(desk: Desk) -> None:
    desk.daraja.answers.append(lambda push: pay(desk))
    order = desk.order()

    started = desk.start(order)

    row = desk.transaction(started.transaction_id)
    assert (row.status, row.needs_review, row.settles_order) == ("SUCCESS", False, True)
    assert row.checkout_request_id == desk.daraja.checkout_id(1)
    assert desk.order_row(order).status == "PAID"


def test_a_failure_that_overtakes_the_pushs_answer_is_believed(desk: Desk) -> None:
    desk.daraja.answers.append(lambda push: fail(desk, code=2029))

    started = desk.start(desk.order())

    row = desk.transaction(started.transaction_id)
    assert (row.status, row.reason) == ("FAILED", "misconfigured")
    assert (row.is_open, row.needs_review) == (False, False)


# -- what Daraja may answer ----------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.SYSTEM_BUSY, Reason.MISCONFIGURED])
@pytest.mark.parametrize("error", [NotSent, Refused])
def test_a_push_that_cannot_be_on_the_phone_has_failed_for_good(
    desk: Desk, error: type[NotSent] | type[Refused], reason: Reason
) -> None:
    desk.daraja.answers.append(error(reason))

    started = desk.start(desk.order())

    row = desk.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.final) == ("FAILED", reason, True)
    assert not row.is_open


@pytest.mark.parametrize("error", [NotSent, Refused])
def test_the_merchant_hears_of_a_push_that_only_the_merchant_can_put_right(
    desk: Desk, error: type[NotSent] | type[Refused], caplog: pytest.LogCaptureFixture
) -> None:
    desk.daraja.answers.append(error(Reason.MISCONFIGURED, "HTTP 400 (CallBackURL)"))

    desk.start(desk.order())

    (line,) = (each for each in caplog.records if each.levelname == "ERROR")
    assert line.getMessage() == "M-PESA is not set up correctly: HTTP 400 (CallBackURL)"


@pytest.mark.parametrize("reason", [Reason.PUSH_REFUSED, Reason.LINE_BUSY, Reason.SYSTEM_BUSY])
def test_what_the_merchant_cannot_put_right_is_no_error_in_the_log(
    desk: Desk, reason: Reason, caplog: pytest.LogCaptureFixture
) -> None:
    desk.daraja.answers.append(Refused(reason))

    desk.start(desk.order())

    assert not caplog.records


@pytest.mark.parametrize("error", [UnknownOutcome(), NoAnswer()])
def test_a_push_whose_fate_is_unknown_stays_pending(desk: Desk, error: UnknownOutcome) -> None:
    desk.daraja.answers.append(error)

    started = desk.start(desk.order())

    row = desk.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.is_open) == ("PENDING", "push_unconfirmed", True)
    assert len(desk.daraja.pushes) == 1


def test_what_daraja_answered_is_kept_as_evidence(desk: Desk) -> None:
    desk.daraja.answers.append(Refused(Reason.PUSH_REFUSED, body=b'{"errorCode": "400.002.02"}'))

    started = desk.start(desk.order())

    (evidence,) = desk.evidence(started.transaction_id)
    assert (evidence.kind, evidence.body) == ("push_answer", b'{"errorCode": "400.002.02"}')


def test_rooms_hear_of_a_push_that_failed(desk: Desk) -> None:
    desk.daraja.answers.append(NotSent(Reason.SYSTEM_BUSY))

    started = desk.start(desk.order())

    assert desk.announced == [started.transaction_id]


# -- the checks, in their order ------------------------------------------------------------------


def test_an_unknown_order_is_told_before_anything_else(desk: Desk) -> None:
    with pytest.raises(OrderNotFound):
        desk.start("nowhere", key="a", check_limits=refuse)


def test_a_paid_order_is_told_before_a_busy_line(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    pay(desk)
    desk.attempt(SECOND_PAYER_MSISDN)

    with pytest.raises(OrderPaid):
        desk.start(order, SECOND_PAYER_MSISDN)


def test_a_cancelled_order_is_told_before_a_wait_and_a_busy_line(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    fail(desk, code=1037)
    desk.cancel(order)
    desk.attempt(SECOND_PAYER_MSISDN)

    with pytest.raises(OrderClosed):
        desk.start(order, SECOND_PAYER_MSISDN)


def test_an_expired_order_is_closed(desk: Desk, clock: Clock) -> None:
    order = desk.order(expires_at=clock() + timedelta(minutes=10))
    clock.pass_(minutes=10)

    with pytest.raises(OrderClosed):
        desk.start(order)


def test_the_same_phone_joins_the_open_attempt(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order)

    second = desk.start(order, check_limits=refuse)

    assert second == Started(first.transaction_id, 200)
    assert len(desk.daraja.pushes) == 1


def test_an_order_whose_prompt_is_alive_is_joined_after_its_expiry(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order(expires_at=clock() + timedelta(seconds=30))
    first = desk.start(order)
    clock.pass_(seconds=60)

    assert desk.start(order) == Started(first.transaction_id, 200)


def test_an_overdue_prompt_is_still_joined(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    first = desk.start(order)
    clock.pass_(seconds=179)
    desk.tick()

    assert desk.start(order) == Started(first.transaction_id, 200)


def test_another_phone_is_told_of_the_open_attempt_before_its_own_busy_line(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    desk.start(order)
    desk.attempt(SECOND_PAYER_MSISDN)
    clock.pass_(seconds=30)

    with pytest.raises(AttemptOpen) as refusal:
        desk.start(order, SECOND_PAYER_MSISDN, check_limits=refuse)

    assert refusal.value.seconds == 150


def test_a_wait_is_told_before_a_busy_line(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    fail(desk, code=1037)
    desk.attempt(SECOND_PAYER_MSISDN)

    with pytest.raises(RetryLater):
        desk.start(order, SECOND_PAYER_MSISDN, check_limits=refuse)


def test_a_busy_line_is_told_before_the_limits(desk: Desk, clock: Clock) -> None:
    desk.attempt()
    clock.pass_(seconds=60)

    with pytest.raises(LineBusy) as refusal:
        desk.start(desk.order(), check_limits=refuse)

    assert refusal.value.seconds == 120


def test_the_limits_stop_a_push_before_anything_is_written(desk: Desk) -> None:
    order = desk.order()

    with pytest.raises(TooOften):
        desk.start(order, key="a", check_limits=refuse)

    assert desk.transactions() == []
    assert desk.daraja.pushes == []
    assert desk.start(order, SECOND_PAYER_MSISDN, key="a").status_code == 202


def test_only_requests_that_could_push_count_against_the_limits(desk: Desk) -> None:
    order = desk.order()
    desk.start(order, key="a")
    desk.start(order, key="a")
    desk.start(order)
    started_or_refused(desk, order, msisdn=SECOND_PAYER_MSISDN)
    started_or_refused(desk, desk.order())

    assert desk.limited == [PAYER_MSISDN]


# -- waits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "seconds"),
    [
        (1037, 110),
        (1036, 110),
        (1019, 50),
        (17, 120),
        (1001, 120),
        (26, 60),
        (9999, 60),
        (2028, 600),
        ("SFC_IC0003", 600),
        (777, 170),
    ],
)
def test_a_failure_is_waited_for_as_its_reason_asks(
    desk: Desk, clock: Clock, code: object, seconds: int
) -> None:
    order = desk.order()
    desk.start(order)
    clock.pass_(seconds=10)
    fail(desk, code=code)

    with pytest.raises(RetryLater) as refusal:
        desk.start(order)
    clock.pass_(seconds=seconds)

    assert refusal.value.seconds == seconds
    assert desk.start(order).status_code == 202


@pytest.mark.parametrize("code", [1031, 1032, 1, 2001, 8006, 3, 4, 2, 11, 2006, "E3008"])
def test_a_failure_that_the_payer_can_mend_is_tried_again_at_once(desk: Desk, code: object) -> None:
    order = desk.order()
    desk.start(order)
    fail(desk, code=code)

    assert desk.start(order).status_code == 202


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [(Reason.LINE_BUSY, 120), (Reason.SYSTEM_BUSY, 60), (Reason.MISCONFIGURED, 600)],
)
def test_a_refused_push_is_waited_for_from_its_refusal(
    desk: Desk, clock: Clock, reason: Reason, seconds: int
) -> None:
    order = desk.order()
    desk.daraja.answers.append(lambda push: clock.pass_(seconds=7) or _raise(Refused(reason)))
    desk.start(order)

    with pytest.raises(RetryLater) as refusal:
        desk.start(order)

    assert refusal.value.seconds == seconds


def test_a_push_that_daraja_would_not_have_is_corrected_at_once(desk: Desk) -> None:
    order = desk.order()
    desk.daraja.answers.append(Refused(Reason.PUSH_REFUSED))
    desk.start(order)

    assert desk.start(order).status_code == 202


def test_an_operators_no_is_waited_for_until_no_prompt_can_live(desk: Desk, clock: Clock) -> None:
    order = desk.order()
    transaction = desk.start(order).transaction_id
    clock.pass_(seconds=30)
    desk.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    with pytest.raises(RetryLater) as refusal:
        desk.start(order)

    assert refusal.value.seconds == 150


# -- after 180 s ---------------------------------------------------------------------------------


@on_both
def test_silence_frees_order_and_line_after_180_seconds(desk: Desk, clock: Clock) -> None:
    order, other = desk.order(), desk.order()
    first = desk.start(order).transaction_id
    clock.pass_(seconds=179)
    early = (started_or_refused(desk, order), started_or_refused(desk, other))
    clock.pass_(seconds=1)

    second = desk.start(order)

    assert early == (Started(first, 200), "LineBusy")
    assert second.status_code == 202
    assert (desk.transaction(first).status, desk.transaction(first).is_open) == ("PENDING", False)
    assert desk.transaction(second.transaction_id).attempt == 2


@on_both
def test_a_line_is_free_for_another_order_though_the_clock_is_late(
    desk: Desk, clock: Clock
) -> None:
    first = desk.attempt()
    before = desk.snapshot(first)["seq"]
    clock.pass_(seconds=180)
    desk.announced.clear()

    second = desk.attempt()

    assert desk.transaction(second).is_open
    assert not desk.transaction(first).is_open
    assert desk.snapshot(first)["seq"] == before + 1
    assert desk.announced == [first]


@on_both
def test_a_prompt_that_ends_between_the_checks_and_the_row_blocks_nobody(
    desk: Desk, clock: Clock
) -> None:
    def look_away(_msisdn: str) -> None:
        desk.attempt()
        clock.pass_(seconds=180)

    started = desk.start(desk.order(), check_limits=look_away)

    assert started.status_code == 202
    assert desk.transaction(started.transaction_id).is_open


# -- a prompt's life is counted from the push's answer -------------------------------------------


@on_both
def test_no_second_prompt_while_one_that_daraja_took_late_may_be_answered(
    desk: Desk, clock: Clock
) -> None:
    order, other = desk.order(), desk.order()
    desk.daraja.answers.append(lambda _push: clock.pass_(seconds=19.5))
    first = desk.start(order).transaction_id
    clock.pass_(seconds=179)
    desk.tick()
    during = (started_or_refused(desk, order), started_or_refused(desk, other))
    refused = started_or_refused(desk, order, msisdn=SECOND_PAYER_MSISDN)
    clock.pass_(seconds=1)
    desk.tick()

    second = desk.start(order)

    assert during == (Started(first, 200), "LineBusy")
    assert refused == "AttemptOpen"
    assert second.status_code == 202


@on_both
def test_a_push_without_an_answer_keeps_its_prompt_open_for_200_seconds(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    desk.daraja.answers.append(UnknownOutcome())
    first = desk.start(order).transaction_id
    clock.pass_(seconds=199)
    desk.tick()
    before = (started_or_refused(desk, order), desk.snapshot(first)["can_retry"])
    clock.pass_(seconds=1)
    desk.tick()

    after = (started_or_refused(desk, order), desk.snapshot(first)["can_retry"])

    assert before == (Started(first, 200), False)
    assert isinstance(after[0], Started)
    assert after[0].status_code == 202


def test_a_push_may_be_taken_for_as_long_as_its_attempt_is_open_longer() -> None:
    assert OPEN_UNANSWERED == OPEN_FOR + checkout.PUSH_BUDGET


@on_both
def test_a_refusal_tells_how_long_the_prompt_still_lives(desk: Desk, clock: Clock) -> None:
    desk.daraja.answers.append(lambda _push: clock.pass_(seconds=15))
    order = desk.order()
    desk.start(order)
    clock.pass_(seconds=100)

    with pytest.raises(LineBusy) as on_line:
        desk.start(desk.order())
    with pytest.raises(AttemptOpen) as on_order:
        desk.start(order, SECOND_PAYER_MSISDN)

    assert (on_line.value.seconds, on_order.value.seconds) == (80, 80)


@on_both
def test_an_order_with_a_late_prompt_is_neither_cancelled_nor_expired(
    desk: Desk, clock: Clock
) -> None:
    desk.daraja.answers.append(lambda _push: clock.pass_(seconds=19))
    order = desk.order(expires_at=clock() + timedelta(seconds=30))
    desk.start(order)
    clock.pass_(seconds=179)
    desk.tick()

    with pytest.raises(AttemptOpen):
        desk.cancel(order)

    assert desk.order_row(order).status == "OPEN"
    clock.pass_(seconds=1)
    desk.tick()
    assert desk.order_row(order).status == "EXPIRED"


@on_both
def test_a_failure_that_overtakes_a_late_answer_frees_the_order_for_good(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()

    def overtake(_push: Push) -> None:
        clock.pass_(seconds=10)
        fail(desk)

    desk.daraja.answers.append(overtake)
    first = desk.start(order).transaction_id

    second = desk.start(order)

    assert second.status_code == 202
    assert not desk.transaction(first).is_open


# -- a silent attempt is asked about before the next prompt --------------------------------------


def silent_order(desk: Desk, clock: Clock) -> tuple[str, str]:
    """An order whose attempt was never heard of again, and the attempt."""
    order = desk.order()
    transaction = desk.start(order).transaction_id
    clock.pass_(seconds=181)
    return order, transaction


def test_daraja_is_asked_about_a_silent_attempt_before_the_next_push(
    desk: Desk, clock: Clock
) -> None:
    order, _silent = silent_order(desk, clock)

    desk.start(order)

    assert desk.daraja.queries == [desk.daraja.checkout_id(1)]
    assert len(desk.daraja.pushes) == 2


def test_a_silent_attempt_that_was_paid_ends_the_request(desk: Desk, clock: Clock) -> None:
    order, silent = silent_order(desk, clock)
    desk.daraja.query_answers.append("0")

    with pytest.raises(OrderPaid):
        desk.start(order)

    assert len(desk.daraja.pushes) == 1
    assert desk.transaction(silent).status == "SUCCESS"
    assert silent in desk.announced


@pytest.mark.parametrize("answer", ["1037", "2028", "4999", NoAnswer()])
def test_any_other_answer_about_a_silent_attempt_lets_the_push_go(
    desk: Desk, clock: Clock, answer: object
) -> None:
    order, _silent = silent_order(desk, clock)
    desk.daraja.query_answers.append(answer)  # type: ignore[arg-type]

    assert desk.start(order).status_code == 202


def test_without_a_budget_a_silent_attempt_stops_nobody(desk: Desk, clock: Clock) -> None:
    order, _silent = silent_order(desk, clock)
    assert desk.budget.take()

    assert desk.start(order).status_code == 202
    assert desk.daraja.queries == []


def failed_by_query(desk: Desk, clock: Clock, code: str = "1032") -> tuple[str, str]:
    """An order whose attempt a query called failed, 20 s after its push; and the attempt."""
    order = desk.order()
    transaction = desk.start(order).transaction_id
    clock.pass_(seconds=20)
    desk.record(transaction, QueryAnswered(code), Kind.QUERY)
    assert desk.transaction(transaction).status == "FAILED"
    return order, transaction


@on_both
def test_daraja_is_asked_once_more_about_what_a_query_alone_called_failed(
    desk: Desk, clock: Clock
) -> None:
    order, first = failed_by_query(desk, clock)
    desk.daraja.query_answers.append("0")

    with pytest.raises(OrderPaid):
        desk.start(order)

    assert len(desk.daraja.pushes) == 1
    assert (desk.transaction(first).status, desk.transaction(first).reason) == (
        "SUCCESS",
        "paid_late",
    )


@pytest.mark.parametrize("answer", ["1032", "1037", "4999", "7777", NoAnswer()])
def test_any_other_answer_about_it_sets_no_wait_and_lets_the_push_go(
    desk: Desk, clock: Clock, answer: DarajaError | str
) -> None:
    order, first = failed_by_query(desk, clock)
    desk.daraja.query_answers.append(answer)

    assert desk.start(order).status_code == 202

    assert desk.daraja.queries == [desk.daraja.checkout_id(1)]
    row = desk.transaction(first)
    assert (row.status, row.reason, row.retry_at) == ("FAILED", "cancelled", None)


@pytest.mark.parametrize(("seconds", "asked"), [(159, 1), (160, 0)])
def test_it_is_asked_about_while_its_prompt_may_live_and_no_longer(
    desk: Desk, clock: Clock, seconds: int, asked: int
) -> None:
    order, _first = failed_by_query(desk, clock, code="1037")
    clock.pass_(seconds=seconds)  # 180 s after the push its prompt is over

    desk.start(order)

    assert len(desk.daraja.queries) == asked


WORDS: dict[str, Callable[[Desk, str], object]] = {
    "a callback": lambda desk, first: fail(desk),
    "a callback, after the query": lambda desk, first: (
        desk.record(first, QueryAnswered("1032"), Kind.QUERY),
        fail(desk),
    ),
    "an operator": lambda desk, first: desk.record(first, OperatorSaysNotPaid(), Kind.OPERATOR),
}


@pytest.mark.parametrize("word", WORDS)
def test_what_more_than_a_query_called_failed_is_not_asked_about(
    desk: Desk, clock: Clock, word: str
) -> None:
    desk.daraja.answers.append(lambda _push: clock.pass_(seconds=10))
    order = desk.order()
    first = desk.start(order).transaction_id
    WORDS[word](desk, first)
    clock.pass_(seconds=179)  # its prompt may live for one second more

    assert desk.start(order).status_code == 202

    assert desk.daraja.queries == []


def test_a_callback_that_decides_nothing_is_no_word_on_it(desk: Desk, clock: Clock) -> None:
    order, first = failed_by_query(desk, clock)
    fail(desk, code=4999)

    desk.start(order)

    assert desk.daraja.queries == [desk.daraja.checkout_id(1)]
    assert desk.transaction(first).status == "FAILED"


def test_without_a_budget_what_a_query_called_failed_stops_nobody(desk: Desk, clock: Clock) -> None:
    order, _first = failed_by_query(desk, clock)
    assert desk.budget.take()

    assert desk.start(order).status_code == 202
    assert desk.daraja.queries == []


def test_a_prompt_that_may_still_be_answered_is_not_asked_about(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)

    desk.start(order)

    assert desk.daraja.queries == []


# -- the same request twice ----------------------------------------------------------------------


@on_both
def test_the_same_key_gives_the_first_answer_again(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order, key="a")

    again = desk.start(order, key="a", check_limits=refuse)

    assert again == first
    assert again.status_code == 202
    assert len(desk.daraja.pushes) == 1


@pytest.mark.parametrize("end", [pay, fail, lambda desk: fail(desk, code=1037)])
def test_the_same_key_comes_before_every_other_rule(
    desk: Desk, end: Callable[[Desk], None]
) -> None:
    order = desk.order()
    first = desk.start(order, key="a")
    end(desk)

    assert desk.start(order, key="a", check_limits=refuse) == first
    assert len(desk.daraja.pushes) == 1


def test_the_same_key_answers_for_a_cancelled_order_too(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order, key="a")
    fail(desk)
    desk.cancel(order)

    assert desk.start(order, key="a") == first


def test_the_same_key_with_another_phone_is_refused_before_every_other_rule(desk: Desk) -> None:
    order = desk.order()
    desk.start(order, key="a")
    pay(desk)

    with pytest.raises(KeyReused):
        desk.start(order, SECOND_PAYER_MSISDN, key="a")


def test_a_key_belongs_to_its_order(desk: Desk) -> None:
    first = desk.start(desk.order(), key="a")

    second = desk.start(desk.order(), SECOND_PAYER_MSISDN, key="a")

    assert second.transaction_id != first.transaction_id


def kept_keys(desk: Desk) -> list[str]:
    with desk.sessions() as session:
        return list(session.scalars(select(IdempotencyKey.key)))


@on_both
def test_of_those_that_join_an_attempt_ten_keep_their_keys(desk: Desk) -> None:
    order = desk.order()
    started = desk.start(order, key="starter")

    joined = [desk.start(order, key=f"joiner {number}") for number in range(30)]

    assert {each.status_code for each in joined} == {200}
    assert {each.transaction_id for each in joined} == {started.transaction_id}
    assert sorted(kept_keys(desk)) == sorted(
        ["starter", *(f"joiner {number}" for number in range(10))]
    )
    assert desk.start(order, key="starter") == started
    assert desk.start(order, key="joiner 0") == joined[0]


def test_one_that_joined_and_did_not_keep_its_key_joins_again(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    joined = [desk.start(order, key=f"joiner {number}") for number in range(11)]

    assert desk.start(order, key="joiner 10", check_limits=refuse) == joined[10]


def test_each_attempt_has_ten_keys_of_those_that_join_it(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    for number in range(12):
        desk.start(order, key=f"first {number}")
    fail(desk)
    desk.start(order)

    for number in range(12):
        desk.start(order, key=f"second {number}")

    assert len(kept_keys(desk)) == 20


@on_both
def test_of_those_that_join_at_once_no_more_keep_their_keys(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)

    at_once([lambda each=each: desk.start(order, key=f"joiner {each}") for each in range(20)])

    assert len(kept_keys(desk)) == 10


def test_a_request_that_joined_keeps_its_key(desk: Desk) -> None:
    order = desk.order()
    desk.start(order)
    joined = desk.start(order, key="a")
    fail(desk)

    assert joined.status_code == 200
    assert desk.start(order, key="a") == joined
    assert len(desk.daraja.pushes) == 1


@pytest.mark.parametrize("wrong", ["line busy", "wait", "open"])
def test_a_refusal_uses_up_no_key(desk: Desk, clock: Clock, wrong: str) -> None:
    order = desk.order()
    if wrong == "line busy":
        desk.attempt()
    else:
        desk.start(order, SECOND_PAYER_MSISDN)
    if wrong == "wait":
        fail(desk, code=1037)
    refused = started_or_refused(desk, order, key="a")
    clock.pass_(seconds=180)

    later = desk.start(order, key="a")

    assert refused in ("LineBusy", "RetryLater", "AttemptOpen")
    assert later.status_code == 202


def test_a_new_key_after_a_failure_is_a_new_attempt(desk: Desk) -> None:
    order = desk.order()
    first = desk.start(order, key="a")
    fail(desk)

    second = desk.start(order, key="b")

    assert second.transaction_id != first.transaction_id
    assert len(desk.daraja.pushes) == 2


# -- many at once --------------------------------------------------------------------------------


@on_both
def test_twenty_starts_at_once_reach_daraja_once(desk: Desk) -> None:
    order = desk.order()

    outcomes = at_once([lambda: desk.start(order)] * CROWD)

    assert len(desk.daraja.pushes) == 1
    assert {each.transaction_id for each in outcomes} == {desk.transactions()[0].id}
    assert sorted(each.status_code for each in outcomes) == [200] * 19 + [202]


@on_both
def test_twenty_starts_with_one_key_at_once_get_one_answer(desk: Desk) -> None:
    order = desk.order()

    outcomes = at_once([lambda: desk.start(order, key="a")] * CROWD)

    assert len(desk.daraja.pushes) == 1
    assert outcomes == [Started(desk.transactions()[0].id, 202)] * CROWD


@on_both
def test_two_phones_at_once_get_one_prompt(desk: Desk) -> None:
    order = desk.order()
    lines = [f"2547000000{number:02d}" for number in range(10)]

    outcomes = at_once(
        [lambda line=line: started_or_refused(desk, order, msisdn=line) for line in lines]
    )

    assert len(desk.daraja.pushes) == 1
    assert outcomes.count("AttemptOpen") == 9
    assert sum(isinstance(each, Started) for each in outcomes) == 1


@on_both
def test_many_orders_on_one_line_at_once_get_one_prompt(desk: Desk) -> None:
    orders = [desk.order() for _ in range(10)]

    outcomes = at_once([lambda order=order: started_or_refused(desk, order) for order in orders])

    assert len(desk.daraja.pushes) == 1
    assert outcomes.count("LineBusy") == 9
    assert len(desk.transactions()) == 1


@on_both
def test_many_requests_that_free_the_same_late_prompt_get_one_new_one(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    seq = desk.snapshot(first)["seq"]
    clock.pass_(seconds=180)

    outcomes = at_once([lambda: desk.start(order)] * 10)

    assert sorted(each.status_code for each in outcomes) == [200] * 9 + [202]
    assert len(desk.daraja.pushes) == 2
    assert desk.snapshot(first)["seq"] == seq + 1


@on_both
def test_money_that_arrives_while_the_next_prompt_is_asked_for_is_never_lost(
    desk: Desk, clock: Clock
) -> None:
    order = desk.order()
    first = desk.start(order).transaction_id
    fail(desk)

    outcomes = at_once([lambda: pay(desk), lambda: started_or_refused(desk, order)])

    assert desk.transaction(first).status == "SUCCESS"
    assert desk.order_row(order).status == "PAID"
    assert outcomes[0] is None
    assert outcomes[1] == "OrderPaid" or isinstance(outcomes[1], Started)


def _raise(error: Exception) -> None:
    raise error

"""Starting a payment: what may stop it, in which order, and what is true while Daraja is asked."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from mpesa import checkout
from mpesa.checkout import Started
from mpesa.daraja import NoAnswer, NotSent, Refused, UnknownOutcome
from mpesa.domain.attempt import OPEN_FOR, OPEN_UNANSWERED
from mpesa.domain.evidence import Kind
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
from mpesa.models import IdempotencyKey
from tests.conftest import on_both
from tests.factories import (
    PAYER_MSISDN,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.shop import Shop, at_once

CROWD = 20


class TooOften(Exception):
    """What the edge raises when a line asks too often."""


def pay(shop, push=1):
    """Let the n-th push be paid."""
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, success_callback(*ids))


def fail(shop, push=1, code=1032):
    """Let the n-th push end with a failure code."""
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, failure_callback(*ids, code))


def refuse(_msisdn):
    raise TooOften


def started_or_refused(shop, order, **more):
    """What a request got: a start, or the name of the refusal."""
    try:
        return shop.start(order, **more)
    except OrderError as refusal:
        return type(refusal).__name__


# -- the row comes first -------------------------------------------------------------------------


@on_both
def test_the_row_is_committed_before_daraja_hears_of_it(shop):
    seen = []
    shop.daraja.answers.append(lambda push: seen.extend(shop.transactions()))

    started = shop.start(shop.order())

    (row,) = seen
    assert row.id == started.transaction_id
    assert (row.status, row.reason, row.is_open, row.seq) == ("PENDING", "awaiting_pin", True, 1)
    assert row.callback_token_hash == hash_token(shop.daraja.token_of(1))


@on_both
def test_nothing_is_held_in_the_database_while_daraja_is_asked(shop):
    order = shop.order()
    held: list[int] = []

    def look(_push):
        held.append(shop.engine.pool.checkedout())
        with shop.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            else:
                connection.execute(text("SET lock_timeout = '1ms'"))
            connection.execute(text("UPDATE orders SET description = 'locked by nobody'"))
            connection.execute(text("UPDATE transactions SET times_asked = 0"))
            connection.commit()

    shop.daraja.answers.append(look)

    shop.start(order)

    assert held == [0]
    assert shop.order_row(order).description == "locked by nobody"


def test_daraja_is_given_the_order_as_the_server_knows_it(shop):
    shop.start(shop.order(amount=1500, reference="INV-7", description="Three teas"))

    (push,) = shop.daraja.pushes
    assert (push.msisdn, push.amount) == (PAYER_MSISDN, 1500)
    assert (push.reference, push.description) == ("INV-7", "Three teas")


def test_each_attempt_has_a_secret_of_its_own(shop):
    shop.attempt()
    shop.attempt(SECOND_PAYER_MSISDN)

    first, second = shop.daraja.token_of(1), shop.daraja.token_of(2)

    assert first != second
    assert set(first + second) <= set("0123456789abcdef")
    assert len(first) * 4 >= 128


def test_a_push_that_daraja_took_waits_for_the_pin(shop):
    started = shop.start(shop.order())

    row = shop.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.is_open) == ("PENDING", "awaiting_pin", True)
    assert row.checkout_request_id == shop.daraja.checkout_id(1)


@on_both
def test_a_callback_that_overtakes_the_pushs_answer_is_believed(shop):
    shop.daraja.answers.append(lambda push: pay(shop))
    order = shop.order()

    started = shop.start(order)

    row = shop.transaction(started.transaction_id)
    assert (row.status, row.needs_review, row.settles_order) == ("SUCCESS", False, True)
    assert row.checkout_request_id == shop.daraja.checkout_id(1)
    assert shop.order_row(order).status == "PAID"


def test_a_failure_that_overtakes_the_pushs_answer_is_believed(shop):
    shop.daraja.answers.append(lambda push: fail(shop, code=2029))

    started = shop.start(shop.order())

    row = shop.transaction(started.transaction_id)
    assert (row.status, row.reason) == ("FAILED", "misconfigured")
    assert (row.is_open, row.needs_review) == (False, False)


# -- what Daraja may answer ----------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.SYSTEM_BUSY, Reason.MISCONFIGURED])
@pytest.mark.parametrize("error", [NotSent, Refused])
def test_a_push_that_cannot_be_on_the_phone_has_failed_for_good(shop, error, reason):
    shop.daraja.answers.append(error(reason))

    started = shop.start(shop.order())

    row = shop.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.final) == ("FAILED", reason, True)
    assert not row.is_open


@pytest.mark.parametrize("error", [NotSent, Refused])
def test_the_merchant_hears_of_a_push_that_only_the_merchant_can_put_right(shop, error, caplog):
    shop.daraja.answers.append(error(Reason.MISCONFIGURED, "HTTP 400 (CallBackURL)"))

    shop.start(shop.order())

    (line,) = (each for each in caplog.records if each.levelname == "ERROR")
    assert line.getMessage() == "M-PESA is not set up correctly: HTTP 400 (CallBackURL)"


@pytest.mark.parametrize("reason", [Reason.PUSH_REFUSED, Reason.LINE_BUSY, Reason.SYSTEM_BUSY])
def test_what_the_merchant_cannot_put_right_is_no_error_in_the_log(shop, reason, caplog):
    shop.daraja.answers.append(Refused(reason))

    shop.start(shop.order())

    assert not caplog.records


@pytest.mark.parametrize("error", [UnknownOutcome(), NoAnswer()])
def test_a_push_whose_fate_is_unknown_stays_pending(shop, error):
    shop.daraja.answers.append(error)

    started = shop.start(shop.order())

    row = shop.transaction(started.transaction_id)
    assert started.status_code == 202
    assert (row.status, row.reason, row.is_open) == ("PENDING", "push_unconfirmed", True)
    assert len(shop.daraja.pushes) == 1


def test_what_daraja_answered_is_kept_as_evidence(shop):
    shop.daraja.answers.append(Refused(Reason.PUSH_REFUSED, body=b'{"errorCode": "400.002.02"}'))

    started = shop.start(shop.order())

    (evidence,) = shop.evidence(started.transaction_id)
    assert (evidence.kind, evidence.body) == ("push_answer", b'{"errorCode": "400.002.02"}')


def test_rooms_hear_of_a_push_that_failed(shop):
    shop.daraja.answers.append(NotSent(Reason.SYSTEM_BUSY))

    started = shop.start(shop.order())

    assert shop.announced == [started.transaction_id]


# -- the checks, in their order ------------------------------------------------------------------


def test_an_unknown_order_is_told_before_anything_else(shop):
    with pytest.raises(OrderNotFound):
        shop.start("nowhere", key="a", check_limits=refuse)


def test_a_paid_order_is_told_before_a_busy_line(shop):
    order = shop.order()
    shop.start(order)
    pay(shop)
    shop.attempt(SECOND_PAYER_MSISDN)

    with pytest.raises(OrderPaid):
        shop.start(order, SECOND_PAYER_MSISDN)


def test_a_cancelled_order_is_told_before_a_wait_and_a_busy_line(shop):
    order = shop.order()
    shop.start(order)
    fail(shop, code=1037)
    shop.cancel(order)
    shop.attempt(SECOND_PAYER_MSISDN)

    with pytest.raises(OrderClosed):
        shop.start(order, SECOND_PAYER_MSISDN)


def test_an_expired_order_is_closed(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(minutes=10))
    clock.pass_(minutes=10)

    with pytest.raises(OrderClosed):
        shop.start(order)


def test_the_same_phone_joins_the_open_attempt(shop):
    order = shop.order()
    first = shop.start(order)

    second = shop.start(order, check_limits=refuse)

    assert second == Started(first.transaction_id, 200)
    assert len(shop.daraja.pushes) == 1


def test_an_order_whose_prompt_is_alive_is_joined_after_its_expiry(shop, clock):
    order = shop.order(expires_at=clock() + timedelta(seconds=30))
    first = shop.start(order)
    clock.pass_(seconds=60)

    assert shop.start(order) == Started(first.transaction_id, 200)


def test_an_overdue_prompt_is_still_joined(shop, clock):
    order = shop.order()
    first = shop.start(order)
    clock.pass_(seconds=179)
    shop.tick()

    assert shop.start(order) == Started(first.transaction_id, 200)


def test_another_phone_is_told_of_the_open_attempt_before_its_own_busy_line(shop, clock):
    order = shop.order()
    shop.start(order)
    shop.attempt(SECOND_PAYER_MSISDN)
    clock.pass_(seconds=30)

    with pytest.raises(AttemptOpen) as refusal:
        shop.start(order, SECOND_PAYER_MSISDN, check_limits=refuse)

    assert refusal.value.seconds == 150


def test_a_wait_is_told_before_a_busy_line(shop):
    order = shop.order()
    shop.start(order)
    fail(shop, code=1037)
    shop.attempt(SECOND_PAYER_MSISDN)

    with pytest.raises(RetryLater):
        shop.start(order, SECOND_PAYER_MSISDN, check_limits=refuse)


def test_a_busy_line_is_told_before_the_limits(shop, clock):
    shop.attempt()
    clock.pass_(seconds=60)

    with pytest.raises(LineBusy) as refusal:
        shop.start(shop.order(), check_limits=refuse)

    assert refusal.value.seconds == 120


def test_the_limits_stop_a_push_before_anything_is_written(shop):
    order = shop.order()

    with pytest.raises(TooOften):
        shop.start(order, key="a", check_limits=refuse)

    assert shop.transactions() == []
    assert shop.daraja.pushes == []
    assert shop.start(order, SECOND_PAYER_MSISDN, key="a").status_code == 202


def test_only_requests_that_could_push_count_against_the_limits(shop):
    order = shop.order()
    shop.start(order, key="a")
    shop.start(order, key="a")
    shop.start(order)
    started_or_refused(shop, order, msisdn=SECOND_PAYER_MSISDN)
    started_or_refused(shop, shop.order())

    assert shop.limited == [PAYER_MSISDN]


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
def test_a_failure_is_waited_for_as_its_reason_asks(shop, clock, code, seconds):
    order = shop.order()
    shop.start(order)
    clock.pass_(seconds=10)
    fail(shop, code=code)

    with pytest.raises(RetryLater) as refusal:
        shop.start(order)
    clock.pass_(seconds=seconds)

    assert refusal.value.seconds == seconds
    assert shop.start(order).status_code == 202


@pytest.mark.parametrize("code", [1031, 1032, 1, 2001, 8006, 3, 4, 2, 11, 2006, "E3008"])
def test_a_failure_that_the_payer_can_mend_is_tried_again_at_once(shop, code):
    order = shop.order()
    shop.start(order)
    fail(shop, code=code)

    assert shop.start(order).status_code == 202


@pytest.mark.parametrize(
    ("reason", "seconds"),
    [(Reason.LINE_BUSY, 120), (Reason.SYSTEM_BUSY, 60), (Reason.MISCONFIGURED, 600)],
)
def test_a_refused_push_is_waited_for_from_its_refusal(shop, clock, reason, seconds):
    order = shop.order()
    shop.daraja.answers.append(lambda push: clock.pass_(seconds=7) or _raise(Refused(reason)))
    shop.start(order)

    with pytest.raises(RetryLater) as refusal:
        shop.start(order)

    assert refusal.value.seconds == seconds


def test_a_push_that_daraja_would_not_have_is_corrected_at_once(shop):
    order = shop.order()
    shop.daraja.answers.append(Refused(Reason.PUSH_REFUSED))
    shop.start(order)

    assert shop.start(order).status_code == 202


def test_an_operators_no_is_waited_for_until_no_prompt_can_live(shop, clock):
    order = shop.order()
    transaction = shop.start(order).transaction_id
    clock.pass_(seconds=30)
    shop.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    with pytest.raises(RetryLater) as refusal:
        shop.start(order)

    assert refusal.value.seconds == 150


# -- after 180 s ---------------------------------------------------------------------------------


@on_both
def test_silence_frees_order_and_line_after_180_seconds(shop, clock):
    order, other = shop.order(), shop.order()
    first = shop.start(order).transaction_id
    clock.pass_(seconds=179)
    early = (started_or_refused(shop, order), started_or_refused(shop, other))
    clock.pass_(seconds=1)

    second = shop.start(order)

    assert early == (Started(first, 200), "LineBusy")
    assert second.status_code == 202
    assert (shop.transaction(first).status, shop.transaction(first).is_open) == ("PENDING", False)
    assert shop.transaction(second.transaction_id).attempt == 2


@on_both
def test_a_line_is_free_for_another_order_though_the_clock_is_late(shop, clock):
    first = shop.attempt()
    before = shop.snapshot(first)["seq"]
    clock.pass_(seconds=180)
    shop.announced.clear()

    second = shop.attempt()

    assert shop.transaction(second).is_open
    assert not shop.transaction(first).is_open
    assert shop.snapshot(first)["seq"] == before + 1
    assert shop.announced == [first]


@on_both
def test_a_prompt_that_ends_between_the_checks_and_the_row_blocks_nobody(shop, clock):
    def look_away(_msisdn):
        shop.attempt()
        clock.pass_(seconds=180)

    started = shop.start(shop.order(), check_limits=look_away)

    assert started.status_code == 202
    assert shop.transaction(started.transaction_id).is_open


# -- a prompt's life is counted from the push's answer -------------------------------------------


@on_both
def test_no_second_prompt_while_one_that_daraja_took_late_may_be_answered(shop, clock):
    order, other = shop.order(), shop.order()
    shop.daraja.answers.append(lambda _push: clock.pass_(seconds=19.5))
    first = shop.start(order).transaction_id
    clock.pass_(seconds=179)
    shop.tick()
    during = (started_or_refused(shop, order), started_or_refused(shop, other))
    refused = started_or_refused(shop, order, msisdn=SECOND_PAYER_MSISDN)
    clock.pass_(seconds=1)
    shop.tick()

    second = shop.start(order)

    assert during == (Started(first, 200), "LineBusy")
    assert refused == "AttemptOpen"
    assert second.status_code == 202


@on_both
def test_a_push_without_an_answer_keeps_its_prompt_open_for_200_seconds(shop, clock):
    order = shop.order()
    shop.daraja.answers.append(UnknownOutcome())
    first = shop.start(order).transaction_id
    clock.pass_(seconds=199)
    shop.tick()
    before = (started_or_refused(shop, order), shop.snapshot(first)["can_retry"])
    clock.pass_(seconds=1)
    shop.tick()

    after = (started_or_refused(shop, order), shop.snapshot(first)["can_retry"])

    assert before == (Started(first, 200), False)
    assert isinstance(after[0], Started)
    assert after[0].status_code == 202


def test_a_push_may_be_taken_for_as_long_as_its_attempt_is_open_longer():
    assert OPEN_UNANSWERED == OPEN_FOR + checkout.PUSH_BUDGET


@on_both
def test_a_refusal_tells_how_long_the_prompt_still_lives(shop, clock):
    shop.daraja.answers.append(lambda _push: clock.pass_(seconds=15))
    order = shop.order()
    shop.start(order)
    clock.pass_(seconds=100)

    with pytest.raises(LineBusy) as on_line:
        shop.start(shop.order())
    with pytest.raises(AttemptOpen) as on_order:
        shop.start(order, SECOND_PAYER_MSISDN)

    assert (on_line.value.seconds, on_order.value.seconds) == (80, 80)


@on_both
def test_an_order_with_a_late_prompt_is_neither_cancelled_nor_expired(shop, clock):
    shop.daraja.answers.append(lambda _push: clock.pass_(seconds=19))
    order = shop.order(expires_at=clock() + timedelta(seconds=30))
    shop.start(order)
    clock.pass_(seconds=179)
    shop.tick()

    with pytest.raises(AttemptOpen):
        shop.cancel(order)

    assert shop.order_row(order).status == "OPEN"
    clock.pass_(seconds=1)
    shop.tick()
    assert shop.order_row(order).status == "EXPIRED"


@on_both
def test_a_failure_that_overtakes_a_late_answer_frees_the_order_for_good(shop, clock):
    order = shop.order()

    def overtake(_push):
        clock.pass_(seconds=10)
        fail(shop)

    shop.daraja.answers.append(overtake)
    first = shop.start(order).transaction_id

    second = shop.start(order)

    assert second.status_code == 202
    assert not shop.transaction(first).is_open


# -- a silent attempt is asked about before the next prompt --------------------------------------


def silent_order(shop, clock):
    """An order whose attempt was never heard of again, and the attempt."""
    order = shop.order()
    transaction = shop.start(order).transaction_id
    clock.pass_(seconds=181)
    return order, transaction


def test_daraja_is_asked_about_a_silent_attempt_before_the_next_push(shop, clock):
    order, _silent = silent_order(shop, clock)

    shop.start(order)

    assert shop.daraja.queries == [shop.daraja.checkout_id(1)]
    assert len(shop.daraja.pushes) == 2


def test_a_silent_attempt_that_was_paid_ends_the_request(shop, clock):
    order, silent = silent_order(shop, clock)
    shop.daraja.query_answers.append("0")

    with pytest.raises(OrderPaid):
        shop.start(order)

    assert len(shop.daraja.pushes) == 1
    assert shop.transaction(silent).status == "SUCCESS"
    assert silent in shop.announced


@pytest.mark.parametrize("answer", ["1037", "2028", "4999", NoAnswer()])
def test_any_other_answer_about_a_silent_attempt_lets_the_push_go(shop, clock, answer):
    order, _silent = silent_order(shop, clock)
    shop.daraja.query_answers.append(answer)

    assert shop.start(order).status_code == 202


def test_without_a_budget_a_silent_attempt_stops_nobody(shop, clock):
    order, _silent = silent_order(shop, clock)
    assert shop.budget.take()

    assert shop.start(order).status_code == 202
    assert shop.daraja.queries == []


def failed_by_query(shop, clock, code="1032"):
    """An order whose attempt a query called failed, 20 s after its push; and the attempt."""
    order = shop.order()
    transaction = shop.start(order).transaction_id
    clock.pass_(seconds=20)
    shop.record(transaction, QueryAnswered(code), Kind.QUERY)
    assert shop.transaction(transaction).status == "FAILED"
    return order, transaction


@on_both
def test_daraja_is_asked_once_more_about_what_a_query_alone_called_failed(shop, clock):
    order, first = failed_by_query(shop, clock)
    shop.daraja.query_answers.append("0")

    with pytest.raises(OrderPaid):
        shop.start(order)

    assert len(shop.daraja.pushes) == 1
    assert (shop.transaction(first).status, shop.transaction(first).reason) == (
        "SUCCESS",
        "paid_late",
    )


@pytest.mark.parametrize("answer", ["1032", "1037", "4999", "7777", NoAnswer()])
def test_any_other_answer_about_it_sets_no_wait_and_lets_the_push_go(shop, clock, answer):
    order, first = failed_by_query(shop, clock)
    shop.daraja.query_answers.append(answer)

    assert shop.start(order).status_code == 202

    assert shop.daraja.queries == [shop.daraja.checkout_id(1)]
    row = shop.transaction(first)
    assert (row.status, row.reason, row.retry_at) == ("FAILED", "cancelled", None)


@pytest.mark.parametrize(("seconds", "asked"), [(159, 1), (160, 0)])
def test_it_is_asked_about_while_its_prompt_may_live_and_no_longer(shop, clock, seconds, asked):
    order, _first = failed_by_query(shop, clock, code="1037")
    clock.pass_(seconds=seconds)  # 180 s after the push its prompt is over

    shop.start(order)

    assert len(shop.daraja.queries) == asked


WORDS: dict[str, Callable[[Shop, str], object]] = {
    "a callback": lambda shop, first: fail(shop),
    "a callback, after the query": lambda shop, first: (
        shop.record(first, QueryAnswered("1032"), Kind.QUERY),
        fail(shop),
    ),
    "an operator": lambda shop, first: shop.record(first, OperatorSaysNotPaid(), Kind.OPERATOR),
}


@pytest.mark.parametrize("word", WORDS)
def test_what_more_than_a_query_called_failed_is_not_asked_about(shop, clock, word):
    shop.daraja.answers.append(lambda _push: clock.pass_(seconds=10))
    order = shop.order()
    first = shop.start(order).transaction_id
    WORDS[word](shop, first)
    clock.pass_(seconds=179)  # its prompt may live for one second more

    assert shop.start(order).status_code == 202

    assert shop.daraja.queries == []


def test_a_callback_that_decides_nothing_is_no_word_on_it(shop, clock):
    order, first = failed_by_query(shop, clock)
    fail(shop, code=4999)

    shop.start(order)

    assert shop.daraja.queries == [shop.daraja.checkout_id(1)]
    assert shop.transaction(first).status == "FAILED"


def test_without_a_budget_what_a_query_called_failed_stops_nobody(shop, clock):
    order, _first = failed_by_query(shop, clock)
    assert shop.budget.take()

    assert shop.start(order).status_code == 202
    assert shop.daraja.queries == []


def test_a_prompt_that_may_still_be_answered_is_not_asked_about(shop):
    order = shop.order()
    shop.start(order)

    shop.start(order)

    assert shop.daraja.queries == []


# -- the same request twice ----------------------------------------------------------------------


@on_both
def test_the_same_key_gives_the_first_answer_again(shop):
    order = shop.order()
    first = shop.start(order, key="a")

    again = shop.start(order, key="a", check_limits=refuse)

    assert again == first
    assert again.status_code == 202
    assert len(shop.daraja.pushes) == 1


@pytest.mark.parametrize("end", [pay, fail, lambda shop: fail(shop, code=1037)])
def test_the_same_key_comes_before_every_other_rule(shop, end):
    order = shop.order()
    first = shop.start(order, key="a")
    end(shop)

    assert shop.start(order, key="a", check_limits=refuse) == first
    assert len(shop.daraja.pushes) == 1


def test_the_same_key_answers_for_a_cancelled_order_too(shop):
    order = shop.order()
    first = shop.start(order, key="a")
    fail(shop)
    shop.cancel(order)

    assert shop.start(order, key="a") == first


def test_the_same_key_with_another_phone_is_refused_before_every_other_rule(shop):
    order = shop.order()
    shop.start(order, key="a")
    pay(shop)

    with pytest.raises(KeyReused):
        shop.start(order, SECOND_PAYER_MSISDN, key="a")


def test_a_key_belongs_to_its_order(shop):
    first = shop.start(shop.order(), key="a")

    second = shop.start(shop.order(), SECOND_PAYER_MSISDN, key="a")

    assert second.transaction_id != first.transaction_id


def kept_keys(shop):
    with shop.sessions() as session:
        return list(session.scalars(select(IdempotencyKey.key)))


@on_both
def test_of_those_that_join_an_attempt_ten_keep_their_keys(shop):
    order = shop.order()
    started = shop.start(order, key="starter")

    joined = [shop.start(order, key=f"joiner {number}") for number in range(30)]

    assert {each.status_code for each in joined} == {200}
    assert {each.transaction_id for each in joined} == {started.transaction_id}
    assert sorted(kept_keys(shop)) == sorted(
        ["starter", *(f"joiner {number}" for number in range(10))]
    )
    assert shop.start(order, key="starter") == started
    assert shop.start(order, key="joiner 0") == joined[0]


def test_one_that_joined_and_did_not_keep_its_key_joins_again(shop):
    order = shop.order()
    shop.start(order)
    joined = [shop.start(order, key=f"joiner {number}") for number in range(11)]

    assert shop.start(order, key="joiner 10", check_limits=refuse) == joined[10]


def test_each_attempt_has_ten_keys_of_those_that_join_it(shop):
    order = shop.order()
    shop.start(order)
    for number in range(12):
        shop.start(order, key=f"first {number}")
    fail(shop)
    shop.start(order)

    for number in range(12):
        shop.start(order, key=f"second {number}")

    assert len(kept_keys(shop)) == 20


@on_both
def test_of_those_that_join_at_once_no_more_keep_their_keys(shop):
    order = shop.order()
    shop.start(order)

    at_once([lambda each=each: shop.start(order, key=f"joiner {each}") for each in range(20)])

    assert len(kept_keys(shop)) == 10


def test_a_request_that_joined_keeps_its_key(shop):
    order = shop.order()
    shop.start(order)
    joined = shop.start(order, key="a")
    fail(shop)

    assert joined.status_code == 200
    assert shop.start(order, key="a") == joined
    assert len(shop.daraja.pushes) == 1


@pytest.mark.parametrize("wrong", ["line busy", "wait", "open"])
def test_a_refusal_uses_up_no_key(shop, clock, wrong):
    order = shop.order()
    if wrong == "line busy":
        shop.attempt()
    else:
        shop.start(order, SECOND_PAYER_MSISDN)
    if wrong == "wait":
        fail(shop, code=1037)
    refused = started_or_refused(shop, order, key="a")
    clock.pass_(seconds=180)

    later = shop.start(order, key="a")

    assert refused in ("LineBusy", "RetryLater", "AttemptOpen")
    assert later.status_code == 202


def test_a_new_key_after_a_failure_is_a_new_attempt(shop):
    order = shop.order()
    first = shop.start(order, key="a")
    fail(shop)

    second = shop.start(order, key="b")

    assert second.transaction_id != first.transaction_id
    assert len(shop.daraja.pushes) == 2


# -- many at once --------------------------------------------------------------------------------


@on_both
def test_twenty_starts_at_once_reach_daraja_once(shop):
    order = shop.order()

    outcomes = at_once([lambda: shop.start(order)] * CROWD)

    assert len(shop.daraja.pushes) == 1
    assert {each.transaction_id for each in outcomes} == {shop.transactions()[0].id}
    assert sorted(each.status_code for each in outcomes) == [200] * 19 + [202]


@on_both
def test_twenty_starts_with_one_key_at_once_get_one_answer(shop):
    order = shop.order()

    outcomes = at_once([lambda: shop.start(order, key="a")] * CROWD)

    assert len(shop.daraja.pushes) == 1
    assert outcomes == [Started(shop.transactions()[0].id, 202)] * CROWD


@on_both
def test_two_phones_at_once_get_one_prompt(shop):
    order = shop.order()
    lines = [f"2547000000{number:02d}" for number in range(10)]

    outcomes = at_once(
        [lambda line=line: started_or_refused(shop, order, msisdn=line) for line in lines]
    )

    assert len(shop.daraja.pushes) == 1
    assert outcomes.count("AttemptOpen") == 9
    assert sum(isinstance(each, Started) for each in outcomes) == 1


@on_both
def test_many_orders_on_one_line_at_once_get_one_prompt(shop):
    orders = [shop.order() for _ in range(10)]

    outcomes = at_once([lambda order=order: started_or_refused(shop, order) for order in orders])

    assert len(shop.daraja.pushes) == 1
    assert outcomes.count("LineBusy") == 9
    assert len(shop.transactions()) == 1


@on_both
def test_many_requests_that_free_the_same_late_prompt_get_one_new_one(shop, clock):
    order = shop.order()
    first = shop.start(order).transaction_id
    seq = shop.snapshot(first)["seq"]
    clock.pass_(seconds=180)

    outcomes = at_once([lambda: shop.start(order)] * 10)

    assert sorted(each.status_code for each in outcomes) == [200] * 9 + [202]
    assert len(shop.daraja.pushes) == 2
    assert shop.snapshot(first)["seq"] == seq + 1


@on_both
def test_money_that_arrives_while_the_next_prompt_is_asked_for_is_never_lost(shop, clock):
    order = shop.order()
    first = shop.start(order).transaction_id
    fail(shop)

    outcomes = at_once([lambda: pay(shop), lambda: started_or_refused(shop, order)])

    assert shop.transaction(first).status == "SUCCESS"
    assert shop.order_row(order).status == "PAID"
    assert outcomes[0] is None
    assert outcomes[1] == "OrderPaid" or isinstance(outcomes[1], Started)


def _raise(error):
    raise error

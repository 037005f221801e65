"""The merchant's server hears of every change, signed, in order, until it has said so."""

import base64
import json
import logging
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, update
from standardwebhooks import Webhook, WebhookVerificationError

from mpesa import webhooks
from mpesa.daraja import Refused
from mpesa.domain.evidence import Kind
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import OperatorSaysNotPaid, QueryAnswered
from mpesa.domain.webhook import FOR_PAGES
from mpesa.models import WebhookMessage
from mpesa.runtime import loops
from mpesa.web.http.services import services
from mpesa.webhooks import (
    Answered,
    Backlog,
    DeliveryState,
    Endpoint,
    EndpointState,
    Failure,
    Post,
    Unanswered,
    deliveries,
)
from mpesa.webhooks.deliveries import FAILING_FROM, MOST_AT_ONCE
from tests import receiver as merchant
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.receiver import receiving
from tests.shop import Shop, at_once

on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 24).decode()
FIVE_SECONDS, FIVE_MINUTES = timedelta(seconds=5), timedelta(minutes=5)
# Seconds that a request to the receiver may take; where a test waits for its end, this long.
LIMIT = 5.0


class Subscriber:
    """A merchant's server, and the shop whose payments it hears of."""

    def __init__(self, shop, receiver, **named):
        self.shop = shop
        self.receiver = receiver
        fields = {"secrets": (SECRET,), "post": Post(receiver.url, LIMIT), "chance": lambda: 0.0}
        self.endpoint = Endpoint(receiver.url, now=shop.now, **{**fields, **named})

    def send(self):
        """Send all that may be sent now."""
        with self.shop.sessions() as session:
            return webhooks.run_until_idle(session, self.endpoint)

    def send_one(self):
        """Send what is most due."""
        with self.shop.sessions() as session:
            return webhooks.run_once(session, self.endpoint)

    def put_back(self):
        """What a worker does after a step back of its clock, and at its start."""
        with self.shop.sessions() as session:
            return webhooks.put_back(session, self.endpoint)

    def told(self):
        """Types and `seq` of what arrived, in order."""
        bodies = [json.loads(each.body) for each in self.receiver.got]
        return [(each["type"].removeprefix("transaction."), each["data"]["seq"]) for each in bodies]

    def messages(self):
        """All of them, as written."""
        with self.shop.sessions() as session:
            by = (WebhookMessage.created_at, WebhookMessage.seq, WebhookMessage.type.desc())
            return session.scalars(select(WebhookMessage).order_by(*by)).all()

    def attempts(self):
        """What came of each try, of the newest message first."""
        with self.shop.sessions() as session:
            rows = webhooks.page(session, 1000)
            return [(try_.status_code, try_.failure) for row in rows for try_ in row.attempts]

    def states(self):
        """Of each message, oldest first."""
        return [webhooks.state_of(each, self.shop.now()) for each in self.messages()]

    def endpoint_state(self):
        with self.shop.sessions() as session:
            return webhooks.endpoint_state(session, self.endpoint.url)

    def retry(self, message_id):
        with self.shop.sessions() as session:
            return webhooks.retry(session, message_id, self.shop.now())

    def paid(self, number=1):
        """A payment that was paid; the n-th push."""
        transaction = self.shop.attempt(f"2547000000{number:02d}")
        pay(self.shop, number)
        return transaction


def pay(shop, push=1):
    ids = (shop.daraja.checkout_id(push), shop.daraja.merchant_id(push))
    shop.callback(push, success_callback(*ids, receipt=f"UKO1ABCD{push:02d}"))


def fail(shop, push=1, code=1032):
    shop.callback(
        push, failure_callback(shop.daraja.checkout_id(push), shop.daraja.merchant_id(push), code)
    )


@pytest.fixture
def receiver():
    with receiving() as started:
        yield started


@pytest.fixture
def app(make_app, receiver):
    """An application that tells the receiver; nothing is sent but by the tests."""
    return make_app(WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET)


@pytest.fixture
def subscriber(shop, receiver):
    return Subscriber(shop, receiver)


# -- what is written -----------------------------------------------------------------------------


@on_both
def test_a_payment_is_told_with_the_snapshot_that_was_committed(subscriber):
    transaction = subscriber.paid()

    subscriber.send()

    (got,) = subscriber.receiver.got
    told = json.loads(got.body)
    assert (told["type"], told["timestamp"]) == ("transaction.succeeded", "2026-11-24T09:00:00Z")
    committed = subscriber.shop.snapshot(transaction)
    for_pages = {name: committed.pop(name) for name in FOR_PAGES}
    assert for_pages == {"view": "paid", "next": "none", "again_at": None, "pay_by_hand": None}
    assert told["data"] == {**committed, "reference": "INV-1"}
    assert told["data"]["order_status"] == "PAID"


@on_both
def test_a_message_is_written_in_the_commit_of_its_change(subscriber):
    """A commit that fails takes both, or neither."""
    transaction = subscriber.shop.attempt()
    event.listen(subscriber.shop.engine, "commit", _refuse)
    event.listen(subscriber.shop.engine, "before_cursor_execute", _refuse_with_it)

    with pytest.raises(ConnectionError):
        subscriber.shop.record(transaction, QueryAnswered("0"), Kind.QUERY)
    event.remove(subscriber.shop.engine, "commit", _refuse)
    event.remove(subscriber.shop.engine, "before_cursor_execute", _refuse_with_it)

    assert subscriber.messages() == []
    assert subscriber.shop.transaction(transaction).status == "PENDING"


def _refuse(_connection):
    raise ConnectionError


def _refuse_with_it(_connection, _cursor, statement, *_):
    """On PostgreSQL the COMMIT travels with what it commits."""
    if statement.endswith("COMMIT"):
        raise ConnectionError


@on_both
def test_a_callback_that_could_not_be_committed_at_first_is_told_as_it_was_at_last(
    subscriber,
):
    """Its receipt is another payment's: only the constraint finds out, and all is decided anew."""
    subscriber.paid(1)
    subscriber.shop.attempt("254700000002")
    ids = (subscriber.shop.daraja.checkout_id(2), subscriber.shop.daraja.merchant_id(2))
    subscriber.shop.callback(2, success_callback(*ids, receipt="UKO1ABCD01"))

    subscriber.send()

    assert sorted(kind for kind, _ in subscriber.told()) == ["needs_review", "succeeded"]


@on_both
def test_a_receipt_that_comes_later_is_told_too(subscriber):
    transaction = subscriber.shop.attempt()
    subscriber.shop.record(transaction, QueryAnswered("0"), Kind.QUERY)
    pay(subscriber.shop)

    subscriber.send()

    receipts = [json.loads(each.body)["data"]["receipt"] for each in subscriber.receiver.got]
    assert subscriber.told() == [("succeeded", 2), ("succeeded", 3)]
    assert receipts == [None, "UKO1ABCD01"]


def test_a_push_that_only_the_merchant_can_put_right_is_told(subscriber):
    subscriber.shop.daraja.answers.append(Refused(Reason.MISCONFIGURED))
    subscriber.shop.attempt()

    subscriber.send()

    told = json.loads(subscriber.receiver.got[0].body)
    assert (told["type"], told["data"]["reason"]) == ("transaction.failed", "misconfigured")


def test_a_failure_and_the_money_after_it_are_told_in_order(subscriber):
    subscriber.shop.attempt()
    fail(subscriber.shop)
    pay(subscriber.shop)

    subscriber.send()

    assert subscriber.told() == [("failed", 2), ("succeeded", 3)]


def test_another_word_about_a_failure_is_told(subscriber):
    transaction = subscriber.shop.attempt()
    fail(subscriber.shop)
    subscriber.shop.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    subscriber.send()

    assert [kind for kind, _ in subscriber.told()] == ["failed", "failed"]


def test_what_a_person_must_decide_is_told_once(subscriber):
    subscriber.shop.attempt()
    other_amount = success_callback(
        subscriber.shop.daraja.checkout_id(1), subscriber.shop.daraja.merchant_id(1), amount=1
    )
    subscriber.shop.callback(1, other_amount)
    subscriber.shop.callback(1, other_amount)

    subscriber.send()

    assert [kind for kind, _ in subscriber.told()] == ["needs_review"]


@on_both
def test_silence_that_needs_a_person_is_told(subscriber, clock):
    subscriber.shop.attempt()
    clock.pass_(hours=73)
    subscriber.shop.tick()

    subscriber.send()

    assert [kind for kind, _ in subscriber.told()] == ["needs_review"]


def test_a_callback_that_comes_twice_is_told_once(subscriber):
    subscriber.paid()
    pay(subscriber.shop)

    subscriber.send()

    assert len(subscriber.receiver.got) == 1


def test_waiting_is_nothing_to_tell(subscriber, clock):
    subscriber.shop.attempt()
    clock.pass_(seconds=200)
    subscriber.shop.tick()

    assert subscriber.messages() == []


def test_without_an_endpoint_nothing_is_written(make_app, clock,
                                                daraja):  # fmt: skip
    shop = Shop(make_app(), clock, daraja)
    shop.attempt()
    pay(shop)

    with shop.sessions() as session:
        assert webhooks.page(session, 10) == []
        assert webhooks.backlog(session, clock()) == Backlog(0, None, 0)


def test_no_number_and_no_id_of_daraja_is_told(subscriber):
    subscriber.paid()

    (message,) = subscriber.messages()

    assert "254700000001" not in message.body
    assert subscriber.shop.daraja.checkout_id(1) not in message.body


# -- how it is signed ----------------------------------------------------------------------------


@pytest.fixture
def today(clock):
    """The real time, which the receivers' library compares with."""
    clock.wait_until(datetime.now(UTC))
    return clock


def test_the_receivers_library_believes_it(today, subscriber):
    subscriber.paid()
    subscriber.send()

    (got,) = subscriber.receiver.got
    told = Webhook(SECRET).verify(got.body, got.headers)

    assert told["data"]["receipt"] == "UKO1ABCD01"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"].startswith("msg_")


def test_while_a_secret_is_replaced_the_old_and_the_new_one_are_believed(today, shop, receiver):
    subscriber = Subscriber(shop, receiver, secrets=(SECRET, OLD_SECRET))
    subscriber.paid()
    subscriber.send()

    (got,) = receiver.got
    assert Webhook(SECRET).verify(got.body, got.headers)
    assert Webhook(OLD_SECRET).verify(got.body, got.headers)
    assert len(got.headers["webhook-signature"].split()) == 2


def test_a_forger_without_the_secret_is_not_believed(today, subscriber):
    subscriber.paid()
    subscriber.send()

    (got,) = subscriber.receiver.got
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body.replace(b"150", b"1"), got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_SECRET).verify(got.body, got.headers)


# -- again, until it has heard -------------------------------------------------------------------


@on_both
def test_a_failed_try_is_followed_by_others_with_the_same_id(subscriber, clock):
    subscriber.paid()
    subscriber.receiver.answers.extend([merchant.reply(500), merchant.reply(500)])

    subscriber.send()
    clock.pass_(seconds=4)
    assert subscriber.send() == 0
    clock.pass_(seconds=1)
    assert subscriber.send() == 1
    clock.pass_(seconds=299)
    assert subscriber.send() == 0
    clock.pass_(seconds=1)
    assert subscriber.send() == 1

    assert len(set(subscriber.receiver.ids())) == 1
    assert subscriber.attempts() == [(500, None), (500, None), (204, None)]
    assert subscriber.states() == [DeliveryState.DELIVERED]


def test_each_try_is_signed_with_its_own_time(subscriber, clock):
    subscriber.paid()
    subscriber.receiver.answers.append(merchant.reply(500))
    subscriber.send()
    clock.pass_(seconds=5)
    subscriber.send()

    first, second = (int(each.headers["webhook-timestamp"]) for each in subscriber.receiver.got)
    assert second == first + 5


@pytest.mark.parametrize(
    ("answer", "attempt"),
    [
        (merchant.reply(302, Location="/elsewhere"), (302, None)),
        (merchant.reply(404), (404, None)),
        (merchant.reply(500, b"<h1>Sorry</h1>"), (500, None)),
        (merchant.reset, (None, Failure.BROKEN)),
    ],
    ids=["redirect", "not found", "error page", "reset"],
)
def test_whatever_is_no_2xx_is_a_failure_and_is_tried_again(subscriber, clock, answer, attempt):
    subscriber.paid()
    subscriber.receiver.answers.append(answer)
    subscriber.send()

    (message,) = subscriber.messages()
    assert subscriber.attempts() == [attempt]
    assert message.next_attempt_at == clock() + FIVE_SECONDS


def test_a_delivered_message_is_not_sent_again(subscriber, clock):
    subscriber.paid()
    subscriber.send()
    clock.pass_(hours=100)

    assert subscriber.send() == 0
    assert len(subscriber.receiver.got) == 1


@on_both
def test_after_the_last_try_it_is_given_up_and_stays_visible(subscriber, clock, log_lines):
    subscriber.paid()
    subscriber.receiver.usual = merchant.reply(500)

    tries = 0
    for _ in range(20):
        tries += subscriber.send()
        clock.pass_(hours=25)

    with subscriber.shop.sessions() as session:
        backlog = webhooks.backlog(session, clock())
    assert tries == 10
    assert subscriber.states() == [DeliveryState.GIVEN_UP]
    assert (backlog.count, backlog.given_up) == (0, 1)
    (told,) = (each for each in log_lines if "given up" in each["message"])
    assert told["transaction_id"] == subscriber.messages()[0].transaction_id


def test_a_pause_that_is_asked_for_holds_for_the_whole_endpoint(subscriber, clock):
    subscriber.paid(1)
    subscriber.receiver.answers.append(merchant.reply(429, Retry_After="120"))
    subscriber.send()
    subscriber.paid(2)

    clock.pass_(seconds=119)
    assert subscriber.send() == 0
    clock.pass_(seconds=1)
    assert subscriber.send() == 2


def test_a_pause_with_another_failure_holds_for_that_message_alone(subscriber, clock):
    subscriber.paid(1)
    subscriber.receiver.answers.append(merchant.reply(500, Retry_After="120"))
    subscriber.send()
    clock.pass_(seconds=1)
    subscriber.paid(2)

    clock.pass_(seconds=100)

    assert subscriber.send() == 1
    assert subscriber.states() == [DeliveryState.WAITING, DeliveryState.DELIVERED]


def test_a_short_pause_does_not_shorten_the_schedule(subscriber, clock):
    subscriber.paid()
    subscriber.receiver.answers.append(merchant.reply(503, Retry_After="1"))
    subscriber.send()

    (message,) = subscriber.messages()
    assert message.next_attempt_at == clock() + FIVE_SECONDS


# -- an endpoint that is gone, or dead -----------------------------------------------------------


@on_both
def test_410_stops_the_endpoint_until_an_operator_sends_again(subscriber, clock, caplog):
    subscriber.paid(1)
    subscriber.receiver.answers.append(merchant.reply(410))
    subscriber.send()
    subscriber.paid(2)
    clock.pass_(hours=100)
    while_stopped = subscriber.send()

    first, _second = subscriber.messages()
    stopped = subscriber.endpoint_state().stopped_at
    assert subscriber.retry(first.id)
    assert subscriber.send() == 2
    assert while_stopped == 0
    assert stopped == datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert subscriber.endpoint_state().stopped_at is None
    assert any("410" in each.getMessage() for each in caplog.records)


def test_another_address_is_not_stopped(subscriber, shop, clock):
    subscriber.paid()
    subscriber.receiver.answers.append(merchant.reply(410))
    subscriber.send()
    clock.pass_(seconds=5)

    with receiving() as elsewhere:
        assert Subscriber(shop, elsewhere).send() == 1


# What says that the server takes nothing at all now: no answer, or these (RFC 9110, 15.5.9, 15.6).
SILENT = [*(Unanswered(each) for each in Failure), *map(Answered, (408, 429, 502, 503, 504))]
# What it says of one message.
REFUSALS = [Answered(each) for each in (301, 302, 307, 400, 401, 403, 404, 409, 422, 500, 501, 505)]


@pytest.mark.parametrize("silence", SILENT, ids=str)
def test_silence_slows_everything_down(shop, receiver, silence):
    subscriber = Subscriber(shop, receiver, post=lambda *_: silence)
    for number in range(1, FAILING_FROM + 3):
        subscriber.paid(number)

    sent = sum(subscriber.send_one() for _ in range(FAILING_FROM + 2))

    assert (sent, subscriber.endpoint_state().failures) == (FAILING_FROM, FAILING_FROM)


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_refusal_slows_nothing_down(shop, receiver, refusal):
    subscriber = Subscriber(shop, receiver, post=lambda *_: refusal)
    for number in range(1, FAILING_FROM + 3):
        subscriber.paid(number)

    assert subscriber.send() == FAILING_FROM + 2
    assert subscriber.endpoint_state() == EndpointState()


@on_both
def test_a_server_that_refuses_one_type_hears_of_every_payment_at_once(shop, receiver, clock):
    """A push every two seconds, nine of ten of them cancelled; four workers."""
    late: list[timedelta] = []

    def stumble_over_failures(body, _headers):
        told = json.loads(body)
        if told["type"] == "transaction.failed":
            return Answered(500)
        late.append(clock() - datetime.fromisoformat(told["timestamp"]))
        return Answered(200)

    subscriber = Subscriber(shop, receiver, post=stumble_over_failures)
    for number in range(1, 61):
        shop.attempt(f"2547{number:08d}")
        if number % 10:
            fail(shop, number)
        else:
            ids = (shop.daraja.checkout_id(number), shop.daraja.merchant_id(number))
            shop.callback(number, success_callback(*ids, receipt=f"UKO1AB{number:04d}"))
        at_once([subscriber.send] * 4)
        clock.pass_(seconds=2)

    assert late == [timedelta(0)] * 6


def test_a_refusal_ends_a_silence(shop, receiver, clock):
    answers = iter([*[Answered(503)] * FAILING_FROM, Answered(500)])
    subscriber = Subscriber(shop, receiver, post=lambda *_: next(answers, Answered(204)))
    for number in range(1, FAILING_FROM + 4):
        subscriber.paid(number)
    subscriber.send()
    clock.pass_(seconds=5)

    assert (
        subscriber.send() == FAILING_FROM + 3
    )  # the five once more, and those that were held back
    assert subscriber.states().count(DeliveryState.DELIVERED) == FAILING_FROM + 2


@on_both
def test_a_dead_endpoint_is_asked_by_one_message_at_a_time(subscriber, clock):
    subscriber.receiver.usual = merchant.reply(502)
    for number in range(1, 21):
        subscriber.paid(number)

    at_first = subscriber.send()
    soon = subscriber.send()
    clock.pass_(seconds=5)
    after_the_pause = subscriber.send()
    clock.pass_(seconds=9)
    too_early = subscriber.send()

    assert at_first == FAILING_FROM
    assert (soon, after_the_pause, too_early) == (0, 1, 0)
    assert subscriber.endpoint_state().failures == FAILING_FROM + 1


def test_the_pauses_of_a_dead_endpoint_end_at_a_minute(subscriber, clock):
    subscriber.receiver.usual = merchant.reply(502)
    for number in range(1, 21):
        subscriber.paid(number)

    pauses = []
    for _ in range(12):
        subscriber.send()
        state = subscriber.endpoint_state()
        assert state.resume_at is not None
        pauses.append((state.resume_at - clock()).total_seconds())
        clock.wait_until(state.resume_at)

    assert pauses[:6] == [5, 10, 20, 40, 60, 60]
    assert set(pauses[6:]) == {60}


def test_the_backlog_of_an_endpoint_that_is_back_goes_out_oldest_first(subscriber, clock):
    subscriber.receiver.usual = merchant.reply(502)
    for number in range(1, 21):
        subscriber.paid(number)
        clock.pass_(milliseconds=1)
    subscriber.send()
    subscriber.receiver.usual, subscriber.receiver.got = merchant.reply(204), []

    clock.pass_(minutes=10)
    assert subscriber.send() == 20

    written = [each.id for each in subscriber.messages()]
    assert [each for each in subscriber.receiver.ids() if each in written[5:]] == written[5:]
    assert set(subscriber.states()) == {DeliveryState.DELIVERED}


def test_one_message_that_is_never_taken_does_not_hold_back_another(subscriber, clock):
    subscriber.paid(1)
    subscriber.receiver.usual = merchant.reply(500)
    for _ in range(6):
        subscriber.send()
        clock.pass_(hours=24)
    subscriber.receiver.usual = merchant.reply(204)
    subscriber.paid(2)

    subscriber.send_one()
    subscriber.send_one()

    assert subscriber.states() == [DeliveryState.DELIVERED, DeliveryState.DELIVERED]


# -- in order ------------------------------------------------------------------------------------


def test_a_newer_word_waits_while_the_older_one_is_tried_again(subscriber, clock):
    subscriber.shop.attempt()
    fail(subscriber.shop)
    subscriber.receiver.answers.append(merchant.reply(500))
    subscriber.send()
    pay(subscriber.shop)

    before = subscriber.send()
    clock.pass_(seconds=5)
    subscriber.send()

    assert before == 0
    assert subscriber.told() == [("failed", 2), ("failed", 2), ("succeeded", 3)]


def test_an_older_word_that_is_never_taken_is_overtaken_after_three_tries(subscriber, clock):
    subscriber.shop.attempt()
    fail(subscriber.shop)
    subscriber.receiver.answers.extend([merchant.reply(500)] * 3)
    for pause in (5, 300, 1):
        subscriber.send()
        clock.pass_(seconds=pause)
    pay(subscriber.shop)

    subscriber.send()

    assert subscriber.told()[3:] == [("succeeded", 3)]
    assert subscriber.states() == [DeliveryState.WAITING, DeliveryState.DELIVERED]


def test_other_transactions_do_not_wait(subscriber):
    subscriber.shop.attempt()
    fail(subscriber.shop)
    subscriber.receiver.answers.append(merchant.reply(500))
    subscriber.send()
    subscriber.shop.attempt(SECOND_PAYER_MSISDN)
    pay(subscriber.shop, 2)

    assert subscriber.send() == 1
    assert [kind for kind, _ in subscriber.told()] == ["failed", "succeeded"]


# -- several at once, and those that died --------------------------------------------------------


@on_both
def test_workers_at_once_send_each_message_once(subscriber):
    for number in range(1, 13):
        subscriber.paid(number)
    subscriber.receiver.usual = merchant.slowly(0.05)

    outcomes = at_once([subscriber.send] * 6)

    assert sum(outcomes) == 12
    assert len(set(subscriber.receiver.ids())) == len(subscriber.receiver.got) == 12
    assert subscriber.receiver.most_at_once > 1


@on_postgresql
def test_no_more_than_the_bound_are_under_way_at_once_however_many_workers(subscriber):
    for number in range(1, 15):
        subscriber.paid(number)
    enough = threading.Barrier(MOST_AT_ONCE + 1)

    def wait_for_the_others(handler):
        enough.wait(10)
        merchant.reply(204)(handler)

    subscriber.receiver.usual = wait_for_the_others
    workers = [threading.Thread(target=subscriber.send_one) for _ in range(MOST_AT_ONCE)]
    for each in workers:
        each.start()
    _wait_for(lambda: len(subscriber.receiver.got) == MOST_AT_ONCE)
    one_more = subscriber.send_one()
    enough.wait(10)
    for each in workers:
        each.join(10)

    assert one_more == 0
    assert subscriber.receiver.most_at_once == MOST_AT_ONCE


def _wait_for(condition):
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true")


@on_both
def test_no_connection_to_the_database_is_held_while_it_is_sent(subscriber):
    """A merchant's server that hangs costs neither a payment nor a push its connection."""
    subscriber.paid()
    held: list[int] = []
    pool: Any = subscriber.shop.engine.pool

    def look(*_):
        held.append(pool.checkedout())
        return Answered(204)

    Subscriber(subscriber.shop, subscriber.receiver, post=look).send()

    assert held == [0]


@on_both
def test_what_was_written_by_a_process_that_died_is_sent_by_the_next(
    make_app, subscriber, clock, daraja
):
    subscriber.paid()

    restarted = make_app(WEBHOOK_URL=subscriber.receiver.url, WEBHOOK_SECRET=SECRET)
    Subscriber(Shop(restarted, clock, daraja), subscriber.receiver).send()

    assert [kind for kind, _ in subscriber.told()] == ["succeeded"]


class _Died(BaseException):
    """The process is gone, from one statement to the next."""


@on_both
def test_what_was_sent_but_not_written_down_is_sent_again_with_the_same_id(subscriber, clock):
    subscriber.paid()

    def die(body, headers):
        subscriber.endpoint.post(body, headers)
        raise _Died

    with pytest.raises(_Died):
        Subscriber(subscriber.shop, subscriber.receiver, post=die).send()
    clock.pass_(seconds=59)
    while_claimed = subscriber.send()
    clock.pass_(seconds=1)
    assert subscriber.send() == 1

    assert while_claimed == 0
    assert len(set(subscriber.receiver.ids())) == 1
    assert len(subscriber.receiver.got) == 2
    assert subscriber.states() == [DeliveryState.DELIVERED]


def test_a_process_that_slept_since_its_claim_sends_nothing(subscriber, clock):
    subscriber.paid()
    times = iter([clock(), clock(), clock() + timedelta(seconds=50)])

    with subscriber.shop.sessions() as session:
        sleepy = Subscriber(subscriber.shop, subscriber.receiver).endpoint
        late = Endpoint(sleepy.url, sleepy.secrets, sleepy.post, lambda: next(times))
        assert webhooks.run_once(session, late) == 0

    assert subscriber.receiver.got == []


def test_a_failure_that_is_written_down_too_late_leaves_the_next_claim_alone(subscriber, clock):
    subscriber.paid()

    def meanwhile(*_):
        clock.pass_(seconds=61)
        with subscriber.shop.sessions() as session:
            claimed = clock() + timedelta(seconds=60)
            session.execute(update(WebhookMessage).values(claimed_until=claimed))
            session.commit()
        return Answered(500)

    Subscriber(subscriber.shop, subscriber.receiver, post=meanwhile).send_one()

    (message,) = subscriber.messages()
    assert (message.tries, subscriber.attempts()) == (0, [(500, None)])
    assert subscriber.states() == [DeliveryState.SENDING]


# -- what people see and do ----------------------------------------------------------------------


@on_both
def test_pages_go_from_the_newest_to_the_oldest_without_a_gap(subscriber, clock):
    for number in range(1, 8):
        subscriber.paid(number)
        clock.pass_(seconds=number % 2)

    seen: list[str] = []
    before = None
    with subscriber.shop.sessions() as session:
        while rows := webhooks.page(session, 3, before=before):
            seen += [each.id for each in rows]
            before = (rows[-1].created_at, rows[-1].id)

    newest_first = sorted(subscriber.messages(), key=lambda each: (each.created_at, each.id))[::-1]
    assert seen == [each.id for each in newest_first]


def test_a_page_can_be_of_one_transaction_or_of_what_was_not_taken(subscriber):
    paid = subscriber.paid(1)
    subscriber.send()
    subscriber.shop.attempt(SECOND_PAYER_MSISDN)
    fail(subscriber.shop, 2)

    with subscriber.shop.sessions() as session:
        own = webhooks.page(session, 9, transaction_id=paid)
        undelivered = webhooks.page(session, 9, undelivered=True)

    assert [each.transaction_id for each in own] == [paid]
    assert [each.type for each in undelivered] == ["transaction.failed"]


@on_both
def test_the_backlog_tells_how_many_wait_and_how_long(subscriber, clock):
    subscriber.paid(1)
    clock.pass_(seconds=30)
    subscriber.paid(2)

    with subscriber.shop.sessions() as session:
        assert webhooks.backlog(session, clock()) == Backlog(2, timedelta(seconds=30), 0)


@on_both
def test_a_delivered_message_can_be_sent_again_with_its_id(subscriber):
    subscriber.paid()
    subscriber.send()
    (message,) = subscriber.messages()

    assert subscriber.retry(message.id)
    subscriber.send()

    assert subscriber.receiver.ids() == [message.id] * 2
    assert subscriber.states() == [DeliveryState.DELIVERED]


def test_sending_again_a_message_that_is_not_there_is_told(subscriber):
    assert not subscriber.retry("msg_nothing")


def test_sending_again_does_not_disturb_a_message_that_is_being_sent(subscriber):
    subscriber.paid()
    (message,) = subscriber.messages()

    def press(*_):
        assert subscriber.retry(message.id)
        assert subscriber.send() == 0
        return Answered(204)

    Subscriber(subscriber.shop, subscriber.receiver, post=press).send()

    assert subscriber.states() == [DeliveryState.DELIVERED]


@pytest.fixture
def flask(app):
    """Run a command in the application; returns what it printed."""
    return lambda *words: app.test_cli_runner().invoke(args=["webhooks", *words]).output


def test_the_list_shows_each_webhook_and_what_keeps_others_back(subscriber, flask):
    subscriber.paid()
    subscriber.receiver.answers.append(merchant.reply(410))
    subscriber.send()

    output = flask("list")

    (message,) = subscriber.messages()
    assert message.id in output
    assert "transaction.succeeded" in output
    assert "waiting    tries 1, last 410  next 2026-11-24 12:00:05 EAT" in output
    assert "stopped since 2026-11-24 12:00:00 EAT: the endpoint answered 410" in output


def test_the_command_sends_all_again_that_failed(subscriber, flask, clock):
    subscriber.receiver.usual = merchant.reply(500)
    subscriber.paid(1)
    subscriber.paid(2)
    subscriber.send()
    subscriber.receiver.usual = merchant.reply(204)

    output = flask("retry", "--all-failed")

    assert output == "2 to be sent again by the running server\n"
    assert subscriber.send() == 2


def test_the_command_sends_one_again_and_knows_no_other(subscriber, flask):
    subscriber.paid()
    subscriber.send()
    (message,) = subscriber.messages()

    assert flask("retry", message.id) == "1 to be sent again by the running server\n"
    assert "there is no webhook msg_nothing" in flask("retry", "msg_nothing")
    for unclear in ((), (message.id, "--all-failed")):
        output = " ".join(flask("retry", *unclear).split())
        assert "name one webhook by its id" in output
        assert "flask webhooks list --undelivered" in output
        assert "say --all-failed" in output


def test_the_list_as_json_tells_each_message_with_its_tries(subscriber, app, clock):
    transaction = subscriber.paid()
    subscriber.receiver.usual = merchant.reply(500)
    subscriber.send()
    (message,) = subscriber.messages()

    result = app.test_cli_runner().invoke(args=["webhooks", "list", "--json"])

    (told,) = json.loads(result.stdout)
    (tried,) = told.pop("attempts")
    assert told.pop("next_attempt_at") > "2026-11-24T09:00:00Z"
    assert told == {
        "id": message.id, "type": "transaction.succeeded", "transaction_id": transaction,
        "receipt": None, "seq": 2, "state": "waiting", "created_at": "2026-11-24T09:00:00Z",
        "delivered_at": None,
    }  # fmt: skip
    assert (tried["status_code"], tried["failure"]) == (500, None)
    assert result.stderr == "1 waiting, 0 given up\n"


def test_the_list_says_where_no_endpoint_is_named(make_app):
    output = make_app().test_cli_runner().invoke(args=["webhooks", "list"]).output

    assert output == "WEBHOOK_URL is not set: nothing is written or sent\n"


def test_neither_address_nor_secret_nor_number_is_logged(subscriber, clock, caplog):
    caplog.set_level(logging.DEBUG)
    subscriber.paid()
    subscriber.receiver.answers.extend([merchant.reply(503)] * 8 + [merchant.reply(410)])
    for _ in range(9):
        subscriber.send()
        clock.pass_(hours=25)

    lines = [each.getMessage() for each in caplog.records if each.name.startswith("mpesa")]
    assert len(lines) >= 2
    for secret in (subscriber.receiver.url, SECRET, SECRET[6:], "254700000001", RECEIPT):
        assert not [line for line in lines if secret in line]
    assert subscriber.receiver.url not in repr(subscriber.endpoint)
    assert SECRET not in repr(subscriber.endpoint)


@pytest.mark.parametrize("other", [Answered(500), Answered(200)])
def test_a_pause_that_the_endpoint_asked_for_outlasts_what_was_under_way(shop, clock, other):
    for push in (1, 2, 3):
        shop.attempt(f"25470000000{push}")
        pay(shop, push)
    answers = iter([Answered(429, "3600"), Answered(200)])

    def nested(_body, _headers):
        """The second one is sent while the first one's answer, the pause, is on its way."""
        if not under_way:
            under_way.append(True)
            with shop.sessions() as session:
                webhooks.run_once(session, endpoint)
            return other
        return next(answers)

    under_way: list[bool] = []
    endpoint = Endpoint("http://127.0.0.1:9/", (SECRET,), nested, clock, lambda: 0.0)
    with shop.sessions() as session:
        webhooks.run_once(session, endpoint)

        assert webhooks.run_once(session, endpoint) == 0
        clock.pass_(seconds=3601)
        assert webhooks.run_once(session, endpoint) == 1


def test_a_test_message_on_demand_is_signed_and_tells_of_no_payment(subscriber, flask):
    output = flask("test")

    (got,) = subscriber.receiver.got
    told = json.loads(got.body)
    signature = Webhook(SECRET).sign(
        got.headers["webhook-id"], subscriber.shop.now(), got.body.decode()
    )
    assert got.headers["webhook-signature"] == signature
    assert output == "answered 204: the message was accepted\n"
    assert told["type"] == "webhook.test"
    assert "transaction_id" not in told["data"]
    assert flask("list") == "0 waiting, 0 given up\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (merchant.reply(401), "answered 401: the signature was refused. WEBHOOK_SECRET must be"),
        (merchant.reply(302, Location="/elsewhere"), "answered 302: redirects are not followed"),
        (merchant.reply(418), "answered 418: the message was not accepted"),
        (merchant.reset, "the connection broke before an answer came"),
    ],
)
def test_a_test_message_that_is_not_taken_says_what_to_do(app, subscriber, answer, said):
    subscriber.receiver.usual = answer

    result = app.test_cli_runner().invoke(args=["webhooks", "test"])

    assert said in result.output
    assert result.exit_code == 1
    assert subscriber.receiver.followed == []


def test_a_test_message_needs_an_endpoint(make_app):
    result = make_app().test_cli_runner().invoke(args=["webhooks", "test"])

    assert "WEBHOOK_URL is not set" in result.output
    assert result.exit_code == 1


# -- a clock that was ahead, and is put back -------------------------------------------------------


@on_both
def test_a_message_of_a_clock_that_was_ahead_is_sent_at_once(subscriber, clock):
    subscriber.paid()
    clock.step(hours=-3)
    subscriber.put_back()

    assert subscriber.send() == 1
    assert subscriber.states() == [DeliveryState.DELIVERED]


@on_both
def test_a_try_of_a_clock_that_was_ahead_is_followed_by_the_next_on_time(
    subscriber, receiver, clock
):
    subscriber.paid()
    receiver.usual = merchant.reply(500)
    for pause in (0, 5):
        clock.pass_(seconds=pause)
        subscriber.send()
    clock.step(hours=-3)
    subscriber.put_back()
    at_once = subscriber.send()
    then = [subscriber.send() for _ in range(3)]
    clock.pass_(minutes=30)

    assert (at_once, then, subscriber.send()) == (1, [0, 0, 0], 1)


@on_both
def test_a_pause_of_a_clock_that_was_ahead_is_over(subscriber, receiver, clock):
    subscriber.paid()
    receiver.answers.append(merchant.reply(503, Retry_After="40"))
    subscriber.send()
    clock.step(hours=-3)
    subscriber.put_back()

    assert subscriber.send() == 1
    assert subscriber.endpoint_state().failures == 0


@on_both
def test_a_claim_of_a_clock_that_was_ahead_keeps_nobody_from_sending(subscriber, clock):
    subscriber.paid()
    with subscriber.shop.sessions() as session:
        session.execute(update(WebhookMessage).values(claimed_until=clock() + timedelta(minutes=1)))
        session.commit()
    clock.step(hours=-3)
    subscriber.put_back()

    assert subscriber.send() == 1


@on_both
def test_a_worker_puts_messages_back_at_its_start_and_after_each_step(app, subscriber, clock):
    sent = []
    with app.app_context():
        look = loops._put_off_webhooks(services(), subscriber.receiver.url)
        subscriber.paid()
        clock.step(hours=-3)
        for push in (2, 3, 4):
            look(services())
            sent.append(subscriber.send())
            loops._clock(services())
            subscriber.paid(push)
            clock.step(hours=-3)
            loops._clock(services())

    assert sent == [1, 1, 1]


@on_both
def test_what_waits_for_as_long_as_it_should_is_left_alone(subscriber, receiver, clock):
    subscriber.paid()
    receiver.answers.append(merchant.reply(500, Retry_After="80000"))
    subscriber.send()
    planned = [each.next_attempt_at for each in subscriber.messages()]

    assert subscriber.put_back() == 0
    assert [each.next_attempt_at for each in subscriber.messages()] == planned


@on_both
@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_however_many_were_put_off_all_are_sent(subscriber, receiver, clock, monkeypatch, at_once):
    monkeypatch.setattr(deliveries, "_PUT_BACK_AT_ONCE", at_once)
    for push in (1, 2, 3):
        subscriber.paid(push)
    receiver.usual = merchant.reply(500)
    subscriber.send()
    clock.step(hours=-3)
    for push in (4, 5):  # by the clock as it is: they wait for their five minutes
        subscriber.paid(push)
    for _ in range(2):
        subscriber.send()
        clock.pass_(seconds=5)
    clock.step(seconds=-1)
    receiver.usual = merchant.reply(200)

    assert subscriber.put_back() == 3
    assert subscriber.send() == 3
    assert subscriber.put_back() == 0


@on_both
def test_a_round_costs_one_look_at_what_is_due_however_much_waits_for_later(subscriber, receiver):
    receiver.usual = merchant.reply(500)
    for push in (1, 2, 3):
        subscriber.paid(push)
    subscriber.send()
    statements: list[str] = []

    def note(_c, _cursor, statement, *_):
        if statement != "BEGIN":
            statements.append(statement)

    event.listen(subscriber.shop.engine, "before_cursor_execute", note)
    try:
        assert subscriber.send() == 0
    finally:
        event.remove(subscriber.shop.engine, "before_cursor_execute", note)

    assert len(statements) == 1
    assert "next_attempt_at <=" in statements[0]

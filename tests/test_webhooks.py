"""The merchant's server hears of every change, signed, in order, until it has said so."""

import base64
import json
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select, update
from standardwebhooks import Webhook, WebhookVerificationError

from mpesa import webhooks
from mpesa.daraja import Refused
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import OperatorSaysNotPaid, QueryAnswered
from mpesa.domain.webhook import FOR_PAGES
from mpesa.ledger import Kind
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
from mpesa.webhooks.post import Outcome
from tests import receiver as merchant
from tests.conftest import BOTH_DATABASES
from tests.desk import Desk, at_once
from tests.factories import (
    RECEIPT,
    SECOND_PAYER_MSISDN,
    failure_callback,
    success_callback,
)
from tests.fakes import Clock, FakeDaraja
from tests.receiver import Receiver, receiving

on_both = pytest.mark.parametrize("database_url", BOTH_DATABASES, indirect=True)
on_postgresql = pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"o" * 24).decode()
FIVE_SECONDS, FIVE_MINUTES = timedelta(seconds=5), timedelta(minutes=5)
# Seconds that a request to the receiver may take; where a test waits for its end, this long.
LIMIT = 5.0


class Shop:
    """A merchant's server, and the desk whose payments it hears of."""

    def __init__(self, desk: Desk, receiver: Receiver, **named: Any) -> None:
        self.desk = desk
        self.receiver = receiver
        fields = {"secrets": (SECRET,), "post": Post(receiver.url, LIMIT), "chance": lambda: 0.0}
        self.endpoint = Endpoint(receiver.url, now=desk.now, **{**fields, **named})

    def send(self) -> int:
        """Send all that may be sent now."""
        with self.desk.sessions() as session:
            return webhooks.run_until_idle(session, self.endpoint)

    def send_one(self) -> int:
        """Send what is most due."""
        with self.desk.sessions() as session:
            return webhooks.run_once(session, self.endpoint)

    def put_back(self) -> int:
        """What a worker does after a step back of its clock, and at its start."""
        with self.desk.sessions() as session:
            return webhooks.put_back(session, self.endpoint)

    def told(self) -> list[tuple[str, int]]:
        """Types and `seq` of what arrived, in order."""
        bodies = [json.loads(each.body) for each in self.receiver.got]
        return [(each["type"].removeprefix("transaction."), each["data"]["seq"]) for each in bodies]

    def messages(self) -> Sequence[WebhookMessage]:
        """All of them, as written."""
        with self.desk.sessions() as session:
            by = (WebhookMessage.created_at, WebhookMessage.seq, WebhookMessage.type.desc())
            return session.scalars(select(WebhookMessage).order_by(*by)).all()

    def attempts(self) -> list[tuple[int | None, str | None]]:
        """What came of each try, of the newest message first."""
        with self.desk.sessions() as session:
            rows = webhooks.page(session, 1000)
            return [(try_.status_code, try_.failure) for row in rows for try_ in row.attempts]

    def states(self) -> list[DeliveryState]:
        """Of each message, oldest first."""
        return [webhooks.state_of(each, self.desk.now()) for each in self.messages()]

    def endpoint_state(self) -> EndpointState:
        with self.desk.sessions() as session:
            return webhooks.endpoint_state(session, self.endpoint.url)

    def retry(self, message_id: str) -> bool:
        with self.desk.sessions() as session:
            return webhooks.retry(session, message_id, self.desk.now())

    def paid(self, number: int = 1) -> str:
        """A payment that was paid; the n-th push."""
        transaction = self.desk.attempt(f"2547000000{number:02d}")
        pay(self.desk, number)
        return transaction


def pay(desk: Desk, push: int = 1) -> None:
    ids = (desk.daraja.checkout_id(push), desk.daraja.merchant_id(push))
    desk.callback(push, success_callback(*ids, receipt=f"UKO1ABCD{push:02d}"))


def fail(desk: Desk, push: int = 1, code: int = 1032) -> None:
    desk.callback(
        push, failure_callback(desk.daraja.checkout_id(push), desk.daraja.merchant_id(push), code)
    )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture
def app(make_app: Callable[..., Flask], receiver: Receiver) -> Flask:
    """An application that tells the receiver; nothing is sent but by the tests."""
    return make_app(WEBHOOK_URL=receiver.url, WEBHOOK_SECRET=SECRET)


@pytest.fixture
def desk(app: Flask, clock: Clock, daraja: FakeDaraja) -> Desk:
    return Desk(app, clock, daraja)


@pytest.fixture
def shop(desk: Desk, receiver: Receiver) -> Shop:
    return Shop(desk, receiver)


# -- what is written -----------------------------------------------------------------------------


@on_both
def test_a_payment_is_told_with_the_snapshot_that_was_committed(shop: Shop) -> None:
    transaction = shop.paid()

    shop.send()

    (got,) = shop.receiver.got
    told = json.loads(got.body)
    assert (told["type"], told["timestamp"]) == ("transaction.succeeded", "2026-11-24T09:00:00Z")
    committed = shop.desk.snapshot(transaction)
    for_pages = {name: committed.pop(name) for name in FOR_PAGES}
    assert for_pages == {"view": "paid", "next": "none"}
    assert told["data"] == {**committed, "reference": "INV-1"}
    assert told["data"]["order_status"] == "PAID"


@on_both
def test_a_message_is_written_in_the_commit_of_its_change(shop: Shop) -> None:
    """A commit that fails takes both, or neither."""
    transaction = shop.desk.attempt()
    event.listen(shop.desk.engine, "commit", _refuse)
    event.listen(shop.desk.engine, "before_cursor_execute", _refuse_with_it)

    with pytest.raises(ConnectionError):
        shop.desk.record(transaction, QueryAnswered("0"), Kind.QUERY)
    event.remove(shop.desk.engine, "commit", _refuse)
    event.remove(shop.desk.engine, "before_cursor_execute", _refuse_with_it)

    assert shop.messages() == []
    assert shop.desk.transaction(transaction).status == "PENDING"


def _refuse(_connection: object) -> None:
    raise ConnectionError


def _refuse_with_it(_connection: object, _cursor: object, statement: str, *_: object) -> None:
    """On PostgreSQL the COMMIT travels with what it commits."""
    if statement.endswith("COMMIT"):
        raise ConnectionError


@on_both
def test_a_callback_that_could_not_be_committed_at_first_is_told_as_it_was_at_last(
    shop: Shop,
) -> None:
    """Its receipt is another payment's: only the constraint finds out, and all is decided anew."""
    shop.paid(1)
    shop.desk.attempt("254700000002")
    ids = (shop.desk.daraja.checkout_id(2), shop.desk.daraja.merchant_id(2))
    shop.desk.callback(2, success_callback(*ids, receipt="UKO1ABCD01"))

    shop.send()

    assert sorted(kind for kind, _ in shop.told()) == ["needs_review", "succeeded"]


@on_both
def test_a_receipt_that_comes_later_is_told_too(shop: Shop) -> None:
    transaction = shop.desk.attempt()
    shop.desk.record(transaction, QueryAnswered("0"), Kind.QUERY)
    pay(shop.desk)

    shop.send()

    receipts = [json.loads(each.body)["data"]["receipt"] for each in shop.receiver.got]
    assert shop.told() == [("succeeded", 2), ("succeeded", 3)]
    assert receipts == [None, "UKO1ABCD01"]


def test_a_push_that_only_the_merchant_can_put_right_is_told(shop: Shop) -> None:
    shop.desk.daraja.answers.append(Refused(Reason.MISCONFIGURED))
    shop.desk.attempt()

    shop.send()

    told = json.loads(shop.receiver.got[0].body)
    assert (told["type"], told["data"]["reason"]) == ("transaction.failed", "misconfigured")


def test_a_failure_and_the_money_after_it_are_told_in_order(shop: Shop) -> None:
    shop.desk.attempt()
    fail(shop.desk)
    pay(shop.desk)

    shop.send()

    assert shop.told() == [("failed", 2), ("succeeded", 3)]


def test_another_word_about_a_failure_is_told(shop: Shop) -> None:
    transaction = shop.desk.attempt()
    fail(shop.desk)
    shop.desk.record(transaction, OperatorSaysNotPaid(), Kind.OPERATOR)

    shop.send()

    assert [kind for kind, _ in shop.told()] == ["failed", "failed"]


def test_what_a_person_must_decide_is_told_once(shop: Shop) -> None:
    shop.desk.attempt()
    other_amount = success_callback(
        shop.desk.daraja.checkout_id(1), shop.desk.daraja.merchant_id(1), amount=1
    )
    shop.desk.callback(1, other_amount)
    shop.desk.callback(1, other_amount)

    shop.send()

    assert [kind for kind, _ in shop.told()] == ["needs_review"]


@on_both
def test_silence_that_needs_a_person_is_told(shop: Shop, clock: Clock) -> None:
    shop.desk.attempt()
    clock.pass_(hours=73)
    shop.desk.tick()

    shop.send()

    assert [kind for kind, _ in shop.told()] == ["needs_review"]


def test_a_callback_that_comes_twice_is_told_once(shop: Shop) -> None:
    shop.paid()
    pay(shop.desk)

    shop.send()

    assert len(shop.receiver.got) == 1


def test_waiting_is_nothing_to_tell(shop: Shop, clock: Clock) -> None:
    shop.desk.attempt()
    clock.pass_(seconds=200)
    shop.desk.tick()

    assert shop.messages() == []


def test_without_an_endpoint_nothing_is_written(make_app: Callable[..., Flask], clock: Clock,
                                                daraja: FakeDaraja) -> None:  # fmt: skip
    desk = Desk(make_app(), clock, daraja)
    desk.attempt()
    pay(desk)

    with desk.sessions() as session:
        assert webhooks.page(session, 10) == []
        assert webhooks.backlog(session, clock()) == Backlog(0, None, 0)


def test_no_number_and_no_id_of_daraja_is_told(shop: Shop) -> None:
    shop.paid()

    (message,) = shop.messages()

    assert "254700000001" not in message.body
    assert shop.desk.daraja.checkout_id(1) not in message.body


# -- how it is signed ----------------------------------------------------------------------------


@pytest.fixture
def today(clock: Clock) -> Clock:
    """The real time, which the receivers' library compares with."""
    clock.wait_until(datetime.now(UTC))
    return clock


def test_the_receivers_library_believes_it(today: Clock, shop: Shop) -> None:
    shop.paid()
    shop.send()

    (got,) = shop.receiver.got
    told = Webhook(SECRET).verify(got.body, got.headers)

    assert told["data"]["receipt"] == "UKO1ABCD01"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["webhook-id"].startswith("msg_")


def test_while_a_secret_is_replaced_the_old_and_the_new_one_are_believed(
    today: Clock, desk: Desk, receiver: Receiver
) -> None:
    shop = Shop(desk, receiver, secrets=(SECRET, OLD_SECRET))
    shop.paid()
    shop.send()

    (got,) = receiver.got
    assert Webhook(SECRET).verify(got.body, got.headers)
    assert Webhook(OLD_SECRET).verify(got.body, got.headers)
    assert len(got.headers["webhook-signature"].split()) == 2


def test_a_forger_without_the_secret_is_not_believed(today: Clock, shop: Shop) -> None:
    shop.paid()
    shop.send()

    (got,) = shop.receiver.got
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(got.body.replace(b"150", b"1"), got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(OLD_SECRET).verify(got.body, got.headers)


# -- again, until it has heard -------------------------------------------------------------------


@on_both
def test_a_failed_try_is_followed_by_others_with_the_same_id(shop: Shop, clock: Clock) -> None:
    shop.paid()
    shop.receiver.answers.extend([merchant.reply(500), merchant.reply(500)])

    shop.send()
    clock.pass_(seconds=4)
    assert shop.send() == 0
    clock.pass_(seconds=1)
    assert shop.send() == 1
    clock.pass_(seconds=299)
    assert shop.send() == 0
    clock.pass_(seconds=1)
    assert shop.send() == 1

    assert len(set(shop.receiver.ids())) == 1
    assert shop.attempts() == [(500, None), (500, None), (204, None)]
    assert shop.states() == [DeliveryState.DELIVERED]


def test_each_try_is_signed_with_its_own_time(shop: Shop, clock: Clock) -> None:
    shop.paid()
    shop.receiver.answers.append(merchant.reply(500))
    shop.send()
    clock.pass_(seconds=5)
    shop.send()

    first, second = (int(each.headers["webhook-timestamp"]) for each in shop.receiver.got)
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
def test_whatever_is_no_2xx_is_a_failure_and_is_tried_again(
    shop: Shop, clock: Clock, answer: merchant.Answer, attempt: tuple[int | None, str | None]
) -> None:
    shop.paid()
    shop.receiver.answers.append(answer)
    shop.send()

    (message,) = shop.messages()
    assert shop.attempts() == [attempt]
    assert message.next_attempt_at == clock() + FIVE_SECONDS


def test_a_delivered_message_is_not_sent_again(shop: Shop, clock: Clock) -> None:
    shop.paid()
    shop.send()
    clock.pass_(hours=100)

    assert shop.send() == 0
    assert len(shop.receiver.got) == 1


@on_both
def test_after_the_last_try_it_is_given_up_and_stays_visible(
    shop: Shop, clock: Clock, log_lines: list[dict[str, str]]
) -> None:
    shop.paid()
    shop.receiver.usual = merchant.reply(500)

    tries = 0
    for _ in range(20):
        tries += shop.send()
        clock.pass_(hours=25)

    with shop.desk.sessions() as session:
        backlog = webhooks.backlog(session, clock())
    assert tries == 10
    assert shop.states() == [DeliveryState.GIVEN_UP]
    assert (backlog.count, backlog.given_up) == (0, 1)
    (told,) = (each for each in log_lines if "given up" in each["message"])
    assert told["transaction_id"] == shop.messages()[0].transaction_id


def test_a_pause_that_is_asked_for_holds_for_the_whole_endpoint(shop: Shop, clock: Clock) -> None:
    shop.paid(1)
    shop.receiver.answers.append(merchant.reply(429, Retry_After="120"))
    shop.send()
    shop.paid(2)

    clock.pass_(seconds=119)
    assert shop.send() == 0
    clock.pass_(seconds=1)
    assert shop.send() == 2


def test_a_pause_with_another_failure_holds_for_that_message_alone(
    shop: Shop, clock: Clock
) -> None:
    shop.paid(1)
    shop.receiver.answers.append(merchant.reply(500, Retry_After="120"))
    shop.send()
    clock.pass_(seconds=1)
    shop.paid(2)

    clock.pass_(seconds=100)

    assert shop.send() == 1
    assert shop.states() == [DeliveryState.WAITING, DeliveryState.DELIVERED]


def test_a_short_pause_does_not_shorten_the_schedule(shop: Shop, clock: Clock) -> None:
    shop.paid()
    shop.receiver.answers.append(merchant.reply(503, Retry_After="1"))
    shop.send()

    (message,) = shop.messages()
    assert message.next_attempt_at == clock() + FIVE_SECONDS


# -- an endpoint that is gone, or dead -----------------------------------------------------------


@on_both
def test_410_stops_the_endpoint_until_an_operator_sends_again(
    shop: Shop, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    shop.paid(1)
    shop.receiver.answers.append(merchant.reply(410))
    shop.send()
    shop.paid(2)
    clock.pass_(hours=100)
    while_stopped = shop.send()

    first, _second = shop.messages()
    stopped = shop.endpoint_state().stopped_at
    assert shop.retry(first.id)
    assert shop.send() == 2
    assert while_stopped == 0
    assert stopped == datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
    assert shop.endpoint_state().stopped_at is None
    assert any("410" in each.getMessage() for each in caplog.records)


def test_another_address_is_not_stopped(shop: Shop, desk: Desk, clock: Clock) -> None:
    shop.paid()
    shop.receiver.answers.append(merchant.reply(410))
    shop.send()
    clock.pass_(seconds=5)

    with receiving() as elsewhere:
        assert Shop(desk, elsewhere).send() == 1


# What says that the server takes nothing at all now: no answer, or these (RFC 9110, 15.5.9, 15.6).
SILENT = [*(Unanswered(each) for each in Failure), *map(Answered, (408, 429, 502, 503, 504))]
# What it says of one message.
REFUSALS = [Answered(each) for each in (301, 302, 307, 400, 401, 403, 404, 409, 422, 500, 501, 505)]


@pytest.mark.parametrize("silence", SILENT, ids=str)
def test_silence_slows_everything_down(desk: Desk, receiver: Receiver, silence: Outcome) -> None:
    shop = Shop(desk, receiver, post=lambda *_: silence)
    for number in range(1, FAILING_FROM + 3):
        shop.paid(number)

    sent = sum(shop.send_one() for _ in range(FAILING_FROM + 2))

    assert (sent, shop.endpoint_state().failures) == (FAILING_FROM, FAILING_FROM)


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_a_refusal_slows_nothing_down(desk: Desk, receiver: Receiver, refusal: Outcome) -> None:
    shop = Shop(desk, receiver, post=lambda *_: refusal)
    for number in range(1, FAILING_FROM + 3):
        shop.paid(number)

    assert shop.send() == FAILING_FROM + 2
    assert shop.endpoint_state() == EndpointState()


@on_both
def test_a_server_that_refuses_one_type_hears_of_every_payment_at_once(
    desk: Desk, receiver: Receiver, clock: Clock
) -> None:
    """A push every two seconds, nine of ten of them cancelled; four workers."""
    late: list[timedelta] = []

    def stumble_over_failures(body: bytes, _headers: object) -> Outcome:
        told = json.loads(body)
        if told["type"] == "transaction.failed":
            return Answered(500)
        late.append(clock() - datetime.fromisoformat(told["timestamp"]))
        return Answered(200)

    shop = Shop(desk, receiver, post=stumble_over_failures)
    for number in range(1, 61):
        desk.attempt(f"2547{number:08d}")
        if number % 10:
            fail(desk, number)
        else:
            ids = (desk.daraja.checkout_id(number), desk.daraja.merchant_id(number))
            desk.callback(number, success_callback(*ids, receipt=f"UKO1AB{number:04d}"))
        at_once([shop.send] * 4)
        clock.pass_(seconds=2)

    assert late == [timedelta(0)] * 6


def test_a_refusal_ends_a_silence(desk: Desk, receiver: Receiver, clock: Clock) -> None:
    answers = iter([*[Answered(503)] * FAILING_FROM, Answered(500)])
    shop = Shop(desk, receiver, post=lambda *_: next(answers, Answered(204)))
    for number in range(1, FAILING_FROM + 4):
        shop.paid(number)
    shop.send()
    clock.pass_(seconds=5)

    assert shop.send() == FAILING_FROM + 3  # the five once more, and those that were held back
    assert shop.states().count(DeliveryState.DELIVERED) == FAILING_FROM + 2


@on_both
def test_a_dead_endpoint_is_asked_by_one_message_at_a_time(shop: Shop, clock: Clock) -> None:
    shop.receiver.usual = merchant.reply(502)
    for number in range(1, 21):
        shop.paid(number)

    at_first = shop.send()
    soon = shop.send()
    clock.pass_(seconds=5)
    after_the_pause = shop.send()
    clock.pass_(seconds=9)
    too_early = shop.send()

    assert at_first == FAILING_FROM
    assert (soon, after_the_pause, too_early) == (0, 1, 0)
    assert shop.endpoint_state().failures == FAILING_FROM + 1


def test_the_pauses_of_a_dead_endpoint_end_at_a_minute(shop: Shop, clock: Clock) -> None:
    shop.receiver.usual = merchant.reply(502)
    for number in range(1, 21):
        shop.paid(number)

    pauses = []
    for _ in range(12):
        shop.send()
        state = shop.endpoint_state()
        assert state.resume_at is not None
        pauses.append((state.resume_at - clock()).total_seconds())
        clock.wait_until(state.resume_at)

    assert pauses[:6] == [5, 10, 20, 40, 60, 60]
    assert set(pauses[6:]) == {60}


def test_the_backlog_of_an_endpoint_that_is_back_goes_out_oldest_first(
    shop: Shop, clock: Clock
) -> None:
    shop.receiver.usual = merchant.reply(502)
    for number in range(1, 21):
        shop.paid(number)
        clock.pass_(milliseconds=1)
    shop.send()
    shop.receiver.usual, shop.receiver.got = merchant.reply(204), []

    clock.pass_(minutes=10)
    assert shop.send() == 20

    written = [each.id for each in shop.messages()]
    assert [each for each in shop.receiver.ids() if each in written[5:]] == written[5:]
    assert set(shop.states()) == {DeliveryState.DELIVERED}


def test_one_message_that_is_never_taken_does_not_hold_back_another(
    shop: Shop, clock: Clock
) -> None:
    shop.paid(1)
    shop.receiver.usual = merchant.reply(500)
    for _ in range(6):
        shop.send()
        clock.pass_(hours=24)
    shop.receiver.usual = merchant.reply(204)
    shop.paid(2)

    shop.send_one()
    shop.send_one()

    assert shop.states() == [DeliveryState.DELIVERED, DeliveryState.DELIVERED]


# -- in order ------------------------------------------------------------------------------------


def test_a_newer_word_waits_while_the_older_one_is_tried_again(shop: Shop, clock: Clock) -> None:
    shop.desk.attempt()
    fail(shop.desk)
    shop.receiver.answers.append(merchant.reply(500))
    shop.send()
    pay(shop.desk)

    before = shop.send()
    clock.pass_(seconds=5)
    shop.send()

    assert before == 0
    assert shop.told() == [("failed", 2), ("failed", 2), ("succeeded", 3)]


def test_an_older_word_that_is_never_taken_is_overtaken_after_three_tries(
    shop: Shop, clock: Clock
) -> None:
    shop.desk.attempt()
    fail(shop.desk)
    shop.receiver.answers.extend([merchant.reply(500)] * 3)
    for pause in (5, 300, 1):
        shop.send()
        clock.pass_(seconds=pause)
    pay(shop.desk)

    shop.send()

    assert shop.told()[3:] == [("succeeded", 3)]
    assert shop.states() == [DeliveryState.WAITING, DeliveryState.DELIVERED]


def test_other_transactions_do_not_wait(shop: Shop) -> None:
    shop.desk.attempt()
    fail(shop.desk)
    shop.receiver.answers.append(merchant.reply(500))
    shop.send()
    shop.desk.attempt(SECOND_PAYER_MSISDN)
    pay(shop.desk, 2)

    assert shop.send() == 1
    assert [kind for kind, _ in shop.told()] == ["failed", "succeeded"]


# -- several at once, and those that died --------------------------------------------------------


@on_both
def test_workers_at_once_send_each_message_once(shop: Shop) -> None:
    for number in range(1, 13):
        shop.paid(number)
    shop.receiver.usual = merchant.slowly(0.05)

    outcomes = at_once([shop.send] * 6)

    assert sum(outcomes) == 12
    assert len(set(shop.receiver.ids())) == len(shop.receiver.got) == 12
    assert shop.receiver.most_at_once > 1


@on_postgresql
def test_no_more_than_the_bound_are_under_way_at_once_however_many_workers(shop: Shop) -> None:
    for number in range(1, 15):
        shop.paid(number)
    enough = threading.Barrier(MOST_AT_ONCE + 1)

    def wait_for_the_others(handler: merchant.Handler) -> None:
        enough.wait(10)
        merchant.reply(204)(handler)

    shop.receiver.usual = wait_for_the_others
    workers = [threading.Thread(target=shop.send_one) for _ in range(MOST_AT_ONCE)]
    for each in workers:
        each.start()
    _wait_for(lambda: len(shop.receiver.got) == MOST_AT_ONCE)
    one_more = shop.send_one()
    enough.wait(10)
    for each in workers:
        each.join(10)

    assert one_more == 0
    assert shop.receiver.most_at_once == MOST_AT_ONCE


def _wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true")


@on_both
def test_no_connection_to_the_database_is_held_while_it_is_sent(shop: Shop) -> None:
    """A merchant's server that hangs costs neither a payment nor a push its connection."""
    shop.paid()
    held: list[int] = []
    pool: Any = shop.desk.engine.pool

    def look(*_: object) -> Outcome:
        held.append(pool.checkedout())
        return Answered(204)

    Shop(shop.desk, shop.receiver, post=look).send()

    assert held == [0]


@on_both
def test_what_was_written_by_a_process_that_died_is_sent_by_the_next(
    make_app: Callable[..., Flask], shop: Shop, clock: Clock, daraja: FakeDaraja
) -> None:
    shop.paid()

    restarted = make_app(WEBHOOK_URL=shop.receiver.url, WEBHOOK_SECRET=SECRET)
    Shop(Desk(restarted, clock, daraja), shop.receiver).send()

    assert [kind for kind, _ in shop.told()] == ["succeeded"]


class _Died(BaseException):
    """The process is gone, from one statement to the next."""


@on_both
def test_what_was_sent_but_not_written_down_is_sent_again_with_the_same_id(
    shop: Shop, clock: Clock
) -> None:
    shop.paid()

    def die(body: bytes, headers: Any) -> Outcome:
        shop.endpoint.post(body, headers)
        raise _Died

    with pytest.raises(_Died):
        Shop(shop.desk, shop.receiver, post=die).send()
    clock.pass_(seconds=59)
    while_claimed = shop.send()
    clock.pass_(seconds=1)
    assert shop.send() == 1

    assert while_claimed == 0
    assert len(set(shop.receiver.ids())) == 1
    assert len(shop.receiver.got) == 2
    assert shop.states() == [DeliveryState.DELIVERED]


def test_a_process_that_slept_since_its_claim_sends_nothing(shop: Shop, clock: Clock) -> None:
    shop.paid()
    times = iter([clock(), clock(), clock() + timedelta(seconds=50)])

    with shop.desk.sessions() as session:
        sleepy = Shop(shop.desk, shop.receiver).endpoint
        late = Endpoint(sleepy.url, sleepy.secrets, sleepy.post, lambda: next(times))
        assert webhooks.run_once(session, late) == 0

    assert shop.receiver.got == []


def test_a_failure_that_is_written_down_too_late_leaves_the_next_claim_alone(
    shop: Shop, clock: Clock
) -> None:
    shop.paid()

    def meanwhile(*_: object) -> Outcome:
        clock.pass_(seconds=61)
        with shop.desk.sessions() as session:
            claimed = clock() + timedelta(seconds=60)
            session.execute(update(WebhookMessage).values(claimed_until=claimed))
            session.commit()
        return Answered(500)

    Shop(shop.desk, shop.receiver, post=meanwhile).send_one()

    (message,) = shop.messages()
    assert (message.tries, shop.attempts()) == (0, [(500, None)])
    assert shop.states() == [DeliveryState.SENDING]


# -- what people see and do ----------------------------------------------------------------------


@on_both
def test_pages_go_from_the_newest_to_the_oldest_without_a_gap(shop: Shop, clock: Clock) -> None:
    for number in range(1, 8):
        shop.paid(number)
        clock.pass_(seconds=number % 2)

    seen: list[str] = []
    before = None
    with shop.desk.sessions() as session:
        while rows := webhooks.page(session, 3, before=before):
            seen += [each.id for each in rows]
            before = (rows[-1].created_at, rows[-1].id)

    newest_first = sorted(shop.messages(), key=lambda each: (each.created_at, each.id))[::-1]
    assert seen == [each.id for each in newest_first]


def test_a_page_can_be_of_one_transaction_or_of_what_was_not_taken(shop: Shop) -> None:
    paid = shop.paid(1)
    shop.send()
    shop.desk.attempt(SECOND_PAYER_MSISDN)
    fail(shop.desk, 2)

    with shop.desk.sessions() as session:
        own = webhooks.page(session, 9, transaction_id=paid)
        undelivered = webhooks.page(session, 9, undelivered=True)

    assert [each.transaction_id for each in own] == [paid]
    assert [each.type for each in undelivered] == ["transaction.failed"]


@on_both
def test_the_backlog_tells_how_many_wait_and_how_long(shop: Shop, clock: Clock) -> None:
    shop.paid(1)
    clock.pass_(seconds=30)
    shop.paid(2)

    with shop.desk.sessions() as session:
        assert webhooks.backlog(session, clock()) == Backlog(2, timedelta(seconds=30), 0)


@on_both
def test_a_delivered_message_can_be_sent_again_with_its_id(shop: Shop) -> None:
    shop.paid()
    shop.send()
    (message,) = shop.messages()

    assert shop.retry(message.id)
    shop.send()

    assert shop.receiver.ids() == [message.id] * 2
    assert shop.states() == [DeliveryState.DELIVERED]


def test_sending_again_a_message_that_is_not_there_is_told(shop: Shop) -> None:
    assert not shop.retry("msg_nothing")


def test_sending_again_does_not_disturb_a_message_that_is_being_sent(shop: Shop) -> None:
    shop.paid()
    (message,) = shop.messages()

    def press(*_: object) -> Outcome:
        assert shop.retry(message.id)
        assert shop.send() == 0
        return Answered(204)

    Shop(shop.desk, shop.receiver, post=press).send()

    assert shop.states() == [DeliveryState.DELIVERED]


@pytest.fixture
def flask(app: Flask) -> Callable[..., str]:
    """Run a command in the application; returns what it printed."""
    return lambda *words: app.test_cli_runner().invoke(args=["webhooks", *words]).output


def test_the_list_shows_each_webhook_and_what_keeps_others_back(
    shop: Shop, flask: Callable[..., str]
) -> None:
    shop.paid()
    shop.receiver.answers.append(merchant.reply(410))
    shop.send()

    output = flask("list")

    (message,) = shop.messages()
    assert message.id in output
    assert "transaction.succeeded" in output
    assert "waiting    tries 1, last 410  next 2026-11-24 12:00:05 EAT" in output
    assert "stopped since 2026-11-24 12:00:00 EAT: the endpoint answered 410" in output


def test_the_command_sends_all_again_that_failed(
    shop: Shop, flask: Callable[..., str], clock: Clock
) -> None:
    shop.receiver.usual = merchant.reply(500)
    shop.paid(1)
    shop.paid(2)
    shop.send()
    shop.receiver.usual = merchant.reply(204)

    output = flask("retry", "--all-failed")

    assert output == "2 to be sent again by the running server\n"
    assert shop.send() == 2


def test_the_command_sends_one_again_and_knows_no_other(
    shop: Shop, flask: Callable[..., str]
) -> None:
    shop.paid()
    shop.send()
    (message,) = shop.messages()

    assert flask("retry", message.id) == "1 to be sent again by the running server\n"
    assert "there is no webhook msg_nothing" in flask("retry", "msg_nothing")
    for unclear in ((), (message.id, "--all-failed")):
        output = " ".join(flask("retry", *unclear).split())
        assert "name one webhook by its id" in output
        assert "flask webhooks list --undelivered" in output
        assert "say --all-failed" in output


def test_the_list_as_json_tells_each_message_with_its_tries(
    shop: Shop, app: Flask, clock: Clock
) -> None:
    transaction = shop.paid()
    shop.receiver.usual = merchant.reply(500)
    shop.send()
    (message,) = shop.messages()

    result = app.test_cli_runner().invoke(args=["webhooks", "list", "--json"])

    (told,) = json.loads(result.stdout)
    (tried,) = told.pop("attempts")
    assert told.pop("next_attempt_at") > "2026-11-24T09:00:00Z"
    assert told == {
        "id": message.id, "type": "transaction.succeeded", "transaction_id": transaction,
        "seq": 2, "state": "waiting", "created_at": "2026-11-24T09:00:00Z", "delivered_at": None,
    }  # fmt: skip
    assert (tried["status_code"], tried["failure"]) == (500, None)
    assert result.stderr == "1 waiting, 0 given up\n"


def test_the_list_says_where_no_endpoint_is_named(make_app: Callable[..., Flask]) -> None:
    output = make_app().test_cli_runner().invoke(args=["webhooks", "list"]).output

    assert output == "WEBHOOK_URL is not set: nothing is written or sent\n"


def test_neither_address_nor_secret_nor_number_is_logged(
    shop: Shop, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    shop.paid()
    shop.receiver.answers.extend([merchant.reply(503)] * 8 + [merchant.reply(410)])
    for _ in range(9):
        shop.send()
        clock.pass_(hours=25)

    lines = [each.getMessage() for each in caplog.records if each.name.startswith("mpesa")]
    assert len(lines) >= 2
    for secret in (shop.receiver.url, SECRET, SECRET[6:], "254700000001", RECEIPT):
        assert not [line for line in lines if secret in line]
    assert shop.receiver.url not in repr(shop.endpoint)
    assert SECRET not in repr(shop.endpoint)


@pytest.mark.parametrize("other", [Answered(500), Answered(200)])
def test_a_pause_that_the_endpoint_asked_for_outlasts_what_was_under_way(
    desk: Desk, clock: Clock, other: Outcome
) -> None:
    for push in (1, 2, 3):
        desk.attempt(f"25470000000{push}")
        pay(desk, push)
    answers = iter([Answered(429, "3600"), Answered(200)])

    def nested(_body: bytes, _headers: object) -> Outcome:
        """The second one is sent while the first one's answer, the pause, is on its way."""
        if not under_way:
            under_way.append(True)
            with desk.sessions() as session:
                webhooks.run_once(session, endpoint)
            return other
        return next(answers)

    under_way: list[bool] = []
    endpoint = Endpoint("http://127.0.0.1:9/", (SECRET,), nested, clock, lambda: 0.0)
    with desk.sessions() as session:
        webhooks.run_once(session, endpoint)

        assert webhooks.run_once(session, endpoint) == 0
        clock.pass_(seconds=3601)
        assert webhooks.run_once(session, endpoint) == 1


def test_a_test_message_on_demand_is_signed_and_tells_of_no_payment(
    shop: Shop, flask: Callable[..., str]
) -> None:
    output = flask("test")

    (got,) = shop.receiver.got
    told = json.loads(got.body)
    signature = Webhook(SECRET).sign(got.headers["webhook-id"], shop.desk.now(), got.body.decode())
    assert got.headers["webhook-signature"] == signature
    assert output == "answered 204: the message was taken\n"
    assert told["type"] == "webhook.test"
    assert "transaction_id" not in told["data"]
    assert flask("list") == "0 waiting, 0 given up\n"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (merchant.reply(401), "answered 401: the signature was refused. WEBHOOK_SECRET must be"),
        (merchant.reply(302, Location="/elsewhere"), "answered 302: redirects are not followed"),
        (merchant.reply(418), "answered 418: the message was not taken"),
        (merchant.reset, "the connection broke before an answer came"),
    ],
)
def test_a_test_message_that_is_not_taken_says_what_to_do(
    app: Flask, shop: Shop, answer: merchant.Answer, said: str
) -> None:
    shop.receiver.usual = answer

    result = app.test_cli_runner().invoke(args=["webhooks", "test"])

    assert said in result.output
    assert result.exit_code == 1
    assert shop.receiver.followed == []


def test_a_test_message_needs_an_endpoint(make_app: Callable[..., Flask]) -> None:
    result = make_app().test_cli_runner().invoke(args=["webhooks", "test"])

    assert "WEBHOOK_URL is not set" in result.output
    assert result.exit_code == 1


# -- a clock that was ahead, and is put back -------------------------------------------------------


@on_both
def test_a_message_of_a_clock_that_was_ahead_is_sent_at_once(shop: Shop, clock: Clock) -> None:
    shop.paid()
    clock.step(hours=-3)
    shop.put_back()

    assert shop.send() == 1
    assert shop.states() == [DeliveryState.DELIVERED]


@on_both
def test_a_try_of_a_clock_that_was_ahead_is_followed_by_the_next_on_time(
    shop: Shop, receiver: Receiver, clock: Clock
) -> None:
    shop.paid()
    receiver.usual = merchant.reply(500)
    for pause in (0, 5):
        clock.pass_(seconds=pause)
        shop.send()
    clock.step(hours=-3)
    shop.put_back()
    at_once = shop.send()
    then = [shop.send() for _ in range(3)]
    clock.pass_(minutes=30)

    assert (at_once, then, shop.send()) == (1, [0, 0, 0], 1)


@on_both
def test_a_pause_of_a_clock_that_was_ahead_is_over(
    shop: Shop, receiver: Receiver, clock: Clock
) -> None:
    shop.paid()
    receiver.answers.append(merchant.reply(503, Retry_After="40"))
    shop.send()
    clock.step(hours=-3)
    shop.put_back()

    assert shop.send() == 1
    assert shop.endpoint_state().failures == 0


@on_both
def test_a_claim_of_a_clock_that_was_ahead_keeps_nobody_from_sending(
    shop: Shop, clock: Clock
) -> None:
    shop.paid()
    with shop.desk.sessions() as session:
        session.execute(update(WebhookMessage).values(claimed_until=clock() + timedelta(minutes=1)))
        session.commit()
    clock.step(hours=-3)
    shop.put_back()

    assert shop.send() == 1


@on_both
def test_a_worker_puts_messages_back_at_its_start_and_after_each_step(
    app: Flask, shop: Shop, clock: Clock
) -> None:
    sent = []
    with app.app_context():
        look = loops._put_off_webhooks(services(), shop.receiver.url)
        shop.paid()
        clock.step(hours=-3)
        for push in (2, 3, 4):
            look(services())
            sent.append(shop.send())
            loops._clock(services())
            shop.paid(push)
            clock.step(hours=-3)
            loops._clock(services())

    assert sent == [1, 1, 1]


@on_both
def test_what_waits_for_as_long_as_it_should_is_left_alone(
    shop: Shop, receiver: Receiver, clock: Clock
) -> None:
    shop.paid()
    receiver.answers.append(merchant.reply(500, Retry_After="80000"))
    shop.send()
    planned = [each.next_attempt_at for each in shop.messages()]

    assert shop.put_back() == 0
    assert [each.next_attempt_at for each in shop.messages()] == planned


@on_both
@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_however_many_were_put_off_all_are_sent(
    shop: Shop, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(deliveries, "_PUT_BACK_AT_ONCE", at_once)
    for push in (1, 2, 3):
        shop.paid(push)
    receiver.usual = merchant.reply(500)
    shop.send()
    clock.step(hours=-3)
    for push in (4, 5):  # by the clock as it is: they wait for their five minutes
        shop.paid(push)
    for _ in range(2):
        shop.send()
        clock.pass_(seconds=5)
    clock.step(seconds=-1)
    receiver.usual = merchant.reply(200)

    assert shop.put_back() == 3
    assert shop.send() == 3
    assert shop.put_back() == 0


@on_both
def test_a_round_costs_one_look_at_what_is_due_however_much_waits_for_later(
    shop: Shop, receiver: Receiver
) -> None:
    receiver.usual = merchant.reply(500)
    for push in (1, 2, 3):
        shop.paid(push)
    shop.send()
    statements: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        if statement != "BEGIN":
            statements.append(statement)

    event.listen(shop.desk.engine, "before_cursor_execute", note)
    try:
        assert shop.send() == 0
    finally:
        event.remove(shop.desk.engine, "before_cursor_execute", note)

    assert len(statements) == 1
    assert "next_attempt_at <=" in statements[0]

"""Money back: asked for, released by another person, sent once, and every answer understood."""

from collections import deque
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from mpesa import awaited, receipts, refunds
from mpesa.daraja import NotSent, Refused, UnknownOutcome
from mpesa.daraja.initiators import Initiator
from mpesa.daraja.reversal import REVERSAL_PATH
from mpesa.daraja_access import Access
from mpesa.domain.refund import RefundStatus
from mpesa.domain.refusals import (
    DailyLimit,
    KeyReused,
    NoReceipt,
    NoRefund,
    NotRefundable,
    NotYours,
    OnItsWayBack,
    OtherReturned,
    RefundExists,
    TooLate,
)
from mpesa.domain.result_codes import Reason
from mpesa.models import HeardResult, RefundStep, StatusQuestion, WebhookMessage
from mpesa.refunds import Wanted
from tests.conftest import on_both
from tests.factories import RECEIPT, raw
from tests.questions import Questions, answer
from tests.shop import Shop, at_once

SECOND = "UKO2GHIJKL"
REVERSAL = "UKO9REVERS"
LISTED = "196.201.212.69"


class Initiators:
    """Two API users whose credentials are right."""

    def status(self):
        return Initiator("status_api", "sealed", "status")

    def refund(self):
        return Initiator("refund_api", "sealed", "refund")


class Desk:
    """The people who give money back, at one shop."""

    def __init__(self, shop, *, two_people=True, limit=5_000_000):
        self.shop = shop
        self.needs = refunds.Needs(shop.now, shop.announce, two_people, limit)
        self.sending = refunds.Sending(
            needs=self.needs,
            access=Access(shop.daraja, shop.budget, shop.now, Initiators()),
            short_code="174379",
            public_url="https://pay.example",
            heard_for=timedelta(days=30),
            listed=lambda source: source == LISTED,
            asks=True,
        )

    def ask(self, receipt=RECEIPT, by="amina", **more):
        with self.shop.sessions() as session:
            wanted = Wanted(receipt, "paid twice", by, **more)
            refund, _ = refunds.ask(session, wanted, self.needs)
            return refund.id

    def release(self, refund_id, by="baraka", **more):
        with self.shop.sessions() as session:
            return refunds.release(session, refund_id, by, self.needs, **more)

    def send(self):
        with self.shop.sessions() as session:
            return refunds.send_next(session, self.sending)

    def sent(self, receipt=RECEIPT):
        refund = self.ask(receipt)
        self.release(refund)
        assert self.send() == 1
        return refund

    def read(self, refund_id):
        with self.shop.sessions() as session:
            return refunds.find(session, refund_id)

    def tick(self):
        with self.shop.sessions() as session:
            return refunds.run_deadlines(session, self.sending)

    def token(self):
        _, body = self.shop.daraja.posts[-1]
        return body["ResultURL"].rsplit("/", 1)[1]

    def hear(self, body, *, source=LISTED, timed_out=False, token=None):
        body = body if isinstance(body, bytes) else raw(body)
        with self.shop.sessions() as session:
            known = awaited.hear(
                session,
                token or self.token(),
                body,
                source,
                self.shop.now(),
                lambda msisdn: "mark",
                timed_out=timed_out,
            )
            assert known
            refunds.judge_waiting(session, self.sending)


@pytest.fixture
def desk(shop):
    return Desk(shop)


@pytest.fixture
def paid(shop):
    """A push that was paid; its id."""
    push = shop.attempt()
    shop.callback(1, shop.paid())
    return push


def result(code="0", **changed):
    told = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": "told",
        "TransactionID": REVERSAL,
        "ResultParameters": {
            "ResultParameter": [
                {"Key": "OriginalTransactionID", "Value": RECEIPT},
                {"Key": "Amount", "Value": 150.00},
                {"Key": "CreditPartyPublicName", "Value": "254712345678 - TEST PAYER"},
            ]
        },
    }
    return {"Result": {**told, **changed}}


def steps(shop, refund_id):
    with shop.sessions() as session:
        found = select(RefundStep.event).where(RefundStep.refund_id == refund_id)
        return list(session.scalars(found.order_by(RefundStep.id)))


# -- the good way --------------------------------------------------------------------------------


@on_both
def test_money_goes_back_once_and_everybody_is_told(shop, desk, paid):
    refund = desk.sent()
    assert (desk.read(refund).status, len(shop.daraja.posts)) == (RefundStatus.SENT, 1)

    desk.hear(result())

    back = desk.read(refund)
    assert (back.status, back.reversal_receipt, back.needs_review) == (
        RefundStatus.SUCCEEDED,
        REVERSAL,
        False,
    )
    assert (shop.receipt().state, shop.receipt().returned_by) == ("returned", REVERSAL)
    told = shop.snapshot(paid)
    assert (told["view"], told["money"], told["order_status"]) == ("paid", "returned", "PAID")
    assert told["refund"]["status"] == "succeeded"
    assert steps(shop, refund) == [
        "requested",
        "released",
        "sent",
        "acknowledged",
        "result_succeeded",
    ]


@on_both
def test_what_daraja_gets_says_nothing_of_the_reason(shop, desk, paid):
    refund = desk.sent()

    path, body = shop.daraja.posts[-1]
    assert path == REVERSAL_PATH
    assert (body["TransactionID"], body["Amount"], body["Remarks"]) == (
        RECEIPT,
        "150",
        f"Refund {refund[:8]}",
    )


@on_both
def test_each_change_is_shown_at_once(shop, desk, paid):
    refund = desk.ask()
    asked = shop.snapshot(paid)
    desk.release(refund)

    assert asked["refund"] == {
        "refund_id": refund,
        "status": "requested",
        "amount": "150.00",
        "receipt": RECEIPT,
        "updated_at": "2026-11-24T09:00:00Z",
    }
    assert shop.snapshot(paid)["refund"]["status"] == "released"
    assert shop.snapshot(paid)["seq"] == asked["seq"] + 1
    assert shop.announced[-2:] == [paid, paid]


@on_both
def test_an_unclaimed_receipt_goes_back_too(shop, desk):
    shop.confirm("nobody's")

    refund = desk.sent()
    desk.hear(result())

    assert (desk.read(refund).status, shop.receipt().state) == (RefundStatus.SUCCEEDED, "returned")


@on_both
def test_the_reversal_is_a_movement_of_money_of_its_own(shop, desk, paid):
    desk.sent()
    desk.hear(result())

    out = shop.receipt(REVERSAL)
    assert (out.direction, out.amount) == ("out", 15_000)


# -- asking --------------------------------------------------------------------------------------


@on_both
def test_a_receipt_has_one_refund_under_way(shop, desk, paid):
    first = desk.ask()

    with pytest.raises(RefundExists) as told:
        desk.ask(by="baraka")

    assert told.value.refund_id == first


@on_both
def test_of_many_who_ask_at_once_one_is_heard(shop, desk, paid):
    outcomes = at_once([lambda: desk.ask()] * 8)

    assert sum(isinstance(each, str) for each in outcomes) == 1
    assert sum(isinstance(each, RefundExists) for each in outcomes) == 7


@on_both
def test_the_same_key_leads_to_the_same_refund(shop, desk, paid):
    key = ("hash of an API key", "press-1")

    assert desk.ask(key=key) == desk.ask(key=key)
    with shop.sessions() as session, pytest.raises(KeyReused):
        refunds.ask(session, Wanted(RECEIPT, "another reason", "api:1", key=key), desk.needs)


@on_both
def test_only_a_proven_payment_of_whole_shillings_goes_back(shop, desk):
    shop.confirm("nobody's", amount="150.50")
    shop.confirm("nobody's", receipt=SECOND, listed=lambda _: False)

    with pytest.raises(NotRefundable):
        desk.ask()
    with pytest.raises(NotRefundable):
        desk.ask(SECOND)
    with pytest.raises(NoReceipt):
        desk.ask("UKO0NOTHER")


@on_both
def test_what_is_returned_is_not_asked_for_again(shop, desk, paid):
    desk.sent()
    desk.hear(result())

    with pytest.raises(NotRefundable):
        desk.ask()


@on_both
def test_a_receipt_on_its_way_back_is_given_to_no_order(shop, desk):
    order = shop.order()
    shop.confirm("nobody's")
    desk.ask()

    with shop.sessions() as session, pytest.raises(OnItsWayBack):
        receipts.claim(session, receipts.Claim(RECEIPT, order, "amina"), shop.receipt_needs())
    shop.confirm(shop.order_row(order).pay_code)
    assert shop.order_row(order).status == "OPEN"


@on_both
def test_it_has_to_be_said_too_where_the_receipt_was_nobodys_when_it_was_asked_for(
    shop, desk, paid
):
    shop.confirm("nobody's", receipt=SECOND)
    refund = desk.ask(SECOND)
    shop.callback(1, shop.paid(receipt=SECOND))
    assert shop.receipt(SECOND).transaction_id is not None
    desk.ask(returns_all=True)

    with pytest.raises(OtherReturned):
        desk.release(refund)

    assert desk.release(refund, returns_all=True).status is RefundStatus.RELEASED


@on_both
def test_where_another_receipt_of_the_order_goes_back_it_has_to_be_said(shop, desk, paid):
    shop.callback(1, shop.paid(receipt=SECOND))
    desk.ask(SECOND)

    with pytest.raises(OtherReturned):
        desk.ask()

    refund = desk.ask(returns_all=True)
    with pytest.raises(OtherReturned):
        desk.release(refund)
    assert desk.release(refund, returns_all=True).status is RefundStatus.RELEASED


# -- releasing -----------------------------------------------------------------------------------


@on_both
def test_nobody_releases_their_own_request(shop, desk, paid):
    refund = desk.ask(by="amina")

    with pytest.raises(NotYours):
        desk.release(refund, by="amina")

    assert desk.read(refund).status is RefundStatus.REQUESTED


@on_both
def test_one_person_may_do_both_where_that_is_set(shop, paid):
    desk = Desk(shop, two_people=False)

    assert desk.release(desk.ask(by="amina"), by="amina").released_by == "amina"


@on_both
def test_a_request_lives_for_a_day(shop, desk, paid, clock):
    refund = desk.ask()
    clock.pass_(hours=24)

    with pytest.raises(TooLate):
        desk.release(refund)
    assert desk.tick() == 1

    assert desk.read(refund).status is RefundStatus.REFUSED
    assert shop.snapshot(paid)["refund"] is None
    assert shop.receipt().refund_id is None


@on_both
def test_what_was_released_is_sent_even_if_the_day_ends(shop, desk, paid, clock):
    refund = desk.ask()
    desk.release(refund)
    clock.pass_(hours=30)
    desk.tick()

    assert desk.send() == 1


@on_both
def test_no_day_exceeds_its_limit_and_what_failed_is_taken_off(shop, clock):
    desk = Desk(shop, limit=20_000)
    shop.confirm("one")
    shop.confirm("two", receipt=SECOND)
    first, second = desk.ask(), desk.ask(SECOND)
    desk.release(first)

    with pytest.raises(DailyLimit):
        desk.release(second)
    desk.send()
    desk.hear(result("1", ResultParameters={}))
    assert desk.release(second).status is RefundStatus.RELEASED


@on_both
def test_of_many_releases_at_once_no_more_than_the_limit_are_released(shop):
    desk = Desk(shop, limit=30_000)
    numbers = [f"UKO1ABCD{each:02d}" for each in range(5)]
    for number in numbers:
        shop.confirm(number, receipt=number)
    asked = [desk.ask(number) for number in numbers]

    at_once([lambda each=each: desk.release(each) for each in asked])

    released = [each for each in asked if desk.read(each).status is RefundStatus.RELEASED]
    assert len(released) == 2


@on_both
def test_another_day_has_a_limit_of_its_own(shop, clock):
    desk = Desk(shop, limit=15_000)
    shop.confirm("one")
    shop.confirm("two", receipt=SECOND)
    desk.release(desk.ask())
    clock.pass_(hours=12)  # from noon to midnight, in Nairobi

    assert desk.release(desk.ask(SECOND)).released_day == "2026-11-25"


@on_both
def test_a_refused_request_may_be_made_again(shop, desk, paid):
    refund = desk.ask()
    with shop.sessions() as session:
        refunds.refuse(session, refund, "baraka", desk.needs)

    assert desk.ask() != refund
    with shop.sessions() as session, pytest.raises(NoRefund):
        refunds.refuse(session, "n" * 22, "baraka", desk.needs)


# -- sending once --------------------------------------------------------------------------------


@on_both
def test_it_is_sent_once_however_many_workers_look(shop, desk, paid):
    desk.release(desk.ask())

    outcomes = at_once([desk.send] * 6)

    assert sum(outcomes) == len(shop.daraja.posts) == 1


@on_both
def test_a_process_that_ends_before_the_answer_never_sends_it_again(shop, desk, paid, clock):
    refund = desk.ask()
    desk.release(refund)

    def dies(*_args, **_kwargs):
        raise KeyboardInterrupt

    shop.daraja.post = dies
    with pytest.raises(KeyboardInterrupt):
        desk.send()
    assert desk.read(refund).status is RefundStatus.SENT
    assert desk.send() == 0

    clock.pass_(minutes=1)
    desk.tick()

    assert (desk.read(refund).status, desk.read(refund).needs_review) == (
        RefundStatus.UNKNOWN,
        True,
    )
    assert desk.send() == 0


@on_both
@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (Refused(Reason.MISCONFIGURED), RefundStatus.FAILED),
        (NotSent(Reason.SYSTEM_BUSY), RefundStatus.FAILED),
        (UnknownOutcome(), RefundStatus.UNKNOWN),
    ],
)
def test_each_answer_to_the_request_is_read_as_ran_or_not(shop, desk, paid, error, becomes):
    shop.daraja.post_answers[REVERSAL_PATH] = deque([error])

    refund = desk.sent()

    assert desk.read(refund).status is becomes
    assert desk.send() == 0


@on_both
def test_silence_for_ten_minutes_is_unknown_and_m_pesa_is_asked_later(shop, desk, paid, clock):
    refund = desk.sent()
    clock.pass_(minutes=10)

    desk.tick()

    assert desk.read(refund).status is RefundStatus.UNKNOWN
    assert shop.snapshot(paid)["money"] == "taken"


# -- results -------------------------------------------------------------------------------------


@on_both
def test_a_failure_leaves_the_receipt_as_it_was(shop, desk, paid):
    refund = desk.sent()

    desk.hear(result("1", ResultParameters={}))

    assert (desk.read(refund).status, desk.read(refund).result_code) == (RefundStatus.FAILED, "1")
    assert (shop.receipt().state, shop.receipt().refund_id) == ("claimed", None)
    assert shop.snapshot(paid)["refund"]["status"] == "failed"


@on_both
def test_money_that_is_back_already_is_back(shop, desk, paid):
    refund = desk.sent()

    desk.hear(result("R000001", ResultParameters={}))

    assert desk.read(refund).status is RefundStatus.SUCCEEDED
    assert desk.read(refund).reversal_receipt is None
    assert shop.receipt().state == "returned"


@on_both
def test_a_time_out_is_unknown_and_the_true_result_still_counts(shop, desk, paid):
    refund = desk.sent()

    desk.hear(b"", timed_out=True)
    assert desk.read(refund).status is RefundStatus.UNKNOWN
    desk.hear(result())

    assert desk.read(refund).status is RefundStatus.SUCCEEDED


@on_both
def test_a_result_from_elsewhere_proves_nothing(shop, desk, paid):
    refund = desk.sent()

    desk.hear(result(), source="203.0.113.9")

    assert desk.read(refund).status is RefundStatus.UNKNOWN
    assert shop.receipt().state == "claimed"


@on_both
@pytest.mark.parametrize("body", [b"", b"{}", b"nonsense", raw({"Result": {"ResultCode": None}})])
def test_what_cannot_be_read_is_unknown(shop, desk, paid, body):
    refund = desk.sent()

    desk.hear(body)

    assert desk.read(refund).status is RefundStatus.UNKNOWN


@on_both
def test_a_failure_after_the_success_is_only_counted(shop, desk, paid):
    refund = desk.sent()
    desk.hear(result())

    desk.hear(result("1", ResultParameters={}))

    assert (desk.read(refund).status, desk.read(refund).needs_review) == (
        RefundStatus.SUCCEEDED,
        False,
    )
    assert shop.receipt().state == "returned"


@on_both
def test_a_success_after_the_failure_is_one_that_a_person_looks_at(shop, desk, paid):
    refund = desk.sent()
    desk.hear(result("26", ResultParameters={}))
    desk.hear(result("1", ResultParameters={}))

    desk.hear(result())

    assert (desk.read(refund).status, desk.read(refund).needs_review) == (
        RefundStatus.SUCCEEDED,
        True,
    )


@on_both
def test_the_review_of_a_refund_is_settled_once_and_the_shopper_sees_no_change(
    shop, desk, paid, clock
):
    refund = desk.sent()
    desk.hear(result("1", ResultParameters={}))
    desk.hear(result())
    before, told = desk.read(refund), shop.snapshot(paid)
    settled = refunds.Settled("amina", "One reversal", "o" * 22, before.seq)
    clock.pass_(minutes=1)

    def settle(what=settled):
        with shop.sessions() as session:
            return refunds.settle_review(session, refund, what, desk.needs)

    with pytest.raises(TooLate):
        settle(replace(settled, seq=before.seq - 1))
    assert [settle(), settle()] == [True, False]
    assert desk.read(refund) == replace(before, needs_review=False)
    assert shop.snapshot(paid) == told
    assert steps(shop, refund).count("review_settled") == 1


@on_both
def test_the_payers_number_and_name_are_cut_out_of_what_is_stored(shop, desk, paid):
    refund = desk.sent()
    desk.hear(result())

    with shop.sessions() as session:
        kept = session.scalars(select(HeardResult.body)).all()
        kept += session.scalars(select(RefundStep.body).where(RefundStep.refund_id == refund)).all()
    assert all(b"254712345678" not in (each or b"") for each in kept)
    assert all(b"PAYER" not in (each or b"") for each in kept)


@on_both
@pytest.mark.parametrize(("back", "becomes"), [(True, "succeeded"), (False, "failed")])
def test_a_manager_ends_what_is_unknown(shop, desk, paid, back, becomes):
    refund = desk.sent()
    with shop.sessions() as session, pytest.raises(TooLate):
        refunds.end(session, refund, "baraka", desk.needs, back=back)
    desk.hear(b"", timed_out=True)

    with shop.sessions() as session:
        ended = refunds.end(session, refund, "baraka", desk.needs, back=back)

    assert (ended.status.value, ended.needs_review) == (becomes, False)
    assert shop.receipt().state == ("returned" if back else "claimed")


@on_both
def test_m_pesa_s_word_that_it_is_reversed_ends_what_is_unknown(shop, desk, paid):
    refund = desk.sent()
    desk.hear(b"", timed_out=True)

    with shop.sessions() as session:
        refunds.note_returned(session, RECEIPT, desk.needs)

    assert desk.read(refund).status is RefundStatus.SUCCEEDED


@on_both
@pytest.mark.parametrize("code", ["18", "2001", "8006"])
def test_a_wrong_credential_stops_the_initiator_before_it_is_locked(shop, desk, code):
    shop.confirm("one")
    shop.confirm("two", receipt=SECOND)
    desk.sent()
    desk.hear(result(code, ResultParameters={}))

    desk.release(desk.ask(SECOND))

    assert desk.send() == 0
    assert len(shop.daraja.posts) == 1


@on_both
def test_the_merchant_hears_of_each_end(make_app, clock, daraja):
    app = make_app(WEBHOOK_URL="http://127.0.0.1:9/", WEBHOOK_SECRET="whsec_" + "a2tr" * 8)
    shop = Shop(app, clock, daraja)
    desk = Desk(shop)
    shop.attempt()
    shop.callback(1, shop.paid())
    desk.sent()
    desk.hear(b"", timed_out=True)
    desk.hear(result())

    with shop.sessions() as session:
        told = list(session.scalars(select(WebhookMessage.type).order_by(WebhookMessage.seq)))
    assert told.count("refund.needs_review") == 1
    assert told.count("refund.succeeded") == 1


# -- more than one refund of a receipt -----------------------------------------------------------


@pytest.fixture
def failed_then_asked_again(desk, paid):
    """Of one receipt: a refund that failed, the secret of its results, and another one."""
    first = desk.sent()
    token = desk.token()
    desk.hear(result("1", ResultParameters={}))
    return first, token, desk.ask()


@on_both
def test_what_is_told_later_of_a_failed_one_leaves_the_next_one_in_its_place(
    shop, desk, paid, failed_then_asked_again
):
    _, token, second = failed_then_asked_again

    desk.hear(b"", timed_out=True, token=token)

    assert shop.receipt().refund_id == second
    assert shop.snapshot(paid)["refund"]["refund_id"] == second


@on_both
@pytest.mark.parametrize("is_released", [False, True])
def test_money_that_comes_back_after_all_is_not_sent_back_once_more(
    shop, desk, paid, failed_then_asked_again, is_released
):
    first, token, second = failed_then_asked_again
    if is_released:
        desk.release(second)

    desk.hear(result(), token=token)

    assert desk.read(first).status is RefundStatus.SUCCEEDED
    assert desk.read(second).status is RefundStatus.REFUSED
    assert (shop.receipt().state, shop.receipt().refund_id) == ("returned", None)
    assert shop.snapshot(paid)["refund"]["refund_id"] == first
    assert desk.send() == 0
    assert len(shop.daraja.posts) == 1


@on_both
def test_of_two_that_were_sent_each_ends_with_its_own_result(
    shop, desk, paid, failed_then_asked_again
):
    _, token, second = failed_then_asked_again
    desk.release(second)
    desk.send()

    desk.hear(result(), token=token)
    assert (desk.read(second).status, shop.receipt().refund_id) == (RefundStatus.SENT, second)
    desk.hear(result("R000001", ResultParameters={}))

    assert desk.read(second).status is RefundStatus.SUCCEEDED
    assert (shop.receipt().returned_by, shop.receipt().refund_id) == (REVERSAL, None)


# -- returned by somebody else -------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("is_released", [False, True])
def test_what_m_pesa_calls_returned_is_returned_and_its_refund_is_not_sent(
    shop, desk, paid, is_released
):
    refund = desk.ask()
    if is_released:
        desk.release(refund)

    with shop.sessions() as session:
        assert refunds.note_returned(session, RECEIPT, desk.needs)

    assert desk.read(refund).status is RefundStatus.REFUSED
    assert (shop.receipt().state, shop.receipt().refund_id) == ("returned", None)
    assert shop.snapshot(paid)["money"] == "returned"
    assert desk.send() == 0
    with pytest.raises(NotRefundable):
        desk.ask()


@on_both
def test_what_is_known_as_returned_is_no_surprise(shop, desk, paid):
    desk.sent()
    desk.hear(result())

    with shop.sessions() as session:
        assert refunds.note_returned(session, RECEIPT, desk.needs)


@on_both
def test_the_receipt_of_a_reversal_may_come_after_the_word_that_money_is_back(shop, desk, paid):
    refund = desk.sent()
    desk.hear(result("R000001", ResultParameters={}))

    desk.hear(result())

    assert desk.read(refund).reversal_receipt == REVERSAL
    assert shop.receipt().returned_by == REVERSAL
    assert shop.receipt(REVERSAL).direction == "out"


@on_both
def test_a_reversal_that_another_refund_named_before_keeps_no_result_waiting(shop, desk):
    shop.confirm("one")
    shop.confirm("two", receipt=SECOND)
    desk.sent()
    desk.hear(result())
    refund = desk.sent(SECOND)

    desk.hear(result(ResultParameters={}))

    assert desk.read(refund).status is RefundStatus.SUCCEEDED
    assert shop.receipt(SECOND).state == "returned"


@on_both
@pytest.mark.parametrize("is_back", [False, True])
def test_a_callback_of_money_on_its_way_back_is_for_a_person(shop, desk, is_back):
    push = shop.attempt()
    shop.confirm("nobody's")
    refund = desk.sent()
    if is_back:
        desk.hear(result())

    shop.callback(1, shop.paid())

    told = shop.transaction(push)
    assert (told.status, told.receipt, told.needs_review) == ("SUCCESS", RECEIPT, True)
    assert shop.receipt().state == ("returned" if is_back else "claimed")
    if not is_back:
        assert shop.snapshot(push)["refund"]["refund_id"] == refund
        desk.hear(result())
    assert shop.snapshot(push)["money"] == "returned"
    with pytest.raises(NotRefundable):
        desk.ask()


@on_both
@pytest.mark.parametrize("is_back", [False, True])
def test_so_is_one_of_a_second_payment_that_becomes_the_orders_money_by_hand(shop, desk, is_back):
    shop.attempt()
    shop.callback(1, shop.paid(receipt=SECOND))
    shop.confirm("nobody's")
    refund = desk.sent()
    if is_back:
        desk.hear(result())

    shop.callback(1, shop.paid())

    by_hand = shop.receipt().transaction_id
    told = shop.transaction(by_hand)
    assert (told.channel, told.status, told.needs_review) == ("hand", "SUCCESS", True)
    if not is_back:
        assert shop.snapshot(by_hand)["refund"]["refund_id"] == refund
        desk.hear(result())
    assert shop.snapshot(by_hand)["money"] == "returned"


# -- refusals, deadlines, and what cannot be judged ----------------------------------------------


@on_both
def test_a_result_that_contradicts_a_refusal_is_heard(shop, desk, paid):
    shop.daraja.post_answers[REVERSAL_PATH] = deque([Refused(Reason.MISCONFIGURED)])
    refund = desk.sent()

    desk.hear(result())

    assert (desk.read(refund).status, desk.read(refund).needs_review) == (
        RefundStatus.SUCCEEDED,
        True,
    )


@on_both
def test_a_refusal_is_no_silence_of_the_initiator(shop, desk, clock):
    for number in ("UKO1ABCDE1", "UKO1ABCDE2", "UKO1ABCDE3"):
        shop.daraja.post_answers[REVERSAL_PATH] = deque([Refused(Reason.MISCONFIGURED)])
        shop.confirm(number, receipt=number)
        desk.sent(number)
        clock.pass_(minutes=11)

    assert len(shop.daraja.posts) == 3


@on_both
def test_many_requests_do_not_hide_one_that_stays_silent(shop, desk, paid, clock, monkeypatch):
    monkeypatch.setattr(refunds, "_AT_ONCE", 2)
    for number in ("UKO1ABCDE1", "UKO1ABCDE2"):
        shop.confirm(number, receipt=number)
        desk.ask(number)
    clock.pass_(seconds=1)
    refund = desk.sent()
    clock.pass_(minutes=10)

    assert desk.tick() == 1

    assert desk.read(refund).status is RefundStatus.UNKNOWN


@on_both
def test_what_was_sent_by_a_clock_that_was_ahead_is_not_waited_for(shop, desk, paid, clock):
    clock.pass_(days=30)
    refund = desk.sent()
    clock.pass_(days=-30)

    assert desk.tick() == 1

    assert desk.read(refund).status is RefundStatus.UNKNOWN


@on_both
def test_a_result_that_cannot_be_judged_delays_no_other(shop, desk, paid, monkeypatch):
    shop.confirm("two", receipt=SECOND)
    first = desk.sent()
    broken, judge = desk.token(), refunds.judge

    def judge_or_break(session, heard, sending):
        if heard.subject == first:
            raise ValueError("not foreseen")
        judge(session, heard, sending)

    monkeypatch.setattr(refunds, "judge", judge_or_break)
    desk.hear(result("1", ResultParameters={}), token=broken)
    with shop.sessions() as session:
        assert refunds.judge_waiting(session, desk.sending) == 0
    monkeypatch.setattr(refunds, "judge", judge)
    with shop.sessions() as session:
        assert refunds.judge_waiting(session, desk.sending) == 1
    assert desk.read(first).status is RefundStatus.FAILED


@on_both
@pytest.mark.parametrize("code", ["1", "R000001"])
def test_a_result_about_another_receipt_decides_nothing(shop, desk, paid, code):
    refund = desk.sent()
    of_another = [{"Key": "OriginalTransactionID", "Value": SECOND}]

    desk.hear(result(code, ResultParameters={"ResultParameter": of_another}))

    assert desk.read(refund).status is RefundStatus.UNKNOWN


@on_both
@pytest.mark.parametrize("asks", [True, False])
def test_m_pesa_is_asked_about_the_unknown_where_it_can_be_asked(shop, desk, paid, asks):
    desk.sending = replace(desk.sending, asks=asks)
    shop.daraja.post_answers[REVERSAL_PATH] = deque([UnknownOutcome()])

    desk.sent()

    with shop.sessions() as session:
        asked = session.scalars(select(StatusQuestion.receipt)).all()
    assert asked == ([RECEIPT] if asks else [])


def test_the_payment_of_an_unknown_refund_is_asked_about_once_whatever_is_answered(
    shop, desk, paid
):
    shop.daraja.post_answers[REVERSAL_PATH] = deque([UnknownOutcome()])
    desk.sent()
    questions = Questions(shop)
    questions.ask_for(minutes=14)
    assert questions.asked == []

    questions.ask_for(minutes=2)
    questions.answer(answer(code="2032"))
    questions.ask_for(minutes=10)

    assert questions.asked == [RECEIPT]

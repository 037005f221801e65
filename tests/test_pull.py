"""The hourly net: every page once an hour by all workers together, and what it catches."""

from collections import deque
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from mpesa import pull, receipts
from mpesa.daraja import DarajaError, NotSent, UnknownOutcome
from mpesa.daraja.answers import Answer
from mpesa.daraja.pull import QUERY_PATH
from mpesa.domain.result_codes import Reason
from mpesa.domain.settlement import QueryAnswered
from mpesa.models import EvidenceRow, Pull, Witness
from tests.conftest import on_both
from tests.domain.bodies import pull_answer, pull_row
from tests.factories import PAYER_MSISDN, RECEIPT, raw
from tests.shop import at_once

SECOND = "UKO2GHIJKL"
NONE = Answer(200, raw(pull_answer(Response="[[]]")))
FAILED = Answer(500, b'{"errorMessage": "Failed to retrieve transactions. Try again"}')


class Net:
    """What Daraja answers to Pull, and the pulling."""

    def __init__(self, shop):
        self.shop = shop
        self.answers = shop.daraja.post_answers.setdefault(QUERY_PATH, deque())

    def page(self, *rows, **changed):
        """Daraja's next answer has these payments, or it is one that is given whole."""
        ready = rows and isinstance(rows[0], Answer | DarajaError)
        self.answers.append(rows[0] if ready else Answer(200, raw(pull_answer(*rows, **changed))))
        return self

    def needs(self, **changed):
        return pull.Needs(
            daraja=self.shop.daraja,
            short_code="174379",
            receipts=self.shop.receipt_needs(**changed),
            now=self.shop.now,
        )

    def run(self, pause=pull.EVERY, told=lambda _count: None, **changed):
        with self.shop.sessions() as session:
            return pull.run_once(session, self.needs(**changed), pause, told)

    def pull(self, *rows, **changed):
        """Pull one page with these payments, whenever the last pull was."""
        self.page(*rows).page(NONE)
        return self.run(timedelta(0), **changed)

    @property
    def questions(self):
        return [body for path, body in self.shop.daraja.posts if path == QUERY_PATH]

    def row(self):
        with self.shop.sessions() as session:
            return session.get_one(Pull, "174379")


@pytest.fixture
def net(shop):
    return Net(shop)


def payment(account="lunch", number=RECEIPT, **changed):
    """A row of a payment of 150, at the beginning of a test by Nairobi's clock."""
    fields = {"amount": "150.00", "transactionId": number, "billreference": account}
    return pull_row(**{**fields, **changed})


def witnesses(shop):
    with shop.sessions() as session:
        return session.scalars(select(Witness).order_by(Witness.id)).all()


# -- what is asked, and how often -----------------------------------------------------------------


@on_both
def test_the_last_48_hours_are_asked_for_in_nairobis_time(shop, net):
    net.page(NONE).run()

    (question,) = net.questions
    assert question["StartDate"] == "2026-11-22 12:00:00"
    assert question["EndDate"] == "2026-11-24 12:00:00"
    assert (question["ShortCode"], question["OffSetValue"]) == ("174379", "0")


@on_both
def test_every_page_is_read_and_a_row_that_comes_twice_counts_once(shop, net):
    net.page(*(payment(number=f"UKO1AAAA{each:02d}") for each in range(3)))
    net.page(payment(number="UKO1AAAA02"), payment(number="UKO1AAAA03"))
    net.page(NONE)
    pages = []

    pulled = net.run(told=pages.append)

    assert (pulled.count, pulled.complete) == (4, True)
    assert [each["OffSetValue"] for each in net.questions] == ["0", "3", "5"]
    assert pages == [3, 4, 4]


@on_both
def test_a_daraja_that_knows_no_offset_is_read_once(shop, net):
    for _ in range(2):
        net.page(payment())

    assert net.run() == pull.Pulled(1, True)


@on_both
def test_once_an_hour_is_enough_for_all_workers_together(shop, net):
    for _ in range(10):
        net.page(NONE)

    outcomes = at_once([net.run] * 5)
    assert sorted(each is not None for each in outcomes) == [False] * 4 + [True]
    shop.now.pass_(minutes=59, seconds=59)
    assert net.run() is None
    shop.now.pass_(seconds=1)
    assert net.run() is not None


@on_both
def test_after_a_start_ten_minutes_of_silence_are_enough(shop, net):
    net.page(NONE).page(NONE)
    net.run()
    shop.now.pass_(minutes=9, seconds=59)
    assert net.run(pull.PAUSE) is None

    shop.now.pass_(seconds=1)

    assert net.run(pull.PAUSE) is not None


@on_both
def test_a_process_that_died_at_it_holds_up_the_next_for_ten_minutes(shop, net):
    net.page(payment()).page(NONE)
    with shop.sessions() as session:
        pull._claim(session, "174379", shop.now(), pull.EVERY)
    assert net.run() is None

    shop.now.pass_(minutes=10)

    assert net.run() == pull.Pulled(1, True)


@on_both
def test_a_long_pull_keeps_its_lease_page_by_page(shop, net):
    late = []

    def slow(count):
        shop.now.pass_(minutes=8)
        late.append(Net(shop).run())

    for each in range(3):
        net.page(payment(number=f"UKO1AAAA{each:02d}"))
    net.page(NONE)

    pulled = net.run(told=slow)

    assert (pulled.complete, late) == (True, [None] * 4)


@on_both
def test_a_clock_that_was_ahead_holds_up_no_pull(shop, net):
    net.page(NONE).page(NONE)
    shop.now.step(hours=3)
    net.run()

    shop.now.step(hours=-3)

    assert net.run() is not None


# -- answers that are none, or not sure -----------------------------------------------------------


@on_both
@pytest.mark.parametrize(
    "answered",
    [
        pull_answer(Response="[[]]"),
        pull_answer(Response=[[]]),
        pull_answer(Response=[]),
        {"ResponseRefID": "1", "ResponseCode": "1001", "ResponseMessage": "No transactions"},
        {"RequestID": "1", "Response Code": "1001", "Response Message": "No transactions"},
    ],
    ids=range(5),
)
def test_none_in_every_form_is_complete(shop, net, answered):
    net.page(Answer(200, raw(answered)))

    assert net.run() == pull.Pulled(0, True)
    assert net.row().begun_at == shop.now()


@on_both
def test_keys_with_blanks_are_read(shop, net):
    spaced = {"Request ID": "1", "Response Code": "1000", "Response": [[payment()]]}
    net.page(Answer(200, raw(spaced))).page(NONE)

    assert net.run() == pull.Pulled(1, True)


@on_both
def test_a_500_alone_is_neither_none_nor_an_error_and_is_asked_again_in_ten_minutes(shop, net):
    for _ in range(3):
        net.page(FAILED)

    assert net.run() == pull.Pulled(0, False)
    assert net.row().begun_at is None
    shop.now.pass_(minutes=9, seconds=59)
    assert net.run() is None
    shop.now.pass_(seconds=1)
    assert net.run() is not None


@on_both
def test_a_500_behind_payments_is_their_end(shop, net):
    net.page(payment()).page(FAILED)

    assert net.run() == pull.Pulled(1, True)


@on_both
@pytest.mark.parametrize(
    "error",
    [
        NotSent(Reason.SYSTEM_BUSY, "down"),
        UnknownOutcome("cut", b""),
        Answer(401, b'{"errorCode": "401.001", "errorMessage": "Invalid Access Token"}'),
        Answer(200, b"<html>"),
        Answer(503, b"<html>"),
    ],
    ids=["not sent", "cut", "no product", "a page", "busy"],
)
def test_an_error_is_told_and_tried_again_in_ten_minutes_by_one_worker(shop, net, error):
    net.page(error).page(payment()).page(NONE)

    with pytest.raises(DarajaError):
        net.run()

    assert net.run() is None
    shop.now.pass_(minutes=10)
    assert net.run() == pull.Pulled(1, True)


@on_both
def test_a_person_need_not_wait_after_an_error(shop, net):
    net.page(NotSent(Reason.SYSTEM_BUSY, "down")).page(payment()).page(NONE)
    with pytest.raises(DarajaError):
        net.run()

    assert net.run(timedelta(0)) == pull.Pulled(1, True)


@on_both
def test_what_came_before_the_error_is_kept(shop, net):
    order = shop.order()
    net.page(payment(shop.order_row(order).pay_code)).page(UnknownOutcome("cut", b""))

    with pytest.raises(DarajaError):
        net.run()

    assert shop.order_row(order).status == "PAID"


@on_both
def test_a_row_that_cannot_be_read_makes_no_pull_complete_and_hides_no_other(shop, net):
    net.page(payment(), payment(number="UKO0000000")).page(NONE)

    assert net.run() == pull.Pulled(1, False, 1)


# -- how far it reaches back ----------------------------------------------------------------------


@on_both
def test_it_reaches_back_to_48_hours_before_the_first_of_a_row_without_a_gap(shop, net):
    first = shop.now()
    net.pull()
    shop.now.pass_(hours=47)
    net.pull()
    shop.now.pass_(hours=48)

    net.pull()

    row = net.row()
    assert (row.reaches_back_to, row.begun_at) == (first - timedelta(hours=48), shop.now())
    assert (row.gap_from, row.gap_until) == (None, None)


@on_both
def test_a_pause_of_more_than_48_hours_leaves_a_gap_that_is_remembered(shop, net):
    last = shop.now()
    net.pull()
    shop.now.pass_(hours=49)

    net.pull()
    net.pull()

    row = net.row()
    assert (row.gap_from, row.gap_until) == (last, last + timedelta(hours=1))
    assert row.reaches_back_to == last + timedelta(hours=1)


# -- what it catches ------------------------------------------------------------------------------


@on_both
def test_money_whose_confirmation_never_came_pays_its_order(shop, net):
    order = shop.order()

    net.pull(payment(shop.order_row(order).pay_code))

    assert shop.order_row(order).status == "PAID"
    assert shop.receipt().payer_hash == net.needs().receipts.mark_of(PAYER_MSISDN)


@on_both
@pytest.mark.parametrize("told_in", ["utc", "nairobi"])
def test_a_push_gets_its_receipt_whichever_zone_the_time_was_told_in(shop, net, told_in):
    push = shop.attempt()  # at noon in Nairobi, of an order that was made then
    told = "2026-11-24T09:00:30Z" if told_in == "utc" else "2026-11-24 12:00:30"

    net.pull(payment("INV-1", trxDate=told))

    assert (shop.transaction(push).status, shop.transaction(push).receipt) == ("SUCCESS", RECEIPT)


@on_both
def test_a_time_that_fits_two_pushes_by_its_two_readings_pays_none(shop, net):
    order = shop.order()
    first = shop.start(order).transaction_id
    shop.now.pass_(hours=3)
    shop.tick()
    second = shop.start(order).transaction_id
    assert first != second

    net.pull(payment("INV-1", trxDate="2026-11-24 12:00:30"))

    assert shop.receipt().state == "unclaimed"
    assert shop.suggestions() == [order]


@on_both
def test_a_doubtful_time_before_an_order_pays_it_by_no_pay_code(shop, net):
    order = shop.order()

    net.pull(payment(shop.order_row(order).pay_code, trxDate="2026-11-24T09:00:30Z"))

    assert (shop.receipt().state, shop.order_row(order).status) == ("unclaimed", "OPEN")
    assert shop.suggestions() == [order]


@on_both
def test_a_confirmations_time_takes_the_place_of_a_doubtful_one(shop, net):
    order = shop.order()
    code = shop.order_row(order).pay_code
    net.pull(payment(code, trxDate="2026-11-24T09:00:30Z"))

    shop.confirm(code)

    assert shop.order_row(order).status == "PAID"
    assert not shop.receipt().paid_at_doubtful


@on_both
@pytest.mark.parametrize("when", [None, "yesterday", ""])
def test_a_row_without_a_time_pays_nothing_by_itself(shop, net, when):
    order = shop.order()

    net.pull(payment(shop.order_row(order).pay_code, trxDate=when))

    assert (shop.receipt().state, shop.order_row(order).status) == ("unclaimed", "OPEN")


@on_both
def test_a_proven_push_of_a_till_gets_its_receipt(shop, net):
    push = shop.attempt()
    shop.record(push, QueryAnswered("0"))

    net.pull(payment(""))

    assert shop.transaction(push).receipt == RECEIPT


@on_both
def test_a_pull_is_the_second_witness_that_an_unproven_receipt_waits_for(shop, net):
    order = shop.order()
    code = shop.order_row(order).pay_code
    shop.confirm(code, proof_from=15_000)
    assert shop.receipt().state == "unproven"

    net.pull(payment(code), proof_from=15_000)

    assert shop.order_row(order).status == "PAID"


@on_both
def test_proven_money_that_is_not_the_orders_is_no_longer_in_sight_of_it(shop, net):
    order = shop.order()
    by_hand, code = shop.by_hand(order), shop.order_row(order).pay_code
    shop.confirm(code, amount="149.00", proof_from=10_000)
    assert shop.snapshot(by_hand)["view"] == "checking"
    shop.announced.clear()

    net.pull(payment(code, amount="149.00"), proof_from=10_000)

    assert (shop.receipt().state, shop.suggestions()) == ("unclaimed", [order])
    assert shop.snapshot(by_hand)["view"] == "by_hand"
    assert shop.announced == [by_hand]


@on_both
def test_what_came_into_sight_since_is_still_waited_for(shop, net):
    order = shop.order()
    by_hand, code = shop.by_hand(order), shop.order_row(order).pay_code
    shop.confirm(code, amount="149.00", proof_from=10_000)
    shop.now.pass_(seconds=5)
    shop.confirm(code, receipt=SECOND, proof_from=10_000)

    net.pull(payment(code, amount="149.00"), proof_from=10_000)

    assert shop.snapshot(by_hand)["view"] == "checking"


@on_both
def test_the_same_row_every_hour_is_counted_and_changes_nothing(shop, net):
    order = shop.order()
    code = shop.order_row(order).pay_code
    net.pull(payment(code))
    seqs = [each.seq for each in shop.transactions()]

    for _ in range(3):
        shop.now.pass_(hours=1)
        net.pull(payment(code))

    (witness,) = witnesses(shop)
    assert (witness.times, witness.told_last_at) == (4, shop.now())
    assert [each.seq for each in shop.transactions()] == seqs


@on_both
@pytest.mark.parametrize("contradiction", ["another amount", "another order"])
def test_a_contradiction_is_told_once_and_not_every_hour(shop, net, contradiction):
    order, other = shop.order(), shop.order()
    shop.confirm(shop.order_row(order).pay_code)
    row = (
        payment(shop.order_row(order).pay_code, amount="151.00")
        if contradiction == "another amount"
        else payment(shop.order_row(other).pay_code)
    )

    for _ in range(4):
        net.pull(row)
        shop.now.pass_(hours=1)

    assert shop.transactions()[0].needs_review
    with shop.sessions() as session:
        claims = select(func.count()).where(EvidenceRow.kind == "claim")
        assert session.scalar(claims) == 1


@on_both
def test_what_is_kept_of_a_row_holds_no_number_and_one_word_of_a_name(shop, net):
    net.pull(payment(sender="JUMA OTIENO"))

    (witness,) = witnesses(shop)
    assert PAYER_MSISDN[3:].encode() not in witness.body
    assert b"OTIENO" not in witness.body
    assert b"JUMA" in witness.body


# -- what a complete pull lacks -------------------------------------------------------------------


@on_both
def test_a_confirmation_that_a_complete_pull_lacks_is_for_a_person(shop, net):
    order = shop.order()
    shop.confirm(shop.order_row(order).pay_code)
    shop.confirm("lunch", receipt=SECOND)
    shop.now.pass_(minutes=11)

    net.pull(payment(number=SECOND))

    assert shop.receipt().needs_review
    assert not shop.receipt(SECOND).needs_review
    assert shop.transactions()[0].needs_review


@on_both
def test_it_is_said_once_and_not_again_after_a_person_looked(shop, net):
    shop.confirm("lunch")
    shop.confirm("lunch", receipt=SECOND)
    shop.now.pass_(minutes=11)
    net.pull(payment(number=SECOND))
    with shop.sessions() as session:
        session.get_one(receipts.ReceiptRow, shop.receipt().id).needs_review = False
        session.commit()
    shop.now.pass_(hours=1)

    net.pull(payment(number=SECOND))

    assert not shop.receipt().needs_review


@on_both
@pytest.mark.parametrize(
    "case",
    ["of a moment ago", "no other of that hour", "not complete", "told by a callback", "a till"],
)
def test_what_a_pull_need_not_know_is_not_missed(shop, net, case):
    if case == "told by a callback":
        shop.attempt()
        shop.callback(1, shop.paid())
    shop.confirm("lunch" if case != "told by a callback" else "INV-1")
    hour = "20261124140010" if case == "no other of that hour" else "20261124120010"
    if case == "no other of that hour":
        shop.now.pass_(hours=2)
    shop.confirm("lunch", receipt=SECOND, TransTime=hour)
    shop.now.pass_(minutes=5 if case == "of a moment ago" else 11)
    rows = [payment(number=SECOND, trxDate=f"2026-11-24 {hour[8:10]}:00:10")]
    if case == "not complete":
        rows.append(payment(number="UKO0000000"))
    if case == "a till":
        with shop.sessions() as session:
            session.get_one(receipts.ReceiptRow, shop.receipt().id).short_code = "5123456"
            session.commit()

    net.pull(*rows)

    assert not shop.receipt().needs_review


@on_both
def test_a_pull_rests_after_each_payment(shop, net):
    rested = []
    net.page(payment(), payment(number=SECOND)).page(NONE)
    needs = net.needs()
    with shop.sessions() as session:
        pull.run_once(
            session,
            pull.Needs(needs.daraja, "174379", needs.receipts, shop.now, lambda: rested.append(1)),
        )

    assert rested == [1, 1]


@on_both
def test_neither_numbers_nor_names_reach_the_log(shop, net, log_lines):
    net.page(payment(sender="JUMA OTIENO"), payment(number="UKO0000000")).page(NONE)
    net.run()
    net.page(Answer(200, b'{"msisdn": "254712345678"'))
    with pytest.raises(DarajaError) as refused:
        net.run(timedelta(0))

    told = [str(refused.value), *map(str, log_lines)]
    assert any("1 rows cannot be read" in each for each in told)
    assert all("712345678" not in each and "OTIENO" not in each for each in told)

"""Questions about receipts: whose turn it is, what an answer proves, when an initiator stops."""

from collections import deque

import pytest
from sqlalchemy import select

from mpesa import receipts, status
from mpesa.config import Rate
from mpesa.daraja import NotSent, Refused, UnknownOutcome
from mpesa.daraja.initiators import Initiator
from mpesa.daraja.status import STATUS_PATH
from mpesa.domain.result_codes import Reason
from mpesa.models import (
    AwaitedResult,
    HeardResult,
    InitiatorAct,
    InitiatorState,
    StatusQuestion,
    Witness,
)
from tests.conftest import on_both
from tests.factories import PAYER_MSISDN, RECEIPT, confirmation, raw
from tests.questions import Questions, answer
from tests.shop import at_once

RECEIPTS = [f"UKO1ABCD{number:02d}" for number in range(20)]
DEAR = 15_000  # cents: from here on, a confirmation has to be proved


@pytest.fixture
def questions(shop):
    return Questions(shop)


def unproven(shop, number=RECEIPT, account=None, asks=True):
    """A confirmation of much money, which has to be proved."""
    order = shop.order()
    needs = shop.receipt_needs(asks=asks, proof_from=DEAR)
    with shop.sessions() as session:
        body = raw(confirmation(account or shop.order_row(order).pay_code, receipt=number))
        receipts.receive(session, body, "196.201.212.69", needs)
    return order


def kinds(shop):
    with shop.sessions() as session:
        return sorted(session.scalars(select(Witness.kind)))


# -- what an answer proves ------------------------------------------------------------------------


@on_both
def test_an_unproven_receipt_is_asked_about_at_once_and_its_answer_pays_the_order(shop, questions):
    order = unproven(shop)

    assert questions.ask() == 1
    assert shop.order_row(order).status == "OPEN"
    questions.answer(answer())

    assert questions.asked == [RECEIPT]
    assert (shop.receipt().state, shop.order_row(order).status) == ("claimed", "PAID")
    assert kinds(shop) == ["confirmation", "status"]
    assert questions.ask() == 0


@on_both
def test_the_question_names_our_short_code_and_an_address_of_its_own(shop, questions):
    unproven(shop)
    questions.ask()

    (body,) = questions.posted
    token = body["ResultURL"].removeprefix("https://pay.example/result/")
    assert (body["PartyA"], body["IdentifierType"], len(token)) == ("174379", "4", 64)
    assert body["QueueTimeOutURL"] == f"https://pay.example/timeout/{token}"


@on_both
@pytest.mark.parametrize(
    "told",
    [
        {"CreditPartyName": "600999 - ANOTHER SHOP"},
        {"CreditPartyName": "1743790 - EXAMPLE SHOP"},
        {"CreditPartyName": "EXAMPLE SHOP 174379"},
        {"TransactionStatus": "Reversed"},
        {"TransactionStatus": "Declined"},
        {"receipt": "UKO9ZZZZZZ"},
        {"without": ["ReceiptNo"]},
        {"without": ["Amount"]},
        {"without": ["CreditPartyName"]},
        {"without": ["TransactionStatus"]},
    ],
    ids=str,
)
def test_an_answer_that_proves_nothing_leaves_the_receipt_to_a_person(shop, questions, told):
    order = unproven(shop)
    questions.ask()

    questions.answer(answer(**told))

    assert (shop.receipt().state, shop.receipt().needs_review) == ("unproven", True)
    assert shop.order_row(order).status == "OPEN"
    shop.now.pass_(minutes=3)
    assert questions.ask() == 0


@on_both
@pytest.mark.parametrize("word", ["Initiated", "Authorized", "Pending Authorized"])
def test_a_payment_that_is_still_under_way_is_asked_about_once_more(shop, questions, word):
    order = unproven(shop)
    questions.ask()
    questions.answer(answer(TransactionStatus=word))
    assert not shop.receipt().needs_review

    shop.now.pass_(minutes=2)
    questions.ask()
    questions.answer(answer())

    assert shop.order_row(order).status == "PAID"


@on_both
def test_a_receipt_that_is_not_found_is_asked_about_once_more_after_two_minutes(shop, questions):
    unproven(shop)
    questions.ask()
    questions.answer(answer(code="2032"))
    assert not shop.receipt().needs_review

    shop.now.pass_(seconds=119)
    assert questions.ask() == 0
    shop.now.pass_(seconds=1)
    assert questions.ask() == 1
    questions.answer(answer(code=2032))

    shop.now.pass_(hours=1)
    assert (questions.ask(), questions.asked) == (0, [RECEIPT] * 2)
    assert (shop.receipt().state, shop.receipt().needs_review) == ("unproven", True)


@on_both
def test_another_amount_in_the_answer_is_for_a_person(shop, questions):
    order = unproven(shop)
    questions.ask()

    questions.answer(answer(Amount=151))

    assert shop.receipt().needs_review
    assert shop.order_row(order).status == "OPEN"
    assert len(kinds(shop)) == 2


@on_both
def test_the_same_answer_again_changes_nothing(shop, questions):
    order = unproven(shop)
    questions.ask()
    questions.answer(answer())
    before = [(each.seq, each.needs_review) for each in shop.transactions()]

    for _ in range(3):
        questions.answer(answer())

    assert [(each.seq, each.needs_review) for each in shop.transactions()] == before
    assert shop.order_row(order).status == "PAID"
    (heard,) = questions.heard()
    assert heard.times == 4


@on_both
def test_a_process_that_dies_before_the_answer_is_judged_loses_nothing(
    shop, questions, monkeypatch
):
    order = unproven(shop)
    questions.ask()
    questions.hear(answer())
    with monkeypatch.context() as patch:
        patch.setattr(receipts, "take_in", _die)
        assert questions.judge() == 0

    assert questions.judge() == 1
    assert shop.order_row(order).status == "PAID"


@on_both
def test_a_process_that_dies_after_the_money_was_given_gives_it_once(shop, questions, monkeypatch):
    order = unproven(shop)
    questions.ask()
    questions.hear(answer())
    with monkeypatch.context() as patch:
        patch.setattr(status.awaited, "judged", _die)
        assert questions.judge() == 0
    assert shop.order_row(order).status == "PAID"
    seqs = [each.seq for each in shop.transactions()]

    assert questions.judge() == 1

    assert [each.seq for each in shop.transactions()] == seqs
    assert not any(each.needs_review for each in shop.transactions())


def _die(*_args, **_kwargs):
    raise RuntimeError("the process is dying")


@on_both
def test_an_answer_that_cannot_be_judged_delays_no_other(shop, questions, monkeypatch):
    unproven(shop, RECEIPTS[0])
    unproven(shop, RECEIPTS[1])
    questions.ask()
    questions.answer(answer(code="2032"))
    shop.now.pass_(seconds=6)
    questions.ask()
    first, second = questions.asked
    take_in = receipts.take_in

    def poisoned(session, told, *rest, **more):
        if told.receipt == first:
            raise ValueError("poison")
        return take_in(session, told, *rest, **more)

    monkeypatch.setattr(receipts, "take_in", poisoned)
    questions.hear(answer(first), of=0)
    questions.hear(answer(second), of=1)

    assert questions.judge() == 1
    assert shop.receipt(second).state == "claimed"


@on_both
def test_where_the_answer_alone_tells_the_payer_mask_and_first_name_are_kept(shop, questions):
    questions.type(shop.by_hand(shop.order()))
    questions.ask()

    questions.answer(answer())

    assert (shop.receipt().payer_masked, shop.receipt().payer_name) == ("2547*****678", "JUMA")


@on_both
def test_a_whole_number_in_an_answer_is_kept_masked_and_as_a_keyed_hash(shop, questions):
    unproven(shop)
    questions.ask()

    questions.answer(answer())

    receipt = shop.receipt()
    assert receipt.payer_hash == questions.means().mark_of(PAYER_MSISDN)
    assert (receipt.payer_masked, receipt.payer_name) == ("2547*****678", "JUMA")
    with shop.sessions() as session:
        kept = [each.body for each in session.scalars(select(Witness))]
    kept += [each.body for each in questions.heard()]
    assert all(b"712345678" not in each and b"OTIENO" not in each for each in kept)


# -- whose turn it is -----------------------------------------------------------------------------


@on_both
def test_questions_keep_to_their_rate(shop, questions):
    for number in RECEIPTS:
        unproven(shop, number)
    asked = []
    for _ in range(60):
        if questions.ask():
            asked.append(shop.now.passed)
            questions.answer(answer(questions.asked[-1]))
        shop.now.pass_(seconds=1)

    assert asked == [float(6 * each) for each in range(10)]


@on_both
def test_codes_get_every_second_question_at_most(shop, questions):
    waiting = [shop.by_hand(shop.order()) for _ in range(12)]
    for number, transaction_id in zip(RECEIPTS, waiting, strict=False):
        questions.type(transaction_id, number)

    asked = []
    for _ in range(60):
        if questions.ask():
            asked.append(shop.now.passed)
            questions.answer(answer(questions.asked[-1], code="2032"))
        shop.now.pass_(seconds=1)

    assert asked == [0.0, 12.0, 24.0, 36.0, 48.0]


@on_both
def test_unproven_receipts_come_before_codes(shop, questions):
    questions.type(shop.by_hand(shop.order()), RECEIPTS[0])
    shop.now.pass_(seconds=1)
    unproven(shop, RECEIPTS[1])

    questions.ask()

    assert questions.asked == [RECEIPTS[1]]


@on_both
def test_a_receipt_that_several_typed_costs_one_call(shop, questions):
    first, second = (shop.by_hand(shop.order()) for _ in range(2))
    questions.type(first)
    questions.type(second)

    questions.ask_for(minutes=1)

    assert questions.asked == [RECEIPT]


@on_both
def test_of_workers_that_ask_at_once_one_asks(shop):
    questions = Questions(shop, rate=Rate(6000, 60))
    unproven(shop)

    outcomes = at_once([questions.ask] * 5)

    assert sorted(outcomes) == [0, 0, 0, 0, 1]
    assert questions.asked == [RECEIPT]


@on_both
def test_a_crash_before_the_call_costs_one_question(shop, questions, monkeypatch):
    unproven(shop)
    with monkeypatch.context() as patch:
        patch.setattr(status, "ask_status", _die)
        with pytest.raises(RuntimeError):
            questions.ask()
    assert questions.ask() == 0

    shop.now.pass_(minutes=10)
    questions.ask()

    assert questions.asked == [RECEIPT]


@on_both
@pytest.mark.parametrize(
    "error",
    [NotSent(Reason.SYSTEM_BUSY, "down"), Refused(Reason.SYSTEM_BUSY, "spike arrest", b"")],
    ids=["not sent", "refused"],
)
def test_a_question_that_did_not_go_out_counts_for_nothing(shop, questions, error):
    unproven(shop)
    answers = shop.daraja.post_answers.setdefault(STATUS_PATH, deque())
    for _ in range(12):
        answers.append(error)
        questions.ask()
        shop.now.pass_(minutes=2)

    assert questions.standing().stopped_at is None
    questions.ask()
    questions.answer(answer())
    assert shop.receipt().state == "claimed"


@on_both
def test_a_question_whose_fate_is_unknown_may_be_answered(shop, questions):
    unproven(shop)
    shop.daraja.post_answers[STATUS_PATH] = deque([UnknownOutcome("unclear", b"")])

    assert questions.ask() == 1
    questions.answer(answer())

    assert shop.receipt().state == "claimed"


@on_both
def test_without_an_initiator_nothing_is_asked(shop, questions):
    unproven(shop)
    questions.initiator = None

    assert (questions.ask(), questions.asked) == (0, [])


@on_both
def test_an_initiator_without_a_certificate_is_tried_again(shop, questions, monkeypatch):
    unproven(shop)

    def no_certificate(_self):
        raise NotSent(Reason.MISCONFIGURED, "no certificate")

    with monkeypatch.context() as patch:
        patch.setattr(Questions, "status", no_certificate)
        assert questions.ask() == 0

    assert questions.ask() == 1


@on_both
def test_a_clock_that_was_ahead_holds_up_no_question(shop, questions):
    shop.now.step(hours=5)
    unproven(shop)
    shop.now.step(hours=-5)

    assert questions.ask() == 1


# -- the initiator --------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("code", [18, "2001", 8006])
def test_a_refused_credential_stops_the_initiator_at_once(shop, questions, code):
    for number in RECEIPTS[:5]:
        unproven(shop, number)
    questions.ask()
    questions.answer(answer(code=code))

    questions.ask_for(minutes=1)
    shop.now.pass_(days=1)

    assert (questions.ask(), len(questions.asked)) == (0, 1)
    assert questions.standing().stopped_why == str(code)


@on_both
def test_until_the_first_answer_one_question_goes_out_at_a_time(shop, questions):
    for number in RECEIPTS[:5]:
        unproven(shop, number)

    questions.ask_for(minutes=2)
    assert len(questions.asked) == 1
    questions.answer(answer(questions.asked[0]))
    questions.ask_for(minutes=1)

    assert len(questions.asked) == 3  # two may be unanswered from now on


@on_both
def test_two_questions_without_an_answer_in_ten_minutes_stop_it(shop, questions):
    for number in RECEIPTS[:5]:
        unproven(shop, number)

    questions.ask_for(minutes=30)

    assert len(questions.asked) == 2
    assert questions.standing().stopped_why == "silent"


@on_both
def test_a_wrong_credential_never_leads_to_a_third_try_even_after_good_ones(shop, questions):
    for number in RECEIPTS:
        unproven(shop, number)
    for _ in range(5):
        questions.ask()
        questions.answer(answer(questions.asked[-1]))
        shop.now.pass_(seconds=6)

    # The password ends its ninety days; M-PESA answers nothing from now on.
    questions.ask_for(minutes=30)

    assert len(questions.asked) == 7
    assert questions.standing().stopped_why == "silent"


@on_both
@pytest.mark.parametrize(
    ("body", "how"),
    [
        (b"", {"timed_out": True}),
        (answer(), {"timed_out": True}),
        (b"<html>", {}),
        (answer(code=None), {}),
        (answer(), {"source": "203.0.113.9"}),
    ],
    ids=["time-out", "a result at the timeout address", "a page", "no code", "unlisted"],
)
def test_what_says_nothing_is_no_answer(shop, questions, body, how):
    questions.listed = lambda source: source != "203.0.113.9"
    for number in RECEIPTS[:3]:
        unproven(shop, number)
    for _ in range(2):
        questions.ask()
        questions.answer(body, **how)
        shop.now.pass_(minutes=11)

    assert questions.ask() == 0
    assert len(questions.asked) == 2
    assert questions.standing().stopped_why == "silent"
    assert all(each.judged for each in questions.heard())
    assert {shop.receipt(each).state for each in RECEIPTS[:3]} == {"unproven"}


@on_both
def test_many_workers_use_an_untried_initiator_once(shop):
    questions = Questions(shop, rate=Rate(60_000, 60))
    for number in RECEIPTS:
        unproven(shop, number)

    for _ in range(5):
        at_once([questions.ask] * 8)
        shop.now.pass_(seconds=1)

    assert len(questions.asked) == 1


@on_both
def test_another_credential_begins_anew_and_a_late_answer_to_the_old_one_says_nothing(
    shop, questions
):
    for number in RECEIPTS[:5]:
        unproven(shop, number)
    questions.ask()
    old = questions.initiator
    questions.initiator = Initiator("status_api", "sealed anew", "status_api sealed anew")
    shop.now.pass_(seconds=6)
    assert questions.ask() == 1

    questions.answer(answer(code="2001"), of=0)

    assert questions.standing().stopped_at is None
    questions.initiator = old
    assert questions.standing().stopped_why == "2001"


@on_both
def test_a_good_late_answer_to_the_old_credential_proves_nothing_of_the_new_one(shop, questions):
    for number in RECEIPTS[:5]:
        unproven(shop, number)
    questions.ask()
    questions.initiator = Initiator("status_api", "wrong", "status_api wrong")
    shop.now.pass_(seconds=6)
    questions.ask()

    questions.answer(answer(questions.asked[0]), of=0)

    questions.ask_for(minutes=5)
    assert len(questions.asked) == 2


@on_both
def test_a_manager_says_go_and_what_is_unproven_is_asked_about_again(shop, questions):
    order = unproven(shop)
    questions.ask_for(minutes=25)
    assert questions.standing().stopped_why == "silent"

    assert questions.go()
    assert not questions.go()
    assert questions.ask() == 1
    questions.answer(answer())

    assert shop.order_row(order).status == "PAID"
    with shop.sessions() as session:
        (act,) = session.scalars(select(InitiatorAct))
    assert (act.by, act.reason) == ("amina", "a new password was set")


@on_both
def test_go_is_the_first_of_two_tries_again(shop, questions):
    for number in RECEIPTS[:5]:
        unproven(shop, number)
    questions.ask_for(minutes=30)
    questions.go()

    questions.ask_for(minutes=30)

    assert len(questions.asked) == 4


@on_both
def test_a_refusal_that_was_asked_for_before_a_person_said_go_stops_nothing(shop, questions):
    for number in RECEIPTS[:3]:
        unproven(shop, number)
    questions.ask_for(minutes=25)
    questions.go()

    questions.answer(answer(code="8006"), of=0)

    assert questions.standing().stopped_at is None


@on_both
def test_a_form_that_is_sent_twice_acts_once(shop, questions):
    unproven(shop)
    for _ in range(2):
        questions.ask_for(minutes=25)
        questions.go("the same form")

    assert questions.standing().stopped_why == "silent"


@on_both
def test_neither_credential_nor_token_is_in_the_database_or_the_log(shop, questions, log_lines):
    questions.initiator = Initiator("status_api", "c2VhbGVk", "status_api c2VhbGVk")
    unproven(shop)
    questions.ask()
    questions.answer(answer(code=2001))

    token = questions.posted[0]["ResultURL"].rsplit("/", 1)[1]
    with shop.sessions() as session:
        tables = (AwaitedResult, HeardResult, InitiatorState, StatusQuestion)
        kept = [str(row) for each in tables for row in session.execute(select(each.__table__))]
        assert session.scalars(select(InitiatorState)).one().stopped_why == "2001"
    for told in (*kept, *map(str, log_lines)):
        assert token not in told
        assert "c2VhbGVk" not in told
        assert PAYER_MSISDN not in told
    assert any("2001" in str(line) for line in log_lines)


@on_both
def test_a_question_that_was_asked_before_the_clock_stepped_back_is_still_waited_for(
    shop, questions
):
    for number in RECEIPTS[:3]:
        unproven(shop, number)
    questions.ask()
    shop.now.step(hours=-1)

    questions.ask_for(minutes=2)

    assert len(questions.asked) == 1

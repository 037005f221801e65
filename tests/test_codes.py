"""The code of an SMS: each condition under which it pays, what it never pays, what it may cost."""

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select, update

from mpesa import inbox
from mpesa.domain.settlement import QueryAnswered
from mpesa.models import DecisionRow, EvidenceRow, Order, Receipt, Refund, StatusQuestion
from tests.conftest import on_both
from tests.factories import PAYER_MSISDN, RECEIPT, SECOND_PAYER_MSISDN
from tests.questions import Questions, answer
from tests.shop import at_once

SECOND = "UKO2GHIJKL"
OTHERS_MASK = "2547 ***** 999"
# The day of a test is the 24th of November 2026: U is the year, K the month, O the day.
ANOTHER_DAY = "UKA1ABCDEF"


@pytest.fixture
def questions(shop):
    return Questions(shop)


def state(shop, order, number=RECEIPT):
    return shop.receipt(number).state, shop.order_row(order).status


def nobody(shop, account, **changed):
    """Money that no rule gives to an order: from a phone that no order was pushed to."""
    shop.confirm(account, **{"MSISDN": OTHERS_MASK, **changed})
    assert shop.receipt(changed.get("receipt", RECEIPT)).state == "unclaimed"


def in_review(shop, transaction_id):
    return shop.transaction(transaction_id).needs_review


def one_slip(code):
    """The same with one wrong digit, of which no other pay code is meant."""
    return code[:4] + str((int(code[4]) + 1) % 10) + code[5:]


# -- one of three proofs suffices -----------------------------------------------------------------


@on_both
def test_the_payer_who_was_pushed_to_before_gets_the_order_paid(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    shop.callback(1, shop.failed(1))
    shop.now.pass_(minutes=20)
    nobody(shop, "my name", MSISDN="2547 ***** 678", TransTime="20261124122000")

    questions.type(push)

    assert state(shop, order) == ("claimed", "PAID")


@on_both
def test_so_does_an_account_that_is_nearly_its_pay_code(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    nobody(shop, one_slip(shop.order_row(order).pay_code))

    questions.type(push)

    assert state(shop, order) == ("claimed", "PAID")


@on_both
@pytest.mark.parametrize("account", ["SHOES-18", "HSOES-17", "shoes 71", "sh0es 17"])
def test_so_does_an_account_that_is_nearly_its_reference(shop, questions, account):
    order = shop.order(reference="SHOES-17")
    push = shop.start(order).transaction_id
    nobody(shop, account)

    questions.type(push)

    assert state(shop, order) == ("claimed", "PAID")


@on_both
def test_so_does_money_that_came_after_its_shopper_chose_to_pay_by_hand(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "lunch")

    questions.type(by_hand)

    assert state(shop, order) == ("claimed", "PAID")
    assert shop.transaction(by_hand).receipt == RECEIPT


@on_both
def test_without_any_of_them_a_person_looks_and_nothing_is_paid(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    nobody(shop, "lunch")

    questions.type(push)

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, push)


@on_both
def test_a_push_after_the_money_came_proves_nothing(shop, questions):
    order = shop.order()
    nobody(shop, "lunch", MSISDN="2547 ***** 678")
    shop.now.pass_(minutes=5)
    push = shop.start(order).transaction_id

    questions.type(push)

    assert state(shop, order) == ("unclaimed", "OPEN")


@on_both
def test_a_choice_after_the_money_came_proves_nothing(shop, questions):
    order = shop.order()
    nobody(shop, "lunch")
    shop.now.pass_(minutes=5)
    by_hand = shop.by_hand(order)

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, by_hand)


@on_both
@pytest.mark.parametrize(("minutes", "expected"), [(60, "PAID"), (61, "OPEN")])
def test_a_choice_proves_for_an_hour(shop, questions, minutes, expected):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "lunch")
    shop.now.pass_(minutes=minutes)

    questions.type(by_hand)

    assert shop.order_row(order).status == expected


@on_both
def test_where_nobody_told_the_account_only_the_payer_proves(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    other = f"{SECOND_PAYER_MSISDN} - SOMEBODY ELSE"
    questions.type(by_hand)
    questions.ask()

    questions.answer(answer(DebitPartyName=other))

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, by_hand)


@on_both
def test_a_till_has_no_account_and_a_choice_proves_there(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "")

    questions.type(by_hand)

    assert state(shop, order) == ("claimed", "PAID")


# -- each of the conditions blocks ----------------------------------------------------------------


@on_both
def test_another_amount_is_for_a_person(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "lunch", amount="151.00")

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, by_hand)


@on_both
def test_money_from_before_the_order_was_made_is_for_a_person(shop, questions):
    nobody(shop, "lunch", MSISDN="2547 ***** 678", TransTime="20261124115800")
    order = shop.order()
    push = shop.start(order).transaction_id

    questions.type(push)

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, push)


@on_both
def test_an_account_that_names_another_order_is_for_a_person(shop, questions):
    order, other = shop.order(), shop.order(amount=999)
    by_hand = shop.by_hand(order)
    nobody(shop, shop.order_row(other).pay_code)

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, by_hand)


@on_both
def test_so_is_one_that_nearly_names_another_order_by_its_pay_code(shop, questions):
    order, other = shop.order(), shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, one_slip(shop.order_row(other).pay_code))

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")


@on_both
def test_so_is_one_that_nearly_names_two_orders_by_their_references(shop, questions):
    order = shop.order(reference="INV-1001")
    shop.order(reference="INV-1002")
    by_hand = shop.by_hand(order)
    nobody(shop, "INV-1003")

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")


@on_both
def test_so_is_a_reference_that_two_open_orders_have(shop, questions):
    order, _other = shop.order(reference="INV-1001"), shop.order(reference="INV-1001")
    by_hand = shop.by_hand(order)
    nobody(shop, "INV-1001")

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")


@on_both
def test_an_order_that_had_ended_before_is_not_meant(shop, questions):
    order, gone = shop.order(reference="INV-1001"), shop.order(reference="INV-1002")
    shop.cancel(gone)
    shop.now.pass_(minutes=2)
    by_hand = shop.by_hand(order)
    nobody(shop, "INV-1003", TransTime="20261124120230")

    questions.type(by_hand)

    assert state(shop, order) == ("claimed", "PAID")


@on_both
def test_its_own_reference_names_it_however_near_the_next_ones_is(shop, questions):
    order = shop.order(reference="INV-1001")
    shop.order(reference="INV-1002")
    push = shop.start(order).transaction_id
    another = shop.order(reference="INV-1001")  # the confirmation names both, until one is gone
    nobody(shop, "INV-1001")
    with shop.sessions() as session:
        session.execute(
            update(Order).where(Order.id == another).values(reference="GONE", account_form="GONE")
        )
        session.commit()

    questions.type(push)

    assert state(shop, order) == ("claimed", "PAID")


@on_both
def test_a_receipt_on_its_way_back_is_for_a_person(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "lunch")
    with shop.sessions() as session:
        receipt = session.scalars(select(Receipt)).one()
        session.add(
            Refund(
                id="r" * 22, receipt_id=receipt.id, receipt=RECEIPT, amount=15_000, reason="wrong",
                status="requested", requested_by="amina", seq=1, created_at=shop.now(),
                updated_at=shop.now(),
            )
        )  # fmt: skip
        session.flush()
        receipt.refund_id = "r" * 22
        session.commit()

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")
    assert in_review(shop, by_hand)


@on_both
def test_a_receipt_that_is_in_doubt_itself_is_for_a_person(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "lunch")
    shop.confirm("lunch", MSISDN=OTHERS_MASK, amount="999.00")

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", "OPEN")


@on_both
@pytest.mark.parametrize("end", ["cancel", "pay"])
def test_an_order_that_is_not_open_is_not_paid_again(shop, questions, end):
    order = shop.order()
    by_hand = shop.by_hand(order)
    nobody(shop, "lunch")
    if end == "cancel":
        shop.cancel(order)
    else:
        shop.confirm(shop.order_row(order).pay_code, receipt=SECOND)
    before = shop.order_row(order).status

    questions.type(by_hand)

    assert state(shop, order) == ("unclaimed", before)
    assert in_review(shop, by_hand)


@on_both
def test_an_unproven_receipt_is_not_claimable(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    shop.confirm("lunch", MSISDN=OTHERS_MASK, listed=lambda _: False)

    questions.type(by_hand)

    assert state(shop, order) == ("unproven", "OPEN")


@on_both
def test_a_payment_whose_time_nobody_told_pays_no_order_by_its_code(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    questions.type(push, SECOND)
    questions.ask()

    questions.answer(answer(SECOND, without=["FinalisedTime"]))

    assert state(shop, order, SECOND) == ("unclaimed", "OPEN")


# -- what is taken, of another day, or unknown ----------------------------------------------------


def looks(shop, transaction_id):
    told = shop.snapshot(transaction_id)
    return {name: told[name] for name in ("view", "money", "next", "can_retry", "status", "reason")}


@on_both
def test_taken_unknown_and_other_days_codes_look_alike_at_every_time(shop, questions):
    shop.order()
    shop.confirm(shop.order_row(shop.order(amount=500)).pay_code, amount="500.00")
    assert shop.receipt().state == "claimed"
    typed = {}
    for code in (RECEIPT, "UKO9UNKNOWN"[:10], ANOTHER_DAY):
        typed[code] = shop.by_hand(shop.order())
    for code, transaction_id in typed.items():
        questions.type(transaction_id, code)
    questions.ask()
    questions.answer(answer(code="2032"))

    for seconds in (0, 30, 29, 2, 60, 120, 600):
        shop.now.pass_(seconds=seconds)
        seen = [looks(shop, each) for each in typed.values()]
        assert seen[0] == seen[1] == seen[2], seconds
        assert seen[0]["view"] == ("checking" if shop.now.passed < 60 else "by_hand")


@on_both
def test_only_an_unknown_code_costs_a_call(shop, questions):
    shop.confirm(shop.order_row(shop.order(amount=500)).pay_code, amount="500.00")
    for code in (RECEIPT, ANOTHER_DAY, "UKO9UNKNOW"):
        questions.type(shop.by_hand(shop.order()), code)

    questions.ask_for(minutes=1)

    assert questions.asked == ["UKO9UNKNOW"]


@on_both
@pytest.mark.parametrize(
    ("code", "asked"),
    [("UKN1ABCDEF", False), ("UKO1ABCDEF", True), ("UKP1ABCDEF", False), ("0001ABCDEF", True)],
    ids=["yesterday", "today", "tomorrow", "tells no day"],
)
def test_the_first_letters_tell_the_day(shop, questions, code, asked):
    questions.type(shop.by_hand(shop.order()), code)

    assert questions.ask() == asked


@on_both
def test_an_unknown_code_that_m_pesa_knows_pays_the_order(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    shop.callback(1, shop.failed(1))
    shop.now.pass_(minutes=1)
    questions.type(push)
    questions.ask()

    questions.answer(answer(FinalisedTime=20261124120030))

    assert state(shop, order) == ("claimed", "PAID")


@on_both
def test_the_answer_to_a_code_twice_leaves_the_order_in_peace(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    questions.type(push)
    questions.ask()

    questions.answer(answer())
    questions.answer(answer())
    questions.answer(answer(DebitPartyName=f"{PAYER_MSISDN} - JUMA  OTIENO"))

    assert state(shop, order) == ("claimed", "PAID")
    assert not any(each.needs_review for each in shop.transactions())


@on_both
def test_a_code_that_came_before_its_confirmation_ends_the_same(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    shop.now.pass_(seconds=20)
    questions.type(by_hand)
    shop.now.pass_(seconds=5)

    shop.confirm("lunch", MSISDN=OTHERS_MASK)

    assert state(shop, order) == ("claimed", "PAID")
    assert questions.ask() == 0 or questions.asked == [RECEIPT]


@on_both
def test_so_it_does_without_an_initiator(shop, questions):
    questions.asks = False
    order = shop.order()
    by_hand = shop.by_hand(order)
    shop.now.pass_(seconds=20)
    questions.type(by_hand)

    shop.confirm("lunch", MSISDN=OTHERS_MASK)

    assert state(shop, order) == ("claimed", "PAID")


@on_both
def test_a_code_that_was_guessed_before_its_money_came_proves_nothing(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    questions.type(by_hand)
    shop.now.pass_(minutes=10)

    shop.confirm("lunch", MSISDN=OTHERS_MASK, TransTime="20261124121000")

    assert state(shop, order) == ("unclaimed", "OPEN")


@on_both
def test_a_code_that_found_nothing_in_five_minutes_is_for_a_person(shop, questions):
    by_hand = shop.by_hand(shop.order())
    questions.type(by_hand)
    shop.now.pass_(minutes=5, seconds=-1)
    questions.tick()
    assert not in_review(shop, by_hand)

    shop.now.pass_(seconds=1)
    questions.tick()

    assert in_review(shop, by_hand)


@on_both
def test_a_person_is_asked_once_for_each_code(shop, questions):
    by_hand = shop.by_hand(shop.order())
    for _ in range(3):
        questions.type(by_hand, ANOTHER_DAY)
        shop.now.pass_(minutes=6)
        questions.tick()

    with shop.sessions() as session:
        claims = select(func.count()).where(EvidenceRow.kind == "claim")
        assert session.scalar(claims) == 1


@on_both
def test_an_order_that_was_paid_otherwise_meanwhile_needs_nobody(shop, questions):
    order = shop.order()
    by_hand = shop.by_hand(order)
    questions.type(by_hand, "UKO9TYPEDX")
    shop.confirm(shop.order_row(order).pay_code)
    shop.now.pass_(minutes=6)

    questions.tick()

    assert not any(each.needs_review for each in shop.transactions())


@on_both
def test_the_push_that_a_code_fits_gets_its_money_and_not_the_hand(shop, questions):
    order = shop.order()
    push = shop.start(order).transaction_id
    by_hand = shop.by_hand(order)
    questions.type(by_hand)
    questions.ask()

    questions.answer(answer())

    assert shop.transaction(push).receipt == RECEIPT
    assert shop.transaction(by_hand).reason == "not_received"


@on_both
def test_of_two_pushes_a_code_goes_to_its_payers_own(shop, questions):
    order = shop.order()
    first = shop.start(order, PAYER_MSISDN).transaction_id
    shop.callback(1, shop.failed(1, 1037))
    shop.now.pass_(minutes=4)
    second = shop.start(order, SECOND_PAYER_MSISDN).transaction_id
    questions.type(second)
    questions.ask()

    questions.answer(answer(FinalisedTime=20261124120410))

    assert shop.transaction(first).receipt == RECEIPT
    assert shop.transaction(second).receipt is None


@on_both
def test_a_code_of_the_own_payment_changes_nothing(shop, questions):
    push = shop.attempt()
    shop.callback(1, shop.paid())
    seq = shop.transaction(push).seq

    questions.type(push)

    assert (shop.transaction(push).seq, in_review(shop, push)) == (seq, False)


@on_both
def test_a_receipt_without_an_account_goes_to_the_push_that_daraja_then_calls_paid(shop, questions):
    push = shop.attempt()
    shop.confirm("", MSISDN=PAYER_MSISDN)
    questions.tick()
    assert shop.receipt().state == "unclaimed"

    shop.record(push, QueryAnswered("0"))
    questions.tick()

    assert shop.transaction(push).receipt == RECEIPT
    assert shop.receipt().state == "claimed"
    assert not in_review(shop, push)


# -- limits ---------------------------------------------------------------------------------------


@on_both
def test_five_codes_an_hour_for_an_order(shop, questions):
    by_hand = shop.by_hand(shop.order())
    for number in range(5):
        questions.type(by_hand, f"UKO{number}ABCDEF")

    with pytest.raises(inbox.TooManyCodes):
        questions.type(by_hand, "UKO9ABCDEF")
    shop.now.pass_(hours=1)
    questions.type(by_hand, "UKO9ABCDEF")


@on_both
def test_twenty_unknown_codes_an_hour_from_one_address_cost_a_call(shop, questions):
    for number in range(25):
        questions.type(shop.by_hand(shop.order()), f"UKO1ABC{number:03d}", "one address")
    questions.type(shop.by_hand(shop.order()), "UKO9OTHERX", "another address")

    asked = [each.receipt for each in questions.rows() if each.next_at]
    assert len(asked) == 21
    assert "UKO9OTHERX" in asked


@on_both
def test_so_it_is_where_they_come_at_once(shop, questions):
    waiting = [shop.by_hand(shop.order()) for _ in range(30)]

    outcomes = at_once(
        [
            lambda place=place, each=each: questions.type(each, f"UKO1ABC{place:03d}", "address")
            for place, each in enumerate(waiting)
        ]
    )

    assert outcomes == [None] * 30
    assert sum(each.next_at is not None for each in questions.rows()) == 20


@on_both
def test_of_one_order_one_code_waits_for_its_answer_at_a_time(shop, questions):
    by_hand = shop.by_hand(shop.order())
    questions.type(by_hand, "UKO1FIRSTX")
    questions.ask()
    questions.answer(answer(code="2032"))  # it is asked about once more
    shop.now.pass_(seconds=12)
    questions.type(by_hand, "UKO2SECOND")

    questions.ask_for(minutes=1)
    assert questions.asked == ["UKO1FIRSTX"]
    shop.now.pass_(minutes=1)
    questions.ask()
    questions.answer(answer(code="2032"))
    shop.now.pass_(seconds=12)
    questions.ask()

    assert questions.asked == ["UKO1FIRSTX", "UKO1FIRSTX", "UKO2SECOND"]


@on_both
def test_a_code_whose_answer_never_comes_holds_up_the_next_for_three_minutes(shop, questions):
    by_hand = shop.by_hand(shop.order())
    questions.ask()
    first = shop.by_hand(shop.order())
    questions.type(first, "UKO0PROVED")
    questions.ask()
    questions.answer(answer("UKO0PROVED"))
    shop.now.pass_(seconds=12)
    questions.type(by_hand, "UKO1FIRSTX")
    questions.ask()
    questions.type(by_hand, "UKO2SECOND")

    shop.now.pass_(minutes=2, seconds=50)
    assert questions.ask() == 0 or questions.asked[-1] == "UKO1FIRSTX"
    shop.now.pass_(minutes=3)
    with shop.sessions() as session:
        second = session.scalars(
            select(StatusQuestion).where(StatusQuestion.receipt == "UKO2SECOND")
        ).one()
        assert second.next_at is not None


@on_both
def test_the_same_code_typed_again_costs_no_second_call(shop, questions):
    by_hand = shop.by_hand(shop.order())

    for _ in range(5):
        questions.type(by_hand)

    assert len(questions.rows()) == 1


@on_both
def test_guesses_of_three_hours_from_one_address_cost_sixty_calls(shop, questions):
    transactions = [shop.by_hand(shop.order()) for _ in range(10)]
    for hour in range(3):
        for place, transaction_id in enumerate(transactions):
            for number in range(5):
                code = f"UKO{hour}{place:03d}{number:03d}"
                questions.type(transaction_id, code, "one address")
        shop.now.pass_(minutes=61)

    assert sum(each.next_at is not None for each in questions.rows()) == 60


@on_both
def test_ten_thousand_guesses_of_many_addresses_get_every_second_question_and_hold_up_nothing(
    shop, questions
):
    transactions = [shop.by_hand(shop.order()) for _ in range(100)]
    now = shop.now()
    rows = [
        {
            "receipt": f"UKO{number:07d}", "transaction_id": transactions[number % 100],
            "share": f"address {number % 500}", "typed_at": now, "next_at": now,
        }
        for number in range(10_000)
    ]  # fmt: skip
    with shop.sessions() as session:
        session.execute(insert(StatusQuestion), rows)
        session.commit()

    for _ in range(30):
        if questions.ask():
            questions.answer(answer(code="2032"))
        shop.now.pass_(seconds=6)
    assert len(questions.asked) == 15
    shares = {int(each[3:]) % 500 for each in questions.asked}
    assert len(shares) == 15  # each another address's

    order = shop.order()
    shop.confirm(shop.order_row(order).pay_code, listed=lambda _: False)
    with shop.sessions() as session:
        session.add(StatusQuestion(receipt=RECEIPT, typed_at=now, next_at=now))
        session.commit()
    shop.now.pass_(seconds=6)
    questions.ask()
    assert questions.asked[-1] == RECEIPT


@on_both
def test_a_code_for_no_transaction_is_unknown(shop, questions):
    with pytest.raises(LookupError):
        questions.type("n" * 22)


@on_both
def test_what_was_decided_on_a_code_is_in_the_timeline(shop, questions):
    by_hand = shop.by_hand(shop.order())
    nobody(shop, "lunch", amount="151.00")

    questions.type(by_hand)

    with shop.sessions() as session:
        whys = session.scalars(select(DecisionRow.why).order_by(DecisionRow.id)).all()
    assert whys[-2:] == ["code_typed", f"receipt_claimed: {RECEIPT}"]


@on_both
def test_a_code_keeps_its_order_from_expiring_while_it_is_checked(shop, questions):
    order = shop.order(expires_at=shop.now() + timedelta(seconds=30))
    by_hand = shop.by_hand(order)
    questions.type(by_hand)
    shop.now.pass_(seconds=45)
    shop.tick()
    assert shop.order_row(order).status == "OPEN"

    shop.now.pass_(seconds=16)
    shop.tick()

    assert shop.order_row(order).status == "EXPIRED"

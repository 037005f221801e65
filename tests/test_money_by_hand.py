"""Money that no push asked for: every row of the table in docs/money.md, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from mpesa import books, receipts
from mpesa.domain.refusals import AttemptOpen
from mpesa.domain.settlement import QueryAnswered, ReviewSettled
from mpesa.models import Receipt, Witness
from tests.conftest import BOTH_DATABASES, on_both
from tests.factories import PAYER_MSISDN, RECEIPT, SECOND_PAYER_MSISDN
from tests.shop import at_once

SECOND = "UKO2GHIJKL"
UNLISTED = {"listed": lambda _: False}


def code_of(shop, order):
    return shop.order_row(order).pay_code


def attempts_of(shop, order):
    return [each for each in shop.transactions() if each.order_id == order]


def witnesses(shop):
    with shop.sessions() as session:
        return session.scalars(select(Witness).order_by(Witness.id)).all()


# -- by the pay code or the reference ------------------------------------------------------------


@on_both
def test_the_pay_code_pays_its_order(shop):
    order = shop.order()

    shop.confirm(code_of(shop, order))

    paid = attempts_of(shop, order)[0]
    assert (paid.channel, paid.status, paid.reason) == ("hand", "SUCCESS", "paid")
    assert (paid.receipt, paid.settles_order, paid.needs_review) == (RECEIPT, True, False)
    assert shop.order_row(order).status == "PAID"
    assert (shop.receipt().state, shop.receipt().transaction_id) == ("claimed", paid.id)
    assert shop.announced == [paid.id]


@on_both
@pytest.mark.parametrize("typed", ["inv 1001", "INV-1001", "invoice no. 01001", " Inv/1001 "])
def test_so_does_the_reference_as_people_type_it(shop, typed):
    order = shop.order(reference="INV-1001")

    shop.confirm(typed)

    assert shop.order_row(order).status == "PAID"


@on_both
def test_the_transaction_by_hand_that_waits_is_the_one_that_is_paid(shop):
    order = shop.order()
    waiting = shop.by_hand(order)

    shop.confirm(code_of(shop, order))

    assert [each.id for each in attempts_of(shop, order)] == [waiting]
    assert shop.snapshot(waiting)["view"] == "paid"


@on_both
def test_one_that_is_no_longer_waited_for_is_paid_late(shop, clock):
    order = shop.order()
    waiting = shop.by_hand(order)
    clock.pass_(hours=24)
    shop.tick()
    assert shop.transaction(waiting).reason == "not_received"

    shop.confirm(code_of(shop, order), TransTime="20261125120010")

    assert shop.transaction(waiting).reason == "paid_late"


@on_both
def test_a_reference_of_two_open_orders_pays_neither(shop):
    orders = {shop.order(reference="INV-1001") for _ in range(2)}

    shop.confirm("INV-1001")

    assert shop.receipt().state == "unclaimed"
    assert set(shop.suggestions()) == orders
    assert {shop.order_row(each).status for each in orders} == {"OPEN"}


@on_both
def test_a_short_reference_is_only_a_suggestion_of_nothing(shop):
    shop.order(reference="A1")

    shop.confirm("A1")

    assert (shop.receipt().state, shop.suggestions()) == ("unclaimed", [])


@on_both
def test_another_amount_pays_nothing_and_suggests_the_order(shop):
    order = shop.order()

    shop.confirm(code_of(shop, order), amount="149.00")

    assert (shop.receipt().state, shop.receipt().amount) == ("unclaimed", 14_900)
    assert shop.suggestions() == [order]


@on_both
def test_one_slip_in_a_pay_code_never_pays_and_suggests_the_order(shop):
    order = shop.order()
    code = code_of(shop, order)
    wrong = code[:3] + str((int(code[3]) + 1) % 10) + code[4:]

    shop.confirm(wrong)

    assert (shop.receipt().state, shop.suggestions()) == ("unclaimed", [order])


@on_both
def test_money_from_before_an_order_never_pays_it(shop, clock):
    clock.pass_(minutes=2)
    order = shop.order()

    shop.confirm(code_of(shop, order))

    assert (shop.receipt().state, shop.suggestions()) == ("unclaimed", [order])


@on_both
def test_a_second_payment_is_kept_and_looked_at(shop):
    order = shop.order()
    shop.confirm(code_of(shop, order))

    shop.confirm(code_of(shop, order), receipt=SECOND)

    first, second = attempts_of(shop, order)
    assert (first.needs_review, second.needs_review) == (False, True)
    assert (second.status, second.receipt, second.settles_order) == ("SUCCESS", SECOND, False)


@on_both
def test_money_for_a_cancelled_order_is_kept_and_looked_at(shop):
    order = shop.order()
    shop.cancel(order)

    shop.confirm(code_of(shop, order))

    paid = attempts_of(shop, order)[0]
    assert (paid.status, paid.needs_review) == ("SUCCESS", True)


@on_both
@pytest.mark.parametrize(("ends_after", "needs_review"), [(60, False), (5, True)])
def test_money_that_came_before_the_end_of_an_order_was_in_time(
    shop, clock, ends_after, needs_review
):
    order = shop.order(expires_at=clock() + timedelta(seconds=ends_after))
    clock.pass_(minutes=5)
    shop.tick()
    assert shop.order_row(order).status == "EXPIRED"

    shop.confirm(code_of(shop, order))

    assert attempts_of(shop, order)[0].needs_review is needs_review
    assert shop.order_row(order).status == "PAID"


# -- by a push ------------------------------------------------------------------------------------


@on_both
def test_a_push_its_confirmation_and_its_callback_are_one_payment(shop):
    push = shop.attempt()
    shop.confirm("INV-1")
    assert (shop.transaction(push).status, shop.transaction(push).by_rule) == ("SUCCESS", True)

    shop.callback(1, shop.paid())

    row = shop.transaction(push)
    assert (row.status, row.reason, row.receipt) == ("SUCCESS", "paid", RECEIPT)
    assert (row.needs_review, row.by_rule) == (False, False)
    assert len(shop.transactions()) == 1
    assert shop.receipt().transaction_id == push
    assert sorted(each.kind for each in witnesses(shop)) == ["callback", "confirmation"]


@on_both
def test_so_they_are_the_other_way_round(shop):
    push = shop.attempt()
    shop.callback(1, shop.paid())

    shop.confirm("INV-1")

    row = shop.transaction(push)
    assert (row.receipt, row.needs_review, row.seq) == (RECEIPT, False, 2)
    assert len(shop.transactions()) == 1
    assert (shop.receipt().payer_name, shop.receipt().state) == ("WANJIKU", "claimed")


@on_both
def test_so_they_are_at_the_same_moment(shop):
    push = shop.attempt()

    outcomes = at_once([lambda: shop.confirm("INV-1"), lambda: shop.callback(1, shop.paid())] * 5)

    row = shop.transaction(push)
    assert outcomes == [None] * 10
    assert (row.status, row.receipt, row.needs_review) == ("SUCCESS", RECEIPT, False)
    assert len(shop.transactions()) == 1


@pytest.mark.parametrize("database_url", BOTH_DATABASES[1:], indirect=True)
def test_a_receipt_that_came_between_its_lock_and_its_reading_is_changed_under_its_lock(
    shop, monkeypatch
):
    lock_and_read, write, free = books.lock_and_read, books.write_and_commit, []

    def one_by_one(connection, read, values):
        monkeypatch.setattr(books, "lock_and_read", lock_and_read)
        *locks, look = read.locking.split("; ")
        connection.exec_driver_sql("; ".join(locks), {**read.fixed, **values})
        shop.confirm("HELLO", OrgAccountBalance="1.00")
        monkeypatch.setattr(books, "write_and_commit", looking)
        return connection.exec_driver_sql(look, {**read.fixed, **values}).all()

    def looking(connection, writes):
        with shop.engine.connect() as other:
            free.append(other.scalars(select(Receipt.id).with_for_update(skip_locked=True)).all())
        write(connection, writes)

    monkeypatch.setattr(books, "lock_and_read", one_by_one)
    shop.confirm("HELLO", OrgAccountBalance="2.00")

    assert free == [[]]
    assert (shop.receipt().state, len(witnesses(shop))) == ("unclaimed", 2)


@on_both
def test_a_confirmation_gives_a_payment_that_only_a_query_proved_its_receipt(shop):
    push = shop.attempt()
    shop.record(push, QueryAnswered("0"))

    shop.confirm("INV-1")

    assert (shop.transaction(push).receipt, shop.transaction(push).final) == (RECEIPT, True)


@on_both
def test_another_payer_of_the_same_account_is_not_the_push(shop):
    push = shop.attempt()

    shop.confirm("INV-1", MSISDN="2547 ***** 111")

    # Nobody else is known by that reference: it is too short to be one.
    assert (shop.transaction(push).status, shop.receipt().state) == ("PENDING", "unclaimed")


@on_both
def test_a_push_that_sent_the_account_is_meant_before_an_order_of_nearly_that_name(shop):
    near = shop.order(reference="2026-001001")
    push = shop.attempt(reference="SHOP-2026-001001")
    (sent,) = {each.account_reference for each in shop.transactions()}

    shop.confirm(sent)

    assert sent == "-2026-001001"
    assert (shop.transaction(push).status, shop.order_row(near).status) == ("SUCCESS", "OPEN")


@on_both
def test_of_two_pushes_the_payers_own_is_paid(shop, clock):
    order = shop.order()
    first = shop.start(order, SECOND_PAYER_MSISDN).transaction_id
    shop.callback(1, shop.failed(1))
    second = shop.start(order, PAYER_MSISDN).transaction_id

    shop.confirm("INV-1", MSISDN="2547 ***** 111")

    assert shop.transaction(first).status == "SUCCESS"
    assert shop.transaction(second).status == "PENDING"


@on_both
def test_a_push_that_was_paid_by_hand_beside_it_says_that_its_prompt_is_to_be_cancelled(
    shop, clock
):
    order = shop.order()
    push = shop.start(order).transaction_id

    shop.confirm(code_of(shop, order))

    told = shop.snapshot(push)
    assert (told["view"], told["money"], told["next"]) == ("paid", "taken", "cancel_prompt")


@on_both
def test_a_till_names_no_account_and_its_proven_push_gets_its_receipt(shop):
    push = shop.attempt()
    shop.record(push, QueryAnswered("0"))

    shop.confirm("")

    assert shop.transaction(push).receipt == RECEIPT


@on_both
def test_an_unproven_push_is_not_paid_by_a_mask_alone(shop):
    push = shop.attempt()

    shop.confirm("")

    assert (shop.transaction(push).status, shop.receipt().state) == ("PENDING", "unclaimed")


@on_both
def test_a_payer_who_is_known_exactly_has_daraja_asked_about_the_push(shop, clock):
    push = shop.attempt()

    shop.confirm("", MSISDN=PAYER_MSISDN)

    assert (shop.receipt().state, shop.suggestions()) == (
        "unclaimed",
        [shop.transaction(push).order_id],
    )
    assert (shop.transaction(push).ask_urgently, shop.transaction(push).next_ask_at) == (
        True,
        clock(),
    )
    shop.record(push, QueryAnswered("0"))
    assert shop.receipt().payer_hash is not None
    assert PAYER_MSISDN not in str(vars(shop.receipt()))


# -- witnesses that contradict each other ---------------------------------------------------------


@on_both
def test_the_same_confirmation_again_is_only_counted(shop, clock):
    order = shop.order()
    shop.confirm(code_of(shop, order))
    clock.pass_(seconds=5)
    shop.announced.clear()

    shop.confirm(code_of(shop, order))

    (witness,) = witnesses(shop)
    assert (witness.times, witness.told_last_at) == (2, clock())
    assert shop.announced == []


@on_both
def test_fifty_copies_at_once_are_one_payment(shop):
    order = shop.order()
    code = code_of(shop, order)

    outcomes = at_once([lambda: shop.confirm(code)] * 50)

    assert outcomes == [None] * 50
    assert len(attempts_of(shop, order)) == 1
    with shop.sessions() as session:
        receipts.judge_waiting(session, shop.receipt_needs())
    (witness,) = witnesses(shop)
    assert (witness.times, witness.judged) == (50, True)


@on_both
def test_another_amount_of_a_known_receipt_is_for_a_person(shop):
    order = shop.order()
    shop.confirm(code_of(shop, order))

    shop.confirm(code_of(shop, order), amount="151.00")

    assert shop.receipt().needs_review
    assert attempts_of(shop, order)[0].needs_review
    assert len(witnesses(shop)) == 2


@on_both
def test_a_witness_that_names_another_order_is_for_a_person(shop):
    order, other = shop.order(), shop.order()
    shop.confirm(code_of(shop, order))

    shop.confirm(code_of(shop, other))

    assert attempts_of(shop, order)[0].needs_review
    assert shop.order_row(other).status == "OPEN"


@on_both
def test_so_is_the_other_order_that_it_names(shop):
    order, other = shop.order(), shop.order()
    waiting = shop.by_hand(other)
    shop.confirm(code_of(shop, order))

    shop.confirm(code_of(shop, other))

    assert shop.transaction(waiting).needs_review
    assert all(each.judged for each in witnesses(shop))


@on_both
def test_a_contradiction_that_comes_again_is_only_counted(shop):
    order, other = shop.order(), shop.order()
    shop.confirm(code_of(shop, order))
    shop.confirm(code_of(shop, other))
    paid = attempts_of(shop, order)[0].id
    shop.record(paid, ReviewSettled())

    shop.confirm(code_of(shop, other))

    assert not shop.transaction(paid).needs_review


@on_both
def test_a_contradiction_that_a_crash_left_half_told_is_told_at_the_next_start(shop, monkeypatch):
    order, other = shop.order(), shop.order()
    shop.confirm(code_of(shop, order))
    with monkeypatch.context() as patch:
        patch.setattr(receipts, "_doubt", _fail)
        shop.confirm(code_of(shop, other))
    assert not attempts_of(shop, order)[0].needs_review

    with shop.sessions() as session:
        receipts.judge_waiting(session, shop.receipt_needs())

    assert attempts_of(shop, order)[0].needs_review


@on_both
def test_an_order_whose_money_is_in_sight_is_not_cancelled(shop, clock):
    order = shop.order()
    shop.confirm(code_of(shop, order), proof_from=15_000)

    with pytest.raises(AttemptOpen):
        shop.cancel(order)

    clock.pass_(minutes=15)
    shop.cancel(order)
    assert shop.order_row(order).status == "CANCELLED"


@on_both
def test_an_unlisted_address_proves_nothing_until_somebody_else_tells_it(shop):
    order = shop.order()
    code = code_of(shop, order)

    shop.confirm(code, **UNLISTED)
    assert (shop.receipt().state, shop.order_row(order).status) == ("unproven", "OPEN")

    shop.confirm(code, InvoiceNumber="1")

    assert (shop.receipt().state, shop.order_row(order).status) == ("claimed", "PAID")


@on_both
def test_money_that_has_to_be_proved_is_in_sight_and_no_other_push_goes_out(shop, clock):
    order = shop.order()
    waiting = shop.by_hand(order)

    shop.confirm(code_of(shop, order), proof_from=15_000)

    told = shop.snapshot(waiting)
    assert (shop.receipt().state, told["view"], told["can_retry"]) == (
        "unproven",
        "checking",
        False,
    )
    assert shop.announced == [waiting]
    clock.pass_(minutes=15)
    assert shop.snapshot(waiting)["view"] == "by_hand"


@on_both
def test_a_callback_with_another_amount_leaves_its_receipt_to_nobody(shop):
    push = shop.attempt()

    shop.callback(1, shop.paid(amount=1))

    assert (shop.receipt().state, shop.receipt().amount) == ("unclaimed", 100)
    assert shop.suggestions() == [shop.transaction(push).order_id]


@on_both
def test_a_second_receipt_for_a_paid_push_is_the_orders_money_by_hand(shop):
    push = shop.attempt()
    shop.callback(1, shop.paid())

    shop.callback(1, shop.paid(receipt=SECOND))

    order = shop.transaction(push).order_id
    by_hand = next(each for each in attempts_of(shop, order) if each.channel == "hand")
    assert (by_hand.status, by_hand.receipt, by_hand.needs_review) == ("SUCCESS", SECOND, True)
    assert shop.receipt(SECOND).transaction_id == by_hand.id


@on_both
def test_a_hand_that_ended_with_its_order_takes_a_second_receipt_and_the_next_one_is_new(shop):
    order = shop.order()
    ended = shop.by_hand(order)
    shop.start(order)
    shop.callback(1, shop.paid())

    shop.callback(1, shop.paid(receipt=SECOND))
    shop.callback(1, shop.paid(receipt="UKO3MNOPQR"))

    by_hand = [each for each in attempts_of(shop, order) if each.channel == "hand"]
    assert [(each.receipt, each.reason, each.needs_review) for each in by_hand] == [
        (SECOND, "paid_late", True),
        ("UKO3MNOPQR", "paid", True),
    ]
    assert by_hand[0].id == ended


@on_both
@pytest.mark.parametrize("told", [{"account": "INV-1", **UNLISTED}, {"account": "HELLO"}])
def test_a_pushs_own_callback_claims_a_receipt_that_was_nobodys_till_then(shop, told):
    push = shop.attempt()
    shop.confirm(**told)
    assert shop.receipt().state in ("unproven", "unclaimed")

    shop.callback(1, shop.paid())

    assert (shop.receipt().state, shop.receipt().transaction_id) == ("claimed", push)
    assert not shop.transaction(push).needs_review


@on_both
def test_a_callback_long_after_its_receipt_takes_the_prompt_to_cancel_off_every_page(shop, clock):
    order = shop.order()
    by_hand = shop.by_hand(order)
    push = shop.start(order).transaction_id
    shop.confirm("INV-1")
    clock.pass_(seconds=20)
    assert shop.snapshot(push)["next"] == "cancel_prompt"
    before = {each: shop.snapshot(each)["seq"] for each in (push, by_hand)}

    shop.callback(1, shop.paid())

    after = {each: shop.snapshot(each) for each in (push, by_hand)}
    assert {each["next"] for each in after.values()} == {"none"}
    assert {name: told["seq"] - before[name] for name, told in after.items()} == {
        push: 1,
        by_hand: 1,
    }


@on_both
def test_a_receipt_that_a_mate_has_already_lets_no_second_money_pass_unseen(shop, clock):
    # Both prompts of one payer were paid, and the first one's receipt was given to the second.
    order = shop.order(reference="INV-1001")
    first = shop.start(order).transaction_id
    shop.record(first, QueryAnswered("1037"))
    clock.pass_(seconds=200)
    second = shop.start(order).transaction_id
    shop.confirm("INV-1001", TransTime="20261124120330")
    shop.callback(1, shop.paid(1))
    assert (shop.transaction(second).receipt, shop.transaction(first).receipt) == (RECEIPT, None)

    shop.confirm("INV-1001", receipt=SECOND, TransTime="20261124120310")

    assert shop.transaction(first).receipt is None
    assert [each.receipt for each in attempts_of(shop, order) if each.needs_review] == [SECOND]


@on_both
def test_a_tills_empty_account_gives_way_to_what_the_payer_typed(shop):
    order = shop.order()
    shop.confirm("")

    shop.confirm(code_of(shop, order))

    assert shop.order_row(order).status == "PAID"


@on_both
def test_what_an_unlisted_address_told_before_names_nobodys_order(shop):
    other = shop.order()
    shop.confirm(code_of(shop, other), **UNLISTED)

    shop.confirm("", InvoiceNumber="1")

    assert (shop.receipt().state, shop.receipt().account) == ("unclaimed", "")
    assert shop.order_row(other).status == "OPEN"


@on_both
def test_nor_does_what_it_tells_afterwards(shop):
    other = shop.order()
    shop.confirm("")

    shop.confirm(code_of(shop, other), **UNLISTED)

    assert (shop.receipt().state, shop.receipt().account) == ("unclaimed", "")


@on_both
def test_an_amount_that_an_unlisted_address_told_first_keeps_no_money_from_its_order(shop):
    order = shop.order()
    shop.confirm(code_of(shop, order), amount="1.00", **UNLISTED)

    shop.confirm(code_of(shop, order))

    assert (shop.receipt().amount, shop.receipt().state) == (15_000, "claimed")
    assert shop.receipt().needs_review


@on_both
def test_the_same_unproven_money_told_again_is_in_sight_for_no_longer(shop, clock):
    order = shop.order()
    waiting = shop.by_hand(order)
    shop.confirm(code_of(shop, order), proof_from=15_000)
    first = shop.snapshot(waiting)

    clock.pass_(minutes=10)
    shop.confirm(code_of(shop, order), proof_from=15_000)

    assert shop.snapshot(waiting)["seq"] == first["seq"]
    clock.pass_(minutes=5)
    assert shop.snapshot(waiting)["view"] == "by_hand"


def heard_of(shop, code, state):
    """Bring a receipt into a state."""
    if state == "unproven":
        shop.confirm(code, **UNLISTED)
    elif state == "unclaimed":
        shop.confirm("")
    elif state != "unknown":
        shop.confirm(code)
    if state == "returned":
        with shop.sessions() as session:
            session.execute(update(Receipt).values(state="returned"))
            session.commit()


# What a confirmation tells, and from where: the state of the receipt from then on, and where a
# person has to look (R: at the receipt, T: at its transaction).
CONFIRMED = {
    "names its order": {},
    "names nobody's": {"account": "HELLO"},
    "names no account": {"account": ""},
    "another amount": {"amount": "151.00"},
    "unlisted": UNLISTED,
    "unlisted, another amount": {**UNLISTED, "amount": "151.00"},
}
GRID = """
                         | unknown   | unproven      | unclaimed    | claimed     | returned
names its order          | claimed   | claimed       | claimed      | claimed     | returned
names nobody's           | unclaimed | unclaimed     | unclaimed    | claimed     | returned
names no account         | unclaimed | unclaimed     | unclaimed    | claimed     | returned
another amount           | unclaimed | unclaimed R   | unclaimed R  | claimed RT  | returned RT
unlisted                 | unproven  | unproven      | unclaimed    | claimed     | returned
unlisted, another amount | unproven  | unproven R    | unclaimed R  | claimed RT  | returned RT
"""
(_, *_STATES), *_ROWS = [[each.strip() for each in row.split("|")] for row in GRID.splitlines()[1:]]


@on_both
@pytest.mark.parametrize(
    ("told", "state", "becomes"),
    [(row[0], state, cell) for row in _ROWS for state, cell in zip(_STATES, row[1:], strict=True)],
)
def test_each_state_of_a_receipt_meets_each_confirmation(shop, told, state, becomes):
    order = shop.order()
    code = code_of(shop, order)
    heard_of(shop, code, state)
    changed = dict(CONFIRMED[told])

    shop.confirm(changed.pop("account", code), InvoiceNumber="2", **changed)

    receipt = shop.receipt()
    looked = "R" * receipt.needs_review
    looked += "T" * any(each.needs_review for each in attempts_of(shop, order))
    assert f"{receipt.state} {looked}".strip() == becomes
    paid = receipt.state in ("claimed", "returned")
    assert shop.order_row(order).status == ("PAID" if paid else "OPEN")


# -- what cannot be read, and what is nobody's -----------------------------------------------------


@on_both
@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xfe", b'{"TransID": 7}', b"[" * 5000])
def test_what_cannot_be_read_is_kept_raw_and_nothing_else(shop, body):
    with shop.sessions() as session:
        receipts.receive(session, body, "196.201.212.69", shop.receipt_needs())

    (witness,) = witnesses(shop)
    assert (witness.body, witness.judged, witness.receipt_id) == (body, True, None)


@on_both
def test_money_to_another_short_code_is_kept_raw_and_nothing_else(shop):
    order = shop.order()

    shop.confirm(code_of(shop, order), BusinessShortCode="600999")

    assert shop.order_row(order).status == "OPEN"
    assert [each.receipt_id for each in witnesses(shop)] == [None]


@on_both
def test_what_could_not_be_judged_is_kept_and_judged_later(shop, monkeypatch):
    order = shop.order()
    code = code_of(shop, order)
    with monkeypatch.context() as patch:
        patch.setattr(receipts, "take_in", _fail)
        shop.confirm(code)
    assert [each.judged for each in witnesses(shop)] == [False]

    with shop.sessions() as session:
        judged = receipts.judge_waiting(session, shop.receipt_needs())

    assert (judged, shop.order_row(order).status) == (1, "PAID")
    (witness,) = witnesses(shop)
    assert (witness.judged, witness.receipt_id) == (True, shop.receipt().id)


def _fail(*_args):
    raise RuntimeError("the process is dying")


# -- the choice ------------------------------------------------------------------------------------


@on_both
def test_to_choose_twice_is_to_choose_once(shop):
    order = shop.order()

    assert shop.by_hand(order) == shop.by_hand(order)


@on_both
def test_an_order_that_is_paid_otherwise_waits_for_no_money_by_hand(shop):
    order = shop.order()
    by_hand = shop.by_hand(order)
    push = shop.start(order).transaction_id

    shop.callback(1, shop.paid())

    row = shop.transaction(by_hand)
    assert (row.status, row.reason, row.final) == ("FAILED", "not_received", False)
    assert shop.snapshot(by_hand)["view"] == "paid"
    assert shop.snapshot(by_hand)["settled_by"] == push
    assert [each.why for each in shop.decisions(by_hand)] == ["chosen_by_hand", "order_ended"]


@on_both
def test_a_push_goes_out_beside_money_by_hand(shop):
    order = shop.order()
    shop.by_hand(order)

    started = shop.start(order)

    assert shop.transaction(started.transaction_id).status == "PENDING"

"""Whose money a receipt is: every row of the table in docs/money.md, cell by cell."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from mpesa.domain import matching
from mpesa.domain.attempt import Account, Channel, OrderStatus
from mpesa.domain.matching import Fit, GiveByHand, GivePush, Heard, Keep
from mpesa.domain.receipt import State
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.told import Payer, Told, WitnessKind
from tests.domain import known

AT = known.PUSHED_AT
CODE = "234567890"
MSISDN = "254712345678"
OTHER = "254722000111"
CONFIRMED = frozenset({WitnessKind.CONFIRMATION})
PULLED = frozenset({WitnessKind.PULL})


def mark_of(msisdn):
    return sha256(msisdn.encode()).hexdigest()


def told(**changed):
    fields = {"short_code": "174379", "account": "INV-1001", "paid_at": AT}
    payer = Payer(masked="2547*****678")
    return Told("UKO1ABCDEF", 15_000, **{**fields, "payer": payer, **changed})


def heard(kinds=CONFIRMED, heard_at=AT, listed=True, **changed):
    return Heard(told(**changed), kinds, heard_at, listed)


def account(number=1, attempts=(), **changed):
    order_id = f"order {number}".ljust(22, "o")
    order = known.order(
        **{"id": order_id, "reference": f"INV-100{number}", "pay_code": None, **changed}
    )
    own = tuple(replace(each, order_id=order_id) for each in attempts)
    return Account(order, own)


def push(number=1, **changed):
    fields = {"id": f"push {number}".ljust(22, "p"), "attempt": number}
    return known.attempt(**{**fields, "account_reference": "INV-1001", **changed})


def judge(what, *accounts, proof_from=None):
    return matching.judge(what, accounts, proof_from, mark_of)


UNCLAIMED = Keep(State.UNCLAIMED)

# -- row 6: what has to be proved ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proof_from", "state"), [(None, "given"), (15_001, "given"), (15_000, State.UNPROVEN)]
)
def test_a_confirmation_alone_suffices_below_the_limit(proof_from, state):
    verdict = judge(heard(), account(), proof_from=proof_from)

    assert isinstance(verdict, GiveByHand) is (state == "given")
    if isinstance(verdict, Keep):
        assert (verdict.state, verdict.in_sight_of) == (state, account().order.id)


@pytest.mark.parametrize("kind", [each for each in WitnessKind if each != "confirmation"])
def test_any_second_kind_of_witness_is_the_proof(kind):
    both = heard(CONFIRMED | {kind})

    assert isinstance(judge(both, account(), proof_from=1), GiveByHand)


def test_an_unlisted_address_proves_nothing_and_brings_nothing_in_sight():
    verdict = judge(heard(listed=False), account())

    assert verdict == Keep(State.UNPROVEN, (account().order.id,))


def test_what_names_two_orders_brings_neither_in_sight():
    both = (account(1), account(2, reference="INV-1001"))

    assert judge(heard(), *both, proof_from=1).in_sight_of is None


# -- row 7: the account that a push sent -----------------------------------------------------------

PAYABLE = [
    (Status.PENDING, Reason.AWAITING_PIN, False),
    (Status.PENDING, Reason.OVERDUE, False),
    (Status.PENDING, Reason.PUSH_UNCONFIRMED, False),
    (Status.FAILED, Reason.UNREACHABLE, False),
    (Status.FAILED, Reason.UNKNOWN_CODE, False),
    (Status.SUCCESS, Reason.PAID, False),
    (Status.SUCCESS, Reason.PAID_LATE, False),
]


@pytest.mark.parametrize(("status", "reason", "final"), PAYABLE)
@pytest.mark.parametrize("order_status", list(OrderStatus))
def test_a_push_is_paid_by_its_own_account_whatever_its_order_is(
    status, reason, final, order_status
):
    own = push(status=status, reason=reason, final=final)

    verdict = judge(heard(), account(attempts=[own], status=order_status))

    assert verdict == GivePush(account().order.id, own.id)


@pytest.mark.parametrize(
    "changed",
    [
        {"status": Status.FAILED, "reason": Reason.CANCELLED, "final": True},
        {"status": Status.SUCCESS, "reason": Reason.PAID, "receipt": "UKO9OTHERX", "final": True},
        {"amount": 151},
        {"account_reference": "INV-1"},
        {"account_reference": "inv-1001"},
        {"account_reference": None},
        {"created_at": AT + timedelta(minutes=1, seconds=1)},
        {"created_at": AT - timedelta(minutes=15, seconds=1)},
        {"msisdn": OTHER},
        {"channel": Channel.HAND},
    ],
    ids=str,
)
def test_each_of_these_makes_it_not_the_pushs(changed):
    theirs = account(attempts=[push(**changed)], reference="SOMETHING-ELSE")

    assert judge(heard(), theirs) == UNCLAIMED


@pytest.mark.parametrize(
    "created_at", [AT + timedelta(minutes=1), AT - timedelta(minutes=15)], ids=["first", "last"]
)
def test_the_window_is_from_a_minute_before_to_a_quarter_of_an_hour_after(created_at):
    theirs = account(attempts=[push(created_at=created_at)], created_at=AT - timedelta(hours=1))

    assert isinstance(judge(heard(), theirs), GivePush)


def test_the_time_it_was_heard_of_counts_as_well():
    late = heard(heard_at=AT + timedelta(minutes=10), paid_at=AT)
    theirs = account(
        attempts=[push(created_at=AT + timedelta(minutes=5))], created_at=AT - timedelta(hours=1)
    )

    assert isinstance(judge(late, theirs), GivePush)


@pytest.mark.parametrize(
    "payer",
    [Payer(), Payer(masked="*****"), Payer(masked="2547*****678"), Payer(hashed=mark_of(MSISDN))],
)
def test_a_payer_who_cannot_be_told_is_not_another(payer):
    assert isinstance(judge(heard(payer=payer), account(attempts=[push()])), GivePush)


def test_of_several_pushes_the_payers_own_comes_first_then_the_newest():
    older, own, newest = (push(each) for each in (1, 2, 3))
    older, newest = replace(older, msisdn=None), replace(newest, msisdn=None)

    assert judge(heard(), account(attempts=[newest, own, older])).transaction_id == own.id
    assert judge(heard(), account(attempts=[newest, older])).transaction_id == newest.id


def test_of_several_orders_none_is_chosen():
    first, second = account(1, [push(1)]), account(2, [push(2)], reference="SOMETHING-ELSE")

    verdict = judge(heard(), first, second)

    assert verdict == Keep(State.UNCLAIMED, (first.order.id, second.order.id))


@pytest.mark.parametrize("late", [timedelta(0), timedelta(hours=3)], ids=["nairobi", "utc"])
def test_a_doubtful_time_is_read_in_both_ways(late):
    own = push(created_at=AT + late)
    doubtful = heard(PULLED, paid_at=AT, paid_at_doubtful=True, heard_at=AT + timedelta(hours=9))

    verdict = judge(doubtful, account(attempts=[own], created_at=AT + late))

    assert verdict == GivePush(account().order.id, own.id)


def test_where_each_reading_fits_another_push_neither_is_chosen():
    pushes = [push(2, created_at=AT + timedelta(hours=3)), push(1)]
    doubtful = heard(PULLED, paid_at_doubtful=True)

    assert judge(doubtful, account(attempts=pushes)) == Keep(State.UNCLAIMED, (account().order.id,))


def test_a_time_that_is_sure_and_before_the_order_fits_no_push_of_it():
    early = heard(paid_at=AT - timedelta(minutes=2), heard_at=AT)

    assert judge(early, account(attempts=[push()], reference="ELSE")) == UNCLAIMED


# -- rows 8 and 8a: no account ---------------------------------------------------------------------

PROVED = {"status": Status.SUCCESS, "reason": Reason.PAID}


@pytest.mark.parametrize("none", ["", None])
def test_without_an_account_the_one_proven_push_of_the_payer_is_paid(none):
    own = push(**PROVED)

    assert judge(heard(account=none), account(attempts=[own])) == GivePush(
        account().order.id, own.id
    )


def test_two_that_fit_are_none():
    first, second = account(1, [push(1, **PROVED)]), account(2, [push(2, **PROVED)])

    verdict = judge(heard(account=""), first, second)

    assert isinstance(verdict, Keep)


@pytest.mark.parametrize("payer", [Payer(), Payer(masked="2547*****999"), Payer(masked="***")])
def test_without_the_payer_it_is_nobodys(payer):
    assert judge(heard(account="", payer=payer), account(attempts=[push(**PROVED)])) == UNCLAIMED


@pytest.mark.parametrize(
    "payer", [Payer(msisdn=MSISDN), Payer(hashed=mark_of(MSISDN)), Payer(masked="2547*****678")]
)
def test_daraja_is_asked_about_an_unproven_one_where_the_payer_is_known_exactly(payer):
    own = push()

    verdict = judge(heard(account="", payer=payer), account(attempts=[own]))

    order_id = account().order.id
    asked = (order_id, own.id) if payer.exact else None
    assert verdict == Keep(State.UNCLAIMED, (order_id,), ask=asked)


# -- rows 9 and 10: the pay code, the reference ----------------------------------------------------


@pytest.mark.parametrize("typed", ["234567890", "234 567 890", "no. 234-567-890", " 234567890 "])
def test_a_pay_code_pays_its_order_whatever_became_of_it(typed):
    for status in OrderStatus:
        own = account(pay_code=CODE, status=status, reference="ELSE")
        assert judge(heard(account=typed), own) == GiveByHand(own.order.id)


@pytest.mark.parametrize("typed", ["INV-1001", "inv 1001", "Invoice No. 01001", "acc inv/1001"])
def test_the_reference_of_one_open_order_pays_it(typed):
    assert judge(heard(account=typed), account()) == GiveByHand(account().order.id)


@pytest.mark.parametrize("status", [each for each in OrderStatus if each is not OrderStatus.OPEN])
def test_the_reference_of_an_order_that_had_ended_is_a_suggestion(status):
    ended = account(
        status=status, updated_at=AT - timedelta(minutes=1), created_at=AT - timedelta(1)
    )

    assert judge(heard(), ended) == Keep(State.UNCLAIMED, (ended.order.id,))


def test_one_that_ended_after_the_money_came_was_in_time():
    ended = account(status=OrderStatus.CANCELLED, updated_at=AT + timedelta(minutes=1))

    assert judge(heard(), ended) == GiveByHand(ended.order.id)


def test_a_used_reference_pays_the_one_order_that_is_open():
    old = account(
        1, status=OrderStatus.PAID, updated_at=AT - timedelta(1), created_at=AT - timedelta(2)
    )
    new = account(2, reference="INV-1001")

    assert judge(heard(), old, new) == GiveByHand(new.order.id)


@pytest.mark.parametrize(
    "own",
    [
        account(amount=151),
        account(created_at=AT + timedelta(minutes=1, seconds=1)),
        account(expires_at=AT),
    ],
    ids=["another amount", "before it was made", "expired"],
)
def test_each_of_these_makes_it_a_suggestion(own):
    assert judge(heard(), own) == Keep(State.UNCLAIMED, (own.order.id,))


def test_two_open_orders_of_one_reference_are_suggestions():
    first, second = account(1), account(2, reference="INV-1001")

    assert judge(heard(), first, second) == Keep(State.UNCLAIMED, (first.order.id, second.order.id))


def test_a_pay_code_of_one_and_the_reference_of_another_name_two_orders():
    first, second = account(1, pay_code=CODE), account(2, reference=CODE)

    assert judge(heard(account=CODE), first, second) == Keep(
        State.UNCLAIMED, (first.order.id, second.order.id)
    )


@pytest.mark.parametrize("reference", ["A-1", "INV 12", "0007"])
def test_a_reference_of_less_than_four_characters_pays_nothing(reference):
    assert judge(heard(account=reference), account(reference=reference)) == UNCLAIMED


@pytest.mark.parametrize("typed", ["", " ", "-", "ÄÖÜ", "عربي"])
def test_an_account_of_which_nothing_is_left_fits_nothing(typed):
    assert judge(heard(account=typed, payer=Payer()), account(reference="----")) == UNCLAIMED


@pytest.mark.parametrize("kinds", [PULLED, frozenset({WitnessKind.STATUS}), frozenset()])
def test_money_whose_time_nobody_told_pays_no_order(kinds):
    assert isinstance(judge(heard(kinds, paid_at=None), account(pay_code=CODE)), Keep)


def test_a_confirmation_without_a_time_was_paid_when_it_was_heard():
    assert isinstance(judge(heard(paid_at=None), account()), GiveByHand)
    late = account(created_at=AT + timedelta(minutes=2))
    assert isinstance(judge(heard(paid_at=None), late), Keep)


# -- row 11: anything else -------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["234567899", "243567890", "934567890"])
def test_one_slip_from_a_pay_code_is_a_suggestion(typed):
    own = account(pay_code=CODE)

    assert judge(heard(account=typed), own) == Keep(State.UNCLAIMED, (own.order.id,))


@pytest.mark.parametrize("typed", ["234567", "2345678900", "234567000", "432567890"])
def test_more_than_one_slip_is_nothing(typed):
    assert judge(heard(account=typed), account(pay_code=CODE)) == UNCLAIMED


def test_three_suggestions_at_most():
    many = [account(each, reference="INV-1001") for each in range(1, 9)]

    assert len(judge(heard(), *many).suggestions) == 3


# -- accounts and payers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "form"),
    [
        ("order 17", "17"), ("ORDER", "ORDER"), ("inv inv 0017", "17"), ("INVOICE17", "17"),
        ("INVOICE17A", "INVOICE17A"), ("no no 5", "5"), ("account: 005", "5"), ("00", "0"),
        ("000", "0"), ("A007", "A007"), ("ord-17", "ORD17"), ("\uff11\uff17", ""), ("O17", "O17"),
    ],
)  # fmt: skip
def test_accounts_are_compared_by_capitals_letters_and_digits(typed, form):
    assert matching.normalised(typed) == form


@pytest.mark.parametrize(
    ("payer", "expected"),
    [
        (Payer(), Fit.CANT_TELL),
        (Payer(msisdn=MSISDN), Fit.SAME),
        (Payer(msisdn=OTHER), Fit.OTHER),
        (Payer(hashed=mark_of(MSISDN)), Fit.SAME),
        (Payer(hashed=mark_of(OTHER)), Fit.OTHER),
        (Payer(hashed=mark_of(OTHER), masked="2547*****678"), Fit.OTHER),
        (Payer(masked="2547*****678"), Fit.SAME),
        (Payer(masked="25471****678"), Fit.SAME),
        (Payer(masked="0712***678"), Fit.SAME),
        (Payer(masked="07****78"), Fit.SAME),
        (Payer(masked="2547*****679"), Fit.OTHER),
        (Payer(masked="2541*****678"), Fit.OTHER),
        (Payer(masked="*********"), Fit.CANT_TELL),
        (Payer(masked="254712345678"), Fit.CANT_TELL),
    ],
    ids=str,
)
def test_a_payer_is_compared_whole_masked_or_hashed(payer, expected):
    assert matching.fit(payer, MSISDN, mark_of) is expected
    assert matching.fit(payer, None, mark_of) is Fit.CANT_TELL


@pytest.mark.parametrize("masked", ["2547*****678", "0712***678", "07****78"])
def test_the_pattern_for_the_database_fits_the_same_numbers(masked):
    begin, end = matching.likeness(Payer(masked=masked)).split("%")

    assert MSISDN.startswith(begin)
    assert MSISDN.endswith(end)
    assert matching.likeness(Payer(masked=masked, hashed="0" * 64)) is None


@pytest.mark.parametrize(
    ("one", "other", "near"),
    [
        ("1234", "1235", True), ("1234", "1324", True), ("1234", "1234", False),
        ("1234", "4321", False), ("1234", "12345", False), ("12", "21", True), ("", "", False),
    ],
)  # fmt: skip
def test_one_slip_is_one_character_or_a_swap(one, other, near):
    assert matching.one_slip_apart(one, other) is near


# -- what witnesses tell together ------------------------------------------------------------------


def test_the_first_that_tells_a_thing_counts():
    first = told(account="A", name=None, short_code=None)
    second = told(account="B", name="JUMA")

    both = matching.merged(first, second)

    assert (both.account, both.name, both.short_code) == ("A", "JUMA", "174379")


def test_a_time_that_is_sure_takes_the_place_of_a_doubtful_one():
    doubtful = told(paid_at=AT - timedelta(hours=3), paid_at_doubtful=True)

    for both in (matching.merged(doubtful, told()), matching.merged(told(), doubtful)):
        assert (both.paid_at, both.paid_at_doubtful) == (AT, False)


def test_a_hash_and_a_mask_are_kept_together():
    hashed, masked = told(payer=Payer(hashed="h")), told(payer=Payer(masked="2547*****678"))

    both = matching.merged(hashed, masked).payer

    assert both == matching.merged(masked, hashed).payer == Payer(None, "2547*****678", "h")

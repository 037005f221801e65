"""What holds of every receipt and all orders it may belong to."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import permutations

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mpesa.domain import matching, pay_code
from mpesa.domain.attempt import Account, Channel, OrderStatus
from mpesa.domain.matching import GiveByHand, GivePush, Heard, Keep
from mpesa.domain.receipt import State
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.told import Payer, Told, WitnessKind
from tests.domain import known

AT = known.PUSHED_AT
NUMBERS = ("254712345678", "254722000678", "254110000111")
CLOCKS = timedelta(minutes=1)


def mark_of(msisdn):
    return sha256(msisdn.encode()).hexdigest()


def mask(msisdn):
    return f"{msisdn[:4]}*****{msisdn[-3:]}"


codes = st.randoms(use_true_random=False).map(lambda chance: pay_code.draw(chance.randrange))
references = st.sampled_from(["INV-1001", "INV-1002", "inv 1001", "A1", "2345", "SHOES"])
moments = st.integers(-4 * 60, 4 * 60).map(lambda minutes: AT + timedelta(minutes=minutes))
numbers = st.sampled_from(NUMBERS)
payers = st.one_of(
    st.just(Payer()),
    numbers.map(lambda each: Payer(msisdn=each)),
    numbers.map(lambda each: Payer(masked=mask(each))),
    numbers.map(lambda each: Payer(masked=mask(each), hashed=mark_of(each))),
)
states = st.sampled_from(
    [
        (Status.PENDING, Reason.AWAITING_PIN, False),
        (Status.FAILED, Reason.UNREACHABLE, False),
        (Status.FAILED, Reason.CANCELLED, True),
        (Status.SUCCESS, Reason.PAID, False),
    ]
)


@st.composite
def orders(draw, number):
    created = draw(moments)
    order_id = f"order {number}".ljust(22, "o")
    order = known.order(
        id=order_id,
        amount=draw(st.sampled_from([150, 151])),
        reference=draw(references),
        pay_code=draw(st.sampled_from([None, *[draw(codes)] * 3])),
        status=draw(st.sampled_from([OrderStatus.OPEN, *OrderStatus])),
        created_at=created,
        updated_at=created + timedelta(minutes=draw(st.integers(0, 300))),
        expires_at=draw(st.sampled_from([None, None, created + timedelta(minutes=30)])),
    )
    attempts = []
    for each in range(draw(st.integers(0, 2))):
        status, reason, final = draw(states)
        attempts.append(
            known.attempt(
                id=f"{order_id[:12]} {each}".ljust(22, "t"),
                order_id=order_id,
                attempt=each + 1,
                channel=draw(st.sampled_from(Channel)),
                amount=order.amount,
                status=status,
                reason=reason,
                final=final,
                msisdn=draw(st.none() | numbers),
                account_reference=order.reference[-12:],
                created_at=created + timedelta(minutes=draw(st.integers(0, 60))),
            )
        )
    return Account(order, tuple(reversed(attempts)))


shops = st.tuples(orders(1), orders(2), orders(3)).map(
    # A pay code is one order's alone: the database sees to it.
    lambda shop: [
        each
        if each.order.pay_code not in [e.order.pay_code for e in shop[:place]]
        else replace(each, order=replace(each.order, pay_code=None))
        for place, each in enumerate(shop)
    ]
)


@st.composite
def receipts(draw, shop):
    """A receipt that mostly fits one of the orders in most ways."""
    meant = draw(st.sampled_from(shop))
    own = [each.order.pay_code for each in shop if each.order.pay_code]
    names = [*own, *(each.order.reference for each in shop), "", None, "lunch", "999999999"]
    fits = st.integers(0, 9).map(lambda number: number > 1)
    account = meant.order.pay_code if draw(st.booleans()) else meant.order.reference
    soon = meant.order.created_at + timedelta(minutes=draw(st.integers(0, 20)))
    paid_at = soon if draw(fits) else draw(st.none() | moments)
    doubtful = paid_at is not None and draw(st.booleans())
    told = Told(
        "UKO1ABCDEF",
        meant.order.amount * 100 if draw(fits) else draw(st.sampled_from([15_000, 15_050])),
        "174379",
        account if draw(fits) else draw(st.sampled_from(names)),
        draw(payers),
        None,
        paid_at,
        doubtful,
    )
    kinds = draw(st.frozensets(st.sampled_from(WitnessKind), min_size=1, max_size=3))
    return Heard(told, kinds, soon if draw(fits) else draw(moments), draw(fits))


@st.composite
def cases(draw):
    shop = draw(shops)
    proof_from = draw(st.sampled_from([None, None, None, None, 1, 15_050, 10**9]))
    return shop, draw(receipts(shop)), proof_from


def judge(case):
    shop, heard, proof_from = case
    return matching.judge(heard, shop, proof_from, mark_of)


def given_to(case):
    """The order, the push or None, of a receipt that is given; None where it is kept."""
    verdict = judge(case)
    if isinstance(verdict, Keep):
        return None
    account = next(each for each in case[0] if each.order.id == verdict.order_id)
    push = account.attempt(verdict.transaction_id) if isinstance(verdict, GivePush) else None
    return account, push


@given(cases())
def test_nothing_is_dropped_and_nobody_is_made_up(case):
    verdict, ids = judge(case), {each.order.id for each in case[0]}

    match verdict:
        case Keep():
            assert verdict.state in (State.UNCLAIMED, State.UNPROVEN)
            assert len(verdict.suggestions) == len(set(verdict.suggestions)) <= 3
            assert set(verdict.suggestions) <= ids
        case GivePush() | GiveByHand():
            assert verdict.order_id in ids


@given(cases())
def test_what_is_given_fits_what_it_pays(case):
    """In its amount, its payer and its moment; without a push, by the order's name alone."""
    found = given_to(case)
    assume(found is not None)
    (account, push), heard = found, case[1]

    asked_for = push.amount if push else account.order.amount
    assert heard.told.amount == asked_for * 100
    other = matching.Fit.OTHER
    assert push is None or matching.fit(heard.told.payer, push.msisdn, mark_of) is not other
    readings = heard.readings if push and heard.told.paid_at_doubtful else (heard.earliest,)
    assert any(each >= account.order.created_at - CLOCKS for each in readings)
    form = matching.normalised(heard.told.account or "")
    names = (account.order.pay_code, matching.normalised(account.order.reference))
    assert push is not None or form in names


@given(cases())
def test_what_has_to_be_proved_is_given_to_nobody(case):
    _, heard, proof_from = case
    alone = heard.kinds == {WitnessKind.CONFIRMATION}
    unproven = not heard.listed or (
        alone and proof_from is not None and heard.told.amount >= proof_from
    )

    verdict = judge(case)

    assert unproven is (isinstance(verdict, Keep) and verdict.state is State.UNPROVEN)


@given(cases())
def test_the_order_in_which_orders_are_read_decides_nothing(case):
    shop, heard, proof_from = case

    found = {str(_what(judge((list(each), heard, proof_from)))) for each in permutations(shop)}

    assert len(found) == 1


def _what(verdict):
    """A verdict, whatever the order of its suggestions."""
    if isinstance(verdict, Keep):
        return replace(verdict, suggestions=tuple(sorted(verdict.suggestions)))
    return verdict


@given(cases(), st.integers(0, 8), st.integers(1, 9), st.booleans())
@settings(max_examples=300)
def test_a_pay_code_one_slip_wrong_pays_no_order_by_that_code(case, place, by, swap):
    shop, heard, proof_from = case
    coded = [each for each in shop if each.order.pay_code]
    assume(coded)
    code = coded[0].order.pay_code
    if swap:
        place = min(place, 7)
        wrong = code[:place] + code[place + 1] + code[place] + code[place + 2 :]
    else:
        wrong = code[:place] + str((int(code[place]) + by) % 10) + code[place + 1 :]
    assume(wrong != code)

    slipped = replace(heard, told=replace(heard.told, account=wrong))

    assert not isinstance(judge((shop, slipped, proof_from)), GiveByHand)


@given(cases(), st.integers(0, 300))
def test_who_typed_its_code_is_given_nothing_that_the_rules_forbid(case, minutes):
    shop, heard, _ = case
    now = AT + timedelta(minutes=300)
    typed = matching.Typed(AT + timedelta(minutes=minutes), names_another=False)
    another = replace(typed, names_another=True)

    proved = [each for each in shop if matching.proves_itself(heard, each, typed, now, mark_of)]

    assume(proved)
    for account in proved:
        order = account.order
        assert account.status(now) is OrderStatus.OPEN
        assert heard.told.amount == order.amount * 100
        assert heard.earliest >= order.created_at - CLOCKS
        assert not matching.proves_itself(heard, account, another, now, mark_of)


@given(st.permutations(["callback", "confirmation", "pull", "status"]), st.booleans())
def test_whatever_the_order_of_its_witnesses_the_same_is_known(order, doubtful):
    payer = Payer(hashed=mark_of(NUMBERS[0]), masked=mask(NUMBERS[0]))
    told = {
        "callback": Told("UKO1ABCDEF", 15_000, paid_at=AT),
        "confirmation": Told(
            "UKO1ABCDEF", 15_000, "174379", "INV-1", Payer(masked=mask(NUMBERS[0])), "JUMA", AT
        ),
        "pull": Told(
            "UKO1ABCDEF", 15_000, "174379", "INV-1", payer, None, AT - timedelta(hours=3), doubtful
        )
        if doubtful
        else Told("UKO1ABCDEF", 15_000, "174379", "INV-1", payer, None, AT),
        "status": Told("UKO1ABCDEF", 15_000, "174379", None, payer, "JUMA", AT),
    }

    known_of = told[order[0]]
    for each in order[1:]:
        known_of = matching.merged(known_of, told[each])

    assert known_of == Told("UKO1ABCDEF", 15_000, "174379", "INV-1", payer, "JUMA", AT)

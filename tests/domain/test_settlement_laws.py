"""What holds for every history of a transaction, whatever arrives and in whatever order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from operator import itemgetter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mpesa.domain import settlement, view
from mpesa.domain.attempt import OPEN_UNANSWERED, Account, OrderStatus
from mpesa.domain.callback import StkResult
from mpesa.domain.result_codes import (
    FAILED_REASONS,
    PENDING_REASONS,
    SUCCESS_REASONS,
    Reason,
    Status,
)
from mpesa.domain.settlement import decide
from mpesa.domain.snapshot import draw
from tests.domain import known

PUSHED_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NEW = known.attempt()
OURS = ("2654-4b64-97ff-b827b542881d3130", "ws_CO_241120261200000712345678")
OTHERS = ("9999-4b64-97ff-b827b542881d3130", "ws_CO_241120261200000722000111")
RECEIPTS = ("UKO1ABCDEF", "UKO2GHIJKL")

QUERY_PAID = settlement.QueryAnswered("0")
Numbered = tuple[settlement.Evidence, int]

moments = st.integers(0, 80 * 3600).map(lambda seconds: PUSHED_AT + timedelta(seconds=seconds))
codes = st.sampled_from(["0", "1", "17", "1032", "1037", "2001", "2029", "4999", "9999", "7777"])
ids = st.sampled_from([OURS, OTHERS, (None, None), (None, OURS[1]), (OURS[0], None)])
receipts = st.sampled_from(RECEIPTS)
holders = st.sampled_from([None, "another-transaction-id"])


def callbacks(
    named,
    code=codes,
    unreadable=st.none(),  # noqa: B008 - strategies never change
):
    results = st.builds(
        lambda code, pair, amount, receipt: StkResult(code, *pair, amount, receipt),
        code,
        named,
        st.sampled_from([150, 1, None]),
        st.none() | receipts,
    )
    return st.builds(
        settlement.CallbackReceived,
        unreadable | results,
        listed=st.booleans(),
        receipt_holder=holders,
        rough=st.none() | results,
    )


readable = partial(callbacks, unreadable=st.nothing())
push_failures = st.sampled_from(
    [Reason.PUSH_REFUSED, Reason.SYSTEM_BUSY, Reason.LINE_BUSY, Reason.MISCONFIGURED]
)
silence = st.sampled_from(
    [
        settlement.PushUnconfirmed(),
        settlement.QueryUnanswered(),
        settlement.QueryUnanswered(paid_unnamed=True),
        settlement.QueryAnswered("4999"),
        settlement.WaitOver(),
        settlement.PromptOver(),
        settlement.SilenceTooLong(),
        settlement.TimesAhead(),
        settlement.CodeTyped(),
        settlement.CallbackReceived(None),
    ]
)
no_query = (
    silence
    | st.builds(settlement.PushFailed, push_failures)
    | st.just(settlement.ReceiptClaimed("another-transaction-id"))
    | st.builds(settlement.OperatorSaysPaid, receipts, holders)
    | st.builds(
        settlement.ReceiptFound,
        receipts,
        st.sampled_from([15_000, 14_950]),
        st.just(PUSHED_AT),
        st.booleans(),
    )
    | st.just(settlement.OperatorSaysNotPaid())
    | st.just(settlement.OperatorAsks())
    | st.just(settlement.ReceiptReturned("UKO9REVERS"))
    | st.just(settlement.OperatorLooked())
    | st.just(settlement.ReviewSettled())
)
queries = st.builds(settlement.QueryAnswered, codes, st.booleans(), st.none() | receipts, holders)
other = no_query | queries
anything = (
    other
    | callbacks(ids)
    | callbacks(ids).map(lambda each: replace(each, ids_taken=True))
    | st.builds(
        settlement.PushAnswered,
        *map(st.sampled_from, zip(OURS, OTHERS, strict=True)),
        st.booleans(),
    )
)
our_words = callbacks(st.just(OURS)) | st.just(settlement.PushAnswered(*OURS))
with_our_ids = other | our_words
history = st.lists(st.tuples(anything, moments), max_size=8)


def after(attempt, decision, now=PUSHED_AT):
    """The attempt as the decision leaves it, in an order of its own."""
    account, _ = settlement.apply(Account(known.order(), (attempt,)), attempt, decision, now)
    return account.attempts[0]


def in_substance(attempt):
    """Without what tells when something was heard, and when Daraja is asked next."""
    return replace(attempt, seq=0, updated_at=PUSHED_AT, next_ask_at=None, ask_urgently=False)


def lived(events):
    attempt = NEW
    for evidence, now in events:
        attempt = after(attempt, decide(attempt, evidence, now), now)
    return attempt


def agree(result, attempt):
    """Whether a callback names the attempt's ids, as far as they are known."""
    named = (result.merchant_request_id, result.checkout_request_id)
    known = (attempt.merchant_request_id, attempt.checkout_request_id)
    return all(ours in (None, theirs) for ours, theirs in zip(known, named, strict=True))


def believable(evidence, attempt):
    """Design: a callback with our ids, amount and a new receipt; a query's 0; an operator.

    But no query's 0 where a right callback told another amount.
    """
    if isinstance(evidence, settlement.QueryAnswered):
        return evidence.code == "0" and not attempt.amount_disputed
    if isinstance(evidence, settlement.OperatorSaysPaid):
        return not evidence.receipt_holder
    if isinstance(evidence, settlement.ReceiptFound):
        return True
    if not isinstance(evidence, settlement.CallbackReceived) or evidence.result is None:
        return False
    result = evidence.result
    doubts = evidence.ids_taken or evidence.receipt_holder or not evidence.listed
    fits = agree(result, attempt) and not doubts
    return bool(fits and (result.code, result.amount) == ("0", 150) and result.receipt)


def tells_another_amount(evidence):
    """A right callback, were it not for its amount."""
    if not isinstance(evidence, settlement.CallbackReceived) or not evidence.listed:
        return False
    result = evidence.result or evidence.rough
    return result is not None and result.code == "0" and result.amount not in (None, 150)


@given(history, anything, moments)
def test_a_success_never_leaves(
    past,
    evidence,
    now,
):
    before = lived(past)
    word = settlement.OperatorSaysPaid(RECEIPTS[0]) if before.amount_disputed else QUERY_PAID
    paid = after(before, decide(before, word, now))

    decision = decide(paid, evidence, now)

    assert (decision.status, decision.reason) == (Status.SUCCESS, paid.reason)
    assert decision.receipt == paid.receipt or paid.receipt is None
    assert decision.final or not paid.final


@given(history, anything, moments)
def test_money_is_never_dropped_and_never_made_up(
    past,
    evidence,
    now,
):
    before = lived(past)

    decision = decide(before, evidence, now)

    was_paid = before.status is Status.SUCCESS
    assert (decision.status is Status.SUCCESS) == (was_paid or believable(evidence, before))


def in_two_orders(events, *always):
    """The same evidence twice; the second time ordered by what was drawn beside each piece."""

    def numbered(each):
        return st.tuples(each, st.integers(0, 6))

    def both(sure, more):
        drawn = [*sure, *more]
        by_number = sorted(drawn, key=itemgetter(1))
        return [each for each, _ in drawn], [each for each, _ in by_number]

    sure = st.tuples(*map(numbered, always))
    return st.builds(both, sure, st.lists(numbered(events), max_size=6))


@given(in_two_orders(with_our_ids))
@settings(max_examples=300)
def test_the_order_of_arrival_does_not_decide_about_success(
    both,
):
    # A query's word counts while nothing contradicts it, so there the order does decide.
    assume(not any(map(tells_another_amount, both[0])))
    now = PUSHED_AT + timedelta(seconds=45)

    ends = [lived([(each, now) for each in events]) for events in both]

    assert (ends[0].status is Status.SUCCESS) == (ends[1].status is Status.SUCCESS)


another_amount = st.builds(
    lambda amount, receipt, readable: settlement.CallbackReceived(
        **{"result" if readable else "rough": StkResult("0", *OURS, amount, receipt)}
        | ({} if readable else {"result": None})
    ),
    st.sampled_from([1, 151, Decimal("149.5")]),
    st.none() | receipts,
    st.booleans(),
)


@given(in_two_orders(no_query | our_words, another_amount))
@settings(max_examples=300)
def test_nor_does_it_where_a_callback_tells_another_amount_and_no_query_says_paid(
    both,
):
    now = PUSHED_AT + timedelta(seconds=45)

    ends = [lived([(each, now) for each in events]) for events in both]

    assert (ends[0].status is Status.SUCCESS) == (ends[1].status is Status.SUCCESS)


@given(st.lists(st.tuples(silence, moments), max_size=3), another_amount, history, moments)
def test_what_a_callback_said_of_another_amount_no_query_overrules(
    past,
    callback,
    later,
    now,
):
    known = lived([(settlement.PushAnswered(*OURS), PUSHED_AT), *past])
    disputed = after(known, decide(known, callback, now))

    for evidence, moment in [*later, (QUERY_PAID, now)]:
        decision = decide(disputed, evidence, moment)
        if evidence == QUERY_PAID:
            assert decision.status is disputed.status
            assert decision.needs_review or decision.status is Status.SUCCESS
        disputed = after(disputed, decision)


@given(history, st.lists(st.tuples(another_amount, moments), max_size=3))
def test_another_amount_that_is_told_later_takes_no_success_away(
    past,
    later,
):
    past = [*past, (settlement.OperatorSaysPaid(RECEIPTS[0]), PUSHED_AT)]
    before, end = lived(past), lived([*past, *later])

    assert before.status is Status.SUCCESS
    doubts = {"amount_disputed": end.amount_disputed, "needs_review": end.needs_review}
    assert in_substance(end) == in_substance(replace(before, **doubts))
    assert end.seq == before.seq


@given(history, anything, moments, st.integers(0, 3600))
def test_the_same_evidence_twice_changes_nothing_the_second_time(
    past,
    evidence,
    now,
    later,
):
    # A query that comes again may be believed the second time: only its age told against it.
    assume(not (isinstance(evidence, settlement.QueryAnswered) and evidence.code == "2029"))
    first = lived(past)
    once = after(first, decide(first, evidence, now))

    twice = after(once, decide(once, evidence, now + timedelta(seconds=later)))

    assert twice == once


@given(history, anything, moments)
def test_a_final_failure_changes_by_money_or_by_a_person_only(
    past,
    evidence,
    now,
):
    before = lived([(settlement.PushFailed(Reason.PUSH_REFUSED), PUSHED_AT), *past])
    assume(before.status is Status.FAILED and before.final)

    decision = decide(before, evidence, now)

    by_a_person = isinstance(evidence, settlement.OperatorSaysNotPaid)
    if not believable(evidence, before) and not by_a_person:
        assert decision.status is Status.FAILED
        assert (decision.reason, decision.final) == (before.reason, True)


@given(history, st.lists(st.tuples(silence, moments), min_size=1))
def test_silence_is_never_a_failure_nor_a_success(
    past,
    quiet,
):
    assert lived([*past, *quiet]).status is lived(past).status


@given(history, readable(ids, st.just("0")), moments)
def test_code_0_that_is_not_believed_needs_review(
    past,
    callback,
    now,
):
    before = lived(past)
    assume(not believable(callback, before))

    decision = decide(before, callback, now)

    # Where nothing but the MerchantRequestID lacks, Daraja can tell, and no person has to.
    assert decision.needs_review or lacks_only_its_merchant_id(callback, before)
    if not decision.needs_review and before.status is not Status.SUCCESS:
        assert decision.ask_now


def lacks_only_its_merchant_id(callback, attempt):
    if callback.result is None or callback.result.merchant_request_id is not None:
        return False
    named = replace(callback.result, merchant_request_id=attempt.merchant_request_id)
    return believable(replace(callback, result=named), attempt)


@given(history, callbacks(ids, st.just("0")), moments, st.lists(st.tuples(anything, moments)))
def test_code_0_that_daraja_was_asked_about_is_proven_or_waits_or_is_given_to_a_person(
    past,
    callback,
    now,
    later,
):
    attempt = lived([(settlement.PushAnswered(*OURS), PUSHED_AT), *past])
    assume(callback.result is not None or callback.rough is not None)
    looked_at = proven = False

    for evidence, moment in [(callback, now), *later]:
        decision = decide(attempt, evidence, moment)
        attempt = after(attempt, decision)
        looked_at |= decision.needs_review or isinstance(evidence, settlement.OperatorSaysNotPaid)
        proven |= attempt.status is Status.SUCCESS

        assert looked_at or proven or attempt.success_claimed


@given(history, readable(st.sampled_from([OTHERS, (None, None), (OURS[0], None)])), moments)
def test_ids_that_disagree_need_review(
    past,
    callback,
    now,
):
    before = lived([(settlement.PushAnswered(*OURS), PUSHED_AT), *past])

    decision = decide(before, callback, now)

    assert decision.needs_review
    assert decision.status is before.status


@given(history, anything, moments)
def test_an_unknown_code_needs_review(
    past,
    evidence,
    now,
):
    before = lived(past)

    decision = decide(before, evidence, now)

    if decision.reason is Reason.UNKNOWN_CODE and before.reason is not Reason.UNKNOWN_CODE:
        assert decision.needs_review


@given(history, anything, moments)
def test_who_cannot_be_asked_about_is_given_to_a_person(
    past,
    evidence,
    now,
):
    before = lived(past)

    decision = decide(before, evidence, now)

    assert not (decision.ask_now and before.checkout_request_id is None)
    if isinstance(evidence, settlement.CodeTyped):
        assert decision.ask_now or decision.needs_review


@given(history)
def test_status_reason_and_finality_always_fit_each_other(
    past,
):
    end = lived(past)

    fitting = {
        Status.PENDING: PENDING_REASONS,
        Status.SUCCESS: SUCCESS_REASONS,
        Status.FAILED: FAILED_REASONS,
    }
    assert end.reason in fitting[end.status]
    assert not (end.status is Status.PENDING and end.final)
    assert (end.receipt is None) or end.status is Status.SUCCESS
    if end.status is Status.SUCCESS and end.receipt:
        assert end.final


@given(st.lists(st.tuples(st.builds(settlement.QueryAnswered, codes), moments)))
def test_what_is_known_from_queries_alone_is_never_final(
    answers,
):
    assert not lived(answers).final


@given(history)
def test_ids_once_known_never_change(
    past,
):
    known = lived([(settlement.PushAnswered(*OURS), PUSHED_AT), *past])

    assert (known.merchant_request_id, known.checkout_request_id) == OURS


# -- what a decision does to the order and its attempts -------------------------------------------

FIRST, SECOND = "first".ljust(22, "-"), "second".ljust(22, "-")
TWICE = Account(
    known.order(expires_at=PUSHED_AT + timedelta(hours=1)),
    (known.attempt(id=SECOND, attempt=2), known.attempt(id=FIRST, is_open=False)),
)
of_either = st.tuples(st.sampled_from([FIRST, SECOND]), anything, moments)


def apply_one(account, event):
    which, evidence, now = event
    attempt = account.attempt(which)
    return settlement.apply(account, attempt, decide(attempt, evidence, now), now)


def lived_by_both(events):
    account = TWICE
    for event in events:
        account, _ = apply_one(account, event)
    return account


@given(st.lists(of_either, max_size=8))
def test_an_order_is_paid_by_one_success_and_every_other_one_is_for_a_person(
    events,
):
    end = TWICE
    for event in events:
        before = end
        end, decision = apply_one(before, event)
        paid = before.attempt(event[0]).status is not end.attempt(event[0]).status is Status.SUCCESS
        in_time = (
            isinstance(event[1], settlement.ReceiptFound)
            and before.status(event[2]) is OrderStatus.EXPIRED
            and before.order.expires_at is not None
            and event[1].paid_at < before.order.expires_at
        )
        if paid and before.status(event[2]) is not OrderStatus.OPEN and not in_time:
            assert decision.needs_review
            assert end.attempt(event[0]).needs_review

    successes = [each for each in end.attempts if each.status is Status.SUCCESS]
    settling = [each for each in end.attempts if each.settles_order]
    assert (end.order.status is OrderStatus.PAID) == bool(successes)
    assert len(settling) == min(1, len(successes))
    assert all(each.status is Status.SUCCESS for each in settling)
    assert not any(each.is_open and each.status is not Status.PENDING for each in end.attempts)


@given(st.lists(of_either, max_size=5), of_either)
def test_the_other_attempt_hears_of_the_order_and_of_a_prompt_to_cancel_and_of_nothing_else(
    past,
    event,
):
    before = lived_by_both(past)
    which, _, now = event
    other = FIRST if which == SECOND else SECOND

    after, _ = apply_one(before, event)

    changed = before.attempt(which).seq != after.attempt(which).seq
    told_of_prompt = after.order.status is OrderStatus.PAID and changed
    heard = before.order.status is not after.order.status or (
        told_of_prompt and view.prompt_left(before, now) != view.prompt_left(after, now)
    )
    told = before.attempt(other).with_next_seq(now) if heard else before.attempt(other)
    assert after.attempt(other) == told


@given(st.lists(of_either, max_size=5), of_either)
def test_a_snapshot_that_shows_something_else_has_the_next_seq(
    past,
    event,
):
    before = lived_by_both(past)
    which, evidence, now = event
    # A push is answered long before this; its answer only moves the end of what is shown already.
    late = now >= PUSHED_AT + OPEN_UNANSWERED
    assume(not (late and isinstance(evidence, settlement.PushAnswered)))

    after, _ = apply_one(before, event)

    was, became = before.attempt(which), after.attempt(which)
    assert became.seq in (was.seq, was.seq + 1)
    if shown(before, was, now) != shown(after, became, now):
        assert became.seq == was.seq + 1
        assert became.updated_at == now
    if became.seq == was.seq:
        assert became.updated_at == was.updated_at


def shown(account, attempt, now):
    """What a snapshot shows, but for its number and the time of the change."""
    return {**draw(account, attempt, now), "seq": 0, "updated_at": ""}


@given(st.lists(of_either, max_size=5), of_either)
def test_only_a_person_takes_a_review_away(
    past,
    event,
):
    before = lived_by_both(past)
    which, evidence, _ = event

    after, decision = apply_one(before, event)

    by_a_person = isinstance(
        evidence,
        settlement.ReviewSettled | settlement.OperatorSaysPaid | settlement.OperatorSaysNotPaid,
    )
    kept = before.attempt(which).needs_review and not (by_a_person and decision.settles_review)
    assert after.attempt(which).needs_review == (kept or decision.needs_review)

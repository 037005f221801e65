"""What holds for every history of a transaction, whatever arrives and in whatever order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mpesa.domain import settlement
from mpesa.domain.callback import StkResult
from mpesa.domain.result_codes import (
    FAILED_REASONS,
    PENDING_REASONS,
    SUCCESS_REASONS,
    Reason,
    Status,
)
from mpesa.domain.settlement import Attempt, Decision, decide

PUSHED_AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
NEW = Attempt(Status.PENDING, Reason.AWAITING_PIN, False, 150, PUSHED_AT)
OURS = ("2654-4b64-97ff-b827b542881d3130", "ws_CO_241120261200000712345678")
OTHERS = ("9999-4b64-97ff-b827b542881d3130", "ws_CO_241120261200000722000111")
RECEIPTS = ("UKO1ABCDEF", "UKO2GHIJKL")

moments = st.integers(0, 80 * 3600).map(lambda seconds: PUSHED_AT + timedelta(seconds=seconds))
codes = st.sampled_from(["0", "1", "17", "1032", "1037", "2001", "2029", "4999", "9999", "7777"])
ids = st.sampled_from([OURS, OTHERS, (None, None), (None, OURS[1]), (OURS[0], None)])
receipts = st.sampled_from(RECEIPTS)


def callbacks(
    named: st.SearchStrategy[tuple[str | None, str | None]],
    code: st.SearchStrategy[str] = codes,
) -> st.SearchStrategy[settlement.CallbackReceived]:
    results = st.builds(
        lambda code, pair, amount, receipt: StkResult(code, *pair, amount, receipt),
        code,
        named,
        st.sampled_from([150, 1, None]),
        st.none() | receipts,
    )
    return st.builds(
        settlement.CallbackReceived,
        st.none() | results,
        listed=st.booleans(),
        receipt_taken=st.booleans(),
    )


push_failures = st.sampled_from(
    [Reason.PUSH_REFUSED, Reason.SYSTEM_BUSY, Reason.LINE_BUSY, Reason.MISCONFIGURED]
)
silence = st.sampled_from(
    [
        settlement.PushUnconfirmed(),
        settlement.QueryUnanswered(),
        settlement.QueryAnswered("4999"),
        settlement.WaitOver(),
        settlement.PromptOver(),
        settlement.SilenceTooLong(),
        settlement.CodeTyped(),
        settlement.CallbackReceived(None),
    ]
)
other = (
    silence
    | st.builds(settlement.PushFailed, push_failures)
    | st.builds(settlement.QueryAnswered, codes, st.booleans())
    | st.builds(settlement.OperatorSaysPaid, receipts, st.booleans())
    | st.just(settlement.OperatorSaysNotPaid())
    | st.just(settlement.OperatorAsks())
    | st.just(settlement.OperatorLooked())
    | st.just(settlement.ReviewSettled())
)
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
with_our_ids = other | callbacks(st.just(OURS)) | st.just(settlement.PushAnswered(*OURS))
history = st.lists(st.tuples(anything, moments), max_size=8)


def after(attempt: Attempt, decision: Decision) -> Attempt:
    """The attempt as the decision leaves it."""
    merchant_id, checkout_id = decision.adopts or (None, None)
    return replace(
        attempt,
        status=decision.status,
        reason=decision.reason,
        final=decision.final,
        receipt=decision.receipt,
        retry_at=decision.retry_at,
        merchant_request_id=attempt.merchant_request_id or merchant_id,
        checkout_request_id=attempt.checkout_request_id or checkout_id,
    )


def lived(events: list[tuple[settlement.Evidence, datetime]]) -> Attempt:
    attempt = NEW
    for evidence, now in events:
        attempt = after(attempt, decide(attempt, evidence, now))
    return attempt


def believable(evidence: settlement.Evidence, attempt: Attempt) -> bool:
    """Design: a callback with our ids, amount and a new receipt; a query's 0; an operator."""
    if isinstance(evidence, settlement.QueryAnswered):
        return evidence.code == "0"
    if isinstance(evidence, settlement.OperatorSaysPaid):
        return not evidence.receipt_taken
    if not isinstance(evidence, settlement.CallbackReceived) or evidence.result is None:
        return False
    named = (evidence.result.merchant_request_id, evidence.result.checkout_request_id)
    known = (attempt.merchant_request_id, attempt.checkout_request_id)
    agree = all(ours in (None, theirs) for ours, theirs in zip(known, named, strict=True))
    doubts = evidence.ids_taken or evidence.receipt_taken or not evidence.listed or not agree
    result = evidence.result
    return not doubts and (result.code, result.amount) == ("0", 150) and result.receipt is not None


@given(history, anything, moments)
def test_a_success_never_leaves(
    past: list[tuple[settlement.Evidence, datetime]],
    evidence: settlement.Evidence,
    now: datetime,
) -> None:
    paid = after(lived(past), decide(lived(past), settlement.QueryAnswered("0"), now))

    decision = decide(paid, evidence, now)

    assert (decision.status, decision.reason) == (Status.SUCCESS, paid.reason)
    assert decision.receipt == paid.receipt or paid.receipt is None
    assert decision.final or not paid.final


@given(history, anything, moments)
def test_money_is_never_dropped_and_never_made_up(
    past: list[tuple[settlement.Evidence, datetime]],
    evidence: settlement.Evidence,
    now: datetime,
) -> None:
    before = lived(past)

    decision = decide(before, evidence, now)

    was_paid = before.status is Status.SUCCESS
    assert (decision.status is Status.SUCCESS) == (was_paid or believable(evidence, before))


def in_two_orders(
    events: list[settlement.Evidence],
) -> st.SearchStrategy[tuple[list[settlement.Evidence], list[settlement.Evidence]]]:
    return st.tuples(st.just(events), st.permutations(events))


@given(st.lists(with_our_ids, max_size=6).flatmap(in_two_orders))
@settings(max_examples=300)
def test_the_order_of_arrival_does_not_decide_about_success(
    both: tuple[list[settlement.Evidence], list[settlement.Evidence]],
) -> None:
    now = PUSHED_AT + timedelta(seconds=45)

    ends = [lived([(each, now) for each in events]) for events in both]

    assert (ends[0].status is Status.SUCCESS) == (ends[1].status is Status.SUCCESS)


@given(history, anything, moments, st.integers(0, 3600))
def test_the_same_evidence_twice_changes_nothing_the_second_time(
    past: list[tuple[settlement.Evidence, datetime]],
    evidence: settlement.Evidence,
    now: datetime,
    later: int,
) -> None:
    # A query that comes again may be believed the second time: only its age told against it.
    assume(not (isinstance(evidence, settlement.QueryAnswered) and evidence.code == "2029"))
    first = lived(past)
    once = after(first, decide(first, evidence, now))

    twice = after(once, decide(once, evidence, now + timedelta(seconds=later)))

    assert twice == once


@given(history, anything, moments)
def test_a_final_failure_changes_by_money_or_by_a_person_only(
    past: list[tuple[settlement.Evidence, datetime]],
    evidence: settlement.Evidence,
    now: datetime,
) -> None:
    before = lived([(settlement.PushFailed(Reason.PUSH_REFUSED), PUSHED_AT), *past])
    assume(before.status is Status.FAILED and before.final)

    decision = decide(before, evidence, now)

    by_a_person = isinstance(evidence, settlement.OperatorSaysNotPaid)
    if not believable(evidence, before) and not by_a_person:
        assert decision.status is Status.FAILED
        assert (decision.reason, decision.final) == (before.reason, True)


@given(history, st.lists(st.tuples(silence, moments), min_size=1))
def test_silence_is_never_a_failure_nor_a_success(
    past: list[tuple[settlement.Evidence, datetime]],
    quiet: list[tuple[settlement.Evidence, datetime]],
) -> None:
    assert lived([*past, *quiet]).status is lived(past).status


@given(history, callbacks(ids, st.just("0")), moments)
def test_code_0_that_is_not_believed_needs_review(
    past: list[tuple[settlement.Evidence, datetime]],
    callback: settlement.CallbackReceived,
    now: datetime,
) -> None:
    before = lived(past)
    assume(callback.result is not None and not believable(callback, before))

    assert decide(before, callback, now).needs_review


@given(history, callbacks(ids), moments)
def test_ids_that_disagree_need_review(
    past: list[tuple[settlement.Evidence, datetime]],
    callback: settlement.CallbackReceived,
    now: datetime,
) -> None:
    before = lived([(settlement.PushAnswered(*OURS), PUSHED_AT), *past])
    assume(callback.result is not None and callback.result.checkout_request_id != OURS[1])

    decision = decide(before, callback, now)

    assert decision.needs_review
    assert decision.status is before.status


@given(history, anything, moments)
def test_an_unknown_code_needs_review(
    past: list[tuple[settlement.Evidence, datetime]],
    evidence: settlement.Evidence,
    now: datetime,
) -> None:
    before = lived(past)

    decision = decide(before, evidence, now)

    if decision.reason is Reason.UNKNOWN_CODE and before.reason is not Reason.UNKNOWN_CODE:
        assert decision.needs_review


@given(history, anything, moments)
def test_who_cannot_be_asked_about_is_given_to_a_person(
    past: list[tuple[settlement.Evidence, datetime]],
    evidence: settlement.Evidence,
    now: datetime,
) -> None:
    before = lived(past)

    decision = decide(before, evidence, now)

    assert not (decision.ask_now and before.checkout_request_id is None)
    if isinstance(evidence, settlement.CodeTyped):
        assert decision.ask_now or decision.needs_review


@given(history)
def test_status_reason_and_finality_always_fit_each_other(
    past: list[tuple[settlement.Evidence, datetime]],
) -> None:
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
    answers: list[tuple[settlement.Evidence, datetime]],
) -> None:
    assert not lived(answers).final


@given(history)
def test_ids_once_known_never_change(
    past: list[tuple[settlement.Evidence, datetime]],
) -> None:
    known = lived([(settlement.PushAnswered(*OURS), PUSHED_AT), *past])

    assert (known.merchant_request_id, known.checkout_request_id) == OURS

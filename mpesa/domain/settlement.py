"""State + evidence -> decision: the one table that says what becomes of a transaction.

Pure: no I/O, no clock. `ledger.record()` writes the decisions down.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from mpesa.domain import schedule, steps, view
from mpesa.domain.attempt import OPEN_FOR, Account, Attempt, OrderStatus, Times
from mpesa.domain.callback import StkResult
from mpesa.domain.result_codes import (
    PAID_CODE,
    RULES,
    Reason,
    Status,
    reason_of_callback,
    reason_of_query,
    retry_at,
)
from mpesa.domain.why import Why


@dataclass(frozen=True)
class PushAnswered:
    """Daraja accepted the push and gave it ids.

    Attributes:
        ids_taken: another transaction has its CheckoutRequestID.
    """

    merchant_request_id: str
    checkout_request_id: str
    ids_taken: bool = False


@dataclass(frozen=True)
class PushFailed:
    """Daraja clearly refused the push, or it was never sent: no prompt can be on the phone."""

    reason: Reason


@dataclass(frozen=True)
class PushUnconfirmed:
    """It is unknown whether the push ran: the prompt may be on the phone."""


@dataclass(frozen=True)
class CallbackReceived:
    """A callback under this transaction's token.

    Attributes:
        result: None where the body was unreadable.
        listed: it came from an address that may be believed.
        ids_taken: another transaction has its CheckoutRequestID.
        receipt_holder: the id of another transaction that has its receipt.
        held_by_own_order: that is a transaction of the same order.
        receipt_differs: a receipt with its number is known, of another amount.
        rough: the claims of an unreadable body, as far as they can be made out.
    """

    result: StkResult | None
    listed: bool = True
    ids_taken: bool = False
    receipt_holder: str | None = None
    held_by_own_order: bool = False
    receipt_differs: bool = False
    rough: StkResult | None = None


@dataclass(frozen=True)
class QueryAnswered:
    """Daraja's answer about our CheckoutRequestID; it carries neither receipt nor amount.

    Attributes:
        sets_wait: False where a shopper asks for the next push right now: news of an old failure
            is then no reason to wait again.
        kept_receipt: the receipt in a callback of this transaction that was kept and not believed,
            and whose amount and ids agree.
        receipt_holder: the id of another transaction that has that receipt.
        held_by_hand: that is a payment of the same order by hand.
    """

    code: str
    sets_wait: bool = True
    kept_receipt: str | None = None
    receipt_holder: str | None = None
    held_by_hand: bool = False


@dataclass(frozen=True)
class QueryUnanswered:
    """Daraja was asked and told nothing: still under processing, busy, or no answer at all.

    Attributes:
        paid_unnamed: it said that a payment was paid, and named another payment, or none.
    """

    paid_unnamed: bool = False


@dataclass(frozen=True)
class WaitOver:
    """The shopper's wait is over, and no result has come."""


@dataclass(frozen=True)
class PromptOver:
    """The prompt's longest life has passed: order and line are free for another push."""


@dataclass(frozen=True)
class SilenceTooLong:
    """No result has come for so long that only a person can find out."""


@dataclass(frozen=True)
class ClockStepped:
    """The server's clock stepped while the attempt was under way.

    Attributes:
        seen: the attempt's times at the look before; None: it was begun since.
    """

    step: steps.Step
    seen: Times | None


@dataclass(frozen=True)
class TimesAhead:
    """Times of the attempt lie further in the future than their rules allow.

    They were written by a clock that was ahead, and was put back since.

    Attributes:
        by: how far the clock was seen to step back; zero where no worker saw it.
    """

    by: timedelta = timedelta(0)


@dataclass(frozen=True)
class CodeTyped:
    """The shopper typed the receipt out of an SMS: a claim, never a proof."""


@dataclass(frozen=True)
class ReceiptClaimed:
    """Another transaction's callback names the receipt that this one has only by a person's word.

    Attributes:
        claimant: the other transaction's id.
    """

    claimant: str


@dataclass(frozen=True)
class ReceiptFound:
    """A receipt is this transaction's: by rule, by the code of an SMS, or by a person's word.

    Attributes:
        amount: the cents that came.
        paid_at: when it was paid, by the earliest reading; aware UTC.
        doubtful: another transaction should have had it, or it may have to be given back.
    """

    receipt: str
    amount: int
    paid_at: datetime
    doubtful: bool = False


@dataclass(frozen=True)
class ReceiptReturned:
    """M-PESA tells that the money, or some of it, went back otherwise than by a refund of ours.

    Attributes:
        reversal: M-PESA's receipt of that.
    """

    reversal: str


@dataclass(frozen=True)
class ChosenByHand:
    """The shopper chose to pay by hand."""


@dataclass(frozen=True)
class NotReceived:
    """Money by hand did not come for so long that nobody waits for it."""


@dataclass(frozen=True)
class OperatorSaysPaid:
    """A person checked the statement and found the money.

    Attributes:
        receipt_holder: the id of another transaction that has the receipt.
    """

    receipt: str
    receipt_holder: str | None = None


@dataclass(frozen=True)
class OperatorSaysNotPaid:
    """A person checked the statement and found no money."""


@dataclass(frozen=True)
class OperatorAsks:
    """A person wants Daraja to be asked at once."""


@dataclass(frozen=True)
class OperatorLooked:
    """A person had the payer's whole number shown."""


@dataclass(frozen=True)
class ReviewSettled:
    """A person dealt with the contradiction; the state stays as it is."""


Evidence = (
    PushAnswered
    | PushFailed
    | PushUnconfirmed
    | CallbackReceived
    | QueryAnswered
    | QueryUnanswered
    | WaitOver
    | PromptOver
    | SilenceTooLong
    | ClockStepped
    | TimesAhead
    | CodeTyped
    | ReceiptClaimed
    | ReceiptFound
    | ReceiptReturned
    | ChosenByHand
    | NotReceived
    | OperatorSaysPaid
    | OperatorSaysNotPaid
    | OperatorAsks
    | OperatorLooked
    | ReviewSettled
)


@dataclass(frozen=True)
class Decision:
    """The new state of the transaction, and the reason for it.

    Attributes:
        why: the word for the reason.
        about: the subject of that word: an id, a reason, a time.
        retry_at: when the order's next push may go out; None: no wait.
        prompt_ends_at: when the prompt's longest life is over; None: as it was.
        times: the transaction's times from now on; None: as they were.
        adopts: (MerchantRequestID, CheckoutRequestID) to be kept from now on.
        disputes_amount: from now on, a query's word does not suffice for a success.
        success_claimed: the attempt's field from now on; so is failed_by_query.
        by_rule: as success_claimed.
        paid_at: when the money came, as far as a receipt tells it.
        receipt_amount: the cents that came, where that is another amount; None: as it was.
        same_money: the order has its receipt by another of its transactions.
        contests: the id of a transaction whose receipt was named by this one's own callback.
        needs_review: a person must look; it never takes an earlier flag away.
        settles_review: a person has looked; it takes an earlier flag away, unless there is new
            doubt.
        ask_now: Daraja is to be asked at once.
        closes: the attempt is no longer open.
        replan: the time of the next question is to be worked out anew.
    """

    status: Status
    reason: Reason
    final: bool
    receipt: str | None
    why: Why
    about: str = ""
    retry_at: datetime | None = None
    prompt_ends_at: datetime | None = None
    times: Times | None = None
    adopts: tuple[str | None, str | None] | None = None
    disputes_amount: bool = False
    success_claimed: bool = False
    failed_by_query: bool = False
    by_rule: bool = False
    paid_at: datetime | None = None
    receipt_amount: int | None = None
    same_money: bool = False
    contests: str | None = None
    needs_review: bool = False
    settles_review: bool = False
    ask_now: bool = False
    closes: bool = False
    replan: bool = False

    @property
    def text(self) -> str:
        """The reason as the decision's row keeps it."""
        return f"{self.why}: {self.about}" if self.about else self.why.value


def decide(  # noqa: C901 - a case for each kind of evidence
    attempt: Attempt, evidence: Evidence, now: datetime
) -> Decision:
    """Say what becomes of a transaction.

    Args:
        attempt: the transaction, as it is known.
        evidence: the new evidence about it.
        now: the time of the decision, aware UTC.

    Returns:
        The decision. A SUCCESS stays; money is never dropped; silence is never a failure.
    """
    match evidence:
        case PushAnswered():
            return _push_answered(attempt, evidence, now)
        case PushFailed():
            return _push_failed(attempt, evidence, now)
        case PushUnconfirmed():
            return _push_unconfirmed(attempt)
        case CallbackReceived():
            return _callback_received(attempt, evidence, now)
        case QueryAnswered():
            return _query_answered(attempt, evidence, now)
        case QueryUnanswered():
            return _query_unanswered(attempt, evidence)
        case WaitOver():
            return _wait_over(attempt)
        case PromptOver():
            return replace(_unchanged(attempt, Why.PROMPT_OVER), closes=True)
        case SilenceTooLong():
            return _silence_too_long(attempt)
        case ClockStepped():
            return _clock_stepped(attempt, evidence, now)
        case TimesAhead():
            return _times_ahead(attempt, evidence, now)
        case CodeTyped() if attempt.by_hand:
            return _unchanged(attempt, Why.CODE_TYPED)  # there is no push to ask about
        case CodeTyped():
            return _ask(attempt, Why.CODE_TYPED)
        case ReceiptClaimed() | ReceiptReturned():
            return _receipt_doubted(attempt, evidence)
        case ReceiptFound():
            return _receipt_found(attempt, evidence)
        case ChosenByHand():
            return _unchanged(attempt, Why.CHOSEN_BY_HAND)
        case NotReceived():
            return _not_received(attempt)
        case OperatorSaysPaid():
            return _operator_says_paid(attempt, evidence)
        case OperatorSaysNotPaid():
            return _operator_says_not_paid(attempt, now)
        case OperatorAsks():
            return _ask(attempt, Why.OPERATOR_ASKS)
        case OperatorLooked():
            return _unchanged(attempt, Why.OPERATOR_LOOKED)
        case ReviewSettled():
            return replace(_unchanged(attempt, Why.REVIEW_SETTLED), settles_review=True)
        case _:
            assert_never(evidence)


def apply(
    account: Account, attempt: Attempt, decision: Decision, now: datetime, share: str | None = None
) -> tuple[Account, Decision]:
    """Let a decision take effect on an order and its attempts.

    The first success pays the order, which the snapshots of its other attempts show. Money that
    comes twice, or after the order's end, is kept all the same, and a person gives it back.

    Args:
        account: as it was when the decision was made.
        attempt: the attempt of the account that was decided on.
        now: aware UTC.
        share: a mark of the sender whose share of the questions pays if Daraja is asked at once.

    Returns:
        The account from now on, and the decision with what the order's state adds to it. The `seq`
        of every attempt whose snapshot differs has grown.
    """
    pays = decision.status is Status.SUCCESS and attempt.status is not Status.SUCCESS
    status = account.status(now)
    paid_at, ends = decision.paid_at, account.order.expires_at
    paid_before_the_end = paid_at is not None and ends is not None and paid_at < ends
    in_time = status is OrderStatus.EXPIRED and paid_before_the_end
    if pays and status is not OrderStatus.OPEN and not (in_time or decision.same_money):
        paid = status is OrderStatus.PAID
        why = Why.MONEY_TWICE if paid else Why.MONEY_FOR_CLOSED_ORDER
        decision = replace(decision, why=why, about=decision.text, needs_review=True)
    settles = pays and status is not OrderStatus.PAID
    after = _planned(attempt, _decided(attempt, decision, now), decision, now, share)
    after = replace(after, settles_order=attempt.settles_order or settles)
    if settles:
        return account.changed(after).ended(OrderStatus.PAID, now), decision
    alike = _looks_alike(attempt, after)
    changed = account.changed(after if alike else after.with_next_seq(now))
    # All snapshots of a paid order say whether there is a prompt to cancel.
    if status is OrderStatus.PAID and view.prompt_left(account, now) != view.prompt_left(
        changed, now
    ):
        changed = changed.with_next_seqs(now, but="" if alike else attempt.id)
    return changed, decision


def _decided(attempt: Attempt, decision: Decision, now: datetime) -> Attempt:
    merchant_id, checkout_id = decision.adopts or (None, None)
    in_doubt = attempt.needs_review and not decision.settles_review
    times = decision.times or attempt.times
    return replace(
        attempt,
        status=decision.status,
        reason=decision.reason,
        final=decision.final,
        receipt=decision.receipt,
        retry_at=decision.retry_at,
        prompt_ends_at=decision.prompt_ends_at or attempt.prompt_ends_at,
        created_at=times.created_at,
        updated_at=times.updated_at,
        settled_at=times.settled_at if decision.status is attempt.status else now,
        needs_review=in_doubt or decision.needs_review,
        amount_disputed=attempt.amount_disputed or decision.disputes_amount,
        success_claimed=decision.success_claimed,
        failed_by_query=decision.failed_by_query,
        by_rule=decision.by_rule,
        receipt_amount=_cents_that_came(attempt, decision),
        merchant_request_id=attempt.merchant_request_id or merchant_id,
        checkout_request_id=attempt.checkout_request_id or checkout_id,
        is_open=attempt.is_open and not decision.closes,
    )


def _cents_that_came(attempt: Attempt, decision: Decision) -> int | None:
    """None: what was asked for; 0: they came by the order's transaction that has the receipt."""
    if decision.receipt is None and decision.same_money:
        return 0
    return attempt.receipt_amount if decision.receipt_amount is None else decision.receipt_amount


def _planned(
    before: Attempt, after: Attempt, decision: Decision, now: datetime, share: str | None
) -> Attempt:
    """Plan the next question; one that is urgent for a better reason stays no stranger's."""
    if decision.times is not None:
        return replace(after, next_ask_at=decision.times.next_ask_at)
    if decision.replan or schedule.decides(after) != schedule.decides(before):
        planned = schedule.next_question(after, now)
        after = replace(after, next_ask_at=planned, ask_urgently=False)
    if not decision.ask_now:
        return after
    better = after.ask_urgently and after.urgent_for is None
    return replace(
        after,
        # A question that is due already keeps its place among those that have been due longest.
        next_ask_at=min(after.next_ask_at or now, now),
        ask_urgently=True,
        urgent_for=None if better else share,
    )


def _looks_alike(before: Attempt, after: Attempt) -> bool:
    """Whether the snapshots of both are the same, and let a page do the same."""
    return (
        before.status is after.status
        and before.reason is after.reason
        and before.final == after.final
        and before.receipt == after.receipt
        and before.retry_at == after.retry_at
        and before.is_open == after.is_open
        and before.failed_by_query == after.failed_by_query
        and before.receipt_amount == after.receipt_amount
        and before.created_at == after.created_at
        and before.updated_at == after.updated_at
    )


def _push_answered(attempt: Attempt, evidence: PushAnswered, now: datetime) -> Decision:
    ids = (evidence.merchant_request_id, evidence.checkout_request_id)
    if evidence.ids_taken or _contradicts(attempt, *ids):
        return _unchanged(attempt, Why.PUSH_NAMES_OTHER_IDS, needs_review=True)
    # Recorded twice, the prompt lives no longer; where a callback brought the ids, it has ended.
    known = ids == (attempt.merchant_request_id, attempt.checkout_request_id)
    ends = None if known else now + OPEN_FOR
    if attempt.status is not Status.PENDING:
        late = _unchanged(attempt, Why.PUSH_ANSWERED_LATE)
        return replace(late, adopts=ids, prompt_ends_at=ends)
    reason = attempt.reason if attempt.reason is Reason.OVERDUE else Reason.AWAITING_PIN
    taken = _unchanged(attempt, Why.PUSH_TAKEN)
    return replace(taken, reason=reason, adopts=ids, prompt_ends_at=ends)


def _push_failed(attempt: Attempt, evidence: PushFailed, now: datetime) -> Decision:
    if attempt.status is not Status.PENDING:
        return _unchanged(attempt, Why.PUSH_FAILED_LATE)
    return _failed(attempt, evidence.reason, now, Why.PUSH_NOT_RUN, final=True)


def _push_unconfirmed(attempt: Attempt) -> Decision:
    if attempt.status is not Status.PENDING or attempt.checkout_request_id is not None:
        return _unchanged(attempt, Why.PUSH_ANSWER_NOT_NEEDED)
    reason = attempt.reason if attempt.reason is Reason.OVERDUE else Reason.PUSH_UNCONFIRMED
    return replace(_unchanged(attempt, Why.PUSH_UNCERTAIN), reason=reason)


def _callback_received(attempt: Attempt, evidence: CallbackReceived, now: datetime) -> Decision:
    result = evidence.result
    if not evidence.listed:
        told = result or evidence.rough
        doubtful = (told is not None and told.code == PAID_CODE) or (
            result is not None
            and (_ids_disagree(attempt, result) or _lacks_checkout_id(attempt, result))
        )
        why = Why.CALLBACK_NOT_LISTED
        return _ask(attempt, why, needs_review=doubtful)
    if result is None:
        return _unreadable(attempt, evidence)
    repeats_receipt = result.receipt is not None and result.receipt == attempt.receipt
    if attempt.forgotten and (result.code != PAID_CODE or repeats_receipt):
        return _unchanged(attempt, Why.CALLBACK_AFTER_FORGETTING)
    if evidence.ids_taken or _ids_disagree(attempt, result):
        return _unchanged(attempt, Why.CALLBACK_NAMES_OTHER_IDS, needs_review=True)
    if _lacks_checkout_id(attempt, result):
        return _ask(attempt, Why.CALLBACK_LACKS_CHECKOUT_ID, needs_review=True)
    if result.code == PAID_CODE:
        return _callback_success(attempt, result, evidence)
    return _callback_failure(attempt, result, now)


def _query_answered(attempt: Attempt, evidence: QueryAnswered, now: datetime) -> Decision:
    if evidence.code == PAID_CODE:
        return _query_success(attempt, evidence)
    reason = reason_of_query(evidence.code, now - attempt.created_at)
    if reason is None:
        return _query_told_nothing(attempt)
    if attempt.status is Status.FAILED and attempt.success_claimed:
        return _claim_not_proven(attempt, reason)
    if attempt.status is not Status.PENDING:
        return replace(_unchanged(attempt, Why.QUERY_ONLY_RECORDED, reason), by_rule=False)
    failed = _failed(attempt, reason, now, Why.QUERY_SAYS_FAILED, reason, final=False)
    failed = replace(failed, failed_by_query=True)
    if attempt.success_claimed:
        failed = replace(failed, why=Why.CLAIM_NOT_PROVEN)
    return failed if evidence.sets_wait else replace(failed, retry_at=None)


def _query_unanswered(attempt: Attempt, evidence: QueryUnanswered) -> Decision:
    told_nothing = _query_told_nothing(attempt)
    if not evidence.paid_unnamed:
        return told_nothing
    # A payer paid, and the answer does not say which: it is not believed, and not ignored either.
    return replace(told_nothing, why=Why.QUERY_PAID_UNNAMED, about="", needs_review=True)


def _wait_over(attempt: Attempt) -> Decision:
    if attempt.status is not Status.PENDING:
        return _unchanged(attempt, Why.WAIT_OVER_LATE)
    return replace(_unchanged(attempt, Why.WAIT_OVER), reason=Reason.OVERDUE)


def _silence_too_long(attempt: Attempt) -> Decision:
    if attempt.status is Status.SUCCESS and attempt.receipt is None:
        missing = _unchanged(attempt, Why.RECEIPT_NEVER_CAME, needs_review=True)
        return replace(missing, final=True, replan=True)
    silent = attempt.status is Status.PENDING
    heard = _unchanged(attempt, Why.SILENT_TOO_LONG, needs_review=silent)
    return replace(heard, replan=True)


def _clock_stepped(attempt: Attempt, evidence: ClockStepped, now: datetime) -> Decision:
    wait = timedelta(seconds=RULES[attempt.reason].wait_seconds if attempt.reason in RULES else 0)
    times = steps.stepped(attempt.times, evidence.seen, evidence.step, now, wait)
    if times is None:
        return _unchanged(attempt, Why.TIMES_PUT_RIGHT_BEFORE)
    by = evidence.step.by.total_seconds()
    return _timed(attempt, times, Why.CLOCK_STEPPED, f"{by:+.0f} s, ")


def _times_ahead(attempt: Attempt, evidence: TimesAhead, now: datetime) -> Decision:
    times = steps.within_their_rules(attempt, now, evidence.by)
    if times == attempt.times:
        return _unchanged(attempt, Why.TIMES_PUT_RIGHT_BEFORE)
    return _timed(attempt, times, Why.CLOCK_WAS_AHEAD)


def _receipt_doubted(attempt: Attempt, evidence: ReceiptClaimed | ReceiptReturned) -> Decision:
    if isinstance(evidence, ReceiptReturned):
        return _unchanged(attempt, Why.RECEIPT_RETURNED, evidence.reversal, needs_review=True)
    return _unchanged(attempt, Why.RECEIPT_CLAIMED, evidence.claimant, needs_review=True)


def _receipt_found(attempt: Attempt, evidence: ReceiptFound) -> Decision:
    if _has_another(attempt, evidence.receipt):
        return _unchanged(attempt, Why.SECOND_RECEIPT, needs_review=True)
    paid = _paid(attempt, evidence.receipt, Why.RECEIPT_FOUND, evidence.receipt)
    another_amount = evidence.amount != attempt.amount * 100
    return replace(
        paid,
        by_rule=not attempt.by_hand and (attempt.by_rule or attempt.status is not Status.SUCCESS),
        paid_at=evidence.paid_at,
        receipt_amount=evidence.amount if another_amount else None,
        needs_review=evidence.doubtful,
    )


def _not_received(attempt: Attempt) -> Decision:
    gone = _unchanged(attempt, Why.NOT_RECEIVED)
    if attempt.status is not Status.PENDING or not attempt.by_hand:
        return gone
    return replace(gone, status=Status.FAILED, reason=Reason.NOT_RECEIVED)


def _operator_says_paid(attempt: Attempt, evidence: OperatorSaysPaid) -> Decision:
    if evidence.receipt_holder:
        return _taken(attempt, evidence.receipt_holder)
    if _has_another(attempt, evidence.receipt):
        return _unchanged(attempt, Why.OPERATOR_NAMES_OTHER_RECEIPT, needs_review=True)
    paid = _paid(attempt, evidence.receipt, Why.OPERATOR_FOUND_MONEY)
    # A receipt that is filled in later settles no other doubt, such as money that came twice.
    return replace(paid, settles_review=attempt.status is not Status.SUCCESS)


def _operator_says_not_paid(attempt: Attempt, now: datetime) -> Decision:
    if attempt.status is Status.SUCCESS:
        return _unchanged(attempt, Why.PAID_STAYS_PAID)
    failed = _failed(attempt, Reason.CLOSED_BY_OPERATOR, now, Why.OPERATOR_FOUND_NONE)
    return replace(failed, settles_review=True, needs_review=False)


def _callback_success(attempt: Attempt, result: StkResult, evidence: CallbackReceived) -> Decision:
    holder = evidence.receipt_holder
    if result.amount not in (None, attempt.amount):
        other = _unchanged(attempt, Why.CALLBACK_NAMES_OTHER_AMOUNT, needs_review=True)
        return replace(other, disputes_amount=True)
    if result.amount is None or result.receipt is None:
        return _ask(attempt, Why.CALLBACK_LACKS_AMOUNT_OR_RECEIPT, needs_review=True)
    if evidence.receipt_differs:
        return _unchanged(attempt, Why.RECEIPT_DIFFERS, result.receipt, needs_review=True)
    if holder and evidence.held_by_own_order:
        return replace(_paid_as_its_order(attempt), adopts=_adopted(attempt, result))
    if holder:
        return replace(_taken(attempt, holder), contests=holder)
    if _has_another(attempt, result.receipt):
        return _unchanged(attempt, Why.SECOND_RECEIPT, needs_review=True)
    if _lacks_merchant_id(attempt, result) and attempt.status is not Status.SUCCESS:
        return _ask_whether_paid(attempt, Why.CALLBACK_LACKS_MERCHANT_ID)
    paid = _paid(attempt, result.receipt, Why.CALLBACK_SAYS_PAID)
    return replace(paid, adopts=_adopted(attempt, result))


def _query_success(attempt: Attempt, evidence: QueryAnswered) -> Decision:
    if attempt.amount_disputed and attempt.status is not Status.SUCCESS:
        why = Why.QUERY_AGAINST_THE_AMOUNT
        return _unchanged(attempt, why, needs_review=True)
    holder = evidence.receipt_holder
    if holder and evidence.held_by_hand and attempt.receipt is None:
        return _paid_as_its_order(attempt)
    if holder and attempt.receipt is None:
        paid = _paid(attempt, None, Why.QUERY_PAID_RECEIPT_TAKEN, holder)
        return replace(paid, needs_review=True, contests=holder)
    kept = None if attempt.shares_receipt else evidence.kept_receipt
    receipt = attempt.receipt or kept
    return _paid(attempt, receipt, Why.QUERY_SAYS_PAID)


def _query_told_nothing(attempt: Attempt) -> Decision:
    """A PENDING attempt is asked about for 72 hours; a claim about a failure goes to a person."""
    if attempt.status is Status.FAILED and attempt.success_claimed:
        return _claim_not_proven(attempt)
    return _unchanged(attempt, Why.QUERY_TOLD_NOTHING)


def _claim_not_proven(attempt: Attempt, told: str = "") -> Decision:
    unproven = _unchanged(attempt, Why.CLAIM_NOT_PROVEN, told, needs_review=True)
    return replace(unproven, success_claimed=False)


def _unreadable(attempt: Attempt, evidence: CallbackReceived) -> Decision:
    """The body is not believed, but may name a proven payment's receipt, or another amount."""
    rough = evidence.rough
    if rough is None or rough.code != PAID_CODE:
        return _ask(attempt, Why.CALLBACK_UNREADABLE)
    if _is_ours(attempt, rough) and rough.amount not in (None, attempt.amount):
        return replace(
            _ask(attempt, Why.CALLBACK_UNREADABLE, needs_review=True), disputes_amount=True
        )
    if attempt.status is not Status.SUCCESS:
        return _ask_whether_paid(attempt, Why.CALLBACK_UNREADABLE)
    if kept_receipt(attempt, rough) not in (None, attempt.receipt):
        return _callback_success(attempt, rough, evidence)
    return _ask(attempt, Why.CALLBACK_UNREADABLE)


def kept_receipt(attempt: Attempt, result: StkResult) -> str | None:
    """Find the receipt in a callback that was not believed.

    A query's 0 proves the payment, and such a callback may then tell its receipt.

    Args:
        result: the callback's claims, as far as they can be made out.

    Returns:
        None where its amount or its ids are not this attempt's, or it names no receipt.
    """
    agrees = result.code == PAID_CODE and result.amount == attempt.amount
    return result.receipt if agrees and _is_ours(attempt, result) else None


def _callback_failure(attempt: Attempt, result: StkResult, now: datetime) -> Decision:
    reason = reason_of_callback(result.code)
    if reason is None:
        return _unchanged(attempt, Why.CALLBACK_TELLS_NO_END)
    if attempt.status is Status.SUCCESS:
        # A receipt is money, whatever became of the prompt: its payer may have paid by hand.
        known = attempt.by_rule
        paid = _unchanged(attempt, Why.FAILED_AFTER_PAID, needs_review=not known)
        return replace(paid, by_rule=False)
    if attempt.status is Status.FAILED and attempt.final:
        return _unchanged(attempt, Why.FAILED_AFTER_THE_END)
    if _lacks_merchant_id(attempt, result):
        return _ask(attempt, Why.CALLBACK_LACKS_MERCHANT_ID)
    unknown = reason is Reason.UNKNOWN_CODE
    why = Why.CALLBACK_OF_UNKNOWN_CODE if unknown else Why.CALLBACK_SAYS_FAILED
    failed = _failed(attempt, reason, now, why, reason)
    if attempt.status is Status.FAILED and attempt.reason is reason:
        failed = replace(failed, retry_at=attempt.retry_at)  # a repeated failure begins no new wait
    if attempt.success_claimed:
        failed = replace(failed, why=Why.CALLBACK_SAYS_OTHERWISE, ask_now=True)
    return replace(
        failed,
        adopts=_adopted(attempt, result),
        needs_review=failed.needs_review or unknown,
    )


def _adopted(attempt: Attempt, result: StkResult) -> tuple[str | None, str | None] | None:
    """The ids of a callback that overtook the push's answer."""
    if attempt.checkout_request_id is not None or result.checkout_request_id is None:
        return None
    return result.merchant_request_id, result.checkout_request_id


def _contradicts(attempt: Attempt, merchant_id: str | None, checkout_id: str | None) -> bool:
    """Whether an id is named that differs from ours; a missing id contradicts nothing."""
    known = (attempt.merchant_request_id, attempt.checkout_request_id)
    return any(
        ours is not None and theirs is not None and ours != theirs
        for ours, theirs in zip(known, (merchant_id, checkout_id), strict=True)
    )


def _lacks_checkout_id(attempt: Attempt, result: StkResult) -> bool:
    return attempt.checkout_request_id is not None and result.checkout_request_id is None


def _lacks_merchant_id(attempt: Attempt, result: StkResult) -> bool:
    return attempt.merchant_request_id is not None and result.merchant_request_id is None


def _is_ours(attempt: Attempt, result: StkResult) -> bool:
    names_it = result.checkout_request_id is not None and not _ids_disagree(attempt, result)
    return names_it and attempt.checkout_request_id is not None


def _ids_disagree(attempt: Attempt, result: StkResult) -> bool:
    return _contradicts(attempt, result.merchant_request_id, result.checkout_request_id)


def _paid(attempt: Attempt, receipt: str | None, why: Why, about: str = "") -> Decision:
    reasons = {Status.PENDING: Reason.PAID, Status.FAILED: Reason.PAID_LATE}
    return Decision(
        status=Status.SUCCESS,
        reason=reasons.get(attempt.status, attempt.reason),
        final=attempt.final
        if receipt == attempt.receipt and attempt.status is Status.SUCCESS
        else bool(receipt),
        receipt=receipt,
        why=why,
        about=about,
        closes=True,
    )


def _paid_as_its_order(attempt: Attempt) -> Decision:
    """It is paid, by the money of which its order has the receipt already."""
    paid = _paid(attempt, attempt.receipt, Why.RECEIPT_OF_ITS_ORDER)
    return replace(paid, final=True, same_money=True)


def _has_another(attempt: Attempt, receipt: str) -> bool:
    """Whether a receipt may not become an attempt's: it has another, or shares one."""
    return attempt.shares_receipt or attempt.receipt not in (None, receipt)


def _failed(
    attempt: Attempt,
    reason: Reason,
    now: datetime,
    why: Why,
    about: str = "",
    *,
    final: bool | None = None,
) -> Decision:
    return Decision(
        status=Status.FAILED,
        reason=reason,
        final=RULES[reason].final if final is None else final,
        receipt=attempt.receipt,
        why=why,
        about=about,
        retry_at=retry_at(reason, attempt.created_at, now),
        needs_review=attempt.success_claimed,
        closes=True,
    )


def _taken(attempt: Attempt, holder: str) -> Decision:
    return _unchanged(attempt, Why.RECEIPT_TAKEN, holder, needs_review=True)


def _timed(attempt: Attempt, times: Times, why: Why, by: str = "") -> Decision:
    """Put times right; the decision's row keeps the beginning that was shown before."""
    before = attempt.created_at.isoformat(timespec="seconds")
    told = _unchanged(attempt, why, by + before)
    return replace(told, retry_at=times.retry_at, prompt_ends_at=times.prompt_ends_at, times=times)


def _unchanged(
    attempt: Attempt, why: Why, about: str = "", *, needs_review: bool = False
) -> Decision:
    return Decision(
        status=attempt.status,
        reason=attempt.reason,
        final=attempt.final,
        receipt=attempt.receipt,
        retry_at=attempt.retry_at,
        success_claimed=attempt.success_claimed,
        failed_by_query=attempt.failed_by_query,
        by_rule=attempt.by_rule,
        why=why,
        about=about,
        needs_review=needs_review,
    )


def _ask(attempt: Attempt, why: Why, about: str = "", *, needs_review: bool = False) -> Decision:
    """Have Daraja asked at once; without an id to ask with, a person has to look."""
    nothing_to_ask_with = attempt.checkout_request_id is None or attempt.forgotten
    unchanged = _unchanged(attempt, why, needs_review=needs_review or nothing_to_ask_with)
    return replace(unchanged, ask_now=not nothing_to_ask_with)


def _ask_whether_paid(attempt: Attempt, why: Why) -> Decision:
    """As `_ask`, for a claim that needs no person if Daraja's answer proves it."""
    asked = _ask(attempt, why)
    return replace(asked, success_claimed=asked.ask_now)

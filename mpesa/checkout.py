"""Start a payment: check, write the row, ask Daraja, record the answer."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session

from mpesa import books, counters, idempotency, ledger, logs, queries, turns
from mpesa.books import By, PushFacts, PushLookup
from mpesa.daraja import Daraja, DarajaError, NotSent, Push, Refused
from mpesa.daraja_access import Access
from mpesa.domain import settlement
from mpesa.domain.attempt import OPEN_UNANSWERED, Account, Attempt, OrderStatus
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.push_rules import (
    AskFirst,
    CloseOld,
    Count,
    Done,
    Join,
    Refuse,
    Seen,
    SendPush,
    next_step,
)
from mpesa.domain.reference import account_reference
from mpesa.domain.refusals import KeyReused, OrderNotFound, RetryLater
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.domain.snapshot import Snapshot
from mpesa.idempotency import JOINED, FirstAnswer, Key
from mpesa.ids import hash_token, new_callback_token, new_id
from mpesa.ledger import Announce, Recorded
from mpesa.queries import Question

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PushRequest:
    """A shopper's request for a push.

    Attributes:
        msisdn: the line that is to be asked for its PIN, as `domain.phone` writes it.
        idempotency_key: the request's key; None where it sent none.
        pushed_from: a mark of the sender, whose share of the questions to Daraja pays for those
            about this push.
    """

    order_id: str
    msisdn: str
    idempotency_key: str | None = None
    pushed_from: str | None = None

    @property
    def key(self) -> Key | None:
        """The key within its order; None where none was sent."""
        if self.idempotency_key is None:
            return None
        return Key(f"order:{self.order_id}", self.idempotency_key, self.msisdn)

    @property
    def lookup(self) -> PushLookup:
        """The keys of all that decides about it."""
        if (key := self.key) is None:
            return PushLookup(self.order_id, self.msisdn)
        return PushLookup(self.order_id, self.msisdn, key.scope, key.value)


@dataclass(frozen=True)
class Started:
    """A push that went out, or the open one that was joined.

    Attributes:
        status_code: 202 where a push went out, 200 where an open one was joined.
        snapshot: as the push left it; None: it has to be read.
    """

    transaction_id: str
    status_code: int
    snapshot: Snapshot | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Needs:
    """The means to start a payment.

    Attributes:
        access: the way to Daraja, and the time.
        callback_url: makes the URL that Daraja is given of a callback token.
        check_limits: raises where this line or its sender asked too often.
        announce: tells rooms about transactions that changed.
        clock_stepped: whether the clock was changed a moment ago, so that the time is to end
            nothing; the next tick puts right what was under way.
    """

    access: Access
    callback_url: Callable[[str], str]
    check_limits: Callable[[str], None]
    announce: Announce
    clock_stepped: Callable[[], bool] = lambda: False


def start(  # noqa: C901 - a case for each step
    session: Session, request: PushRequest, needs: Needs
) -> Started:
    """Start a push for an order, or join the one that is open.

    The row and the hash of its callback token are committed before Daraja hears of the push.

    Args:
        session: writes are commits of their own; neither lock nor connection is held meanwhile.
        request: checked fields.

    Returns:
        The transaction, and whether a push went out for it.

    Raises:
        OrderError: no push went out; `domain.refusals` has the reasons.
        SQLAlchemyError: the database failed.
    """
    facts = _facts(session, request)
    earlier = _answered_before(request, facts)
    if earlier is not None:
        return _noted(earlier)
    if needs.clock_stepped():
        raise RetryLater(_A_TICK)
    seen, done = facts.seen, Done()
    for _ in range(_MOST_STEPS):
        step = next_step(seen, request.msisdn, needs.access.now(), done)
        match step:
            case Refuse(refusal):
                raise refusal
            case CloseOld(over):
                if needs.clock_stepped():
                    raise RetryLater(_A_TICK)  # while Daraja was asked: it may not be over
                for transaction_id in over:  # what the clock should have done by now
                    raw, evidence = Raw(Kind.CLOCK), settlement.PromptOver()
                    recorded = ledger.record(
                        session, transaction_id, evidence, raw, needs.access.now
                    )
                    needs.announce(recorded.changes)
                seen = _facts(session, request).seen
            case Count():
                needs.check_limits(request.msisdn)
                done = replace(done, counted=True)
            case AskFirst(attempts):
                _ask_about(session, attempts, request.pushed_from, needs)
                done = replace(done, asked=done.asked | {each.id for each in attempts})
            case Join(transaction_id) if request.key is None:
                return _noted(Started(transaction_id, JOINED))
            case Join() | SendPush():
                outcome = _under_the_lock(session, request, needs, done)
                if isinstance(outcome, Seen):
                    seen = outcome  # the order had changed before it was locked
                    continue
                if isinstance(outcome, Started):
                    return _noted(outcome)
                _noted(outcome.started)
                recorded = _ask_daraja(session, outcome, needs)
                needs.announce(recorded.changes)
                return replace(outcome.started, snapshot=recorded.snapshot)
    raise RetryLater(1)


# -- before the push ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Outgoing:
    """A push whose row is committed, and that is to be sent.

    Attributes:
        began: when its row got its time (seconds of the monotonic clock).
    """

    started: Started
    push: Push
    began: float


def _facts(session: Session, request: PushRequest) -> PushFacts:
    try:
        return books.facts_for_push(session, request.lookup)
    except books.Unknown:
        raise OrderNotFound from None


def _noted(started: Started) -> Started:
    logs.note(transaction_id=started.transaction_id)
    return started


def _answered_before(request: PushRequest, facts: PushFacts) -> Started | None:
    """What the same request was answered before; None where it is new."""
    if request.key is None or facts.kept is None:
        return None
    earlier = idempotency.answered(request.key, facts.kept)
    if earlier.transaction_id is None:
        raise KeyReused
    return Started(earlier.transaction_id, earlier.status_code)


def _ask_about(
    session: Session, attempts: Sequence[Attempt], pushed_from: str | None, needs: Needs
) -> None:
    """Have Daraja asked, as far as the sender's share of the questions goes.

    Without shares, a sender who presses again and again would use up all questions.
    """
    now = needs.access.now()
    for each in attempts:
        if turns.yields(session, pushed_from, each.id, now):
            return
        if not turns.take(session, needs.access.budget, pushed_from, now, is_old=False):
            return
        question = Question(
            each.id, each.checkout_request_id or "", sets_wait=False, patience=_QUESTION_PATIENCE
        )
        needs.announce(queries.ask(session, question, needs.access))


def _under_the_lock(
    session: Session, request: PushRequest, needs: Needs, done: Done
) -> Started | _Outgoing | Seen:
    """Decide once more under the order's lock, and write the new row, or the key that joins.

    Returns:
        A push that is to be sent, or what the request is answered; what was seen, where the next
        step cannot be done under the lock.
    """
    token, transaction_id = new_callback_token(), new_id()
    outgoing: _Outgoing | None = None
    try:
        with books.taken_out_for_push(session, request.lookup) as (taken, facts):
            seen = facts.seen
            now, began = needs.access.now(), time.monotonic()
            earlier = _answered_before(request, facts)
            if earlier is not None:
                return earlier
            match next_step(seen, request.msisdn, now, done):
                case Join(open_one):
                    started, after = Started(open_one, JOINED), seen.account
                case SendPush():
                    started = Started(transaction_id, _PUSHED)
                    after = _with_new_attempt(seen.account, request, transaction_id, token, now)
                    push = Push(
                        msisdn=request.msisdn,
                        amount=after.order.amount,
                        reference=after.order.reference,
                        description=after.order.description,
                        callback_url=needs.callback_url(token),
                    )
                    outgoing = _Outgoing(started, push, began)
                case _:
                    return seen
            answer = FirstAnswer(started.status_code, request.order_id, started.transaction_id)
            taken.put_back(after, *idempotency.kept(taken.connection, request.key, answer, now))
            return outgoing or started
    except IntegrityError:  # another push of this order, or on this line, was first
        return _facts(session, request).seen
    except DBAPIError as error:
        if outgoing is None or not error.connection_invalidated:
            raise
        return _found_again(session, request, outgoing, error, needs)


def _found_again(
    session: Session, request: PushRequest, outgoing: _Outgoing, error: DBAPIError, needs: Needs
) -> Started | _Outgoing | Seen:
    """Find out what became of a row whose COMMIT was not answered.

    The lost connection held the order's lock until it had committed or given up, so what is read
    under that lock is final. No other process sends this push, since none knows its token, though
    other requests may have joined it meanwhile.

    Returns:
        The push, which is still to be sent; Started, where the attempt has ended since; what is
        seen now, where the row was not committed.

    Raises:
        DBAPIError: the error of the COMMIT; the database does not come back.
    """
    until = time.monotonic() + _LOOK_FOR_ROW
    while True:
        try:
            with books.taken_out(session, By.ORDER, request.order_id) as taken:
                account = taken.account
            break
        except SQLAlchemyError:  # the database's, or a pool's that has no connection left
            if time.monotonic() > until:
                raise error from None
            time.sleep(_PAUSE)
    started = outgoing.started
    attempt = next((each for each in account.attempts if each.id == started.transaction_id), None)
    if attempt is None:
        return _facts(session, request).seen
    is_wanted = account.order.status is OrderStatus.OPEN
    if is_wanted and attempt.prompt_may_live(needs.access.now()):
        return outgoing
    raw = Raw(Kind.PUSH_ANSWER, b"not sent: it had ended when its row was found again")
    not_sent = settlement.PushFailed(Reason.SYSTEM_BUSY)
    recorded = ledger.record(session, attempt.id, not_sent, raw, needs.access.now)
    needs.announce(recorded.changes)
    return started


def _with_new_attempt(
    account: Account, request: PushRequest, transaction_id: str, token: str, now: datetime
) -> Account:
    newest = Attempt(
        id=transaction_id,
        order_id=account.order.id,
        attempt=1 + max((each.attempt for each in account.attempts), default=0),
        msisdn=request.msisdn,
        amount=account.order.amount,
        account_reference=account_reference(account.order.reference),
        callback_token_hash=hash_token(token),
        status=Status.PENDING,
        reason=Reason.AWAITING_PIN,
        final=False,
        is_open=True,
        prompt_ends_at=now + OPEN_UNANSWERED,
        next_ask_at=now + FIRST_QUESTION,
        pushed_from=request.pushed_from,
        created_at=now,
        updated_at=now,
    )
    return Account(account.order, (newest, *account.attempts))


# -- the push ----------------------------------------------------------------------------------


def _ask_daraja(session: Session, outgoing: _Outgoing, needs: Needs) -> Recorded:
    """Send the push and record what came of it.

    Daraja tells the CheckoutRequestID once, and without it Daraja cannot be asked what became of
    the prompt. So a write that fails is repeated until the database takes it or has been away for
    too long. If only the answer to the COMMIT was lost, recording once more changes nothing.

    Raises:
        SQLAlchemyError: the answer could not be recorded.
    """
    log.info("a push is sent")
    session.rollback()  # no connection is held while Daraja thinks
    evidence, body = _send(needs.access.daraja, outgoing)
    raw, transaction_id = Raw(Kind.PUSH_ANSWER, body), outgoing.started.transaction_id
    until = time.monotonic() + _RECORD_FOR
    while True:
        try:
            return ledger.record(session, transaction_id, evidence, raw, needs.access.now)
        except _REFUSED_FOR_GOOD:
            raise
        except SQLAlchemyError:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)


def _send(daraja: Daraja, outgoing: _Outgoing) -> tuple[settlement.Evidence, bytes]:
    # The prompt's longest life is counted from the row, so a slow commit takes its time from this.
    left = outgoing.began + PUSH_BUDGET.total_seconds() - time.monotonic()
    try:
        accepted = daraja.push(outgoing.push, budget=left)
    except (NotSent, Refused) as error:
        if error.reason is Reason.MISCONFIGURED:
            # A shopper can do nothing about it, so the merchant has to hear of it.
            log.error("M-PESA is not set up correctly: %s", error)
        counters.count("pushes", outcome="refused" if isinstance(error, Refused) else "not_sent")
        return settlement.PushFailed(error.reason), error.body or str(error).encode()
    except DarajaError as error:
        counters.count("pushes", outcome="unconfirmed")
        return settlement.PushUnconfirmed(), error.body or str(error).encode()
    counters.count("pushes", outcome="accepted")
    ids = (accepted.merchant_request_id, accepted.checkout_request_id)
    return settlement.PushAnswered(*ids), accepted.body


# Seconds in which the clock ticks at least once.
_A_TICK = 2
# Counting, asking and writing are three steps. Each change between two reads (another order on this
# line, an attempt that has just grown old) takes one or two more.
_MOST_STEPS = 10
# The status code of a request for which a push went out.
_PUSHED = 202
# A person waits for the push; one whose answer takes longer counts as unconfirmed.
PUSH_BUDGET = timedelta(seconds=20)
# Seconds in which a database that lost a COMMIT's answer may come back; the other half of the
# budget is left for the push.
_LOOK_FOR_ROW = PUSH_BUDGET.total_seconds() / 2
_PAUSE = 0.2
# Seconds in which the database has to take a push's answer: a restart, a failover to a standby that
# is ready, and a lock whose holder is lost (PostgreSQL ends it after 15 s) are over by then. With
# the push's 20 s, the request still ends before the usual limit of a proxy, which is 60 s.
_RECORD_FOR = 30.0
# Errors of the statement itself, which a repetition would meet again.
_REFUSED_FOR_GOOD = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
# Seconds for a question that a shopper waits for before the next push; the push goes out without an
# answer too.
_QUESTION_PATIENCE = 5.0

"""Start a payment: check, write the row, ask Daraja, record the answer."""

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Connection, func, select
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.orm import Session

from mpesa import asking, books, counters, ledger, logs, turns
from mpesa.asking import Line, Question
from mpesa.books import By, Write
from mpesa.daraja import Daraja, DarajaError, NotSent, Push, PushAccepted, Refused
from mpesa.domain import settlement
from mpesa.domain.attempt import OPEN_UNANSWERED, Account, Attempt, Order, OrderStatus
from mpesa.domain.reference import account_reference
from mpesa.domain.result_codes import Reason, Status
from mpesa.domain.schedule import FIRST_QUESTION
from mpesa.domain.snapshot import seconds_left, wait_left
from mpesa.ledger import Announce, Change, Kind, Raw
from mpesa.models import IdempotencyKey
from mpesa.tokens import hash_token, new_callback_token, new_id

log = logging.getLogger(__name__)


class PushNotStarted(Exception):
    """Why no push went out."""


class OrderNotFound(PushNotStarted):
    """There is no such order."""


class OrderPaid(PushNotStarted):
    """The order is paid."""


class OrderClosed(PushNotStarted):
    """The order was cancelled or has expired."""


class KeyReused(PushNotStarted):
    """The idempotency key came before with other fields."""


@dataclass
class MustWait(PushNotStarted):
    """A later push may be taken.

    Attributes:
        seconds: until then.
    """

    seconds: int


class AttemptOpen(MustWait):
    """A prompt of this order may still be answered on another phone."""


class RetryLater(MustWait):
    """The newest attempt's wait is not over."""


class LineBusy(MustWait):
    """A prompt of another order may still be answered on this phone."""


@dataclass(frozen=True)
class PushRequest:
    """What a shopper asks for.

    Attributes:
        pushed_from: a mark of its sender, whose share of Daraja's questions pays for its own.
    """

    order_id: str
    msisdn: str
    idempotency_key: str | None = None
    pushed_from: str | None = None


@dataclass(frozen=True)
class Started:
    """A push that went out, or the open one that was joined.

    Attributes:
        status_code: 202 where a push went out for it, 200 where it joined.
    """

    transaction_id: str
    status_code: int


@dataclass(frozen=True)
class Seams:
    """What starting a payment needs from outside.

    Attributes:
        line: the way to Daraja, and the time.
        callback_url: from a callback token to the address that Daraja is given.
        check_limits: raises where this line or address asked too often.
        announce: tells rooms about transactions that changed.
        clock_stepped: whether the clock was changed a moment ago, so that nothing is to be ended by
            the time; the next tick puts right what was under way.
    """

    line: Line
    callback_url: Callable[[str], str]
    check_limits: Callable[[str], None]
    announce: Announce
    clock_stepped: Callable[[], bool] = lambda: False


def start(session: Session, request: PushRequest, seams: Seams) -> Started:
    """Start a push for an order, or join the one that is open.

    The row and the hash of its callback token are committed before Daraja hears of it.

    Args:
        session: writes are commits of their own; nothing is held while Daraja is asked.
        request: checked fields.
        seams: clock, Daraja and the edges.

    Raises:
        PushNotStarted: one of the classes above.
    """
    # However often the checks are made, one press counts once.
    seams = replace(seams, check_limits=cache(seams.check_limits))
    for _try in range(_TRIES):
        try:
            started, outgoing = _start_or_join(session, request, seams)
        except (IntegrityError, _LookAgain):
            continue  # what was seen had changed when the lock was held
        logs.note(transaction_id=started.transaction_id)
        if outgoing is not None:
            log.info("a push is sent")
            seams.announce(_ask_daraja(session, started.transaction_id, outgoing, seams))
        return started
    raise RetryLater(1)


# -- before the push ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Seen:
    """What decides about a push.

    Attributes:
        on_line: other orders' attempts that are marked open on the same line.
    """

    account: Account
    on_line: Sequence[Attempt]


@dataclass(frozen=True)
class _Outgoing:
    """A push whose row is committed, and that is to be sent.

    Attributes:
        began: when its row got its time (seconds of the monotonic clock).
    """

    push: Push
    began: float


class _LookAgain(Exception):
    """Under the lock, things are no longer as they were seen before it."""


def _start_or_join(
    session: Session, request: PushRequest, seams: Seams
) -> tuple[Started, _Outgoing | None]:
    earlier = _earlier(session.connection(), request)
    if earlier is not None:
        return earlier, None
    if seams.clock_stepped():
        raise RetryLater(_A_TICK)
    try:
        account = books.seen(session, By.ORDER, request.order_id)
    except books.Unknown:
        raise OrderNotFound from None
    seen = _Seen(account, _on_line(session.connection(), request))
    if _close_what_is_over(session, seen, seams):
        raise _LookAgain
    joined = _check(seen, request, seams.line.now())
    if joined is None:
        seams.check_limits(request.msisdn)
        _ask_once_more(session, seen, request.pushed_from, seams)
    elif request.idempotency_key is None:
        return joined, None
    return _write_row(session, request, seams, joins=joined is not None)


def _write_row(
    session: Session, request: PushRequest, seams: Seams, *, joins: bool
) -> tuple[Started, _Outgoing | None]:
    """The checks once more under the order's lock, then the row.

    Args:
        joins: the checks before found an attempt to join, so that no limit was counted.
    """
    token, started = new_callback_token(), Started(new_id(), 202)
    outgoing: _Outgoing | None = None
    try:
        with books.taken_out(session, By.ORDER, request.order_id) as taken:
            seen = _Seen(taken.account, _on_line(taken.connection, request))
            now, began = seams.line.now(), time.monotonic()
            earlier = _earlier(taken.connection, request)
            if earlier is not None:
                return earlier, None
            joined = _check(seen, request, now)
            if joined is not None:
                taken.put_back(seen.account, *_key(taken.connection, request, joined, now))
                return joined, None
            if joins or _over(seen, now):
                raise _LookAgain
            account = _with_new_attempt(seen.account, request, started.transaction_id, token, now)
            push = _push(account.order, request, seams.callback_url(token))
            outgoing = _Outgoing(push, began)
            taken.put_back(account, *_key(taken.connection, request, started, now))
    except DBAPIError as error:
        if outgoing is None or not error.connection_invalidated:
            raise
        if not _was_committed(session, request, started.transaction_id, error, seams):
            return started, None
    return started, outgoing


def _was_committed(
    session: Session, request: PushRequest, transaction_id: str, error: DBAPIError, seams: Seams
) -> bool:
    """Find out what became of a row whose COMMIT was not answered.

    Under the order's lock, which the lost connection held until it had committed or given up: what
    is seen then is final. Nobody else sends this push, since nobody else knows its token, though
    others may have joined it meanwhile.

    Returns:
        False where it was, but has ended since, and no push is to be sent any more.

    Raises:
        _LookAgain: the row was not committed.
        DBAPIError: the one that the COMMIT ended with; the database stays away.
    """
    until = time.monotonic() + _LOOK_FOR_ROW
    while True:
        try:
            with books.taken_out(session, By.ORDER, request.order_id) as taken:
                account = taken.account
            break
        except DBAPIError:
            if time.monotonic() > until:
                raise error from None
            time.sleep(_PAUSE)
    attempt = next((each for each in account.attempts if each.id == transaction_id), None)
    if attempt is None:
        raise _LookAgain
    is_wanted = account.order.status is OrderStatus.OPEN
    if is_wanted and attempt.prompt_may_live(seams.line.now()):
        return True
    raw = Raw(Kind.PUSH_ANSWER, b"not sent: it had ended when its row was found again")
    not_sent = settlement.PushFailed(Reason.SYSTEM_BUSY)
    seams.announce(ledger.record(session, transaction_id, not_sent, raw, seams.line.now))
    return False


def _on_line(connection: Connection, request: PushRequest) -> list[Attempt]:
    return [
        each
        for each in books.open_on_line(connection, request.msisdn)
        if each.order_id != request.order_id
    ]


def _check(seen: _Seen, request: PushRequest, now: datetime) -> Started | None:
    """Everything that may stop a push, in the order in which it is told.

    Returns:
        The open attempt to join; None: push.
    """
    _check_order(seen.account.status(now))
    joined = _check_attempts(seen.account.attempts, request, now)
    if joined is None:
        _check_line(seen.on_line, now)
    return joined


def _check_order(status: OrderStatus) -> None:
    if status is OrderStatus.PAID:
        raise OrderPaid
    if status is not OrderStatus.OPEN:
        raise OrderClosed


def _check_attempts(
    attempts: Sequence[Attempt], request: PushRequest, now: datetime
) -> Started | None:
    for attempt in attempts:
        if attempt.prompt_may_live(now):
            if attempt.msisdn == request.msisdn:
                return Started(attempt.id, _JOINED)
            raise AttemptOpen(seconds_left(attempt.prompt_end(now), now) or 1)
    wait = wait_left(attempts[0], now) if attempts else None
    if wait:
        raise RetryLater(wait)
    return None


def _check_line(on_line: Sequence[Attempt], now: datetime) -> None:
    for attempt in on_line:
        if attempt.prompt_may_live(now):
            raise LineBusy(seconds_left(attempt.prompt_end(now), now) or 1)


def _over(seen: _Seen, now: datetime) -> list[str]:
    """Attempts that are marked open and are too old to be answered."""
    marked = [each for each in (*seen.account.attempts, *seen.on_line) if each.is_open]
    return [each.id for each in marked if not each.prompt_may_live(now)]


def _close_what_is_over(session: Session, seen: _Seen, seams: Seams) -> bool:
    """Do what the clock should have done by now, each under its own order's lock."""
    over = _over(seen, seams.line.now())
    for transaction_id in over:
        raw = Raw(Kind.CLOCK)
        seams.announce(
            ledger.record(session, transaction_id, settlement.PromptOver(), raw, seams.line.now)
        )
    return bool(over)


def _ask_once_more(session: Session, seen: _Seen, pushed_from: str | None, seams: Seams) -> None:
    """Have Daraja asked before the shopper is asked again, as far as the sender's share goes.

    A silent attempt may have been paid. So may one that a query alone called failed while its
    prompt could still be answered: such answers are known to be wrong at times. Presses without
    end would use up everybody's questions.
    """
    now = seams.line.now()
    questions = [
        Question(each.id, each.checkout_request_id, sets_wait=False, patience=_QUESTION_PATIENCE)
        for each in seen.account.attempts
        if each.checkout_request_id is not None and _may_be_paid(each, now)
    ]
    for question in questions:
        if turns.yields(session, pushed_from, question.transaction_id, now):
            return
        if not turns.take(session, seams.line.budget, pushed_from, now, is_old=False):
            return
        seams.announce(asking.ask(session, question, seams.line))


def _may_be_paid(attempt: Attempt, now: datetime) -> bool:
    if attempt.status is Status.PENDING:
        return not attempt.prompt_may_live(now)
    return attempt.failed_by_query and now < attempt.prompt_end(now)


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


def _push(order: Order, request: PushRequest, callback_url: str) -> Push:
    return Push(
        msisdn=request.msisdn,
        amount=order.amount,
        reference=order.reference,
        description=order.description,
        callback_url=callback_url,
    )


# -- the same request twice --------------------------------------------------------------------


def _scope(request: PushRequest) -> str:
    return f"order:{request.order_id}"


def _fingerprint(request: PushRequest) -> str:
    return hashlib.sha256(request.msisdn.encode()).hexdigest()


def _earlier(connection: Connection, request: PushRequest) -> Started | None:
    if request.idempotency_key is None:
        return None
    row = connection.execute(
        select(
            IdempotencyKey.fingerprint, IdempotencyKey.status_code, IdempotencyKey.transaction_id
        ).where(
            IdempotencyKey.scope == _scope(request), IdempotencyKey.key == request.idempotency_key
        )
    ).one_or_none()
    if row is None:
        return None
    if row.fingerprint != _fingerprint(request) or row.transaction_id is None:
        raise KeyReused
    return Started(row.transaction_id, row.status_code)


def _key(
    connection: Connection, request: PushRequest, started: Started, now: datetime
) -> list[Write]:
    """The row that keeps a request's key; of those that join an attempt only the first few are
    kept, or a stranger could fill the disk.

    A request that joined and whose key was not kept joins again when it is repeated.
    """
    if request.idempotency_key is None:
        return []
    if started.status_code == _JOINED:
        joiners = select(func.count()).where(
            IdempotencyKey.scope == _scope(request),
            IdempotencyKey.transaction_id == started.transaction_id,
            IdempotencyKey.status_code == _JOINED,
        )
        if connection.scalars(joiners).one() >= _MOST_JOINERS:
            return []
    row = {
        "scope": _scope(request),
        "key": request.idempotency_key,
        "fingerprint": _fingerprint(request),
        "status_code": started.status_code,
        "order_id": request.order_id,
        "transaction_id": started.transaction_id,
        "created_at": now,
    }
    return [Write(books.ADD_KEY, row)]


# -- the push ----------------------------------------------------------------------------------


def _ask_daraja(
    session: Session, transaction_id: str, outgoing: _Outgoing, seams: Seams
) -> list[Change]:
    """Send the push and record what came of it; returns what is to be announced.

    Daraja tells the CheckoutRequestID once, and without it nobody can ask what became of the
    prompt. So what the database refuses is written again, until it takes it or has been away for
    too long. An answer that was recorded already, where only the COMMIT's own answer was lost,
    changes nothing when it is recorded again.

    Raises:
        SQLAlchemyError: it could not be recorded.
    """
    session.rollback()  # no connection is held while Daraja thinks
    evidence, body = _send(seams.line.daraja, outgoing)
    raw = Raw(Kind.PUSH_ANSWER, body)
    until = time.monotonic() + _RECORD_FOR
    while True:
        try:
            return ledger.record(session, transaction_id, evidence, raw, seams.line.now)
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
            # No shopper can do anything about it, so the merchant has to hear of it.
            log.error("M-PESA is not set up correctly: %s", error)
        counters.count("pushes", outcome="refused" if isinstance(error, Refused) else "not_sent")
        return settlement.PushFailed(error.reason), error.body or str(error).encode()
    except DarajaError as error:
        counters.count("pushes", outcome="unconfirmed")
        return settlement.PushUnconfirmed(), error.body or str(error).encode()
    counters.count("pushes", outcome="accepted")
    return _answered(accepted), accepted.body


def _answered(accepted: PushAccepted) -> settlement.PushAnswered:
    return settlement.PushAnswered(accepted.merchant_request_id, accepted.checkout_request_id)


# Seconds, in which the clock ticks at least once.
_A_TICK = 2
# Two orders that meet on one line need two; each further one, an attempt that has just grown old.
_TRIES = 4
# The status code of a request that joined an open attempt.
_JOINED = 200
# Keys of those who joined an attempt: a page that lost its answer tries a few times.
_MOST_JOINERS = 10
# A person waits for it, and a prompt that takes longer to arrive is not expected any more.
PUSH_BUDGET = timedelta(seconds=20)
# Seconds in which a database that lost a COMMIT's answer may come back; half of them are left for
# the push then.
_LOOK_FOR_ROW = PUSH_BUDGET.total_seconds() / 2
_PAUSE = 0.2
# Seconds in which the database has to take a push's answer: a restart, a failover to a standby that
# is ready, and a lock whose holder is lost (PostgreSQL ends it after 15 s) are over by then. After
# that and the push's 20 s even a patient proxy, whose limit is usually 60 s, has left.
_RECORD_FOR = 30.0
# What the database says of the statement itself; it says so again the next time.
_REFUSED_FOR_GOOD = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
# Seconds for a question that a shopper waits for before the next push; no answer: go on.
_QUESTION_PATIENCE = 5.0

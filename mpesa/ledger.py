"""record(): the only code that changes a transaction, always with its evidence, always guarded."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, bindparam, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from mpesa import two_trips
from mpesa.domain import schedule, settlement, snapshot, steps, view, webhook
from mpesa.domain.callback import read_roughly
from mpesa.domain.result_codes import PAID_CODE, Reason, Status
from mpesa.domain.settlement import Decision
from mpesa.domain.snapshot import OPEN_UNANSWERED, Newest, OrderStatus, Picture, Snapshot
from mpesa.models import (
    DecisionRow,
    Evidence,
    Order,
    Transaction,
    WebhookMessage,
    rows_at_once,
    writing,
)
from mpesa.tokens import new_id


class Kind(StrEnum):
    """Where a piece of evidence came from."""

    PUSH_ANSWER = "push_answer"
    CALLBACK = "callback"
    QUERY = "query"
    CLOCK = "clock"
    SMS_CODE = "sms_code"
    OPERATOR = "operator"
    FORGOTTEN = "forgotten"
    CLAIM = "claim"


@dataclass(frozen=True)
class Change:
    """A transaction whose snapshot changed, and its `seq` since; made known after the commit.

    Attributes:
        snapshot: what was committed, where it was at hand; else it has to be read.
        settled_after: from the push to this change, where it changed the status; else None.
    """

    transaction_id: str
    seq: int
    snapshot: Snapshot | None = field(default=None, compare=False)
    settled_after: timedelta | None = field(default=None, compare=False)


# Tells the pages that wait about transactions that changed.
Announce = Callable[[Sequence[Change]], None]
# The time, aware UTC. A change asks for it once it holds its lock: with an older time, a change
# that waited long for its lock would escape the loops that look for what changed lately.
Now = Callable[[], datetime]


@dataclass(frozen=True)
class Raw:
    """Evidence as it arrived.

    Attributes:
        source: the address or the person it came from.
        stored_id: its row's id where it was stored before.
        share: a mark of the stranger who caused it, whose share of Daraja's questions pays for the
            one that it asks for; None: no stranger did.
    """

    kind: Kind
    body: bytes = b""
    source: str | None = None
    stored_id: int | None = None
    share: str | None = None


# Built once: SQLAlchemy takes longer to build a statement than PostgreSQL to run it.
_OWN_ORDER = select(Transaction.order_id).where(Transaction.id == bindparam("id"))
_PICTURED = (
    "id", "order_id", "status", "reason", "final", "is_open", "prompt_ends_at", "amount", "msisdn",
    "receipt", "retry_at", "created_at", "updated_at", "seq", "failed_by_query",
)  # fmt: skip
_rows, _orders = Transaction.__table__, Order.__table__
_SHOWN = (
    select(
        *(_rows.c[name] for name in _PICTURED),
        _orders.c.status.label("order_state"),
        _orders.c.expires_at,
    )
    .join_from(_rows, _orders)
    .where(
        _rows.c.order_id
        == select(_rows.c.order_id).where(_rows.c.id == bindparam("id")).scalar_subquery()
    )
    .order_by(_rows.c.attempt.desc())
)
# So many of the newest bodies are read: an honest Daraja sends one or two.
_SET_ASIDE = (
    select(Evidence.body)
    .join(DecisionRow, DecisionRow.evidence_id == Evidence.id)
    .where(
        Evidence.transaction_id == bindparam("id"),
        Evidence.kind == Kind.CALLBACK.value,
        DecisionRow.why.in_((settlement.UNREADABLE, settlement.LACKS_MERCHANT_ID)),
    )
    .order_by(Evidence.id.desc())
    .limit(20)
)
_HEARD = select(Evidence.kind, Evidence.body).where(
    Evidence.transaction_id == bindparam("id"),
    Evidence.kind.in_((Kind.CALLBACK.value, Kind.CLAIM.value)),
)
_NEW_EVIDENCE = insert(Evidence.__table__)  # type: ignore[arg-type]
_NEW_DECISION = insert(DecisionRow.__table__)  # type: ignore[arg-type]
_NEW_MESSAGE = insert(WebhookMessage.__table__)  # type: ignore[arg-type]
# The engine's execution option that is set where the merchant's server is told by webhook.
TELLS_MERCHANT = "mpesa_tells_merchant"
_LOCKING = select(Order).with_for_update().execution_options(populate_existing=True)
_LOCK = _LOCKING.where(Order.id == bindparam("id"))
_LOCK_BY_TRANSACTION = _LOCKING.where(Order.id == _OWN_ORDER.scalar_subquery())
# Whoever holds the order's lock may hold it for a while, and a callback is not to wait for that.
_LOCK_BY_TOKEN = (
    select(Order)
    .with_for_update(nowait=True)
    .execution_options(populate_existing=True)
    .where(
        Order.id
        == select(Transaction.order_id)
        .where(Transaction.callback_token_hash == bindparam("token_hash"))
        .scalar_subquery()
    )
)
_ATTEMPTS = (
    select(Transaction)
    .where(Transaction.order_id == bindparam("order_id"))
    .order_by(Transaction.attempt.desc())
    .execution_options(populate_existing=True)
)
# Seconds after which PostgreSQL has ended a writer that is lost (`database.REQUESTS`: idle, 15 s).
_LOST_WRITER = 16.0
# What PostgreSQL says after `lock_timeout` (PostgreSQL docs, appendix A).
_LOCK_NOT_AVAILABLE = "55P03"


def record(
    session: Session,
    transaction_id: str,
    evidence: settlement.Evidence,
    raw: Raw,
    now: Now,
    check: Callable[[], None] = lambda: None,
) -> list[Change]:
    """Decide on a piece of evidence and write the decision down, in one commit.

    Args:
        session: ends whatever it was reading.
        transaction_id: of an existing transaction.
        evidence: what it says.
        raw: how it arrived.
        now: asked under the order's lock.
        check: called under the order's lock; what it raises keeps the evidence out.

    Returns:
        What changed, to be announced after this.
    """
    try:
        return _record(session, transaction_id, evidence, raw, now, check)
    except (IntegrityError, _Contested):
        pass
    except DBAPIError as error:
        # The connection broke while it rested, and the next one is fresh. What may have been
        # committed all the same is evidence twice, which decides nothing new.
        if not error.connection_invalidated:
            raise
    # The receipt or the id is another transaction's. The constraint says so without being asked;
    # only then is it looked up, and decided with that knowledge.
    try:
        return _record(session, transaction_id, evidence, raw, now, check, look_up=True)
    except _Contested as contested:
        _doubt(session, contested.holder, transaction_id, now)
    return _record(session, transaction_id, evidence, raw, now, check, look_up=True, told=True)


def record_callback(
    session: Session, token_hash: str, evidence: settlement.Evidence, raw: Raw, now: Now
) -> list[Change] | None:
    """Store a callback and decide on it in one commit, where nobody else holds its order.

    Args:
        token_hash: of the token under which it arrived.
        now: asked under the order's lock.

    Returns:
        What changed, to be announced after this; None where no transaction has that token.

    Raises:
        SQLAlchemyError: nothing was stored; the order is held, the receipt or the id is another
            transaction's, or the database failed.
        _Contested: nothing was stored; another transaction has the receipt.
    """
    engine = session.get_bind()
    if isinstance(engine, Engine) and engine.dialect.name == "postgresql":
        session.rollback()  # whatever it was reading ends here
        return _record_in_two_trips(engine, token_hash, evidence, raw, now)
    with writing(session):
        order = session.scalars(_LOCK_BY_TOKEN, {"token_hash": token_hash}).one_or_none()
        if order is None:
            return None
        attempts = attempts_of(session, order.id)
        held = _Held(order, _under(token_hash, attempts), attempts)
        return _decide(session, held, evidence, raw, now())


def _record_in_two_trips(
    engine: Engine, token_hash: str, evidence: settlement.Evidence, raw: Raw, clock: Now
) -> list[Change] | None:
    with two_trips.begun_by_hand(engine) as connection:
        found = two_trips.lock_and_read(connection, token_hash)
        if found is None:
            return None
        now = clock()
        order, attempts = found
        held = _Held(order, _under(token_hash, attempts), attempts)
        before = dict(vars(held.transaction))
        changed, decision = _judge(connection, held, evidence, raw, now)
        told = {each.transaction_id for each in changed}
        for other in attempts:
            if other.id in told and other is not held.transaction:
                two_trips.raise_seq(connection, other)
        two_trips.record_and_commit(
            connection,
            transaction=held.transaction,
            order_status=order.status,
            changed=vars(held.transaction) != before,
            heard=two_trips.Heard(
                raw.kind.value, raw.body, raw.source, decision.needs_review, decision.why, now
            ),
        )
        return _with_snapshots(held, changed, now)


def _under(token_hash: str, attempts: Sequence[Any]) -> Any:
    return next(each for each in attempts if each.callback_token_hash == token_hash)


def store(session: Session, transaction_id: str, raw: Raw, now: Now) -> Raw:
    """Commit raw evidence before anything is decided on it; returns it with its row's id.

    The order's lock does not hold it up. A writer of the transaction's id or receipt does, until
    its COMMIT, since PostgreSQL takes both for a key that evidence may refer to. If that writer is
    lost, its lock outlives the wait for it, so it is waited for again.
    """
    until = time.monotonic() + _LOST_WRITER
    while True:
        try:
            with writing(session):
                row_id = _add_evidence(session, transaction_id, raw, now())
        except OperationalError as error:
            waited = getattr(error.orig, "pgcode", None) == _LOCK_NOT_AVAILABLE
            if not waited or time.monotonic() > until:
                raise
        else:
            return replace(raw, stored_id=row_id)


def claim_question(session: Session, transaction_id: str, due: datetime, now: Now) -> bool:
    """Take the next question about a transaction, unless another worker took it.

    Args:
        due: its `next_ask_at` as it was read; the next one is planned before Daraja is asked, so
            that a crash costs one question and no more.
    """
    with writing(session):
        transaction = _hold(session, transaction_id).transaction
        if transaction.next_ask_at != due:
            return False
        transaction.next_ask_at = schedule.after_question(_standing(transaction), now())
        transaction.ask_urgently, transaction.urgent_for = False, None
        transaction.times_asked += 1
    return True


def lock_order(session: Session, order_id: str) -> Order | None:
    """The order's row, locked until the commit. Nobody ever holds two of these locks."""
    return session.scalars(_LOCK, {"id": order_id}).one_or_none()


def attempts_of(session: Session, order_id: str) -> Sequence[Transaction]:
    """An order's transactions, newest first, as the database has them now."""
    return session.scalars(_ATTEMPTS, {"order_id": order_id}).all()


def prompt_may_live(transaction: Any, now: datetime) -> bool:
    """Whether an attempt is open at `now`; its column may be late."""
    return bool(transaction.is_open and now < prompt_end(transaction, now))


def prompt_end(transaction: Any, now: datetime) -> datetime:
    """When the prompt's longest life is over, also of an attempt that is settled.

    No prompt lives longer than that from any moment: an end that lies further away was written
    before a step back of the clock, and the prompt's life is counted from now.
    """
    planned: datetime | None = transaction.prompt_ends_at
    if planned is None:
        planned = transaction.created_at + OPEN_UNANSWERED
    return min(planned, now + OPEN_UNANSWERED)


def wait_left(newest: Any, now: datetime) -> int | None:
    """Whole seconds that the order's newest attempt asks to wait; None where none are left."""
    return snapshot.wait_left(_newest(newest), now)


def _newest(transaction: Any) -> Newest:
    return Newest(Status(transaction.status), Reason(transaction.reason), transaction.retry_at)


def snapshot_of(engine: Engine, transaction_id: str, now: datetime) -> Snapshot | None:
    """The transaction's snapshot in one read; None where there is no such transaction.

    Args:
        engine: it is read on a connection of its own, as committed.
    """
    rows = rows_at_once(engine, _SHOWN, {"id": transaction_id})
    if not rows:
        return None
    order = _OrderSeen(rows[0].order_state, rows[0].expires_at)
    drawn = _snapshots(order, rows, now)
    return next(each for each in drawn if each["transaction_id"] == transaction_id)


def snapshots_of_order(session: Session, order: Order, now: datetime) -> list[Snapshot]:
    """The snapshots of an order's transactions, newest first."""
    return _snapshots(order, attempts_of(session, order.id), now)


def status_of_order(session: Session, order: Order, now: datetime) -> OrderStatus:
    """The order's status at `now`, its expiry considered."""
    return order_status(order, attempts_of(session, order.id), now)


def expire_order(session: Session, order_id: str, clock: Now) -> list[Change]:
    """Write down that an order has expired; returns its transactions, which hear of it."""
    with writing(session):
        order, now = lock_order(session, order_id), clock()
        if order is None or order.status != OrderStatus.OPEN:
            return []
        if status_of_order(session, order, now) is not OrderStatus.EXPIRED:
            return []
        return end_order(session, order, OrderStatus.EXPIRED, now)


def end_order(session: Session, order: Order, status: OrderStatus, now: datetime) -> list[Change]:
    """Close an order whose lock is held; returns its transactions, which hear of it."""
    order.status = status.value
    order.updated_at = now
    return [_raise_seq(each, now) for each in attempts_of(session, order.id)]


@dataclass(frozen=True)
class _OrderSeen:
    """What a snapshot needs of an order."""

    status: str
    expires_at: datetime | None


def _snapshots(order: Order | _OrderSeen, attempts: Sequence[Any], now: datetime) -> list[Snapshot]:
    if not attempts:
        return []
    first = attempts[0]
    status = order_status(order, attempts, now)
    prompt_left = _prompt_left(attempts, now)
    retry = snapshot.may_retry(
        order_open=status is OrderStatus.OPEN,
        attempt_open=any(prompt_may_live(each, now) for each in attempts),
        newest=_newest(first),
        now=now,
    )
    return [
        snapshot.draw(
            _picture(each, status, now),
            retry,
            view.say(status, _said_of(each, now), prompt_left=prompt_left),
        )
        for each in attempts
    ]


def _prompt_left(attempts: Sequence[Any], now: datetime) -> bool:
    """Whether a prompt of the order may still be answered."""
    return any(view.prompt_may_live(_said_of(each, now)) for each in attempts)


def _said_of(transaction: Any, now: datetime) -> view.Standing:
    return view.Standing(
        status=Status(transaction.status),
        reason=Reason(transaction.reason),
        final=transaction.final,
        is_open=prompt_may_live(transaction, now),
        within_prompt_life=now < prompt_end(transaction, now),
        failed_by_query=transaction.failed_by_query,
    )


def order_status(order: Order | _OrderSeen, attempts: Sequence[Any], now: datetime) -> OrderStatus:
    """The order's status at `now`, its expiry considered, from its attempts or their rows."""
    attempt_open = any(prompt_may_live(each, now) for each in attempts)
    return snapshot.order_status(order.status, order.expires_at, attempt_open=attempt_open, now=now)


def _picture(transaction: Any, status: OrderStatus, now: datetime) -> Picture:
    return Picture(
        transaction_id=transaction.id,
        order_id=transaction.order_id,
        order_status=status.value,
        status=Status(transaction.status),
        reason=Reason(transaction.reason),
        final=transaction.final,
        prompt_lives=prompt_may_live(transaction, now),
        amount=transaction.amount,
        msisdn=transaction.msisdn,
        receipt=transaction.receipt,
        created_at=transaction.created_at,
        updated_at=transaction.updated_at,
        seq=transaction.seq,
    )


def _record(
    session: Session,
    transaction_id: str,
    evidence: settlement.Evidence,
    raw: Raw,
    now: Now,
    check: Callable[[], None],
    *,
    look_up: bool = False,
    told: bool = False,
) -> list[Change]:
    with writing(session):
        held = _hold(session, transaction_id)
        check()
        return _decide(session, held, evidence, raw, now(), look_up=look_up, told=told)


def _decide(
    session: Session,
    held: "_Held",
    evidence: settlement.Evidence,
    raw: Raw,
    now: datetime,
    *,
    look_up: bool = False,
    told: bool = False,
) -> list[Change]:
    """Evidence, decision and change, to be committed together by who holds the order."""
    row_id = raw.stored_id or _add_evidence(session, held.transaction.id, raw, now)
    changed, decision = _judge(
        session.connection(), held, evidence, raw, now, look_up=look_up, told=told
    )
    _add_decision(session, held.transaction, row_id, decision, now)
    return _with_snapshots(held, changed, now)


def _judge(
    connection: Connection,
    held: "_Held",
    evidence: settlement.Evidence,
    raw: Raw,
    now: datetime,
    *,
    look_up: bool = False,
    told: bool = False,
) -> tuple[list[Change], Decision]:
    """Decide, and change what is held; of that only what the merchant is told is written yet.

    Args:
        look_up: ask the database whose its receipt and its id are.
        told: the other transaction that has its receipt was put into review.
    """
    transaction = held.transaction
    early = raw.kind is Kind.CALLBACK and transaction.checkout_request_id is None
    paid_by_query = isinstance(evidence, settlement.QueryAnswered) and evidence.code == PAID_CODE
    if look_up or early or paid_by_query:
        evidence = _look_up(connection, transaction, evidence)
    decision = settlement.decide(_attempt(transaction), evidence, now)
    if decision.contests and not told:
        raise _Contested(decision.contests)
    before = _told(transaction)
    changed, decision = _apply(held, decision, raw.share, now)
    _tell_merchant(connection, held, before, now)
    return changed, decision


class _Contested(Exception):
    """A receipt is another transaction's, which has to be told first.

    Two orders' locks are never held at once, so that takes a commit of its own. It comes first: a
    process that ends after it judges this evidence once more, and one that ends after the other
    commit would not know that something is missing.

    Attributes:
        holder: that transaction's id.
    """

    def __init__(self, holder: str) -> None:
        super().__init__("the receipt is another transaction's")
        self.holder = holder


def _doubt(session: Session, holder_id: str, claimant_id: str, now: Now) -> None:
    """Put a transaction into review whose receipt another one's own callback names, once.

    What its own callback named is its own. What a person typed may be a mistake.
    """
    with writing(session):
        held = _hold(session, holder_id)
        heard = session.execute(_HEARD, {"id": holder_id}).all()
        named = (read_roughly(each.body) for each in heard if each.kind == Kind.CALLBACK)
        its_own = any(each and each.receipt == held.transaction.receipt for each in named)
        raw = Raw(Kind.CLAIM, claimant_id.encode())
        if not its_own and (raw.kind.value, raw.body) not in map(tuple, heard):
            _decide(session, held, settlement.ReceiptClaimed(claimant_id), raw, now())


def _with_snapshots(held: "_Held", changed: Sequence[Change], now: datetime) -> list[Change]:
    return [replace(each, snapshot=_drawn(held, each, now)) for each in changed]


def _drawn(held: "_Held", change: Change, now: datetime) -> Snapshot:
    snapshots = _snapshots(held.order, held.attempts, now)
    return next(each for each in snapshots if each["transaction_id"] == change.transaction_id)


@dataclass(frozen=True)
class _Held:
    """A transaction whose order is locked, with all attempts of that order, newest first.

    Attributes:
        order: Order, or something with the same attributes; the others likewise.
    """

    order: Any
    transaction: Any
    attempts: Sequence[Any]


def _hold(session: Session, transaction_id: str) -> _Held:
    order = session.scalars(_LOCK_BY_TRANSACTION, {"id": transaction_id}).one()
    attempts = attempts_of(session, order.id)
    transaction = next(each for each in attempts if each.id == transaction_id)
    return _Held(order, transaction, attempts)


def _add_evidence(session: Session, transaction_id: str, raw: Raw, now: datetime) -> int:
    """Rows that are only ever added go past the ORM, whose bookkeeping costs more than they do."""
    fields = {
        "transaction_id": transaction_id,
        "kind": raw.kind.value,
        "body": raw.body,
        "source": raw.source,
        "received_at": now,
    }
    added = session.connection().execute(_NEW_EVIDENCE, fields)
    return int(added.inserted_primary_key[0])  # type: ignore[index]


def _attempt(transaction: Transaction) -> settlement.Attempt:
    return settlement.Attempt(
        status=Status(transaction.status),
        reason=Reason(transaction.reason),
        final=transaction.final,
        amount=transaction.amount,
        created_at=transaction.created_at,
        retry_at=transaction.retry_at,
        merchant_request_id=transaction.merchant_request_id,
        checkout_request_id=transaction.checkout_request_id,
        receipt=transaction.receipt,
        amount_disputed=transaction.amount_disputed,
        success_claimed=transaction.success_claimed,
        failed_by_query=transaction.failed_by_query,
        times=steps.Times(
            created_at=transaction.created_at,
            updated_at=transaction.updated_at,
            settled_at=transaction.settled_at,
            retry_at=transaction.retry_at,
            prompt_ends_at=transaction.prompt_ends_at,
            next_ask_at=transaction.next_ask_at,
            ask_urgently=transaction.ask_urgently,
        ),
    )


def _look_up(
    connection: Connection, transaction: Transaction, evidence: settlement.Evidence
) -> settlement.Evidence:
    """Add what only the database knows: other callbacks; whose its id or its receipt are."""
    if isinstance(evidence, settlement.CallbackReceived):
        named = evidence.result or evidence.rough
        if named is None:
            return evidence
        return replace(
            evidence,
            ids_taken=_id_taken(connection, transaction, named.checkout_request_id),
            receipt_holder=_receipt_holder(connection, transaction, named.receipt),
        )
    if isinstance(evidence, settlement.PushAnswered):
        taken = _id_taken(connection, transaction, evidence.checkout_request_id)
        return replace(evidence, ids_taken=taken)
    if isinstance(evidence, settlement.OperatorSaysPaid):
        holder = _receipt_holder(connection, transaction, evidence.receipt)
        return replace(evidence, receipt_holder=holder)
    if isinstance(evidence, settlement.QueryAnswered):
        receipt = _kept_receipt(connection, transaction)
        holder = _receipt_holder(connection, transaction, receipt)
        return replace(evidence, kept_receipt=receipt, receipt_holder=holder)
    return evidence


def _kept_receipt(connection: Connection, transaction: Transaction) -> str | None:
    """The receipt that a kept callback names, though the callback itself was not believed."""
    if transaction.receipt is not None:
        return None
    attempt = _attempt(transaction)
    bodies = connection.scalars(_SET_ASIDE, {"id": transaction.id})
    results = (read_roughly(each) for each in bodies)
    receipts = (settlement.kept_receipt(attempt, each) for each in results if each is not None)
    return next((each for each in receipts if each is not None), None)


def _id_taken(connection: Connection, transaction: Transaction, checkout_id: str | None) -> bool:
    if checkout_id is None or checkout_id == transaction.checkout_request_id:
        return False
    owner = select(Transaction.id).where(Transaction.checkout_request_id == checkout_id)
    return connection.scalars(owner).one_or_none() not in (None, transaction.id)


def _receipt_holder(
    connection: Connection, transaction: Transaction, receipt: str | None
) -> str | None:
    """The id of another transaction that has a receipt."""
    if receipt is None or receipt == transaction.receipt:
        return None
    owner = connection.scalars(select(Transaction.id).where(Transaction.receipt == receipt))
    return owner.one_or_none()


def _apply(
    held: _Held, decision: Decision, share: str | None, now: datetime
) -> tuple[list[Change], Decision]:
    """Write the decision into the row.

    Args:
        share: whose share of the questions pays where Daraja is to be asked at once.

    Returns:
        What changed, and the decision with what the order's state adds to it.
    """
    transaction = held.transaction
    before, was = _visible(transaction), _standing(transaction)
    prompt_was_left = _prompt_left(held.attempts, now)
    siblings: list[Change] = []
    if decision.status is Status.SUCCESS and transaction.status != Status.SUCCESS:
        siblings, decision = _settle_order(held, decision, now)
    _write(transaction, decision, now)
    if decision.replan or _standing(transaction) != was:
        transaction.next_ask_at = schedule.next_question(_standing(transaction), now)
        transaction.ask_urgently = False
    if decision.ask_now:
        # What is urgent for better reasons does not become a stranger's.
        better = transaction.ask_urgently and transaction.urgent_for is None
        transaction.urgent_for = None if better else share
        # What is due already keeps its place among what is due longest.
        transaction.next_ask_at = min(transaction.next_ask_at or now, now)
        transaction.ask_urgently = True
    put_right = decision.times is not None and _put_right(transaction, decision.times)
    if not put_right and _visible(transaction) == before:
        return [], decision
    if not siblings and prompt_was_left != _prompt_left(held.attempts, now):
        siblings = _tell_of_prompt(held, now)
    after = now - transaction.created_at if transaction.status != before[0] else None
    return [replace(_raise_seq(transaction, now), settled_after=after), *siblings], decision


def _tell_of_prompt(held: _Held, now: datetime) -> list[Change]:
    """The other attempts of a paid order say whether there is a prompt to be cancelled."""
    if order_status(held.order, held.attempts, now) is not OrderStatus.PAID:
        return []
    return [_raise_seq(each, now) for each in held.attempts if each.id != held.transaction.id]


def _write(transaction: Transaction, decision: Decision, now: datetime) -> None:
    if decision.status != transaction.status:
        transaction.settled_at = now
    transaction.status = decision.status.value
    transaction.reason = decision.reason.value
    transaction.final = decision.final
    transaction.receipt = decision.receipt
    transaction.retry_at = decision.retry_at
    transaction.prompt_ends_at = decision.prompt_ends_at or transaction.prompt_ends_at
    in_doubt = transaction.needs_review and not decision.settles_review
    transaction.needs_review = in_doubt or decision.needs_review
    transaction.amount_disputed = transaction.amount_disputed or decision.disputes_amount
    transaction.success_claimed = decision.success_claimed
    transaction.failed_by_query = decision.failed_by_query
    _keep_ids(transaction, decision)
    if decision.closes:
        transaction.is_open = False


def _put_right(transaction: Transaction, times: steps.Times) -> bool:
    """The times that no other decision changes; returns whether a snapshot shows one of them."""
    shown = (transaction.created_at, transaction.updated_at)
    transaction.created_at = times.created_at
    transaction.settled_at = times.settled_at
    transaction.next_ask_at = times.next_ask_at
    return shown != (times.created_at, times.updated_at)


def _standing(transaction: Transaction) -> schedule.Standing:
    return schedule.Standing(
        status=Status(transaction.status),
        final=transaction.final,
        has_id=transaction.checkout_request_id is not None,
        created_at=transaction.created_at,
        settled_at=transaction.settled_at,
        success_claimed=transaction.success_claimed,
    )


def _visible(transaction: Transaction) -> tuple[object, ...]:
    """What a snapshot shows, or lets a page do."""
    return (
        transaction.status,
        transaction.reason,
        transaction.final,
        transaction.receipt,
        transaction.retry_at,
        transaction.is_open,
        transaction.failed_by_query,
    )


def _keep_ids(transaction: Transaction, decision: Decision) -> None:
    if decision.adopts is None:
        return
    merchant_id, checkout_id = decision.adopts
    transaction.merchant_request_id = transaction.merchant_request_id or merchant_id
    transaction.checkout_request_id = transaction.checkout_request_id or checkout_id


def _settle_order(held: _Held, decision: Decision, now: datetime) -> tuple[list[Change], Decision]:
    """The first success pays the order; the other attempts hear of it.

    Paid twice, or paid after its end: taken all the same, and a person gives it back.
    """
    order = held.order
    status = order_status(order, held.attempts, now)
    if status is not OrderStatus.OPEN:
        why = f"{decision.why}, for an order that was {status.value} already"
        decision = replace(decision, why=why, needs_review=True)
    if status is OrderStatus.PAID:
        return [], decision
    held.transaction.settles_order = True
    order.status = OrderStatus.PAID.value
    order.updated_at = now
    siblings = [each for each in held.attempts if each.id != held.transaction.id]
    return [_raise_seq(each, now) for each in siblings], decision


def _raise_seq(transaction: Transaction, now: datetime) -> Change:
    transaction.seq += 1
    transaction.updated_at = now
    return Change(transaction.id, transaction.seq)


def _add_decision(
    session: Session, transaction: Transaction, evidence_id: int, decision: Decision, now: datetime
) -> None:
    fields = {
        "evidence_id": evidence_id,
        "transaction_id": transaction.id,
        "status": transaction.status,
        "reason": transaction.reason,
        "seq": transaction.seq,
        "needs_review": decision.needs_review,
        "why": decision.why,
        "decided_at": now,
    }
    session.connection().execute(_NEW_DECISION, fields)


def _told(transaction: Transaction) -> webhook.Told:
    return webhook.Told(
        status=Status(transaction.status),
        reason=Reason(transaction.reason),
        final=transaction.final,
        receipt=transaction.receipt,
        needs_review=transaction.needs_review,
    )


def _tell_merchant(
    connection: Connection, held: _Held, before: webhook.Told, now: datetime
) -> None:
    """Write the messages for the merchant's server that a change calls for, where one is named."""
    types = webhook.due(before, _told(held.transaction))
    if not types or not connection.get_execution_options().get(TELLS_MERCHANT):
        return
    own = Change(held.transaction.id, held.transaction.seq)
    snapshot, reference = _drawn(held, own, now), held.order.reference
    for each in types:
        fields = {
            "id": f"msg_{new_id()}",
            "transaction_id": own.transaction_id,
            "type": each.value,
            "body": webhook.body(each, snapshot, reference, now),
            "seq": own.seq,
            "created_at": now,
            "next_attempt_at": now,
        }
        connection.execute(_NEW_MESSAGE, fields)

"""record(): the only code that changes a transaction, always with its evidence, always guarded."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Engine, bindparam, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from mpesa import books
from mpesa.books import By, Taken, Write
from mpesa.database import rows_at_once, writing
from mpesa.domain import schedule, settlement, snapshot, webhook
from mpesa.domain.attempt import Account, Attempt, OrderStatus
from mpesa.domain.callback import read_roughly
from mpesa.domain.result_codes import PAID_CODE
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.why import PROSE
from mpesa.ids import new_id
from mpesa.models import DecisionRow, EvidenceRow, Order, Transaction


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


# So many of the newest bodies are read: an honest Daraja sends one or two.
_SET_ASIDE = (
    select(EvidenceRow.body)
    .join(DecisionRow, DecisionRow.evidence_id == EvidenceRow.id)
    .where(
        EvidenceRow.transaction_id == bindparam("id"),
        EvidenceRow.kind == Kind.CALLBACK.value,
        DecisionRow.why.in_((*PROSE, *PROSE.values())),
    )
    .order_by(EvidenceRow.id.desc())
    .limit(20)
)
_STORE = insert(EvidenceRow).returning(EvidenceRow.id)
_HEARD = select(EvidenceRow.kind, EvidenceRow.body).where(
    EvidenceRow.transaction_id == bindparam("id"),
    EvidenceRow.kind.in_((Kind.CALLBACK.value, Kind.CLAIM.value)),
)
# The engine's execution option that is set where the merchant's server is told by webhook.
TELLS_MERCHANT = "mpesa_tells_merchant"
# Seconds after which PostgreSQL has ended a writer that is lost (`database.REQUESTS`: idle, 15 s).
_LOST_WRITER = 16.0
# What PostgreSQL says after `lock_timeout` (PostgreSQL docs, appendix A).
_LOCK_NOT_AVAILABLE = "55P03"


# Called under the order's lock, with the connection that holds it, and the transaction as it is;
# what it raises keeps the evidence out.
Check = Callable[[Connection, Attempt], None]


def record(
    session: Session,
    transaction_id: str,
    evidence: settlement.Evidence,
    raw: Raw,
    now: Now,
    check: Check = lambda _connection, _attempt: None,
) -> list[Change]:
    """Decide on a piece of evidence and write the decision down, in one commit.

    Args:
        session: ends whatever it was reading.
        transaction_id: of an existing transaction.
        evidence: what it says.
        raw: how it arrived.
        now: asked under the order's lock.

    Returns:
        What changed, to be announced after this.
    """

    def judged(*, look_up: bool = False, told: bool = False) -> list[Change]:
        with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
            attempt = taken.account.attempt(transaction_id)
            check(taken.connection, attempt)
            return _judge(taken, attempt, evidence, raw, now(), look_up=look_up, told=told)

    try:
        return judged()
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
        return judged(look_up=True)
    except _Contested as contested:
        _doubt(session, contested.holder, transaction_id, now)
    return judged(look_up=True, told=True)


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
    try:
        with books.taken_out(session, By.TOKEN, token_hash) as taken:
            attempts = taken.account.attempts
            attempt = next(each for each in attempts if each.callback_token_hash == token_hash)
            return _judge(taken, attempt, evidence, raw, now())
    except books.Unknown:
        return None


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
                evidence = _evidence_row(transaction_id, raw, now())
                row_id = session.connection().scalars(_STORE, evidence).one()
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
    with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
        attempt = taken.account.attempt(transaction_id)
        if attempt.next_ask_at != due:
            return False
        claimed = replace(
            attempt,
            next_ask_at=schedule.after_question(attempt, now()),
            ask_urgently=False,
            urgent_for=None,
            times_asked=attempt.times_asked + 1,
        )
        taken.put_back(taken.account.changed(claimed))
    return True


def expire_order(session: Session, order_id: str, clock: Now) -> list[Change]:
    """Write down that an order has expired; returns its transactions, which hear of it."""
    with books.taken_out(session, By.ORDER, order_id) as taken:
        now, account = clock(), taken.account
        if account.order.status is not OrderStatus.OPEN:
            return []
        if account.status(now) is not OrderStatus.EXPIRED:
            return []
        return end_order(taken, OrderStatus.EXPIRED, now)


def end_order(taken: Taken, status: OrderStatus, now: datetime) -> list[Change]:
    """Close an order whose lock is held; returns its transactions, which hear of it."""
    ended = taken.account.ended(status, now)
    taken.put_back(ended)
    return _changes(taken.account, ended, now)


def lock_order(session: Session, order_id: str) -> None:
    """Lock an order's row until the session's commit, for what blanks its attempts' rows."""
    session.execute(select(Order.id).where(Order.id == order_id).with_for_update())


def snapshot_of(engine: Engine, transaction_id: str, now: datetime) -> Snapshot | None:
    """The transaction's snapshot in one read; None where there is no such transaction.

    Args:
        engine: it is read on a connection of its own, as committed.
    """
    rows = rows_at_once(engine, books.READ[By.TRANSACTION], {"value": transaction_id})
    if not rows:
        return None
    account = books.account_of(rows)
    return snapshot.draw(account, account.attempt(transaction_id), now)


def _judge(
    taken: Taken,
    attempt: Attempt,
    evidence: settlement.Evidence,
    raw: Raw,
    now: datetime,
    *,
    look_up: bool = False,
    told: bool = False,
) -> list[Change]:
    """Decide, and commit evidence, decision, what changed, and what the merchant is told of it.

    Args:
        look_up: ask the database whose its receipt and its id are.
        told: the other transaction that has its receipt was put into review.

    Raises:
        _Contested: another transaction has the receipt, and was not told.
    """
    early = raw.kind is Kind.CALLBACK and not attempt.has_id
    paid_by_query = isinstance(evidence, settlement.QueryAnswered) and evidence.code == PAID_CODE
    if look_up or early or paid_by_query:
        evidence = _look_up(taken.connection, attempt, evidence)
    decision = settlement.decide(attempt, evidence, now)
    if decision.contests and not told:
        raise _Contested(decision.contests)
    before = taken.account
    after, decision = settlement.apply(before, attempt, decision, now, raw.share)
    changed = after.attempt(attempt.id)
    decided = {
        "transaction_id": attempt.id,
        "status": changed.status.value,
        "reason": changed.reason.value,
        "seq": changed.seq,
        "needs_review": decision.needs_review,
        "why": decision.text,
        "decided_at": now,
    }
    if raw.stored_id is None:
        heard = Write(books.ADD_EVIDENCE, _evidence_row(attempt.id, raw, now))
        written = [heard, Write(books.ADD_DECISION_ON_IT, decided)]
    else:
        written = [Write(books.ADD_DECISION, {**decided, "evidence_id": raw.stored_id})]
    if taken.connection.get_execution_options().get(TELLS_MERCHANT):
        written += _messages(attempt, after, changed, now)
    taken.put_back(after, *written)
    return _changes(before, after, now)


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
    with books.taken_out(session, By.TRANSACTION, holder_id) as taken:
        holder = taken.account.attempt(holder_id)
        heard = taken.connection.execute(_HEARD, {"id": holder_id}).all()
        named = (read_roughly(each.body) for each in heard if each.kind == Kind.CALLBACK)
        its_own = any(each and each.receipt == holder.receipt for each in named)
        raw = Raw(Kind.CLAIM, claimant_id.encode())
        if not its_own and (raw.kind.value, raw.body) not in map(tuple, heard):
            _judge(taken, holder, settlement.ReceiptClaimed(claimant_id), raw, now())


def _changes(before: Account, after: Account, now: datetime) -> list[Change]:
    """What snapshots show otherwise since, with those snapshots."""
    was = {each.id: each for each in before.attempts}
    return [
        Change(
            each.id,
            each.seq,
            snapshot.draw(after, each, now),
            now - each.created_at if each.status is not was[each.id].status else None,
        )
        for each in after.attempts
        if each.seq != was[each.id].seq
    ]


def _evidence_row(transaction_id: str, raw: Raw, now: datetime) -> dict[str, object]:
    return {
        "transaction_id": transaction_id,
        "kind": raw.kind.value,
        "body": raw.body,
        "source": raw.source,
        "received_at": now,
    }


def _messages(before: Attempt, account: Account, after: Attempt, now: datetime) -> list[Write]:
    """The messages for the merchant's server that a change calls for."""
    types = webhook.due(before, after)
    told = snapshot.draw(account, after, now)
    return [
        Write(
            books.ADD_MESSAGE,
            {
                "id": f"msg_{new_id()}",
                "transaction_id": after.id,
                "type": each.value,
                "body": webhook.body(each, told, account.order.reference, now),
                "seq": after.seq,
                "created_at": now,
                "next_attempt_at": now,
            },
        )
        for each in types
    ]


def _look_up(
    connection: Connection, attempt: Attempt, evidence: settlement.Evidence
) -> settlement.Evidence:
    """Add what only the database knows: other callbacks; whose its id or its receipt are."""
    if isinstance(evidence, settlement.CallbackReceived):
        named = evidence.result or evidence.rough
        if named is None:
            return evidence
        return replace(
            evidence,
            ids_taken=_id_taken(connection, attempt, named.checkout_request_id),
            receipt_holder=_receipt_holder(connection, attempt, named.receipt),
        )
    if isinstance(evidence, settlement.PushAnswered):
        taken = _id_taken(connection, attempt, evidence.checkout_request_id)
        return replace(evidence, ids_taken=taken)
    if isinstance(evidence, settlement.OperatorSaysPaid):
        holder = _receipt_holder(connection, attempt, evidence.receipt)
        return replace(evidence, receipt_holder=holder)
    if isinstance(evidence, settlement.QueryAnswered):
        receipt = _kept_receipt(connection, attempt)
        holder = _receipt_holder(connection, attempt, receipt)
        return replace(evidence, kept_receipt=receipt, receipt_holder=holder)
    return evidence


def _kept_receipt(connection: Connection, attempt: Attempt) -> str | None:
    """The receipt that a kept callback names, though the callback itself was not believed."""
    if attempt.receipt is not None:
        return None
    bodies = connection.scalars(_SET_ASIDE, {"id": attempt.id})
    results = (read_roughly(each) for each in bodies)
    receipts = (settlement.kept_receipt(attempt, each) for each in results if each is not None)
    return next((each for each in receipts if each is not None), None)


def _id_taken(connection: Connection, attempt: Attempt, checkout_id: str | None) -> bool:
    if checkout_id is None or checkout_id == attempt.checkout_request_id:
        return False
    owner = select(Transaction.id).where(Transaction.checkout_request_id == checkout_id)
    return connection.scalars(owner).one_or_none() not in (None, attempt.id)


def _receipt_holder(connection: Connection, attempt: Attempt, receipt: str | None) -> str | None:
    """The id of another transaction that has a receipt."""
    if receipt is None or receipt == attempt.receipt:
        return None
    owner = connection.scalars(select(Transaction.id).where(Transaction.receipt == receipt))
    return owner.one_or_none()

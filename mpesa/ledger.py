"""record(): the only code that changes a transaction, always with its evidence, always guarded."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, bindparam, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.orm import Session

from mpesa import books, owners, records
from mpesa.books import By, Taken, Write
from mpesa.database import rows_at_once, writing
from mpesa.domain import schedule, settlement, snapshot
from mpesa.domain.attempt import Account, Attempt, Channel, OrderStatus
from mpesa.domain.callback import read_roughly
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.receipt import Receipt, State, Trust
from mpesa.domain.refusals import OrderClosed, OrderPaid
from mpesa.domain.result_codes import PAID_CODE, Reason, Status
from mpesa.domain.snapshot import Snapshot
from mpesa.domain.why import Why
from mpesa.ids import hash_token, new_callback_token, new_id
from mpesa.models import EvidenceRow, Order


@dataclass(frozen=True)
class Change:
    """A transaction whose snapshot changed; it is made known after the commit.

    Attributes:
        seq: the snapshot's number since the change.
        snapshot: as it was committed; None: it has to be read.
        settled_after: the time from the push to this change; None: its status stayed the same.
    """

    transaction_id: str
    seq: int
    snapshot: Snapshot | None = field(default=None, compare=False)
    settled_after: timedelta | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of a piece of evidence.

    Attributes:
        changes: to be announced by the caller.
        account: the order with its attempts, as it was committed.
        attempt: the one that the evidence is about.
        at: the time of the commit.
    """

    changes: list[Change]
    account: Account
    attempt: Attempt
    at: datetime

    @property
    def snapshot(self) -> Snapshot:
        """The attempt's snapshot, as it was committed."""
        return snapshot.draw(self.account, self.attempt, self.at)


# Tells the waiting pages about transactions that changed.
Announce = Callable[[Sequence[Change]], None]
# The time, aware UTC. A change asks for it once it holds its lock: with an older time, a change
# that waited long for its lock would escape the loops that look for what changed lately.
Now = Callable[[], datetime]


_STORE = insert(EvidenceRow).returning(EvidenceRow.id)
_HEARD = select(EvidenceRow.kind, EvidenceRow.body).where(
    EvidenceRow.transaction_id == bindparam("id"),
    EvidenceRow.kind.in_((Kind.CALLBACK.value, Kind.CLAIM.value)),
)
# An owner that changes under each of so many tries is an error.
_TRIES = 5
# Seconds after which PostgreSQL has ended a lost writer (`database.REQUESTS`: idle, 15 s).
_LOST_WRITER = 16.0
# PostgreSQL's code after `lock_timeout` (PostgreSQL docs, appendix A).
_LOCK_NOT_AVAILABLE = "55P03"


# A rule that is asked under the order's lock, with the connection that holds it and the attempt as
# it is. An exception from it keeps the evidence out.
Check = Callable[[Connection, Attempt], None]


def record(
    session: Session,
    transaction_id: str,
    evidence: settlement.Evidence,
    raw: Raw,
    now: Now,
    check: Check = lambda _connection, _attempt: None,
) -> Recorded:
    """Decide on a piece of evidence and write the decision down, in one commit.

    Args:
        session: a read that it had begun is ended.
        transaction_id: of an existing transaction.
        evidence: what the evidence says.
        raw: how the evidence arrived.
        now: the clock, asked under the order's lock.
        check: asked first, under the same lock.

    Raises:
        books.Unknown: there is no such transaction.
        SQLAlchemyError: nothing was written, or the answer to the COMMIT was lost.
    """

    def judged(*, look_up: bool = False, told: bool = False) -> Recorded:
        with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
            attempt = taken.account.attempt(transaction_id)
            check(taken.connection, attempt)
            return _decide_and_commit(
                taken, attempt, evidence, raw, now(), look_up=look_up, told=told
            )

    try:
        return judged()
    except (IntegrityError, _Contested):
        pass
    except DBAPIError as error:
        # The connection broke while it rested, and the next one is fresh. If the commit did happen,
        # the same evidence is now recorded twice, which decides nothing new.
        if not error.connection_invalidated:
            raise
    # The receipt or the id is another transaction's. The constraint says so without being asked;
    # only then is the owner looked up, and the evidence judged with that knowledge.
    told, tries = False, 0
    while True:
        try:
            return judged(look_up=True, told=told)
        except _Contested as contested:
            _doubt(session, contested.holder, transaction_id, now)
            told = True
        except IntegrityError:  # it got its owner, or another one, after it was looked up
            tries += 1
            if tries == _TRIES:
                raise


def record_callback(
    session: Session, token_hash: str, evidence: settlement.Evidence, raw: Raw, now: Now
) -> list[Change] | None:
    """Store a callback and decide on it in one commit, if its order's lock is free.

    Args:
        session: a read that it had begun is ended.
        token_hash: of the token under which the callback arrived.
        evidence: what the callback says.
        raw: how the callback arrived.
        now: the clock, asked under the order's lock.

    Returns:
        The changes, to be announced by the caller; None: no transaction has that token.

    Raises:
        SQLAlchemyError: nothing was stored; the order is locked, the receipt or the id is another
            transaction's, or the database failed.
        _Contested: nothing was stored; another transaction has the receipt.
    """
    try:
        with books.taken_out(session, By.TOKEN, token_hash) as taken:
            attempt = taken.account.attempt_under(token_hash)
            return _decide_and_commit(taken, attempt, evidence, raw, now()).changes
    except books.Unknown:
        return None


def store(session: Session, transaction_id: str, raw: Raw, now: Now) -> Raw:
    """Commit raw evidence before anything is decided on it.

    The order's lock does not delay this. A writer of the transaction's id or receipt does, until
    its COMMIT, since PostgreSQL takes both for a key that evidence may refer to. If that writer is
    lost, its lock outlives one wait for it, so this waits again.

    Returns:
        The same evidence with its row's id.

    Raises:
        SQLAlchemyError: it could not be stored.
    """
    until = time.monotonic() + _LOST_WRITER
    while True:
        try:
            with writing(session):
                evidence = {
                    "transaction_id": transaction_id,
                    "kind": raw.kind.value,
                    "body": raw.body,
                    "source": raw.source,
                    "received_at": now(),
                }
                row_id = session.connection().scalars(_STORE, evidence).one()
        except OperationalError as error:
            waited = getattr(error.orig, "pgcode", None) == _LOCK_NOT_AVAILABLE
            if not waited or time.monotonic() > until:
                raise
        else:
            return replace(raw, stored_id=row_id)


def claim_question(session: Session, transaction_id: str, due: datetime, now: Now) -> bool:
    """Take the next question about a transaction, unless another worker took it.

    The question after it is planned before Daraja is asked, so that a crash costs one question and
    no more.

    Args:
        due: the transaction's `next_ask_at` as it was read.
        now: the clock, asked under the order's lock.

    Returns:
        Whether the caller is to ask.
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
    """Write down that an order has expired.

    Returns:
        The changes of its transactions; none where it did not expire after all.
    """
    with books.taken_out(session, By.ORDER, order_id) as taken:
        now, account = clock(), taken.account
        if account.order.status is not OrderStatus.OPEN:
            return []
        if account.status(now) is not OrderStatus.EXPIRED:
            return []
        return end_order(taken, OrderStatus.EXPIRED, now)


def end_order(taken: Taken, status: OrderStatus, now: datetime) -> list[Change]:
    """Close an order whose lock is held.

    Returns:
        The changes of its transactions, whose snapshots show the order's status.
    """
    ended = taken.account.ended(status, now)
    taken.put_back(ended, *records.of_ended(taken.account, ended, now))
    return changes_of(taken.account, ended, now)


def lock_order(session: Session, order_id: str) -> None:
    """Lock an order's row until the session's commit, so that its attempts can be blanked."""
    session.execute(books.order_lock(select(Order.id).where(Order.id == order_id)))


def snapshot_of(engine: Engine, transaction_id: str, now: datetime) -> Snapshot | None:
    """Read a transaction's snapshot, as committed, in one statement.

    Args:
        engine: the read has a connection of its own.
        now: aware UTC.

    Returns:
        None where there is no such transaction.
    """
    rows = rows_at_once(engine, books.READ[By.TRANSACTION], {"value": transaction_id})
    if not rows:
        return None
    account = books.account_of(rows)
    return snapshot.draw(account, account.attempt(transaction_id), now)


def _decide_and_commit(
    taken: Taken,
    attempt: Attempt,
    evidence: settlement.Evidence,
    raw: Raw,
    now: datetime,
    *,
    look_up: bool = False,
    told: bool = False,
) -> Recorded:
    """Decide, and commit the account with what belongs to the decision.

    Args:
        look_up: ask the database whose the receipt and the id are.
        told: the other transaction that has the receipt was put into review.

    Raises:
        _Contested: another transaction has the receipt, and was not told.
    """
    early = raw.kind is Kind.CALLBACK and not attempt.has_id
    paid_by_query = isinstance(evidence, settlement.QueryAnswered) and evidence.code == PAID_CODE
    if look_up or early or paid_by_query:
        evidence = owners.look_up(taken.connection, attempt, evidence)
    known = None
    if look_up and (number := records.number_told(evidence)):
        organisation = records.shop_of(taken.connection).short_code
        known = books.receipt(taken.connection, organisation, number, lock=True)
        if isinstance(evidence, settlement.CallbackReceived):
            believed = known is not None and known.trust < Trust.DOUBTED
            differs = known is not None and believed and known.amount != attempt.amount * 100
            evidence = replace(evidence, receipt_differs=differs)
    decision = settlement.decide(attempt, evidence, now)
    if decision.contests and not told:
        raise _Contested(decision.contests)
    before = taken.account
    after, decision = settlement.apply(before, attempt, decision, now, raw.share)
    if known is not None:
        after, decision = _if_it_goes_back(taken, attempt, after, decision, known)
    rows = records.of_decision(taken, attempt, after, decision, raw, now)
    was, owner = attempt, after.attempt(attempt.id)
    by_callback = isinstance(evidence, settlement.CallbackReceived)
    if decision.why is Why.SECOND_RECEIPT and by_callback and records.number_told(evidence):
        # One transaction has one receipt: the second payment is the order's money by hand.
        paid, was = with_hand(after, now)
        found = settlement.ReceiptFound(
            records.number_told(evidence) or "", attempt.amount * 100, now, doubtful=True
        )
        second = settlement.decide(was, found, now)
        after, second = settlement.apply(paid, was, second, now)
        if known is not None:
            after, second = _if_it_goes_back(taken, was, after, second, known)
        owner = after.attempt(was.id)
        rows += records.of_decision(taken, was, after, second, replace(raw, stored_id=None), now)
    shop = records.shop_of(taken.connection)
    receipts = records.of_receipt_told(shop, was, owner, evidence, raw, known, now)
    ended = records.of_ended(before, after, now, but=attempt.id)
    taken.put_back(after, *rows, *ended, *receipts)
    return Recorded(changes_of(before, after, now), after, after.attempt(attempt.id), now)


def _if_it_goes_back(
    taken: Taken,
    attempt: Attempt,
    after: Account,
    decision: settlement.Decision,
    receipt: Receipt,
) -> tuple[Account, settlement.Decision]:
    """The same where a transaction has a receipt from now on that is returned, or on its way back.

    It is M-PESA's own word that it is this transaction's money; a person decides what that means.
    """
    told = after.attempt(attempt.id)
    if attempt.receipt is not None or told.receipt != receipt.receipt:
        return after, decision
    if receipt.state is not State.RETURNED and receipt.refund_id is None:
        return after, decision
    refund = books.refund(taken.connection, receipt.refund_id) if receipt.refund_id else None
    shown = replace(
        told,
        needs_review=True,
        returned=receipt.state is State.RETURNED,
        refund_id=refund.id if refund else None,
        refund_status=refund.status.value if refund else None,
        refund_at=refund.updated_at if refund else None,
    )
    if told.seq == attempt.seq:
        shown = shown.with_next_seq(told.updated_at)
    return after.changed(shown), replace(decision, needs_review=True)


def record_receipt(
    taken: Taken,
    receipt: Receipt,
    known: Receipt | None,
    transaction_id: str | None,
    also: Sequence[Write],
    now: datetime,
    *,
    doubtful: bool = False,
    raw: Raw | None = None,
) -> list[Change]:
    """Give a receipt to a transaction of an order whose lock is held, then the receipt's.

    Args:
        receipt: with all that is known of it.
        known: as its row has it; None: it has none yet.
        transaction_id: None: the order's newest transaction by hand that is not paid, or a new one.
        also: the rows that belong to it: witnesses.
        now: aware UTC.
        doubtful: a person has to look, whatever else is decided.
        raw: who gave it, and why; None: a rule did.

    Returns:
        The changes, to be announced by the caller.

    Raises:
        IntegrityError: it changed meanwhile; nothing was written.
    """
    account = taken.account
    if transaction_id is None:
        account, attempt = with_hand(account, now)
    else:
        attempt = account.attempt(transaction_id)
    evidence = settlement.ReceiptFound(
        receipt.receipt, receipt.amount, receipt.paid_at or receipt.learned_at, doubtful
    )
    decision = settlement.decide(attempt, evidence, now)
    after, decision = settlement.apply(account, attempt, decision, now)
    after = replace(after, order=replace(after.order, in_sight_until=None))
    claimed = replace(
        receipt,
        state=State.CLAIMED,
        transaction_id=attempt.id,
        changed_at=now,
        unclaimed_from=None,
    )
    raw = raw or Raw(Kind.RECEIPT, receipt.receipt.encode())
    taken.put_back(
        after,
        *records.of_decision(taken, attempt, after, decision, raw, now),
        *records.of_ended(account, after, now, but=attempt.id),
        books.kept(claimed, known),
        *([] if known is None else [Write(books.DROP_SUGGESTIONS, {"receipt_id": receipt.id})]),
        *also,
    )
    return changes_of(taken.account, after, now)


def sight_money(
    taken: Taken, until: datetime, also: Sequence[Write], now: datetime
) -> list[Change]:
    """Note that money for an order, whose lock is held, waits for its proof.

    Args:
        until: the proof is waited for until then, or for longer if it is already.
        also: the rows that belong to it.

    Returns:
        The changes, to be announced by the caller.
    """
    before = taken.account
    if before.money_in_sight(now):
        until = max(until, before.order.in_sight_until or until)
    after = replace(before, order=replace(before.order, in_sight_until=until))
    if after.money_in_sight(now) != before.money_in_sight(now):
        after = after.with_next_seqs(now, but="")
    taken.put_back(after, *also)
    return changes_of(before, after, now)


def out_of_sight(taken: Taken, until: datetime, now: datetime) -> list[Change]:
    """Note that an order, whose lock is held, waits no longer for money that is not its own.

    Args:
        until: that money's own; an order that waits until another time waits for more.

    Returns:
        The changes, to be announced by the caller.
    """
    before = taken.account
    if before.order.in_sight_until != until or not before.money_in_sight(now):
        return []
    after = replace(before, order=replace(before.order, in_sight_until=None))
    after = after.with_next_seqs(now, but="")
    taken.put_back(after)
    return changes_of(before, after, now)


def begin_by_hand(session: Session, order_id: str, clock: Now) -> tuple[Recorded, bool]:
    """Note that an order's shopper chose to pay by hand.

    Returns:
        The transaction by hand that waits for the money, and whether it is a new one.

    Raises:
        books.Unknown: there is no such order.
        OrderPaid: it is paid.
        OrderClosed: it is cancelled or has expired.
    """
    with books.taken_out(session, By.ORDER, order_id) as taken:
        now, before = clock(), taken.account
        status = before.status(now)
        if status is OrderStatus.PAID:
            raise OrderPaid
        if status is not OrderStatus.OPEN:
            raise OrderClosed
        for each in before.attempts:
            if each.by_hand and each.status is Status.PENDING:
                return Recorded([], before, each, now), False
        account, attempt = with_hand(before, now, anew=True)
        decision = settlement.decide(attempt, settlement.ChosenByHand(), now)
        # A push that waits beside it says from now on that its prompt is to be cancelled.
        account = account.with_next_seqs(now, but=attempt.id)
        raw = Raw(Kind.HAND)
        taken.put_back(account, *records.of_decision(taken, attempt, account, decision, raw, now))
        return Recorded(changes_of(before, account, now), account, attempt, now), True


def with_hand(account: Account, now: datetime, *, anew: bool = False) -> tuple[Account, Attempt]:
    """Find the transaction by hand of an account that is to be paid, or add one.

    Args:
        anew: one that is no longer waited for does not count.
    """
    waiting = (Status.PENDING,) if anew else (Status.PENDING, Status.FAILED)
    for each in account.attempts:
        if each.by_hand and each.status in waiting:
            return account, each
    attempt = Attempt(
        id=new_id(),
        order_id=account.order.id,
        attempt=1 + max((each.attempt for each in account.attempts), default=0),
        # The column belongs to pushes. Nobody knows the token with this hash.
        callback_token_hash=hash_token(new_callback_token()),
        channel=Channel.HAND,
        amount=account.order.amount,
        status=Status.PENDING,
        reason=Reason.AWAITING_PAYMENT,
        final=False,
        is_open=False,
        created_at=now,
        updated_at=now,
    )
    return Account(account.order, (attempt, *account.attempts)), attempt


class _Contested(Exception):
    """Another transaction has the receipt, and has to be put into review first.

    Two orders' locks are never held at once, so the review takes a commit of its own. It comes
    first: a process that ends after it judges this evidence once more, whereas one that ended after
    the other commit would not know that the review is missing.

    Attributes:
        holder: the other transaction's id.
    """

    def __init__(self, holder: str) -> None:
        super().__init__("the receipt is another transaction's")
        self.holder = holder


def _doubt(session: Session, holder_id: str, claimant_id: str, now: Now) -> None:
    """Put a transaction into review once, because another one's callback names its receipt.

    A receipt that the holder's own callback named is the holder's. A receipt that a person typed
    may be a mistake.
    """
    with books.taken_out(session, By.TRANSACTION, holder_id) as taken:
        holder = taken.account.attempt(holder_id)
        heard = taken.connection.execute(_HEARD, {"id": holder_id}).all()
        named = (read_roughly(each.body) for each in heard if each.kind == Kind.CALLBACK)
        its_own = any(each and each.receipt == holder.receipt for each in named)
        raw = Raw(Kind.CLAIM, claimant_id.encode())
        if not its_own and (raw.kind.value, raw.body) not in map(tuple, heard):
            _decide_and_commit(taken, holder, settlement.ReceiptClaimed(claimant_id), raw, now())


def changes_of(before: Account, after: Account, now: datetime) -> list[Change]:
    """The attempts whose snapshots differ since, each with its new snapshot."""
    was = {each.id: each for each in before.attempts}
    return [
        Change(
            each.id,
            each.seq,
            snapshot.draw(after, each, now),
            now - each.created_at
            if each.id in was and each.status is not was[each.id].status
            else None,
        )
        for each in after.attempts
        if each.id not in was or each.seq != was[each.id].seq
    ]

"""Forget who paid: numbers, ids that hold them and raw messages are blanked, the books stay.

This is the only code beside the ledger that writes to a transaction or a receipt. It changes no
state, and leaves evidence of itself with each transaction.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, insert, not_, or_, select, update
from sqlalchemy.orm import Session

from mpesa import ledger
from mpesa.database import writing
from mpesa.domain.attempt import FORGOTTEN_ID
from mpesa.domain.evidence import Kind
from mpesa.domain.receipt import Direction
from mpesa.domain.refund import UNDER_WAY, Event
from mpesa.domain.result_codes import Status
from mpesa.domain.statement_lines import LineKind
from mpesa.domain.why import Why
from mpesa.ids import new_id
from mpesa.models import (
    Asked,
    AwaitedResult,
    DecisionRow,
    EvidenceRow,
    HeardResult,
    IdempotencyKey,
    Receipt,
    Refund,
    RefundStep,
    StatementFile,
    StatementLine,
    StatusQuestion,
    Transaction,
    WebhookMessage,
    Witness,
)

# Ids looked up at once; each transaction is a commit of its own, under its own order's lock.
_BATCH = 500
# The acts of operators, and the fact that something was forgotten, are the merchant's own record.
_KEPT_KINDS = (Kind.OPERATOR.value, Kind.FORGOTTEN.value)
# The blank number in the body of a message: as the ledger writes it, and as this module does.
_NO_PHONE = ('"phone":""', '"phone": ""')
# Fields of a message about a receipt, null once they are forgotten.
_OF_PAYERS = ("account", "phone", "name")
# A failure may still be contradicted by late money, which is believed by its ids. None is expected
# after this time.
_LATE_MONEY = timedelta(hours=72)


@dataclass
class UnsettledLine(Exception):
    """A line has payments that may still change, so its number is still needed.

    Attributes:
        transaction_ids: those payments, and the numbers of receipts that a person has to look at.
    """

    transaction_ids: Sequence[str]


@dataclass
class Forgotten:
    """Counts of what was blanked, or would be.

    Attributes:
        transactions: those whose number and id were blanked.
        receipts: those of whose payers something was blanked.
        messages: raw bodies that were blanked.
        left: older transactions and receipts that stay, since they may still change or wait for a
            person.
    """

    transactions: int = 0
    receipts: int = 0
    messages: int = 0
    left: int = 0


def by_age(
    session: Session, now: datetime, age: timedelta, by: str, *, dry_run: bool = False
) -> Forgotten:
    """Forget the payers of transactions and receipts that are older than `age`.

    What may still change, or waits for a person, is left; an unclaimed receipt is not. Messages
    that came for a transaction or a receipt after it was forgotten are blanked as well, and the
    masked number of a webhook once that was sent.

    Args:
        now: aware UTC.
        by: the name of the person who asked for it; kept as the evidence's source.
        dry_run: only count.
    """
    before = now - age
    old = and_(Transaction.created_at < before, Transaction.updated_at < before)
    # Messages that came after a transaction was forgotten on request go too, at any age.
    due = and_(or_(old, Transaction.msisdn.is_(None)), _is_known())
    done = Forgotten(left=_count(session, and_(due, not_(_settled()))))
    why = f"{Why.FORGOTTEN_BY_AGE}: {age.days}"
    of_receipts = and_(Receipt.learned_at < before, Receipt.changed_at < before, _holds_people())
    done.left += _count(session, and_(of_receipts, _is_looked_at()))
    _forget_receipts(session, and_(of_receipts, not_(_is_looked_at())), done, dry_run)
    nobodys = and_(Witness.receipt_id.is_(None), Witness.judged, Witness.received_at < before)
    _blank_witnesses(session, nobodys, done, dry_run)
    heard = and_(HeardResult.heard_at < before, HeardResult.judged)
    _blank_results(session, heard, done, dry_run)
    _blank_steps(session, RefundStep.at < before, done, dry_run)
    asked = StatusQuestion.typed_at < before
    _blank_questions(session, asked, dry_run)
    _blank_statements(session, StatementFile.kept_at < before, done, dry_run)
    _blank_lines(session, StatementLine.added_at < before, dry_run)
    return _forget_all(session, and_(due, _settled()), done, (by, why, now), dry_run)


def by_line(
    session: Session, msisdn: str, mark: str, now: datetime, by: str, *, dry_run: bool = False
) -> Forgotten:
    """Forget the payer of everything that one line paid, as its owner asked.

    A receipt is the line's by its push, or by the number's keyed hash. One of whose payer M-PESA
    told a masked number alone is nobody's.

    Args:
        msisdn: twelve digits.
        mark: the keyed hash of that number (`receipts.Needs.mark_of`).
        now: aware UTC.
        by: the name of the person who did it; kept as the evidence's source.
        dry_run: only count.

    Raises:
        UnsettledLine: nothing was forgotten.
    """
    own = Transaction.msisdn == msisdn
    failed_lately = and_(
        Transaction.status != Status.SUCCESS.value, Transaction.updated_at > now - _LATE_MONEY
    )
    may_change = or_(not_(_settled()), failed_lately)
    unsettled = session.scalars(select(Transaction.id).where(own, may_change)).all()
    pushes = select(Transaction.id).where(own)
    of_line = or_(Receipt.payer_hash == mark, Receipt.transaction_id.in_(pushes))
    waiting = or_(_is_looked_at(), Receipt.refund_id.is_not(None))
    looked_at = session.scalars(select(Receipt.receipt).where(of_line, waiting)).all()
    if unsettled or looked_at:
        raise UnsettledLine([*unsettled, *looked_at])
    done = Forgotten()
    paid = session.execute(select(Receipt.id, Receipt.receipt).where(of_line)).all()
    numbers = [each.receipt for each in paid]
    back = and_(Receipt.direction == Direction.OUT.value, Receipt.returned_by.in_(numbers))
    refunds = select(Refund.id).where(Refund.receipt_id.in_([each.id for each in paid]))
    about = select(AwaitedResult.token_hash).where(
        or_(AwaitedResult.subject.in_(numbers), AwaitedResult.subject.in_(refunds))
    )
    results = or_(HeardResult.payer_hash == mark, HeardResult.token_hash.in_(about))
    _blank_results(session, results, done, dry_run)
    _blank_steps(session, RefundStep.refund_id.in_(refunds), done, dry_run)
    _blank_witnesses(session, Witness.id.in_(_naming(session, msisdn)), done, dry_run)
    _blank_questions(session, StatusQuestion.transaction_id.in_(pushes), dry_run)
    returned = session.scalars(select(Receipt.receipt).where(back)).all()
    told = StatementLine.receipt.in_([*numbers, *returned])
    # A line is stored once, and may stand in each file that covers its time.
    in_file = select(StatementLine.id).where(
        told,
        StatementLine.organisation == StatementFile.organisation,
        StatementLine.at >= StatementFile.since,
        StatementLine.at < StatementFile.until,
    )
    files = in_file.correlate(StatementFile).exists()
    _blank_statements(session, files, done, dry_run)
    _blank_lines(session, told, dry_run)
    _forget_receipts(session, or_(of_line, back), done, dry_run)
    act = (by, Why.FORGOTTEN_ON_REQUEST.value, now)
    return _forget_all(session, own, done, act, dry_run)


def _settled() -> ColumnElement[bool]:
    """Nothing more is expected: no open prompt, no question, no review, no unjudged callback.

    A planned question about a complete payment is not asked, so it does not count.
    """
    complete = and_(Transaction.status == Status.SUCCESS.value, Transaction.final)
    judged = select(DecisionRow.id).where(DecisionRow.evidence_id == EvidenceRow.id)
    unjudged = select(EvidenceRow.id).where(
        EvidenceRow.transaction_id == Transaction.id,
        EvidenceRow.kind == Kind.CALLBACK.value,
        ~judged.exists(),
    )
    return and_(
        Transaction.status != Status.PENDING.value,
        Transaction.is_open.is_(False),
        Transaction.needs_review.is_(False),
        or_(complete, Transaction.next_ask_at.is_(None)),
        ~unjudged.correlate(Transaction).exists(),
    )


def _is_known() -> ColumnElement[bool]:
    """There is something to forget: a number, or what came or was sent after the last time."""
    bodies = select(EvidenceRow.id).where(
        EvidenceRow.transaction_id == Transaction.id,
        EvidenceRow.kind.not_in(_KEPT_KINDS),
        or_(func.length(EvidenceRow.body) > 0, EvidenceRow.source.is_not(None)),
    )
    # Webhooks that were sent, or given up, and still hold the masked number.
    messages = select(WebhookMessage.id).where(
        WebhookMessage.transaction_id == Transaction.id,
        WebhookMessage.next_attempt_at.is_(None),
        *(not_(WebhookMessage.body.contains(blank)) for blank in _NO_PHONE),
    )
    return or_(
        Transaction.msisdn.is_not(None),
        bodies.correlate(Transaction).exists(),
        messages.correlate(Transaction).exists(),
    )


def _count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).where(which)) or 0


_Act = tuple[str, str, datetime]


def _forget_all(
    session: Session, which: ColumnElement[bool], done: Forgotten, act: _Act, dry_run: bool
) -> Forgotten:
    if dry_run:
        done.transactions = _count(session, which)
        done.messages += (
            session.scalar(
                select(func.count())
                .select_from(EvidenceRow)
                .join(Transaction)
                .where(
                    which, EvidenceRow.kind.not_in(_KEPT_KINDS), func.length(EvidenceRow.body) > 0
                )
            )
            or 0
        )
        return done
    with writing(session):
        # The senders' marks of ten minutes: without them, some are served a little sooner.
        session.execute(delete(Asked))
    for transaction_id, order_id in _in_batches(session, which):
        messages = _forget(session, transaction_id, order_id, act)
        if messages is not None:
            done.transactions += 1
            done.messages += messages
    return done


def _in_batches(session: Session, which: ColumnElement[bool]) -> Iterator[tuple[str, str]]:
    """Find transactions and their orders by id; none comes twice, forgotten or not."""
    last = ""
    while True:
        batch = session.execute(
            select(Transaction.id, Transaction.order_id)
            .where(which, Transaction.id > last)
            .order_by(Transaction.id)
            .limit(_BATCH)
        ).all()
        if not batch:
            return
        yield from ((each.id, each.order_id) for each in batch)
        last = batch[-1].id


def _forget(session: Session, transaction_id: str, order_id: str, act: _Act) -> int | None:
    """Forget the payer of one transaction, under its order's lock.

    Returns:
        How many bodies were blanked; None where the transaction is no longer settled.
    """
    by, why, now = act
    with writing(session):
        ledger.lock_order(session, order_id)
        blanked = session.execute(
            update(Transaction)
            .where(Transaction.id == transaction_id, _settled())
            .values(
                msisdn=None,
                merchant_request_id=None,
                next_ask_at=None,
                pushed_from=None,
                urgent_for=None,
                checkout_request_id=FORGOTTEN_ID + new_id(),
            )
            .execution_options(synchronize_session=False)
        )
        if not blanked.rowcount:  # type: ignore[attr-defined]
            return None
        own = (
            EvidenceRow.transaction_id == transaction_id,
            EvidenceRow.kind.not_in(_KEPT_KINDS),
        )
        blanked_bodies = session.execute(
            update(EvidenceRow)
            .where(*own, func.length(EvidenceRow.body) > 0)
            .values(body=b"")
            .execution_options(synchronize_session=False)
        )
        count = int(blanked_bodies.rowcount)  # type: ignore[attr-defined]
        session.execute(
            update(EvidenceRow)
            .where(*own)
            .values(source=None)
            .execution_options(synchronize_session=False)
        )
        _blank_webhooks(session, transaction_id)
        session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.transaction_id == transaction_id)
        )
        _leave_evidence(session, transaction_id, by, why, now)
    session.expire_all()
    return count


def _blank_webhooks(session: Session, transaction_id: str) -> None:
    """Blank the masked number in messages that were sent; those that wait are still to be sent."""
    sent = select(WebhookMessage).where(
        WebhookMessage.transaction_id == transaction_id, WebhookMessage.next_attempt_at.is_(None)
    )
    for message in session.scalars(sent):
        document = json.loads(message.body)
        document.get("data", {})["phone"] = ""
        message.body = json.dumps(document, ensure_ascii=False)


def _leave_evidence(
    session: Session, transaction_id: str, by: str, why: str, now: datetime
) -> None:
    """Add a row of evidence, with a decision that changes nothing, as for every other act."""
    transaction = session.get_one(Transaction, transaction_id, populate_existing=True)
    added = session.execute(
        insert(EvidenceRow)
        .values(
            transaction_id=transaction_id,
            kind=Kind.FORGOTTEN.value,
            body=b"",
            source=by,
            received_at=now,
        )
        .returning(EvidenceRow.id)
    )
    session.execute(
        insert(DecisionRow).values(
            evidence_id=added.scalar_one(),
            transaction_id=transaction_id,
            status=transaction.status,
            reason=transaction.reason,
            seq=transaction.seq,
            needs_review=False,
            why=why,
            decided_at=now,
        )
    )


# -- receipts --------------------------------------------------------------------------------------


def _is_looked_at() -> ColumnElement[bool]:
    """A person has to look at the receipt, or at the transaction that has it."""
    doubted = select(Transaction.id).where(
        Transaction.id == Receipt.transaction_id, Transaction.needs_review
    )
    return or_(Receipt.needs_review, doubted.correlate(Receipt).exists())


def _holds_people() -> ColumnElement[bool]:
    """There is something to forget of a receipt, or what came or was sent after the last time."""
    bodies = select(Witness.id).where(Witness.receipt_id == Receipt.id, _tells_people())
    messages = select(WebhookMessage.id).where(
        WebhookMessage.receipt_id == Receipt.id,
        WebhookMessage.next_attempt_at.is_(None),
        or_(*(not_(_is_null(field)) for field in _OF_PAYERS)),
    )
    return or_(
        *(Receipt.__table__.c[name].is_not(None) for name in _OF_RECEIPT),
        bodies.correlate(Receipt).exists(),
        messages.correlate(Receipt).exists(),
    )


_OF_RECEIPT = ("account", "payer_masked", "payer_hash", "payer_name")


def _is_null(field: str) -> ColumnElement[bool]:
    """In the body of a message: as the ledger writes it, and as this module does."""
    forms = (f'"{field}":null', f'"{field}": null')
    return or_(*(WebhookMessage.body.contains(each) for each in forms))


def _tells_people() -> ColumnElement[bool]:
    return or_(func.length(Witness.body) > 0, Witness.source.is_not(None))


def _forget_receipts(
    session: Session, which: ColumnElement[bool], done: Forgotten, dry_run: bool
) -> None:
    """Forget the payers of receipts, each under its own lock and in a commit of its own."""
    ids = session.scalars(select(Receipt.id).where(which, _holds_people())).all()
    for receipt_id in ids:
        of_receipt = Witness.receipt_id == receipt_id
        if not dry_run:
            with writing(session):
                locked = select(Receipt.id).where(Receipt.id == receipt_id).with_for_update()
                session.execute(locked)
                blank = dict.fromkeys(_OF_RECEIPT)
                own = update(Receipt).where(Receipt.id == receipt_id)
                session.connection().execute(own.values(**blank))
                _blank_messages(session, receipt_id)
        done.receipts += 1
        _blank_witnesses(session, of_receipt, done, dry_run)


def _blank_messages(session: Session, receipt_id: str) -> None:
    """Blank the payer in messages that were sent; those that wait are still to be sent."""
    sent = select(WebhookMessage).where(
        WebhookMessage.receipt_id == receipt_id, WebhookMessage.next_attempt_at.is_(None)
    )
    for message in session.scalars(sent):
        document = json.loads(message.body)
        document["data"].update(dict.fromkeys(_OF_PAYERS))
        message.body = json.dumps(document, ensure_ascii=False)


def _blank_witnesses(
    session: Session, which: ColumnElement[bool], done: Forgotten, dry_run: bool
) -> None:
    """Blank what witnesses told; that they did, and when, stays."""
    told = and_(which, _tells_people())
    done.messages += _count(session, and_(told, func.length(Witness.body) > 0))
    if not dry_run:
        with writing(session):
            session.connection().execute(update(Witness).where(told).values(body=b"", source=None))


def _blank_results(
    session: Session, which: ColumnElement[bool], done: Forgotten, dry_run: bool
) -> None:
    done.messages += _count(session, and_(which, func.length(HeardResult.body) > 0))
    if not dry_run:
        with writing(session):
            held = (HeardResult.payer_hash.is_not(None), HeardResult.source.is_not(None))
            told = and_(which, or_(func.length(HeardResult.body) > 0, *held))
            blank = {"body": b"", "payer_hash": None, "source": None}
            session.connection().execute(update(HeardResult).where(told).values(**blank))


def _blank_steps(
    session: Session, which: ColumnElement[bool], done: Forgotten, dry_run: bool
) -> None:
    """Blank M-PESA's reports on refunds that are over; who asked, who released and when stays."""
    over = select(Refund.id).where(
        Refund.status.not_in([each.value for each in UNDER_WAY]), ~Refund.needs_review
    )
    told = and_(
        which,
        RefundStep.refund_id.in_(over),
        # Why a person settled its review stays as well, as of a payment.
        RefundStep.event != Event.REVIEW_SETTLED.value,
        func.length(RefundStep.body) > 0,
    )
    done.messages += _count(session, told)
    if not dry_run:
        with writing(session):
            # Any other body came from an address, and from no person.
            session.connection().execute(update(RefundStep).where(told).values(body=b"", by=None))


def _blank_questions(session: Session, which: ColumnElement[bool], dry_run: bool) -> None:
    """Blank the marks of senders who typed codes."""
    if not dry_run:
        marked = and_(which, StatusQuestion.share.is_not(None))
        with writing(session):
            session.connection().execute(update(StatusQuestion).where(marked).values(share=None))


def _blank_statements(
    session: Session, which: ColumnElement[bool], done: Forgotten, dry_run: bool
) -> None:
    """Drop files of statements whose import is done; their sums and lines stay."""
    kept = and_(which, StatementFile.raw.is_not(None), StatementFile.done_at.is_not(None))
    done.messages += _count(session, kept)
    if not dry_run:
        with writing(session):
            session.connection().execute(update(StatementFile).where(kept).values(raw=None))


def _blank_lines(session: Session, which: ColumnElement[bool], dry_run: bool) -> None:
    """Blank what lines tell of people; the words of a charge or a sweep are M-PESA's alone."""
    told = and_(
        which,
        StatementLine.kind.not_in((LineKind.CHARGE.value, LineKind.SWEEP.value)),
        or_(StatementLine.details != "", *(each.is_not(None) for each in _OF_LINE)),
    )
    if not dry_run:
        blank = {"details": "", **dict.fromkeys(each.key for each in _OF_LINE)}
        with writing(session):
            session.connection().execute(update(StatementLine).where(told).values(**blank))


_OF_LINE = (StatementLine.account, StatementLine.payer, StatementLine.name)


def _naming(session: Session, msisdn: str) -> list[int]:
    """The ids of witnesses that no receipt has, and that hold a number whole or as its hash."""
    signs = (msisdn[3:].encode(), hashlib.sha256(msisdn.encode()).hexdigest().encode())
    kept = select(Witness.id, Witness.body).where(Witness.receipt_id.is_(None))
    found = session.execute(kept.execution_options(yield_per=_BATCH))
    return [each.id for each in found if any(sign in each.body.lower() for sign in signs)]

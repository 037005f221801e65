"""Forget who paid: numbers, ids that hold them and raw messages go, the books stay.

This is the one door beside the ledger. It changes no state, and leaves evidence of itself.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, func, insert, not_, or_, select, update
from sqlalchemy.orm import Session

from mpesa import ledger
from mpesa.database import writing
from mpesa.domain.attempt import FORGOTTEN_ID
from mpesa.domain.result_codes import Status
from mpesa.domain.why import Why
from mpesa.ids import new_id
from mpesa.ledger import Kind
from mpesa.models import (
    Asked,
    DecisionRow,
    EvidenceRow,
    IdempotencyKey,
    Transaction,
    WebhookMessage,
)

# Ids looked up at once; each transaction is a commit of its own, under its own order's lock.
_BATCH = 500
# What an operator did, and that something was forgotten, is the merchant's own record.
_KEPT_KINDS = (Kind.OPERATOR.value, Kind.FORGOTTEN.value)
# As the ledger writes the body of a forgotten payment, and as it is rewritten here.
_NO_PHONE = ('"phone":""', '"phone": ""')
# A failure may still be contradicted by late money, which is believed by the ids: nobody waits
# longer than this for it.
_LATE_MONEY = timedelta(hours=72)


@dataclass
class UnsettledLine(Exception):
    """A line has payments that may still change, so its number is still needed.

    Attributes:
        transaction_ids: those payments.
    """

    transaction_ids: Sequence[str]


@dataclass
class Forgotten:
    """What was blanked, or would be.

    Attributes:
        transactions: whose number and id went.
        messages: raw bodies that went.
        left: older ones that stay for now, since they may still change or wait for a person.
    """

    transactions: int = 0
    messages: int = 0
    left: int = 0


def by_age(
    session: Session, now: datetime, age: timedelta, by: str, *, dry_run: bool = False
) -> Forgotten:
    """Forget who paid longer ago than `age`; what may still change, or waits for a person, stays.

    What came since for a payment that was forgotten before goes as well, a webhook's masked number
    once that was taken.

    Args:
        now: aware UTC.
        by: who asked for it; kept as the evidence's source.
        dry_run: only count.
    """
    before = now - age
    old = and_(Transaction.created_at < before, Transaction.updated_at < before)
    # Of what was forgotten on request, whatever came since goes too, however young it is.
    due = and_(or_(old, Transaction.msisdn.is_(None)), _is_known())
    done = Forgotten(left=_count(session, and_(due, not_(_settled()))))
    why = f"{Why.FORGOTTEN_BY_AGE}: {age.days}"
    return _forget_all(session, and_(due, _settled()), done, (by, why, now), dry_run)


def by_line(
    session: Session, msisdn: str, now: datetime, by: str, *, dry_run: bool = False
) -> Forgotten:
    """Forget everything that one line paid, as its owner asked.

    Args:
        msisdn: twelve digits.
        by: who did it; kept as the evidence's source.
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
    if unsettled:
        raise UnsettledLine(unsettled)
    return _forget_all(
        session, own, Forgotten(), (by, Why.FORGOTTEN_ON_REQUEST.value, now), dry_run
    )


def _settled() -> ColumnElement[bool]:
    """Nothing is expected any more: not open, nobody asks Daraja or a person, nothing unjudged.

    Nobody asks about a payment that is complete, whatever was planned for it.
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
    """There is something to forget: a number, or what came or was told after the last time."""
    return or_(Transaction.msisdn.is_not(None), _bodies().exists(), _told_numbers().exists())


def _bodies() -> Select[Any]:
    own = select(EvidenceRow.id).where(
        EvidenceRow.transaction_id == Transaction.id,
        EvidenceRow.kind.not_in(_KEPT_KINDS),
        or_(func.length(EvidenceRow.body) > 0, EvidenceRow.source.is_not(None)),
    )
    return own.correlate(Transaction)


def _told_numbers() -> Select[Any]:
    """Webhooks that are told, or given up, and still hold the masked number."""
    own = select(WebhookMessage.id).where(
        WebhookMessage.transaction_id == Transaction.id,
        WebhookMessage.next_attempt_at.is_(None),
        *(not_(WebhookMessage.body.contains(blank)) for blank in _NO_PHONE),
    )
    return own.correlate(Transaction)


def _count(session: Session, which: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count()).select_from(Transaction).where(which)) or 0


_Act = tuple[str, str, datetime]


def _forget_all(
    session: Session, which: ColumnElement[bool], done: Forgotten, act: _Act, dry_run: bool
) -> Forgotten:
    if dry_run:
        done.transactions = _count(session, which)
        done.messages = (
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
        # Marks of senders, ten minutes' worth: some are served a little sooner, and that is all.
        session.execute(delete(Asked))
    for transaction_id, order_id in _found(session, which):
        messages = _forget(session, transaction_id, order_id, act)
        if messages is not None:
            done.transactions += 1
            done.messages += messages
    return done


def _found(session: Session, which: ColumnElement[bool]) -> Iterator[tuple[str, str]]:
    """Ids, a batch at a time; what was forgotten is found no more, what was not is passed over."""
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
    """Forget one, under its order's lock; returns how many bodies went, None if it changed."""
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
        bodies = _blank_evidence(session, transaction_id)
        _blank_webhooks(session, transaction_id)
        session.execute(
            delete(IdempotencyKey).where(IdempotencyKey.transaction_id == transaction_id)
        )
        _leave_evidence(session, transaction_id, by, why, now)
    session.expire_all()
    return bodies


def _blank_evidence(session: Session, transaction_id: str) -> int:
    own = (EvidenceRow.transaction_id == transaction_id, EvidenceRow.kind.not_in(_KEPT_KINDS))
    bodies = session.execute(
        update(EvidenceRow)
        .where(*own, func.length(EvidenceRow.body) > 0)
        .values(body=b"")
        .execution_options(synchronize_session=False)
    )
    session.execute(
        update(EvidenceRow)
        .where(*own)
        .values(source=None)
        .execution_options(synchronize_session=False)
    )
    return int(bodies.rowcount)  # type: ignore[attr-defined]


def _blank_webhooks(session: Session, transaction_id: str) -> None:
    """What the merchant has been told holds the masked number; what waits is still to be told."""
    told = select(WebhookMessage).where(
        WebhookMessage.transaction_id == transaction_id, WebhookMessage.next_attempt_at.is_(None)
    )
    for message in session.scalars(told):
        document = json.loads(message.body)
        document.get("data", {})["phone"] = ""
        message.body = json.dumps(document, ensure_ascii=False)


def _leave_evidence(
    session: Session, transaction_id: str, by: str, why: str, now: datetime
) -> None:
    """A row of its own, with a decision that changes nothing, as for everything that happened."""
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

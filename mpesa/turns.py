"""Whose turn it is to have Daraja asked.

Daraja takes a few questions a minute, and strangers cause them without end: by pushes to phones of
their own, by codes that they type. So questions are shared out by the sender that caused them: who
was not served lately comes before who was, and of each sender the most pressing question is asked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, not_, or_, select
from sqlalchemy.orm import Session

from mpesa.domain.result_codes import Status
from mpesa.models import Asked, Transaction, writing
from mpesa.quota import QueryBudget

# Somebody may be looking at the page of a payment that is younger than this.
_YOUNG = timedelta(minutes=10)
# A sender whose last question is longer ago is as good as new: fifty senders at five a minute.
_REMEMBERED = timedelta(minutes=10)
# Of so many questions in a row, one is for a payment that is no longer young, where one is due.
_OLD_TURN = 3


@dataclass(frozen=True)
class Due:
    """A transaction to ask about.

    Attributes:
        next_ask_at: as it was read; who claims the question names it.
        share: whose share of the questions pays for it, a mark of a sender; None: nobody's, since
            Daraja itself or an operator gave reason to ask.
        is_old: no shopper is expected to wait for it.
        is_failed: it failed, and may be paid all the same: to be asked after everybody else.
        served_at: when that sender last had a question; None: not lately.
    """

    transaction_id: str
    checkout_request_id: str
    next_ask_at: datetime
    share: str | None
    is_old: bool
    is_failed: bool
    served_at: datetime | None


def most_urgent(session: Session, now: datetime) -> Due | None:
    """The transaction to ask about now; None where none is due.

    Failures that may still turn out paid come last. Of the others, payments of which something was
    heard and young payments come before old silence, but each third question is open to old silence
    as well; then the sender who was served longest ago comes first. Of one sender's payments, those
    of which something was heard come first, but once such a payment was asked about, what else is
    heard of it comes after young payments that never were; then come the young, those asked about
    least before others, and the newest first.
    """
    urgent, is_new = Transaction.ask_urgently, Transaction.times_asked == 0
    pending, is_young = Transaction.status == Status.PENDING, Transaction.created_at > now - _YOUNG
    share = case((urgent, Transaction.urgent_for), else_=Transaction.pushed_from)
    served = (
        select(Asked.share, func.max(Asked.asked_at).label("at"))
        .where(_lately(now))
        .group_by(Asked.share)
        .subquery()
    )
    is_failed = not_(or_(pending, urgent)).label("is_failed")
    is_old = not_(or_(urgent, is_young)).label("is_old")
    by_sender = (served.c.at.is_not(None), served.c.at)
    shares = (*by_sender, not_(is_old)) if _is_old_turn(session, now) else (is_old, *by_sender)
    rank = case(
        (and_(urgent, is_new), 0), (and_(pending, is_new, is_young), 1), (urgent, 2), else_=3
    )
    due = (
        select(
            Transaction.id.label("transaction_id"),
            Transaction.checkout_request_id,
            Transaction.next_ask_at,
            share.label("share"),
            is_old,
            is_failed,
            served.c.at.label("served_at"),
        )
        .outerjoin(served, served.c.share == share)
        .where(
            Transaction.next_ask_at <= now,
            Transaction.checkout_request_id.is_not(None),
            Transaction.status != Status.SUCCESS,
        )
        .order_by(is_failed, *shares, rank, not_(pending), Transaction.times_asked)
        .order_by(Transaction.created_at.desc())
        .limit(1)
    )
    found = session.execute(due).first()
    return Due(**found._mapping) if found else None


def take(
    session: Session, budget: QueryBudget, share: str | None, now: datetime, *, is_old: bool
) -> bool:
    """Whether a question may be sent now; it is then counted for that sender.

    Args:
        share, is_old: as in `Due`.
    """
    if not budget.take():
        return False
    with writing(session):
        session.execute(delete(Asked).where(not_(_lately(now))))
        session.execute(insert(Asked).values(share=share, is_old=is_old, asked_at=now))
    return True


def yields(session: Session, share: str | None, now: datetime) -> bool:
    """Whether a question that a sender wants asked at once has to wait for another sender's.

    Args:
        share: as in `Due`.
    """
    own = select(func.max(Asked.asked_at)).where(Asked.share == share, _lately(now))
    served_at = session.scalars(own).first()
    if served_at is None:
        return False
    due = most_urgent(session, now)
    if due is None or due.is_failed:
        return False
    return due.served_at is None or due.served_at < served_at


def _is_old_turn(session: Session, now: datetime) -> bool:
    lately = select(Asked.is_old).where(_lately(now)).order_by(Asked.id.desc())
    found = session.scalars(lately.limit(_OLD_TURN - 1)).all()
    return len(found) == _OLD_TURN - 1 and not any(found)


def _lately(now: datetime) -> ColumnElement[bool]:
    """What lies ahead of now was written before a step back of the clock."""
    return Asked.asked_at.between(now - _REMEMBERED, now)

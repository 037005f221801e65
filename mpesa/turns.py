"""Whose turn it is to have Daraja asked.

Daraja takes a few questions a minute, and strangers cause them without end: by pushes to phones of
their own, by codes that they type. So questions are shared out by the sender that caused them: who
was not served lately comes before who was. Of those who come first, the most pressing question is
asked, and at every other turn the one that is due longest, since a stranger who has a new address
for each push comes first each time, with something newer.

So a payer whose sender was not served lately waits for two questions for each one of other such
senders that was due before, and two more, however many come after: each turn by waiting takes one
of these, and a question that was asked is due again only later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from sqlalchemy import ColumnElement, and_, case, delete, func, insert, not_, or_, select
from sqlalchemy.orm import Session

from mpesa.daraja_access import QueryBudget
from mpesa.database import writing
from mpesa.domain.result_codes import Status
from mpesa.models import Asked, Transaction

# Somebody may be looking at the page of a payment that is younger than this.
_YOUNG = timedelta(minutes=10)
# A sender whose last question is longer ago is as good as new: fifty senders at five a minute.
_REMEMBERED = timedelta(minutes=10)
# Of so many questions in a row, one is open to payments that are no longer young.
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

    Failures that may still turn out paid come last. At every other turn the senders who were served
    longest ago come first, and of their payments the one that is due longest. At the others,
    payments of which something was heard and young payments come before old silence, unless two
    questions in a row went to none; then the sender who was served longest ago comes first. Of such
    payments, those of which something was heard come first, but once such a payment was asked
    about, what else is heard of it comes after young payments that never were; then come the young,
    those asked about least before others, and the newest first.
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
    shares = {
        _Turn.YOUNG: (is_old, *by_sender),
        _Turn.OLD: (*by_sender, not_(is_old)),
        _Turn.WAITING: (*by_sender, Transaction.next_ask_at),
    }[_turn(session, now)]
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
    session.rollback()  # its connection goes back before the budget takes one
    if not budget.take():
        return False
    with writing(session):
        session.execute(delete(Asked).where(not_(_lately(now))))
        session.execute(insert(Asked).values(share=share, is_old=is_old, asked_at=now))
    return True


def yields(session: Session, share: str | None, about: str, now: datetime) -> bool:
    """Whether a question that a sender wants asked at once has to wait for another sender's.

    It does for every sender who was not served lately, even where this one was not either: what is
    due has been due longer than what is wanted now, and a stranger with a new address for each
    request is never one who was served.

    Args:
        share: as in `Due`.
        about: the transaction that it is about.
    """
    due = most_urgent(session, now)
    if due is None or due.is_failed or due.transaction_id == about:
        return False
    if due.served_at is None:
        return due.share != share
    own = select(func.max(Asked.asked_at)).where(Asked.share == share, _lately(now))
    served_at = session.scalars(own).first()
    return served_at is not None and due.served_at < served_at


class _Turn(Enum):
    """Who comes first."""

    YOUNG = auto()
    OLD = auto()
    WAITING = auto()


def _turn(session: Session, now: datetime) -> _Turn:
    lately = select(Asked.id, Asked.is_old).where(_lately(now)).order_by(Asked.id.desc())
    last = session.execute(lately.limit(_OLD_TURN - 1)).all()
    # The database counts the questions, so that workers need not agree on whose turn was the last.
    if last and last[0].id % 2:
        return _Turn.WAITING
    if len(last) == _OLD_TURN - 1 and not any(each.is_old for each in last):
        return _Turn.OLD
    return _Turn.YOUNG


def _lately(now: datetime) -> ColumnElement[bool]:
    """What lies ahead of now was written before a step back of the clock."""
    return Asked.asked_at.between(now - _REMEMBERED, now)

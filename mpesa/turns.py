"""Whose turn it is to have Daraja asked.

Daraja takes a few questions a minute, and strangers can cause them without end: with pushes to
phones of their own, and with codes that they type. So questions are shared out by the sender that
caused them: a sender that was not served lately comes before one that was. Among the senders that
come first, the most pressing question is asked; at every other turn, the one that has been due
longest, since a stranger with a new address for each push comes first each time, with a newer
question.

So a payer whose sender was not served lately waits for two questions for each question of other
such senders that was due before, and for two more, however many come later: each turn by waiting
takes one of these, and a question that was asked is due again only later.
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

# A shopper may be looking at the page of a payment that is younger than this.
_YOUNG = timedelta(minutes=10)
# A sender whose last question is longer ago counts as new: fifty senders at five a minute.
_REMEMBERED = timedelta(minutes=10)
# Of this many questions in a row, one is open to payments that are no longer young.
_OLD_TURN = 3


@dataclass(frozen=True)
class Due:
    """A transaction to ask about.

    Attributes:
        next_ask_at: as it was read; a worker names it to claim the question.
        share: a mark of the sender whose share of the questions pays for this one; None: no
            sender's, since Daraja itself or an operator gave reason to ask.
        is_old: no shopper is expected to wait for the answer.
        is_failed: it failed, and may be paid all the same: to be asked about last.
        served_at: when that sender last had a question, aware UTC; None: not lately.
    """

    transaction_id: str
    checkout_request_id: str
    next_ask_at: datetime
    share: str | None
    is_old: bool
    is_failed: bool
    served_at: datetime | None


def most_urgent(session: Session, now: datetime) -> Due | None:
    """Choose the transaction to ask about now; None where none is due.

    Failures that may still turn out paid come last. At every other turn, the senders that were
    served longest ago come first, and among their payments the one that has been due longest. At
    the other turns, urgent payments (something was heard of them) and young payments come before
    old silence, unless the two questions before went to none that is old; then the sender that was
    served longest ago comes first. Among these payments, urgent ones that were never asked about
    come first, then young ones that never were, then the other urgent ones; payments that were
    asked about least come before others, and the newest first.
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
    """Take a place in the query budget, and count the question for its sender.

    Args:
        share: as in `Due`.
        now: aware UTC.
        is_old: as in `Due`.

    Returns:
        Whether the question may be sent now.
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

    It waits for every sender that was not served lately, even where its own was not either: a due
    question has waited longer than one that is wanted now, and a stranger with a new address for
    each request never counts as served.

    Args:
        share: the sender's, as in `Due`.
        about: the id of the transaction that the question is about.
        now: aware UTC.
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
    """The rule by which a turn is given."""

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
    """Asked lately; a time ahead of now was written before the clock stepped back."""
    return Asked.asked_at.between(now - _REMEMBERED, now)

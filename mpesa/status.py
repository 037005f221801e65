"""Transaction Status: ask M-PESA about single receipts, and make something of what it answers.

Asked about are receipts that are not proven, and codes that shoppers typed and nobody has told of.
The answer comes later, to an address made for the question (`awaited`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, not_, or_, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import awaited, counters, initiators, receipts
from mpesa.awaited import Addresses, Awaited, Heard, Subject
from mpesa.daraja import DarajaError, NotSent, Refused
from mpesa.daraja.initiators import Initiator
from mpesa.daraja.status import StatusQuestion as Question
from mpesa.daraja.status import ask_status
from mpesa.daraja_access import Access, QueryBudget
from mpesa.database import writing
from mpesa.domain.receipt import State
from mpesa.domain.refund import ASKED_AFTER
from mpesa.domain.status_answer import read_status_answer
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.domain.told import WitnessKind
from mpesa.initiators import Go, Name
from mpesa.models import AwaitedResult, Receipt, StatusQuestion, Transaction

log = logging.getLogger(__name__)

# Whether a payment of a moment ago is found already is not known (Daraja docs, Transaction Status).
_AGAIN = timedelta(minutes=2)
MOST_TIMES = 2
# The original payment of a refund that became unknown is asked about so much later.
_LONGEST_PLAN = ASKED_AFTER
# The longest time for which the shopper's page waits for an answer.
_WAITED_FOR = timedelta(minutes=3)
# A question that could not be put is put again for so long.
_TRIED_FOR = timedelta(hours=24)
_NOT_FOUND = "2032"


@dataclass(frozen=True)
class Needs:
    """The means to ask.

    Attributes:
        access: the way to Daraja.
        budget: the places for these questions that all processes share.
        receipts: the means to take in what the answers tell.
        short_code: in whose books is looked.
        public_url: where Safaricom reaches this server.
        heard_for: how long an answer is heard.
        returned: called where M-PESA says that a receipt was given back; says whether that was
            known to be under way.
    """

    access: Access
    budget: QueryBudget
    receipts: receipts.Needs
    short_code: str
    public_url: str
    heard_for: timedelta
    returned: Callable[[Session, str], bool] = lambda _session, _receipt: False


def run_once(session: Session, needs: Needs) -> int:
    """Ask about the receipt whose turn it is, if the budget and the initiator allow.

    Returns:
        How many were asked about, 0 or 1.
    """
    try:
        initiator = needs.access.initiators.status() if needs.access.initiators else None
    except DarajaError as error:
        log.warning("the status initiator has no credential: %s", type(error).__name__)
        return 0
    if initiator is None:
        return 0
    initiators.notice_silence(session, Name.STATUS, initiator, needs.access.now())
    due = _next_due(session, needs, needs.access.now())
    session.rollback()
    if due is None or needs.budget.wait() or not needs.budget.take():
        return 0
    addresses = _begin(session, needs, initiator, due)
    if addresses is None:
        return 0
    question = Question(due.receipt, needs.short_code, addresses.result_url, addresses.timeout_url)
    try:
        ask_status(needs.access.daraja, initiator, question)
    except (NotSent, Refused) as error:
        _put_back(session, due, addresses, needs.access.now())
        log.warning("a question about a receipt did not go out: %s", type(error).__name__)
        counters.count("status_questions", outcome="not_asked")
    except DarajaError as error:
        # It may have run: an answer that comes all the same is heard.
        log.warning("a question about a receipt: %s", type(error).__name__)
        counters.count("status_questions", outcome="uncertain")
    else:
        counters.count("status_questions", outcome="asked")
    return 1


def judge_waiting(session: Session, needs: Needs) -> int:
    """Make something of the answers that came; returns how many."""
    count = 0
    for heard in awaited.waiting(session, Subject.STATUS):
        try:
            judge(session, heard, needs)
        except SQLAlchemyError as error:
            log.error("an answer about a receipt is not judged yet: %s", type(error).__name__)
        except Exception:  # one that cannot be judged delays no other
            log.exception("an answer about a receipt is not judged yet")
        else:
            count += 1
    return count


def judge(session: Session, heard: Heard, needs: Needs) -> None:
    """Make something of one answer: a witness of the receipt, and an end to its question."""
    result = heard.result if needs.receipts.listed(heard.source) else None
    if result is None:
        awaited.judged(session, heard, needs.access.now(), believed=False)
        return
    now = needs.access.now()
    initiators.note_answer(session, Name.STATUS, result, heard.credential_hash, heard.asked_at, now)
    answer = read_status_answer(result)
    told = answer.told(heard.subject)
    if told is not None and told.short_code in needs.receipts.numbers:
        arrived = receipts.Arrived(WitnessKind.STATUS, heard.body or b"", None)
        receipts.take_in(session, told, arrived, needs.receipts, payer_hash=heard.payer_hash)
        _finish(session, heard.subject)
    elif answer.is_reversed and answer.receipt == heard.subject:
        if not needs.returned(session, heard.subject):
            receipts.doubt(session, heard.subject, needs.receipts)
        _finish(session, heard.subject)
    elif answer.is_final or (result.code == _NOT_FOUND and _was_the_last(session, heard.subject)):
        # Foreign, another receipt's, or unknown to M-PESA, though somebody told of it.
        receipts.doubt(session, heard.subject, needs.receipts)
        _finish(session, heard.subject)
    awaited.judged(session, heard, needs.access.now(), believed=True)


def go(session: Session, said: Go, now: datetime) -> bool:
    """Let the initiator be used again, and ask about all receipts that are still unproven.

    Args:
        now: aware UTC.

    Returns:
        Whether it was stopped.
    """
    if not initiators.go(session, said, now):
        return False
    if said.name is Name.STATUS:
        unproven = select(Receipt.receipt).where(Receipt.state == State.UNPROVEN.value)
        with writing(session):
            session.execute(
                update(StatusQuestion)
                .where(StatusQuestion.receipt.in_(unproven), _OURS, ~StatusQuestion.done)
                .values(next_at=now, times_asked=0)
                .execution_options(synchronize_session=False)
            )
    return True


# -- whose turn it is ------------------------------------------------------------------------------

_OURS = StatusQuestion.transaction_id.is_(None)
_TYPED = StatusQuestion.transaction_id.is_not(None)


@dataclass(frozen=True, slots=True)
class _Due:
    """A question whose turn it is; `planned` tells whether it was taken meanwhile."""

    id: int
    receipt: str
    planned: datetime | None


def _next_due(session: Session, needs: Needs, now: datetime) -> _Due | None:
    """Our own questions first; codes get no more than every second place."""
    due = select(StatusQuestion.id, StatusQuestion.receipt, StatusQuestion.next_at)
    # Due by now, or planned by a clock that was ahead and has been put back since.
    planned = StatusQuestion.next_at
    due = due.where(or_(planned <= now, planned > now + _LONGEST_PLAN + CLOCKS_DIFFER))
    ours = due.where(_OURS).order_by(StatusQuestion.next_at, StatusQuestion.id).limit(1)
    first = session.execute(ours).first()
    if first is not None:
        return _Due(*first)
    last = session.scalar(select(func.max(StatusQuestion.asked_at)).where(_TYPED))
    pause = 2 * needs.budget.pause
    if last is not None and now - pause < last <= now + CLOCKS_DIFFER:
        return None
    typed = due.where(_TYPED, not_(_others_wait(session, now)))
    # Of the codes that are due, one of the sender who was asked for least lately.
    lately = (
        select(StatusQuestion.share, func.count().label("asked"))
        .where(StatusQuestion.asked_at > now - timedelta(hours=1))
        .group_by(StatusQuestion.share)
        .subquery()
    )
    fair = typed.outerjoin(lately, lately.c.share == StatusQuestion.share).order_by(
        func.coalesce(lately.c.asked, 0), StatusQuestion.next_at, StatusQuestion.id
    )
    next_typed = session.execute(fair.limit(1)).first()
    return None if next_typed is None else _Due(*next_typed)


def _others_wait(session: Session, now: datetime) -> ColumnElement[bool]:
    """Whether another code of the same order was asked about and waits for its answer."""
    silent = select(AwaitedResult.token_hash).where(
        AwaitedResult.kind == Subject.STATUS.value,
        AwaitedResult.subject == StatusQuestion.receipt,
        AwaitedResult.answered_at.is_(None),
        AwaitedResult.asked_at == StatusQuestion.asked_at,
    )
    waiting = (
        select(StatusQuestion.receipt, Transaction.order_id)
        .join(Transaction, Transaction.id == StatusQuestion.transaction_id)
        .where(
            StatusQuestion.asked_at > now - _WAITED_FOR,
            StatusQuestion.asked_at <= now + CLOCKS_DIFFER,
            or_(StatusQuestion.next_at.is_not(None), silent.exists()),
            ~StatusQuestion.done,
        )
    )
    found = session.execute(waiting).all()  # a few, since few are asked about in that time
    theirs = select(Transaction.id).where(
        Transaction.order_id.in_([each.order_id for each in found])
    )
    return and_(
        StatusQuestion.transaction_id.in_(theirs),
        StatusQuestion.receipt.not_in([each.receipt for each in found]),
    )


def _begin(session: Session, needs: Needs, initiator: Initiator, due: _Due) -> Addresses | None:
    """Take a question, and make the addresses for its answer, in one commit before it goes out.

    A crash then costs one question and no more. All that ask about the same receipt are taken.

    Returns:
        None: the initiator may not be used now, or another process took the question.
    """
    with writing(session):
        now = needs.access.now()
        if not initiators.may_ask(session.connection(), Name.STATUS, initiator, now):
            return None
        mine = session.scalars(
            select(StatusQuestion.times_asked)
            .where(StatusQuestion.id == due.id, StatusQuestion.next_at == due.planned)
            .with_for_update()
        ).one_or_none()
        if mine is None:
            return None
        session.execute(
            update(StatusQuestion)
            .where(StatusQuestion.receipt == due.receipt, StatusQuestion.next_at.is_not(None))
            .values(
                next_at=now + _AGAIN if mine + 1 < MOST_TIMES else None,
                asked_at=now,
                times_asked=mine + 1,
            )
            .execution_options(synchronize_session=False)
        )
        mark, until = initiators.mark_of(initiator), now + needs.heard_for
        awaits = Awaited(Subject.STATUS, due.receipt, mark, until)
        made, row = awaited.addresses(awaits, needs.public_url, now)
        session.connection().execute(row.statement, dict(row.values))
        return made


def _put_back(session: Session, due: _Due, addresses: Addresses, now: datetime) -> None:
    """Plan a question anew that Daraja did not take; it says nothing about the initiator."""
    with writing(session):
        row = session.get_one(StatusQuestion, due.id, populate_existing=True)
        if now - row.typed_at < _TRIED_FOR:
            row.next_at = now + _AGAIN
        row.times_asked -= 1
    awaited.close(session, addresses)


def _was_the_last(session: Session, receipt: str) -> bool:
    """Whether nothing more is planned to be asked about a receipt."""
    planned = select(StatusQuestion.id).where(
        StatusQuestion.receipt == receipt, StatusQuestion.next_at.is_not(None)
    )
    return session.scalars(planned.limit(1)).first() is None


def _finish(session: Session, receipt: str) -> None:
    with writing(session):
        session.execute(
            update(StatusQuestion)
            .where(StatusQuestion.receipt == receipt)
            .values(next_at=None)
            .execution_options(synchronize_session=False)
        )

"""Transaction Status: ask M-PESA about single receipts, and make something of what it answers.

Asked about are receipts that are not proven, and codes that shoppers typed and nobody has told of.
The answer comes later, to an address made for the question (`awaited`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import awaited, codes, counters, receipts
from mpesa.awaited import Heard, Subject
from mpesa.daraja import DarajaError
from mpesa.daraja.initiators import Initiator
from mpesa.daraja.status import StatusQuestion as Question
from mpesa.daraja.status import ask_status
from mpesa.daraja_access import Access, QueryBudget
from mpesa.database import writing
from mpesa.domain.results import Result, UnreadableResult, parse_result
from mpesa.domain.status_answer import read_status_answer
from mpesa.domain.told import WitnessKind
from mpesa.ids import hash_token
from mpesa.models import AwaitedResult, InitiatorState, StatusQuestion

log = logging.getLogger(__name__)

# Whether a payment of a moment ago is found already is not known (Daraja docs, Transaction Status).
_AGAIN = timedelta(minutes=2)
_MOST_TIMES = 2
# "No result at all" is what a wrong password looks like at times (seen in the sandbox).
SILENT_AFTER = timedelta(minutes=10)
_MOST_SILENT = 2
_NOT_FOUND = "2032"
# The credential is wrong or locked: each further try counts towards its lock.
REFUSING = frozenset({"18", "2001", "8006"})
INITIATOR = "status"


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
        returned: called where M-PESA says that a receipt was given back.
    """

    access: Access
    budget: QueryBudget
    receipts: receipts.Needs
    short_code: str
    public_url: str
    heard_for: timedelta
    returned: Callable[[Session, str], object] = lambda _session, _receipt: None


def run_once(session: Session, needs: Needs) -> int:
    """Ask about the receipt whose turn it is, if the budget and the initiator allow.

    Returns:
        How many were asked about, 0 or 1.
    """
    now = needs.access.now()
    due = _next_due(session, now)
    if due is None or needs.budget.wait():
        return 0
    initiators = needs.access.initiators
    initiator = initiators.status() if initiators else None
    if initiator is None or not may_ask(session, INITIATOR, Subject.STATUS, initiator, now):
        return 0
    if not needs.budget.take() or not _claimed(session, due, now):
        return 0
    addresses = awaited.open_address(
        session, Subject.STATUS, due.receipt, needs.public_url, now, needs.heard_for
    )
    question = Question(due.receipt, needs.short_code, addresses.result_url, addresses.timeout_url)
    try:
        ask_status(needs.access.daraja, initiator, question)
    except DarajaError as error:
        # It is asked again when its time comes; an answer that comes all the same is heard.
        log.warning("a question about a receipt: %s", type(error).__name__)
        counters.count("status_questions", outcome="failed")
    else:
        counters.count("status_questions", outcome="asked")
    return 1


def judge_waiting(session: Session, needs: Needs) -> int:
    """Make something of the answers that came; returns how many."""
    count = 0
    for heard in awaited.waiting(session):
        if heard.kind is not Subject.STATUS:
            continue
        try:
            judge(session, heard, needs)
        except SQLAlchemyError as error:
            log.error("an answer about a receipt is not judged yet: %s", type(error).__name__)
        else:
            count += 1
    return count


def judge(session: Session, heard: Heard, needs: Needs) -> None:
    """Make something of one answer: a witness of the receipt, and an end to its question."""
    result = _read(heard)
    believed = result is not None and needs.receipts.listed(heard.source)
    if result is not None and believed:
        note_answer(session, INITIATOR, result, needs.access.now())
        answer = read_status_answer(result)
        told = answer.told(heard.subject)
        if answer.is_reversed and answer.receipt == heard.subject:
            needs.returned(session, heard.subject)
        if told is not None and told.short_code in needs.receipts.numbers:
            arrived = receipts.Arrived(WitnessKind.STATUS, heard.body or b"", None)
            receipts.take_in(session, told, arrived, needs.receipts, payer_hash=heard.payer_hash)
            codes.claim_typed(session, heard.subject, needs.receipts)
            _finish(session, heard.subject)
        elif result.code != _NOT_FOUND and result.went_well:
            _finish(session, heard.subject)  # it is not ours, or not completed
    awaited.judged(session, heard)


def may_ask(
    session: Session, name: str, kind: Subject, initiator: Initiator, now: datetime
) -> bool:
    """Whether an initiator may be used now; one that is silent, or was refused, is stopped.

    Args:
        name: status or refund.
        kind: of the results that its requests lead to.
    """
    mark = hash_token(initiator.known_by)
    state = session.get(InitiatorState, name)
    if state is None or state.credential_hash != mark:
        fresh = InitiatorState(id=name, credential_hash=mark, answered=False, since=now)
        try:
            with writing(session):
                session.merge(fresh)
        except IntegrityError:
            return False  # another process met it at the same moment
        return True
    if state.stopped_at is not None:
        return False
    silent = _silent(session, kind, max(state.since, now - timedelta(hours=1)))
    overdue = [each for each in silent if each <= now - SILENT_AFTER]
    if not state.answered and len(overdue) >= _MOST_SILENT:
        stop(session, name, "silent", now)
        return False
    # One at a time until the first answer: a wrong password is locked after the third try.
    return state.answered or not [each for each in silent if each > now - SILENT_AFTER]


def stop(session: Session, name: str, why: str, now: datetime) -> None:
    """Use an initiator no more until a person says go.

    Args:
        why: a word: `silent`, or the code of the refusal.
    """
    log.error("the %s initiator is stopped (%s): see Health", name, why)
    counters.count("initiators_stopped", initiator=name)
    with writing(session):
        session.execute(
            update(InitiatorState)
            .where(InitiatorState.id == name, InitiatorState.stopped_at.is_(None))
            .values(stopped_at=now, stopped_why=why[:24])
        )


def go(session: Session, name: str, now: datetime) -> bool:
    """Let a stopped initiator be used again; returns whether it was stopped."""
    with writing(session):
        started = session.execute(
            update(InitiatorState)
            .where(InitiatorState.id == name, InitiatorState.stopped_at.is_not(None))
            .values(stopped_at=None, stopped_why=None, answered=False, since=now)
            .returning(InitiatorState.id)
        ).all()
    return bool(started)


def _read(heard: Heard) -> Result | None:
    try:
        return None if heard.body is None else parse_result(heard.body)
    except UnreadableResult:
        return None


def note_answer(session: Session, name: str, result: Result, now: datetime) -> None:
    """Note that an initiator's request was answered; stop it where its credential was refused.

    Args:
        name: status or refund.
    """
    if result.code in REFUSING:
        stop(session, name, result.code, now)
        return
    with writing(session):
        session.execute(
            update(InitiatorState)
            .where(InitiatorState.id == name, ~InitiatorState.answered)
            .values(answered=True)
        )


def _silent(session: Session, kind: Subject, since: datetime) -> list[datetime]:
    asked = select(AwaitedResult.asked_at).where(
        AwaitedResult.kind == kind.value,
        AwaitedResult.asked_at > since,
        AwaitedResult.heard_at.is_(None),
    )
    return list(session.scalars(asked))


def _next_due(session: Session, now: datetime) -> StatusQuestion | None:
    """Unproven receipts first; codes get no more than every second question."""
    due = select(StatusQuestion).where(StatusQuestion.next_at <= now)
    ours = due.where(StatusQuestion.transaction_id.is_(None))
    typed = due.where(StatusQuestion.transaction_id.is_not(None))
    last = session.scalars(
        select(StatusQuestion.transaction_id)
        .where(StatusQuestion.asked_at.is_not(None))
        .order_by(StatusQuestion.asked_at.desc())
        .limit(1)
    ).first()
    first = session.scalars(ours.order_by(StatusQuestion.next_at).limit(1)).first()
    if first is not None and last is not None:
        return first  # the last one was a code's
    next_typed = _fairest(session, typed, now)
    if last is None and next_typed is not None and first is not None:
        return next_typed
    return first or next_typed


def _fairest(
    session: Session, typed: Select[StatusQuestion], now: datetime
) -> StatusQuestion | None:
    """Of the codes that are due, one of the sender who was asked for least lately."""
    lately = (
        select(StatusQuestion.share, func.count().label("asked"))
        .where(StatusQuestion.asked_at > now - timedelta(hours=1))
        .group_by(StatusQuestion.share)
        .subquery()
    )
    fair = typed.outerjoin(lately, lately.c.share == StatusQuestion.share).order_by(
        func.coalesce(lately.c.asked, 0), StatusQuestion.next_at
    )
    return session.scalars(fair.limit(1)).first()


def _claimed(session: Session, due: StatusQuestion, now: datetime) -> bool:
    """Take a question before Daraja is asked, so that a crash costs one question and no more."""
    again = now + _AGAIN if due.times_asked + 1 < _MOST_TIMES else None
    with writing(session):
        taken = session.execute(
            update(StatusQuestion)
            .where(StatusQuestion.id == due.id, StatusQuestion.next_at == due.next_at)
            .values(next_at=again, asked_at=now, times_asked=StatusQuestion.times_asked + 1)
            .returning(StatusQuestion.id)
        ).all()
    return bool(taken)


def _finish(session: Session, receipt: str) -> None:
    with writing(session):
        session.execute(
            update(StatusQuestion)
            .where(StatusQuestion.receipt == receipt, StatusQuestion.next_at.is_not(None))
            .values(next_at=None)
        )

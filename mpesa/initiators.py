"""The API users of the organisation: how far each may be used, so that none is ever locked.

M-PESA locks an API user at the third wrong password, and its acknowledgement tells nothing about
the password (Daraja docs, Transaction Status and Reversal; seen in the sandbox). So no more than
two requests go out in one's name since its last answer: one at a time until the first answer ever.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection, Select, bindparam, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mpesa import counters
from mpesa.config import Settings
from mpesa.daraja.initiators import Initiator, known_by
from mpesa.database import writing
from mpesa.domain.results import Result
from mpesa.ids import hash_token
from mpesa.models import AwaitedResult, InitiatorAct, InitiatorState, UTCDateTime

log = logging.getLogger(__name__)

# "No result at all" is what a wrong password looks like at times (seen in the sandbox).
SILENT_AFTER = timedelta(minutes=10)
_MOST_UNANSWERED = 2
# The credential is wrong or locked: each further try counts towards its lock.
REFUSING = frozenset({"18", "2001", "8006"})
SILENT = "silent"


class Name(StrEnum):
    """The two API users: the one that asks, and the one that gives money back."""

    STATUS = "status"
    REFUND = "refund"


_LONG_AGO = datetime(2007, 1, 1, tzinfo=UTC)
# Several workers may be the first at once; one statement for both databases.
_BEGIN = text(
    "INSERT INTO initiators (id, credential_hash, since) VALUES (:id, :mark, :since)"
    " ON CONFLICT (id, credential_hash) DO NOTHING"
).bindparams(bindparam("since", type_=UTCDateTime()))


@dataclass(frozen=True)
class Standing:
    """What is known of an API user, for people.

    Attributes:
        answered: M-PESA has answered to its present credential.
        stopped_at, stopped_why: since when and why nothing is asked in its name; None: it is not
            stopped. The word is `silent`, or a result code.
    """

    answered: bool = False
    stopped_at: datetime | None = None
    stopped_why: str | None = None


def mark_of(initiator: Initiator) -> str:
    """The hash by which a name with its credential is known; neither can be read out of it."""
    return hash_token(initiator.known_by)


def mark_in(settings: Settings, name: Name) -> str | None:
    """The same of the API user that the settings name; None: there is none."""
    if name is Name.STATUS:
        user, credential = settings.daraja_status_initiator, settings.daraja_status_credential
    else:
        user, credential = settings.daraja_refund_initiator, settings.daraja_refund_credential
    return None if user is None else hash_token(known_by(user, credential))


def is_free(session: Session, name: Name, initiator: Initiator, now: datetime) -> bool:
    """Whether an API user may be used now; one that stayed silent twice is stopped.

    That is written in a commit of its own. `may_ask` says it for certain, under a lock.
    """
    with writing(session):
        return may_ask(session.connection(), name, initiator, now)


def notice_silence(session: Session, name: Name, initiator: Initiator, now: datetime) -> None:
    """Stop an API user that stayed silent twice, though nothing more is to be asked in its name."""
    mark = mark_of(initiator)
    state = session.get(InitiatorState, (name.value, mark))
    if state is None or state.stopped_at is not None:
        return
    unanswered = session.scalars(_unanswered(mark, min(state.since, now))).all()
    if sum(each <= now - SILENT_AFTER for each in unanswered) >= _MOST_UNANSWERED:
        is_free(session, name, initiator, now)


def may_ask(connection: Connection, name: Name, initiator: Initiator, now: datetime) -> bool:
    """Whether an API user may be used now, within the caller's write, which awaits the result.

    Its row is locked until the caller's commit, so that all workers together use it no more often
    than it may be.

    Args:
        initiator: with its credential; only the hash of that is kept.
        now: aware UTC.

    Returns:
        False: it is stopped, or an answer has to come first. One that stayed silent twice is
        stopped by this call.
    """
    mark = mark_of(initiator)
    connection.execute(_BEGIN, {"id": name.value, "mark": mark, "since": _LONG_AGO})
    own = (InitiatorState.id == name.value, InitiatorState.credential_hash == mark)
    state = connection.execute(
        select(InitiatorState.stopped_at, InitiatorState.answered, InitiatorState.since)
        .where(*own)
        .with_for_update()
    ).one()
    if state.stopped_at is not None:
        return False
    # What lies ahead was written before the clock stepped back, and is still waited for.
    unanswered = connection.scalars(_unanswered(mark, min(state.since, now))).all()
    silent = [each for each in unanswered if each <= now - SILENT_AFTER]
    if len(silent) >= _MOST_UNANSWERED:
        _stop(connection, name, mark, SILENT, now, now)
        return False
    first = len(unanswered) > len(silent) and not state.answered
    return not first and len(unanswered) < _MOST_UNANSWERED


def _unanswered(mark: str, since: datetime) -> Select[datetime]:
    return select(AwaitedResult.asked_at).where(
        AwaitedResult.credential_hash == mark,
        AwaitedResult.answered_at.is_(None),
        AwaitedResult.asked_at >= since,
    )


def note_answer(
    session: Session, name: Name, result: Result, mark: str, asked_at: datetime, now: datetime
) -> None:
    """Note what a result that can be believed tells of the credential that asked for it.

    Args:
        mark: `mark_of` who asked.
        asked_at: when it went out, aware UTC.
        now: aware UTC.
    """
    with writing(session):
        if result.code in REFUSING:
            _stop(session.connection(), name, mark, result.code, asked_at, now)
            return
        session.execute(
            update(InitiatorState)
            .where(
                InitiatorState.id == name.value,
                InitiatorState.credential_hash == mark,
                # What was asked before a person said go tells nothing new.
                InitiatorState.since <= asked_at,
            )
            .values(answered=True, since=asked_at)
        )


def _stop(
    connection: Connection, name: Name, mark: str, why: str, asked_at: datetime, now: datetime
) -> None:
    stopped = connection.execute(
        update(InitiatorState)
        .where(
            InitiatorState.id == name.value,
            InitiatorState.credential_hash == mark,
            InitiatorState.stopped_at.is_(None),
            InitiatorState.since <= asked_at,
        )
        .values(stopped_at=now, stopped_why=why[:24])
        .returning(InitiatorState.id)
    ).all()
    if stopped:
        log.error("the %s initiator is stopped (%s): Health says what to do", name, why)
        counters.count("initiators_stopped", initiator=name.value)


def standing(session: Session, name: Name, mark: str) -> Standing:
    """What is known of an API user.

    Args:
        mark: of its name and credential (`mark_in`).
    """
    state = session.get(InitiatorState, (name.value, mark))
    if state is None:
        return Standing()
    return Standing(state.answered, state.stopped_at, state.stopped_why)


@dataclass(frozen=True)
class Go:
    """A person's word that a stopped API user is to be used again.

    Attributes:
        by: the operator's name.
        once: the mark of the form, by which one that is sent twice acts once.
    """

    name: Name
    by: str
    reason: str
    once: str


def go(session: Session, said: Go, now: datetime) -> bool:
    """Let a stopped API user be used again, as if nothing had been asked in its name before.

    Args:
        now: aware UTC.

    Returns:
        Whether it was stopped.
    """
    try:
        with writing(session):
            started = session.execute(
                update(InitiatorState)
                .where(InitiatorState.id == said.name.value, InitiatorState.stopped_at.is_not(None))
                .values(stopped_at=None, stopped_why=None, answered=False, since=now)
                .returning(InitiatorState.id)
            ).all()
            if started:
                act = InitiatorAct(
                    initiator=said.name.value,
                    by=said.by,
                    reason=said.reason,
                    once=said.once,
                    at=now,
                )
                session.add(act)
    except IntegrityError:
        return False  # the same form was sent before
    if started:
        log.warning("the %s initiator is used again: %s said go", said.name, said.by)
    return bool(started)

"""Take in a callback: store its raw body, judge it, apply the judgement."""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import counters, ledger, logs
from mpesa.domain.attempt import Attempt
from mpesa.domain.callback import UnreadableCallback, parse_callback, read_roughly
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.settlement import CallbackReceived, CodeTyped
from mpesa.domain.snapshot import seconds_left
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.ids import hash_token
from mpesa.ledger import Announce, Change
from mpesa.models import DecisionRow, EvidenceRow, Transaction

log = logging.getLogger(__name__)


class UnknownToken(Exception):
    """No transaction has this callback token."""


@dataclass
class TooManyCodes(Exception):
    """Codes were typed too often for one order.

    Attributes:
        seconds: the wait until the next code is taken.
    """

    seconds: int


_MOST_CODES = 5
_CODES_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Arrival:
    """A callback as it arrived.

    Attributes:
        token: the secret last segment of the URL that it was sent to.
        body: its raw bytes.
        source: the IP address that it came from, as far as our proxies can be believed.
    """

    token: str
    body: bytes
    source: str


@dataclass(frozen=True)
class Needs:
    """The means to take in a callback.

    Attributes:
        now: the clock, aware UTC.
        announce: tells rooms about transactions that changed.
        listed: whether an address is on the operator's list; true where there is no list.
    """

    now: Callable[[], datetime]
    announce: Announce
    listed: Callable[[str | None], bool]


def receive(session: Session, arrival: Arrival, needs: Needs) -> None:
    """Store a callback, and judge it if that is possible now.

    When this returns, the raw body is committed. A judgement that could not be made is made by
    `judge_waiting` later; the sender has its answer either way.

    Raises:
        UnknownToken: nothing was stored.
        SQLAlchemyError: it could not be stored.
    """
    began = time.monotonic()
    raw = Raw(Kind.CALLBACK, arrival.body, arrival.source)
    token_hash = hash_token(arrival.token)
    try:
        evidence = read(raw.body, listed=needs.listed(raw.source))
        changes = ledger.record_callback(session, token_hash, evidence, raw, needs.now)
    except Exception as error:  # noqa: BLE001
        # Whatever went wrong, the body has to be kept first of all.
        log.info("a callback is stored before it is judged (%s)", type(error).__name__)
        _store_and_judge(session, token_hash, raw, needs)
        return
    if changes is None:
        raise _unknown_token()
    counters.count("callbacks", verdict=_verdict(evidence, changes))
    try:
        needs.announce(changes)
    except Exception:  # what is committed has its 200, and the outbox tells the rooms again
        log.exception("a change was not announced at once")
    counters.observe("callback_to_announced_seconds", time.monotonic() - began)


def _store_and_judge(session: Session, token_hash: str, raw: Raw, needs: Needs) -> None:
    """The way that needs no free lock: the body in a commit of its own, then the decision."""
    known = select(Transaction.id).where(Transaction.callback_token_hash == token_hash)
    transaction_id = session.scalars(known).one_or_none()
    if transaction_id is None:
        raise _unknown_token()
    stored = ledger.store(session, transaction_id, raw, needs.now)
    _judge_or_leave(session, transaction_id, stored, needs)


def _unknown_token() -> UnknownToken:
    counters.count("callbacks", verdict="unknown_token")
    return UnknownToken()


def _verdict(evidence: CallbackReceived, changes: Sequence[Change]) -> str:
    """One word for what became of a callback."""
    if evidence.result is None:
        return "unreadable"
    if not evidence.listed:
        return "unlisted"
    if any(each.settled_after is not None for each in changes):
        return "settled"
    return "changed" if changes else "unchanged"


def take_code(
    session: Session, transaction_id: str, code: str, needs: Needs, share: str | None = None
) -> None:
    """Keep the receipt that a shopper copied from an SMS, and have Daraja asked at once.

    Args:
        code: ten upper-case letters and digits; a claim, which is never believed by itself.
        share: a mark of the sender, whose share of the questions pays for this one.

    Raises:
        TooManyCodes: five an hour are enough for an honest shopper.
        books.Unknown: there is no such transaction.
    """
    raw = Raw(Kind.SMS_CODE, code.encode(), share=share)

    # Under the order's lock: of codes that arrive at once no sixth slips through.
    def refuse_too_many(connection: Connection, attempt: Attempt) -> None:
        now = needs.now()
        of_order = select(Transaction.id).where(Transaction.order_id == attempt.order_id)
        typed = select(EvidenceRow.received_at).where(
            EvidenceRow.transaction_id.in_(of_order),
            EvidenceRow.kind == Kind.SMS_CODE.value,
            EvidenceRow.received_at > now - _CODES_WITHIN,
            EvidenceRow.received_at <= now + CLOCKS_DIFFER,
        )
        times = connection.scalars(typed.order_by(EvidenceRow.received_at)).all()
        if len(times) >= _MOST_CODES:
            raise TooManyCodes(seconds_left(times[0] + _CODES_WITHIN, now) or 1)

    evidence = CodeTyped()
    recorded = ledger.record(session, transaction_id, evidence, raw, needs.now, refuse_too_many)
    needs.announce(recorded.changes)


@dataclass(frozen=True)
class Judged:
    """The outcome for the callbacks that waited.

    Attributes:
        count: the number of callbacks that were judged.
        left: the evidence that could not be judged now.
    """

    count: int
    left: tuple[int, ...]


def judge_waiting(
    session: Session,
    needs: Needs,
    *,
    arrived: tuple[datetime, datetime] | None = None,
    only: Collection[int] | None = None,
) -> Judged:
    """Judge the callbacks that were stored and not judged, because a process ended in between.

    Args:
        arrived: the first and the last time of arrival, aware UTC; None: at any time.
        only: ids of the evidence to be judged; None: all.
    """
    waiting = (
        select(EvidenceRow.id, EvidenceRow.transaction_id, EvidenceRow.body, EvidenceRow.source)
        .outerjoin(DecisionRow, DecisionRow.evidence_id == EvidenceRow.id)
        .where(DecisionRow.id.is_(None), EvidenceRow.kind == Kind.CALLBACK.value)
        .order_by(EvidenceRow.id)
    )
    if arrived is not None:
        waiting = waiting.where(EvidenceRow.received_at.between(*arrived))
    if only is not None:
        waiting = waiting.where(EvidenceRow.id.in_(only))
    found = session.execute(waiting).all()
    left = tuple(
        evidence_id
        for evidence_id, transaction_id, body, source in found
        if not _judge_or_leave(
            session, transaction_id, Raw(Kind.CALLBACK, body, source, stored_id=evidence_id), needs
        )
    )
    return Judged(len(found) - len(left), left)


def _judge_or_leave(session: Session, transaction_id: str, raw: Raw, needs: Needs) -> bool:
    """Judge a stored callback; returns whether that worked.

    No error leaves this function: a callback that cannot be judged delays no other one, and its
    sender is to hear that its body is stored.
    """
    with logs.about(transaction_id=transaction_id):
        try:
            evidence = read(raw.body, listed=needs.listed(raw.source))
            changes = ledger.record(session, transaction_id, evidence, raw, needs.now).changes
            counters.count("callbacks", verdict=_verdict(evidence, changes))
            needs.announce(changes)
        except SQLAlchemyError as error:
            # The error's text may hold ids and numbers, so only its kind is logged.
            log.error("callback not judged yet: %s", type(error).__name__)
        except Exception:
            log.exception("callback not judged yet")
        else:
            return True
    counters.count("judgement_failures")
    return False


def read(body: bytes, *, listed: bool) -> CallbackReceived:
    """Read a raw body as evidence; an unreadable body has no result.

    Args:
        listed: whether it came from an address that may be believed.
    """
    try:
        return CallbackReceived(parse_callback(body), listed=listed)
    except UnreadableCallback:
        return CallbackReceived(None, listed=listed, rough=read_roughly(body))

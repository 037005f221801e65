"""Take in a callback: store it raw, judge it, apply it."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import counters, ledger, logs
from mpesa.config import IPNetwork
from mpesa.domain.address import UNKNOWN, read_address
from mpesa.domain.attempt import Attempt
from mpesa.domain.callback import UnreadableCallback, parse_callback, read_roughly
from mpesa.domain.settlement import CallbackReceived, CodeTyped
from mpesa.domain.snapshot import seconds_left
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.ids import hash_token
from mpesa.ledger import Announce, Change, Kind, Raw
from mpesa.models import DecisionRow, EvidenceRow, Transaction

log = logging.getLogger(__name__)


class UnknownToken(Exception):
    """No transaction has this callback token."""


@dataclass
class TooManyCodes(Exception):
    """Codes were typed too often for one transaction.

    Attributes:
        seconds: until the next one is taken.
    """

    seconds: int


_MOST_CODES = 5
_CODES_WITHIN = timedelta(hours=1)


@dataclass(frozen=True)
class Arrival:
    """A callback as it arrived.

    Attributes:
        token: the secret last segment of the address.
        source: the address that it came from, as far as our proxies can be believed.
    """

    token: str
    body: bytes
    source: str


@dataclass(frozen=True)
class Needs:
    """What taking in a callback needs from outside.

    Attributes:
        announce: tells rooms about transactions that changed.
        listed: whether an address is on the operator's list, or there is none.
    """

    now: Callable[[], datetime]
    announce: Announce
    listed: Callable[[str | None], bool]


def receive(session: Session, arrival: Arrival, needs: Needs) -> None:
    """Store a callback; judge it too, but its sender need not care whether that worked.

    When this returns, the raw body is committed. A judgement that could not be made is made by
    `judge_waiting` later.

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
        # Whatever it was, first of all the body has to be kept.
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
    """The way that depends on nothing: the body in a commit of its own, then the decision."""
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
    """Keep the receipt that a shopper typed out of an SMS, and have Daraja asked at once.

    Args:
        code: ten upper-case letters and digits; a claim, which is never believed by itself.
        share: a mark of who typed it; that sender's share of the questions pays for this one.

    Raises:
        TooManyCodes: five an hour are enough for an honest shopper.
    """
    raw = Raw(Kind.SMS_CODE, code.encode(), share=share)

    # Under the order's lock: of codes that arrive at once no sixth slips through.
    def check(connection: Connection, attempt: Attempt) -> None:
        _refuse_too_many(connection, attempt.id, needs.now())

    needs.announce(ledger.record(session, transaction_id, CodeTyped(), raw, needs.now, check))


def _refuse_too_many(connection: Connection, transaction_id: str, now: datetime) -> None:
    typed = select(EvidenceRow.received_at).where(
        EvidenceRow.transaction_id == transaction_id,
        EvidenceRow.kind == Kind.SMS_CODE.value,
        EvidenceRow.received_at > now - _CODES_WITHIN,
        EvidenceRow.received_at <= now + CLOCKS_DIFFER,
    )
    times = connection.scalars(typed.order_by(EvidenceRow.received_at)).all()
    if len(times) >= _MOST_CODES:
        raise TooManyCodes(seconds_left(times[0] + _CODES_WITHIN, now) or 1)


@dataclass(frozen=True)
class Judged:
    """What became of the callbacks that waited.

    Attributes:
        count: how many were judged.
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
    """Judge what was stored and not judged, because the process ended in between.

    Args:
        arrived: only what arrived between these; None: whenever.
        only: only this evidence; None: all.
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
    """Judge, and tell whether it worked: one that cannot be judged keeps no other one waiting.

    Whatever goes wrong in here, the body is stored, and its sender is to hear so.
    """
    with logs.about(transaction_id=transaction_id):
        try:
            evidence = read(raw.body, listed=needs.listed(raw.source))
            changes = ledger.record(session, transaction_id, evidence, raw, needs.now)
            counters.count("callbacks", verdict=_verdict(evidence, changes))
            needs.announce(changes)
        except SQLAlchemyError as error:
            # Its text may hold ids and numbers, so only its kind is told.
            log.error("callback not judged yet: %s", type(error).__name__)
        except Exception:
            log.exception("callback not judged yet")
        else:
            return True
    counters.count("judgement_failures")
    return False


def read(body: bytes, *, listed: bool) -> CallbackReceived:
    """What a raw body says, as evidence; unreadable ones say nothing."""
    try:
        return CallbackReceived(parse_callback(body), listed=listed)
    except UnreadableCallback:
        return CallbackReceived(None, listed=listed, rough=read_roughly(body))


def from_listed(networks: Iterable[IPNetwork]) -> Callable[[str | None], bool]:
    """Build `listed` from `CALLBACK_ALLOWED_IPS`; no network means that every address is."""
    allowed = tuple(networks)

    def listed(source: str | None) -> bool:
        return not allowed or _within(source, allowed)

    return listed


def _within(source: str | None, allowed: tuple[IPNetwork, ...]) -> bool:
    known = read_address(source)
    return known != UNKNOWN and any(ip_address(known) in network for network in allowed)

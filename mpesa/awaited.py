"""Addresses for results that come later: made for one request, secret, heard for a while."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from mpesa import books
from mpesa.books import Write
from mpesa.database import writing, writing_apart
from mpesa.domain.cut_people import cut_people
from mpesa.domain.results import UnreadableResult, parse_result
from mpesa.domain.status_answer import read_status_answer
from mpesa.ids import hash_token, new_callback_token
from mpesa.models import AwaitedResult

# A round of the loop judges so many; the rest waits for the next one.
_AT_ONCE = 100


class Subject(StrEnum):
    """What a result is about."""

    STATUS = "status"
    REVERSAL = "reversal"


@dataclass(frozen=True)
class Addresses:
    """Where Daraja posts a result, and that it took too long; both hold the same secret."""

    result_url: str
    timeout_url: str


@dataclass(frozen=True)
class Heard:
    """A result that waits to be judged.

    Attributes:
        subject: a receipt, or the id of a refund.
        body: None: it came to the address for time-outs, which tells nothing.
        payer_hash: the keyed hash of the payer's number, which is cut out of the body.
        source: the address that it came from.
    """

    token_hash: str
    kind: Subject
    subject: str
    body: bytes | None
    payer_hash: str | None
    source: str | None


def addresses(
    kind: Subject, subject: str, public_url: str, now: datetime, heard_for: timedelta
) -> tuple[Addresses, Write]:
    """Make the addresses for one request, and the row that keeps their hash.

    Args:
        subject: the receipt that is asked about, or the id of the refund.
        public_url: where Safaricom reaches this server.
        now: aware UTC.
        heard_for: how long the addresses are heard.
    """
    token = new_callback_token()
    row = {
        "token_hash": hash_token(token),
        "kind": kind.value,
        "subject": subject,
        "asked_at": now,
        "until": now + heard_for,
        "timed_out": False,
        "judged": False,
    }
    made = Addresses(f"{public_url}/result/{token}", f"{public_url}/timeout/{token}")
    return made, Write(books.ADD_AWAITED, row)


def open_address(
    session: Session,
    kind: Subject,
    subject: str,
    public_url: str,
    now: datetime,
    heard_for: timedelta,
) -> Addresses:
    """Make the addresses for one request, and commit their hash before the request goes out.

    Args:
        subject: the receipt that is asked about, or the id of the refund.
        public_url: where Safaricom reaches this server.
        now: aware UTC.
        heard_for: how long the addresses are heard.
    """
    made, row = addresses(kind, subject, public_url, now, heard_for)
    with writing_apart(session) as connection:
        books.write_and_commit(connection, [row], begin=True)
    return made


def hear(
    session: Session,
    token: str,
    body: bytes,
    source: str,
    now: datetime,
    mark_of: Callable[[str], str],
    *,
    timed_out: bool,
) -> bool:
    """Store what came to an address, with people's data cut out, in a commit of its own.

    A result that comes again, or after a time-out, is judged once more.

    Args:
        now: aware UTC.
        mark_of: the keyed hash of a number, by which its payer is known again.
        timed_out: it came to the address for time-outs.

    Returns:
        False where there is no such address, or its time is over.

    Raises:
        SQLAlchemyError: it could not be stored.
    """
    address = update(AwaitedResult).where(
        AwaitedResult.token_hash == hash_token(token), AwaitedResult.until > now
    )
    if timed_out:
        # A time-out that follows a result says nothing against it.
        address = address.where(AwaitedResult.heard_at.is_(None) | AwaitedResult.timed_out)
    payer = _payer_of(body)
    stored = address.values(
        heard_at=now,
        body=cut_people(body),
        payer_hash=mark_of(payer) if payer else None,
        source=source,
        timed_out=timed_out,
        judged=False,
    )
    with writing(session):
        changed = session.execute(stored.returning(AwaitedResult.token_hash)).all()
    if changed or not timed_out:
        return bool(changed)
    known = select(AwaitedResult.token_hash).where(AwaitedResult.token_hash == hash_token(token))
    return session.scalar(known) is not None


def _payer_of(body: bytes) -> str | None:
    try:
        return read_status_answer(parse_result(body)).payer.msisdn
    except UnreadableResult:
        return None


def waiting(session: Session) -> Sequence[Heard]:
    """The results that were stored and are not judged, oldest first."""
    rows = session.scalars(
        select(AwaitedResult)
        .where(AwaitedResult.heard_at.is_not(None), ~AwaitedResult.judged)
        .order_by(AwaitedResult.heard_at)
        .limit(_AT_ONCE)
    ).all()
    return [
        Heard(
            row.token_hash,
            Subject(row.kind),
            row.subject,
            None if row.timed_out else row.body,
            row.payer_hash,
            row.source,
        )
        for row in rows
    ]


def judged(session: Session, heard: Heard) -> None:
    """Note that something was made of a result."""
    with writing(session):
        session.execute(
            update(AwaitedResult)
            .where(AwaitedResult.token_hash == heard.token_hash)
            .values(judged=True)
        )

"""Addresses for results that come later: made for one request, secret, heard for a while."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import bindparam, delete, func, select, text, update
from sqlalchemy.orm import Session

from mpesa import books
from mpesa.books import Write
from mpesa.database import writing
from mpesa.domain.cut_people import cut_people
from mpesa.domain.results import Result, UnreadableResult, parse_result
from mpesa.domain.status_answer import read_status_answer
from mpesa.ids import hash_token, new_callback_token
from mpesa.models import AwaitedResult, HeardResult, UTCDateTime

# A round of the loop judges so many; the rest waits for the next one.
_AT_ONCE = 100
# An honest M-PESA posts one result, or two. Anyone who learns an address is not to fill the disk.
_MOST_BODIES = 50


class Subject(StrEnum):
    """What a result is about."""

    STATUS = "status"
    REVERSAL = "reversal"


@dataclass(frozen=True)
class Addresses:
    """Where Daraja posts a result, and that it took too long; both hold the same secret.

    Attributes:
        token_hash: of that secret, by which the request is known here.
    """

    result_url: str
    timeout_url: str
    token_hash: str


@dataclass(frozen=True)
class Awaited:
    """What a result is awaited for.

    Attributes:
        subject: the receipt that is asked about, or the id of the refund.
        credential_hash: of the API user in whose name it is asked (`initiators.mark_of`).
        until: aware UTC; it is heard until then.
    """

    kind: Subject
    subject: str
    credential_hash: str
    until: datetime


@dataclass(frozen=True)
class Heard:
    """A result that waits to be judged.

    Attributes:
        row: the id of its row.
        subject: a receipt, or the id of a refund.
        credential_hash: of the API user in whose name it was asked.
        asked_at: aware UTC.
        body: None: it came to the address for time-outs, which tells nothing.
        payer_hash: the keyed hash of the payer's number, which is cut out of the body.
        source: the address that it came from.
    """

    row: int
    token_hash: str
    kind: Subject
    subject: str
    credential_hash: str
    asked_at: datetime
    body: bytes | None
    payer_hash: str | None
    source: str | None

    @property
    def result(self) -> Result | None:
        """What the body tells; None where nothing was told, or nothing that can be read."""
        try:
            return None if self.body is None else parse_result(self.body)
        except UnreadableResult:
            return None


# The same once more is counted, in one statement on both databases.
_ADD = text(
    "INSERT INTO heard_results (token_hash, fingerprint, body, payer_hash, timed_out, source,"
    " heard_at) VALUES (:token_hash, :fingerprint, :body, :payer_hash, :timed_out, :source,"
    " :heard_at) ON CONFLICT (token_hash, fingerprint)"
    " DO UPDATE SET times = heard_results.times + 1"
).bindparams(bindparam("heard_at", type_=UTCDateTime()))


def addresses(awaited: Awaited, public_url: str, now: datetime) -> tuple[Addresses, Write]:
    """Make the addresses for one request, and the row that keeps their hash.

    The row is committed before the request goes out, so that no answer finds a closed door.

    Args:
        public_url: where Safaricom reaches this server.
        now: aware UTC.
    """
    token = new_callback_token()
    row = {
        "token_hash": hash_token(token),
        "kind": awaited.kind.value,
        "subject": awaited.subject,
        "credential_hash": awaited.credential_hash,
        "asked_at": now,
        "until": awaited.until,
    }
    made = Addresses(
        f"{public_url}/result/{token}", f"{public_url}/timeout/{token}", hash_token(token)
    )
    return made, Write(books.ADD_AWAITED, row)


def close(session: Session, made: Addresses) -> None:
    """Forget the addresses of a request that never went out, in a commit of its own.

    Nobody else knows them, so that nothing can have come there, and nothing is waited for.
    """
    with writing(session):
        session.execute(
            delete(AwaitedResult)
            .where(AwaitedResult.token_hash == made.token_hash)
            .execution_options(synchronize_session=False)
        )


def excused(made: Addresses, now: datetime) -> Write:
    """The row of a request that Daraja says did not run: no result of it is missed.

    What comes there all the same is heard: Daraja was told the addresses, and may be wrong.

    Args:
        now: aware UTC.
    """
    return Write(books.EXCUSE_AWAITED, {"row": made.token_hash, "answered_at": now})


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

    Each body has a row of its own: a second one takes nothing away from the first.

    Args:
        now: aware UTC.
        mark_of: the keyed hash of a number, by which its payer is known again.
        timed_out: it came to the address for time-outs.

    Returns:
        False where there is no such address, or its time is over.

    Raises:
        SQLAlchemyError: it could not be stored.
    """
    token_hash = hash_token(token)
    try:
        payer = read_status_answer(parse_result(body)).payer.msisdn
    except UnreadableResult:
        payer = None
    told = b"\n".join((body, source.encode(), str(timed_out).encode()))
    row = {
        "token_hash": token_hash,
        # Of the whole body, so that the same with another payer is not taken for the same.
        "fingerprint": hashlib.sha256(told).hexdigest(),
        "body": cut_people(body),
        "payer_hash": mark_of(payer) if payer else None,
        "timed_out": timed_out,
        "source": source,
        "heard_at": now,
    }
    address = select(AwaitedResult.token_hash).where(
        AwaitedResult.token_hash == token_hash, AwaitedResult.until > now
    )
    kept = select(func.count()).where(HeardResult.token_hash == token_hash)
    with writing(session):
        if session.scalar(address) is None:
            return False
        if (session.scalar(kept) or 0) < _MOST_BODIES:
            session.execute(_ADD, row)
    return True


def waiting(session: Session, kind: Subject) -> Sequence[Heard]:
    """The results of a kind that were stored and are not judged, oldest first."""
    rows = session.execute(
        select(HeardResult, AwaitedResult)
        .join(AwaitedResult)
        .where(~HeardResult.judged, AwaitedResult.kind == kind.value)
        .order_by(HeardResult.heard_at, HeardResult.id)
        .limit(_AT_ONCE)
    ).all()
    return [
        Heard(
            row=heard.id,
            token_hash=heard.token_hash,
            kind=kind,
            subject=awaited.subject,
            credential_hash=awaited.credential_hash,
            asked_at=awaited.asked_at,
            body=None if heard.timed_out else heard.body,
            payer_hash=heard.payer_hash,
            source=heard.source,
        )
        for heard, awaited in rows
    ]


def judged(session: Session, heard: Heard, now: datetime, *, believed: bool) -> None:
    """Note that something was made of a result.

    Args:
        now: aware UTC.
        believed: it could be read and came from an address that may be believed; without one such
            result, the request counts as silent.
    """
    with writing(session):
        session.execute(update(HeardResult).where(HeardResult.id == heard.row).values(judged=True))
        if believed:
            answered = AwaitedResult.token_hash == heard.token_hash
            session.execute(update(AwaitedResult).where(answered).values(answered_at=now))

"""The hourly net: read what was paid in the last 48 hours, for confirmations that never came."""

import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from mpesa import counters, receipts, records
from mpesa.daraja.client import Daraja
from mpesa.daraja.pull import PullQuestion, pull
from mpesa.database import writing
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.receipt import Direction
from mpesa.domain.told import Told, WitnessKind
from mpesa.ledger import Now
from mpesa.models import Pull, Receipt, Witness

log = logging.getLogger(__name__)

# "Reaches back 48 hours" (Daraja docs, Pull Transactions).
WINDOW = timedelta(hours=48)
EVERY = timedelta(hours=1)
# After a start that follows a longer pause, at once.
PAUSE = timedelta(minutes=10)
# A page takes seconds; a process that dies meanwhile holds up the next pull for so long.
LEASE = timedelta(minutes=10)
# After a pull that failed, or that may not have told all. A shop without a payment for two days is
# told "failed" by Daraja (its docs, Pull Transactions), and no pull of it is ever sure.
AGAIN = timedelta(minutes=10)
_MOST_PAGES = 500
# A payment of a moment ago may not be in the answer yet.
_SETTLED = timedelta(minutes=10)
_ZONES_APART = timedelta(hours=3)
# Several workers may be the first at once; one statement for both databases.
_BEGIN = text("INSERT INTO pulls (id) VALUES (:id) ON CONFLICT (id) DO NOTHING")


@dataclass(frozen=True)
class Needs:
    """The means to pull.

    Attributes:
        daraja: the client.
        short_code: whose payments.
        receipts: the means to take in what is told.
        now: the clock, aware UTC.
        rest: called after each payment, so that a long list delays nobody else's.
    """

    daraja: Daraja
    short_code: str
    receipts: receipts.Needs
    now: Now
    rest: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Pulled:
    """What one pull found.

    Attributes:
        count: the payments that were told.
        complete: every page was read, and all of it was sure.
        unread: the rows that could not be read.
    """

    count: int
    complete: bool
    unread: int = 0


@dataclass
class _Read:
    """What is read page by page.

    Attributes:
        numbers: the receipts that were told.
        lease: until when this process may go on.
    """

    numbers: set[str] = field(default_factory=set)
    unread: int = 0
    complete: bool = False
    lease: datetime | None = None


def run_once(
    session: Session,
    needs: Needs,
    pause: timedelta = EVERY,
    told: Callable[[int], None] = lambda _count: None,
) -> Pulled | None:
    """Pull, if no process has for a while.

    Args:
        pause: since the last complete pull was begun; zero: pull in any case.
        told: called after each page with the number of payments so far.

    Returns:
        None: it was not due, or another process is at it.

    Raises:
        DarajaError: Daraja refused, or gave no answer that can be read; it is tried again later.
        SQLAlchemyError: the database failed.
    """
    begun = needs.now()
    read = _Read(lease=_claim(session, needs.short_code, begun, pause))
    if read.lease is None:
        return None
    try:
        _read_all(session, needs, begun, read, told)
    except BaseException:
        counters.count("pulls", outcome="failed")
        with suppress(SQLAlchemyError):  # the error that came first is told
            _give_back(session, needs, read)
        raise
    if read.complete:
        _missed(session, needs, read.numbers, begun)
        _note_complete(session, needs.short_code, begun)
    else:
        _give_back(session, needs, read)
    counters.count("pulls", outcome="complete" if read.complete else "incomplete")
    if read.unread:
        log.warning("Pull: %d rows cannot be read", read.unread)
    return Pulled(len(read.numbers), read.complete, read.unread)


def last(session: Session, short_code: str) -> Pull | None:
    """How far was pulled; None: never yet."""
    return session.get(Pull, short_code)


def _read_all(
    session: Session, needs: Needs, begun: datetime, read: _Read, told: Callable[[int], None]
) -> None:
    """Read every page, and take in each payment as it comes."""
    offset = 0
    for _ in range(_MOST_PAGES):
        session.rollback()  # no transaction is left open while Daraja is asked
        question = PullQuestion(needs.short_code, begun - WINDOW, begun, offset)
        page = pull(needs.daraja, question).page
        fresh = [each for each in page.told if each.receipt not in read.numbers]
        for each in fresh:
            read.numbers.add(each.receipt)
            arrived = receipts.Arrived(WitnessKind.PULL, _body(each))
            receipts.take_in(session, each, arrived, needs.receipts)
            needs.rest()
        read.unread += page.unread
        told(len(read.numbers))
        if page.is_empty or not fresh:
            # Behind a page of payments, "failed" is how Daraja says that there are no more.
            read.complete = not read.unread and (page.is_sure or offset > 0)
            return
        offset += page.rows
        if not _renewed(session, needs, read):
            return  # it took so long that another process is at it


def _body(told: Told) -> bytes:
    """One row as evidence, the same each time it is told, with the payer's number masked."""
    masked = mask_msisdn(told.payer.msisdn) if told.payer.msisdn else told.payer.masked
    fields = {
        "receipt": told.receipt,
        "amount": told.amount,
        "short_code": told.short_code,
        "account": told.account,
        "phone": masked,
        "name": told.name,
        "paid_at": told.paid_at.isoformat() if told.paid_at else None,
    }
    return json.dumps(fields).encode()


def _missed(session: Session, needs: Needs, numbers: set[str], begun: datetime) -> None:
    """Put receipts into review that only a confirmation told, and a complete pull lacks.

    Each is looked at by the first complete pull that has to know it, if that tells of others of the
    same hour. A receipt of a till, or of another short code, is in no pull of this one.
    """
    organisation = records.shop_of(session.connection()).short_code
    row = session.get(Pull, needs.short_code)
    since = (row.begun_at if row and row.begun_at else begun - WINDOW) - _SETTLED
    until = begun - _SETTLED
    kinds = select(Witness.id).where(Witness.receipt_id == Receipt.id)
    own = select(Receipt.receipt, Receipt.paid_at, Receipt.paid_at_doubtful).where(
        Receipt.organisation == organisation,
        Receipt.short_code == needs.short_code,
        Receipt.direction == Direction.IN.value,
        Receipt.paid_at.between(begun - WINDOW, until),
    )
    alone = session.execute(
        own.where(
            or_(Receipt.paid_at > since, Receipt.learned_at > since),
            Receipt.learned_at <= until,
            ~Receipt.needs_review,
            kinds.where(Witness.kind == WitnessKind.CONFIRMATION.value).exists(),
            ~kinds.where(Witness.kind != WitnessKind.CONFIRMATION.value).exists(),
        )
    ).all()
    missed = [(number, paid_at) for number, paid_at, _ in alone if number not in numbers]
    if not missed:
        return
    pulled = kinds.where(Witness.kind == WitnessKind.PULL.value).exists()
    hours = set()
    for number, paid_at, doubtful in session.execute(own.where(pulled)).all():
        if number in numbers and paid_at is not None:
            hours.add(_hour(paid_at))
            if doubtful:
                hours.add(_hour(paid_at + _ZONES_APART))
    session.rollback()
    for number, paid_at in missed:
        if paid_at is not None and _hour(paid_at) in hours:
            receipts.doubt(session, number, needs.receipts)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _claim(session: Session, short_code: str, now: datetime, pause: timedelta) -> datetime | None:
    """Take the lease; returns its end, or None where another process has it, or it is not due."""
    with writing(session):
        session.execute(_BEGIN, {"id": short_code})
    # Times further ahead than their rules allow were written before the clock stepped back.
    free = or_(
        Pull.claimed_until.is_(None), Pull.claimed_until <= now, Pull.claimed_until > now + LEASE
    )
    tried = or_(Pull.again_at.is_(None), Pull.again_at <= now, Pull.again_at > now + AGAIN)
    due = or_(Pull.begun_at.is_(None), Pull.begun_at <= now - pause, Pull.begun_at > now)
    wanted = and_(free, due) if not pause else and_(free, due, tried)
    with writing(session):
        return session.scalars(
            update(Pull)
            .where(Pull.id == short_code, wanted)
            .values(claimed_until=now + LEASE)
            .returning(Pull.claimed_until)
        ).one_or_none()


def _renewed(session: Session, needs: Needs, read: _Read) -> bool:
    """Keep the lease for another page; False: it ran out, and another process has it."""
    with writing(session):
        read.lease = session.scalars(
            update(Pull)
            .where(Pull.id == needs.short_code, Pull.claimed_until == read.lease)
            .values(claimed_until=needs.now() + LEASE)
            .returning(Pull.claimed_until)
        ).one_or_none()
    return read.lease is not None


def _give_back(session: Session, needs: Needs, read: _Read) -> None:
    """Give the lease back after a pull that was not complete; it is tried again after a while."""
    with writing(session):
        session.execute(
            update(Pull)
            .where(Pull.id == needs.short_code, Pull.claimed_until == read.lease)
            .values(claimed_until=None, again_at=needs.now() + AGAIN)
        )


def _note_complete(session: Session, short_code: str, begun: datetime) -> None:
    row = session.get_one(Pull, short_code, populate_existing=True)
    reaches = begun - WINDOW
    values: dict[str, datetime | None] = {
        "claimed_until": None,
        "again_at": None,
        "begun_at": begun,
        "reaches_back_to": reaches,
    }
    if row.begun_at is not None and row.begun_at < reaches:
        values |= {"gap_from": row.begun_at, "gap_until": reaches}
    elif row.begun_at is not None and row.reaches_back_to is not None:
        values["reaches_back_to"] = row.reaches_back_to
    with writing(session):
        session.execute(update(Pull).where(Pull.id == short_code).values(values))

"""The hourly net: read what was paid in the last 48 hours, for confirmations that never came."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from mpesa import counters, receipts, records
from mpesa.daraja import DarajaError
from mpesa.daraja.client import Daraja
from mpesa.daraja.pull import PullQuestion, pull
from mpesa.database import writing
from mpesa.domain.phone import mask_msisdn
from mpesa.domain.told import Told, WitnessKind
from mpesa.ledger import Now
from mpesa.models import Pull, Receipt, Witness

log = logging.getLogger(__name__)

# "Reaches back 48 hours" (Daraja docs, Pull Transactions).
WINDOW = timedelta(hours=48)
EVERY = timedelta(hours=1)
# After a start that follows a longer pause, at once.
PAUSE = timedelta(minutes=10)
# Pages of a hundred take seconds; a process that dies meanwhile holds up the next pull for so long.
_LEASE = timedelta(minutes=10)
_MOST_PAGES = 500
# A payment of a moment ago may not be in the answer yet.
_SETTLED = timedelta(minutes=10)
_ZONES_APART = timedelta(hours=3)


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
    """

    count: int
    complete: bool


def run_once(session: Session, needs: Needs, pause: timedelta = EVERY) -> Pulled | None:
    """Pull, if no process has for a while.

    Args:
        pause: since the last complete pull was begun; zero: pull in any case.

    Returns:
        None: it was not due, or another process is at it.

    Raises:
        DarajaError: Daraja refused, or gave no answer that can be read; it is tried again later.
        SQLAlchemyError: the database failed.
    """
    begun = needs.now()
    if not _claimed(session, needs.short_code, begun, pause):
        return None
    try:
        numbers, hours, complete = _read_all(session, needs, begun)
    except DarajaError:
        counters.count("pulls", outcome="failed")
        _give_back(session, needs.short_code)
        raise
    if complete:
        _missed(session, needs, numbers, hours, begun)
        _note_complete(session, needs.short_code, begun)
    else:
        _give_back(session, needs.short_code)
    counters.count("pulls", outcome="complete" if complete else "incomplete")
    return Pulled(len(numbers), complete)


def _read_all(
    session: Session, needs: Needs, begun: datetime
) -> tuple[set[str], set[datetime], bool]:
    """Read every page; returns the receipts, the hours that they were paid in, and if it is all."""
    numbers: set[str] = set()
    hours: set[datetime] = set()
    offset = 0
    for _ in range(_MOST_PAGES):
        question = PullQuestion(needs.short_code, begun - WINDOW, begun, offset)
        page = pull(needs.daraja, question).page
        fresh = [each for each in page.told if each.receipt not in numbers]
        for told in fresh:
            numbers.add(told.receipt)
            if told.paid_at is not None:
                hours |= {_hour(told.paid_at), _hour(told.paid_at + _ZONES_APART)}
            arrived = receipts.Arrived(WitnessKind.PULL, _body(told))
            receipts.take_in(session, told, arrived, needs.receipts)
            needs.rest()
        if page.is_empty or not fresh:
            return numbers, hours, page.is_sure and not page.unread
        offset += len(page.told) + page.unread
    return numbers, hours, False


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


def _missed(
    session: Session, needs: Needs, numbers: set[str], hours: set[datetime], begun: datetime
) -> None:
    """Put receipts into review that only a confirmation told, and a complete pull lacks."""
    organisation = records.shop_of(session.connection()).short_code
    others = select(Witness.id).where(
        Witness.receipt_id == Receipt.id, Witness.kind != WitnessKind.CONFIRMATION.value
    )
    alone = select(Receipt.receipt, Receipt.paid_at).where(
        Receipt.organisation == organisation,
        Receipt.direction == "in",
        Receipt.paid_at.between(begun - WINDOW, begun - _SETTLED),
        ~Receipt.needs_review,
        ~others.exists(),
    )
    for number, paid_at in session.execute(alone).all():
        if number not in numbers and paid_at and _hour(paid_at) in hours:
            receipts.doubt(session, number, needs.receipts)


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _claimed(session: Session, short_code: str, now: datetime, pause: timedelta) -> bool:
    if session.get(Pull, short_code) is None:
        with writing(session):
            session.merge(Pull(id=short_code, gap=False))
    # Times further ahead than their rules allow were written before the clock stepped back.
    free = or_(
        Pull.claimed_until.is_(None), Pull.claimed_until <= now, Pull.claimed_until > now + _LEASE
    )
    due = or_(Pull.begun_at.is_(None), Pull.begun_at <= now - pause, Pull.begun_at > now)
    with writing(session):
        taken = session.execute(
            update(Pull)
            .where(Pull.id == short_code, free, due)
            .values(claimed_until=now + _LEASE)
            .returning(Pull.id)
        ).all()
    return bool(taken)


def _give_back(session: Session, short_code: str) -> None:
    with writing(session):
        session.execute(update(Pull).where(Pull.id == short_code).values(claimed_until=None))


def _note_complete(session: Session, short_code: str, begun: datetime) -> None:
    row = session.get_one(Pull, short_code, populate_existing=True)
    gapless = row.begun_at is None or row.begun_at >= begun - WINDOW
    reaches = row.reaches_back_to if gapless and row.reaches_back_to else begun - WINDOW
    with writing(session):
        session.execute(
            update(Pull)
            .where(Pull.id == short_code)
            .values(
                claimed_until=None,
                begun_at=begun,
                reaches_back_to=reaches,
                gap=Pull.gap if gapless else True,
            )
        )

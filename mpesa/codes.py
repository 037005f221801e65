"""Codes that shoppers type out of an SMS: they prove themselves, or a person checks them."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, func, or_, select, text
from sqlalchemy.orm import Session

from mpesa import books, claims, ledger, records
from mpesa.books import By, Write
from mpesa.domain.attempt import Account, OrderStatus
from mpesa.domain.receipt import day_of, nairobi_day
from mpesa.models import StatusQuestion
from mpesa.receipts import Needs, question

# Every code is looked at for so long, as far as its shopper can see: one that is taken, one of
# another day and one that nobody has told of are not to be told from each other.
_CHECKED_FOR = timedelta(minutes=1)
_UNKNOWN_AN_HOUR = 20
_CLOCKS = timedelta(minutes=1)


def take_code(
    session: Session, transaction_id: str, code: str, needs: Needs, share: str | None = None
) -> None:
    """Take a code that a shopper typed, after it was kept as evidence: give its receipt, or look.

    Args:
        code: ten upper-case letters and digits.
        share: a mark of the sender; so many unknown codes an hour are asked about for each.

    Raises:
        books.Unknown: there is no such transaction.
    """
    account = books.seen(session, By.TRANSACTION, transaction_id)
    connection, now = session.connection(), needs.now()
    known = books.receipt(connection, records.shop_of(connection).short_code, code)
    if known is not None and known.transaction_id in {each.id for each in account.attempts}:
        return
    if account.status(now) is not OrderStatus.OPEN:
        if known is not None:
            claims.review(session, transaction_id, code, needs)
        return
    if known is not None and claims.claim_typed(session, code, transaction_id, now, needs):
        return
    unknown = known is None and _may_be_of(code, account, now)
    with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
        now = needs.now()
        rows = _questions(taken.connection, taken.account, transaction_id, code, share, needs)
        changes = ledger.sight_money(taken, now + _CHECKED_FOR, rows if unknown else [], now)
    needs.announce(changes)
    if not unknown:
        claims.review(session, transaction_id, code, needs)


def _questions(
    connection: Connection,
    account: Account,
    transaction_id: str,
    code: str,
    share: str | None,
    needs: Needs,
) -> list[Write]:
    """The row of a code that nobody has told of; it is asked about if its sender may cost a call.

    Without a question it waits there all the same, for a confirmation that is late.
    """
    now = needs.now()
    again = select(StatusQuestion.id).where(
        StatusQuestion.receipt == code,
        StatusQuestion.transaction_id.in_([each.id for each in account.attempts]),
        StatusQuestion.typed_at > now - claims.TYPED_WITHIN,
        ~StatusQuestion.done,
    )
    if connection.scalar(again.limit(1)) is not None:
        return []  # it is being looked for already
    asked = needs.asks and _unknown_lately(connection, share, now) < _UNKNOWN_AN_HOUR
    return [question(code, transaction_id, share, now, next_at=now if asked else None)]


def _unknown_lately(connection: Connection, share: str | None, now: datetime) -> int:
    """How many unknown codes of a sender were, or are to be, asked about in the last hour.

    Codes that come at once are counted one after the other: SQLite writes no two at a time, and on
    PostgreSQL the sender's own lock is held until the commit.
    """
    if share is None:
        return 0
    if connection.dialect.name == "postgresql":
        lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:share, 0))")
        connection.execute(lock, {"share": f"sms code {share}"})
    typed = select(func.count()).where(
        StatusQuestion.share == share,
        StatusQuestion.typed_at > now - timedelta(hours=1),
        or_(StatusQuestion.next_at.is_not(None), StatusQuestion.asked_at.is_not(None)),
    )
    return connection.scalar(typed) or 0


def _may_be_of(code: str, account: Account, now: datetime) -> bool:
    """Whether a receipt can be of a day since the order was made; its beginning tells the day.

    It is not documented whose midnight begins that day, Nairobi's or that of UTC. Receipts that are
    edited, as in Daraja's samples, tell none: they are asked about.
    """
    day = day_of(code)
    if day is None:
        return True
    first = (account.order.created_at - _CLOCKS).astimezone(UTC).date()
    return first <= day <= nairobi_day(now + _CLOCKS)

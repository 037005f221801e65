"""Codes that shoppers type out of an SMS: they prove themselves, or a person checks them."""

from datetime import datetime, timedelta

from sqlalchemy import Connection, func, or_, select
from sqlalchemy.orm import Session

from mpesa import books, ledger, records
from mpesa.books import By
from mpesa.domain import matching, pay_code
from mpesa.domain.attempt import Account, OrderStatus
from mpesa.domain.evidence import Kind, Raw
from mpesa.domain.matching import Heard
from mpesa.domain.receipt import State, day_of, nairobi_day
from mpesa.domain.settlement import ReceiptClaimed
from mpesa.domain.told import Told
from mpesa.ledger import Change
from mpesa.models import Order, StatusQuestion
from mpesa.receipts import Needs, question

# A typed code is looked at for so long; an answer about an unknown one may take longer.
_CHECKED_FOR = timedelta(minutes=1)
_ANSWERED_WITHIN = timedelta(minutes=3)
_UNKNOWN_AN_HOUR = 20


def take_code(
    session: Session, transaction_id: str, code: str, needs: Needs, share: str | None = None
) -> None:
    """Take a code that a shopper typed, after it was kept as evidence: give its receipt, or look.

    A code that is taken, one of another day and one that nobody has told of look the same to who
    typed it: the order's money is in sight for a minute.

    Args:
        code: ten upper-case letters and digits.
        share: a mark of the sender; so many unknown codes an hour are asked about for each.

    Raises:
        books.Unknown: there is no such transaction.
    """
    account = books.seen(session, By.TRANSACTION, transaction_id)
    now = needs.now()
    if account.status(now) is not OrderStatus.OPEN:
        return
    connection = session.connection()
    known = books.receipt(connection, records.shop_of(connection).short_code, code)
    own = {each.id for each in account.attempts}
    if known is not None and known.transaction_id in own:
        return
    if known is not None and claim_typed(session, code, needs, (transaction_id, now)):
        return
    unknown = known is None and _may_be_of(code, account, now)
    asked = unknown and needs.asks and _unknown_lately(session, share, now) < _UNKNOWN_AN_HOUR
    with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
        now = needs.now()
        rows = [question(code, transaction_id, share, now)] if asked else []
        seen_for = _ANSWERED_WITHIN if asked else _CHECKED_FOR
        until = max(now + seen_for, taken.account.order.in_sight_until or now)
        changes = ledger.sight_money(taken, until, rows, now)
    needs.announce(changes)
    if not unknown:
        needs.announce(_review(session, transaction_id, code, needs))


def claim_typed(
    session: Session, number: str, needs: Needs, typed: tuple[str, datetime] | None = None
) -> bool:
    """Give an unclaimed receipt to the order for which its code was typed, if it proves itself.

    Args:
        typed: the transaction that it was typed for, and when; None: all that wait for its answer.

    Returns:
        Whether it was given.
    """
    waiting = [typed] if typed else _typed_for(session, number)
    for transaction_id, typed_at in waiting:
        if _claim_typed_once(session, number, transaction_id, typed_at, needs):
            return True
        if typed is None:
            needs.announce(_review(session, transaction_id, number, needs))
    return False


def _claim_typed_once(
    session: Session, number: str, transaction_id: str, typed_at: datetime, needs: Needs
) -> bool:
    with books.taken_out(session, By.TRANSACTION, transaction_id) as taken:
        now, connection = needs.now(), taken.connection
        organisation = records.shop_of(connection).short_code
        receipt = books.receipt(connection, organisation, number, lock=True)
        if receipt is None or receipt.state is not State.UNCLAIMED or receipt.refund_id:
            return False
        heard = Heard(receipt.told, frozenset(), receipt.learned_at)
        account = taken.account
        other = _another_named(connection, receipt.told, account)
        proof = matching.Typed(typed_at, names_another=other)
        if not matching.proves_itself(heard, account, proof, now, needs.mark_of):
            return False
        push = matching.push_paid_by(heard, account, needs.mark_of)
        changes = ledger.record_receipt(taken, receipt, receipt, push, [], now)
    needs.announce(changes)
    return True


def _typed_for(session: Session, number: str) -> list[tuple[str, datetime]]:
    """The transactions for which a code was typed, in whose names it was asked about."""
    typed = select(StatusQuestion.transaction_id, StatusQuestion.typed_at).where(
        StatusQuestion.receipt == number,
        StatusQuestion.transaction_id.is_not(None),
        StatusQuestion.next_at.is_not(None) | StatusQuestion.asked_at.is_not(None),
    )
    rows = session.execute(typed.order_by(StatusQuestion.typed_at))
    return [(transaction_id, at) for transaction_id, at in rows if transaction_id]


def _another_named(connection: Connection, told: Told, account: Account) -> bool:
    """Whether an account is the name of another order than this one, or one slip from it."""
    form = matching.normalised(told.account or "")
    if not form or form in (account.order.pay_code, matching.normalised(account.order.reference)):
        return False
    near = pay_code.near(form) if len(form) == pay_code.LENGTH and form.isdigit() else []
    named = select(Order.id).where(
        or_(Order.pay_code.in_([form, *near]), Order.account_form == form),
        Order.id != account.order.id,
    )
    return connection.scalar(named.limit(1)) is not None


def _review(session: Session, transaction_id: str, code: str, needs: Needs) -> list[Change]:
    raw = Raw(Kind.CLAIM, code.encode())
    return ledger.record(session, transaction_id, ReceiptClaimed(code), raw, needs.now).changes


def _unknown_lately(session: Session, share: str | None, now: datetime) -> int:
    if share is None:
        return 0
    typed = select(func.count()).where(
        StatusQuestion.share == share, StatusQuestion.typed_at > now - timedelta(hours=1)
    )
    return session.scalar(typed) or 0


def _may_be_of(code: str, account: Account, now: datetime) -> bool:
    """Whether a receipt can be of a day since the order was made; its beginning tells the day.

    Receipts that are edited, as in Daraja's samples, tell none: they are asked about.
    """
    day = day_of(code)
    if day is None:
        return True
    first = nairobi_day(account.order.created_at)
    return first - timedelta(days=1) <= day <= nairobi_day(now) + timedelta(days=1)

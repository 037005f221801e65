"""Orders: create, find, cancel."""

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mpesa import books, idempotency, ledger
from mpesa.books import By
from mpesa.database import writing_apart
from mpesa.domain import pay_code
from mpesa.domain.attempt import Account, Order, OrderStatus
from mpesa.domain.refusals import AttemptOpen, EndsAtNoTime, OrderNotFound, OrderPaid
from mpesa.domain.snapshot import seconds_left, utc_text
from mpesa.idempotency import FirstAnswer
from mpesa.ids import hash_token, new_id
from mpesa.ledger import Change, Now
from mpesa.models import Order as OrderRow

# A reference names one order, or the few that were made by repeated tries; a page is enough.
_MOST_FOUND = 100
# Ten years, with up to three leap days. No calendar and no time zone's table ends within them.
_LONGEST_LIFE = timedelta(days=3653)


@dataclass(frozen=True)
class NewOrder:
    """An order as a merchant asks for it.

    Attributes:
        amount: whole shillings.
        expires_at: aware UTC; None: never.
    """

    amount: int
    reference: str
    description: str
    return_url: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class MerchantKey:
    """An Idempotency-Key, which belongs to the API key that sent it."""

    api_key: str
    value: str


def create(
    session: Session, new: NewOrder, now: datetime, key: MerchantKey | None = None
) -> Account:
    """Make an order, or return the one that the same key made before.

    Args:
        session: the write is a commit of its own.
        new: checked fields.
        now: aware UTC.
        key: None where the merchant sent none.

    Raises:
        KeyReused: the key came before with other fields.
        EndsAtNoTime: `expires_at` has passed or is too far away. The key is looked up first, so
            that a repeated request is answered as before.
    """
    try:
        return _create(session, new, now, key)
    except IntegrityError:
        # The same key at the same moment, or the same pay code by chance.
        return _create(session, new, now, key)


def account(session: Session, order_id: str) -> Account:
    """Read an order with its attempts, as they are committed.

    Raises:
        OrderNotFound: there is none.
    """
    try:
        return books.seen(session, By.ORDER, order_id)
    except books.Unknown:
        raise OrderNotFound from None


def find_by_reference(session: Session, reference: str) -> list[Account]:
    """Find the orders with a reference: the newest first, a hundred at most."""
    ids = select(OrderRow.id).where(OrderRow.reference == reference)
    newest = ids.order_by(OrderRow.created_at.desc(), OrderRow.id).limit(_MOST_FOUND)
    return books.seen_all(session, session.scalars(newest).all())


def cancel(
    session: Session, order_id: str, clock: Now, clock_stepped: Callable[[], bool] = lambda: False
) -> list[Change]:
    """Cancel an order, so that no push is taken for it; money that still comes is kept.

    Args:
        clock: the time, asked under the order's lock.
        clock_stepped: whether the clock was changed a moment ago; no prompt is then taken for over.

    Returns:
        The changes, to be announced by the caller; none where the order was cancelled before.

    Raises:
        OrderNotFound: there is none.
        OrderPaid: it is paid.
        AttemptOpen: one of its prompts may still be answered, or money for it is in sight.
    """
    try:
        with books.taken_out(session, By.ORDER, order_id) as taken:
            now, held = clock(), taken.account
            status = held.status(now)
            if status is OrderStatus.PAID:
                raise OrderPaid
            if status is OrderStatus.CANCELLED:
                return []
            if held.money_in_sight(now):
                raise AttemptOpen(seconds_left(held.order.in_sight_until, now) or 1)
            stepped = clock_stepped()
            for each in held.attempts:
                if each.prompt_may_live(now) or (each.is_open and stepped):
                    raise AttemptOpen(seconds_left(each.prompt_end(now), now) or 1)
            return ledger.end_order(taken, OrderStatus.CANCELLED, now)
    except books.Unknown:
        raise OrderNotFound from None


def _create(session: Session, new: NewOrder, now: datetime, key: MerchantKey | None) -> Account:
    asked = None
    if key is not None:
        expires = utc_text(new.expires_at) if new.expires_at else None
        fields = [new.amount, new.reference, new.description, new.return_url, expires]
        scope = f"api:{hash_token(key.api_key)}"
        asked = idempotency.Key(scope, key.value, json.dumps(fields))
    with writing_apart(session) as connection:
        earlier = idempotency.earlier(connection, asked)
        if earlier is None:
            if new.expires_at is not None and not now < new.expires_at <= now + _LONGEST_LIFE:
                raise EndsAtNoTime
            order = Order(
                id=new_id(),
                amount=new.amount,
                reference=new.reference,
                description=new.description,
                status=OrderStatus.OPEN,
                expires_at=new.expires_at,
                updated_at=now,
                created_at=now,
                return_url=new.return_url,
                pay_code=pay_code.draw(secrets.randbelow),
            )
            kept = idempotency.kept(connection, asked, FirstAnswer(201, order.id), now)
            books.write_and_commit(connection, [books.added(order), *kept], begin=True)
            return Account(order, ())
    return account(session, earlier.order_id)

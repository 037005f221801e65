"""Orders: create, find, cancel."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mpesa import books, idempotency, ledger
from mpesa.books import By
from mpesa.database import writing
from mpesa.domain.attempt import Account, OrderStatus
from mpesa.domain.refusals import AttemptOpen, EndsAtNoTime, OrderNotFound, OrderPaid
from mpesa.domain.snapshot import seconds_left, utc_text
from mpesa.idempotency import Answer
from mpesa.ids import hash_token, new_id
from mpesa.ledger import Change, Now
from mpesa.models import Order

# One reference is one order, or a handful of attempts to make it; a page of them is enough.
_MOST_FOUND = 100
# Ten years, with the three leap days that they may have. No calendar or zone ends so soon.
_LONGEST_LIFE = timedelta(days=3653)


@dataclass(frozen=True)
class NewOrder:
    """What a merchant asks for.

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
class Key:
    """An Idempotency-Key and whose it is: the API key that asked."""

    api_key: str
    value: str


def create(session: Session, new: NewOrder, now: datetime, key: Key | None = None) -> Order:
    """Make an order, or give back the one that the same key made before.

    Args:
        session: the write is its own commit.
        new: checked fields.
        now: aware UTC.
        key: None where the merchant sent none.

    Raises:
        KeyReused: the key came before with other fields.
        EndsAtNoTime: asked after the key, so that a repeated request is answered as before.
    """
    try:
        return _create(session, new, now, key)
    except IntegrityError:
        return _create(session, new, now, key)  # the same key, at the same moment


def find(session: Session, order_id: str) -> Order:
    """The order.

    Raises:
        OrderNotFound: there is none.
    """
    order = session.get(Order, order_id)
    if order is None:
        raise OrderNotFound
    return order


def account(session: Session, order_id: str) -> Account:
    """The order with its attempts, as everybody is shown them.

    Raises:
        OrderNotFound: there is none.
    """
    try:
        return books.seen(session, By.ORDER, order_id)
    except books.Unknown:
        raise OrderNotFound from None


def find_by_reference(session: Session, reference: str) -> Sequence[Order]:
    """Orders with this reference, newest first, a hundred at most."""
    statement = select(Order).where(Order.reference == reference)
    newest = statement.order_by(Order.created_at.desc(), Order.id).limit(_MOST_FOUND)
    return session.scalars(newest).all()


def cancel(
    session: Session, order_id: str, clock: Now, clock_stepped: Callable[[], bool] = lambda: False
) -> list[Change]:
    """Cancel an order: no push is taken any more. Money that comes all the same is kept.

    Args:
        clock: asked under the order's lock.
        clock_stepped: whether the clock was changed a moment ago, so that no prompt is over by it.

    Returns:
        What changed; empty where it was cancelled before.

    Raises:
        OrderNotFound, OrderPaid, AttemptOpen.
    """
    try:
        with books.taken_out(session, By.ORDER, order_id) as taken:
            now, held = clock(), taken.account
            status = held.status(now)
            if status is OrderStatus.PAID:
                raise OrderPaid
            if status is OrderStatus.CANCELLED:
                return []
            stepped = clock_stepped()
            for each in held.attempts:
                if each.prompt_may_live(now) or (each.is_open and stepped):
                    raise AttemptOpen(seconds_left(each.prompt_end(now), now) or 1)
            return ledger.end_order(taken, OrderStatus.CANCELLED, now)
    except books.Unknown:
        raise OrderNotFound from None


def _create(session: Session, new: NewOrder, now: datetime, key: Key | None) -> Order:
    kept = _as_kept(key, new) if key else None
    with writing(session):
        earlier = idempotency.earlier(session.connection(), kept)
        if earlier is not None:
            return session.get_one(Order, earlier.order_id)
        if new.expires_at is not None and not now < new.expires_at <= now + _LONGEST_LIFE:
            raise EndsAtNoTime
        order = _row(new, now)
        session.add(order)
        session.flush()
        for row in idempotency.kept(session.connection(), kept, Answer(201, order.id), now):
            session.execute(row.statement, dict(row.values))
    return order


def _row(new: NewOrder, now: datetime) -> Order:
    return Order(
        id=new_id(),
        amount=new.amount,
        reference=new.reference,
        description=new.description,
        return_url=new.return_url,
        expires_at=new.expires_at,
        status=OrderStatus.OPEN.value,
        created_at=now,
        updated_at=now,
    )


def _as_kept(key: Key, new: NewOrder) -> idempotency.Key:
    expires = utc_text(new.expires_at) if new.expires_at else None
    fields = [new.amount, new.reference, new.description, new.return_url, expires]
    return idempotency.Key(f"api:{hash_token(key.api_key)}", key.value, json.dumps(fields))

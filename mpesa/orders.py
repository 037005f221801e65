"""Orders: create, find, cancel."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from mpesa import books, ledger
from mpesa.books import By
from mpesa.domain.attempt import Account, OrderStatus
from mpesa.domain.snapshot import utc_text
from mpesa.ledger import Change, Now
from mpesa.models import IdempotencyKey, Order, writing
from mpesa.tokens import hash_token, new_id

# One reference is one order, or a handful of attempts to make it; a page of them is enough.
_MOST_FOUND = 100
# Ten years, with the three leap days that they may have. No calendar or zone ends so soon.
_LONGEST_LIFE = timedelta(days=3653)


class OrderError(Exception):
    """Why an order was not made, found or cancelled."""


class OrderNotFound(OrderError):
    """There is no such order."""


class OrderPaid(OrderError):
    """It is paid: there is nothing left to cancel."""


class OrderHasOpenAttempt(OrderError):
    """A prompt may still be answered."""


class EndsAtNoTime(OrderError):
    """Its end has passed before it began, or is further away than anybody can mean."""


class KeyReused(OrderError):
    """The idempotency key came before with other fields."""


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
        OrderNotFound, OrderPaid, OrderHasOpenAttempt.
    """
    try:
        with books.taken_out(session, By.ORDER, order_id) as taken:
            now, held = clock(), taken.account
            status = held.status(now)
            if status is OrderStatus.PAID:
                raise OrderPaid
            if status is OrderStatus.CANCELLED:
                return []
            marked = clock_stepped() and any(each.is_open for each in held.attempts)
            if marked or held.attempt_open(now):
                raise OrderHasOpenAttempt
            return ledger.end_order(taken, OrderStatus.CANCELLED, now)
    except books.Unknown:
        raise OrderNotFound from None


def _create(session: Session, new: NewOrder, now: datetime, key: Key | None) -> Order:
    with writing(session):
        earlier = _earlier(session, new, key) if key else None
        if earlier is not None:
            return earlier
        if new.expires_at is not None and not now < new.expires_at <= now + _LONGEST_LIFE:
            raise EndsAtNoTime
        order = _row(new, now)
        session.add(order)
        session.flush()
        if key:
            session.add(_key_row(key, new, order, now))
    return order


def _earlier(session: Session, new: NewOrder, key: Key) -> Order | None:
    row = session.get(IdempotencyKey, (_scope(key), key.value))
    if row is None:
        return None
    if row.fingerprint != _fingerprint(new):
        raise KeyReused
    return session.get(Order, row.order_id)


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


def _key_row(key: Key, new: NewOrder, order: Order, now: datetime) -> IdempotencyKey:
    return IdempotencyKey(
        scope=_scope(key),
        key=key.value,
        fingerprint=_fingerprint(new),
        status_code=201,
        order_id=order.id,
        created_at=now,
    )


def _scope(key: Key) -> str:
    return f"api:{hash_token(key.api_key)}"


def _fingerprint(new: NewOrder) -> str:
    expires = utc_text(new.expires_at) if new.expires_at else None
    fields = [new.amount, new.reference, new.description, new.return_url, expires]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

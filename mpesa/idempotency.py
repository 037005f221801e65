"""One key, one answer: a request that is repeated with its Idempotency-Key is done once."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select

from mpesa.books import KeptAnswer, Write, adding
from mpesa.domain.refusals import KeyReused
from mpesa.models import IdempotencyKey

# The HTTP status code of a request that joined an attempt under way.
JOINED = 200
# Kept keys of requests that joined one attempt: a page that lost its answer tries a few times. A
# stranger with ever new keys could fill the disk.
_MOST_JOINERS = 10
_KEPT = select(
    IdempotencyKey.fingerprint,
    IdempotencyKey.status_code,
    IdempotencyKey.order_id,
    IdempotencyKey.transaction_id,
).where(IdempotencyKey.scope == bindparam("scope"), IdempotencyKey.key == bindparam("key"))
_ADD = adding(
    IdempotencyKey,
    "scope", "key", "fingerprint", "status_code", "order_id", "transaction_id", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a request brought it.

    Attributes:
        scope: the key's owner: two owners may use the same text.
        fields: the fields of the request, normalised, as text.
    """

    scope: str
    value: str
    fields: str

    @property
    def fingerprint(self) -> str:
        """The hash that is kept of the fields, which may name a phone."""
        return hashlib.sha256(self.fields.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """The answer to a request that had a key.

    Attributes:
        status_code: the HTTP answer's.
        transaction_id: None where an order was made.
    """

    status_code: int
    order_id: str
    transaction_id: str | None = None


def earlier(connection: Connection, key: Key | None) -> FirstAnswer | None:
    """Find the first answer to a key.

    Returns:
        None where the key is new, or none was sent.

    Raises:
        KeyReused: the key came before with other fields.
    """
    if key is None:
        return None
    row = connection.execute(_KEPT, {"scope": key.scope, "key": key.value}).one_or_none()
    return row and answered(key, KeptAnswer(*row))


def answered(key: Key, kept: KeptAnswer) -> FirstAnswer:
    """The answer that was kept of a key.

    Raises:
        KeyReused: the key came before with other fields.
    """
    if kept.fingerprint != key.fingerprint or kept.order_id is None:
        raise KeyReused
    return FirstAnswer(kept.status_code, kept.order_id, kept.transaction_id)


def kept(
    connection: Connection, key: Key | None, answer: FirstAnswer, now: datetime
) -> list[Write]:
    """Make the row that keeps a key with its answer.

    Of the requests that join an attempt, only the first few keys are kept. A request whose key was
    not kept joins again when it is repeated.

    Args:
        connection: it holds the order's lock, so that no other request joins meanwhile.
        now: aware UTC.

    Returns:
        One row, or none where no key was sent or none is to be kept.
    """
    if key is None:
        return []
    if answer.status_code == JOINED:
        joiners = select(func.count()).where(
            IdempotencyKey.scope == key.scope,
            IdempotencyKey.transaction_id == answer.transaction_id,
            IdempotencyKey.status_code == JOINED,
        )
        if connection.scalars(joiners).one() >= _MOST_JOINERS:
            return []
    row = {
        "scope": key.scope,
        "key": key.value,
        "fingerprint": key.fingerprint,
        "status_code": answer.status_code,
        "order_id": answer.order_id,
        "transaction_id": answer.transaction_id,
        "created_at": now,
    }
    return [Write(_ADD, row)]

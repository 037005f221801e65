"""One key, one answer: what is asked for twice with the same Idempotency-Key is done once."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select

from mpesa.books import Write, adding
from mpesa.domain.refusals import KeyReused
from mpesa.models import IdempotencyKey

# The HTTP status code of a request that found what it asked for under way.
JOINED = 200
# Keys of those who joined an attempt: a page that lost its answer tries a few times. A stranger
# with ever new ones could fill the disk.
_MOST_JOINERS = 10
_ADD = adding(
    IdempotencyKey,
    "scope", "key", "fingerprint", "status_code", "order_id", "transaction_id", "created_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A key as a request brought it.

    Attributes:
        scope: whose it is: the same key of somebody else is another one.
        fields: what was asked for, normalised, as text.
    """

    scope: str
    value: str
    fields: str

    @property
    def fingerprint(self) -> str:
        """What is kept of the fields, which may name a phone."""
        return hashlib.sha256(self.fields.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request with a key was answered.

    Attributes:
        status_code: of the HTTP answer.
        transaction_id: None where an order was made.
    """

    status_code: int
    order_id: str
    transaction_id: str | None = None


def earlier(connection: Connection, key: Key | None) -> Answer | None:
    """The first answer to a key; None where it is new, or none was sent.

    Raises:
        KeyReused: it came before with other fields.
    """
    if key is None:
        return None
    kept = select(
        IdempotencyKey.fingerprint,
        IdempotencyKey.status_code,
        IdempotencyKey.order_id,
        IdempotencyKey.transaction_id,
    ).where(IdempotencyKey.scope == key.scope, IdempotencyKey.key == key.value)
    row = connection.execute(kept).one_or_none()
    if row is None:
        return None
    if row.fingerprint != key.fingerprint or row.order_id is None:
        raise KeyReused
    return Answer(row.status_code, row.order_id, row.transaction_id)


def kept(connection: Connection, key: Key | None, answer: Answer, now: datetime) -> list[Write]:
    """The row that keeps a key with its answer; none where no key was sent.

    Of those that join an attempt only the first few are kept. A request whose key was not kept
    joins again when it is repeated.

    Args:
        connection: holds the order's lock, so that nobody joins meanwhile.
    """
    if key is None:
        return []
    if answer.status_code == JOINED and _joiners(connection, key, answer) >= _MOST_JOINERS:
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


def _joiners(connection: Connection, key: Key, answer: Answer) -> int:
    joiners = select(func.count()).where(
        IdempotencyKey.scope == key.scope,
        IdempotencyKey.transaction_id == answer.transaction_id,
        IdempotencyKey.status_code == JOINED,
    )
    return connection.scalars(joiners).one()

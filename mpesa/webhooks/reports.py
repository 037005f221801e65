"""Reports about webhooks, for people and metrics; nothing here writes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, selectinload

from mpesa.ids import hash_token
from mpesa.models import WebhookEndpoint, WebhookMessage


class DeliveryState(StrEnum):
    """Where a message stands."""

    DELIVERED = "delivered"
    SENDING = "sending"
    WAITING = "waiting"
    GIVEN_UP = "given_up"


def state_of(message: WebhookMessage, now: datetime) -> DeliveryState:
    """Where a message stands at `now`; `waiting` also between two tries."""
    if message.delivered_at is not None:
        return DeliveryState.DELIVERED
    if message.claimed_until is not None and message.claimed_until > now:
        return DeliveryState.SENDING
    return DeliveryState.GIVEN_UP if message.next_attempt_at is None else DeliveryState.WAITING


def page(
    session: Session,
    limit: int,
    *,
    before: tuple[datetime, str] | None = None,
    undelivered: bool = False,
    transaction_id: str | None = None,
) -> Sequence[WebhookMessage]:
    """Messages, newest first, each with its `attempts` loaded, oldest first, and its `receipt`.

    Args:
        limit: the most messages; one more than a page shows tells whether there is another page.
        before: (`created_at`, `id`) of the last message of the page before; None: from the newest.
        undelivered: only messages that the merchant's server has not taken.
        transaction_id: only messages of this transaction; None: of all.
    """
    statement = select(WebhookMessage).options(
        selectinload(WebhookMessage.attempts), selectinload(WebhookMessage.receipt)
    )
    if before is not None:
        key = tuple_(WebhookMessage.created_at, WebhookMessage.id)
        statement = statement.where(key < before)
    if undelivered:
        statement = statement.where(WebhookMessage.delivered_at.is_(None))
    if transaction_id is not None:
        statement = statement.where(WebhookMessage.transaction_id == transaction_id)
    newest = (WebhookMessage.created_at.desc(), WebhookMessage.id.desc())
    return session.scalars(statement.order_by(*newest).limit(limit)).all()


@dataclass(frozen=True)
class EndpointState:
    """The state of the merchant's server.

    Attributes:
        stopped_at: when it answered 410, after which nothing is sent until its address changes or
            an operator sends something again; None: it was not stopped.
        failures: tries in a row to which it was silent or too busy; another refusal (a 500, say)
            concerns one message only.
        resume_at: when the pause ends that its silence or its request began; None: no pause.
        delivered_at: when it last took a message; None: never.
    """

    stopped_at: datetime | None = None
    failures: int = 0
    resume_at: datetime | None = None
    delivered_at: datetime | None = None


def endpoint_state(session: Session, url: str) -> EndpointState:
    """Read the state of the endpoint at `url` (WEBHOOK_URL); a new one has an empty one."""
    row = session.get(WebhookEndpoint, hash_token(url))
    if row is None:
        return EndpointState()
    return EndpointState(row.stopped_at, row.failures, row.resume_at, row.delivered_at)


@dataclass(frozen=True)
class Backlog:
    """The messages that the merchant's server has not taken.

    Attributes:
        count: messages still to be sent.
        age: the age of the oldest of those; None where there is none.
        given_up: messages that are sent again only if an operator says so.
    """

    count: int
    age: timedelta | None
    given_up: int


def backlog(session: Session, now: datetime) -> Backlog:
    """Count what the merchant's server has not taken, in one statement."""
    is_waiting = WebhookMessage.next_attempt_at.is_not(None)
    counts = select(
        func.count().filter(is_waiting),
        func.min(WebhookMessage.created_at).filter(is_waiting),
        func.count().filter(~is_waiting),
    ).where(WebhookMessage.delivered_at.is_(None))
    count, oldest, given_up = session.execute(counts).one()
    age = max(timedelta(0), now - oldest) if count else None  # a clock may have stepped back
    return Backlog(count, age, given_up)

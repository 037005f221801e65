"""Claim what is due, send it, write down what came of it."""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    case,
    func,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased
from standardwebhooks import Webhook

from mpesa import __version__, counters, logs
from mpesa.database import reading, writing
from mpesa.domain import webhook
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.ids import hash_token, new_id
from mpesa.models import WebhookAttempt, WebhookEndpoint, WebhookMessage
from mpesa.webhooks.post import TIME_LIMIT, Answered, Outcome, Post, Unanswered

log = logging.getLogger(__name__)

# Requests to one endpoint at once, all workers together: a shop's server that takes 200 ms answers
# 40 messages a second this way, and a small one is not run over when it comes back.
MOST_AT_ONCE = 8
# After so many silences in a row one message at a time finds out whether the endpoint is back,
# after pauses that double up to the longest.
FAILING_FROM = 5
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(seconds=60)
# A message waits for an older one of the same transaction through that one's first three tries,
# some five minutes. One that the merchant's server never takes must not hold back the others.
WAITED_FOR_TRIES = 3
# Whoever sends has 15 s, and then some to write down what came of it; after this they have died.
LEASE = timedelta(seconds=60)
# A claim that ends later was made before a step back of the clock, by somebody who is done by now.
_LONGEST_LEASE = LEASE + CLOCKS_DIFFER
# So many rows are read in some milliseconds; each has two parameters, and SQLite takes 32,766.
_PUT_BACK_AT_ONCE = 500
_OK = range(200, 300)
_GONE = 410
# With these, `Retry-After` speaks of the whole server (RFC 6585, 4; RFC 9110, 15.6.4).
_BUSY = (429, 503)
# A server, or the proxy in front of it, says with these that it takes nothing now. Any other
# refusal, a 500 too, is an answer to one message: a shop that stumbles over `transaction.failed`
# must hear of payments all the same, and a stranger can cause as many of the former as he likes.
_SILENT = (408, *_BUSY, 502, 504)
_COMMON_HEADERS = {
    "Accept": "*/*",
    "Content-Type": "application/json",
    "User-Agent": f"checkout-webhooks/{__version__}",
}


@dataclass(frozen=True)
class Endpoint:
    """The merchant's server.

    Attributes:
        url: WEBHOOK_URL.
        secrets: each signs every message, so that one can replace another.
        post: sends one request.
        now: the time, aware UTC.
        chance: from 0 to 1, for the jitter.
    """

    url: str = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    post: Callable[[bytes, Mapping[str, str]], Outcome] = field(repr=False)
    now: Callable[[], datetime]
    chance: Callable[[], float] = random.SystemRandom().random

    @classmethod
    def at(cls, url: str, secrets: tuple[str, ...], now: Callable[[], datetime]) -> "Endpoint":
        """The endpoint that the settings name."""
        return cls(url, secrets, Post(url), now)

    @property
    def id(self) -> str:
        """What its row is found by."""
        return hash_token(self.url)


@dataclass(frozen=True)
class _Claimed:
    """A message that is ours to send until `until`."""

    id: str
    body: str = field(repr=False)
    until: datetime
    transaction_id: str | None = None


def run_until_idle(
    session: Session, endpoint: Endpoint, rest: Callable[[], None] = lambda: None
) -> int:
    """Send everything that may be sent now; returns how many tries that took.

    Args:
        rest: called after each, to let other work have its turn.
    """
    sent = 0
    while run_once(session, endpoint):
        sent += 1
        rest()
    return sent


def run_once(session: Session, endpoint: Endpoint) -> int:
    """Send the one message that is most due, and write down what came of it.

    No connection of the database is held while it is sent. Any number may do this at once, in any
    number of processes.

    Args:
        session: ends whatever it was reading.

    Returns:
        How many were sent, 0 or 1.
    """
    claimed = _claim(session, endpoint) if _any_due(session, endpoint.now()) else None
    if claimed is None:
        return 0
    started = endpoint.now()
    if started > claimed.until - timedelta(seconds=TIME_LIMIT):
        return 0  # this process slept; somebody else may be about to send it
    with logs.about(transaction_id=claimed.transaction_id):
        outcome = endpoint.post(claimed.body.encode(), _headers(claimed, endpoint, started))
        _record(session, endpoint, claimed, outcome, started)
    return 1


def send_test(endpoint: Endpoint) -> Outcome:
    """Send a signed message that tells of no payment, once; nothing of it is kept."""
    now = endpoint.now()
    message = _Claimed(f"msg_{new_id()}", webhook.test_body(now), until=now)
    return endpoint.post(message.body.encode(), _headers(message, endpoint, now))


def retry(session: Session, message_id: str, now: datetime) -> bool:
    """Have one message sent again at once, delivered or not; opens a stopped endpoint again.

    Its tries begin anew. One that is being sent just now is left alone.

    Returns:
        False where there is no such message.
    """
    with writing(session):
        _reopen(session)
        message = session.get(WebhookMessage, message_id, with_for_update=True)
        if message is None:
            return False
        if message.claimed_until is None or not now < message.claimed_until <= now + _LONGEST_LEASE:
            message.next_attempt_at, message.tries, message.delivered_at = now, 0, None
    return True


def retry_failed(session: Session, now: datetime) -> int:
    """Have everything sent at once that failed and was not delivered since; returns how many.

    What was given up is among it, and a stopped endpoint is opened again.
    """
    failed = and_(
        WebhookMessage.delivered_at.is_(None),
        WebhookMessage.tries > 0,
        _unclaimed(now),
    )
    with writing(session):
        _reopen(session)
        again = update(WebhookMessage).where(failed).values(next_attempt_at=now, tries=0)
        found = session.connection().execute(again)
    return found.rowcount


def _reopen(session: Session) -> None:
    anew = update(WebhookEndpoint).values(failures=0, resume_at=None, stopped_at=None)
    session.connection().execute(anew)


def _headers(claimed: _Claimed, endpoint: Endpoint, now: datetime) -> dict[str, str]:
    signatures = [
        Webhook(secret).sign(msg_id=claimed.id, timestamp=now, data=claimed.body)
        for secret in endpoint.secrets
    ]
    return {
        **_COMMON_HEADERS,
        "webhook-id": claimed.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


# -- claiming ------------------------------------------------------------------------------------


def _any_due(session: Session, now: datetime) -> bool:
    """A look without a lock, since there is nothing to do most of the time."""
    due = select(WebhookMessage.id).where(WebhookMessage.next_attempt_at <= now).limit(1)
    with reading(session) as connection:
        found = connection.execute(due).first() is not None
    session.rollback()  # gives the connection back
    return found


def _claim(session: Session, endpoint: Endpoint) -> _Claimed | None:
    now = endpoint.now()
    with writing(session):
        row = _lock_endpoint(session, endpoint.id)
        if not _may_send(session, row, now):
            return None
        message = session.scalars(_most_due(now)).first()
        if message is None:
            return None
        message.claimed_until = now + LEASE
        return _Claimed(message.id, message.body, message.claimed_until, message.transaction_id)


def _lock_endpoint(session: Session, endpoint_id: str) -> WebhookEndpoint:
    """The endpoint's row, locked until the commit: whoever claims or records takes turns."""
    locked = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id).with_for_update()
    fresh = locked.execution_options(populate_existing=True)
    row = session.scalars(fresh).one_or_none()
    if row is not None:
        return row
    dialect = session.get_bind().dialect.name
    insert = postgresql.insert if dialect == "postgresql" else sqlite.insert
    first = insert(WebhookEndpoint).values(id=endpoint_id).on_conflict_do_nothing()
    session.connection().execute(first)
    return session.scalars(fresh).one()


def _may_send(session: Session, row: WebhookEndpoint, now: datetime) -> bool:
    if row.stopped_at is not None or (row.resume_at is not None and row.resume_at > now):
        return False
    claimed = select(func.count()).where(~_unclaimed(now))
    under_way = session.scalars(claimed).one()
    return under_way < (1 if row.failures >= FAILING_FROM else MOST_AT_ONCE)


def _most_due(now: datetime) -> Select[WebhookMessage]:
    """The message due for longest that waits for no older one of its transaction."""
    older = aliased(WebhookMessage)
    waited_for = select(older.id).where(
        older.transaction_id == WebhookMessage.transaction_id,
        older.seq < WebhookMessage.seq,
        older.next_attempt_at.is_not(None),
        or_(
            older.tries < WAITED_FOR_TRIES,
            older.claimed_until.between(now, now + _LONGEST_LEASE),
        ),
    )
    return (
        select(WebhookMessage)
        .where(WebhookMessage.next_attempt_at <= now, _unclaimed(now), ~waited_for.exists())
        .order_by(WebhookMessage.next_attempt_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    )


def _unclaimed(now: datetime) -> ColumnElement[bool]:
    return or_(
        WebhookMessage.claimed_until.is_(None),
        WebhookMessage.claimed_until <= now,
        WebhookMessage.claimed_until > now + _LONGEST_LEASE,
    )


# -- after a step back of the clock --------------------------------------------------------------


def put_back(session: Session, endpoint: Endpoint, rest: Callable[[], None] = lambda: None) -> int:
    """Have sent now what a clock that was ahead has put off, and end the pause that it began.

    To be called after a step back, and at the start, since nobody may have seen one: it reads all
    that waits for later, a part at a time.

    Args:
        rest: called after each part, to let other work have its turn.

    Returns:
        How many messages were put back.
    """
    now = endpoint.now()
    later = now + CLOCKS_DIFFER
    _end_pause(session, endpoint, later)
    found = 0
    part = _waiting_after(session, later, "")
    while part:
        wrong = _put_off_wrongly(session, part, later)
        if wrong:
            found += _send_now(session, wrong, now)
        rest()
        part = _waiting_after(session, part[-1].next_attempt_at, part[-1].id)
    return found


def _end_pause(session: Session, endpoint: Endpoint, later: datetime) -> None:
    """The last try of all began the pause; its time tells by which clock."""
    last_try = select(WebhookAttempt.started_at).order_by(WebhookAttempt.id.desc()).limit(1)
    ahead = last_try.scalar_subquery() > later
    with writing(session):
        over = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id, ahead)
        session.connection().execute(over.values(resume_at=None))


def _waiting_after(session: Session, moment: datetime, message_id: str) -> Sequence[Any]:
    by = tuple_(WebhookMessage.next_attempt_at, WebhookMessage.id)
    part = (
        select(WebhookMessage.id, WebhookMessage.next_attempt_at, WebhookMessage.tries)
        .where(WebhookMessage.next_attempt_at >= moment, by > (moment, message_id))
        .order_by(*by)
        .limit(_PUT_BACK_AT_ONCE)
    )
    with reading(session) as connection:
        rows = connection.execute(part).all()
    session.rollback()
    return rows


def _put_off_wrongly(
    session: Session, part: Sequence[Any], later: datetime
) -> list[tuple[str, datetime]]:
    """Of messages that wait for later, those whose time was told by a clock that was ahead.

    One that was not tried was due when it was written. The others wait for as long after their last
    try as the schedule, or the merchant's server, says.
    """
    tried = [row.id for row in part if row.tries > 0]
    tries = (
        select(WebhookAttempt.message_id, WebhookAttempt.started_at)
        .where(WebhookAttempt.message_id.in_(tried))
        .order_by(WebhookAttempt.id)
    )
    with reading(session) as connection:
        last_try = {row.message_id: row.started_at for row in connection.execute(tries)}
    session.rollback()

    def wrong(row: Any) -> bool:
        # A try that was under way at the step was written down by the clock as it is.
        told = last_try.get(row.id, later)
        return row.tries == 0 or bool(later < told <= row.next_attempt_at)

    return [(row.id, row.next_attempt_at) for row in part if wrong(row)]


def _send_now(session: Session, wrong: Sequence[tuple[str, datetime]], now: datetime) -> int:
    """Whatever has another time by now was tried again, or put back by another worker."""
    as_seen = tuple_(WebhookMessage.id, WebhookMessage.next_attempt_at).in_(wrong)
    made = case(
        (WebhookMessage.created_at > now + CLOCKS_DIFFER, now), else_=WebhookMessage.created_at
    )
    again = update(WebhookMessage).where(as_seen).values(next_attempt_at=now, created_at=made)
    with writing(session):
        return session.connection().execute(again).rowcount


# -- recording -----------------------------------------------------------------------------------


def _record(
    session: Session, endpoint: Endpoint, claimed: _Claimed, outcome: Outcome, started: datetime
) -> None:
    now = endpoint.now()
    with writing(session):
        row = _lock_endpoint(session, endpoint.id)
        message = session.get_one(
            WebhookMessage, claimed.id, with_for_update=True, populate_existing=True
        )
        session.add(_attempt(claimed, outcome, started, now))
        if isinstance(outcome, Answered) and outcome.status_code in _OK:
            _delivered(row, message, now)
        elif message.claimed_until == claimed.until:
            _failed(row, message, outcome, endpoint, now)


def _attempt(
    claimed: _Claimed, outcome: Outcome, started: datetime, now: datetime
) -> WebhookAttempt:
    return WebhookAttempt(
        message_id=claimed.id,
        started_at=started,
        status_code=outcome.status_code if isinstance(outcome, Answered) else None,
        failure=outcome.failure.value if isinstance(outcome, Unanswered) else None,
        took_ms=round((now - started).total_seconds() * 1000),
    )


def _delivered(row: WebhookEndpoint, message: WebhookMessage, now: datetime) -> None:
    counters.count("webhook_delivered")
    message.tries += 1
    message.delivered_at = now
    message.next_attempt_at = message.claimed_until = None
    row.delivered_at = now
    _is_there(row)
    # A pause that lasts was asked for while this one was under way.
    if row.resume_at is not None and row.resume_at <= now:
        row.resume_at = None


def _failed(
    row: WebhookEndpoint,
    message: WebhookMessage,
    outcome: Outcome,
    endpoint: Endpoint,
    now: datetime,
) -> None:
    counters.count("webhook_failed")
    header = outcome.retry_after if isinstance(outcome, Answered) else None
    asked = webhook.asked_pause(header, now)
    message.tries += 1
    message.claimed_until = None
    pause = webhook.pause_after(message.tries, endpoint.chance())
    message.next_attempt_at = None if pause is None else now + max(pause, asked)
    if isinstance(outcome, Answered) and outcome.status_code not in _SILENT:
        _is_there(row)
    else:
        row.failures += 1
        busy = isinstance(outcome, Answered) and outcome.status_code in _BUSY
        rest = max(asked if busy else timedelta(0), _rest_after(row.failures))
        if rest and (row.resume_at is None or row.resume_at < now + rest):
            row.resume_at = now + rest
    _say(row, message, outcome, now)


def _is_there(row: WebhookEndpoint) -> None:
    """It answered for itself; what it says of one message holds no other back."""
    if row.failures >= FAILING_FROM:
        log.info("the webhook endpoint answers again after %d failures", row.failures)
    row.failures = 0


def _rest_after(failures: int) -> timedelta:
    """How long an endpoint is left alone after so many silences in a row."""
    beyond = failures - FAILING_FROM
    if beyond < 0:
        return timedelta(0)
    return min(FIRST_PAUSE * (1 << min(beyond, 10)), LONGEST_PAUSE)


def _say(row: WebhookEndpoint, message: WebhookMessage, outcome: Outcome, now: datetime) -> None:
    """Log what an operator has to know; the address stays out, since it may hold a password."""
    if isinstance(outcome, Answered) and outcome.status_code == _GONE and row.stopped_at is None:
        row.stopped_at = now
        counters.count("webhook_endpoint_stopped")
        log.error("the webhook endpoint answered 410: nothing is sent until `flask webhooks retry`")
    if message.next_attempt_at is None:
        counters.count("webhook_given_up")
        log.error("webhook %s was given up after %d tries", message.id, message.tries)
    elif row.failures == FAILING_FROM:
        log.warning("the webhook endpoint did not answer %d times in a row", row.failures)

"""Claim a message that is due, send it, write down the outcome."""

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
# 40 messages a second this way, and a small one is not overrun when it comes back.
MOST_AT_ONCE = 8
# After this many silences in a row, single messages find out whether the endpoint is back, after
# pauses that double up to the longest.
FAILING_FROM = 5
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(seconds=60)
# A message waits for an older one of the same transaction, or receipt, while that is tried for the
# first three times, some five minutes. A message that the merchant's server never takes must not
# hold back the others.
WAITED_FOR_TRIES = 3
# A sender has 15 s, and some more to write down the outcome; after this time it has died.
LEASE = timedelta(seconds=60)
# A claim that ends later was made before the clock stepped back, by a sender that is done by now.
_LONGEST_LEASE = LEASE + CLOCKS_DIFFER
# This many rows are read in some milliseconds; each has two parameters, and SQLite takes 32,766.
_PUT_BACK_AT_ONCE = 500
_OK = range(200, 300)
_GONE = 410
# With these, `Retry-After` speaks of the whole server (RFC 6585, 4; RFC 9110, 15.6.4).
_BUSY = (429, 503)
# With these, a server or the proxy in front of it says that it takes nothing now. Another refusal,
# a 500 too, is an answer to one message: a shop that fails on `transaction.failed` must hear of
# payments all the same, and a stranger can cause any number of failed transactions.
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
        secrets: each of them signs every message, so that one can replace another.
        post: sends one request.
        now: the clock, aware UTC.
        chance: gives a number from 0 to 1, for the jitter.
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
        """The id of its row."""
        return hash_token(self.url)


@dataclass(frozen=True)
class _Claimed:
    """A message that this process may send until `until`."""

    id: str
    body: str = field(repr=False)
    until: datetime
    transaction_id: str | None = None


def run_until_idle(
    session: Session, endpoint: Endpoint, rest: Callable[[], None] = lambda: None
) -> int:
    """Send everything that may be sent now.

    Args:
        rest: called after each message, to let other work have its turn.

    Returns:
        How many messages were tried.
    """
    sent = 0
    while run_once(session, endpoint):
        sent += 1
        rest()
    return sent


def run_once(session: Session, endpoint: Endpoint) -> int:
    """Send the message that is most due, and write down the outcome.

    No connection of the database is held while it is sent. Any number of threads and processes may
    do this at once.

    Args:
        session: a read that it had begun is ended.

    Returns:
        How many messages were tried, 0 or 1.
    """
    # A look without a lock comes first, since there is nothing to do most of the time.
    due = select(WebhookMessage.id).where(WebhookMessage.next_attempt_at <= endpoint.now())
    with reading(session) as connection:
        any_due = connection.execute(due.limit(1)).first() is not None
    session.rollback()  # gives the connection back
    claimed = _claim(session, endpoint) if any_due else None
    if claimed is None:
        return 0
    started = endpoint.now()
    if started > claimed.until - timedelta(seconds=TIME_LIMIT):
        return 0  # this process slept; another one may be about to send the message
    with logs.about(transaction_id=claimed.transaction_id):
        outcome = endpoint.post(claimed.body.encode(), _headers(claimed, endpoint, started))
        _record(session, endpoint, claimed, outcome, started)
    return 1


def send_test(endpoint: Endpoint) -> Outcome:
    """Send a signed message that tells of no payment, once, without keeping anything of it."""
    now = endpoint.now()
    message = _Claimed(f"msg_{new_id()}", webhook.test_body(now), until=now)
    return endpoint.post(message.body.encode(), _headers(message, endpoint, now))


def retry(session: Session, message_id: str, now: datetime) -> bool:
    """Have a message sent again at once, delivered or not, and open a stopped endpoint again.

    Its tries begin anew. A message that is being sent just now is left alone.

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
    """Have every message that failed and was not delivered since sent at once.

    That includes messages that were given up, and a stopped endpoint is opened again.

    Returns:
        How many messages will be sent.
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


def _claim(session: Session, endpoint: Endpoint) -> _Claimed | None:
    now = endpoint.now()
    with writing(session):
        row = _lock_endpoint(session, endpoint.id)
        if row.stopped_at is not None or (row.resume_at is not None and row.resume_at > now):
            return None
        under_way = session.scalars(select(func.count()).where(~_unclaimed(now))).one()
        if under_way >= (1 if row.failures >= FAILING_FROM else MOST_AT_ONCE):
            return None
        message = session.scalars(_most_due(now)).first()
        if message is None:
            return None
        message.claimed_until = now + LEASE
        return _Claimed(message.id, message.body, message.claimed_until, message.transaction_id)


def _lock_endpoint(session: Session, endpoint_id: str) -> WebhookEndpoint:
    """The endpoint's row, locked until the commit: claims and records take turns."""
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


def _most_due(now: datetime) -> Select[WebhookMessage]:
    """The message that has been due longest and waits for no older one of the same subject."""
    older = aliased(WebhookMessage)
    waited_for = select(older.id).where(
        older.seq < WebhookMessage.seq,
        older.next_attempt_at.is_not(None),
        or_(
            older.tries < WAITED_FOR_TRIES,
            older.claimed_until.between(now, now + _LONGEST_LEASE),
        ),
    )
    # Two, each by its own index.
    of_transaction = waited_for.where(older.transaction_id == WebhookMessage.transaction_id)
    of_receipt = waited_for.where(older.receipt_id == WebhookMessage.receipt_id)
    return (
        select(WebhookMessage)
        .where(
            WebhookMessage.next_attempt_at <= now,
            _unclaimed(now),
            ~of_transaction.exists(),
            ~of_receipt.exists(),
        )
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
    """Send now what a clock that was ahead has put off, and end the pause that it began.

    To be called after a step back, and at the start, since a step may have gone unseen: it reads
    all messages that wait for later, a part at a time.

    Args:
        rest: called after each part, to let other work have its turn.

    Returns:
        How many messages were put back.
    """
    now = endpoint.now()
    later = now + CLOCKS_DIFFER
    # The last try of all began the pause; its time tells by which clock.
    last_try = select(WebhookAttempt.started_at).order_by(WebhookAttempt.id.desc()).limit(1)
    ahead = last_try.scalar_subquery() > later
    over = update(WebhookEndpoint).where(WebhookEndpoint.id == endpoint.id, ahead)
    with writing(session):
        session.connection().execute(over.values(resume_at=None))
    made = case((WebhookMessage.created_at > later, now), else_=WebhookMessage.created_at)
    found = 0
    part = _waiting_after(session, later, "")
    while part:
        wrong = _put_off_wrongly(session, part, later)
        if wrong:
            # A message with another time by now was tried again, or put back by another worker.
            as_seen = tuple_(WebhookMessage.id, WebhookMessage.next_attempt_at).in_(wrong)
            again = update(WebhookMessage).where(as_seen)
            again = again.values(next_attempt_at=now, created_at=made)
            with writing(session):
                found += session.connection().execute(again).rowcount
        rest()
        part = _waiting_after(session, part[-1].next_attempt_at, part[-1].id)
    return found


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
    """Of messages that wait for later, find those that were timed by a clock that was ahead.

    A message that was not tried was due when it was written. The others wait for as long after
    their last try as the schedule, or the merchant's server, says.
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
        # A try that was under way at the step was written down by the present clock.
        told = last_try.get(row.id, later)
        return row.tries == 0 or bool(later < told <= row.next_attempt_at)

    return [(row.id, row.next_attempt_at) for row in part if wrong(row)]


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
        session.add(
            WebhookAttempt(
                message_id=claimed.id,
                started_at=started,
                status_code=outcome.status_code if isinstance(outcome, Answered) else None,
                failure=outcome.failure.value if isinstance(outcome, Unanswered) else None,
                took_ms=round((now - started).total_seconds() * 1000),
            )
        )
        if isinstance(outcome, Answered) and outcome.status_code in _OK:
            counters.count("webhook_delivered")
            message.tries += 1
            message.delivered_at = row.delivered_at = now
            message.next_attempt_at = message.claimed_until = None
            _has_answered(row)
            # A pause that lasts was asked for while this message was under way.
            if row.resume_at is not None and row.resume_at <= now:
                row.resume_at = None
        elif message.claimed_until == claimed.until:
            _failed(row, message, outcome, endpoint, now)


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
        _has_answered(row)
    else:
        row.failures += 1
        busy = isinstance(outcome, Answered) and outcome.status_code in _BUSY
        rest = asked if busy else timedelta(0)
        if row.failures >= FAILING_FROM:
            doubled = FIRST_PAUSE * (1 << min(row.failures - FAILING_FROM, 10))
            rest = max(rest, min(doubled, LONGEST_PAUSE))
        if rest and (row.resume_at is None or row.resume_at < now + rest):
            row.resume_at = now + rest
    if isinstance(outcome, Answered) and outcome.status_code == _GONE and row.stopped_at is None:
        row.stopped_at = now
        counters.count("webhook_endpoint_stopped")
        log.error("the webhook endpoint answered 410: nothing is sent until `flask webhooks retry`")
    # The log has to tell an operator, and leaves out the address, which may hold a password.
    if message.next_attempt_at is None:
        counters.count("webhook_given_up")
        log.error("webhook %s was given up after %d tries", message.id, message.tries)
    elif row.failures == FAILING_FROM:
        log.warning("the webhook endpoint did not answer %d times in a row", row.failures)


def _has_answered(row: WebhookEndpoint) -> None:
    """The endpoint is reachable; a refusal of one message holds no other back."""
    if row.failures >= FAILING_FROM:
        log.info("the webhook endpoint answers again after %d failures", row.failures)
    row.failures = 0

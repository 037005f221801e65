"""The OAuth token and the query budget that all processes share, kept in the database."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute, Session

from mpesa import counters
from mpesa.config import Rate, Settings
from mpesa.daraja import AccessToken, Daraja, Initiators, NotSent
from mpesa.database import writing
from mpesa.domain.result_codes import Reason
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.ids import hash_token
from mpesa.models import DarajaAccess

# A token is renewed this long before its end, so that none ends while a call is on its way.
_EARLY = timedelta(seconds=60)
# Daraja answers in about a second. A process that holds the lease this long has died, or asks a
# Daraja so slow that a second fetch does no harm; and pushes that wait for it have 20 s in all.
_LEASE = timedelta(seconds=8)
# The life of Daraja's tokens (its documentation: 3600 s). A longer life is not believed: it looks
# just like a step back of the clock.
_LONGEST_LIFE = timedelta(hours=1)
# Seconds between two looks for a token that another process fetches; within a process a lock waits.
_LOOK_AGAIN = 0.05


def access_key(settings: Settings) -> str:
    """The key of the token and the query budget: each consumer key has one of both."""
    return f"{settings.daraja_base_url} {settings.daraja_consumer_key}"


class DatabaseToken:
    """A TokenSource with one token for each consumer key, since a new one ends the one before.

    (Daraja docs, Authorization, FAQ 3.) A lock lets one caller of a process through, and a lease in
    the row one process; nothing is locked in the database while Daraja is asked.

    Args:
        session: opens a session for each use, which its context closes.
        key: identifies consumer key and base address; only its hash is stored.
        now: aware UTC.
    """

    def __init__(
        self, session: Callable[[], Session], key: str, now: Callable[[], datetime]
    ) -> None:
        self._session = session
        self._id = hash_token(key)
        self._now = now
        self._one_at_a_time = threading.Lock()
        self._kept: tuple[str | None, datetime | None] = (None, None)

    def token(self, fetch: Callable[[], AccessToken], *, dead: str | None = None) -> str:
        """Return a valid token.

        Args:
            fetch: gets a new token from Daraja; only one of several simultaneous calls calls it.
            dead: a token that Daraja just refused; a different one is returned.

        Raises:
            NotSent: the database failed, so there is no token to send anything with.
            Exception: the error of `fetch`.
        """
        # No read for each push: a token that another process's new one has killed is refused by
        # Daraja, and comes back here as dead.
        token, expires_at = self._kept
        if token not in (None, dead) and self._is_valid(expires_at):
            return token
        try:
            if (stored := self._stored(dead)) is not None:
                return stored
            with self._one_at_a_time:
                while (stored := self._stored(dead)) is None:
                    lease = self._claim(dead)
                    if lease is not None:
                        return self._fetched(fetch, lease)
                    time.sleep(_LOOK_AGAIN)
                return stored
        except SQLAlchemyError as error:
            raise NotSent(
                Reason.SYSTEM_BUSY, f"no token: the database failed ({type(error).__name__})"
            ) from None

    def _stored(self, dead: str | None) -> str | None:
        with self._session() as session:
            row = session.get(DarajaAccess, self._id)
            if row is None or row.token in (None, dead) or not self._is_valid(row.expires_at):
                return None
            self._kept = row.token, row.expires_at
            return row.token

    def _is_valid(self, expires_at: datetime | None) -> bool:
        now = self._now()
        return (
            expires_at is not None
            and now + _EARLY < expires_at <= now + _LONGEST_LIFE + CLOCKS_DIFFER
        )

    def _claim(self, dead: str | None) -> datetime | None:
        """Take the lease and return its end; None: it is taken, or a new token has just come."""
        now = self._now()
        free = _is_free(DarajaAccess.fetching_until, now, _LEASE)
        unusable = or_(
            DarajaAccess.token.is_(None),
            DarajaAccess.token == dead,
            DarajaAccess.expires_at <= now + _EARLY,
            DarajaAccess.expires_at > now + _LONGEST_LIFE + CLOCKS_DIFFER,
        )
        claim = (
            update(DarajaAccess)
            .where(DarajaAccess.id == self._id, free, unusable)
            .values(fetching_until=now + _LEASE)
            .returning(DarajaAccess.fetching_until)
        )
        with self._session() as session:
            _make_row(session, self._id)
            with writing(session):
                return session.scalars(claim).one_or_none()

    def _fetched(self, fetch: Callable[[], AccessToken], lease: datetime) -> str:
        try:
            fresh = fetch()
        except BaseException:
            counters.count("token_fetches", outcome="failed")
            self._give_back(lease)
            raise
        counters.count("token_fetches", outcome="fetched")
        expires_at = self._now() + min(timedelta(seconds=fresh.expires_in), _LONGEST_LIFE)
        self._give_back(lease, token=fresh.value, expires_at=expires_at)
        self._kept = fresh.value, expires_at
        return fresh.value

    def _give_back(self, lease: datetime, **values: object) -> None:
        """Write and give the lease back; a lease that ran out is another process's by now."""
        still_ours = (DarajaAccess.id == self._id, DarajaAccess.fetching_until == lease)
        with self._session() as session, writing(session):
            session.execute(
                update(DarajaAccess).where(*still_ours).values(fetching_until=None, **values)
            )


class QueryBudget:
    """The number of questions that Daraja may be asked, by all workers together.

    Queries are spaced evenly, as the sandbox allows them: five a minute with a burst of one.

    Args:
        session: as for `DatabaseToken`; the two share a row.
        key: likewise.
        now: aware UTC.
        rate: the queries allowed.

    Attributes:
        pause: the time from one query to the next.
    """

    def __init__(
        self, session: Callable[[], Session], key: str, now: Callable[[], datetime], rate: Rate
    ) -> None:
        self._session = session
        self._id = hash_token(key)
        self._now = now
        self.pause = timedelta(seconds=rate.seconds / rate.count)

    def take(self) -> bool:
        """Take the next place, if it is free; returns whether a query may be sent now."""
        now = self._now()
        free = _is_free(DarajaAccess.next_query_at, now, self.pause)
        take = (
            update(DarajaAccess)
            .where(DarajaAccess.id == self._id, free)
            .values(next_query_at=now + self.pause)
            .returning(DarajaAccess.id)
        )
        with self._session() as session:
            _make_row(session, self._id)
            with writing(session):
                return session.scalars(take).one_or_none() is not None

    def wait(self) -> timedelta:
        """The time until the next query may be sent; zero where one may be sent now."""
        read = select(DarajaAccess.next_query_at).where(DarajaAccess.id == self._id)
        with self._session() as session:
            next_at, now = session.scalars(read).one_or_none(), self._now()
        if next_at is None or not now < next_at <= now + self.pause + CLOCKS_DIFFER:
            return timedelta(0)
        return next_at - now


def _is_free(
    until: InstrumentedAttribute[datetime | None], now: datetime, longest: timedelta
) -> ColumnElement[bool]:
    """Whether a row's reservation is over, or was made before the clock stepped back.

    Args:
        longest: the longest time for which a reservation is made.
    """
    return or_(until.is_(None), until <= now, until > now + longest + CLOCKS_DIFFER)


def _make_row(session: Session, row_id: str) -> None:
    if session.scalars(select(DarajaAccess.id).where(DarajaAccess.id == row_id)).first():
        return
    try:
        with writing(session):
            session.add(DarajaAccess(id=row_id))
    except IntegrityError:
        pass  # another process made it at the same moment


@dataclass(frozen=True)
class Access:
    """The way to Daraja.

    Attributes:
        daraja: the client, with the token that all processes share.
        budget: the places for questions that all processes share.
        now: the clock, aware UTC.
        initiators: the API users that ask and give back; None where nothing is asked of them.
    """

    daraja: Daraja
    budget: QueryBudget
    now: Callable[[], datetime]
    initiators: Initiators | None = None

"""Operators of the console: names, passwords, roles, second factors, and logins that end."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mpesa import second_factor
from mpesa.database import writing
from mpesa.domain.roles import Role
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.ids import hash_token, new_id
from mpesa.models import Operator, OperatorSession, StepUp

# OWASP's second choice for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes. On one
# thread, since a worker hashes while its payments wait; it takes about 30 ms.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_NAME = re.compile(r"[a-z0-9][a-z0-9._@-]{0,39}")

# OWASP ASVS 5.0, 6.2.1 demands eight at least, and advises fifteen where there is no second factor.
SHORTEST_PASSWORD = 12
# Everything that a client sends is hashed, so its length is bounded.
LONGEST_PASSWORD = 256
# A working day. The age of the row counts, and not the cookie's.
LOGIN_LASTS = timedelta(hours=12)
# So many wrong tries with password and code within this time, and no more are looked at until it
# is over: 480 a day, of which one in 700 days would meet one of the three codes that count.
WRONG_TRIES = 5
WRONG_TRIES_WITHIN = timedelta(minutes=15)


class NotAccepted(ValueError):
    """A name, a password or a change of role that cannot be; the text says what is expected."""


class NotProven(Exception):
    """An operator did not prove who it is; nothing may be done. One of the three below."""


class WrongPasswordOrCode(NotProven):
    """The password or the code is wrong, or the code was used before; which is told to nobody."""


class NoSecondFactor(NotProven):
    """The password is right, and there is no second factor, or SECRET_KEY is another since."""


@dataclass
class TooManyWrong(NotProven):
    """Too much was wrong lately; all of the operator's logins have ended.

    Attributes:
        seconds: until the next try is looked at.
    """

    seconds: int


@dataclass(frozen=True)
class Person:
    """Somebody who is an operator at this moment."""

    name: str
    role: Role


@dataclass(frozen=True)
class Login:
    """A login that began.

    Attributes:
        token: what the cookie holds; only its hash is stored.
    """

    name: str
    role: Role
    token: str


def clean_name(typed: str) -> str:
    """A name as it is stored and compared: lower case, without spaces around it."""
    return typed.strip().lower()


def add(
    session: Session, typed: str, password: str, now: datetime, role: Role | None = None
) -> bool:
    """Add an operator, or give one a new password, which ends that operator's logins.

    Args:
        typed: the name, as a person typed it.
        now: aware UTC.
        role: None: one who is there keeps theirs; a new one becomes a manager where there is none
            yet, since nobody else could do what takes a manager, and else a viewer, so that nobody
            may do more than was said.

    Returns:
        Whether the name is new.

    Raises:
        NotAccepted: the name or the password cannot be used, or the only manager would be gone.
    """
    name = clean_name(typed)
    if not _NAME.fullmatch(name):
        raise NotAccepted("a name has 1 to 40 of a-z, 0-9, . _ @ - and begins with a letter or 0-9")
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise NotAccepted(f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")
    hashed = _HASHER.hash(password)
    with writing(session):
        managers = _managers(session)
        operator = session.get(Operator, name)
        if operator is None:
            given = role or (Role.VIEWER if managers else Role.MANAGER)
            session.add(Operator(name=name, password_hash=hashed, role=given.value, created_at=now))
        else:
            if role not in (None, Role.MANAGER):
                _keep_a_manager(managers, name)
            operator.password_hash = hashed
            operator.role = (role or Role(operator.role)).value
            _end_logins(session, name)
    return operator is None


def give_role(session: Session, typed: str, role: Role) -> bool:
    """Let an operator do more or less from the next request on; returns whether there is one.

    Raises:
        NotAccepted: it is the only manager, and would be none.
    """
    name = clean_name(typed)
    with writing(session):
        managers = _managers(session)
        if role is not Role.MANAGER:
            _keep_a_manager(managers, name)
        changed = update(Operator).where(Operator.name == name).values(role=role.value)
        return session.scalars(changed.returning(Operator.name)).one_or_none() is not None


def remove(session: Session, typed: str) -> bool:
    """Remove an operator and end all of that operator's logins; returns whether there was one.

    Raises:
        NotAccepted: it is the only manager.
    """
    name = clean_name(typed)
    with writing(session):
        _keep_a_manager(_managers(session), name)
        _end_logins(session, name)
        gone = delete(Operator).where(Operator.name == name).returning(Operator.name)
        return session.scalars(gone).one_or_none() is not None


def find(session: Session, typed: str) -> Person:
    """The operator of a name.

    Raises:
        NoResultFound: there is none.
    """
    found = session.get_one(Operator, clean_name(typed))
    return Person(found.name, Role(found.role))


def exists(session: Session, name: str) -> bool:
    """Whether an operator has that name."""
    if not _NAME.fullmatch(name):
        return False
    return session.get(Operator, name) is not None


def last_address(session: Session, name: str) -> str | None:
    """The address of an operator's last login; None: there was none, or there is no such name."""
    if not _NAME.fullmatch(name):
        return None
    return session.scalars(select(Operator.last_address).where(Operator.name == name)).one_or_none()


def log_in(
    session: Session, typed: str, password: str, address: str, now: datetime
) -> Login | None:
    """Check a password and begin a login.

    Args:
        typed: the name, as a person typed it.
        address: the IP address that asked; kept with the operator.
        now: aware UTC.

    Returns:
        None where the password is wrong, or no operator has that name.
    """
    name = clean_name(typed)
    stored = _hash_of(session, name, password)
    if stored is None:
        return None
    rehashed = _HASHER.hash(password) if _HASHER.check_needs_rehash(stored) else stored
    token = new_id()
    with writing(session):
        seen = {"last_login_at": now, "last_address": address[:64], "password_hash": rehashed}
        same = (Operator.name == name, Operator.password_hash == stored)
        found = session.scalars(
            update(Operator).where(*same).values(**seen).returning(Operator.role)
        ).one_or_none()
        if found is None:
            return None  # removed, or the password was changed, in between
        session.execute(
            delete(OperatorSession).where(OperatorSession.created_at <= now - LOGIN_LASTS)
        )
        session.add(OperatorSession(id=hash_token(token), operator=name, created_at=now))
    return Login(name, Role(found), token)


def recognise(session: Session, typed: str, password: str) -> Person | None:
    """Check a password without beginning a login.

    Returns:
        None where the password is wrong, or no operator has that name.
    """
    name = clean_name(typed)
    stored = _hash_of(session, name, password)
    same = select(Operator.role).where(Operator.name == name, Operator.password_hash == stored)
    role = session.scalars(same).one_or_none() if stored else None
    return Person(name, Role(role)) if role else None


def enrol(session: Session, typed: str, secret_key: str) -> str | None:
    """Give an operator a new second factor instead of any before, and end that operator's logins.

    Args:
        secret_key: SECRET_KEY.

    Returns:
        The secret, which nobody can read again; None where there is no such operator.
    """
    name, secret = clean_name(typed), second_factor.new_secret()
    sealed = second_factor.seal(secret, name, secret_key)
    with writing(session):
        changed = update(Operator).where(Operator.name == name).values(totp_sealed=sealed)
        if session.scalars(changed.returning(Operator.name)).one_or_none() is None:
            return None
        session.execute(delete(StepUp).where(StepUp.operator == name))
        _end_logins(session, name)
    return secret


def step_up(
    session: Session, typed: str, password: str, code: str, now: datetime, *, secret_key: str
) -> None:
    """Have an operator prove once more, with password and code, who asks for what moves money.

    Args:
        code: of the authenticator app, as it was typed.
        now: aware UTC.
        secret_key: SECRET_KEY.

    Raises:
        NotProven: the subclass says why.
    """
    name = clean_name(typed)
    known = select(Operator.totp_sealed).where(Operator.name == name)
    sealed = session.scalars(known).one_or_none() if _NAME.fullmatch(name) else None
    secret = second_factor.unseal(sealed, name, secret_key) if sealed else None
    # Both are looked at whatever comes of the first, so that the time does not tell which is wrong.
    hashed = _hash_of(session, name, password)
    step = second_factor.step_of(secret or second_factor.new_secret(), code, now)
    used = select(StepUp.id).where(StepUp.operator == name, StepUp.step == step)
    refusal: NotProven | None = None
    with writing(session):
        wrong = _wrong_lately(session, name, now)
        if len(wrong) >= WRONG_TRIES:
            refusal = _too_many(wrong, now)
        elif not _is_still(session, name, hashed, sealed):
            refusal = _count_wrong(session, name, wrong, now)
        elif secret is None:
            refusal = NoSecondFactor()
        elif step is None or session.scalar(used) is not None:
            refusal = _count_wrong(session, name, wrong, now)
        else:
            session.add(StepUp(operator=name, at=now, step=step))
    if refusal is not None:
        raise refusal


def who(session: Session, token: str, now: datetime) -> Person | None:
    """The operator whose login this is, with the role of this moment; None: it has ended."""
    lasting = (
        select(Operator.name, Operator.role)
        .join(OperatorSession, OperatorSession.operator == Operator.name)
        .where(
            OperatorSession.id == hash_token(token),
            OperatorSession.created_at > now - LOGIN_LASTS,
        )
    )
    found = session.execute(lasting).one_or_none()
    return Person(found.name, Role(found.role)) if found else None


def put_logins_back(session: Session, now: datetime) -> None:
    """Shorten the logins that would last too long, since the clock was ahead when they began."""
    ahead = OperatorSession.created_at > now + CLOCKS_DIFFER
    found = session.scalars(select(OperatorSession.id).where(ahead).limit(1)).first()
    session.rollback()
    if found is not None:
        with writing(session):
            session.execute(update(OperatorSession).where(ahead).values(created_at=now))


def log_out(session: Session, token: str) -> None:
    """End a login; copies of its cookie open nothing from now on."""
    with writing(session):
        session.execute(delete(OperatorSession).where(OperatorSession.id == hash_token(token)))


def _hash_of(session: Session, name: str, password: str) -> str | None:
    """The stored hash of an operator's password; None where there is no such operator, or another
    password.
    """
    known = select(Operator.password_hash).where(Operator.name == name)
    stored = session.scalars(known).one_or_none() if _NAME.fullmatch(name) else None
    try:
        # An unknown name takes as long as a known one, so that the time does not tell who works
        # here.
        _HASHER.verify(stored or _unknown_name_hash(), password[:LONGEST_PASSWORD])
    except (VerificationError, InvalidHashError):
        return None
    return stored


def _managers(session: Session) -> Sequence[str]:
    """The names of all managers, whose rows are locked: two at once would each leave the other."""
    managers = select(Operator.name).where(Operator.role == Role.MANAGER.value)
    return session.scalars(managers.order_by(Operator.name).with_for_update()).all()


def _keep_a_manager(managers: Sequence[str], name: str) -> None:
    if managers == [name]:
        raise NotAccepted(
            f"{name} is the only manager: make somebody else one first, flask operators role NAME"
            " manager"
        )


def _wrong_lately(session: Session, name: str, now: datetime) -> list[datetime]:
    """When tries of an operator were wrong, the oldest first; the operator's row is locked, so that
    tries of the same moment wait for each other.
    """
    session.execute(select(Operator.name).where(Operator.name == name).with_for_update())
    wrong = (StepUp.operator == name, StepUp.step.is_(None))
    # A time ahead of now was written before the clock stepped back.
    session.execute(update(StepUp).where(*wrong, StepUp.at > now + CLOCKS_DIFFER).values(at=now))
    session.execute(delete(StepUp).where(*wrong, StepUp.at <= now - WRONG_TRIES_WITHIN))
    return list(session.scalars(select(StepUp.at).where(*wrong).order_by(StepUp.at)))


def _too_many(wrong: Sequence[datetime], now: datetime) -> TooManyWrong:
    over = wrong[-WRONG_TRIES] + WRONG_TRIES_WITHIN - now
    return TooManyWrong(max(1, math.ceil(over.total_seconds())))


def _is_still(session: Session, name: str, hashed: str | None, sealed: str | None) -> bool:
    """Whether an operator has the password and the second factor that a try was compared with."""
    of_name = select(Operator.password_hash, Operator.totp_sealed).where(Operator.name == name)
    found = session.execute(of_name).one_or_none()
    return found is not None and tuple(found) == (hashed, sealed)


def _count_wrong(
    session: Session, name: str, before: Sequence[datetime], now: datetime
) -> NotProven:
    """Keep that a try was wrong; the last one that is allowed ends the operator's logins."""
    if session.scalar(select(Operator.name).where(Operator.name == name)) is None:
        return WrongPasswordOrCode()
    session.add(StepUp(operator=name, at=now))
    if len(before) + 1 < WRONG_TRIES:
        return WrongPasswordOrCode()
    _end_logins(session, name)
    return _too_many([*before, now], now)


def _end_logins(session: Session, name: str) -> None:
    session.execute(delete(OperatorSession).where(OperatorSession.operator == name))


@cache
def _unknown_name_hash() -> str:
    return _HASHER.hash(new_id())

"""Operators of the console: their names, passwords and roles, and logins that end."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from mpesa.database import writing
from mpesa.domain.roles import Role
from mpesa.domain.steps import CLOCKS_DIFFER
from mpesa.ids import hash_token, new_id
from mpesa.models import Operator, OperatorSession

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


class NotAccepted(ValueError):
    """A name, a password or a change of role that cannot be; the text says what is expected."""


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


def _end_logins(session: Session, name: str) -> None:
    session.execute(delete(OperatorSession).where(OperatorSession.operator == name))


@cache
def _unknown_name_hash() -> str:
    return _HASHER.hash(new_id())

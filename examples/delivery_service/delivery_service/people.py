"""People who log in to the page: passwords, sessions and their CSRF tokens."""

from __future__ import annotations

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from delivery_service.moves import IS_MOVED
from delivery_service.tables import LoginSession, Person

SHORTEST_PASSWORD: Final = 12  # characters
LONGEST_PASSWORD: Final = 200

_hasher = PasswordHasher()
# Each page looks for its visitor: in one query.
_WITH_TENANT: Final = joinedload(LoginSession.person, innerjoin=True).joinedload(
    Person.tenant, innerjoin=True
)
# Verified when there is no such person, so that the time does not tell.
_NOBODY: Final = _hasher.hash(secrets.token_hex(16))


@dataclass(frozen=True, kw_only=True)
class Visitor:
    """Somebody who is logged in.

    Attributes:
        person_id: Who it is.
        email: How they log in.
        tenant_id: Whose rows they see.
        tenant_name: How the page calls that tenant.
        csrf_token: What their forms must carry.
        is_moved: Whether the database was moved to another one.
    """

    person_id: int
    email: str
    tenant_id: str
    tenant_name: str
    csrf_token: str
    is_moved: bool


def add_person(session: Session, tenant_id: str, email: str, password: str) -> Person:
    """Store somebody who may log in.

    Raises:
        ValueError: The password is too short or too long.
    """
    person = Person(
        tenant_id=tenant_id,
        email=email.casefold(),
        password_hash=_hashed(password),
        created_at=int(time.time()),
    )
    session.add(person)
    return person


def set_password(session: Session, person: Person, password: str) -> None:
    """Give somebody another password, and end their sessions.

    Raises:
        ValueError: The password is too short or too long.
    """
    person.password_hash = _hashed(password)
    session.execute(delete(LoginSession).where(LoginSession.person_id == person.id))


def find_person(session: Session, email: str) -> Person | None:
    """Return who logs in with this address."""
    return session.scalar(select(Person).where(Person.email == email.casefold()))


def check_password(session: Session, email: str, password: str) -> Person | None:
    """Return who has this address and this password. It takes as long if nobody has."""
    person = find_person(session, email)
    try:
        _hasher.verify(_NOBODY if person is None else person.password_hash, password)
    except (VerificationError, InvalidHashError):
        return None
    return person


def log_in(session: Session, person: Person, hours: float) -> str:
    """Begin a session, and return the value of its cookie. Sessions that have ended are deleted."""
    now = int(time.time())
    session.execute(delete(LoginSession).where(LoginSession.expires_at <= now))
    token = secrets.token_urlsafe(32)
    row = LoginSession(
        digest=_digest(token),
        person_id=person.id,
        csrf_token=secrets.token_urlsafe(32),
        created_at=now,
        expires_at=now + int(hours * 3600),
    )
    session.add(row)
    return token


def find_visitor(session: Session, token: str) -> Visitor | None:
    """Return who is logged in with this cookie."""
    query = select(LoginSession, IS_MOVED).where(LoginSession.digest == _digest(token))
    row = session.execute(query.options(_WITH_TENANT)).first()
    if row is None or row[0].expires_at <= time.time():
        return None
    found, is_moved = row
    person = found.person
    return Visitor(
        person_id=person.id,
        email=person.email,
        tenant_id=person.tenant_id,
        tenant_name=person.tenant.name,
        csrf_token=found.csrf_token,
        is_moved=is_moved,
    )


def log_out(session: Session, token: str) -> None:
    """End a session."""
    session.execute(delete(LoginSession).where(LoginSession.digest == _digest(token)))


def _hashed(password: str) -> str:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        msg = f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters"
        raise ValueError(msg)
    return _hasher.hash(password)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()

"""API keys: made once, kept as hashes, limited to scopes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from delivery_service.moves import IS_MOVED
from delivery_service.tables import ApiKey

Scope = Literal[
    "endpoints:read", "endpoints:write", "messages:read", "messages:write", "deliveries:read",
    "deliveries:write",
]  # fmt: skip
SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)

_PREFIX: Final = "dsk"
_HOUR: Final = 3600  # seconds

# Without an object of the row: each request looks for its key.
_FIND: Final = select(
    ApiKey.id,
    ApiKey.tenant_id,
    ApiKey.digest,
    ApiKey.scopes,
    ApiKey.last_used_at,
    ApiKey.revoked_at,
    IS_MOVED,
).where(ApiKey.id == bindparam("id"))


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who calls the API.

    Attributes:
        tenant_id: Whose rows it may see.
        key_id: Its key.
        scopes: What it may do.
        last_used_at: When the key was used, as it was noted last.
        is_moved: Whether the database was moved to another one.
    """

    tenant_id: str
    key_id: str
    scopes: frozenset[str]
    last_used_at: int | None
    is_moved: bool


def create_key(session: Session, tenant_id: str, name: str, scopes: tuple[Scope, ...]) -> str:
    """Store a new key, and return it. It cannot be had again."""
    key_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    row = ApiKey(
        id=key_id,
        tenant_id=tenant_id,
        name=name,
        digest=_digest(secret),
        scopes=" ".join(scopes),
        created_at=int(time.time()),
    )
    session.add(row)
    return f"{_PREFIX}_{key_id}_{secret}"


def find_caller(session: Session, presented: str) -> Caller | None:
    """Return who presents a key, if it is one that is valid."""
    prefix, _, rest = presented.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != _PREFIX or not key_id.isalnum() or not presented.isascii():
        return None
    row = session.execute(_FIND, {"id": key_id}).first()
    # A hash is compared for unknown keys, too, so that the time does not tell them apart.
    expected = row.digest if row is not None else bytes(32)
    is_right = hmac.compare_digest(expected, _digest(secret))
    if row is None or not is_right or row.revoked_at is not None:
        return None
    return Caller(
        tenant_id=row.tenant_id,
        key_id=row.id,
        scopes=frozenset(row.scopes.split()),
        last_used_at=row.last_used_at,
        is_moved=row.is_moved,
    )


def note_use(session: Session, caller: Caller) -> None:
    """Note that a key was used, at most once an hour: SQLite has one writer at a time."""
    now = int(time.time())
    if caller.last_used_at is None or caller.last_used_at < now - _HOUR:
        session.execute(update(ApiKey).where(ApiKey.id == caller.key_id).values(last_used_at=now))


def list_keys(session: Session, tenant_id: str, most: int = 200) -> list[ApiKey]:
    """Return the newest keys of a tenant, those that are valid first."""
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id)
    is_revoked = ApiKey.revoked_at.is_not(None)
    return [
        *session.scalars(
            query.order_by(is_revoked, ApiKey.created_at.desc(), ApiKey.id).limit(most)
        )
    ]


def find_key(session: Session, tenant_id: str, key_id: str) -> ApiKey | None:
    """Return a key of a tenant."""
    if not key_id.isalnum():
        return None
    query = select(ApiKey).where(ApiKey.tenant_id == tenant_id, ApiKey.id == key_id)
    return session.scalar(query)


def revoke_key(session: Session, tenant_id: str, key_id: str) -> bool:
    """Let a key of a tenant be valid no longer; return whether it was."""
    result: Any = session.execute(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.tenant_id == tenant_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=int(time.time()))
    )
    return bool(result.rowcount)


def _digest(secret: str) -> bytes:
    # It has 256 random bits, so a slow hash would make nothing safer.
    return hashlib.sha256(secret.encode()).digest()

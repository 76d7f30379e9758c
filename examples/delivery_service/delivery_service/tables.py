"""The service's own tables. Endpoints, messages and deliveries are the outbox's."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, LargeBinary, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

# Alembic drops and changes constraints by their names.
_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables of the service. Times are whole Unix seconds."""

    metadata = MetaData(naming_convention=_NAMES)


class Tenant(Base):
    """Whose endpoints and messages they are; the outbox knows it by this id."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int] = mapped_column(BigInteger)


class ApiKey(Base):
    """A key of the API. Only the hash of its secret part is kept."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32))
    scopes: Mapped[str] = mapped_column(String(400))
    created_at: Mapped[int] = mapped_column(BigInteger)
    last_used_at: Mapped[int | None] = mapped_column(BigInteger)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger)


class Person(Base):
    """Somebody who may log in to the page of a tenant."""

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    email: Mapped[str] = mapped_column(String(320), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int] = mapped_column(BigInteger)
    tenant: Mapped[Tenant] = relationship()


class LoginSession(Base):
    """Somebody who is logged in. Only the hash of the cookie is kept."""

    __tablename__ = "login_sessions"

    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[int] = mapped_column(BigInteger)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    person: Mapped[Person] = relationship()


class EndpointDescription(Base):
    """What a tenant writes beside an endpoint of the outbox."""

    __tablename__ = "endpoint_descriptions"

    endpoint_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id", ondelete="CASCADE"), index=True)
    description: Mapped[str] = mapped_column(String(200))


class Move(Base):
    """That the database was moved to another one. There is one row at most."""

    __tablename__ = "moves"

    moved_at: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    target: Mapped[str] = mapped_column(Text)

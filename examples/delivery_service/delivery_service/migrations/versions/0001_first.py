"""The first tables of the service."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(32), primary_key=True),
        _tenant("api_keys"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("scopes", sa.String(400), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("last_used_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
    )
    op.create_index("ix_api_keys_tenant_id", "api_keys", ["tenant_id"])
    op.create_table(
        "people",
        sa.Column("id", sa.Integer, primary_key=True),
        _tenant("people"),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("password_hash", sa.String(200), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("email", name="uq_people_email"),
    )
    op.create_index("ix_people_tenant_id", "people", ["tenant_id"])
    op.create_table(
        "login_sessions",
        sa.Column("digest", sa.LargeBinary(32), primary_key=True),
        sa.Column(
            "person_id",
            sa.Integer,
            sa.ForeignKey("people.id", name="fk_login_sessions_person_id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("csrf_token", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_login_sessions_person_id", "login_sessions", ["person_id"])
    op.create_index("ix_login_sessions_expires_at", "login_sessions", ["expires_at"])
    op.create_table(
        "endpoint_descriptions",
        sa.Column("endpoint_id", sa.String(64), primary_key=True),
        _tenant("endpoint_descriptions"),
        sa.Column("description", sa.String(200), nullable=False),
    )
    op.create_index("ix_endpoint_descriptions_tenant_id", "endpoint_descriptions", ["tenant_id"])
    op.create_table(
        "moves",
        sa.Column("moved_at", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("target", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Delete the tables."""
    for name in (
        *("moves", "endpoint_descriptions", "login_sessions", "people", "api_keys", "tenants"),
    ):
        op.drop_table(name)


def _tenant(table: str) -> sa.Column[str]:
    key = sa.ForeignKey("tenants.id", name=f"fk_{table}_tenant_id", ondelete="CASCADE")
    return sa.Column("tenant_id", sa.String(64), key, nullable=False)

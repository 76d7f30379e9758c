"""What Alembic runs: the steps, in the transaction of the connection that it is given."""

from __future__ import annotations

from alembic import context

from delivery_service.tables import Base

connection = context.config.attributes["connection"]


def is_own(name: str | None, kind: str, _parents: object) -> bool:
    """Whether a table is the service's: the outbox looks after its own."""
    return kind != "table" or name in Base.metadata.tables


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    include_name=is_own,
    render_as_batch=True,  # SQLite alters no columns
)
with context.begin_transaction():
    context.run_migrations()

"""Creates and drops the tables of an outbox, for a migration."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from frappe_hooksig.integrations.django._database import (
    DjangoConnection,
    dialect_of,
    identity_of,
)
from frappe_hooksig.outbox._tables import drop, fingerprint_of, migrate


def create_tables(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:  # noqa: ARG001
    """Create the tables, or bring them to the newest version.

    Args:
        apps: The models at this point. Not used.
        schema_editor: The schema editor of the database.
    """
    connection = _adapted(schema_editor.connection)
    if connection is not None:
        migrate(connection, fingerprint_of(identity_of(connection)))


def drop_tables(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:  # noqa: ARG001
    """Drop the tables, with all that they have.

    Args:
        apps: The models at this point. Not used.
        schema_editor: The schema editor of the database.
    """
    connection = _adapted(schema_editor.connection)
    if connection is not None:
        drop(connection)


def _adapted(connection: BaseDatabaseWrapper) -> DjangoConnection | None:
    """Return the connection; None for MySQL and Oracle, where only `DjangoStore` works."""
    dialect = dialect_of(connection)
    return None if dialect is None else DjangoConnection(connection, dialect)

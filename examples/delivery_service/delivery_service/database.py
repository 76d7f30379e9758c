"""Opening the database and the outbox in it, as the settings say."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine, create_engine, event

from delivery_service.formats import FORMATS
from delivery_service.settings import Settings
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.sending import AddressGuard

_DAY = 86_400  # seconds
# How long a request waits for a lock, or for a connection, before it is 503, in seconds.
_PATIENCE = 5


def open_engine(settings: Settings) -> Engine:
    """Return an engine for requests. The outbox has connections of its own."""
    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_pre_ping=True,
        pool_timeout=_PATIENCE,
        hide_parameters=True,  # a log would have them, such as hashes and CSRF tokens
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    else:
        event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE * 1000}")


def _prepare_postgresql(connection: Any, _record: Any) -> None:
    connection.execute(f"SET lock_timeout = {_PATIENCE * 1000}")
    connection.commit()


def open_outbox(settings: Settings, engine: Engine) -> Outbox:
    """Return the outbox. Each process opens its own."""
    return Outbox(
        SQLAlchemyDatabase(engine),
        keys=[each.get_secret_value() for each in settings.keys],
        guard=AddressGuard(settings.allow_addresses),
        timeout=settings.timeout,
        max_payload=settings.max_payload,
        retention=settings.retention_days * _DAY,
        installation=settings.installation,
        formats=FORMATS,
        untrusted_urls=True,  # tenants choose them
    )

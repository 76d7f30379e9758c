"""What PostgreSQL and MariaDB need of every client that uses them for an outbox."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox._database import Connection
from frappe_hooksig.outbox._dialect import MARIADB, Dialect

_T = TypeVar("_T")

# A process that is stopped in the middle of a transaction must not hold its locks for ever.
SESSION: Final = {
    "postgresql": "SET idle_in_transaction_session_timeout = 5000",
    "mariadb": "SET SESSION idle_transaction_timeout = 5, innodb_lock_wait_timeout = 5",
}

_IDENTITY: Final = {
    # A copy of the server's files has the same identifier: then only installation= can tell.
    "postgresql": "SELECT current_database(), system_identifier FROM pg_control_system()",
    "mariadb": "SELECT DATABASE(), @@hostname, @@port, @@datadir",
}

# How often a transaction runs again that another one was in the way of.
_TRIES: Final = 10
# PostgreSQL: serialization failure, deadlock. MariaDB: lock wait timeout, deadlock, and since
# 11.6.2, a row that has changed since the snapshot.
_CONFLICTS: Final = {"40001", "40P01", 1205, 1213, 1020}


def check_server(dialect: Dialect, version: str) -> None:
    """Refuse MySQL, whose SQL lacks what the tables need.

    Args:
        dialect: What SQL it is expected to have.
        version: What `SELECT VERSION()` returns.

    Raises:
        ConfigurationError: It is MySQL.
    """
    if dialect is MARIADB and "mariadb" not in version.lower():
        msg = "an outbox can live in SQLite, PostgreSQL or MariaDB, not in MySQL"
        raise ConfigurationError(msg)


def identity_of(connection: Connection) -> str:
    """Return what a server says of itself, and the name of the database."""
    name = connection.dialect.name
    return f"{name} {connection.rows(_IDENTITY[name])}"


def until_it_wins(action: Callable[[], _T], errors: tuple[type[Exception], ...]) -> _T:
    """Repeat a transaction that the database rolls back in favour of another one.

    Args:
        action: Runs the transaction.
        errors: What the library raises for the driver's error, which is its cause.
    """
    for attempt in range(1, _TRIES):
        try:
            return action()
        except errors as error:
            if not _is_conflict(error.__cause__):
                raise
        time.sleep(0.01 * attempt * random.random())  # noqa: S311
    return action()


def _is_conflict(original: Any) -> bool:
    """Whether a driver's error has a code of PostgreSQL, or a number of MariaDB, of a conflict."""
    code = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    return (code or next(iter(getattr(original, "args", ())), None)) in _CONFLICTS

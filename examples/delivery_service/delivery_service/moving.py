"""Moving the service to another database: its own tables and the outbox's, all or nothing."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from sqlalchemy import Connection, Table, func, insert, select, text

from delivery_service.migrating import check_tables, migrate
from delivery_service.settings import Settings
from delivery_service.state import State
from delivery_service.tables import Base
from frappe_hooksig import ConfigurationError
from frappe_hooksig.integrations.sqlalchemy import copy_outbox

_AT_ONCE: Final = 500  # rows
# Workers on the old database find that it is not theirs, and send nothing.
_MOVED: Final = "moved to another database"


def move(source: Settings, target: Settings) -> dict[str, int]:
    """Copy everything to an empty database, and let nothing be sent from the old one any more.

    Args:
        source: The settings with the database to move.
        target: The settings with the database to move it to.

    Returns:
        How many rows each table has.

    Raises:
        ConfigurationError: The source is not migrated or a worker runs on it, the target is not
            empty, or both are the same database.
    """
    with ExitStack() as opened:
        old, new, moved = (
            State.of(each.model_copy(update={"broker_url": None, **changes}))
            for each, changes in (
                (source, {}),
                (target, {}),
                (source, {"installation": _MOVED}),
            )
        )
        for each in (old, new, moved):
            opened.callback(each.close)
        check_tables(old.engine, old.outbox)
        migrate(new.engine, new.outbox)
        with old.engine.connect() as reading, new.engine.begin() as writing:
            if reading.dialect.name == "postgresql":
                reading.execution_options(isolation_level="REPEATABLE READ")
            # It comes first, because it begins the transactions as they have to be.
            counts = copy_outbox(reading, writing, installation=target.installation)
            for table in Base.metadata.sorted_tables:
                counts[table.name] = _copy(reading, writing, table)
        moved.outbox.confirm()
    return counts


def _copy(reading: Connection, writing: Connection, table: Table) -> int:
    """Copy the rows of a table, and return how many there are."""
    if writing.scalar(select(func.count()).select_from(table)):
        msg = f"target= has {table.name} already: move into an empty database"
        raise ConfigurationError(msg)
    count = 0
    for rows in reading.execute(select(table)).mappings().partitions(_AT_ONCE):
        writing.execute(insert(table), [dict(each) for each in rows])
        count += len(rows)
    if table.name == "people" and writing.dialect.name == "postgresql":
        # The number of the next person is the one after the last.
        last = "SELECT setval(pg_get_serial_sequence('people', 'id'), max(id)) FROM people"
        writing.execute(text(last))
    return count

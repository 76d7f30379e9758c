"""Moving the service to another database: its own tables and the outbox's, all or nothing."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, Table, Transaction, func, insert, inspect, select, text
from sqlalchemy.exc import OperationalError

from delivery_service.migrating import check_tables, migrate
from delivery_service.moves import check_not_moved, mark
from delivery_service.settings import Settings
from delivery_service.state import State
from delivery_service.tables import Base, Move
from frappe_hooksig import ConfigurationError
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase, copy_outbox
from frappe_hooksig.outbox import Outbox

_AT_ONCE: Final = 500  # rows
_TRIES: Final = 3  # to lock the tables
# Workers on the old database find that it is not theirs, and send nothing.
_MOVED: Final = "moved to another database"
#: What is copied of the service's own tables. A mark says something of one database only.
COPIED: Final = [each for each in Base.metadata.sorted_tables if each.name != Move.__tablename__]


def check_source(source: Settings) -> None:
    """Refuse a database that cannot be moved.

    Raises:
        ConfigurationError: It is not migrated, or was moved before.
    """
    with closing(_opened(source)) as old:
        check_tables(old.engine, old.outbox)


def prepare_target(target: Settings) -> None:
    """Create the tables.

    Raises:
        ConfigurationError: It was itself moved to another database.
    """
    with closing(_opened(target)) as new:
        migrate(new.engine, new.outbox)
        check_tables(new.engine, new.outbox)


def move(source: Settings, target: Settings) -> dict[str, int]:
    """Copy everything to an empty database, and let nothing be written to the old one any more.

    Nobody can write to the old one meanwhile. It is marked in the same transaction, so whoever
    waited for that finds the mark.

    Args:
        source: The settings with the database to move, after `check_source()`.
        target: The settings with the database to move it to, after `prepare_target()`.

    Returns:
        How many rows each table has.

    Raises:
        ConfigurationError: A worker runs on the source, or it is in use; the target is not empty,
            or both are the same database. Then nothing is changed.
    """
    with closing(_opened(source)) as old, closing(_opened(target)) as new:
        _tell_apart([old.engine, new.engine])
        with (
            _locked(old.engine) as reading,  # it is committed last
            new.engine.begin() as writing,
        ):
            return _moved(old.engine, reading, writing, target)


def _moved(
    engine: Engine, reading: Connection, writing: Connection, target: Settings
) -> dict[str, int]:
    check_not_moved(reading)  # another one may have been first
    counts = copy_outbox(reading, writing, installation=target.installation)
    for table in COPIED:
        counts[table.name] = _copy(reading, writing, table)
    mark(reading, target, int(time.time()))
    Outbox(SQLAlchemyDatabase(engine), installation=_MOVED).confirm(reading)
    return counts


def _opened(settings: Settings) -> State:
    return State.of(settings.model_copy(update={"broker_url": None}))


def _tell_apart(several: Sequence[Engine]) -> None:
    """Refuse one file of SQLite under two names: it would wait for itself."""
    names = [each.url.database for each in several if each.dialect.name == "sqlite"]
    paths = {Path(str(each)).resolve() for each in names}
    if len(paths) < len(names):
        msg = "source= and target= are the same database"
        raise ConfigurationError(msg)


@contextmanager
def _locked(engine: Engine) -> Generator[Connection]:
    """Keep out everybody else who writes, until the block ends."""
    with engine.connect() as connection:
        is_server = connection.dialect.name == "postgresql"
        if is_server:
            connection.execution_options(isolation_level="REPEATABLE READ")
        with _begun(connection, _locks(engine) if is_server else ["BEGIN IMMEDIATE"]):
            yield connection


def _begun(connection: Connection, locks: Sequence[str]) -> Transaction:
    """Begin a transaction with locks. If it has a deadlock with another one, begin again."""
    for _ in range(_TRIES):
        transaction = connection.begin()
        try:
            for statement in locks:
                connection.exec_driver_sql(statement)
        except OperationalError as error:
            transaction.rollback()
            if "deadlock" not in str(error.orig):  # it has waited long enough
                break
        else:
            return transaction
    msg = "source= is in use: stop the service and its workers, and move it then"
    raise ConfigurationError(msg)


def _locks(engine: Engine) -> list[str]:
    """Return what locks the tables of PostgreSQL. It comes before what they have is seen."""
    outbox = {each for each in inspect(engine).get_table_names() if each.startswith("hooksig_")}
    tables = sorted(outbox | Base.metadata.tables.keys())
    return [
        "LOCK TABLE hooksig_messages IN SHARE ROW EXCLUSIVE MODE",  # first, as whoever publishes
        f"LOCK TABLE {', '.join(tables)} IN SHARE ROW EXCLUSIVE MODE",
        # A worker that starts meanwhile reads it first: it has to wait, and find that it is not
        # its own any more.
        "LOCK TABLE hooksig_installation IN ACCESS EXCLUSIVE MODE",
    ]


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

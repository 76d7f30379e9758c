"""Copying an outbox to another database, of whatever kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox._database import Connection, time_of
from frappe_hooksig.outbox._dialect import POSTGRESQL, SQLITE
from frappe_hooksig.outbox._processes import LEASE
from frappe_hooksig.outbox._servers import identity_of
from frappe_hooksig.outbox._sqlite import identity_of_file
from frappe_hooksig.outbox._states import DeliveryState
from frappe_hooksig.outbox._tables import check_tables, confirm, fingerprint_of

_AT_ONCE: Final = 500  # rows
_SIZE: Final = 8 * 1024 * 1024  # bytes of payloads at once, unless one payload alone has more


@dataclass(frozen=True, kw_only=True, slots=True)
class _Table:
    """A table that is copied.

    Attributes:
        name: Its name without `hooksig_`.
        key: The columns of its primary key, at most two.
        others: Its other columns.
        size: The column with the size of a row; None if rows are small.
        at_once: How many rows are read at once.
        is_numbered: Whether the database itself numbers new rows, in the key.
    """

    name: str
    key: tuple[str, ...]
    others: tuple[str, ...]
    size: str | None = None
    at_once: int = _AT_ONCE
    is_numbered: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are copied."""
        return (*self.key, *self.others)


# What a delivery has of the process that has claimed it is not copied.
TABLES: Final = (
    _Table(
        name="endpoints",
        key=("id",),
        others=(
            *("tenant", "url", "method", "scheme", "format", "secrets", "headers", "event_types"),
            *("is_ordered", "hold_ms", "concurrency", "rate", "schedule", "state", "reason"),
            *("message", "created_at", "revision", "stopped_at", "failing_since", "failures"),
            *("open_until", "ramp", "rate_at"),
        ),
    ),
    _Table(
        name="messages",
        key=("seq",),
        others=(
            *("id", "tenant", "event_type", "lane", "idempotency_key", "payload", "payload_hash"),
            *("is_json", "size", "created_at", "is_routed"),
        ),
        size="size",
        is_numbered=True,
    ),
    _Table(
        name="lanes",
        key=("endpoint", "lane"),
        others=("pending", "last_number"),
        at_once=5000,
    ),
    _Table(
        name="deliveries",
        key=("id",),
        others=(
            *("message", "endpoint", "tenant", "sent_as", "new_id", "state", "due_at", "set_at"),
            *("size", "attempts", "tries", "lost", "lane", "number", "hold_until", "is_set_aside"),
            *("created_at", "ended_at", "status", "reason", "problem"),
        ),
        is_numbered=True,
    ),
    _Table(
        name="attempts",
        key=("delivery", "number"),
        others=(
            *("endpoint", "started_at", "took_ms", "outcome", "status", "reason", "problem"),
            *("answer", "address"),
        ),
    ),
)


def check_source(source: Connection, target: Connection) -> None:
    """Refuse a source that cannot be copied, before anything is done to the target.

    Raises:
        ConfigurationError: It has no tables of this release, it is the target itself, or a worker
            sends what it has.
    """
    check_tables(source)
    if _place_of(source) == _place_of(target):
        msg = "source= and target= are the same database"
        raise ConfigurationError(msg)
    now = time_of(source)
    beats = source.rows("SELECT beat_at FROM hooksig_processes")
    if any(abs(now - beat_at) < LEASE * 1000 for (beat_at,) in beats):
        msg = (
            "a worker sends what source= has, and the copy would be sent, too: stop all workers "
            f"and the app first. One that was killed counts for {LEASE:g} seconds"
        )
        raise ConfigurationError(msg)


def copy(
    source: Connection,
    target: Connection,
    *,
    installation: str | None,
    progress: Callable[[int], object] | None,
) -> dict[str, int]:
    """Copy all rows, after `check_source()`.

    Args:
        source: A connection that sees one state of the database all the time.
        target: A connection in a transaction.
        installation: The name of the installation that the target is; None for its own identity.
        progress: Gets the number of rows so far, now and then.

    Returns:
        How many rows each table has.

    Raises:
        ConfigurationError: The target has no tables of this release, or they are not empty.
    """
    check_tables(target)
    for table in TABLES:
        if target.rows(f"SELECT 1 FROM hooksig_{table.name} LIMIT 1"):  # noqa: S608
            msg = f"target= has {table.name} already: copy an outbox to an empty one"
            raise ConfigurationError(msg)
    counts = dict.fromkeys((each.name for each in TABLES), 0)
    for table in TABLES:
        names = ", ".join(table.columns)
        values = ", ".join(f":{each}" for each in table.columns)
        insert = f"INSERT INTO hooksig_{table.name} ({names}) VALUES ({values})"  # noqa: S608
        for rows in _pages(source, table):
            target.change_each(insert, rows)
            counts[table.name] += len(rows)
            if progress is not None:
                progress(sum(counts.values()))
        if table.is_numbered and counts[table.name] and target.dialect is POSTGRESQL:
            _continue_numbers(target, table)
    target.change(
        "UPDATE hooksig_deliveries SET state = :due WHERE state = :claimed",
        {"due": int(DeliveryState.DUE), "claimed": int(DeliveryState.CLAIMED)},
    )
    confirm(target, fingerprint(target, installation))
    return counts


def fingerprint(connection: Connection, installation: str | None) -> str:
    """Return the fingerprint of a database, or of an installation with a name."""
    if installation is not None:
        return fingerprint_of(installation, is_named=True)
    return fingerprint_of(_identity_of(connection))


def _identity_of(connection: Connection) -> str:
    is_file = connection.dialect is SQLITE
    return identity_of_file(connection) if is_file else identity_of(connection)


def _place_of(connection: Connection) -> tuple[str, str]:
    """Return what only this database has, and the schema of it."""
    schema = ""
    if connection.dialect is POSTGRESQL:
        schema = str(connection.rows("SELECT current_schema()")[0][0])
    return _identity_of(connection), schema


def _pages(source: Connection, table: _Table) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Return the rows of a table, some at a time, in the order of its key."""
    where = ""
    last: dict[str, Any] = {}
    order = ", ".join(table.key)
    while True:
        tail = f"FROM hooksig_{table.name} {where} ORDER BY {order} LIMIT :limit"
        limit = table.at_once
        if table.size is not None:
            query = f"SELECT {table.size} {tail}"
            limit = _fitting([size for (size,) in source.rows(query, {**last, "limit": limit})])
        query = f"SELECT {', '.join(table.columns)} {tail}"
        found = source.rows(query, {**last, "limit": limit}) if limit else []
        if not found:
            return
        rows = [dict(zip(table.columns, map(_plain, each), strict=True)) for each in found]
        last = {each: rows[-1][each] for each in table.key}
        where = _AFTER[len(table.key)].format(*table.key)
        yield rows


# The first condition, which the second one contains, lets all databases use the index.
_AFTER: Final = {
    1: "WHERE {0} > :{0}",
    2: "WHERE {0} >= :{0} AND ({0} > :{0} OR {1} > :{1})",
}


def _fitting(sizes: Sequence[int]) -> int:
    """Return how many of the first rows are read at once: at least one, if there is one.

    >>> _fitting([1, 2, 9_000_000]), _fitting([9_000_000, 1]), _fitting([])
    (2, 1, 0)
    """
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > _SIZE:
            return max(1, count)
    return len(sizes)


def _plain(value: Any) -> Any:
    """Return a value that each driver takes: psycopg2 reads bytes as a memoryview."""
    return value.tobytes() if isinstance(value, memoryview) else value


def _continue_numbers(target: Connection, table: _Table) -> None:
    """Let PostgreSQL number new rows after those that were copied. Other databases do it anyway."""
    (column,) = table.key
    target.rows(
        f"SELECT setval(pg_get_serial_sequence('hooksig_{table.name}', '{column}'), "  # noqa: S608
        f"(SELECT max({column}) FROM hooksig_{table.name}))"
    )

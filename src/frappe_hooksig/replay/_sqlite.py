"""A store in a SQLite file: for all processes of one host."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay._protocol import State

# With each so many claims, so many expired ones are forgotten: more of these, so that none are
# left over.
_EVERY = 16
_AT_ONCE = 64

_CREATE = """\
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT PRIMARY KEY, token TEXT, ends REAL NOT NULL
) WITHOUT ROWID"""
_INDEX = "CREATE INDEX IF NOT EXISTS deliveries_ends ON deliveries (ends)"
# Without a token it was handled.
_CLAIM = """\
INSERT INTO deliveries (key, token, ends) VALUES (:key, :token, :end)
ON CONFLICT (key) DO UPDATE SET token = excluded.token, ends = excluded.ends WHERE ends <= :now"""
_LOOK = "SELECT token FROM deliveries WHERE key = :key AND ends > :now"
_CHANGE = """\
UPDATE deliveries SET token = :to, ends = :end
WHERE key = :key AND token = :token AND ends > :now"""
_RELEASE = "DELETE FROM deliveries WHERE key = :key AND token = :token AND ends > :now"
_FORGET = """\
DELETE FROM deliveries WHERE key IN (
    SELECT key FROM deliveries WHERE ends <= :now ORDER BY ends LIMIT :limit
)"""

_FULL = "database or disk is full"
_LOCKED = "database is locked"
_LOOKS_EVERY = 0.01  # seconds
_UNBOUNDED = 1_073_741_823  # pages: what every SQLite takes


class _Connection(sqlite3.Connection):
    """One that is closed when its thread has ended, by whichever thread collects it."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # one that could not be opened
            self.close()


class SQLiteStore:
    """Remembers deliveries in a file, for all threads and processes that use it.

    The file is created if it is not there, and two more beside it (`-wal`, `-shm`). So the folder
    has to be writable, and on a local disk: SQLite's locks do not work on network drives. What was
    written survives a crash of the machine.

    Args:
        path: The file.
        timeout: How many seconds to wait for another process that is writing.
        max_bytes: How large the file may become. A full store refuses new deliveries, and forgets
            none early. By default as large as the disk.
        clock: Returns now, in Unix seconds. It has to go on after a restart of the machine.

    Raises:
        ConfigurationError: The path is not that of a file: `":memory:"`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: float = 1,
        max_bytes: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if os.fspath(path) in {":memory:", ""}:
            msg = "each thread would have a store of its own: take a file, or MemoryStore()"
            raise ConfigurationError(msg)
        self._path = Path(path).absolute()  # wherever a thread that comes later is working
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._clock = clock
        self._claims = count(1)
        self._local = threading.local()

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The file is locked, full, or cannot be written.
        """
        with self._connected() as connection:
            now = self._clock()
            values = {"key": key, "token": token, "end": now + lease, "now": now}
            while (claimed := _if_there_is_room(connection, _CLAIM, values)) is None:
                # No claim succeeds that could forget some, so that it would be full for ever.
                if not connection.execute(_FORGET, {"now": now, "limit": _AT_ONCE}).rowcount:
                    raise sqlite3.OperationalError(_FULL)
            if not claimed:
                # None if it was released in the meantime, which the next look will find.
                found = connection.execute(_LOOK, values).fetchone()
                return State.DONE if found == (None,) else State.IN_FLIGHT
            if next(self._claims) % _EVERY == 0:
                connection.execute(_FORGET, {"now": now, "limit": _AT_ONCE})
            return State.NEW

    def renew(self, key: str, token: str, lease: float) -> bool:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._change(_CHANGE, key, token, token, lease)

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._change(_CHANGE, key, token, None, retention)

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return self._change(_RELEASE, key, token, None, 0)

    def _change(self, statement: str, key: str, token: str, to: str | None, seconds: float) -> bool:
        now = self._clock()
        values = {"key": key, "token": token, "to": to, "end": now + seconds, "now": now}
        with self._connected() as connection:
            changed = _if_there_is_room(connection, statement, values)
            if changed is None:
                # The bound is for new deliveries: what was claimed is to be remembered.
                connection.execute(f"PRAGMA max_page_count = {_UNBOUNDED}")
                try:
                    changed = connection.execute(statement, values).rowcount
                finally:
                    self._bound(connection)
            return bool(changed)

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        try:
            yield self._connection()
        except sqlite3.Error as error:
            msg = f"the store {self._path}: {error}"
            raise StoreError(msg) from error

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection: one cannot be taken along into a forked process."""
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            return held[1]
        connection = sqlite3.connect(
            self._path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,  # closing is done by any
            factory=_Connection,
        )
        try:
            self._write_ahead(connection)
            connection.execute(_CREATE)
            connection.execute(_INDEX)
            self._bound(connection)
        except BaseException:
            connection.close()
            raise
        self._local.held = (os.getpid(), connection)
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Turn write-ahead logging on, which a file keeps; SQLite does not wait for that itself."""
        deadline = time.monotonic() + self._timeout
        while not _has_wal(connection):
            if time.monotonic() > deadline:
                raise sqlite3.OperationalError(_LOCKED)
            time.sleep(_LOOKS_EVERY)

    def _bound(self, connection: sqlite3.Connection) -> None:
        if self._max_bytes is not None:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            # Not 0, which would ask for the bound and not set it.
            connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // size)}")


def _has_wal(connection: sqlite3.Connection) -> bool:
    """Turn write-ahead logging on; return whether nobody was in the way."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if str(error) != _LOCKED:
            raise
        return False
    return True


def _if_there_is_room(
    connection: sqlite3.Connection, statement: str, values: Mapping[str, object]
) -> int | None:
    """Return how many rows a statement has changed, or None if the file or the disk is full."""
    try:
        return connection.execute(statement, values).rowcount
    except sqlite3.OperationalError as error:
        if str(error) != _FULL:  # Python 3.10 has no code of it
            raise
        return None

"""A store in a SQLite file: for all processes of one host."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay._protocol import State

# Every 16th claim deletes up to 64 expired rows: more than were added, so that none pile up.
_EVERY = 16
_AT_ONCE = 64

_CREATE = """\
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT PRIMARY KEY, token TEXT, ends REAL NOT NULL
) WITHOUT ROWID"""
_INDEX = "CREATE INDEX IF NOT EXISTS deliveries_ends ON deliveries (ends)"
# A row without a token is a handled delivery.
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
_UNBOUNDED = 1_073_741_823  # pages: a limit that every version of SQLite accepts


class _Connection(sqlite3.Connection):
    """A connection that is closed, by any thread, when it is garbage-collected."""

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # it was never opened
            self.close()


class SQLiteStore:
    """Remembers deliveries in a file, for all threads and processes that use it.

    The file is created if it does not exist, with two more beside it (`-wal`, `-shm`), so the
    folder must be writable. It must be on a local disk, because SQLite's locks do not work on
    network drives. Written data survives a crash, even of the machine.

    Args:
        path: The file.
        timeout: Seconds to wait while another process writes.
        max_bytes: Largest size of the file. A full store refuses new deliveries, and never forgets
            one early. By default only the disk limits it.
        clock: Returns the current time, in Unix seconds. A monotonic clock is wrong here, because
            it starts again when the machine restarts.

    Raises:
        ConfigurationError: `path` is not a file, such as `":memory:"`.
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
            msg = "path= must be a file, which all threads share: pass a file, or use MemoryStore()"
            raise ConfigurationError(msg)
        self._path = Path(path).absolute()  # the working directory may change
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
                # Delete expired rows now: while the file is full, no successful claim does it.
                if not connection.execute(_FORGET, {"now": now, "limit": _AT_ONCE}).rowcount:
                    raise sqlite3.OperationalError(_FULL)
            if not claimed:
                # `found` is None if the claim was just released. The caller claims again soon.
                found = connection.execute(_LOOK, values).fetchone()
                return State.DONE if found == (None,) else State.IN_FLIGHT
            if next(self._claims) % _EVERY == 0:
                connection.execute(_FORGET, {"now": now, "limit": _AT_ONCE})
            return State.NEW

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`.
        """
        return [self._change(_CHANGE, key, token, token, lease) for key, token in claims]

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
                # The limit is for new deliveries. A claimed delivery must still be recorded.
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
            msg = f"the store {self._path} failed: {error}"
            raise StoreError(msg) from error

    def _connection(self) -> sqlite3.Connection:
        """Return this thread's connection. A forked process must not use its parent's."""
        held: tuple[int, sqlite3.Connection] | None = getattr(self._local, "held", None)
        if held is not None and held[0] == os.getpid():
            return held[1]
        connection = sqlite3.connect(
            self._path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,  # any thread may close it
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
        """Turn on write-ahead logging for the file. SQLite itself does not wait for its lock."""
        deadline = time.monotonic() + self._timeout
        while not _has_wal(connection):
            if time.monotonic() > deadline:
                raise sqlite3.OperationalError(_LOCKED)
            time.sleep(_LOOKS_EVERY)

    def _bound(self, connection: sqlite3.Connection) -> None:
        if self._max_bytes is not None:
            (size,) = connection.execute("PRAGMA page_size").fetchone()
            # At least 1, because 0 would read the limit instead of setting it.
            connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // size)}")


def _has_wal(connection: sqlite3.Connection) -> bool:
    """Turn on write-ahead logging; return False if the file is locked."""
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
    """Return how many rows a statement changed, or None if the file or the disk is full."""
    try:
        return connection.execute(statement, values).rowcount
    except sqlite3.OperationalError as error:
        if str(error) != _FULL:  # Python 3.10 has no error code for it
            raise
        return None

"""A store in a SQLite file: for all processes of one host."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import cache, partial
from itertools import count
from pathlib import Path
from weakref import WeakSet

from frappe_hooksig._self_closing import SelfClosingConnection
from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay._protocol import State

# Every 16th claim deletes up to 64 expired rows: more than were added, so that none pile up.
_EVERY = 16
_AT_ONCE = 64

_CREATE = """\
CREATE TABLE IF NOT EXISTS deliveries (
    key TEXT PRIMARY KEY, token TEXT, ends REAL NOT NULL, duration REAL NOT NULL
) WITHOUT ROWID"""
_INDEX = "CREATE INDEX IF NOT EXISTS deliveries_ends ON deliveries (ends)"
# A row without a token is a handled delivery. Its duration is the lease of the claim, or the
# retention. Unless the clock was put back, no row ends later than its duration from now.
_CLAIM = """\
INSERT INTO deliveries (key, token, ends, duration) VALUES (:key, :token, :end, :duration)
ON CONFLICT (key) DO UPDATE
SET token = excluded.token, ends = excluded.ends, duration = excluded.duration
WHERE ends <= :now"""
_LOOK = "SELECT token, ends > :now + duration FROM deliveries WHERE key = :key AND ends > :now"
_BRING_IN = """\
UPDATE deliveries SET ends = :now + duration WHERE key = :key AND ends > :now + duration"""
_CHANGE = """\
UPDATE deliveries SET token = :to, ends = :end, duration = :duration
WHERE key = :key AND token = :token AND ends > :now"""
_RELEASE = "DELETE FROM deliveries WHERE key = :key AND token = :token AND ends > :now"
_FORGET = """\
DELETE FROM deliveries WHERE key IN (
    SELECT key FROM deliveries WHERE ends <= :now ORDER BY ends LIMIT :limit
)"""

_FULL = "database or disk is full"
# Python 3.10 has no error codes. SQLite reports an exceeded quota as an I/O error.
_OUT_OF_SPACE = {_FULL, "disk I/O error"}
_LOCKED = "database is locked"
_LOOKS_EVERY = 0.01  # seconds
_NO_MORE = object()
_MOMENT = 1e-6  # seconds
_UNBOUNDED = 1_073_741_823  # pages: a limit that every version of SQLite accepts


# The size of the spare file, and what it gives up at once, in bytes.
_SPARE = 128 * 1024
_PIECE = 16 * 1024
# Where there are symbolic links and pipes, neither is followed or waited for.
_APPEND = (
    os.O_WRONLY
    | os.O_APPEND
    | os.O_CREAT
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)

# A fork copies SQLite's table of the locks that the process holds, and the child believes that it
# holds them, too. So no connection may be open at a fork: calls that are running end first, and
# new ones wait. There are no locks here, because a child, or gevent's hub, could wait for them for
# ever: a call is added before it looks for forks, and a fork before it looks for calls.
_forks: list[object] = []
_calls: set[object] = set()
_pools: WeakSet[_Pool] = WeakSet()
_users: set[int] = set()  # the process that has connections
_WAIT = 5  # seconds
_FORKED = "this process was forked while its parent used a SQLiteStore: fork before the first use"
_FORKING = "the process is being forked"


class _Pool:
    """The connections of a store that no thread uses."""

    def __init__(self) -> None:
        self.idle: list[SelfClosingConnection] = []

    def close(self) -> None:
        while self.idle:
            self.idle.pop().close()

    __del__ = close  # connections are in cycles, which Python collects later


class SQLiteStore:
    """Remembers deliveries in a file, for all threads and processes that use it.

    The file is created if it does not exist, with three more beside it (`-wal`, `-shm`, `-spare`),
    so the folder must be writable. It must be on a local disk, because SQLite's locks do not work
    on network drives. Written data survives a crash, even of the machine.

    A full disk refuses new deliveries. Claimed ones can still be completed: the store then gives up
    the space of its spare file, 128 KiB, and refuses new deliveries until it has it back.

    If the clock is put back, a claim still ends no later than its lease after the next attempt. If
    the clock is put forward, claims end early.

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
        self._spare = f"{self._path}-spare"
        self._timeout = timeout
        self._max_bytes = max_bytes
        self._clock = clock
        self._claims = count(1)
        # Connections of threads would be mixed up if gevent patched threads meanwhile.
        self._pool = _Pool()

    def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`.

        Raises:
            StoreError: The file is locked, full, or cannot be written.
        """
        with self._connected() as connection:
            self._restore_spare()
            now = self._clock()
            values = {"key": key, "token": token, "end": now + lease, "now": now, "duration": lease}
            steps = self._make_room(connection, now)
            while True:
                try:
                    is_new = connection.execute(_CLAIM, values).rowcount
                    break
                except sqlite3.OperationalError as error:
                    if not _is_out_of_space(error) or next(steps, _NO_MORE) is _NO_MORE:
                        raise
            if is_new:
                if next(self._claims) % _EVERY == 0:
                    _forget(connection, now)
                return State.NEW
            # There is no row if the claim was just released. The caller claims again soon.
            found, is_too_long = connection.execute(_LOOK, values).fetchone() or ("", False)
            if is_too_long:
                with suppress(sqlite3.OperationalError):  # the next attempt tries again
                    connection.execute(_BRING_IN, values)
            return State.DONE if found is None else State.IN_FLIGHT

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> list[bool]:
        """See `Store.renew()`.

        Raises:
            StoreError: As for `claim()`, except that a full disk is no error.
        """
        return self._change(_CHANGE, [(key, token, token) for key, token in claims], lease)

    def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`.

        Raises:
            StoreError: As for `renew()`.
        """
        return self._change(_CHANGE, [(key, token, None)], retention)[0]

    def release(self, key: str, token: str) -> bool:
        """See `Store.release()`.

        Raises:
            StoreError: As for `renew()`.
        """
        return self._change(_RELEASE, [(key, token, None)], 0)[0]

    def _change(
        self, statement: str, claims: Sequence[tuple[str, str, str | None]], seconds: float
    ) -> list[bool]:
        """Change the rows of claims in one transaction; return which were still running."""
        now = self._clock()
        same = {"now": now, "duration": seconds}
        # Each row ends a moment before the next one, so that the index of ends grows at its end. In
        # the middle, it would leave pages half empty, for which a full disk has no room.
        rows = [
            {"key": key, "token": token, "to": to, "end": now + seconds - _MOMENT * left, **same}
            for left, (key, token, to) in zip(reversed(range(len(claims))), claims, strict=True)
        ]
        with self._connected() as connection:
            try:
                with _transaction(connection) if len(rows) > 1 else nullcontext():
                    return [bool(_write(connection, statement, row)) for row in rows]
            except sqlite3.OperationalError as error:
                if not _is_out_of_space(error):
                    raise
            # The limit is for new deliveries. A claimed delivery must still be recorded.
            connection.execute(f"PRAGMA max_page_count = {_UNBOUNDED}")
            try:
                return [
                    bool(self._squeezed(connection, partial(_write, connection, statement, row)))
                    for row in rows
                ]
            finally:
                self._bound(connection)

    @contextmanager
    def _connected(self) -> Generator[sqlite3.Connection]:
        try:
            with _call():
                try:
                    connection = self._pool.idle.pop()
                except IndexError:
                    connection = self._opened()
                try:
                    yield connection
                except BaseException as error:
                    # A full disk may have no room for the log of another connection.
                    if isinstance(error, OSError) or str(error) == _FULL:
                        self._pool.idle.append(connection)
                    else:
                        connection.close()
                    raise
                self._pool.idle.append(connection)
        except (sqlite3.Error, OSError) as error:
            msg = f"the store {self._path} failed: {error}"
            raise StoreError(msg) from error

    def _opened(self) -> SelfClosingConnection:
        _watch_forks()
        _pools.add(self._pool)
        _users.add(os.getpid())
        connection = sqlite3.connect(
            self._path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,  # one thread uses it at a time
            factory=SelfClosingConnection,
        )
        try:
            self._write_ahead(connection)
            self._bound(connection)
            connection.execute(_CREATE)
            connection.execute(_INDEX)
        except BaseException:
            connection.close()
            raise
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

    def _restore_spare(self) -> None:
        """Reserve the space that completes claims if the disk is full."""
        if self._spare_size() >= _SPARE:
            return
        database = os.stat(self._path)  # noqa: PTH116  # as below
        descriptor = os.open(self._spare, _APPEND, stat.S_IMODE(database.st_mode))
        try:
            _fill(descriptor, database)
        finally:
            os.close(descriptor)

    def _spare_size(self) -> int:
        try:
            return os.lstat(self._spare).st_size  # half the time of Path.lstat()
        except OSError:
            return 0

    def _make_room(self, connection: sqlite3.Connection, now: float) -> Iterator[None]:
        """Make room for a new delivery, step by step."""
        # While the file is full, no successful claim deletes expired rows.
        while _forget(connection, now):
            yield
        self._squeezed(connection, int)
        self._restore_spare()
        yield

    def _squeezed(self, connection: sqlite3.Connection, write: Callable[[], int]) -> int:
        """Write although the disk is full, into what the spare file gives up.

        The log is copied into the database first, so that it takes up no space. The database may
        have to grow by some pages for it.
        """
        while True:
            try:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                return write()
            except sqlite3.OperationalError as error:  # noqa: PERF203  # the disk is much slower
                left = self._spare_size() - _PIECE
                if left < 0 or not _is_out_of_space(error):
                    raise
                os.truncate(self._spare, left)


@contextmanager
def _call() -> Generator[None]:
    """Keep forks away while a connection is in use."""
    call = object()
    deadline = time.monotonic() + _WAIT
    _calls.add(call)
    try:
        while _forks:
            _calls.discard(call)
            if time.monotonic() > deadline:
                raise sqlite3.OperationalError(_FORKING)
            time.sleep(_LOOKS_EVERY)
            _calls.add(call)
        if _users - {os.getpid()}:
            raise sqlite3.OperationalError(_FORKED)
        yield
    finally:
        _calls.discard(call)


@cache
def _watch_forks() -> None:
    if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
        os.register_at_fork(
            before=_before_fork, after_in_parent=_forks.pop, after_in_child=_enter_process
        )


def _before_fork() -> None:
    """Close all connections. If a call does not end in time, the child may not use any store."""
    _forks.append(None)
    deadline = time.monotonic() + _WAIT
    while _calls:
        if time.monotonic() > deadline:
            return
        time.sleep(_LOOKS_EVERY)
    for pool in list(_pools):
        pool.close()
    _users.discard(os.getpid())


def _enter_process() -> None:
    """Forget the forks and the calls of the parent's threads."""
    _forks.clear()
    _calls.clear()


def _fill(descriptor: int, database: os.stat_result) -> None:
    """Fill up the spare file, or leave it as it was."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        msg = "its spare file is not a regular file"
        raise OSError(msg)
    if not found.st_size and hasattr(os, "fchown"):  # whatever the umask, and who makes it
        with suppress(OSError):
            os.fchmod(descriptor, stat.S_IMODE(database.st_mode))
            os.fchown(descriptor, database.st_uid, database.st_gid)
    size = found.st_size
    try:
        while size < _SPARE:
            # Random, because some file systems store no zeros.
            size += os.write(descriptor, os.urandom(_SPARE - size))
    except OSError:
        os.ftruncate(descriptor, found.st_size)
        raise


def _has_wal(connection: sqlite3.Connection) -> bool:
    """Turn on write-ahead logging; return False if the file is locked."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if str(error) != _LOCKED:
            raise
        return False
    return True


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Generator[None]:
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


def _forget(connection: sqlite3.Connection, now: float) -> int:
    """Delete some of the expired rows; return how many."""
    try:
        return connection.execute(_FORGET, {"now": now, "limit": _AT_ONCE}).rowcount
    except sqlite3.Error:  # the claim is valid without it, and the next ones try again
        return 0


def _write(connection: sqlite3.Connection, statement: str, row: Mapping[str, object]) -> int:
    """Execute a statement; return how many rows it changed."""
    return connection.execute(statement, row).rowcount


def _is_out_of_space(error: sqlite3.OperationalError) -> bool:
    return str(error) in _OUT_OF_SPACE

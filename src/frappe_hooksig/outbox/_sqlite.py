"""An outbox in a SQLite file, with the driver of the standard library."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from frappe_hooksig._self_closing import SelfClosingConnection
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox._database import Connection, Values
from frappe_hooksig.outbox._dialect import SQLITE, Dialect

_T = TypeVar("_T")

_TIMEOUT: Final = 5.0  # seconds, to wait while another process writes


class SQLiteConnection:
    """A connection of the standard library's driver.

    Args:
        connection: The connection, of whatever row factory.
    """

    dialect: Dialect = SQLITE

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """See `Connection.rows()`."""
        return self._cursor().execute(SQLITE.sql(statement), values or {}).fetchall()

    def change(self, statement: str, values: Values | None = None) -> int:
        """See `Connection.change()`."""
        return self._cursor().execute(SQLITE.sql(statement), values or {}).rowcount

    def change_each(self, statement: str, several: Sequence[Values]) -> None:
        """See `Connection.change_each()`."""
        self._cursor().executemany(SQLITE.sql(statement), several)

    def _cursor(self) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor


class SQLiteDatabase:
    """An outbox in a SQLite file: for all processes of one host.

    The file may have the app's own tables, too: then a message is published in the app's
    transaction. It is switched to write-ahead logging, so that readers and the writer do not wait
    for each other. It must be on a local disk.

    Create it before the process forks, and use it after that.

    Args:
        path: The file.

    Raises:
        ConfigurationError: `path` is not a file, such as `":memory:"`.
    """

    dialect: Dialect = SQLITE
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()  # the working directory may change
        if os.fspath(path) in {":memory:", ""}:
            msg = "an outbox needs a file, which survives the process: pass the path of one"
            raise ConfigurationError(msg)
        self._idle: list[sqlite3.Connection] = []
        self._process = os.getpid()
        self._lock = Lock()
        self._watching: sqlite3.Connection | None = None

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """See `Database.run()`."""
        connection = self._taken()
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = work(SQLiteConnection(connection))
            connection.execute("COMMIT")
        except BaseException:
            connection.close()  # which rolls back
            raise
        self._idle.append(connection)
        return result

    def adopted(self, theirs: object) -> Connection:
        """See `Database.adopted()`."""
        if not isinstance(theirs, sqlite3.Connection):
            msg = (
                "publish() takes a sqlite3.Connection to the same file, "
                f"not a {type(theirs).__name__}"
            )
            raise ConfigurationError(msg)
        return SQLiteConnection(theirs)

    def after_commit(self, theirs: object, call: Callable[[], object]) -> None:
        """Do nothing: a worker sees a commit by `version()`, within milliseconds."""

    def identity(self, connection: Connection) -> str:
        """Return the host and the path."""
        del connection
        return f"sqlite {socket.gethostname()} {self._path.resolve()}"

    def version(self) -> int:
        """See `Database.version()`."""
        if self._watching is None:
            self._watching = self._taken()
        ((version,),) = self._watching.execute("PRAGMA data_version").fetchall()
        return int(version)

    def close(self) -> None:
        """See `Database.close()`."""
        watching, self._watching = self._watching, None
        if watching is not None:
            self._idle.append(watching)
        while self._idle:
            self._idle.pop().close()

    def _taken(self) -> sqlite3.Connection:
        with self._lock:
            if os.getpid() != self._process:
                if self._idle or self._watching:
                    # SQLite's locks belong to the parent, and the child would believe that it has
                    # them: https://www.sqlite.org/howtocorrupt.html section 2.6
                    msg = (
                        "this process was forked while its parent used the outbox: "
                        "fork before the first use, or close() the outbox before"
                    )
                    raise ConfigurationError(msg)
                self._process = os.getpid()
            if self._idle:
                return self._idle.pop()
        return self._opened()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path,
            timeout=_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            factory=SelfClosingConnection,
        )
        try:
            _switch_to_wal(connection)
            # After a power failure, the last transactions may be missing. They are those of the
            # outbox itself: what was claimed or settled then is sent again.
            connection.execute("PRAGMA synchronous = NORMAL")
        except BaseException:
            connection.close()
            raise
        return connection

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {str(self._path)!r}>"


def identity_of_file(connection: Connection) -> str:
    """Return the host and the path of the file that a connection has open."""
    path: str = connection.rows("PRAGMA database_list")[0][2]
    return f"sqlite {socket.gethostname()} {Path(path).resolve()}"


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Switch a file to write-ahead logging, if it is not. SQLite itself does not wait for that."""
    ends = time.monotonic() + _TIMEOUT
    while not _has_wal(connection, is_last=time.monotonic() >= ends):
        time.sleep(0.005)


def _has_wal(connection: sqlite3.Connection, *, is_last: bool) -> bool:
    """Try to switch a file; return False if another process writes to it, unless it is the end."""
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if is_last or "locked" not in str(error):
            raise
        return False
    return True

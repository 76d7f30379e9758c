"""An outbox in a database of Django: PostgreSQL, MariaDB or SQLite."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar

from django.db import Error, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.django._transactions import is_in_test_case
from frappe_hooksig.outbox._database import Connection, Values
from frappe_hooksig.outbox._dialect import MARIADB, POSTGRESQL, SQLITE, Dialect
from frappe_hooksig.outbox._servers import SESSION, until_it_wins
from frappe_hooksig.outbox._servers import identity_of as server_identity
from frappe_hooksig.outbox._sqlite import identity_of_file

_T = TypeVar("_T")

# Which database it is: the name, the host, the port, and the options with a schema of PostgreSQL.
_Place: TypeAlias = tuple[str, ...]

_DIALECTS: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL, "mysql": MARIADB}
_BEGIN: Final = {
    "sqlite": "BEGIN IMMEDIATE",
    "postgresql": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "mariadb": "START TRANSACTION",
}
_PREPARE: Final = {
    "postgresql": (SESSION["postgresql"],),
    "mariadb": (
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
        SESSION["mariadb"],
    ),
}
# After so many seconds, the server may have closed an idle connection.
_FRESH: Final = 1.0
# A text in quotes, or the name of a value.
_NAMED: Final = re.compile(r"'[^']*'|(?<!:):([a-z_]\w*)")


class DjangoConnection:
    """A connection of Django.

    Args:
        connection: The connection.
        dialect: The SQL of its database.
    """

    def __init__(self, connection: BaseDatabaseWrapper, dialect: Dialect) -> None:
        self._connection = connection
        self.dialect = dialect

    def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """See `Connection.rows()`."""
        with self._connection.cursor() as cursor:
            cursor.execute(_written(self.dialect, statement), {**(values or {})})
            return [tuple(each) for each in cursor.fetchall()]

    def change(self, statement: str, values: Values | None = None) -> int:
        """See `Connection.change()`."""
        with self._connection.cursor() as cursor:
            cursor.execute(_written(self.dialect, statement), {**(values or {})})
            return int(cursor.rowcount)

    def change_each(self, statement: str, several: Sequence[Values]) -> None:
        """See `Connection.change_each()`."""
        if several:
            with self._connection.cursor() as cursor:
                written = _written(self.dialect, statement)
                cursor.executemany(written, [{**each} for each in several])


class DjangoDatabase:
    """An outbox in a database of Django: PostgreSQL, MariaDB, or SQLite in a file.

    Add `"frappe_hooksig.integrations.django"` to INSTALLED_APPS, and run `manage.py migrate`.

    Messages are published on Django's own connection: `outbox.publish(connection, ...)`, with
    `from django.db import connection`, or with `connections[using]`. The outbox itself uses
    connections of its own, which CONN_MAX_AGE and a pool do not count. A SQLite file is switched to
    write-ahead logging, so that readers and the writer do not wait for each other.

    In the transaction of Django's TestCase, which never commits, the outbox uses the connection of
    the test for everything.

    Args:
        using: The alias of the database in DATABASES.

    Attributes:
        using: The alias of the database in DATABASES.
        dialect: Its SQL.

    Raises:
        ConfigurationError: DATABASES has no such alias, or the database is none of these.
    """

    errors: tuple[type[Exception], ...] = (Error, OSError)

    def __init__(self, using: str = "default") -> None:
        if using not in set(connections):
            msg = f"using={using!r} is not an alias in DATABASES"
            raise ConfigurationError(msg)
        vendor = connections[using].vendor
        if vendor not in _DIALECTS:
            msg = f"an outbox can live in SQLite, PostgreSQL or MariaDB, not in {vendor}"
            raise ConfigurationError(msg)
        self.using = using
        self.dialect: Dialect = _DIALECTS[vendor]
        # The idle connections of each process, by its id. A forked process can neither use nor
        # close its parent's connections. A test runner changes the name of the database.
        self._idle: dict[tuple[int, _Place], list[tuple[BaseDatabaseWrapper, float]]] = {}
        self._watching: dict[tuple[int, _Place], BaseDatabaseWrapper] = {}

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """See `Database.run()`."""
        theirs = connections[self.using]
        if is_in_test_case(theirs):
            with transaction.atomic(self.using):
                return work(DjangoConnection(theirs, self.dialect))
        return until_it_wins(lambda: self._run(work), self.errors)

    def _run(self, work: Callable[[Connection], _T]) -> _T:
        connection = self._taken()
        adapted = DjangoConnection(connection, self.dialect)
        try:
            adapted.change(_BEGIN[self.dialect.name])
            result = work(adapted)
            adapted.change("COMMIT")
        except BaseException:
            connection.close()  # which rolls back
            raise
        self._keep(connection)
        return result

    def adopted(self, theirs: object) -> Connection:
        """See `Database.adopted()`."""
        connection = _plain(theirs)
        if not isinstance(connection, BaseDatabaseWrapper):
            msg = (
                "publish() takes a connection of Django (`from django.db import connection`, or "
                f"connections[{self.using!r}]), not a {type(theirs).__name__}"
            )
            raise ConfigurationError(msg)
        given: dict[str, Any] = connection.settings_dict
        own = connections.settings[self.using]
        if given is not own and _place(given) != _place(own):
            msg = (
                f"publish() got the connection {connection.alias!r}, and the outbox is in another "
                f"database: pass connections[{self.using!r}]"
            )
            raise ConfigurationError(msg)
        return DjangoConnection(connection, self.dialect)

    def after_commit(self, theirs: object, call: Callable[[], object]) -> None:
        """See `Database.after_commit()`."""
        connection: Any = theirs
        if connection.in_atomic_block or connection.get_autocommit():
            connection.on_commit(call, robust=True)
        else:
            call()  # the app commits by itself, and Django does not tell of it

    def identity(self, connection: Connection) -> str:
        """Return the host and the path of a file, or what a server says of itself."""
        return identity_of(connection)

    def version(self) -> int | None:
        """See `Database.version()`."""
        if self.dialect is not SQLITE:
            return None
        key = (os.getpid(), self._place())
        if key not in self._watching:
            self._watching[key] = self._taken()
        watching = DjangoConnection(self._watching[key], self.dialect)
        return int(watching.rows("PRAGMA data_version")[0][0])

    def close(self) -> None:
        """See `Database.close()`."""
        own = os.getpid()
        for key in [*self._watching]:
            if key[0] == own:
                self._watching.pop(key).close()
        for (process, _), idle in self._idle.items():
            while process == own and idle:
                idle.pop()[0].close()

    def _taken(self) -> BaseDatabaseWrapper:
        own = (os.getpid(), self._place())
        if self.dialect is SQLITE and any(
            place == own[1] and process != own[0]
            for used in (self._watching, self._idle)
            for (process, place), several in used.items()
            if several
        ):
            # SQLite's locks belong to the parent, and the child would believe that it has them:
            # https://www.sqlite.org/howtocorrupt.html section 2.6
            msg = (
                "this process was forked while its parent used the outbox: "
                "fork before the first use, or close() the outbox before"
            )
            raise ConfigurationError(msg)
        idle = self._idle.setdefault(own, [])
        with suppress(IndexError):
            while True:
                connection, since = idle.pop()
                if time.monotonic() - since < _FRESH or _answers(connection):
                    return connection
        return self._opened()

    def _keep(self, connection: BaseDatabaseWrapper) -> None:
        own = (os.getpid(), _place(connection.settings_dict))
        self._idle[own].append((connection, time.monotonic()))

    def _opened(self) -> BaseDatabaseWrapper:
        connection = connections[self.using].copy()
        settings: dict[str, Any] = connection.settings_dict
        if settings["NAME"] == ":memory:":
            msg = "an outbox needs a database in a file, which survives the process"
            raise ConfigurationError(msg)
        # Without a pool: an app that uses up its connections must not stop deliveries.
        settings["OPTIONS"].pop("pool", None)
        settings.update(AUTOCOMMIT=True, CONN_MAX_AGE=None, CONN_HEALTH_CHECKS=False)
        # With DEBUG, Django keeps and logs all statements with their values.
        setattr(connection, "make_debug_cursor", connection.make_cursor)  # noqa: B010
        connection.inc_thread_sharing()
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: BaseDatabaseWrapper) -> None:
        connection.ensure_connection()  # connect() raises the driver's own errors
        if dialect_of(connection) is None:
            msg = "an outbox can live in SQLite, PostgreSQL or MariaDB, not in MySQL"
            raise ConfigurationError(msg)
        adapted = DjangoConnection(connection, self.dialect)
        if self.dialect is SQLITE:
            # It is refused while the app's own connections use the file in another mode.
            with suppress(Error):
                if adapted.rows("PRAGMA journal_mode = WAL") == [("wal",)]:
                    # After a power failure, the last transactions may be missing. They are those of
                    # the outbox itself: what was claimed or settled then is sent again.
                    adapted.change("PRAGMA synchronous = NORMAL")
            return
        for statement in _PREPARE[self.dialect.name]:
            adapted.change(statement)

    def _place(self) -> _Place:
        return _place(connections.settings[self.using])

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.using!r}>"


def dialect_of(connection: BaseDatabaseWrapper) -> Dialect | None:
    """Return the SQL of a database that an outbox can live in, else None."""
    if not getattr(connection, "mysql_is_mariadb", True):
        return None
    return _DIALECTS.get(connection.vendor)


def identity_of(connection: Connection) -> str:
    """Return what tells a database from its copies, as `SQLiteDatabase` does for a file."""
    if connection.dialect is not SQLITE:
        return server_identity(connection)
    return identity_of_file(connection)


def _plain(theirs: object) -> object:
    """Return the connection that `django.db.connection` stands for in this thread."""
    return connections[theirs.alias] if isinstance(theirs, ConnectionProxy) else theirs


def _place(settings: Mapping[str, Any]) -> _Place:
    schema = settings["OPTIONS"].get("options")
    return (*(str(settings[name]) for name in ("NAME", "HOST", "PORT")), str(schema))


def _answers(connection: BaseDatabaseWrapper) -> bool:
    """Whether a connection can still be used. If not, it is closed."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        connection.close()
        return False
    return True


@lru_cache(maxsize=1000)  # lists of values make statements of many lengths
def _written(dialect: Dialect, statement: str) -> str:
    """Return a statement as Django wants it: `%(name)s` for `:name`.

    >>> _written(SQLITE, "SELECT '10:30', a % 2 FROM b WHERE c = :c")
    "SELECT '10:30', a %% 2 FROM b WHERE c = %(c)s"
    """
    doubled = dialect.sql(statement).replace("%", "%%")
    return _NAMED.sub(lambda found: f"%({found[1]})s" if found[1] else found[0], doubled)

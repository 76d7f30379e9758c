"""An outbox in a database of SQLAlchemy: PostgreSQL, MariaDB or SQLite.

It needs `pip install 'frappe-hooksig[sqlalchemy]'`, and a driver.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from os import PathLike, fspath
from typing import Any, Final, TypeVar, cast

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations._extras import not_installed
from frappe_hooksig.outbox import SQLiteDatabase
from frappe_hooksig.outbox._copying import check_source, copy, fingerprint
from frappe_hooksig.outbox._database import Connection as OutboxConnection
from frappe_hooksig.outbox._database import Values
from frappe_hooksig.outbox._dialect import MARIADB, POSTGRESQL, SQLITE, Dialect
from frappe_hooksig.outbox._frames import without_frames
from frappe_hooksig.outbox._servers import SESSION, check_server, identity_of, until_it_wins
from frappe_hooksig.outbox._tables import check_installation, migrate

try:
    from sqlalchemy import URL, Connection, Engine, create_engine, event, text
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
    from sqlalchemy.orm import Session, scoped_session
    from sqlalchemy.sql.elements import TextClause
except ModuleNotFoundError as error:
    raise not_installed(error, "sqlalchemy") from error

__all__ = ["SQLAlchemyDatabase", "copy_outbox"]

_T = TypeVar("_T")

_DIALECTS: Final = {
    "sqlite": SQLITE,
    "postgresql": POSTGRESQL,
    "mysql": MARIADB,
    "mariadb": MARIADB,
}
_texts: dict[tuple[str, str], TextClause] = {}


class _Connection:
    """A connection of SQLAlchemy, or a session."""

    def __init__(self, connection: Connection | Session, dialect: Dialect) -> None:
        self._connection = connection
        self.dialect = dialect

    def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
        """See `Connection.rows()`."""
        result = self._connection.execute(self._text(statement), {**(values or {})})
        return [tuple(each) for each in result]

    def change(self, statement: str, values: Values | None = None) -> int:
        """See `Connection.change()`."""
        result: Any = self._connection.execute(self._text(statement), {**(values or {})})
        return int(result.rowcount)

    def change_each(self, statement: str, several: Sequence[Values]) -> None:
        """See `Connection.change_each()`."""
        if several:
            self._connection.execute(self._text(statement), [{**each} for each in several])

    def _text(self, statement: str) -> TextClause:
        key = (self.dialect.name, statement)
        found = _texts.get(key)
        if found is None:
            found = text(self.dialect.sql(statement))
            if len(_texts) < _MOST_TEXTS:
                _texts[key] = found
        return found


# Lists of values make statements of many lengths.
_MOST_TEXTS: Final = 1000


class SQLAlchemyDatabase:
    """An outbox in a database of SQLAlchemy.

    Messages are published in a `Session` or a `Connection`; with `publish_async()`, in an
    `AsyncSession` or an `AsyncConnection`. The outbox itself uses a pool of its own, so an app that
    uses up its connections does not stop deliveries.

    Args:
        engine: The app's engine, of which it takes the way to connect; or a URL. It cannot be an
            async engine, because the workers are threads: give it the URL with another driver.

    Attributes:
        dialect: The SQL of the database.
        errors: What statements raise if the database refuses them or cannot be reached.

    Raises:
        ConfigurationError: It is none of these, or the database is none of SQLite in a file,
            PostgreSQL and MariaDB.
    """

    errors: tuple[type[Exception], ...] = (SQLAlchemyError, OSError)

    def __init__(self, engine: Engine | URL | str) -> None:
        several: list[object] = [engine]
        del engine  # error reporters show the local variables of every frame
        self._own = _engine_of(several)
        self.dialect: Dialect = _DIALECTS[self._own.dialect.name]
        self._file: SQLiteDatabase | None = None
        self._process = os.getpid()
        if self.dialect is SQLITE:
            # The driver of the standard library does it: SQLAlchemy begins no transaction that
            # writes from the start.
            self._file = _file_of(self._own)
            self.errors = (*self._file.errors, *self.errors)
        else:
            event.listen(self._own, "connect", self._prepare)

    def run(self, work: Callable[[OutboxConnection], _T]) -> _T:
        """See `Database.run()`."""
        if os.getpid() != self._process:
            # After a fork, the connections are those of the parent: leave them to it.
            self._own.dispose(close=False)
            self._process = os.getpid()
        if self._file is not None:
            return self._file.run(work)
        return until_it_wins(lambda: self._run(work), (DBAPIError,))

    def _run(self, work: Callable[[OutboxConnection], _T]) -> _T:
        with self._own.begin() as connection:
            return work(_Connection(connection, self.dialect))

    def _prepare(self, connection: Any, _: object) -> None:
        # Here, and not as an option of each transaction: that would cost statements of its own,
        # and if the connection is lost, they raise the driver's errors, and not SQLAlchemy's.
        self._own.dialect.set_isolation_level(connection, "READ COMMITTED")
        cursor = connection.cursor()
        cursor.execute("SELECT VERSION()")
        check_server(self.dialect, str(cursor.fetchone()[0]))
        cursor.execute(SESSION[self.dialect.name])
        cursor.close()
        connection.commit()

    def adopted(self, theirs: object) -> OutboxConnection:
        """See `Database.adopted()`."""
        session = _plain(theirs)
        if isinstance(session, Session | Connection):
            return _Connection(session, self.dialect)
        if type(theirs).__name__ in {"AsyncSession", "AsyncConnection", "async_scoped_session"}:
            msg = (
                "publish() cannot wait for an async session: "
                "use `await outbox.publish_async(session, ...)`"
            )
            raise ConfigurationError(msg)
        msg = f"publish() takes a Session or a Connection, not a {type(theirs).__name__}"
        raise ConfigurationError(msg)

    def after_commit(self, theirs: object, call: Callable[[], object]) -> None:
        """See `Database.after_commit()`."""
        session = _plain(theirs)
        if not isinstance(session, Session):
            call()  # a Connection tells of a commit before it is one
            return
        # One listener for each session: SQLAlchemy never forgets one, also if it is called once.
        if self not in session.info:
            event.listen(session, "after_commit", self._committed)
        session.info[self] = call

    def _committed(self, session: Session) -> None:
        if session.in_nested_transaction():
            return  # only a savepoint is released
        call: Callable[[], object] | None = session.info.get(self)
        session.info[self] = None
        if call is not None:
            call()

    def identity(self, connection: OutboxConnection) -> str:
        """Return what the server says of itself, and the name of the database."""
        if self._file is not None:
            return self._file.identity(connection)
        return identity_of(connection)

    def version(self) -> int | None:
        """See `Database.version()`."""
        return None if self._file is None else self._file.version()

    def close(self) -> None:
        """See `Database.close()`."""
        self._own.dispose()
        if self._file is not None:
            self._file.close()

    def __repr__(self) -> str:
        # Error reporters also show one that is half made.
        kind = f" of {self.dialect.name}" if hasattr(self, "dialect") else ""
        return f"<{type(self).__name__}{kind}>"


@without_frames
def copy_outbox(
    source: Engine | URL | str | PathLike[str] | Connection | Session,
    target: Engine | URL | str | PathLike[str] | Connection | Session,
    *,
    installation: str | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[str, int]:
    """Copy an outbox to an empty one in another database, of the same kind or another one.

    Stop the workers and the app before. Nothing is changed at the source: never start a worker
    there again, because it would send what the target sends, too.

    All is copied in one transaction: endpoints with their secrets as they are stored, messages,
    deliveries and attempts. A delivery that was claimed is due at the target. The target is then
    confirmed as an installation of its own.

    Args:
        source: An engine, a URL, or the `Path` of a SQLite file, which is read in one snapshot. Or
            a connection or a session: that is read in its transaction, so begin it with the
            isolation level REPEATABLE READ.
        target: An engine, a URL or a `Path`, where the tables are created if there are none. Or a
            connection or a session with these tables: the rows are inserted in its transaction,
            which the caller commits, perhaps together with tables of the app.
        installation: The name of the installation, if the outbox at the target has one.
        progress: Gets the number of rows so far, now and then.

    Returns:
        How many endpoints, messages, lanes, deliveries and attempts were copied, by these names.

    Raises:
        ConfigurationError: An argument cannot be used, both are the same database, the tables are
            of another version, those of the target are not empty, or a worker sends what the source
            has.
    """
    check_installation(installation)
    with ExitStack() as closing:
        reading = _reading("source", source, closing)
        # First on a connection of its own: MariaDB commits with each CREATE.
        with ExitStack() as migrating:
            if not isinstance(_plain(target), Connection | Session):
                first = _writing("target", target, migrating)
                check_source(reading, first)
                migrate(first, fingerprint(first, installation))
        writing = _writing("target", target, closing)
        check_source(reading, writing)
        return copy(reading, writing, installation=installation, progress=progress)


def _reading(name: str, given: object, closing: ExitStack) -> _Connection:
    """Return a connection that sees one state of a database."""
    connection, is_own = _connected(name, given, closing)
    if is_own and connection.dialect.name != "sqlite":
        connection.execution_options(isolation_level="REPEATABLE READ")
    return _adapted(name, connection, "BEGIN")


def _writing(name: str, given: object, closing: ExitStack) -> _Connection:
    """Return a connection whose transaction is committed at the end, unless it is the caller's."""
    connection, is_own = _connected(name, given, closing)
    if is_own:
        closing.enter_context(connection.begin())
    return _adapted(name, connection, "BEGIN IMMEDIATE")


def _connected(name: str, given: object, closing: ExitStack) -> tuple[Connection, bool]:
    """Return a connection, and whether it is not the caller's own."""
    theirs = _plain(given)
    if isinstance(theirs, Session):
        return theirs.connection(), False
    if isinstance(theirs, Connection):
        return theirs, False
    if isinstance(theirs, PathLike):
        theirs = URL.create("sqlite", database=fspath(cast("PathLike[str]", theirs)))
    if not isinstance(theirs, Engine | URL | str):
        msg = (
            f"{name}= must be an Engine, a URL, a Connection or a Session of SQLAlchemy, or a "
            f"Path, not a {type(theirs).__name__}"
        )
        raise ConfigurationError(msg)
    engine = _engine_of([theirs])
    closing.callback(engine.dispose)
    if engine.dialect.name == "sqlite":
        _file_of(engine)
    return closing.enter_context(engine.connect()), True


def _adapted(name: str, connection: Connection, begin: str) -> _Connection:
    dialect = _DIALECTS.get(connection.dialect.name)
    if dialect is None:
        msg = f"{name}= is a database of {connection.dialect.name}, where no outbox can live"
        raise ConfigurationError(msg)
    driver: Any = connection.connection.dbapi_connection
    if dialect is not SQLITE:
        check_server(dialect, str(connection.scalar(text("SELECT VERSION()"))))
    elif not driver.in_transaction:
        # The driver begins none before it reads, and else one that may fail when it writes.
        connection.exec_driver_sql(begin)
    return _Connection(connection, dialect)


def _file_of(engine: Engine) -> SQLiteDatabase:
    """Return the file of an engine of SQLite.

    Raises:
        ConfigurationError: It has none, or its URL does not say where.
    """
    path = None if "uri" in engine.url.query else engine.url.database or ""
    del engine  # error reporters show the local variables of every frame
    if path is None:
        msg = "the URL of a SQLite file must have its path, without uri=true"
        raise ConfigurationError(msg)
    return SQLiteDatabase(path)


def _plain(theirs: object) -> object:
    """Return the session of this thread, if it is a `scoped_session`."""
    if isinstance(theirs, scoped_session):
        session: object = cast("scoped_session[Session]", theirs)()
        return session
    return theirs


def _engine_of(several: list[object]) -> Engine:
    """Return an engine with a pool of its own.

    Args:
        several: An engine or a URL. It is taken out of the list, because error reporters show the
            local variables of every frame, and a URL may have a password.
    """
    given = several.pop()
    if isinstance(given, Engine):
        return _made(given.url, pool=given.pool.recreate())
    kind = type(given).__name__
    url = _url_of(given) if isinstance(given, str) else given
    del given
    if isinstance(url, URL):
        return _made(url, pool_pre_ping=True)
    msg = f"SQLAlchemyDatabase takes an Engine or a URL, not a {kind}"
    if kind == "AsyncEngine":
        msg = (
            "SQLAlchemyDatabase takes no AsyncEngine, because workers are threads: "
            "give it the URL with a driver that is not async, such as postgresql+psycopg://"
        )
    if kind == "str":
        msg = "the URL of the database cannot be read: postgresql+psycopg://user@host/name"
    raise ConfigurationError(msg)


def _url_of(text: str) -> URL | None:
    # The error about a port may have a part of a password that has a colon.
    with suppress(ArgumentError, ValueError):
        return make_url(text)
    return None


def _made(url: URL, **options: Any) -> Engine:
    """Return an engine whose errors have no values of statements: they may be URLs with tokens."""
    name = url.get_backend_name()
    if name not in _DIALECTS:
        msg = f"an outbox can live in SQLite, PostgreSQL or MariaDB, not in {name}"
        raise ConfigurationError(msg)
    is_sqlite = name == "sqlite"
    if not is_sqlite:
        # A process that claims must see what others have claimed since its transaction began.
        options["isolation_level"] = "READ COMMITTED"
    try:
        engine = create_engine(url, hide_parameters=True, **options)
    except NoSuchModuleError:
        msg = f"SQLAlchemy knows no driver {url.drivername}"
        raise ConfigurationError(msg) from None
    if engine.dialect.is_async and not is_sqlite:
        msg = (
            f"{url.drivername} is an async driver, and workers are threads: give the URL with "
            "another one, such as postgresql+psycopg://"
        )
        raise ConfigurationError(msg)
    return engine

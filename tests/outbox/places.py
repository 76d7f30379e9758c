"""Databases for the tests of an outbox, and how an app uses them; see the fixture `place`."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox, SQLiteDatabase
from frappe_hooksig.outbox._database import Connection, Database, Values, time_of
from frappe_hooksig.outbox._routing import route
from frappe_hooksig.sending import AddressGuard

LOOPBACK = AddressGuard(["127.0.0.1"])
# Where the tests' endpoints are. Nothing is sent there, unless a test starts a receiver.
URL = "http://127.0.0.1:9/hook"

_T = TypeVar("_T")

_numbers = count(1)


@dataclass(frozen=True)
class Caller:
    """An app's transaction.

    Attributes:
        theirs: What it passes to `publish()`.
        execute: Runs a statement in it.
        commit: Commits it.
        rollback: Rolls it back.
    """

    theirs: Any
    execute: Callable[[str], object]
    commit: Callable[[], object]
    rollback: Callable[[], object]


@dataclass(frozen=True)
class Place:
    """A database that is empty, with one way to use it.

    Attributes:
        name: Which database and which driver.
        make: Makes the outbox's database, as another process would.
        caller: Opens a connection or session of an app; it ends with a rollback.
        address: How to reach the database: a path or a URL of SQLAlchemy.
        made: The databases that were made so far.
        closing: Closes what the callers have used.
    """

    name: str
    make: Callable[[], Database]
    caller: Callable[[], AbstractContextManager[Caller]]
    address: str
    made: list[Database] = field(default_factory=list)
    closing: Callable[[], object] = lambda: None

    def database(self) -> Database:
        """Return another database of the outbox, which is closed when the test ends."""
        database = self.make()
        self.made.append(database)
        return database

    def outbox(self, **options: Any) -> Outbox:
        """Return an outbox with its tables, which may send to loopback addresses."""
        outbox = self.bare_outbox(**options)
        outbox.migrate()
        return outbox

    def bare_outbox(self, **options: Any) -> Outbox:
        """Return an outbox without tables, unless another one has made them."""
        return Outbox(self.database(), **{"guard": LOOPBACK, "observe": (), **options})

    def run(self, work: Callable[[Connection], _T]) -> _T:
        """Run a function in a transaction of its own, and commit it."""
        database = self.made[0] if self.made else self.database()
        return database.run(work)

    def rows(self, statement: str, values: Values | None = None) -> list[Any]:
        """Return what a query finds."""
        return self.run(lambda connection: connection.rows(statement, values or {}))

    def change(self, statement: str, values: Values | None = None) -> int:
        """Change something, and commit it."""
        return self.run(lambda connection: connection.change(statement, values or {}))

    def publish(self, outbox: Outbox, *args: Any, **options: Any) -> str:
        """Publish in a transaction of its own, and commit it."""
        with self.caller() as caller:
            message = outbox.publish(caller.theirs, *args, **options)
            caller.commit()
        return message

    def route(self) -> int | None:
        """Make the deliveries of what was published, and return the number of messages."""
        return self.run(lambda connection: route(connection, time_of(connection)))

    def close(self) -> None:
        """Close the connections that are idle."""
        for each in self.made:
            each.close()
        self.closing()


Server: TypeAlias = Mapping[str, Any]  # Django's settings of a database


def sqlite_place(folder: Path) -> Place:
    """Return a file, which the standard library's driver opens."""
    path = folder / "outbox.sqlite3"

    @contextmanager
    def caller() -> Iterator[Caller]:
        connection = sqlite3.connect(path, timeout=30)
        try:
            yield Caller(connection, connection.execute, connection.commit, connection.rollback)
        finally:
            connection.close()

    return Place("sqlite", lambda: SQLiteDatabase(path), caller, str(path))


def sqlalchemy_place(name: str, url: str) -> Place:
    """Return a database that SQLAlchemy opens."""
    engine = create_engine(url)

    @contextmanager
    def caller() -> Iterator[Caller]:
        with Session(engine) as session:
            yield Caller(
                session, lambda it: session.execute(text(it)), session.commit, session.rollback
            )

    return Place(name, lambda: SQLAlchemyDatabase(url), caller, url, closing=engine.dispose)


@contextmanager
def new_database(server: Server) -> Iterator[str]:
    """Make a database on a server, and remove it afterwards; return its name."""
    name = f"outbox{next(_numbers)}"
    engine = create_engine(
        server_url(server, server["NAME"]), isolation_level="AUTOCOMMIT", poolclass=NullPool
    )
    force = " WITH (FORCE)" if "postgresql" in server["ENGINE"] else ""
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    try:
        yield name
    finally:
        with engine.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))


@contextmanager
def new_schemas(server: Server) -> Iterator[Callable[[], str]]:
    """Return a function that makes a schema in PostgreSQL, and returns the URL for its tables.

    It takes a thirtieth of the time of a new database.
    """
    url = server_url(server, server["NAME"])
    engine = create_engine(url, pool_pre_ping=True)

    def make() -> str:
        name = f"outbox{next(_numbers)}"
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {name}"))
        return f"{url}&options=-csearch_path%3D{name}"

    yield make
    engine.dispose()


def server_url(server: Server, name: str) -> str:
    """Return the URL of a database on a server."""
    if "postgresql" in server["ENGINE"]:
        return f"postgresql+psycopg://{server['USER']}@/{name}?host={server['HOST']}"
    socket = f"unix_socket={server['HOST']}&charset=utf8mb4"
    return f"mysql+pymysql://{server['USER']}@localhost/{name}?{socket}"

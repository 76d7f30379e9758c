"""Each database that an outbox can live in. A server is started once for each pytest process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.databases import mariadb, postgresql
from tests.outbox.places import (
    Place,
    Server,
    new_database,
    new_schemas,
    server_url,
    sqlalchemy_place,
    sqlite_place,
)


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """Run PostgreSQL."""
    with postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def new_schema(postgresql_server: Server) -> Iterator[Callable[[], str]]:
    """Return a function that makes a schema, and returns the URL for its tables."""
    with new_schemas(postgresql_server) as make:
        yield make


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[Server]:
    """Run MariaDB."""
    with mariadb() as server:
        yield server


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Place]:
    """Return a SQLite file with the driver of the standard library."""
    with closing(sqlite_place(tmp_path)) as place:
        yield place


@pytest.fixture
def sqlalchemy_sqlite(tmp_path: Path) -> Iterator[Place]:
    """Return a SQLite file with SQLAlchemy."""
    url = f"sqlite:///{tmp_path / 'outbox.sqlite3'}"
    with closing(sqlalchemy_place("SQLAlchemy, SQLite", url)) as place:
        yield place


@pytest.fixture
def sqlalchemy_postgresql(new_schema: Callable[[], str]) -> Iterator[Place]:
    """Return a new schema of PostgreSQL with SQLAlchemy."""
    with closing(sqlalchemy_place("SQLAlchemy, PostgreSQL", new_schema())) as place:
        yield place


@pytest.fixture
def sqlalchemy_mariadb(mariadb_server: Server) -> Iterator[Place]:
    """Return a new database of MariaDB with SQLAlchemy."""
    with new_database(mariadb_server) as name:
        url = server_url(mariadb_server, name)
        with closing(sqlalchemy_place("SQLAlchemy, MariaDB", url)) as place:
            yield place


@pytest.fixture(
    params=[
        "sqlite",
        "sqlalchemy_sqlite",
        "sqlalchemy_postgresql",
        pytest.param("sqlalchemy_mariadb", marks=pytest.mark.long),
    ]
)
def place(request: pytest.FixtureRequest) -> Place:
    """Return each kind of place in turn."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture(
    params=[
        "sqlite",
        pytest.param("sqlalchemy_sqlite", marks=pytest.mark.long),
        "sqlalchemy_postgresql",
        pytest.param("sqlalchemy_mariadb", marks=pytest.mark.long),
    ]
)
def store(request: pytest.FixtureRequest) -> Place:
    """Return each kind of place in turn, for what both drivers of SQLite do with the same code.

    A module of tests that needs no other place has its fixture `place` return this one.
    """
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture(
    params=[
        "sqlalchemy_postgresql",
        pytest.param("sqlalchemy_mariadb", marks=pytest.mark.long),
    ]
)
def server_place(request: pytest.FixtureRequest) -> Place:
    """Return each kind of place where several transactions write at once."""
    made: Place = request.getfixturevalue(request.param)
    return made

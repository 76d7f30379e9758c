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
from tests.selection import at_full_size


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


@pytest.fixture
def django_sqlite(tmp_path: Path) -> Iterator[Place]:
    """Return a SQLite file with Django."""
    from tests.outbox.django_places import django_place

    path = str(tmp_path / "outbox.sqlite3")
    settings = {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
    with django_place("Django, SQLite", settings, path) as place:
        yield place


@pytest.fixture
def django_postgresql(postgresql_server: Server, new_schema: Callable[[], str]) -> Iterator[Place]:
    """Return a new schema of PostgreSQL with Django."""
    from tests.outbox.django_places import django_place

    url = new_schema()
    options = {"options": f"-c search_path={url.rpartition('%3D')[2]}"}
    settings = {**postgresql_server, "OPTIONS": options}
    with django_place("Django, PostgreSQL", settings, url) as place:
        yield place


@pytest.fixture
def django_mariadb(mariadb_server: Server) -> Iterator[Place]:
    """Return a new database of MariaDB with Django."""
    import pymysql

    from tests.outbox.django_places import django_place

    pymysql.install_as_MySQLdb()
    with new_database(mariadb_server) as name:
        settings = {**mariadb_server, "NAME": name}
        url = server_url(mariadb_server, name)
        with django_place("Django, MariaDB", settings, url) as place:
            yield place


@pytest.fixture(
    params=[
        "sqlite",
        "sqlalchemy_sqlite",
        "sqlalchemy_postgresql",
        "django_sqlite",
        # Its SQL is that of SQLAlchemy's; what differs is in test_django.py.
        at_full_size("django_postgresql"),
        at_full_size("sqlalchemy_mariadb"),
        at_full_size("django_mariadb"),
    ]
)
def place(request: pytest.FixtureRequest) -> Place:
    """Return each kind of place in turn."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture(
    params=[
        "sqlite",
        at_full_size("sqlalchemy_sqlite"),
        "sqlalchemy_postgresql",
        at_full_size("sqlalchemy_mariadb"),
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
        "django_postgresql",
        at_full_size("sqlalchemy_mariadb"),
        at_full_size("django_mariadb"),
    ]
)
def server_place(request: pytest.FixtureRequest) -> Place:
    """Return each kind of place where several transactions write at once."""
    made: Place = request.getfixturevalue(request.param)
    return made

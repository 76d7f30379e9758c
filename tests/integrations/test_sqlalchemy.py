"""An outbox in a database of SQLAlchemy: how the app publishes, and what the outbox keeps apart."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool, QueuePool

import frappe_hooksig
from frappe_hooksig import ConfigurationError
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.outbox._database import Connection
from tests.databases import postgresql
from tests.outbox.places import (
    LOOPBACK,
    Place,
    Server,
    new_database,
    new_schemas,
    server_url,
    sqlalchemy_place,
)

PASSWORD = "Qv3r0mZ8tYp5"
PACKAGE = str(Path(frappe_hooksig.__file__).parent)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Run PostgreSQL."""
    with postgresql() as running:
        yield running


@pytest.fixture(scope="module")
def new_schema(server: Server) -> Iterator[Callable[[], str]]:
    """Return a function that makes a schema, and returns the URL for its tables."""
    with new_schemas(server) as make:
        yield make


@pytest.fixture
def postgres(new_schema: Callable[[], str]) -> Iterator[Place]:
    """Return a new schema of PostgreSQL."""
    with closing(sqlalchemy_place("PostgreSQL", new_schema())) as place:
        yield place


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Place]:
    """Return a SQLite file."""
    url = f"sqlite:///{tmp_path / 'outbox.sqlite3'}"
    with closing(sqlalchemy_place("SQLite", url)) as place:
        yield place


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Place:
    """Return both in turn."""
    made: Place = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def engine(place: Place) -> Iterator[Engine]:
    """Return the app's engine."""
    engine = create_engine(place.address, poolclass=NullPool)
    yield engine
    engine.dispose()


def rung(outbox: Outbox) -> list[bool]:
    """Return a list that gets an entry for each ring."""
    rings: list[bool] = []
    outbox.ring = lambda: rings.append(True)  # type: ignore[method-assign]
    return rings


def messages(place: Place) -> int:
    """Return how many messages are committed."""
    count: int = place.rows("SELECT COUNT(*) FROM hooksig_messages")[0][0]
    return count


# Where a message is published


def test_in_a_session(place: Place, engine: Engine) -> None:
    """A message is in the transaction of a session, and is gone with it."""
    outbox = place.outbox()

    with Session(engine) as session:
        outbox.publish(session, "invoice.paid", {})
        session.rollback()
        assert messages(place) == 0
        outbox.publish(session, "invoice.paid", {})
        session.commit()

    assert messages(place) == 1


def test_in_a_connection(place: Place, engine: Engine) -> None:
    """A message is in the transaction of a connection, and is gone with it."""
    outbox = place.outbox()

    with engine.connect() as connection:
        outbox.publish(connection, "invoice.paid", {})
        connection.rollback()
        assert messages(place) == 0
        outbox.publish(connection, "invoice.paid", {})
        connection.commit()

    assert messages(place) == 1


def test_in_a_scoped_session(place: Place, engine: Engine) -> None:
    """A registry stands for the session of this thread."""
    outbox = place.outbox()
    registry = scoped_session(sessionmaker(engine))

    outbox.publish(registry, "invoice.paid", {})
    registry.rollback()
    assert messages(place) == 0
    outbox.publish(registry, "invoice.paid", {})
    registry.commit()
    registry.remove()

    assert messages(place) == 1


def test_in_a_savepoint(place: Place, engine: Engine) -> None:
    """A message is gone with the savepoint in which it was published."""
    outbox = place.outbox()

    with Session(engine) as session:
        with session.begin_nested() as savepoint:
            outbox.publish(session, "invoice.paid", {})
            savepoint.rollback()
        outbox.publish(session, "invoice.sent", {})
        session.commit()

    assert place.rows("SELECT event_type FROM hooksig_messages") == [("invoice.sent",)]


def async_url(place: Place) -> str:
    """Return the URL of a database with an async driver."""
    return place.address.replace("sqlite://", "sqlite+aiosqlite://")


def test_in_an_async_session(place: Place) -> None:
    """A message is in the transaction of an async session, and is gone with it."""
    outbox = place.outbox()
    rings = rung(outbox)

    async def publish() -> str:
        engine = create_async_engine(async_url(place), poolclass=NullPool)
        async with AsyncSession(engine) as session:
            await outbox.publish_async(session, "invoice.paid", {"total": 1})
            await session.rollback()
            message = await outbox.publish_async(
                session,
                "invoice.paid",
                {"total": 2},
                key="customer-1",
                idempotency_key="a",
                tenant="acme",
            )
            await session.commit()
        await engine.dispose()
        return message

    message = outbox.message(asyncio.run(publish()))

    assert (outbox.payload(message.id), message.key) == (b'{"total": 2}', "customer-1")
    assert (message.idempotency_key, message.tenant) == ("a", "acme")
    assert (messages(place), rings) == (1, [True])


def test_in_an_async_connection(place: Place) -> None:
    """A message is in the transaction of an async connection."""
    outbox = place.outbox()

    async def publish() -> None:
        engine = create_async_engine(async_url(place), poolclass=NullPool)
        async with engine.begin() as connection:
            await outbox.publish_async(connection, "invoice.paid", {})
        await engine.dispose()

    asyncio.run(publish())

    assert messages(place) == 1


def test_publish_cannot_wait(place: Place) -> None:
    """The function without `await` names the other one."""
    outbox = place.outbox()

    async def publish() -> None:
        engine = create_async_engine(async_url(place), poolclass=NullPool)
        async with AsyncSession(engine) as session:
            outbox.publish(session, "invoice.paid", {})

    with pytest.raises(ConfigurationError, match="publish_async"):
        asyncio.run(publish())


def test_publish_async_needs_what_can_wait(sqlite: Place) -> None:
    """A plain session blocks, so it is refused, without a look at the payload."""
    outbox = sqlite.outbox()

    with pytest.raises(ConfigurationError, match="AsyncSession or an AsyncConnection, not a str"):
        asyncio.run(outbox.publish_async("session", "invoice.paid", PASSWORD))


@pytest.mark.parametrize("theirs", [None, "session", object()], ids=["None", "str", "object"])
def test_neither_session_nor_connection(sqlite: Place, theirs: object) -> None:
    """Anything else is refused by its type."""
    outbox = sqlite.outbox()

    with pytest.raises(ConfigurationError, match=f"not a {type(theirs).__name__}"):
        outbox.publish(theirs, "invoice.paid", {})


# Ringing


def test_rings_once_for_each_commit(place: Place, engine: Engine) -> None:
    """However much a session publishes, and however often it commits."""
    outbox = place.outbox()
    rings = rung(outbox)

    with Session(engine) as session:
        outbox.publish(session, "invoice.paid", {})
        outbox.publish(session, "invoice.sent", {})
        assert rings == []
        session.commit()
        assert rings == [True]
        session.execute(text("SELECT 1"))
        session.commit()
        assert rings == [True]
        outbox.publish(session, "invoice.paid", {})
        session.commit()

    assert rings == [True, True]


def test_no_ring_after_a_rollback(place: Place, engine: Engine) -> None:
    """Nothing is there to look at."""
    outbox = place.outbox()
    rings = rung(outbox)

    with Session(engine) as session:
        outbox.publish(session, "invoice.paid", {})
        session.rollback()

    assert rings == []


def test_no_ring_for_a_savepoint(place: Place, engine: Engine) -> None:
    """A savepoint that is released commits nothing: the ring is for the end of the transaction."""
    outbox = place.outbox()
    rings = rung(outbox)

    with Session(engine) as session:
        with session.begin_nested():
            outbox.publish(session, "invoice.paid", {})
        assert rings == []
        session.commit()

    assert rings == [True]


def test_rings_of_two_outboxes(sqlite: Place) -> None:
    """Each outbox of a session has its own ring."""
    first, second = sqlite.outbox(), sqlite.outbox()
    rings = [rung(first), rung(second)]

    with sqlite.caller() as caller:
        first.publish(caller.theirs, "invoice.paid", {})
        second.publish(caller.theirs, "invoice.paid", {})
        caller.commit()

    assert rings == [[True], [True]]


# What the outbox has of its own


def app_engine(place: Place, **options: Any) -> Engine:
    """Return an engine with as few connections as there can be."""
    return create_engine(
        place.address, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=1, **options
    )


def test_pool_of_its_own(place: Place) -> None:
    """An app that uses up its connections does not stop the outbox, nor does the outbox the app."""
    engine = app_engine(place)
    outbox = Outbox(SQLAlchemyDatabase(engine), guard=LOOPBACK)

    with engine.connect():
        outbox.migrate()
        count = len(outbox.numbers().endpoints)
    outbox.close()
    engine.dispose()

    assert count == 0


def test_the_app_keeps_its_settings(postgres: Place) -> None:
    """What the outbox sets for its connections is not set for those of the app."""
    engine = app_engine(postgres, isolation_level="SERIALIZABLE")
    database = SQLAlchemyDatabase(engine)
    settings = "SELECT current_setting('idle_in_transaction_session_timeout'), "
    settings += "current_setting('transaction_isolation')"

    own = database.run(lambda connection: connection.rows(settings))
    with engine.connect() as connection:
        theirs = connection.execute(text(settings)).all()
    database.close()
    engine.dispose()

    assert own == [("5s", "read committed")]
    assert theirs == [("0", "serializable")]


def test_an_engine_that_commits_each_statement(postgres: Place) -> None:
    """The outbox has transactions even if the app's connections have none."""
    engine = app_engine(postgres, isolation_level="AUTOCOMMIT")
    database = SQLAlchemyDatabase(engine)
    outbox = postgres.outbox()

    def fail(connection: Connection) -> None:
        connection.change("DELETE FROM hooksig_installation")
        connection.rows("SELECT nothing FROM nowhere")

    with pytest.raises(DBAPIError):
        database.run(fail)
    database.close()
    engine.dispose()

    assert outbox.is_confirmed()


def test_how_the_app_connects(postgres: Place) -> None:
    """The outbox connects as the app's engine does, with the function that makes connections."""
    made: list[Any] = []
    plain = create_engine(postgres.address)

    def connect() -> Any:
        made.append(plain.raw_connection().driver_connection)
        return made[-1]

    engine = create_engine(postgres.address, creator=connect, poolclass=NullPool)
    database = SQLAlchemyDatabase(engine)

    assert database.run(lambda connection: connection.rows("SELECT 1")) == [(1,)]
    assert len(made) == 1
    database.close()
    plain.dispose()


def test_errors_have_no_values(postgres: Place) -> None:
    """The error of a statement shows none of its values: one may be a URL with a token."""
    database = postgres.database()

    with pytest.raises(DBAPIError) as caught:
        database.run(lambda it: it.rows("SELECT :value FROM nowhere", {"value": PASSWORD}))

    assert PASSWORD not in f"{caught.value} {caught.value!r}"


# Conflicts


class Code(Exception):
    """An error of a driver with a code of the database."""

    def __init__(self, *args: object, sqlstate: str | None = None) -> None:
        super().__init__(*args)
        self.sqlstate = sqlstate


def wrapped(code: Code) -> OperationalError:
    """Return an error as SQLAlchemy raises it."""
    error = OperationalError("UPDATE", {}, code)
    error.__cause__ = code
    return error


CONFLICTS = [
    pytest.param(Code(sqlstate="40001"), id="PostgreSQL serialization"),
    pytest.param(Code(sqlstate="40P01"), id="PostgreSQL deadlock"),
    pytest.param(Code(1205, "Lock wait timeout exceeded"), id="MariaDB lock wait timeout"),
    pytest.param(Code(1213, "Deadlock found"), id="MariaDB deadlock"),
    pytest.param(Code(1020, "Record has changed since last read"), id="MariaDB snapshot"),
]


@pytest.mark.parametrize("code", CONFLICTS)
def test_conflicts_are_tried_again(postgres: Place, code: Code) -> None:
    """A transaction that another one was in the way of runs again, from its start."""
    left = [code, code]

    def work(_: Connection) -> str:
        for error in left[:1]:
            left.pop()
            raise wrapped(error)
        return "done"

    assert postgres.database().run(work) == "done"
    assert left == []


def test_conflicts_for_ever(postgres: Place) -> None:
    """In the end, the error is one of those that the database names, so the worker goes on."""
    database = postgres.database()
    tries: list[bool] = []

    def work(_: Connection) -> str:
        tries.append(True)
        raise wrapped(Code(sqlstate="40P01"))

    with pytest.raises(OperationalError) as caught:
        database.run(work)

    assert isinstance(caught.value, database.errors)
    assert len(tries) == 10


@pytest.mark.parametrize(
    "code", [Code(), Code(sqlstate="23505"), Code(1062, "Duplicate entry")], ids=repr
)
def test_other_errors_are_not_tried_again(postgres: Place, code: Code) -> None:
    """What fails for another reason fails once."""
    tries: list[bool] = []

    def work(_: Connection) -> str:
        tries.append(True)
        raise wrapped(code)

    with pytest.raises(OperationalError):
        postgres.database().run(work)

    assert len(tries) == 1


def test_a_deadlock(postgres: Place) -> None:
    """Two transactions that wait for each other both end well."""
    outbox = postgres.outbox()
    ids = [outbox.add_endpoint("http://127.0.0.1:9/", secret_from="env:A").id for _ in "ab"]
    meet = threading.Barrier(2)
    tries: list[bool] = []

    def touch(first: str, second: str) -> Callable[[Connection], None]:
        def work(connection: Connection) -> None:
            tries.append(True)
            connection.change("SET LOCAL deadlock_timeout = '50ms'")
            touched = "UPDATE hooksig_endpoints SET failures = failures + 1 WHERE id = :id"
            connection.change(touched, {"id": first})
            # Who comes again is alone.
            if len(tries) <= len(ids):
                meet.wait(30)
            connection.change(touched, {"id": second})

        return work

    database = postgres.database()
    threads = [
        threading.Thread(target=database.run, args=[touch(*pair)]) for pair in (ids, ids[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert [each.failures for each in outbox.endpoints()] == [2, 2]
    assert len(tries) == 3


# Which databases


def test_identity_needs_no_rights(postgres: Place) -> None:
    """A role that may do little can tell this database from others."""
    outbox = postgres.outbox()
    ((schema,),) = postgres.rows("SELECT current_schema()")
    role = f"role_of_{schema}"
    postgres.change(f"CREATE ROLE {role} LOGIN")
    postgres.change(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
    postgres.change(f"GRANT SELECT ON hooksig_installation TO {role}")
    poor = SQLAlchemyDatabase(make_url(postgres.address).set(username=role))

    assert Outbox(poor, guard=LOOPBACK).is_confirmed() is outbox.is_confirmed() is True

    poor.close()
    postgres.change(f"DROP OWNED BY {role}")
    postgres.change(f"DROP ROLE {role}")


def test_another_database_of_the_server_is_another_installation(
    postgres: Place, server: Server
) -> None:
    """A copy under another name sends nothing until somebody confirms."""
    postgres.outbox()
    ((fingerprint,),) = postgres.rows("SELECT fingerprint FROM hooksig_installation")

    with (
        new_database(server) as name,
        closing(sqlalchemy_place("copy", server_url(server, name))) as copy,
    ):
        outbox = copy.outbox()
        copied = {"fingerprint": fingerprint}
        copy.change("UPDATE hooksig_installation SET fingerprint = :fingerprint", copied)
        is_confirmed = outbox.is_confirmed()

    assert not is_confirmed
    assert postgres.bare_outbox().is_confirmed()


def test_a_schema_of_its_own(postgres: Place) -> None:
    """Tables in another schema than the connection's are not those of this outbox."""
    postgres.outbox()
    postgres.change("CREATE SCHEMA elsewhere")
    elsewhere = {"options": "-csearch_path=elsewhere"}
    database = SQLAlchemyDatabase(make_url(postgres.address).update_query_dict(elsewhere))

    with pytest.raises(ConfigurationError, match="outbox init"):
        Outbox(database).is_confirmed()

    database.close()


def test_version_of_a_server(postgres: Place) -> None:
    """A server tells no number that changes with each commit, so workers look at the tables."""
    assert postgres.database().version() is None


def test_version_of_a_file(sqlite: Place) -> None:
    """The number of a file changes with the commit of another connection, as without SQLAlchemy."""
    outbox = sqlite.outbox()
    database = sqlite.database()
    before = database.version()
    assert database.version() == before

    sqlite.publish(outbox, "invoice.paid", {})

    assert database.version() != before


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "sqlite+aiosqlite://"])
def test_no_file(url: str) -> None:
    """A database in the memory of the process does not survive it."""
    with pytest.raises(ConfigurationError, match="needs a file"):
        SQLAlchemyDatabase(url)


def test_file_as_uri() -> None:
    """The URI of a file is none of its paths, and would name another file."""
    with pytest.raises(ConfigurationError, match="uri=true"):
        SQLAlchemyDatabase("sqlite:///file:app.sqlite3?mode=rw&uri=true")


def test_unsupported_database() -> None:
    """Another database is refused by its name, before anything is connected to."""
    with pytest.raises(ConfigurationError, match="not in oracle"):
        SQLAlchemyDatabase("oracle://user@host/name")


def test_unknown_driver() -> None:
    """So is a driver that SQLAlchemy does not know."""
    with pytest.raises(ConfigurationError, match=r"no driver postgresql\+nothing"):
        SQLAlchemyDatabase("postgresql+nothing://user@host/name")


@pytest.mark.parametrize("kind", [None, 7, "", "no url", "sqlite"], ids=repr)
def test_neither_engine_nor_url(kind: Any) -> None:
    """What is no engine and no URL is refused."""
    with pytest.raises(ConfigurationError, match=r"takes an Engine or a URL|cannot be read"):
        SQLAlchemyDatabase(kind)


def test_async_engine(sqlite: Place) -> None:
    """Workers are threads, so they need a driver that blocks."""
    engine = create_async_engine(async_url(sqlite))

    with pytest.raises(ConfigurationError, match="no AsyncEngine"):
        SQLAlchemyDatabase(engine)  # type: ignore[arg-type]


def test_async_driver(postgres: Place) -> None:
    """The URL of an async driver is refused, unless SQLite's, of which only the path counts."""
    url = postgres.address.replace("+psycopg:", "+psycopg_async:")

    with pytest.raises(ConfigurationError, match=r"postgresql\+psycopg_async is an async driver"):
        SQLAlchemyDatabase(url)


def test_async_url_of_a_file(sqlite: Place) -> None:
    """An async app may pass the same URL."""
    sqlite.outbox()
    database = SQLAlchemyDatabase(async_url(sqlite))

    assert Outbox(database).is_confirmed()

    database.close()


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg//user:{PASSWORD}@host/name",
        f"postgresql+psycopg://user:a@host:{PASSWORD}/name",
        f"postgresql+psycopg://user:a@b:{PASSWORD}@host:1/name",
        f"nothing://user:{PASSWORD}@host/name",
        f"postgresql+nothing://user:{PASSWORD}@host/name",
        f"postgresql+psycopg_async://user:{PASSWORD}@host/name",
        f"sqlite:///file:{PASSWORD}?uri=true",
    ],
    ids=["no URL", "port", "at sign", "name", "driver", "async", "file"],
)
def test_password_is_in_no_error(url: str) -> None:
    """Neither the error about a URL nor a frame of ours shows its password."""
    with pytest.raises(ConfigurationError) as caught:
        SQLAlchemyDatabase(url)

    stack = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack
    ours = [str(each.locals) for each in stack if each.filename.startswith(PACKAGE)]
    assert PASSWORD not in f"{caught.value!r} {caught.value.__context__!r}"
    assert ours
    assert PASSWORD not in "\n".join(ours)


def test_no_payload_in_the_frames_of_a_cause(sqlite: Place) -> None:
    """The frames of SQLAlchemy, which has the values of a statement, are gone."""
    outbox = sqlite.outbox()
    engine = create_engine(sqlite.address, hide_parameters=True)
    with Session(engine) as session:
        session.execute(
            text(
                "CREATE TRIGGER no_messages BEFORE INSERT ON hooksig_messages "
                "BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
        )

        with pytest.raises(DBAPIError, match="no") as caught:
            outbox.publish(session, "invoice.paid", PASSWORD)

    cause = caught.value.__cause__
    assert cause is not None
    assert cause.__traceback__ is None
    engine.dispose()


def test_repr_shows_no_password() -> None:
    """Nor does the repr of a database."""
    database = SQLAlchemyDatabase(f"postgresql+psycopg://user:{PASSWORD}@host/name")

    assert repr(database) == "<SQLAlchemyDatabase of postgresql>"
    assert repr(Outbox(database)) == "<Outbox in <SQLAlchemyDatabase of postgresql>>"


def test_unreachable() -> None:
    """A server that cannot be reached is an error that the worker expects, without a password."""
    database = SQLAlchemyDatabase(f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:9/name")

    with pytest.raises(database.errors) as caught:
        database.run(lambda connection: connection.rows("SELECT 1"))

    assert PASSWORD not in f"{caught.value} {caught.value!r}"


def test_nothing_to_run_for_no_values(postgres: Place) -> None:
    """A statement for each of no values is none."""
    postgres.run(lambda connection: connection.change_each("no SQL at all", []))


def test_a_statement_is_parsed_once(postgres: Place) -> None:
    """Lists of values make statements of many lengths: of those, only so many are remembered."""
    database = postgres.database()

    def many(connection: Connection) -> int:
        return sum(connection.rows(f"SELECT {number}")[0][0] for number in range(1_100))

    assert database.run(many) == sum(range(1_100))


def test_listener_of_the_app_is_kept(postgres: Place) -> None:
    """What the app's engine does with each new connection is done with those of the outbox."""
    engine = create_engine(postgres.address, poolclass=NullPool)

    @event.listens_for(engine, "connect")
    def name_it(connection: Any, _: object) -> None:
        connection.execute("SET application_name = 'billing'")
        connection.commit()

    database = SQLAlchemyDatabase(engine)

    name = database.run(lambda it: it.rows("SELECT current_setting('application_name')"))
    database.close()

    assert name == [("billing",)]


def test_after_a_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process than before leaves the connections to its parent."""
    database = SQLAlchemyDatabase(f"sqlite:///{tmp_path}/outbox.db")
    monkeypatch.setattr(database, "_process", 0)

    assert database.run(lambda connection: connection.rows("SELECT 1")) == [(1,)]
    assert database._process == os.getpid()  # noqa: SLF001
    database.close()

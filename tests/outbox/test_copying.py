"""Copying an outbox to another database: nothing is lost, and nothing is sent that was sent."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from frappe_hooksig import ConfigurationError, IdempotencyConflict
from frappe_hooksig.integrations.sqlalchemy import copy_outbox
from frappe_hooksig.outbox import Formatted, SQLiteDatabase
from frappe_hooksig.outbox._copying import TABLES
from frappe_hooksig.outbox._tables import NEWEST, check_tables
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.outbox.places import Place, sqlalchemy_place
from tests.outbox.post import SECRET, Post, joined, room
from tests.selection import at_full_size

KEY = Fernet.generate_key()
TOKEN = "Kz5RtYb3Nc6Vf1Zq"
ONCE = RetrySchedule((), jitter=0)
LATER = RetrySchedule((3600.0,), jitter=0)
OPTIONS: dict[str, Any] = {
    "keys": [KEY],
    "formats": {"envelope": lambda each: Formatted({"data": each.json()})},
}


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Callable[[str], Place]]:
    """Return a function that makes a place of a SQLite file."""
    made: list[Place] = []

    def make(name: str) -> Place:
        made.append(sqlalchemy_place("SQLAlchemy, SQLite", f"sqlite:///{tmp_path / name}"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def file(files: Callable[[str], Place]) -> Place:
    """Return a SQLite file."""
    return files("one.sqlite3")


@pytest.fixture
def other_file(files: Callable[[str], Place]) -> Place:
    """Return another SQLite file, whose name is odd in a URL."""
    return files("two and more.sqlite3")


@pytest.fixture(
    params=[
        ("file", "sqlalchemy_postgresql"),
        ("sqlalchemy_postgresql", "file"),
        ("file", "other_file"),
        at_full_size(("file", "sqlalchemy_mariadb")),
        at_full_size(("sqlalchemy_mariadb", "sqlalchemy_postgresql")),
    ],
    ids=" to ".join,
)
def pair(request: pytest.FixtureRequest) -> tuple[Place, Place]:
    """Return two databases of different kinds."""
    source, target = request.param
    return request.getfixturevalue(source), request.getfixturevalue(target)


@dataclass(frozen=True)
class Filled:
    """An outbox that has a bit of everything.

    Attributes:
        post: The outbox.
        ordered: The endpoint that gets the messages of a key in their order.
        dead: The one with dead letters.
        paused: The one that is paused.
        arrived: The message that has arrived at the first of them.
        left: Those that have not.
    """

    post: Post
    ordered: str
    dead: str
    paused: str
    arrived: list[str]
    left: list[str]


def filled(place: Place, receiver: FakeReceiver) -> Filled:
    """Make an outbox that has sent something, and has something to send."""
    post = Post(place, **OPTIONS)
    ordered = post.endpoint(
        f"{receiver.url}ordered",
        secret_from=(),
        secret=SECRET,
        headers={"Authorization": TOKEN},
        event_types=["order.*"],
        order="key",
        concurrency=1,
        rate=500.5,
        format="envelope",
        schedule=LATER,
    )
    dead = post.endpoint(schedule=ONCE)
    paused = post.endpoint(f"{receiver.url}paused")
    post.outbox.pause(paused, "ünïcode 🦄")
    left = post.publish(4, key="Ä-1")  # the first one fails, and holds back the others
    arrived = post.publish(key="B-1")
    post.send()
    left += post.publish(payload={"once": True}, idempotency_key="once")
    post.route()
    post.claims(room(process="killed"))
    left += post.publish(2, payload={"unseen": True})
    return Filled(post, ordered, dead, paused, arrived, left)


def rows_of(place: Place) -> dict[str, list[Any]]:
    """Return all that is copied."""
    return {
        each.name: place.rows(
            f"SELECT {', '.join(each.columns)} FROM hooksig_{each.name} "
            f"ORDER BY {', '.join(each.key)}"
        )
        for each in TABLES
    }


def test_copy(pair: tuple[Place, Place]) -> None:
    """All rows are the same at the target, but what was claimed, which is due."""
    source, target = pair
    with FakeReceiver([503, 200]) as receiver:
        outbox = filled(source, receiver).post.outbox
    before = rows_of(source)
    claimed = outbox.deliveries(states=["claimed"])
    shown: list[int] = []

    counts = copy_outbox(source.address, target.address, progress=shown.append)

    source.change("UPDATE hooksig_deliveries SET state = 1 WHERE state = 2")
    assert claimed
    assert rows_of(target) == rows_of(source)
    assert target.rows("SELECT id FROM hooksig_deliveries WHERE process IS NOT NULL") == []
    assert counts == {name: len(rows) for name, rows in before.items()}
    assert all(counts.values())
    assert shown == sorted(shown)
    assert shown[-1] == sum(counts.values())
    moved = Post(target, **OPTIONS).outbox
    assert moved.is_confirmed()
    assert outbox.is_confirmed()
    assert moved.endpoints() == outbox.endpoints()
    assert moved.deliveries() == outbox.deliveries()


def test_worker_on_the_target(pair: tuple[Place, Place]) -> None:
    """It sends exactly what was left, in the order of each key, and goes on with new messages."""
    source, target = pair
    with FakeReceiver([503, 200]) as receiver:
        before = filled(source, receiver)
        arrived = [each.header("webhook-id") for each in receiver.requests]
        assert arrived == [before.left[0], *before.arrived]
        copy_outbox(source.address, target.address)

        moved = Post(target, **OPTIONS)
        new = moved.publish(key="Ä-1", payload={"number": 4})
        (once,) = moved.publish(payload={"once": True}, idempotency_key="once")
        with pytest.raises(IdempotencyConflict):
            moved.publish(payload={"once": False}, idempotency_key="once")
        moved.outbox.resume(before.paused)
        target.change("UPDATE hooksig_deliveries SET due_at = 0 WHERE state = 1")
        moved.send()
        requests = receiver.requests[len(arrived) :]

    ordered = [each for each in requests if each.path == "/ordered"]
    others = [each for each in requests if each.path == "/paused"]
    assert len(ordered) + len(others) == len(requests)
    assert once in before.left
    ids = Counter(each.header("webhook-id") for each in ordered)
    assert ids == Counter([*before.left, *new])
    assert Counter(each.header("webhook-id") for each in others) == ids + Counter(before.arrived)
    bodies = [each.json()["data"] for each in ordered]
    assert [each["number"] for each in bodies if "number" in each] == [0, 1, 2, 3, 4]
    assert {each.header("Authorization") for each in ordered} == {TOKEN}
    assert {*moved.states(endpoint=before.ordered)} == {"delivered"}
    dead = moved.outbox.deliveries(endpoint=before.dead, states="dead")
    assert {each.message_id for each in dead} >= {*before.arrived, *before.left[:4]}
    assert moved.outbox.attempts(dead[-1].id)[0].reason == "connection"


def test_many_rows(file: Place, other_file: Place) -> None:
    """They are read some at a time, whatever their number and their size."""
    post = Post(file, max_payload=9_000_000)
    post.endpoint(order="key")
    post.publish(700, payload="x")
    for number in range(3):
        post.publish(payload=bytes(8_500_000 if number == 1 else 4_000_000), key=f"K-{number}")
    for _ in range(9):
        post.route()
    file.change(
        "INSERT INTO hooksig_attempts (delivery, number, endpoint, started_at, took_ms, outcome, "
        "reason, problem, answer) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
        "WHERE i < 600) SELECT d.id, i, 'ep', 1, 1, 'refused', '', '', x'00' "
        "FROM n, (SELECT id FROM hooksig_deliveries ORDER BY id LIMIT 2) d"
    )
    shown: list[int] = []

    counts = copy_outbox(file.address, other_file.address, progress=shown.append)

    assert counts == {
        "endpoints": 1,
        "messages": 703,
        "lanes": 3,
        "deliveries": 703,
        "attempts": 1200,
    }
    steps = [after - before for before, after in zip([0, *shown], shown, strict=False)]
    assert steps == [1, 500, 201, 1, 1, 3, 500, 203, 500, 500, 200]
    assert rows_of(other_file) == rows_of(file)


def test_all_columns_are_copied(file: Place) -> None:
    """All but the process that has claimed a delivery, which is no more."""
    file.outbox()

    for each in TABLES:
        found = file.rows(
            "SELECT name FROM pragma_table_info(:name)", {"name": f"hooksig_{each.name}"}
        )
        assert {name for (name,) in found} - set(each.columns) == (
            {"process"} if each.name == "deliveries" else set()
        )


def test_in_the_callers_transactions(pair: tuple[Place, Place]) -> None:
    """An app copies its own tables with it, and commits both, or neither."""
    source, target = pair
    Post(source).publish()
    Post(target)
    target.change("CREATE TABLE shops (name VARCHAR(10))")
    engines = create_engine(source.address), create_engine(target.address)

    with engines[0].connect() as old, engines[1].connect() as new:
        for is_kept in (False, True):
            new.execute(text("INSERT INTO shops VALUES ('Ä')"))
            assert copy_outbox(old, new)["messages"] == 1
            (new.commit if is_kept else new.rollback)()
            assert len(target.rows("SELECT * FROM shops")) == is_kept
            assert len(target.rows("SELECT id FROM hooksig_messages")) == is_kept

    for each in engines:
        each.dispose()


def test_with_sessions(file: Place, other_file: Place) -> None:
    """A session stands for its connection, and a registry for the session of this thread."""
    Post(file).publish()
    Post(other_file)
    old, new = create_engine(file.address), create_engine(other_file.address)

    with Session(old) as reading:
        writing: Any = scoped_session(sessionmaker(new))
        copy_outbox(reading, writing)
        writing.commit()
        writing.remove()

    assert rows_of(other_file)["messages"] == rows_of(file)["messages"]
    old.dispose()
    new.dispose()


def test_with_engines_and_paths(file: Place, other_file: Place, tmp_path: Path) -> None:
    """Neither its connections nor its pool are used; a path stands for a SQLite file."""
    Post(file).publish()
    engines = create_engine(file.address), create_engine(make_url(other_file.address))

    copy_outbox(*engines)

    assert rows_of(other_file)["messages"] == rows_of(file)["messages"]
    assert [each.pool.checkedin() for each in engines] == [0, 0]  # type: ignore[attr-defined]
    assert (
        copy_outbox(Path(str(engines[0].url.database)), tmp_path / "odd ?%20.db")["messages"] == 1
    )
    SQLiteDatabase(tmp_path / "odd ?%20.db").run(check_tables)


def test_one_snapshot(pair: tuple[Place, Place]) -> None:
    """What somebody publishes meanwhile is not copied in part."""
    source, target = pair
    post = Post(source)
    endpoint = post.endpoint()
    post.publish()

    def change(_count: int) -> None:
        source.change("UPDATE hooksig_endpoints SET rate = 7")
        source.change("DELETE FROM hooksig_messages")

    counts = copy_outbox(source.address, target.address, progress=change)

    assert (counts["endpoints"], counts["messages"]) == (1, 1)
    assert Post(target).outbox.endpoint(endpoint).rate is None


def test_target_that_is_in_use(pair: tuple[Place, Place]) -> None:
    """A copy is not mixed with other rows, and nothing of it is left."""
    source, target = pair
    Post(source).publish(2)
    Post(target).publish()

    with pytest.raises(ConfigurationError, match="target= has messages already"):
        copy_outbox(source.address, target.address)

    assert len(target.rows("SELECT id FROM hooksig_messages")) == 1


def test_failure_in_the_middle(file: Place, other_file: Place) -> None:
    """Everything is copied, or nothing is. The error has neither payloads nor URLs in a frame."""
    post = Post(file)
    post.endpoint("http://127.0.0.1:9/t0ken")
    post.publish(payload="of-the-customer")
    Post(other_file)
    other_file.change(
        "CREATE TRIGGER fails BEFORE INSERT ON hooksig_messages "
        "BEGIN SELECT RAISE(ABORT, 'no'); END"
    )

    with pytest.raises(SQLAlchemyError, match="no") as caught:
        copy_outbox(file.address, other_file.address)

    error: Any = caught.value
    assert error.__traceback__.tb_next.tb_next is None
    assert "of-the-customer" not in str(error)
    assert set(map(len, rows_of(other_file).values())) == {0}


def test_same_database(pair: tuple[Place, Place], tmp_path: Path) -> None:
    """However it is written, it is not copied onto itself."""
    source, _ = pair
    Post(source)
    engine = create_engine(source.address)
    (tmp_path / "link").symlink_to(tmp_path)
    linked = source.address.replace(str(tmp_path), str(tmp_path / "link"))

    with engine.connect() as connection:
        for target in (source.address, linked, engine, connection):
            with pytest.raises(ConfigurationError, match="source= and target= are the same"):
                copy_outbox(source.address, target)

    engine.dispose()


def test_worker_that_runs(pair: tuple[Place, Place]) -> None:
    """What a worker sends would be sent twice, so it is stopped first."""
    source, target = pair
    Post(source)
    database = source.database()
    heart = joined(database)

    with pytest.raises(ConfigurationError, match="a worker sends what source= has"):
        copy_outbox(source.address, target.address)
    heart.leave(database)

    assert copy_outbox(source.address, target.address)["messages"] == 0


def test_worker_that_was_killed(file: Place, other_file: Place) -> None:
    """It is in nobody's way once its heartbeat is old."""
    Post(file)
    joined(file.database())
    file.change("UPDATE hooksig_processes SET beat_at = beat_at - 10000")

    assert copy_outbox(file.address, other_file.address)["endpoints"] == 0


def test_without_tables(file: Place, other_file: Place) -> None:
    """Nothing is created at the target if there is nothing to copy."""
    with pytest.raises(ConfigurationError, match="the database has no tables of an outbox"):
        copy_outbox(file.address, other_file.address)

    assert other_file.rows("SELECT name FROM sqlite_master") == []


def test_connection_without_tables(file: Place, other_file: Place) -> None:
    """In the caller's transaction, nothing is created: MariaDB would commit it."""
    Post(file)
    engine = create_engine(other_file.address)

    with (
        engine.connect() as connection,
        pytest.raises(ConfigurationError, match="the database has no tables of an outbox"),
    ):
        copy_outbox(file.address, connection)

    engine.dispose()


@pytest.mark.parametrize("version", [NEWEST - 1, NEWEST + 1], ids=["older", "newer"])
def test_other_versions(file: Place, other_file: Place, version: int) -> None:
    """Both must be of this release; the tables of the source are not changed."""
    Post(file)
    file.change("UPDATE hooksig_installation SET version = :version", {"version": version})

    with pytest.raises(
        ConfigurationError, match=f"the tables of the outbox have version {version}"
    ):
        copy_outbox(file.address, other_file.address)

    assert file.rows("SELECT version FROM hooksig_installation") == [(version,)]


def test_named_installation(file: Place, other_file: Place) -> None:
    """The target belongs to the installation that is named."""
    Post(file, installation="old")

    copy_outbox(file.address, other_file.address, installation="new")

    assert other_file.bare_outbox(installation="new").is_confirmed()
    assert not other_file.bare_outbox(installation="old").is_confirmed()
    assert not other_file.bare_outbox().is_confirmed()


def test_clocks(file: Place, other_file: Place) -> None:
    """What is due later is due at the same time."""
    post = Post(file)
    post.endpoint()
    post.publish()
    post.route()
    moment = int(time.time() * 1000) + 3_600_000
    file.change("UPDATE hooksig_deliveries SET due_at = :moment", {"moment": moment})

    copy_outbox(file.address, other_file.address)

    assert Post(other_file).outbox.deliveries()[0].due_at * 1000 == moment


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"source": 7},
            "source= must be an Engine, a URL, a Connection or a Session of SQLAlchemy",
        ),
        ({"target": None}, "target= must be an Engine, a URL, a Connection or a Session"),
        ({"target": "sqlite://"}, "an outbox needs a file"),
        ({"target": "sqlite:///file:a?uri=true"}, "without uri=true"),
        ({"target": "oracle://host/name"}, "PostgreSQL or MariaDB, not in oracle"),
        ({"target": f"postgresql://u:{TOKEN}@host:x/n"}, "the URL of the database cannot be read"),
        ({"installation": ""}, "installation= must be a name"),
    ],
    ids=["number", "None", "memory", "uri", "Oracle", "port", "installation"],
)
def test_arguments_that_cannot_be_used(
    file: Place, other_file: Place, arguments: dict[str, Any], message: str
) -> None:
    """Each is refused by its name, and no password is shown."""
    Post(file)
    given = {"source": file.address, "target": other_file.address, **arguments}

    with pytest.raises(ConfigurationError, match=message) as caught:
        copy_outbox(**given)

    assert TOKEN not in str(caught.value)


def test_connections_that_cannot_be_used(file: Place, tmp_path: Path) -> None:
    """A connection of a driver is none of SQLAlchemy, and not every database has the SQL."""
    Post(file)
    engine = create_engine(f"sqlite:///{tmp_path / 'a'}")
    engine.dialect.name = "oracle"  # there is none here
    with closing(sqlite3.connect(tmp_path / "a")) as driver, engine.connect() as connection:
        for given, message in ((driver, "not a Connection"), (connection, "is a database of orac")):
            target: Any = given
            with pytest.raises(ConfigurationError, match=f"target= .*{message}"):
                copy_outbox(file.address, target)
    engine.dispose()

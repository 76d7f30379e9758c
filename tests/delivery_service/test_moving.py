"""Moving the service from SQLite to PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from delivery_service.account import NewMessage
from delivery_service.api_keys import find_caller
from delivery_service.moving import move, prepare_target
from delivery_service.people import check_password, find_visitor, log_in
from delivery_service.settings import Settings
from delivery_service.tables import Base
from sqlalchemy import create_engine, inspect, text

from frappe_hooksig import ConfigurationError
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.databases import DatabaseServer
from tests.delivery_service.calling import problem_in, until
from tests.delivery_service.operating import Operator
from tests.delivery_service.pages.visiting import PASSWORD
from tests.delivery_service.running import empty_database
from tests.loopback import send_to
from tests.selection import at_full_size

SOON = RetrySchedule((0.1,) * 20, jitter=0)


@pytest.fixture
def target(operator: Operator) -> str:
    """The URL of an empty database."""
    return operator.url("target.db")


def test_move(operator: Operator, database: DatabaseServer) -> None:
    """Keys and logins work as before, and what was left is sent, once."""
    key = operator.must("create-key", "acme", "the shop").strip()
    operator.must("add-person", "acme", "anna@acme.example", given=PASSWORD)
    source, server = operator.variables["DATABASE_URL"], empty_database(database)
    with FakeReceiver([200, *[503] * 3, 200]) as receiver:
        with operator.state() as state:
            account = state.account("acme")
            account.add_endpoint(receiver.url, description="Of Anna", schedule=SOON, order="key")
            account.publish([NewMessage(event_type="a", payload=1, key="k")])
            with state.sessions.begin() as session:
                person = check_password(session, "anna@acme.example", PASSWORD)
                assert person
                token = log_in(session, person, 1)
            with operator.sending():
                receiver.wait_for(1, timeout=30)
            account.publish(
                [NewMessage(event_type="a", payload=each, key="k") for each in (2, 3, 4)]
            )

        printed = operator.must("move", source, server)
        rows = dict(each.split() for each in printed.splitlines()[1:-1])
        assert {name: int(rows[name]) for name in ("endpoints", "messages")} == {
            "endpoints": 1,
            "messages": 4,
        }
        names = Base.metadata.tables.keys() - {"moves"}
        assert {each: rows[each] for each in names} == dict.fromkeys(names, "1")
        assert printed.splitlines()[-1].startswith("now set DELIVERY_SERVICE_DATABASE_URL")

        # The old database sends nothing any more.
        assert "was moved to postgresql" in operator.run("check").errors
        operator.variables["DATABASE_URL"] = server
        with operator.sending() as state:
            receiver.wait_for(5, timeout=30)
            state.account("acme").publish([NewMessage(event_type="a", payload=5, key="k")])
            receiver.wait_for(8, timeout=30)
        sent = [each.body for each in receiver.requests]
        assert sent == [b"1", b"2", b"2", b"2", b"2", b"3", b"4", b"5"]

    with operator.state() as state, state.sessions() as session:
        caller, visitor = find_caller(session, key), find_visitor(session, token)
        assert caller
        assert visitor
        assert (caller.tenant_id, visitor.email) == ("acme", "anna@acme.example")
        (described,) = state.account("acme").endpoints(limit=10)
        assert described.description == "Of Anna"
    operator.must("add-person", "acme", "bob@acme.example", given=PASSWORD)


def test_url_in_the_environment(
    operator: Operator, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A URL with a password need not be an argument, which all users of the machine see."""
    monkeypatch.setenv("OLD", operator.variables["DATABASE_URL"])
    monkeypatch.setenv("NEW", target)

    assert "tenants" in operator.must("move", "env:OLD", "env:NEW")
    ran = operator.run("move", "env:OLD", "env:NO_SUCH")
    assert ran.errors == "TARGET: the environment variable NO_SUCH is not set\n"


def test_target_that_is_not_empty(operator: Operator, target: str) -> None:
    """Nothing is changed in a database that is in use."""
    source = operator.variables["DATABASE_URL"]
    other = Operator(operator.folder, {"DATABASE_URL": target})
    other.must("migrate")
    other.must("create-tenant", "globex", "Globex")

    ran = operator.run("move", source, target)

    assert ran.status == 2
    assert ran.errors == "TARGET has tenants already: move into an empty database\n"
    assert "acme" not in other.must("list-tenants")
    assert operator.run("check").errors == ""


def test_same_database(operator: Operator) -> None:
    """A database is not moved onto itself, also by another name."""
    again = f"sqlite:///{operator.folder}/../{operator.folder.name}/service.db"

    ran = operator.run("move", operator.variables["DATABASE_URL"], again)

    assert ran.status == 2
    assert "same database" in ran.errors


def test_source_that_is_not_migrated(operator: Operator, target: str) -> None:
    """A source without tables, or with older ones, is refused before anything is created."""
    (operator.folder / "empty.db").touch()
    ran = operator.run("move", operator.url("empty.db"), target)

    assert ran.status == 2
    assert ran.errors.startswith("SOURCE has no tables of the service")
    assert "run `delivery-service migrate`" in ran.errors
    engine = create_engine(target)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_worker_that_runs(operator: Operator, target: str) -> None:
    """A source whose worker runs is refused: both would send."""
    with operator.sending():
        ran = operator.run("move", operator.variables["DATABASE_URL"], target)

    assert ran.status == 2
    assert "stop all workers" in ran.errors


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (("mysql://a:s3cret@b/c", "sqlite:///x"), "SOURCE"),
        (("sqlite:///x", "s3cret"), "TARGET"),
    ],
    ids=["source", "target"],
)
def test_unusable_urls(operator: Operator, words: tuple[str, str], name: str) -> None:
    """A URL that cannot be used is not echoed."""
    ran = operator.run("move", *words)

    assert ran.status == 2
    assert ran.errors.startswith(f"{name} must be like sqlite:///")
    assert "s3cret" not in ran.errors


def test_nothing_is_half_done(operator: Operator, target: str) -> None:
    """If the last table cannot be copied, the target has no rows."""
    with operator.state() as state:
        state.account("acme").add_endpoint("https://shop.example/hooks", description="a")
        state.account("acme").publish([NewMessage(event_type="a", payload=1)])
    other = Operator(operator.folder, {"DATABASE_URL": target})
    other.must("migrate")
    engine = create_engine(target)
    with engine.begin() as connection:
        connection.execute(
            text(
                "CREATE TRIGGER refuse BEFORE INSERT ON endpoint_descriptions "
                "BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
        )

    ran = operator.run("move", operator.variables["DATABASE_URL"], target)

    assert ran.status == 2
    with engine.connect() as connection:
        counts = [
            connection.scalar(text(f"SELECT count(*) FROM {name}"))
            for name in ("hooksig_messages", "hooksig_endpoints", "tenants")
        ]
    assert counts == [0, 0, 0]
    engine.dispose()
    assert operator.run("check").errors == ""


@pytest.fixture(params=[at_full_size("sqlite"), "postgresql"])
def busy(request: pytest.FixtureRequest, tmp_path: Path) -> Operator:
    """An operator of each kind of database, whose service takes many requests."""
    operator = Operator(tmp_path, {"REQUESTS_PER_MINUTE": "1000000"})
    if request.param == "postgresql":
        database: DatabaseServer = request.getfixturevalue("database")
        operator.variables["DATABASE_URL"] = empty_database(database)
    operator.must("migrate")
    operator.must("create-tenant", "acme", "Acme")
    return operator


def test_while_clients_publish(busy: Operator, target: str) -> None:
    """What was answered 2xx until the end is in the new database. Then all is refused."""
    key = busy.must("create-key", "acme", "the shop").strip()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with busy.state() as state:
        account = state.account("acme")
        endpoint = account.add_endpoint("https://shop.example/hooks")[0].endpoint.id
        for _ in range(20):
            account.publish([NewMessage(event_type="a", payload=1)] * 100)
    taken: dict[str, list[Any]] = {"messages": [], f"endpoints/{endpoint}/test": []}
    refused: list[tuple[int, str]] = []
    ended = Event()

    def call(port: int, what: str) -> None:
        body = b"" if "test" in what else b'{"event_type": "a", "payload": 2}'
        answer = send_to(port, f"/v1/{what}", body, headers, method="POST")
        while answer.status < 300 and not ended.is_set():
            taken[what].append(answer.json()["id"])
            answer = send_to(port, f"/v1/{what}", body, headers, method="POST")
        refused.append(problem_in(answer))

    with busy.serve() as server, ThreadPoolExecutor(4) as pool, ExitStack() as ending:
        ending.callback(ended.set)  # also if this fails
        calls = [pool.submit(call, server.port, what) for what in [*taken, *taken]]
        until(lambda: [*map(len, taken.values())], lambda counts: min(counts) >= 10)
        busy.must("move", busy.variables["DATABASE_URL"], target)
        for each in calls:
            each.result(timeout=30)
        later = send_to(server.port, "/v1/endpoints", b"", headers, method="GET")
        ready = server.send("/ready", method="GET")

    assert refused == [(503, "moved")] * 4
    assert problem_in(later) == (503, "moved")
    assert "the database was moved on 20" in ready.json()["detail"]
    busy.variables["DATABASE_URL"] = target
    with busy.state() as state:
        account = state.account("acme")
        messages, tests = taken.values()
        assert [account.message(each).id for each in messages] == messages
        assert [account.delivery(each).id for each in tests] == tests


def test_twice(busy: Operator, target: str) -> None:
    """A database is moved once: two targets would both send."""
    source = busy.variables["DATABASE_URL"]
    busy.must("move", source, target)

    ran = busy.run("move", source, busy.url("other.db"))

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith(f"SOURCE was moved to sqlite {busy.folder}/target.db on 20")
    assert not (busy.folder / "other.db").exists()


def test_moved_into(operator: Operator, target: str) -> None:
    """A database that was moved away is no target, also if it is empty."""
    other = Operator(operator.folder, {"DATABASE_URL": target})
    other.must("migrate")
    other.must("move", target, operator.url("other.db"))

    ran = operator.run("move", operator.variables["DATABASE_URL"], target)

    assert ran.status == 2
    assert ran.errors.startswith("TARGET was moved to sqlite")


@pytest.mark.parametrize("command", ["check", "serve", "work", "confirm", "list-tenants"])
def test_commands_after_it(operator: Operator, target: str, command: str) -> None:
    """Each command says where the database was moved to; confirm does not revive it."""
    operator.must("move", operator.variables["DATABASE_URL"], target)

    ran = operator.run(command)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith(
        f"the database was moved to sqlite {operator.folder}/target.db on 20"
    )
    assert "confirm --although-moved" in ran.errors
    assert ran.errors.count("\n") == 1


def test_undone(operator: Operator, target: str) -> None:
    """Who takes a move back has to say so; then all is as before."""
    operator.must("move", operator.variables["DATABASE_URL"], target)

    operator.must("confirm", "--although-moved")

    assert operator.must("check")
    operator.must("create-tenant", "globex", "Globex")


@pytest.mark.long
@pytest.mark.stress
def test_source_in_use(operator: Operator, target: str) -> None:
    """A source that somebody writes to for too long is not moved, and it is said which it is."""
    engine = create_engine(operator.url())
    with engine.connect() as connection:
        old = operator.settings()
        new = Settings.read(database_url=target, keys=operator.variables["KEYS"])
        prepare_target(new)
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        with pytest.raises(ConfigurationError, match="source= is in use"):
            move(old, new)
    engine.dispose()
    assert operator.must("check")


def test_no_such_source(operator: Operator, target: str) -> None:
    """A wrong path creates no file."""
    ran = operator.run("move", operator.url("nope.db"), target)

    assert ran.status == 2
    assert ran.errors.startswith("SOURCE is a file that does not exist")
    assert [each.name for each in operator.folder.iterdir()] == ["service.db"]


def test_unreachable_target(operator: Operator) -> None:
    """It is said which of the databases cannot be used, and why."""
    ran = operator.run(
        "move", operator.variables["DATABASE_URL"], "sqlite:////no/such/folder/target.db"
    )

    assert ran.status == 2
    assert ran.errors.startswith("TARGET: the database cannot be used: its file cannot be opened")
    assert operator.must("check")

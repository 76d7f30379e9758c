"""Moving the service from SQLite to PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from delivery_service.account import NewMessage
from delivery_service.api_keys import find_caller
from delivery_service.people import check_password, find_visitor, log_in
from delivery_service.tables import Base
from sqlalchemy import create_engine, inspect, text

from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.databases import postgresql
from tests.delivery_service.operating import PASSWORD, Operator

SOON = RetrySchedule((0.1,) * 20, jitter=0)


@pytest.fixture
def target(operator: Operator) -> str:
    """The URL of an empty database."""
    return operator.url("target.db")


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """An operator whose service has its tables and a tenant."""
    operator = Operator(tmp_path)
    operator.begin()
    return operator


@pytest.fixture
def server() -> Iterator[str]:
    """The URL of an empty database of PostgreSQL."""
    with postgresql() as settings:
        yield f"postgresql+psycopg://{settings['USER']}@/{settings['NAME']}?host={settings['HOST']}"


def test_move(operator: Operator, server: str) -> None:
    """Keys and logins work as before, and what was left is sent, once."""
    key = operator.must("create-key", "acme", "the shop").strip()
    operator.must("add-person", "acme", "anna@acme.example", given=PASSWORD)
    source = operator.variables["DATABASE_URL"]
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

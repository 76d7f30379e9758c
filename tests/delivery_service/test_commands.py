"""The commands of an operator."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from delivery_service.account import NewMessage
from delivery_service.api_keys import SCOPES, find_caller
from delivery_service.app import create_app
from delivery_service.people import check_password, find_visitor, log_in
from fastapi.testclient import TestClient
from sqlalchemy import create_engine, text

from frappe_hooksig.testing import Answer, FakeReceiver
from tests.databases import postgresql
from tests.delivery_service.operating import Operator
from tests.delivery_service.pages.visiting import PASSWORD

OTHER = "another long password"


def test_tenants(operator: Operator) -> None:
    """A tenant is added once, and listed."""
    operator.must("create-tenant", "globex", "Globex \x1b[2J")

    head, acme, globex = operator.must("list-tenants").splitlines()
    assert head.split() == ["TENANT", "CREATED", "NAME"]
    assert (acme.split()[0], acme.split()[2]) == ("acme", "Acme")
    assert globex.endswith("Globex ?[2J")


def test_keys(operator: Operator) -> None:
    """A key is printed once: the list has no secret part. A revoked one is not valid."""
    key = operator.must("create-key", "acme", "the shop").strip()
    narrow = operator.must("create-key", "acme", "read", "--scope", "messages:read").strip()

    listed = operator.must("list-keys", "acme")
    assert len(listed.splitlines()) == 3
    assert "the shop" in listed
    assert not [each for each in (key, narrow) if each.split("_", 2)[2] in listed]
    with operator.state() as state, state.sessions() as session:
        caller, reader = find_caller(session, key), find_caller(session, narrow)
    assert caller
    assert reader
    assert (caller.tenant_id, caller.scopes) == ("acme", frozenset(SCOPES))
    assert reader.scopes == {"messages:read"}

    operator.must("revoke-key", "acme", key.split("_")[1])
    operator.must("revoke-key", "acme", narrow)
    with operator.state() as state, state.sessions() as session:
        assert (find_caller(session, key), find_caller(session, narrow)) == (None, None)


def test_people(operator: Operator) -> None:
    """Somebody can log in with the password that was read, until it is changed."""
    operator.must("add-person", "acme", "Anna@acme.example", given=f"{PASSWORD}\n")
    assert "anna@acme.example" in operator.must("list-people", "acme")
    with operator.state() as state, state.sessions.begin() as session:
        person = check_password(session, "anna@acme.example", PASSWORD)
        assert person
        token = log_in(session, person, 1)

    operator.must("set-password", "anna@acme.example", given=f"{OTHER}\n")
    with operator.state() as state, state.sessions() as session:
        assert check_password(session, "anna@acme.example", PASSWORD) is None
        assert check_password(session, "anna@acme.example", OTHER)
        assert find_visitor(session, token) is None

    operator.must("remove-person", "anna@acme.example")
    with operator.state() as state, state.sessions() as session:
        assert check_password(session, "anna@acme.example", OTHER) is None


def test_removed_while_logged_in(operator: Operator) -> None:
    """Who is removed is logged out."""
    operator.must("add-person", "acme", "anna@acme.example", given=PASSWORD)
    with operator.state() as state, state.sessions.begin() as session:
        person = check_password(session, "anna@acme.example", PASSWORD)
        assert person
        token = log_in(session, person, 1)

    operator.must("remove-person", "anna@acme.example")

    with operator.state() as state, state.sessions() as session:
        assert find_visitor(session, token) is None


@pytest.mark.parametrize("command", [("add-person", "acme"), ("set-password",)], ids=lambda c: c[0])
def test_passwords_are_no_arguments(operator: Operator, command: tuple[str, ...]) -> None:
    """All users of a machine see arguments, so no command takes a password as one."""
    ran = operator.run(*command, "bob@acme.example", "--password", PASSWORD)

    assert ran.status == 2
    assert "No such option" in ran.errors
    assert PASSWORD not in operator.run(*command, "bob@acme.example", PASSWORD).errors.split("'")[0]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("KEYS", "", "is not set: give it the key that the database was used with"),
        ("KEYS", ",", "must be keys that `delivery-service new-key` makes, separated by commas"),
        ("KEYS", "s3cret", "must be keys that `delivery-service new-key` makes"),
        ("DATABASE_URL", "mysql://anna:s3cret@db/hooks", "must be like sqlite:///"),
        ("DATABASE_URL", "postgresql://anna:s3cret@db:s3cret/hooks", "must be like sqlite:///"),
        ("DATABASE_URL", "postgresql+s3cret://anna:s3cret@db/hooks", "must be like sqlite:///"),
        ("PUBLIC_URL", "https://s3cret:s3cret@hooks.example", "must be like https://hooks.example"),
        ("ALLOW_ADDRESSES", "10.0.0.0/99", "must be addresses, networks and names"),
        ("LIMITS_URL", "redi://:s3cret@db", "must be memory://"),
        ("BROKER_URL", "s3cret://:s3cret@db", "must be like redis://"),
        ("MAX_ENDPOINTS", "s3cret", "should be a valid integer"),
        ("RETENTION_DAYS", "0", "should be greater than or equal to"),
    ],
)
def test_unusable_settings(tmp_path: Path, name: str, value: str, says: str) -> None:
    """A setting that cannot be used is named in one line, without its value."""
    operator = Operator(tmp_path, {name: value})

    for command in ("check", "serve", "work", "migrate"):
        ran = operator.run(command)
        assert (ran.status, ran.output) == (2, "")
        assert ran.errors.startswith(f"DELIVERY_SERVICE_{name}")
        assert ran.errors.count("\n") == 1
        assert says in ran.errors
        assert "s3cret" not in ran.errors


@pytest.mark.parametrize(
    ("name", "value", "package", "extra"),
    [
        ("BROKER_URL", "redis://127.0.0.1", "celery", "celery"),
        ("DATABASE_URL", "postgresql+psycopg://anna@db/hooks", "psycopg", "postgresql"),
    ],
)
def test_missing_package(
    operator: Operator,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    package: str,
    extra: str,
) -> None:
    """A package that a setting needs is installed from a checkout: no index has this service."""
    monkeypatch.setitem(sys.modules, package, None)
    operator.variables[name] = value

    ran = operator.run("check")

    assert ran.status == 2
    assert ran.errors.startswith(f"DELIVERY_SERVICE_{name} needs ")
    assert ran.errors.count("\n") == 1
    assert f"pip install './examples/delivery_service[{extra}]'" in ran.errors


def test_missing_key(tmp_path: Path) -> None:
    """Without a key, the message does not lead to a new one for a database that is in use."""
    operator = Operator(tmp_path)
    del operator.variables["KEYS"]

    ran = operator.run("migrate")

    assert ran.status == 2
    assert ran.errors == (
        "DELIVERY_SERVICE_KEYS is not set: give it the key that the database was used with. "
        "For a new database, `delivery-service new-key` makes one\n"
    )
    assert len(Fernet(operator.must("new-key").strip()).encrypt(b"")) > 0


@pytest.mark.parametrize(
    "command",
    ["serve", "work", "check", "confirm", "rotate-keys", "list-tenants"],
)
def test_not_migrated(tmp_path: Path, command: str) -> None:
    """Without tables, a command says at once that they are to be created."""
    (tmp_path / "service.db").touch()
    ran = Operator(tmp_path).run(command)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors == (
        "the database has no tables of the service: run `delivery-service migrate`\n"
    )


@pytest.mark.parametrize(
    "command",
    ["serve", "work", "check", "confirm", "rotate-keys", "list-tenants"],
)
def test_no_such_file(tmp_path: Path, command: str) -> None:
    """A wrong path is said, and no empty file is made."""
    ran = Operator(tmp_path).run(command)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors == (
        "the database is a file that does not exist: correct its path, or create it with "
        "`delivery-service migrate`\n"
    )
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("url", "command", "cause"),
    [
        (
            "sqlite:////no/such/s3cret/file.db",
            "migrate",
            "its file cannot be opened, or its folder does not exist",
        ),
        ("sqlite:///{folder}/text.txt", "check", "its file is not of SQLite"),
        (
            "postgresql+psycopg://s3cret:s3cret@127.0.0.1:1/s3cret",
            "check",
            "no server listens there",
        ),
        (
            "postgresql+psycopg://s3cret:s3cret@/s3cret?host=/no/such/s3cret",
            "check",
            "no server listens there",
        ),
        (
            "postgresql+psycopg://s3cret:s3cret@s3cret.invalid/s3cret",
            "check",
            "there is no host of this name",
        ),
    ],
    ids=["no folder", "no database", "no port", "no socket", "no host"],
)
def test_causes(tmp_path: Path, url: str, command: str, cause: str) -> None:
    """It is said why a database cannot be used, without any part of its URL."""
    (tmp_path / "text.txt").write_text("This is a text. " * 100)
    operator = Operator(tmp_path, {"DATABASE_URL": url.format(folder=tmp_path)})

    ran = operator.run(command)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors == f"DELIVERY_SERVICE_DATABASE_URL: the database cannot be used: {cause}\n"


@pytest.mark.long
@pytest.mark.stress
def test_locked_file(operator: Operator) -> None:
    """Another process that writes for too long is said to do so."""
    engine = create_engine(operator.url())
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        ran = operator.run("create-tenant", "globex", "Globex")
    engine.dispose()

    assert ran.status == 2
    assert ran.errors.endswith("the database cannot be used: another process has locked it\n")


def test_causes_of_a_server(tmp_path: Path) -> None:
    """PostgreSQL quotes names and users; what is said of it does not."""
    with postgresql() as server:
        place = f"?host={server['HOST']}"
        user = f"postgresql+psycopg://{server['USER']}"
        unknown = Operator(tmp_path, {"DATABASE_URL": f"{user}@/s3cret{place}"}).run("check")
        refused = Operator(
            tmp_path, {"DATABASE_URL": f"postgresql+psycopg://s3cret:s3cret@/postgres{place}"}
        ).run("check")

    assert unknown.errors.endswith("cannot be used: the server has no database of this name\n")
    assert refused.errors.endswith("cannot be used: the server refuses the user or the password\n")


@pytest.mark.parametrize("command", ["check", "serve", "work"])
def test_wrong_keys(operator: Operator, command: str) -> None:
    """Keys that decrypt nothing are refused at once: a worker would pause each endpoint."""
    with operator.state() as state:
        added, secret = state.account("acme").add_endpoint("https://shop.example/hooks")
    operator.variables["KEYS"] = operator.must("new-key").strip()

    ran = operator.run(command)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith("1 of 1 stored secrets and headers cannot be decrypted")
    assert added.endpoint.id in ran.errors
    assert "Give DELIVERY_SERVICE_KEYS the key that encrypted them" in ran.errors
    assert "--although-key-lost" in ran.errors
    assert ran.errors.count("\n") == 1
    assert secret not in ran.errors


def test_lost_key(operator: Operator) -> None:
    """A service whose key is lost can start, so that endpoints get new secrets."""
    with FakeReceiver() as receiver:
        with operator.state() as state:
            added, _ = state.account("acme").add_endpoint(receiver.url)
        operator.variables["KEYS"] = operator.must("new-key").strip()

        with (
            operator.start("work", "--although-key-lost", ready="sending what is due"),
            operator.state() as state,
        ):
            account = state.account("acme")
            account.rotate_secret(added.endpoint.id, overlap=0)
            account.publish([NewMessage(event_type="a", payload=1)])
            receiver.wait_for(1, timeout=30)
    assert operator.must("check")


def test_migrate_again(operator: Operator) -> None:
    """Tables that are there already stay as they are."""
    operator.must("migrate")

    assert operator.must("check") == "the settings and the tables can be used\n"
    assert "acme" in operator.must("list-tenants")


@pytest.mark.parametrize(
    ("words", "given", "says"),
    [
        (["create-tenant", "acme", "Acme"], "", "there is a tenant acme already"),
        (["create-tenant", "Acme Inc", "Acme"], "", "up to 64 small letters"),
        (["create-tenant", "long", "a" * 201], "", "NAME has up to 200 characters"),
        (["create-key", "nobody", "a"], "", "there is no tenant nobody: add it with create-tenant"),
        (["create-key", "acme", "a", "--scope", "all"], "", "--scope is one of endpoints:read"),
        (["list-keys", "nobody"], "", "there is no tenant nobody"),
        (["revoke-key", "acme", "0123"], "", "this tenant has no such valid key"),
        (["add-person", "nobody", "a@b.example"], PASSWORD, "there is no tenant nobody"),
        (["add-person", "acme", "anna"], PASSWORD, "EMAIL is an address"),
        (["add-person", "acme", "a@b.example"], "short", "a password has 12 to 200 characters"),
        (["set-password", "a@b.example"], PASSWORD, "nobody logs in with a@b.example"),
        (["remove-person", "a@b.example"], "", "nobody logs in with a@b.example"),
        (["list-people", "nobody"], "", "there is no tenant nobody"),
    ],
    ids=lambda value: "-".join(value[:2])[:30] if isinstance(value, list) else "",
)
def test_refusals(operator: Operator, words: list[str], given: str, says: str) -> None:
    """What cannot be done is said in one line."""
    ran = operator.run(*words, given=given)

    assert (ran.status, ran.output) == (2, "")
    assert ran.errors.startswith(says) or says in ran.errors
    assert ran.errors.count("\n") == 1


def test_person_twice(operator: Operator) -> None:
    """An address logs in to one tenant only."""
    operator.must("add-person", "acme", "anna@acme.example", given=PASSWORD)

    ran = operator.run("add-person", "acme", "ANNA@acme.example", given=PASSWORD)

    assert ran.status == 2
    assert "can log in already: set-password changes the password" in ran.errors


def test_rotate_keys(operator: Operator) -> None:
    """After it, the old key can be left out."""
    with FakeReceiver() as receiver:
        with operator.state() as state:
            state.account("acme").add_endpoint(receiver.url)
        old, new = operator.variables["KEYS"], operator.must("new-key").strip()
        operator.variables["KEYS"] = f"{new},{old}"
        assert operator.must("rotate-keys") == "endpoints that are encrypted anew: 1\n"

        operator.variables["KEYS"] = new
        with operator.sending() as state:
            state.account("acme").publish([NewMessage(event_type="a", payload=1)])
            receiver.wait_for(1, timeout=30)


def test_copied_database(operator: Operator) -> None:
    """A copy sends nothing until somebody confirms, and each command says so."""
    del operator.variables["INSTALLATION"]
    operator.run("confirm")
    assert operator.run("check").errors == ""
    shutil.copy(operator.folder / "service.db", operator.folder / "copy.db")
    operator.variables["DATABASE_URL"] = operator.url("copy.db")

    ran = operator.run("check")
    assert (ran.status, ran.errors) == (
        0,
        "the database was copied or moved: `delivery-service confirm` lets it send\n",
    )
    operator.run("confirm")
    assert operator.run("check").errors == ""


def test_work_ends(operator: Operator) -> None:
    """After SIGTERM, a worker waits for the attempt in flight, and makes no other."""
    with (
        FakeReceiver([Answer(200, delay=0.5)]) as receiver,
        operator.work() as worker,
        operator.state() as state,
    ):
        account = state.account("acme")
        account.add_endpoint(receiver.url)
        account.publish([NewMessage(event_type="a", payload=1)])
        receiver.wait_for(1, timeout=30)
        worker.stop()

        (delivery,) = account.deliveries()
        assert (str(delivery.state), delivery.attempts) == ("delivered", 1)
    assert worker.has_logged("ended", 1)
    assert "Traceback" not in worker.log


def test_ready(operator: Operator) -> None:
    """A server is ready if its tables are right; if not, it says what to run."""
    app = create_app(operator.settings())

    def ready() -> tuple[int, str]:
        answer = client.get("/ready", headers={"Host": "127.0.0.1"})
        return answer.status_code, answer.json().get("detail", "")

    with TestClient(app) as client:
        assert ready() == (200, "")
        engine = create_engine(operator.url())
        with engine.begin() as connection:
            connection.execute(text("UPDATE hooksig_installation SET fingerprint = 'another'"))
        assert ready() == (
            503,
            "the database was copied or moved: run `delivery-service confirm`",
        )
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        assert ready() == (
            503,
            "the database has tables of version 0000 of the service: "
            "run `delivery-service migrate`",
        )
        engine.dispose()


@pytest.mark.long
@pytest.mark.stress
def test_serve_ends(operator: Operator) -> None:
    """After SIGTERM, a server ends without a traceback."""
    with operator.serve() as server:
        assert server.send("/ready", method="GET").status == 200
        server.stop()

    assert "Application shutdown complete" in server.log
    assert "Traceback" not in server.log

"""Django: an outbox on its connection, the tables, the setting and the command."""

from __future__ import annotations

import io
import logging
import os
import sqlite3
import traceback
import unittest
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, connections, transaction
from django.db.migrations.loader import MigrationLoader
from django.test import TestCase, override_settings

from frappe_hooksig import ConfigurationError
from frappe_hooksig.integrations import django as integration
from frappe_hooksig.integrations.django import DjangoDatabase, _database
from frappe_hooksig.integrations.django._outbox_tables import create_tables
from frappe_hooksig.outbox import Formatted, Outbox, SQLiteDatabase, Worker
from frappe_hooksig.outbox._tables import NEWEST
from frappe_hooksig.sending import AddressGuard
from frappe_hooksig.testing import FakeReceiver
from tests.integrations.test_django import SETTINGS

# isort: split
# What needs Django's settings, which are made by the import of test_django.
from frappe_hooksig.integrations.django.models import Attempt, Delivery, Endpoint, Message

assert SETTINGS

SECRET = "whsec_zq783MqrAdosnLSxNLIacoxW2X6QzxNa"
URL = "http://127.0.0.1:9/hook"
TABLES = {
    *("hooksig_attempts", "hooksig_deliveries", "hooksig_endpoints", "hooksig_installation"),
    *("hooksig_lanes", "hooksig_messages", "hooksig_processes"),
}

# What the settings name.
outbox = Outbox(
    DjangoDatabase(),
    guard=AddressGuard(["127.0.0.1"]),
    references={"test": lambda _: SECRET},
    formats={"envelope": lambda each: Formatted({"data": each.json()})},
    observe=(),
    observe_attempts=(),
)
elsewhere = Outbox("elsewhere.sqlite3")
named = override_settings(FRAPPE_HOOKSIG_OUTBOX=f"{__name__}.outbox")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A SQLite database in a file, with the tables."""
    settings: dict[str, Any] = connections["default"].settings_dict
    monkeypatch.setitem(settings, "NAME", str(tmp_path / "site.sqlite3"))
    connections["default"].close()
    call_command("migrate", verbosity=0)
    yield tmp_path / "site.sqlite3"
    outbox.close()
    connections["default"].close()


def add_endpoint(url: str = URL, **options: Any) -> str:
    """Add an endpoint, and return its id."""
    return outbox.add_endpoint(url, secret_from="test:a", **options).id


def tables() -> set[str]:
    """Return the names of the outbox's tables that there are."""
    return {each for each in connection.introspection.table_names() if each in TABLES}


class TestDatabase:
    """`DjangoDatabase`."""

    @pytest.mark.parametrize(("is_undone", "count"), [(False, 1), (True, 0)])
    def test_transaction(self, file: Path, is_undone: bool, count: int) -> None:  # noqa: FBT001
        """A message is there if and only if the transaction is committed."""
        assert file.exists()
        with transaction.atomic():
            outbox.publish(connection, "invoice.paid", {"total": 7})
            transaction.set_rollback(is_undone)

        assert Message.objects.count() == count

    def test_connections(self, file: Path) -> None:
        """`django.db.connection` and `connections[...]` are the same; others are refused."""
        assert outbox.publish(connections["default"], "a", 1)
        assert outbox.publish(connection, "a", 1)

        with closing(sqlite3.connect(file)) as other, pytest.raises(ConfigurationError) as caught:
            outbox.publish(other, "a", 1)
        assert "takes a connection of Django" in str(caught.value)
        with pytest.raises(ConfigurationError, match="connection 'once', and the outbox is in ano"):
            outbox.publish(connections["once"], "a", 1)

    def test_no_values_in_the_frames_of_an_error(self, file: Path) -> None:
        """Nor in those of its cause, which Django's pages about errors show, too."""
        with closing(sqlite3.connect(file)) as other, other:
            for table in ("messages", "endpoints"):
                other.execute(
                    f"CREATE TRIGGER no_{table} BEFORE INSERT ON hooksig_{table} "
                    "BEGIN SELECT RAISE(ABORT, 'no'); END"
                )

        acts: list[Callable[[], object]] = [
            lambda: outbox.publish(connection, "a", "Kz5RtYb3Nc6V"),
            lambda: add_endpoint(f"{URL}/Kz5RtYb3Nc6V"),
        ]
        for act in acts:
            with pytest.raises(IntegrityError) as caught:
                act()
            cause = caught.value.__cause__
            assert cause is not None
            assert cause.__traceback__ is None
            shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
            ours = [str(each.locals) for each in shown.stack if each.filename != __file__]
            assert "Kz5RtYb3Nc6V" not in f"{caught.value!r} {ours}"

    def test_bell(self, file: Path) -> None:
        """It is rung after the outermost commit; at once where Django cannot tell."""
        assert file.exists()
        rung: list[str] = []
        database = DjangoDatabase()

        with transaction.atomic():
            with transaction.atomic():
                database.after_commit(connection, lambda: rung.append("commit"))
            assert rung == []
        assert rung == ["commit"]
        database.after_commit(connection, lambda: rung.append("without"))
        assert rung == ["commit", "without"]

        connection.set_autocommit(False)
        database.after_commit(connection, lambda: rung.append("manual"))
        connection.set_autocommit(True)
        assert rung == ["commit", "without", "manual"]

    def test_bell_that_fails(self, file: Path, caplog: pytest.LogCaptureFixture) -> None:
        """What the app has committed is none of its business."""
        assert file.exists()

        with caplog.at_level(logging.CRITICAL), transaction.atomic():
            DjangoDatabase().after_commit(connection, lambda: 1 / 0)

    def test_statements(self, file: Path) -> None:
        """Percent signs and colons are what they are."""
        assert file.exists()
        database = DjangoDatabase()
        found = database.run(
            lambda each: each.rows("SELECT '10:30 :a %', 7 % 4, :a", {"a": "100%s :b"})
        )
        database.close()

        assert found == [("10:30 :a %", 3, "100%s :b")]

    def test_settings_of_connections_do_not_matter(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The outbox commits on its own, keeps its connections, and logs no statements."""
        assert file.exists()
        settings: dict[str, Any] = connections["default"].settings_dict
        options = {"AUTOCOMMIT": False, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True}
        for name, value in options.items():
            monkeypatch.setitem(settings, name, value)

        with override_settings(DEBUG=True), caplog.at_level(logging.DEBUG, "django.db.backends"):
            endpoint = add_endpoint()
        logged = [each for each in caplog.records if "hooksig" in each.getMessage()]

        assert Endpoint.objects.get().id == endpoint
        assert logged == []

    def test_other_process(self, file: Path) -> None:
        """Whatever writes the file is noticed, and a SQLiteDatabase is the same installation."""
        database = DjangoDatabase()
        before = database.version()
        assert database.version() == before
        other = Outbox(SQLiteDatabase(file), guard=AddressGuard(["127.0.0.1"]))

        other.add_endpoint(URL, secret_from="env:A")

        assert database.version() != before
        assert other.is_confirmed()
        assert outbox.is_confirmed()
        other.close()
        database.close()

    def test_journal_in_use(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file stays in its mode while others use it, which is no error."""
        monkeypatch.setitem(connections["default"].settings_dict, "OPTIONS", {"timeout": 0.1})
        database = DjangoDatabase()
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT * FROM hooksig_endpoints").fetchall()

            assert database.version() is not None
            assert other.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert database.run(lambda each: each.rows("PRAGMA journal_mode")) == [("wal",)]
        database.close()

    def test_error(self, file: Path) -> None:
        """What the database refuses leaves nothing behind, and the next one works."""
        assert file.exists()
        database = DjangoDatabase()

        def fail(each: Any) -> None:
            each.change("DELETE FROM hooksig_installation")
            each.rows("SELECT nonsense")

        with pytest.raises(database.errors):
            database.run(fail)
        assert database.run(lambda each: each.rows("SELECT 1 FROM hooksig_installation")) == [(1,)]
        database.close()

    def test_stale_connection(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """An idle connection that was closed meanwhile is replaced."""
        assert file.exists()
        monkeypatch.setattr(_database, "_FRESH", 0.0)
        database = DjangoDatabase()
        used: list[Any] = []

        def look(each: Any) -> None:
            used.append(each._connection)  # noqa: SLF001
            each.rows("SELECT 1")

        database.run(look)
        database.run(look)
        used[0].connection.close()
        database.run(look)

        assert [each is used[0] for each in used] == [True, True, False]
        database.close()

    def test_fork(self, file: Path) -> None:
        """A child does not use SQLite while its parent does: it would believe to have its locks."""
        assert file.exists()
        database = DjangoDatabase()
        own = Outbox(database)
        database.version()
        assert own.endpoints() == []
        assert looked_by_a_child(own) == (
            "this process was forked while its parent used the outbox: "
            "fork before the first use, or close() the outbox before"
        )

        own.close()

        assert looked_by_a_child(own) == "[]"

    @pytest.mark.parametrize(
        ("using", "options", "message"),
        [
            ("nonsense", {}, "using='nonsense' is not an alias in DATABASES"),
            ("odd", {"ENGINE": "django.db.backends.dummy"}, "MariaDB, not in unknown"),
        ],
    )
    def test_refused(
        self,
        using: str,
        options: dict[str, str],
        message: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """What no outbox can live in is refused when it is made."""
        known: Any = connections.settings
        monkeypatch.setitem(known, "odd", {**known["default"], **options})

        with pytest.raises(ConfigurationError, match=message):
            DjangoDatabase(using)

    def test_memory(self) -> None:
        """What is in memory ends with the process."""
        with pytest.raises(ConfigurationError, match="a database in a file, which survives"):
            Outbox(DjangoDatabase()).endpoints()

    def test_name(self) -> None:
        """Its name is imported on first use; no other one is made up."""
        assert repr(DjangoDatabase()) == "<DjangoDatabase 'default'>"
        with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
            _ = integration.nonsense


def looked_by_a_child(own: Outbox) -> str:
    """Look at the endpoints in a fork of this process; return them, or why that is refused."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        own.close()  # what is the parent's stays
        try:
            text = repr(own.endpoints())
        except ConfigurationError as error:
            text = str(error)
        os.write(writes, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writes)
    with os.fdopen(reads) as said:
        return said.read()


class InTestCase(TestCase):
    """What a project tests, in the transaction of Django's TestCase."""

    __test__ = False  # but by the test below
    receiver: FakeReceiver

    def test_all(self) -> None:
        with transaction.atomic():
            add_endpoint(self.receiver.url)
            message = outbox.publish(connection, "invoice.paid", {"total": 7})
        assert Message.objects.get().id == message
        assert not outbox.drain()
        (delivery,) = outbox.deliveries()
        assert (delivery.message_id, str(delivery.state)) == (message, "delivered")

    def test_bell(self) -> None:
        with self.captureOnCommitCallbacks() as callbacks:
            outbox.publish(connection, "invoice.paid", {"total": 7})
        assert len(callbacks) == 1


class TestInTestCase:
    """In the transaction of Django's TestCase, which never commits."""

    @pytest.mark.parametrize("name", ["test_all", "test_bell"])
    def test_case(self, file: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """All is on the connection of the test, and gone after it."""
        assert file.exists()
        result = unittest.TestResult()
        with FakeReceiver() as receiver:
            monkeypatch.setattr(InTestCase, "receiver", receiver, raising=False)
            unittest.TestSuite([InTestCase(name)]).run(result)

        assert (result.testsRun, result.errors, result.failures) == (1, [], [])
        assert Message.objects.count() == 0
        assert outbox.endpoints() == []


class NotThere:
    """A router that allows no table of an outbox."""

    @staticmethod
    def allow_migrate(_alias: str, _label: str, model_name: str = "", **_: Any) -> bool:
        return model_name != "message"


class TestMigration:
    """The tables, as a migration makes them."""

    def test_there_and_back(self, file: Path) -> None:
        """They are made, dropped and made again; no migration is missing."""
        assert file.exists()
        assert tables() == TABLES
        call_command("migrate", "frappe_hooksig", "0001", verbosity=0)
        assert tables() == set()
        call_command("migrate", verbosity=0)
        assert tables() == TABLES
        call_command("makemigrations", check=True, verbosity=0)
        assert outbox.migrate() == 0

    def test_from_version_1(self, file: Path) -> None:
        """The migration of the release before leaves an older version, which the next one mends."""
        assert file.exists()
        endpoint = add_endpoint()
        call_command("migrate", "frappe_hooksig", "0002", verbosity=0)
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE hooksig_endpoints DROP COLUMN format")
            cursor.execute("UPDATE hooksig_installation SET version = 1")
        with pytest.raises(ConfigurationError, match=r"`manage\.py migrate`"):
            outbox.endpoints()

        call_command("migrate", verbosity=0)

        assert [(each.id, each.format) for each in outbox.endpoints()] == [(endpoint, None)]
        assert outbox.change_endpoint(endpoint, format="envelope").format == "envelope"

    def test_versions(self) -> None:
        """Each version of the tables has a migration, so that `manage.py migrate` brings it."""
        loaded = MigrationLoader(None).disk_migrations
        creating = [
            operation
            for (app, _), migration in loaded.items()
            for operation in migration.operations
            if app == "frappe_hooksig" and getattr(operation, "code", None) is create_tables
        ]

        assert len(creating) == NEWEST

    @pytest.mark.parametrize("is_mysql", [False, True], ids=["router", "MySQL"])
    def test_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_mysql: bool
    ) -> None:
        """A router can leave them out; MySQL, which has no such SQL, has the store's alone."""
        monkeypatch.setitem(connections["default"].settings_dict, "NAME", str(tmp_path / "a.db"))
        connections["default"].close()
        # No MySQL is here: a server says which one it is.
        kind = type(connections["default"])
        monkeypatch.setattr(kind, "mysql_is_mariadb", not is_mysql, raising=False)
        routers = [] if is_mysql else [f"{__name__}.NotThere"]
        with override_settings(DATABASE_ROUTERS=routers):
            call_command("migrate", verbosity=0)
            call_command("migrate", "frappe_hooksig", "0001", verbosity=0)
            call_command("migrate", verbosity=0)

        assert "frappe_hooksig_handleddelivery" in connection.introspection.table_names()
        assert tables() == set()
        with pytest.raises(ConfigurationError, match="not in MySQL" if is_mysql else "no tables"):
            outbox.drain()
        outbox.close()
        connections["default"].close()


class TestSetting:
    """FRAPPE_HOOKSIG_OUTBOX."""

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (7, "must be the path of an Outbox"),
            ("nonsense.outbox", "cannot be imported: No module named 'nonsense'"),
            (f"{__name__}.nonsense", "cannot be imported: "),
            (f"{__name__}.SECRET", "and tests.integrations.test_django_outbox.SECRET is none"),
            (f"{__name__}.elsewhere", "must name an Outbox(DjangoDatabase())"),
        ],
    )
    def test_check(self, value: object, message: str) -> None:
        """`manage.py check` says what is wrong with it."""
        with override_settings(FRAPPE_HOOKSIG_OUTBOX=value):
            (problem,) = run_checks()

            assert problem.id == "frappe_hooksig.E002"
            assert message in problem.msg
            with pytest.raises(CommandError) as caught:
                call_command("hooksig_worker", "--once")
            assert f"{caught.value}." == problem.msg

    def test_right(self) -> None:
        """A setting that is right, and none, are fine."""
        assert run_checks() == []
        with named:
            assert run_checks() == []


class TestWorker:
    """`manage.py hooksig_worker`."""

    def test_once(self, file: Path) -> None:
        """It sends what is due, with its receiver's secret, and ends."""
        assert file.exists()
        with FakeReceiver([200]) as receiver, named:
            add_endpoint(receiver.url)
            with transaction.atomic():
                message = outbox.publish(connection, "invoice.paid", {"total": 7})
            output = io.StringIO()
            call_command("hooksig_worker", "--once", "--slots=2", stdout=output)

            (request,) = receiver.requests
        assert output.getvalue() == "1 attempts\n"
        assert request.header("webhook-id") == message
        assert Delivery.objects.get().attempts == 1
        assert str(Attempt.objects.get()) == "attempt 1"

    def test_rings(self, file: Path) -> None:
        """A worker in the same process sends what is committed."""
        assert file.exists()
        with FakeReceiver([200]) as receiver, Worker(outbox):
            add_endpoint(receiver.url)
            with transaction.atomic():
                outbox.publish(connection, "invoice.paid", {"total": 7})

            (request,) = receiver.wait_for(1, 30)
        assert request.json() == {"total": 7}

    def test_confirm(self, file: Path) -> None:
        """Tables that another installation has used are taken over if somebody says so."""
        assert file.exists()
        with named:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("UPDATE hooksig_installation SET fingerprint = 'other'")
            with pytest.raises(CommandError, match="another installation: see --confirm"):
                call_command("hooksig_worker", "--once")

            call_command("hooksig_worker", "--once", "--confirm", stdout=io.StringIO())
            assert outbox.is_confirmed()

    def test_slots(self, file: Path) -> None:
        """What no worker takes is an error of the command."""
        assert file.exists()
        with named, pytest.raises(CommandError, match="slots= must be a whole number"):
            call_command("hooksig_worker", "--once", "--slots=0")

"""An outbox in a SQLite file, with the driver of the standard library."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from frappe_hooksig import ConfigurationError
from frappe_hooksig.outbox import Outbox, SQLiteDatabase
from frappe_hooksig.outbox._database import time_of
from tests.outbox.places import Place

# What a process does that was forked: it says how its use of the outbox ended.
FORKED = """
import os, sys
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.outbox import SQLiteDatabase
database = SQLiteDatabase(sys.argv[1])
{before}
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    print(database.run(lambda connection: connection.rows("SELECT 7")), flush=True)
except ConfigurationError as error:
    print(error, flush=True)
os._exit(0)
"""


@pytest.mark.parametrize("path", [":memory:", ""])
def test_no_file(path: str) -> None:
    """What is in memory would end with the process. The half-made database can be shown."""
    with pytest.raises(ConfigurationError, match="needs a file") as caught:
        SQLiteDatabase(path)

    assert traceback.TracebackException.from_exception(caught.value, capture_locals=True)


def test_path_of_an_outbox(tmp_path: Path) -> None:
    """An outbox takes a path instead of a database: str or Path."""
    for path in (tmp_path / "a.sqlite3", str(tmp_path / "a.sqlite3")):
        outbox = Outbox(path)
        outbox.migrate()
        assert outbox.is_confirmed()
        assert repr(outbox) == f"<Outbox in <SQLiteDatabase {str(path)!r}>>"
        outbox.close()


def test_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays the same if the process changes its directory."""
    monkeypatch.chdir(tmp_path)
    database = SQLiteDatabase("outbox.sqlite3")
    monkeypatch.chdir("/")

    database.run(time_of)
    database.close()

    assert (tmp_path / "outbox.sqlite3").exists()


def test_write_ahead_log(sqlite: Place) -> None:
    """Readers and the writer do not wait for each other."""
    sqlite.outbox()

    with sqlite.caller() as caller:
        assert caller.theirs.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_row_factory_of_the_caller(sqlite: Place) -> None:
    """The caller's connection may return rows of any kind, and still does afterwards."""
    outbox = sqlite.outbox()

    with sqlite.caller() as caller:
        caller.theirs.row_factory = sqlite3.Row
        first = outbox.publish(caller.theirs, "invoice.paid", {}, idempotency_key="a")
        again = outbox.publish(caller.theirs, "invoice.paid", {}, idempotency_key="a")
        caller.commit()
        row = caller.theirs.execute("SELECT id FROM hooksig_messages").fetchone()

    assert first == again == row["id"]


@pytest.mark.parametrize("theirs", [None, "path", object()], ids=["None", "str", "object"])
def test_connection_of_something_else(sqlite: Place, theirs: object) -> None:
    """What is no connection is refused by its type."""
    with pytest.raises(ConfigurationError, match=f"not a {type(theirs).__name__}"):
        sqlite.outbox().publish(theirs, "invoice.paid", {})


def test_version(sqlite: Place) -> None:
    """The number changes with the commit of another connection, and with nothing else."""
    outbox = sqlite.outbox()
    database = sqlite.database()
    before = database.version()
    with sqlite.caller() as caller:
        outbox.publish(caller.theirs, "invoice.paid", {})
        caller.rollback()
    assert database.version() == before

    sqlite.publish(outbox, "invoice.paid", {})

    assert database.version() != before


def test_version_after_close(sqlite: Place) -> None:
    """A database that was closed looks again with another connection."""
    database = sqlite.database()
    assert isinstance(database.version(), int)

    database.close()

    assert isinstance(database.version(), int)


def test_no_database_there(tmp_path: Path) -> None:
    """A file that is no database is an error of the database, and nothing stays open."""
    path = tmp_path / "outbox.sqlite3"
    path.write_bytes(b"no database, but some other file" * 100)
    database = SQLiteDatabase(path)

    with pytest.raises(database.errors, match="not a database"):
        database.run(time_of)


def test_identity_is_the_file(tmp_path: Path) -> None:
    """A link to a file leads to the same installation; a copy is another one."""
    path, link, copy = (tmp_path / name for name in ("a", "link", "copy"))
    original = Outbox(path)
    original.migrate()
    original.close()
    link.symlink_to(path)
    copy.write_bytes(path.read_bytes())

    for place, is_same in ((link, True), (copy, False)):
        outbox = Outbox(place)
        assert outbox.is_confirmed() is is_same
        outbox.close()


@pytest.mark.parametrize(
    "before",
    ["", "database.run(lambda connection: None); database.close()"],
    ids=["unused", "closed"],
)
def test_fork(tmp_path: Path, before: str) -> None:
    """A child may use an outbox that its parent has not used, or has closed."""
    assert forked(tmp_path, before) == "[(7,)]\n"


@pytest.mark.parametrize(
    "before", ["database.run(lambda connection: None)", "database.version()"], ids=["idle", "watch"]
)
def test_fork_with_connections(tmp_path: Path, before: str) -> None:
    """SQLite's locks belong to the parent, so a child with its connections is refused."""
    assert "fork before the first use" in forked(tmp_path, before)


def forked(folder: Path, before: str) -> str:
    """Return what a child says."""
    code = FORKED.format(before=before)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder / "outbox.sqlite3")],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        timeout=60,
    )
    return done.stdout


def test_repr(tmp_path: Path) -> None:
    """It names the file."""
    assert repr(SQLiteDatabase(tmp_path / "a")) == f"<SQLiteDatabase '{tmp_path / 'a'}'>"


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Write to a new file, which has no write-ahead log yet."""
    path = tmp_path / "new.db"
    with closing(
        sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    ) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_new_file_in_use(tmp_path: Path, writer: sqlite3.Connection) -> None:
    """While another process writes to a new file, the switch to write-ahead logging waits."""
    timer = threading.Timer(0.2, writer.execute, ["COMMIT"])
    timer.start()
    with closing(SQLiteDatabase(tmp_path / "new.db")) as database:
        mode = database.run(lambda each: each.rows("PRAGMA journal_mode"))
    timer.join()

    assert mode == [("wal",)]


def test_new_file_in_use_for_long(
    tmp_path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not wait for ever."""
    monkeypatch.setattr("frappe_hooksig.outbox._sqlite._TIMEOUT", 0.02)
    database = SQLiteDatabase(tmp_path / "new.db")

    with pytest.raises(sqlite3.OperationalError, match="locked"):
        database.run(time_of)
    writer.execute("COMMIT")

    assert database.run(time_of)
    database.close()

"""A copy of a database sends nothing, until somebody confirms that it is to."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from frappe_hooksig import generate_secret
from tests.outbox.apps import App, app_at, in_mariadb, in_postgresql, in_sqlite
from tests.outbox.programs import SECRET
from tests.outbox.running import Notes, Workers, receiver, wait_until
from tests.selection import at_full_size

Copy = Callable[[App, Path], App]


def copied_file(original: App, folder: Path) -> App:
    """Copy a SQLite file, which nobody uses."""
    path = Path(original.address)
    assert [each.name for each in folder.glob(f"{path.name}*")] == [path.name]
    shutil.copy(path, folder / "copy.sqlite3")
    return app_at(f"sqlite:///{folder / 'copy.sqlite3'}")


def copied_in_postgresql(original: App, _folder: Path) -> App:
    """Copy a database with a statement of PostgreSQL."""
    url = original.engine.url
    admin = create_engine(url.set(database="template1"), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE copied TEMPLATE {url.database}"))
    admin.dispose()
    return app_at(url.set(database="copied").render_as_string())


def copied_in_mariadb(original: App, _folder: Path) -> App:
    """Copy a database as a dump."""
    url = original.engine.url
    socket = f"--socket={url.query['unix_socket']}"
    dump = subprocess.run(
        ["mariadb-dump", "--no-defaults", "--user=root", socket, str(url.database)],
        capture_output=True,
        check=True,
    )
    client = ["mariadb", "--no-defaults", "--user=root", socket]
    subprocess.run([*client, "--execute=CREATE DATABASE copied"], check=True)
    subprocess.run([*client, "copied"], input=dump.stdout, check=True)
    return app_at(url.set(database="copied").render_as_string())


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, generate_secret("whsec"))


@pytest.fixture
def original(opens: Callable[[Path], AbstractContextManager[App]], tmp_path: Path) -> Iterator[App]:
    """An app with an outbox in each database."""
    with opens(tmp_path) as opened:
        yield opened


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    """What the receiver writes down."""
    with receiver(tmp_path) as taken:
        yield taken


@pytest.mark.parametrize(
    ("opens", "copied"),
    [
        pytest.param(in_sqlite, copied_file, marks=pytest.mark.stress),
        at_full_size(in_postgresql, copied_in_postgresql),
        at_full_size(in_mariadb, copied_in_mariadb),
    ],
    ids=["SQLite", "PostgreSQL", "MariaDB"],
)
def test_copy(original: App, copied: Copy, notes: Notes, tmp_path: Path) -> None:
    """A worker on a copy waits until somebody confirms; then it sends what the copy has."""
    original.add_endpoints(notes)
    published = original.publish(3)
    original.close()
    with closing(copied(original, tmp_path)) as copy:
        assert original.outbox.is_confirmed()
        assert not copy.outbox.is_confirmed()
        published += copy.publish()
        with Workers(copy.address, tmp_path / "workers.log") as workers:
            wait_until(lambda: "event: unconfirmed other-installation" in workers.log)
            time.sleep(1)
            assert not copy.outbox.drain()
            assert notes.counts("arrived").total() == 0
            assert workers.log.count("event:") == 1

            copy.outbox.confirm()

            notes.wait_for("handled", len(published))
            wait_until(copy.has_nothing_left)

    assert set(notes.counts("handled")) == {("/0", each) for each in published}
    assert original.outbox.is_confirmed()

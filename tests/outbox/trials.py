"""Trials of an outbox with processes: its workers, and a receiver for all its endpoints."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, TypeVar

from typing_extensions import Self

from frappe_hooksig.outbox import Outbox, SQLiteDatabase
from frappe_hooksig.outbox._database import Connection, Database, Values
from frappe_hooksig.outbox._dialect import Dialect
from frappe_hooksig.sending import AddressGuard
from tests.loopback import Server, served
from tests.senders import SECRETS

_T = TypeVar("_T")

#: A payload with this ends the process that sends it.
POISON: Final = b"poison"
#: Where the endpoints of a trial have their secret.
SECRET: Final = "env:TRIAL_SECRET"
_ENVIRONMENT: Final = {"TRIAL_SECRET": SECRETS["whsec"]}
_DEADLINE: Final = 30.0  # seconds


class Shifted:
    """A database whose clock a test can put forward and back: by `offset`, in milliseconds."""

    class _Connection:
        def __init__(self, connection: Connection) -> None:
            self._connection = connection
            self.dialect: Dialect = connection.dialect

        def rows(self, statement: str, values: Values | None = None) -> list[tuple[Any, ...]]:
            return self._connection.rows(_shifted(statement), values or {})

        def change(self, statement: str, values: Values | None = None) -> int:
            return self._connection.change(_shifted(statement), values or {})

        def change_each(self, statement: str, several: Sequence[Values]) -> None:
            self._connection.change_each(_shifted(statement), several)

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.errors = database.errors
        self.after_commit = database.after_commit
        self.version = database.version
        self.close = database.close

    def run(self, work: Callable[[Connection], _T]) -> _T:
        return self._database.run(lambda each: work(self._Connection(each)))

    def adopted(self, theirs: object) -> Connection:
        return self._Connection(self._database.adopted(theirs))

    def identity(self, connection: Connection) -> str:
        return self._database.identity(connection)

    def make(self) -> None:
        """Create the row with the offset."""
        self._database.run(lambda each: each.change("CREATE TABLE shift (ms BIGINT NOT NULL)"))
        self._database.run(lambda each: each.change("INSERT INTO shift VALUES (0)"))

    def shift(self, seconds: float) -> None:
        """Put the clock so far ahead, or back if the number is negative."""
        values = {"ms": int(seconds * 1000)}
        self._database.run(lambda each: each.change("UPDATE shift SET ms = :ms", values))


def _shifted(statement: str) -> str:
    return statement.replace("{now}", "({now} + (SELECT ms FROM shift))")


def database_at(address: str) -> Database:
    """Return the database in a SQLite file, or at a URL of SQLAlchemy."""
    if "://" not in address:
        return SQLiteDatabase(address)
    from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase

    return SQLAlchemyDatabase(address)


def outbox_at(address: str, *, is_shifted: bool = False, **options: Any) -> Outbox:
    """Return an outbox that may send to loopback addresses."""
    database: Any = database_at(address)
    if is_shifted:
        database = Shifted(database)
    return Outbox(database, guard=AddressGuard(["127.0.0.1"]), **options)


class Receiver:
    """The receiver of a trial."""

    def __init__(self, server: Server) -> None:
        self.url = f"http://127.0.0.1:{server.port}"
        self._port = server.port

    def behave(self, kind: str, **mode: float) -> None:
        """Change what it does at a kind of path.

        Args:
            kind: The first part of the path.
            mode: `status`; `delay`, in seconds; `fails`, a probability; `timeless=1` to take also
                what was signed hours ago.
        """
        self._ask("PUT", "/modes", json.dumps({kind: mode}).encode())

    def seen(self, kind: str = "") -> list[dict[str, Any]]:
        """Return the requests so far, to the paths of one kind."""
        found: list[dict[str, Any]] = json.loads(self._ask("GET", "/seen", b""))
        return [each for each in found if each["path"].startswith(f"/{kind}")]

    def wait_for(self, count: int, kind: str = "", seconds: float = _DEADLINE) -> float:
        """Wait until it has accepted so many different messages; return how long that took."""
        start = time.monotonic()
        wait_until(lambda: len(self.accepted(kind)) >= count, seconds)
        return time.monotonic() - start

    def accepted(self, kind: str = "") -> set[tuple[str, str]]:
        """Return the paths and ids of what it has answered with 200."""
        return {(each["path"], each["id"]) for each in self.seen(kind) if each["status"] == 200}

    def _ask(self, method: str, path: str, body: bytes) -> bytes:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request(method, path, body)
            return connection.getresponse().read()


@contextmanager
def receiver() -> Iterator[Receiver]:
    """Run the receiver until the block ends."""
    with served([sys.executable, "-m", "tests.outbox.trial_receiver"]) as server:
        yield Receiver(server)


@contextmanager
def worker(address: str, *options: str) -> Iterator[Server]:
    """Run a worker until the block ends."""
    command = [sys.executable, "-m", "tests.outbox.trial_worker", address, *options]
    with served(command, environment=_ENVIRONMENT, ready="started") as server:
        yield server


def cpu_of(server: Server) -> float:
    """Return how many seconds of a processor a worker has used."""
    fields = Path(f"/proc/{pid_of(server)}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pid_of(server: Server) -> int:
    """Return the id of a worker's process."""
    return server._process.pid  # noqa: SLF001


class Crew:
    """Workers in processes of their own. One that ends is started again, until the block ends.

    Args:
        address: Where the outbox is.
        options: As for the program of the worker.
        size: How many workers.

    Attributes:
        starts: How many processes were started.
    """

    def __init__(self, address: str, *options: str, size: int = 1) -> None:
        self._command = [sys.executable, "-m", "tests.outbox.trial_worker", address, *options]
        self._processes: list[subprocess.Popen[bytes]] = []
        self._size = size
        self._is_ending = Event()
        self._thread = Thread(target=self._watch)
        self.starts = 0

    def _watch(self) -> None:
        while not self._is_ending.wait(0.05):
            self._processes = [each for each in self._processes if each.poll() is None]
            while len(self._processes) < self._size:
                self._processes.append(
                    subprocess.Popen(
                        self._command,
                        env={**os.environ, **_ENVIRONMENT},
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                    )
                )
                self.starts += 1

    def kill(self) -> None:
        """Kill the worker that was started first, if there is one."""
        for each in self._processes[:1]:
            each.kill()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join()
        for each in self._processes:
            each.terminate()
        for each in self._processes:
            each.wait(60)


@contextmanager
def publishing(address: str, outbox: Outbox) -> Iterator[Callable[..., str]]:
    """Return a function that publishes a message in a transaction of its own, until the end."""
    if "://" not in address:
        with closing(sqlite3.connect(address, timeout=30, isolation_level=None)) as connection:

            def publish(*args: Any, **options: Any) -> str:
                connection.execute("BEGIN IMMEDIATE")
                message = outbox.publish(connection, *args, **options)
                connection.execute("COMMIT")
                return message

            yield publish
        return
    from sqlalchemy import create_engine

    engine = create_engine(address)
    with engine.connect() as theirs:

        def publish_there(*args: Any, **options: Any) -> str:
            message = outbox.publish(theirs, *args, **options)
            theirs.commit()
            return message

        yield publish_there
    engine.dispose()


def wait_until(condition: Callable[[], object], seconds: float = _DEADLINE) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


def tell(figures: str) -> None:
    """Print what was measured; pytest shows it with -s."""
    sys.stdout.write(f"\n    {figures}\n")


def percentile(numbers: Sequence[float], percent: float) -> float:
    """Return the number that so many percent are not above."""
    ordered = sorted(numbers)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def url_of(settings: dict[str, Any]) -> str:
    """Return the URL of SQLAlchemy for a database of `tests.databases`."""
    host, user, name = (settings[each] for each in ("HOST", "USER", "NAME"))
    if settings["ENGINE"].endswith("postgresql"):
        return f"postgresql+psycopg://{user}@/{name}?host={host}"
    return f"mysql+pymysql://{user}@localhost/{name}?unix_socket={host}"


def path_in(folder: Path) -> str:
    """Return the path of a new SQLite file."""
    return os.fspath(folder / "outbox.db")

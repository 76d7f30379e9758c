"""What is committed arrives and is handled once, whatever is killed meanwhile."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from frappe_hooksig import generate_secret
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox._database import Connection
from tests.loopback import ROOT
from tests.outbox.apps import App, in_mariadb, in_postgresql, in_sqlite
from tests.outbox.programs import SECRET
from tests.outbox.running import NOT_COVERED, Notes, Workers, median_ms, receiver, wait_until
from tests.selection import FULL, at_full_size

ENDPOINTS = 5
MESSAGES = 2000 if FULL else 40
AT_ONCE = 5  # messages in a transaction
# Who is killed loses what it was sending, until a lease has passed.
LEASE = "10" if FULL else "1"
KILLS_EVERY = 1.0 if FULL else 0.7  # seconds
PUBLISHES_EVERY = 0.01 if FULL else 0.2  # seconds: some are published after two kills

WITHIN = 15  # seconds, until another worker sends what one that was killed was sending
TAKES = 15  # seconds, to handle one message at a slow receiver

_log = logging.getLogger(__name__)

Opens = Callable[[Path], AbstractContextManager[App]]

everywhere = pytest.mark.parametrize(
    "opens",
    [at_full_size(in_sqlite), at_full_size(in_postgresql), at_full_size(in_mariadb)],
    ids=["SQLite", "PostgreSQL", "MariaDB"],
)
on_servers = pytest.mark.parametrize(
    "opens",
    [at_full_size(in_postgresql), at_full_size(in_mariadb)],
    ids=["PostgreSQL", "MariaDB"],
)


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, generate_secret("whsec"))


@pytest.fixture
def app(opens: Opens, tmp_path: Path) -> Iterator[App]:
    """An app with an outbox in each database."""
    with opens(tmp_path) as opened:
        yield opened


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[Notes]:
    """What the receiver writes down."""
    with receiver(tmp_path) as taken:
        yield taken


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The file for what workers print."""
    return tmp_path / "workers.log"


def once_each(messages: list[str], paths: int) -> Counter[tuple[str, str]]:
    """Return the counts of messages that were handled once at each path."""
    return Counter((f"/{path}", message) for message in messages for path in range(paths))


@pytest.mark.parametrize(
    "opens",
    [
        pytest.param(in_sqlite, marks=pytest.mark.stress),
        at_full_size(in_postgresql),
        at_full_size(in_mariadb),
    ],
    ids=["SQLite", "PostgreSQL", "MariaDB"],
)
@pytest.mark.timeout(900)
def test_workers_killed(app: App, notes: Notes, log: Path) -> None:
    """Workers are killed all the time: each message is handled once, and nothing that was undone.

    Full size: 2,000 messages for 5 endpoints, three workers, and one of them is killed each second.
    """
    app.add_endpoints(notes, ENDPOINTS)
    began = time.monotonic()

    def publish() -> list[str]:
        published = []
        for _ in range(MESSAGES // AT_ONCE):
            published += app.publish(AT_ONCE)
            app.publish(is_undone=True)
            time.sleep(PUBLISHES_EVERY)
        return published

    with Workers(app.address, log, 3, LEASE=LEASE) as workers, ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish)
        everything = MESSAGES * ENDPOINTS
        workers.kill_until(lambda: len(notes.counts("handled")) >= everything, KILLS_EVERY)
        wait_until(app.has_nothing_left)
        published = publishing.result()

    handled, arrived = notes.counts("handled"), notes.counts("arrived")
    expected = once_each(published, ENDPOINTS)
    _log.info(
        "%d handled in %.1f s; %d kills; %d lost, %d handled twice; %d requests more; %d dead",
        handled.total(),
        time.monotonic() - began,
        workers.killed,
        len(expected - handled),
        (handled - expected).total(),
        arrived.total() - len(arrived),
        len(app.dead()),
    )
    assert workers.killed >= 2
    assert len(published) == MESSAGES
    assert handled == expected
    assert app.count_deliveries() == everything
    assert app.dead() == []


@everywhere
def test_taken_over(app: App, notes: Notes, log: Path) -> None:
    """Another worker soon sends what one was sending that is killed, and what takes long once."""
    count = 4  # endpoints, which a new worker sends one message each
    app.add_endpoints(notes, count, takes=TAKES)
    with Workers(app.address, log, TIMEOUT="30") as workers:
        lost = app.publish()
        notes.wait_for("arrived", count)
        workers.start_one()
        wait_until(lambda: workers.log.count("begins") == 2)
        time.sleep(1)
        workers.kill_one(0)
        killed_at = time.time()
        notes.wait_for("arrived", count, times=2)
        kept = app.publish()  # for one who is alive, and sends it for longer than a lease
        wait_until(app.has_nothing_left, 120)

    waits = [times[1] - killed_at for times in notes.times("arrived").values() if len(times) > 1]
    _log.info("back within %.1f s of the kill", max(waits))
    assert len(waits) == count
    assert max(waits) <= WITHIN
    assert notes.counts("handled") == once_each(lost + kept, count)


@everywhere
def test_producer_killed(app: App, notes: Notes, log: Path) -> None:
    """What a producer has committed arrives, although it is killed before it rings a bell."""
    app.add_endpoints(notes)
    command = [sys.executable, "-m", "tests.outbox.producer_app", app.url]
    environment = {**os.environ, **NOT_COVERED}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)

    with Workers(app.address, log):
        notes.wait_for("handled", 1)

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert notes.counts("handled") == once_each([done.stdout.decode()], 1)


@everywhere
def test_no_bell(app: App, notes: Notes, log: Path) -> None:
    """A worker that nobody rings a bell for finds what is committed by looking."""
    app.add_endpoints(notes)
    published: list[str] = []
    waits: list[float] = []
    with Workers(app.address, log) as workers:
        wait_until(lambda: "begins" in workers.log)
        time.sleep(1)
        for number in range(1, 21):
            published += app.publish()
            began = time.time()
            notes.wait_for("arrived", number)
            waits.append(notes.times("arrived")["/0", published[-1]][0] - began)
        wait_until(app.has_nothing_left)

    _log.info("the median is %d ms", median_ms(waits))
    assert notes.counts("handled") == once_each(published, 1)


@everywhere
def test_undone(app: App, notes: Notes, log: Path) -> None:
    """A transaction that is rolled back sends nothing."""
    app.add_endpoints(notes)
    with Workers(app.address, log):
        app.publish(10, is_undone=True)
        published = app.publish()
        app.publish(10, is_undone=True)
        published += app.publish()
        notes.wait_for("handled", 2)
        wait_until(app.has_nothing_left)

    assert notes.counts("arrived") == once_each(published, 1)


@on_servers
@pytest.mark.timeout(600)
def test_database_restarted(app: App, notes: Notes, log: Path) -> None:
    """The server of the database is restarted in the middle: everything arrives all the same.

    The last time it is away for longer than a lease.
    """
    app.add_endpoints(notes, ENDPOINTS)
    assert app.server
    messages = MESSAGES // 2
    away = (0, 0, 12)  # seconds

    def publish() -> list[str]:
        published: list[str] = []
        while len(published) < messages:
            # Whether a commit has succeeded may be unknown. The same keys publish nothing twice.
            with suppress(SQLAlchemyError):
                published += app.publish(AT_ONCE, key=str(len(published)))
                time.sleep(0.01)
        return published

    began = time.monotonic()
    with Workers(app.address, log, 2) as workers, ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(publish)
        for number, seconds in enumerate(away, 1):
            notes.wait_for("handled", messages * ENDPOINTS * number // (len(away) + 1))
            app.server.restart(seconds)
        published = publishing.result()
        notes.wait_for("handled", messages * ENDPOINTS)
        wait_until(app.has_nothing_left)
        assert workers.are_alive(), workers.log

    handled, arrived = notes.counts("handled"), notes.counts("arrived")
    _log.info(
        "%d handled in %.1f s, %d restarts, %d requests more",
        handled.total(),
        time.monotonic() - began,
        len(away),
        arrived.total() - len(arrived),
    )
    assert handled == once_each(published, ENDPOINTS)
    assert app.count_deliveries() == len(published) * ENDPOINTS
    assert app.dead() == []


@on_servers
def test_connections_ended(app: App) -> None:
    """Errors of connections that the server has ended are among those that workers survive."""
    assert app.server
    engine = create_engine(app.url)  # which does not look whether a connection is alive
    database = SQLAlchemyDatabase(engine)
    assert database.run(lambda each: each.rows("SELECT 1")) == [(1,)]

    app.server.restart(0)

    with pytest.raises(database.errors):
        database.run(lambda each: each.rows("SELECT 1"))
    assert database.run(lambda each: each.rows("SELECT 1")) == [(1,)]
    database.close()


@on_servers
def test_isolation(app: App) -> None:
    """Transactions of the outbox see what is committed meanwhile, whatever the app's ones do."""
    database = SQLAlchemyDatabase(create_engine(app.url, isolation_level="REPEATABLE READ"))

    def endpoints(connection: Connection) -> tuple[int, int]:
        count = "SELECT COUNT(*) FROM hooksig_endpoints"
        before = connection.rows(count)[0][0]
        app.outbox.add_endpoint("http://127.0.0.1:9", secret_from=f"env:{SECRET}")
        return before, connection.rows(count)[0][0]

    assert database.run(endpoints) == (0, 1)
    database.close()

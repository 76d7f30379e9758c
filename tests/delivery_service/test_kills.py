"""What the API has accepted arrives and is handled once, whatever is killed meanwhile."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from socket import create_server

import pytest
import redis
from typing_extensions import Self

from frappe_hooksig import generate_secret
from frappe_hooksig.sending import RetrySchedule
from tests.databases import DatabaseServer
from tests.delivery_service.killing import Api, Batch, Clients, Supervised
from tests.delivery_service.running import Installed, in_postgresql, in_sqlite, serving
from tests.frappe_bench import valkey
from tests.loopback import free_port, send_to, uvicorn
from tests.outbox.programs import SECRET
from tests.outbox.running import NOT_COVERED, Notes, Workers, receiver, wait_until
from tests.outbox.test_kills import once_each
from tests.selection import FULL, at_full_size

SECONDS = 800 if FULL else 180
ENDPOINTS = 5 if FULL else 2
MESSAGES = 2000 if FULL else 20
IN_BULK = 20 if FULL else 5
CLIENTS = 4
PROCESSES = 2 if FULL else 1  # of each kind, beside SQLite
# Who is killed loses what it was sending, until a lease has passed.
LEASE = "10" if FULL else "1"
TURNS = 15 if FULL else 1  # how often each of them is killed
PAUSE = 0.1  # seconds, between the requests of a client
AWAY = (0, 0, 12) if FULL else (0,)  # seconds, for which the database is away each time

DYING = "tests.delivery_service.dying_app"
WORKER = "tests.delivery_service.service_app"

# What is in flight at the receiver, for somebody who was killed, is soon done.
OFTEN = RetrySchedule((0.2, 0.5, 1, 1, 2, *[3] * 20))

Opens = Callable[[Path], AbstractContextManager[Installed]]
Strikes = Sequence[Callable[[], object]]

_log = logging.getLogger(__name__)

everywhere = pytest.mark.parametrize(
    "opens", [in_sqlite, at_full_size(in_postgresql)], ids=["SQLite", "PostgreSQL"]
)


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notes]:
    """What the receiver writes down."""
    monkeypatch.setenv(SECRET, generate_secret("whsec"))
    with receiver(tmp_path) as taken:
        yield taken


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A service that runs, and what is done to it.

    Attributes:
        installed: The service.
        api: Its API.
        often: What is done in turn, again and again.
        seldom: What is done once each, in between.
        log: Returns what those who send have printed.
    """

    installed: Installed
    api: Api
    often: Strikes
    seldom: Strikes
    log: Callable[[], str]

    def strike_until(self, is_done: Callable[[], bool], progress: Callable[[], float]) -> None:
        """Do all of it, until something is done.

        Args:
            is_done: Whether it is.
            progress: How much of it is, from 0 to 1. What is started gets something done in
                between, however slow the machine is.
        """
        strikes = self._strikes()
        count = len(strikes)
        deadline = time.monotonic() + SECONDS
        while strikes or not is_done():
            assert time.monotonic() < deadline, self.api.log[-5000:] + self.log()[-5000:]
            if strikes and progress() > 1 - len(strikes) / (count + 1):
                strikes.popleft()()
            time.sleep(0.1)

    def _strikes(self) -> deque[Callable[[], object]]:
        """Return all of it in its order."""
        often = [*self.often] * TURNS
        step = len(often) // (len(self.seldom) + 1)
        for number, strike in enumerate(self.seldom, 1):
            often.insert(number * (step + 1) - 1, strike)
        return deque(often)


Begins = Callable[[Path, ExitStack], Trial]


def sqlite_and_worker(folder: Path, stack: ExitStack) -> Trial:
    """Have a worker send what is in a SQLite file."""
    installed = stack.enter_context(in_sqlite(folder))
    api = stack.enter_context(Api(installed, folder / "api.log", PROCESSES))
    workers = working(installed, folder, stack, PROCESSES)
    kills: Strikes = [api.kill_one, partial(replace_one, workers)]
    return Trial(
        installed=installed,
        api=api,
        often=kills,
        seldom=[api.kill_all],
        log=lambda: workers.log,
    )


def postgresql_and_workers(folder: Path, stack: ExitStack) -> Trial:
    """Have four workers send what is in PostgreSQL, which is restarted."""
    installed = stack.enter_context(in_postgresql(folder))
    api = stack.enter_context(Api(installed, folder / "api.log", 4))
    workers = working(installed, folder, stack, 4)
    kills: Strikes = [api.kill_one, partial(replace_one, workers)]
    restarts = [partial(database_of(installed).restart, seconds) for seconds in AWAY]
    return Trial(
        installed=installed,
        api=api,
        often=kills,
        seldom=[*restarts, api.kill_all],
        log=lambda: workers.log,
    )


def postgresql_and_celery(folder: Path, stack: ExitStack) -> Trial:
    """Have Celery send what is in PostgreSQL. Its broker is killed, and loses all that it has."""
    broker = stack.enter_context(Broker())
    installed = stack.enter_context(in_postgresql(folder, broker_url=f"{broker.url}/0"))
    api = stack.enter_context(Api(installed, folder / "api.log", 4))
    beat = ("beat", "--schedule", str(folder / "beat"))
    stack.enter_context(celery(installed, *beat, log=folder / "beat.log"))
    options = ("worker", "-c", "3", "--without-gossip", "--without-mingle")
    worker = stack.enter_context(celery(installed, *options, log=folder / "workers.log"))
    kills: Strikes = [api.kill_one, worker.kill_child]
    restarts = [partial(database_of(installed).restart, seconds) for seconds in AWAY]
    return Trial(
        installed=installed,
        api=api,
        often=[*kills, broker.flush],
        seldom=[broker.restart, *restarts, broker.restart, api.kill_all],
        log=lambda: worker.log,
    )


def celery(installed: Installed, *command: str, log: Path) -> Supervised:
    """Return a command of Celery, which runs until the block ends."""
    whole = [sys.executable, "-m", "celery", "-A", "delivery_service.celery_app", *command]
    return Supervised([*whole, "-l", "INFO"], installed.environment, log)


class Broker:
    """A Valkey that can be killed, and then has lost everything, until the block ends.

    Attributes:
        url: Where it is.
    """

    def __init__(self) -> None:
        self._port = free_port()
        self._running = ExitStack()
        self.url = f"redis://127.0.0.1:{self._port}"

    def flush(self) -> None:
        """Have it forget everything."""
        with closing(redis.Redis.from_url(self.url)) as client:
            client.flushall()

    def restart(self) -> None:
        """End it, and start it again."""
        self._running.close()
        self._running.enter_context(valkey(port=self._port))

    def __enter__(self) -> Self:
        self._running.enter_context(valkey(port=self._port))
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()


def working(installed: Installed, folder: Path, stack: ExitStack, size: int) -> Workers:
    """Start workers."""
    environment = {"LEASE": LEASE, **installed.environment}
    workers = Workers("work", folder / "workers.log", size, WORKER, **environment)
    return stack.enter_context(workers)


def replace_one(workers: Workers) -> None:
    """Kill a worker, and start another."""
    workers.kill_one()
    workers.start_one()


def database_of(installed: Installed) -> DatabaseServer:
    """Return the server of its database."""
    assert installed.database
    return installed.database


def plan() -> list[Batch]:
    """Return what is published: half of it one by one, half of it in bulk.

    Some of it is published twice at the same time, or contradicted. Some more is published once
    only, although there may be no answer.
    """
    batches: list[Batch] = []
    for number in range(MESSAGES // 2):
        batches.append(Batch(keys=(f"one-{number}",), is_contradicted=number % 10 == 0))
        if number % 5 == 0:
            batches.append(replace(batches[-1], is_contradicted=False))
        if number % IN_BULK == 0:
            keys = tuple(f"bulk-{number + each}" for each in range(IN_BULK))
            batches.append(Batch(keys=keys, is_bulk=True, is_contradicted=number % 100 == 0))
            # The same ones, in another order, which must not be a deadlock.
            batches.append(Batch(keys=keys[::-1], is_bulk=True))
            keys = tuple(f"doubtful-{number + each}" for each in range(IN_BULK))
            batches.append(Batch(keys=keys, is_bulk=True, is_sure=False))
    return batches


def add_endpoints(installed: Installed, api: Api, notes: Notes) -> None:
    """Let the receiver have all messages, at so many of its paths."""
    for number in range(ENDPOINTS):
        wanted = {"url": f"{notes.url}/{number}", "secret": os.environ[SECRET]}
        answer = send_to(api.port, "/v1/endpoints", json.dumps(wanted).encode(), installed.headers)
        assert answer.status == 201, answer
        installed.state.outbox.change_endpoint(answer.json()["id"], schedule=OFTEN)


@pytest.mark.parametrize(
    "begins",
    [
        pytest.param(sqlite_and_worker, marks=pytest.mark.stress),
        at_full_size(postgresql_and_workers),
        at_full_size(postgresql_and_celery),
    ],
    ids=["SQLite, Worker", "PostgreSQL, Worker", "PostgreSQL, Celery"],
)
@pytest.mark.timeout(900)
def test_everything_is_killed(begins: Begins, notes: Notes, tmp_path: Path) -> None:
    """What is answered 2xx is handled once at each receiver, and nothing is there by halves.

    Full size: 2,000 messages for 5 endpoints, and each kind of process is killed 15 times.
    """
    batches = plan()
    began = time.monotonic()
    with ExitStack() as stack:
        trial = begins(tmp_path, stack)
        installed, api = trial.installed, trial.api
        add_endpoints(installed, api, notes)
        clients = Clients(api.port, installed.headers, PAUSE)
        pool = stack.enter_context(ThreadPoolExecutor(1))
        publishing = pool.submit(clients.publish, batches, CLIENTS)
        trial.strike_until(
            lambda: publishing.done() and len(notes.counts("handled")) >= expected_of(installed),
            lambda: (
                (
                    len(clients.told.ids) / MESSAGES
                    + len(notes.counts("handled")) / (MESSAGES * ENDPOINTS)
                )
                / 2
            ),
        )
        told = publishing.result()
        wait_until(installed.has_nothing_left)
        rows = dict(installed.rows("SELECT idempotency_key, id FROM hooksig_messages"))
        dead = installed.state.outbox.deliveries(states="dead")
        deliveries = installed.rows("SELECT COUNT(*) FROM hooksig_deliveries")[0][0]

    handled, arrived = notes.counts("handled"), notes.counts("arrived")
    expected = once_each([*rows.values()], ENDPOINTS)
    _log.info(
        "%d messages, %d handled in %.1f s; %d kills of the API; answers %s; %d lost, %d handled "
        "twice; %d requests more; %d dead",
        len(rows),
        handled.total(),
        time.monotonic() - began,
        api.killed,
        dict(sorted(told.statuses.items())),
        len(expected - handled),
        (handled - expected).total(),
        arrived.total() - len(arrived),
        len(dead),
    )
    sure = {key for batch in batches for key in batch.keys if batch.is_sure}
    doubtful = [batch for batch in batches if not batch.is_sure]
    assert told.wrong == []
    assert set(told.contradicted) == {409}
    assert sure <= told.ids.keys()
    assert told.ids == {key: {rows[key]} for key in told.ids}
    assert {sum(key in rows for key in batch.keys) for batch in doubtful} <= {0, IN_BULK}
    assert rows.keys() <= {key for batch in batches for key in batch.keys}
    assert handled == expected
    assert deliveries == len(rows) * ENDPOINTS
    assert dead == []


def expected_of(installed: Installed) -> int:
    """Return how many deliveries there are to be."""
    found: int = installed.rows("SELECT COUNT(*) FROM hooksig_messages")[0][0]
    return found * ENDPOINTS


@everywhere
def test_killed_before_the_answer(opens: Opens, tmp_path: Path) -> None:
    """A client that got no answer, because of a kill after the commit, publishes nothing twice."""
    batch = Batch(keys=("once-1", "once-2"), is_bulk=True)
    with opens(tmp_path) as installed:
        environment = {**NOT_COVERED, **installed.environment}
        with uvicorn(f"{DYING}:create_app", "--factory", **environment) as dying:
            with pytest.raises((OSError, HTTPException)):
                dying.send(batch.path, batch.body(), installed.headers)
            wait_until(lambda: not dying.is_running())
        before = installed.rows("SELECT idempotency_key, id FROM hooksig_messages")
        with create_server(("127.0.0.1", 0)) as listening, serving(installed, listening) as it:
            again = send_to(it.port, batch.path, batch.body(), installed.headers)
            other = send_to(it.port, batch.path, batch.body("another one"), installed.headers)
        after = installed.rows("SELECT idempotency_key, id FROM hooksig_messages")

    assert (again.status, other.status) == (202, 409)
    assert [each["id"] for each in again.json()["messages"]] == [dict(after)[k] for k in batch.keys]
    assert {*before} == {*after}
    assert len(after) == 2


@pytest.mark.long
@pytest.mark.stress
@pytest.mark.parametrize("opens", [in_sqlite, in_postgresql], ids=["SQLite", "PostgreSQL"])
def test_published_at_once(opens: Opens, tmp_path: Path) -> None:
    """Many clients publish the same with the same keys at once: each key has one message."""
    count = 20
    keys = tuple(f"same-{number}" for number in range(10))
    batches = [
        Batch(keys=keys[:: (-1) ** number], is_bulk=True, is_contradicted=number == count - 1)
        for number in range(count)
    ]
    with opens(tmp_path) as installed, Api(installed, tmp_path / "api.log", 2) as api:
        told = Clients(api.port, installed.headers, 0).publish(batches, count)
        rows = dict(installed.rows("SELECT idempotency_key, id FROM hooksig_messages"))

    assert told.wrong == []
    assert told.contradicted == {409: 1}
    assert told.ids == {key: {rows[key]} for key in keys}
    assert told.statuses[202] == count

"""Celery sends what an outbox has: real workers, a real broker."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis
from celery import Celery
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.celery import add_tasks
from frappe_hooksig.outbox import Outbox
from frappe_hooksig.sending import RetrySchedule
from frappe_hooksig.testing import Answer, FakeReceiver
from tests.databases import postgresql
from tests.frappe_bench import valkey_url
from tests.integrations.celery_app import SECRET, made
from tests.loopback import Server, gunicorn, served
from tests.selection import at_full_size

__all__ = ["valkey_url"]  # a fixture

PATIENCE = 30
SOON = RetrySchedule((1, 1))
# What was in flight at the receiver when its sender was killed may need another attempt or two.
OFTEN = RetrySchedule((0.2, 0.5, 1, 1, 2, *[3] * 20))
MESSAGES = 2000
ENDPOINTS = 5


@dataclass
class Shop:
    """An app that publishes in a SQLite file, and has Celery send it."""

    broker: str
    database: str
    app: Celery
    outbox: Outbox
    engine: Engine

    def publish(self, outbox: Outbox | None = None) -> None:
        with Session(self.engine) as session:
            (outbox or self.outbox).publish(session, "invoice.paid", {"number": 1})
            session.commit()

    def sweep(self) -> None:
        """Do what beat does."""
        entry = self.app.conf.beat_schedule["frappe_hooksig.drain"]
        self.app.send_task(entry["task"], **entry["options"])


@pytest.fixture
def shop(valkey_url: str, tmp_path: Path) -> Iterator[Shop]:
    database = f"sqlite:///{tmp_path / 'shop.sqlite3'}"
    app, outbox = made(valkey_url, database, 3600)
    outbox.migrate()
    engine = create_engine(database)
    with closing(outbox):
        yield Shop(valkey_url, database, app, outbox, engine)
    engine.dispose()


def worker(
    broker: str, database: str, *options: str, **environment: str
) -> AbstractContextManager[Server]:
    """Run a worker of Celery, until the block ends."""
    command = [sys.executable, "-m", "celery", "-A", "tests.integrations.celery_app", "worker"]
    command += ["-Q", "webhooks", "-l", "INFO", "--without-gossip", "--without-mingle", *options]
    return served(
        command,
        environment={"BROKER": broker, "DATABASE": database, **environment},
        ready=r"celery@\S+ ready",
    )


@pytest.mark.parametrize(
    "options",
    [
        ["-c", "2"],
        at_full_size(["--pool", "threads", "-c", "2"]),
        at_full_size(["--pool", "solo"]),
    ],
    ids=["prefork", "threads", "solo"],
)
def test_pools(shop: Shop, options: list[str]) -> None:
    """A commit has a worker send the message; what a lost bell has left is sent by the sweep."""
    with (
        FakeReceiver([500, 200]) as receiver,
        worker(shop.broker, shop.database, *options) as running,
    ):
        shop.outbox.add_endpoint(receiver.url, secret_from="env:HOOK_SECRET", schedule=SOON)
        shop.publish()
        receiver.wait_for(2, PATIENCE)  # the first drain waits until the retry is due

        shop.publish(made("memory://", shop.database, 3600)[1])
        shop.sweep()
        receiver.wait_for(3, PATIENCE)

    assert "Traceback" not in running.log


@pytest.fixture
def unused(tmp_path: Path) -> tuple[Celery, Outbox]:
    """A Celery app, and an outbox."""
    return Celery("unused", broker="memory://"), Outbox(tmp_path / "unused.sqlite3")


def test_task(unused: tuple[Celery, Outbox]) -> None:
    """The task has no arguments and no result, and is neither done again nor without a limit."""
    app, outbox = unused
    add_tasks(app, outbox, sweep=20)

    task = app.tasks["frappe_hooksig.drain"]
    assert (task.acks_late, task.ignore_result, task.time_limit) == (False, True, 120)
    assert app.conf.beat_schedule == {
        "frappe_hooksig.drain": {
            "schedule": 20,
            "task": "frappe_hooksig.drain",
            "args": (),
            "kwargs": {},
            "options": {},
        }
    }


def test_eager(unused: tuple[Celery, Outbox], tmp_path: Path) -> None:
    """In the tests of an app, a commit has the message sent at once, without a broker."""
    app, outbox = unused
    app.conf.task_always_eager = True
    add_tasks(app, outbox)
    outbox.migrate()
    with (
        FakeReceiver() as receiver,
        closing(outbox),
        closing(sqlite3.connect(tmp_path / "unused.sqlite3")) as connection,
    ):
        endpoint = outbox.add_endpoint(receiver.url, secret_from="env:NO_SUCH_SECRET")
        outbox.publish(connection, "invoice.paid", {})
        connection.commit()
        deadline = time.monotonic() + PATIENCE
        while outbox.endpoint(endpoint.id).state == "active":
            assert time.monotonic() < deadline

    assert receiver.requests == []


def test_two_outboxes(unused: tuple[Celery, Outbox], tmp_path: Path) -> None:
    """Each outbox has a task of its own, and a task belongs to one outbox."""
    app, outbox = unused
    add_tasks(app, outbox)
    other = Outbox(tmp_path / "other.sqlite3")

    with pytest.raises(ConfigurationError, match=r"give each outbox another name="):
        add_tasks(app, other)
    with pytest.raises(ConfigurationError, match=r"^the outbox has a bell already"):
        add_tasks(app, outbox, name="again")
    add_tasks(app, other, name="other")

    assert {"frappe_hooksig.drain", "other"} <= {*app.tasks}
    assert "again" not in app.tasks


@pytest.mark.parametrize("options", [{"sweep": 0}, {"drains": 0}, {"slots": 0}])
def test_no_options(unused: tuple[Celery, Outbox], options: dict[str, Any]) -> None:
    """What cannot be an option is refused."""
    with pytest.raises(ConfigurationError, match=rf"^{min(options)}= must be"):
        add_tasks(*unused, **options)


@pytest.fixture
def large_shop(valkey_url: str) -> Iterator[Shop]:
    """An app with an outbox in PostgreSQL."""
    with postgresql() as settings:
        database = f"postgresql+psycopg://postgres@/postgres?host={settings['HOST']}"
        app, outbox = made(valkey_url, database, 2)
        outbox.migrate()
        engine = create_engine(database)
        with closing(outbox):
            yield Shop(valkey_url, database, app, outbox, engine)
        engine.dispose()


@contextmanager
def receiver(folder: Path) -> Iterator[tuple[Path, str]]:
    """Run the receiver in its own process; yield the file with what it has handled, and its URL."""
    notes = folder / "notes"
    notes.touch()
    app = "tests.integrations.celery_receiver:app"
    with gunicorn(app, "--threads=40", NOTES=str(notes), HOOK_SECRET=SECRET) as server:
        yield notes, f"http://127.0.0.1:{server.port}"


@contextmanager
def beat(broker: str, database: str, folder: Path, sweep: int = 2) -> Iterator[None]:
    """Run Celery's beat, until the block ends."""
    command = [sys.executable, "-m", "celery", "-A", "tests.integrations.celery_app", "beat"]
    command += ["-s", str(folder / "beat"), "-l", "INFO"]
    environment = {"BROKER": broker, "DATABASE": database, "SWEEP": str(sweep)}
    with served(command, environment=environment, ready="beat: Starting"):
        yield


def kill_children(parent: int, seconds: float, is_done: Callable[[], bool]) -> int:
    """Kill a child of the pool each few seconds, until something is done; return how many."""
    killed = 0
    deadline = time.monotonic() + 240
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(seconds)
        kill_child(parent)
        killed += 1
    return killed


def kill_child(parent: int) -> None:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    os.kill(int(random.choice(children)), signal.SIGKILL)


@pytest.mark.stress
@pytest.mark.long
@pytest.mark.timeout(600)
def test_killed_children(large_shop: Shop, tmp_path: Path) -> None:
    """Pool children are killed and the broker is emptied: each message is handled once."""
    shop = large_shop
    with (
        receiver(tmp_path) as (notes, url),
        beat(shop.broker, shop.database, tmp_path),
        worker(shop.broker, shop.database, "-c", "3", SWEEP="2") as running,
    ):
        for number in range(ENDPOINTS):
            shop.outbox.add_endpoint(
                f"{url}/{number}", secret_from="env:HOOK_SECRET", schedule=OFTEN
            )
        published = Thread(target=publish_all, args=(shop,))
        published.start()
        killed = kill_children(running.pid, 5, lambda: ended(shop) >= MESSAGES * ENDPOINTS)
        published.join()

    handled = Counter(notes.read_text().splitlines())
    assert len(handled) == MESSAGES * ENDPOINTS
    assert set(handled.values()) == {1}
    assert shop.outbox.deliveries(states="dead") == []
    assert killed >= 2


def publish_all(shop: Shop) -> None:
    """Publish each message in a transaction of its own, and empty the broker in the middle."""
    broker = redis.Redis.from_url(shop.broker)
    for number in range(MESSAGES):
        shop.publish()
        if number % 500 == 250:
            broker.flushall()
        time.sleep(0.005)
    broker.close()


def ended(shop: Shop) -> int:
    with shop.engine.begin() as connection:
        statement = text("SELECT COUNT(*) FROM hooksig_deliveries WHERE state >= 3")
        return int(connection.execute(statement).scalar_one())


@pytest.mark.stress
@pytest.mark.long
def test_every_bell_is_lost(large_shop: Shop, tmp_path: Path) -> None:
    """Beat has the workers find all that was published, although no bell arrives."""
    shop = large_shop
    _, deaf = made("memory://", shop.database, 2)
    with (
        FakeReceiver() as receiver,
        beat(shop.broker, shop.database, tmp_path),
        worker(shop.broker, shop.database, "-c", "2", SWEEP="2"),
    ):
        shop.outbox.add_endpoint(receiver.url, secret_from="env:HOOK_SECRET")
        for _ in range(50):
            shop.publish(deaf)
            time.sleep(0.1)
        ids = {each.header("webhook-id") for each in receiver.wait_for(50, PATIENCE)}

    assert len(ids) == 50


@pytest.mark.stress
@pytest.mark.long
def test_work_of_a_killed_child(shop: Shop, tmp_path: Path) -> None:
    """What a killed process was sending is sent again within 15 seconds, with the defaults."""
    with (
        FakeReceiver([Answer(200, delay=15), 200]) as receiver,
        beat(shop.broker, shop.database, tmp_path, sweep=10),
        worker(shop.broker, shop.database, "-c", "1", SWEEP="10") as running,
    ):
        shop.outbox.add_endpoint(receiver.url, secret_from="env:HOOK_SECRET")
        shop.publish()
        receiver.wait_for(1, PATIENCE)
        time.sleep(random.random() * 2)
        killed_at = time.time()
        kill_child(running.pid)
        first, second = receiver.wait_for(2, PATIENCE)

    assert second.header("webhook-id") == first.header("webhook-id")
    assert second.at - killed_at < 15 + 3  # the machine may be busy

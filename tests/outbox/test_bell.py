"""The bell of an engine: one for what several commits have published, and drains that answer it."""

from __future__ import annotations

import logging
import multiprocessing
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from logging.handlers import QueueHandler
from pathlib import Path
from queue import Queue
from threading import Event, Thread, current_thread
from typing import Any

import pytest
from sqlalchemy import text

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.integrations.sqlalchemy import SQLAlchemyDatabase
from frappe_hooksig.outbox import Outbox, _bell, _retention
from frappe_hooksig.sending import AddressGuard, RetrySchedule
from frappe_hooksig.testing import FakeReceiver
from tests.databases import postgresql

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOON = RetrySchedule((1, 2))
LATER = RetrySchedule((10,))
KEY = "2ZbAYL4lPRQlNYtSxCJtHHr4xVOsC2HvDbKQMDXyGSk="
PATIENCE = 30
NOW = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"


class Shop:
    """An app with an outbox in a SQLite file, whose bell notes when it rings."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rings: Queue[None] = Queue()
        self.outbox = self.with_bell(partial(self.rings.put, None))
        self.outbox.migrate()

    def with_bell(self, bell: Callable[[], object] | None, **options: Any) -> Outbox:
        options = {"keys": [KEY], "guard": AddressGuard(["127.0.0.1"]), **options}
        return Outbox(self.path, bell=bell, **options)

    def connection(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, timeout=PATIENCE)

    def publish(self, outbox: Outbox | None = None) -> None:
        with closing(self.connection()) as connection, connection:
            (outbox or self.outbox).publish(connection, "invoice.paid", {"number": 1})

    def set_rung_at(self, expression: str) -> None:
        with closing(self.connection()) as connection, connection:
            connection.execute(f"UPDATE hooksig_installation SET rung_at = {expression}")

    def rung_at(self) -> int:
        with closing(self.connection()) as connection:
            ((rung_at,),) = connection.execute("SELECT rung_at FROM hooksig_installation")
        return int(rung_at)

    def messages(self) -> int:
        """Return how many messages there are."""
        with closing(self.connection()) as connection:
            return len(connection.execute("SELECT seq FROM hooksig_messages").fetchall())

    def add_process(self, age: float) -> None:
        """Note a process whose last heartbeat was so many seconds ago."""
        with closing(self.connection()) as connection, connection:
            connection.execute(
                f"INSERT INTO hooksig_processes VALUES ('other', 'other', 0, {NOW} - {age * 1000})"
            )

    def was_rung(self) -> None:
        """Wait for a bell."""
        self.rings.get(timeout=PATIENCE)

    def is_silent(self) -> bool:
        """Whether no bell is rung for a moment after a commit."""
        self.publish()
        time.sleep(0.3)
        return self.rings.empty()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """An app whose outbox has a bell."""
    made = Shop(tmp_path / "shop.sqlite3")
    yield made
    made.outbox.close()


@pytest.fixture(scope="module")
def postgres() -> Iterator[SQLAlchemyDatabase]:
    """A database of PostgreSQL."""
    with postgresql() as settings:
        url = f"postgresql+psycopg://postgres@/postgres?host={settings['HOST']}"
        with closing(SQLAlchemyDatabase(url)) as database:
            yield database


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_commit_rings(shop: Shop) -> None:
    """The bell is rung after the commit, and not before it."""
    with closing(shop.connection()) as connection:
        shop.outbox.publish(connection, "invoice.paid", {})
        time.sleep(0.2)
        assert shop.rings.empty()
        connection.commit()
        shop.was_rung()


def test_one_is_pending(shop: Shop) -> None:
    """Until a drain begins, no other bell is rung; then the next one is."""
    shop.publish()
    shop.was_rung()
    assert shop.is_silent()

    shop.outbox.drain()

    assert shop.rung_at() == 0
    shop.publish()
    shop.was_rung()


@pytest.mark.parametrize("rung_at", [f"{NOW} - 31000", f"{NOW} + 3600000"], ids=["old", "future"])
def test_lost_bell(shop: Shop, rung_at: str) -> None:
    """A bell that has led to no drain for 30 seconds is lost, and so is one of the future."""
    shop.set_rung_at(rung_at)

    shop.publish()

    shop.was_rung()


def test_several_processes_ring_once(shop: Shop) -> None:
    """Of outboxes that share a database, one rings."""
    others: Queue[None] = Queue()
    other = shop.with_bell(partial(others.put, None))
    shop.publish()
    shop.was_rung()

    shop.publish(other)
    time.sleep(0.3)

    assert others.empty()


def test_a_slow_engine_delays_nobody(shop: Shop) -> None:
    """While the engine takes its time, commits go on, and the rest ring once."""
    goes_on = Event()
    calls: Queue[None] = Queue()

    def slow() -> None:
        calls.put(None)
        assert goes_on.wait(PATIENCE)
        shop.set_rung_at("0")

    outbox = shop.with_bell(slow)
    for _ in range(20):
        shop.publish(outbox)
    calls.get(timeout=PATIENCE)
    goes_on.set()
    calls.get(timeout=PATIENCE)
    time.sleep(0.2)

    assert calls.empty()


def test_an_engine_that_fails(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """What it raises is logged without its text, seldom, and the next commit rings again."""
    calls: list[None] = []

    def fail() -> None:
        calls.append(None)
        msg = "redis://:password@broker"
        raise OSError(msg)

    outbox = shop.with_bell(fail)
    for number in range(1, 4):
        shop.publish(outbox)
        wait_until(lambda number=number: len(calls) == number)  # type: ignore[misc]
        wait_until(lambda: shop.rung_at() == 0)
    wait_until(lambda: len(caplog.messages) == 2)

    assert caplog.messages == ["the outbox cannot ring its bell: OSError"] * 2
    assert "password" not in caplog.text


def test_an_engine_that_recovers(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """After a bell that was rung, the next failure is logged at once."""
    outcomes: list[Exception | None] = [OSError(), OSError(), OSError(), None, OSError()]

    def bell() -> None:
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    outbox = shop.with_bell(bell)
    assert outbox._ringer  # noqa: SLF001
    for _ in range(5):
        outbox._ringer.ring_here()  # noqa: SLF001
        shop.set_rung_at("0")

    assert len(caplog.messages) == 3


def test_a_database_of_the_parent(shop: Shop) -> None:
    """A forked process that must not use SQLite says so in its log, and can publish."""
    shop.outbox.numbers()
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=publish_and_read_the_log, args=(shop,))
    child.start()
    child.join(PATIENCE)

    assert child.exitcode == 0


def publish_and_read_the_log(shop: Shop) -> None:
    records: Queue[logging.LogRecord] = Queue()
    logging.getLogger("frappe_hooksig").addHandler(QueueHandler(records))
    shop.publish()

    # An error ends this process with another status.
    said = records.get(timeout=PATIENCE).getMessage()
    assert "cannot ring its bell: this process was forked" in said


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_exit_in_the_bell(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A bell that exits ends its thread, and the next one has another."""
    calls: Queue[Thread] = Queue()

    def leave() -> None:
        calls.put(current_thread())
        raise SystemExit

    outbox = shop.with_bell(leave)
    for _ in range(2):
        outbox.ring()
        calls.get(timeout=PATIENCE).join(PATIENCE)
        assert shop.rung_at() == 0

    assert caplog.messages == []


def test_a_database_that_is_gone(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A bell that cannot be noted is not rung; publishing goes on."""
    with closing(shop.connection()) as connection:
        connection.execute("ALTER TABLE hooksig_installation RENAME TO away")
        shop.outbox.publish(connection, "invoice.paid", {})
        connection.commit()
        wait_until(lambda: bool(caplog.messages))

    assert caplog.messages == ["the outbox cannot ring its bell: OperationalError"]
    assert shop.rings.empty()


def test_thread_ends_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that nobody wakes ends, and another one begins with the next bell."""
    monkeypatch.setattr(_bell, "_IDLE", 0.01)
    called: Queue[None] = Queue()
    thread = _bell._RingingThread(partial(called.put, None))  # noqa: SLF001
    for _ in range(50):
        thread.wake()
        called.get(timeout=PATIENCE)
        time.sleep(0.01)  # the end of the thread and the next bell come together
    wait_until(lambda: not thread._running)  # noqa: SLF001

    assert called.empty()


def test_bell_at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bell that sees a thread which is just about to end is not lost."""
    monkeypatch.setattr(_bell, "_IDLE", 0.01)
    called: Queue[None] = Queue()
    thread = _bell._RingingThread(partial(called.put, None))  # noqa: SLF001
    wakes = [thread.wake]

    class Ending(dict[str, Thread]):
        """Has the bell rung just before it is cleared for the first time."""

        def clear(self) -> None:
            for wake in [wakes.pop() for _ in wakes]:
                wake()
            super().clear()

    thread._running = Ending({"": Thread()})  # noqa: SLF001
    thread._run()  # noqa: SLF001

    called.get(timeout=PATIENCE)


def test_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may start no thread goes on, and the next bell tries again."""
    called: Queue[None] = Queue()
    thread = _bell._RingingThread(partial(called.put, None))  # noqa: SLF001
    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse_to_start)
        thread.wake()
    assert called.empty()

    thread.wake()

    called.get(timeout=PATIENCE)


def refuse_to_start(_: Thread) -> None:
    msg = "can't start new thread"
    raise RuntimeError(msg)


def test_two_start_at_once() -> None:
    """Of two that find no thread, one starts one."""
    thread = _bell._RingingThread(lambda: None)  # noqa: SLF001

    class Late(dict[str, Thread]):
        """Is empty for who looks, and not for who writes."""

        def __bool__(self) -> bool:
            return False

    first = Thread()
    thread._running = Late({"": first})  # noqa: SLF001
    thread.wake()

    assert thread._running == {"": first}  # noqa: SLF001


def test_rings_in_a_forked_process(shop: Shop) -> None:
    """A process that is forked after a bell has a thread of its own."""
    shop.publish()
    shop.was_rung()
    shop.outbox.drain()
    shop.outbox.close()
    fork = multiprocessing.get_context("fork")
    child = fork.Process(target=publish_and_wait, args=(shop,))
    child.start()
    child.join(PATIENCE)

    assert child.exitcode == 0


def publish_and_wait(shop: Shop) -> None:
    shop.publish()
    shop.was_rung()


async def is_async() -> None:
    pass


@pytest.mark.parametrize("bell", ["drain", is_async], ids=["str", "async"])
def test_no_bell(shop: Shop, bell: Any) -> None:
    """A bell is a function that is not async."""
    with pytest.raises(ConfigurationError, match=r"^bell= must be a function"):
        shop.with_bell(bell)


@pytest.mark.parametrize("options", [{"linger": -1}, {"most": 0}, {"budget": "1"}, {"slots": 0}])
def test_no_options_of_a_drain(shop: Shop, options: dict[str, Any]) -> None:
    """What cannot be an option of a drain is refused."""
    with pytest.raises(ConfigurationError, match=f"^{min(options)}= must be a"):
        shop.outbox.drain(**options)


def test_drain_says_what_is_left(shop: Shop) -> None:
    """A drain whose time is up says so, and rings once more."""
    with FakeReceiver() as receiver:
        shop.outbox.add_endpoint(receiver.url, secret=SECRET)
        shop.publish()
        shop.was_rung()

        assert shop.outbox.drain(budget=0)
        shop.was_rung()
        assert shop.with_bell(None).drain(budget=0)
        assert shop.rings.empty()
        assert receiver.requests == []
        assert not shop.outbox.drain()
        assert len(receiver.requests) == 1


def test_drain_lingers(shop: Shop) -> None:
    """A drain waits for what becomes due soon, if it is told to."""
    with FakeReceiver([500, 500, 200]) as receiver:
        shop.outbox.add_endpoint(receiver.url, secret=SECRET, schedule=SOON)
        shop.publish()

        assert not shop.outbox.drain()
        assert len(receiver.requests) == 1
        assert not shop.outbox.drain(linger=20)
        assert len(receiver.requests) == 3


def test_drain_lingers_within_its_budget(shop: Shop) -> None:
    """What becomes due after the budget, but within the time to linger, is left for the next."""
    with FakeReceiver([500]) as receiver:
        shop.outbox.add_endpoint(receiver.url, secret=SECRET, schedule=LATER)
        shop.publish()

        assert shop.outbox.drain(budget=0.3, linger=20)
        assert not shop.outbox.drain(linger=0.01)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize(("age", "sent"), [(0, 0), (5, 1)], ids=["alive", "silent"])
def test_enough_are_sending(shop: Shop, age: float, sent: int) -> None:
    """A drain does nothing if as many processes as are allowed send already."""
    with FakeReceiver() as receiver:
        shop.outbox.add_endpoint(receiver.url, secret=SECRET)
        shop.publish()
        shop.was_rung()
        shop.add_process(age)

        assert not shop.outbox.drain(most=1)
        assert len(receiver.requests) == sent
        assert shop.rung_at() == 0
        assert not shop.outbox.drain(most=2)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("age", "options"), [(11, {}), (9, {"linger": 5})], ids=["lapsed", "about to lapse"]
)
def test_drain_takes_over(shop: Shop, age: float, options: dict[str, Any]) -> None:
    """A drain sends what a killed process was sending, however short it is."""
    with FakeReceiver() as receiver:
        endpoint = shop.outbox.add_endpoint(receiver.url, secret=SECRET)
        shop.publish()
        shop.outbox.pause(endpoint.id)
        shop.outbox.drain()  # it makes the delivery, and sends nothing
        shop.outbox.resume(endpoint.id)
        with closing(shop.connection()) as connection, connection:
            connection.execute("UPDATE hooksig_deliveries SET state = 2, process = 'other'")
        shop.add_process(age)

        assert not shop.outbox.drain(**options)
        assert len(receiver.requests) == 1


def test_drain_prunes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drain forgets what has ended long ago, step by step, but not every time."""
    monkeypatch.setattr(_retention, "AT_ONCE", 1)
    outbox = shop.with_bell(None, retention=60)
    outbox.drain()  # which has nothing to forget
    for _ in range(3):
        shop.publish()
    shop.outbox.drain()
    with closing(shop.connection()) as connection, connection:
        connection.execute("UPDATE hooksig_messages SET created_at = 0")
    outbox.drain()
    assert shop.messages() == 3

    shop.with_bell(None, retention=60).drain()

    assert shop.messages() == 0


def test_a_router_that_is_slow(postgres: SQLAlchemyDatabase) -> None:
    """A drain waits while another process routes, so that nothing is left when it ends."""
    outbox = Outbox(postgres, keys=[KEY], guard=AddressGuard(["127.0.0.1"]))
    outbox.migrate()
    with FakeReceiver() as receiver:
        outbox.add_endpoint(receiver.url, secret=SECRET)
        with postgres._own.begin() as connection:  # noqa: SLF001
            outbox.publish(connection, "invoice.paid", {})
        with postgres._own.begin() as connection:  # noqa: SLF001
            connection.execute(text("SELECT id FROM hooksig_installation FOR UPDATE"))
            draining = Thread(target=outbox.drain)
            draining.start()
            draining.join(1)
            assert draining.is_alive()
            assert receiver.requests == []
        draining.join(PATIENCE)
        assert len(receiver.requests) == 1


def test_database_in_a_forked_process(postgres: SQLAlchemyDatabase) -> None:
    """A forked process leaves the connections of its parent alone."""
    outbox = Outbox(postgres)
    outbox.migrate()
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=ask_often, args=(outbox,)) for _ in range(2)]
    for child in children:
        child.start()
    ask_often(outbox)
    for child in children:
        child.join(PATIENCE)

    assert [child.exitcode for child in children] == [0, 0]


def ask_often(outbox: Outbox) -> None:
    for _ in range(30):
        assert outbox.numbers().due == 0

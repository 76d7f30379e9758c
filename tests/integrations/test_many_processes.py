"""Each delivery once, by many processes: thrown at all of them, killed at work, without a store."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import redis

from tests.frappe_bench import valkey
from tests.integrations.once import (
    DUPLICATE,
    begun,
    deliver,
    deliver_as_frappe_does,
    ended,
)
from tests.integrations.test_django_store import count_noted, database, serve
from tests.loopback import Answer, Server, free_port, gunicorn, uvicorn, wait_until_open
from tests.selection import FULL

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["database"]  # a fixture

pytestmark = pytest.mark.stress

# How many requests, to how many processes. `make stress` has more: the figures in the issue are
# 1,000 copies and 3,000 deliveries.
COPIES = int(os.environ.get("COPIES", "40"))
DELIVERIES = int(os.environ.get("DELIVERIES", "90"))
PROCESSES = 8 if FULL else 4

APPS = "tests.integrations"
# Who is killed cannot write down what it has covered.
NOT_COVERED = {"COVERAGE_PROCESS_CONFIG": ""}
TELLING = ("--config=python:tests.gunicorn_hooks", "--log-level=info")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """The file that the handlers write into."""
    path = tmp_path / "notes"
    path.touch()
    return path


@contextmanager
def flask(notes: Path, store: str, workers: int, **environment: str) -> Iterator[Server]:
    """Serve Flask's app with gunicorn, once all of its processes are ready."""
    environment |= {"NOTES": str(notes), "STORE": store, **NOT_COVERED}
    options = (f"--workers={workers}", "--threads=8", *TELLING)
    with gunicorn(f"{APPS}.once_flask_app:flask_app", *options, **environment) as server:
        server.wait_for("Worker is ready", workers)
        yield server


@contextmanager
def starlette(notes: Path, store: str, workers: int, **environment: str) -> Iterator[Server]:
    """Serve Starlette's app with uvicorn, once all of its processes are ready."""
    environment |= {"NOTES": str(notes), "STORE": store, **NOT_COVERED}
    options = (f"--workers={workers}", "--no-access-log")
    with uvicorn(f"{APPS}.once_starlette_app:starlette_app", *options, **environment) as server:
        server.wait_for("Application startup complete", workers)
        wait_until_open(server.port)
        yield server


@contextmanager
def django(database: dict[str, Any], workers: int) -> Iterator[Server]:
    """Serve Django's app with gunicorn, once all of its processes are ready."""
    with serve(database, f"--workers={workers}", *TELLING, **NOT_COVERED) as server:
        server.wait_for("Worker is ready", workers)
        yield server


def throw(server: Server, takes: float, copies: int = COPIES) -> list[Answer]:
    """Send one delivery many times, all at the same time."""
    barrier = threading.Barrier(copies)

    def send(_number: int) -> Answer:
        barrier.wait()
        return deliver(server, n="one", takes=takes)

    with ThreadPoolExecutor(copies) as pool:
        return list(pool.map(send, range(copies)))


def assert_all_content(answers: list[Answer]) -> None:
    """All senders are told that it was handled, and all but one that this was before."""
    assert Counter(answer.status for answer in answers) == {200: len(answers)}
    repeats = [answer for answer in answers if b"duplicate" in answer.body]
    assert len(repeats) == len(answers) - 1
    assert all(answer.json() == DUPLICATE for answer in repeats)


class TestThrown:
    """One delivery, many times at once, at several processes."""

    def test_sqlite(self, notes: Path) -> None:
        """It is handled once, and all of its senders are told that it was."""
        with flask(notes, f"sqlite:{notes}.sqlite", PROCESSES) as server:
            answers = throw(server, 0.3)

        assert notes.read_text().splitlines() == ["begin one", "end one"]
        assert_all_content(answers)

    def test_valkey(self, notes: Path) -> None:
        """The same with asyncio."""
        with valkey() as url, starlette(notes, url, PROCESSES) as server:
            answers = throw(server, 0.3)

        assert notes.read_text().splitlines() == ["begin one", "end one"]
        assert_all_content(answers)

    def test_django(self, database: dict[str, Any]) -> None:
        """The same in the database that the view writes into."""
        with django(database, PROCESSES) as server:
            answers = throw(server, 0.3)

        assert count_noted() == 1
        assert_all_content(answers)

    def test_slow_handler(self, notes: Path) -> None:
        """Those that come while it is being handled for long are put off."""
        with flask(notes, f"sqlite:{notes}.sqlite", PROCESSES) as server:
            answers = throw(server, 4, 50)
            again = deliver(server, n="one", takes=4)

        assert notes.read_text().splitlines() == ["begin one", "end one"]
        assert {answer.status for answer in answers} == {200, 409}
        assert again.json() == DUPLICATE

    def test_slow_handler_of_asyncio(self, notes: Path) -> None:
        """There, all of them come at the same time, and one has the work."""
        with valkey() as url, starlette(notes, url, PROCESSES) as server:
            answers = throw(server, 5)
            again = deliver(server, n="one", takes=5)

        assert notes.read_text().splitlines() == ["begin one", "end one"]
        statuses = Counter(answer.status for answer in answers)
        tell(sent=COPIES, put_off=statuses[409])
        assert set(statuses) == {200, 409}
        assert statuses[409] > COPIES / 4
        assert again.json() == DUPLICATE

    def test_store_that_looks_first(self, notes: Path) -> None:
        """What people write lets some of them through: the test would see it."""
        with flask(notes, "get-then-set", PROCESSES) as server:
            throw(server, 0.3)

        assert notes.read_text().splitlines().count("end one") > 1


def order(number: int) -> dict[str, Any]:
    """Return one of many deliveries: so slow that a few of them outlast the first kill."""
    return {"n": str(number), "takes": 0.2}


def send_as_frappe_does(server: Server, number: int) -> int:
    """Send one of them as Frappe does; return how the last attempt was answered."""
    return deliver_as_frappe_does(server, **order(number))[-1]


def kill_workers(server: Server, over: threading.Event, killed: set[str]) -> None:
    """Kill one of the processes each second, as suddenly as can be."""
    started = re.compile(r"(?:Booting worker with pid: |Started server process \[)(\d+)")
    while not over.wait(1):
        alive = sorted(set(started.findall(server.log)) - killed)
        for pid in random.sample(alive, min(1, len(alive))):
            killed.add(pid)
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


def send_and_kill(server: Server) -> tuple[list[int], int]:
    """Send many deliveries to processes that are killed; return their statuses, and the kills."""
    over = threading.Event()
    killed: set[str] = set()
    killer = threading.Thread(target=kill_workers, args=(server, over, killed))
    killer.start()
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(partial(send_as_frappe_does, server), range(DELIVERIES)))
    over.set()
    killer.join()
    return statuses, len(killed)


def lost_and_twice(statuses: list[int], handled: Counter[str]) -> tuple[list[int], list[str]]:
    """Return what was acknowledged, and nobody has handled; and what was handled twice."""
    taken = [number for number, status in enumerate(statuses) if status in range(200, 300)]
    lost = [number for number in taken if not handled[str(number)]]
    return lost, [number for number, times in handled.items() if times > 1]


def tell(**figures: int) -> None:
    """Print what was seen, for those who run a test by hand."""
    sys.stdout.write(", ".join(f"{count} {what}" for what, count in figures.items()) + "\n")


def twice_and_none_lost(statuses: list[int], kills: int, handled: Counter[str]) -> list[str]:
    """Return what was handled twice, although processes were killed, of which nothing is lost."""
    lost, twice = lost_and_twice(statuses, handled)
    tell(
        sent=DELIVERIES,
        kills=kills,
        lost=len(lost),
        twice=len(twice),
        unanswered=statuses.count(0),
        put_off=statuses.count(409),
    )
    assert kills
    assert not lost
    # A sender that times out sends again at once, and may be put off by its own attempt before. If
    # that one's process is then killed, nobody handles the delivery, and nobody acknowledged it.
    assert set(statuses) <= {0, 200, 409}
    return twice


class TestKilled:
    """Processes that are killed at their work: nothing that was acknowledged is lost."""

    def test_sqlite(self, notes: Path) -> None:
        """Hardly anything is handled twice."""
        with flask(notes, f"sqlite:{notes}.sqlite", 4) as server:
            statuses, kills = send_and_kill(server)

        twice = twice_and_none_lost(statuses, kills, ended(notes))
        # Killed between the handler's end and what the store was told of it.
        assert len(twice) <= kills * 16

    def test_valkey(self, notes: Path) -> None:
        """The same with a store that has all processes' claims."""
        with valkey() as url, flask(notes, url, 4) as server:
            statuses, kills = send_and_kill(server)

        twice = twice_and_none_lost(statuses, kills, ended(notes))
        assert len(twice) <= kills * 16

    def test_asyncio(self, notes: Path) -> None:
        """The same with asyncio, whose processes have more at work when they are killed."""
        with valkey() as url, starlette(notes, url, 4) as server:
            statuses, kills = send_and_kill(server)

        twice = twice_and_none_lost(statuses, kills, ended(notes))
        assert len(twice) <= kills * 20

    def test_django(self, database: dict[str, Any]) -> None:
        """Nothing is there twice, where it was written in the transaction that completes it."""
        with django(database, 4) as server:
            statuses, kills = send_and_kill(server)

        with closing(sqlite3.connect(database["NAME"], timeout=30)) as connection:
            handled = Counter(what for (what,) in connection.execute("SELECT what FROM noted"))
        assert not twice_and_none_lost(statuses, kills, handled)


def send_through(
    outage: AbstractContextManager[object], server: Server
) -> tuple[list[int], set[int]]:
    """Send many deliveries, each once, and take their store away for the middle third of them.

    Returns:
        How each was answered; and how those were that were sent and answered during the outage.
    """

    def send(number: int) -> int:
        return deliver(server, **order(number)).status

    third = DELIVERIES // 3
    with ThreadPoolExecutor(20) as pool:
        before = [pool.submit(send, number) for number in range(third)]
        before[-20].result()  # and the others are on their way
        with outage:
            during = list(pool.map(send, range(third, 2 * third)))
            after = [pool.submit(send, number) for number in range(2 * third, DELIVERIES)]
        statuses = [each.result() for each in before], during, [each.result() for each in after]
    return [*chain(*statuses)], set(during)


def resend(server: Server, numbers: Iterable[int]) -> set[int]:
    """Send deliveries until they are taken; return how they were answered in the end."""

    def send(number: int) -> int:
        deadline = time.monotonic() + 60
        while (status := deliver(server, **order(number)).status) != 200:
            if time.monotonic() > deadline:
                break
            time.sleep(0.5)  # the store of a busy machine may be put off again
        return status

    with ThreadPoolExecutor(20) as pool:
        return set(pool.map(send, numbers))


def assert_handled_once(
    server: Server, notes: Path, outage: AbstractContextManager[object]
) -> None:
    """What meets an outage is put off, and handled once when it comes again."""
    statuses, during = send_through(outage, server)
    taken = {number for number, status in enumerate(statuses) if status == 200}
    assert during == {503}
    assert set(statuses) == {200, 503}
    assert begun(notes) == ended(notes) == Counter(map(str, taken))

    again = set(range(DELIVERIES)) - taken
    assert resend(server, again) == {200}
    lost, twice = lost_and_twice(statuses, ended(notes))
    tell(sent=DELIVERIES, put_off=len(again), lost=len(lost), twice=len(twice))
    assert not lost
    assert not twice


def assert_remembered(server: Server, notes: Path) -> None:
    """What was handled is known after the outage; but for what the store could not be told of."""
    assert resend(server, range(DELIVERIES)) == {200}
    untold = server.log.count("a delivery was not completed")
    twice = [number for number, times in ended(notes).items() if times > 1]
    tell(sent_again=DELIVERIES, untold=untold, twice=len(twice))
    assert len(twice) <= untold


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Lock a SQLite file, as somebody does who writes for long."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


class Killable:
    """A Valkey that can be killed, and started anew at its port.

    Attributes:
        url: Where it is.
    """

    def __init__(self, *options: str) -> None:
        port = free_port()
        self.url = f"redis://127.0.0.1:{port}"
        self._start = partial(valkey, *options, port=port)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self._running.enter_context(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @contextmanager
    def killed(self) -> Iterator[None]:
        """Kill it, as suddenly as can be, and start it when the block ends."""
        with closing(redis.Redis.from_url(self.url)) as client:
            info: Any = client.info()
        os.kill(info["process_id"], signal.SIGKILL)
        self._running.close()  # waits for its end
        yield
        self._running.enter_context(self._start())


class TestOutage:
    """A store that is away for a while, under load."""

    # So that a sender that comes after Frappe's horizon finds what was handled.
    OPTIONS: ClassVar = {"OPTIONS": json.dumps({"retention": 3600})}

    def test_sqlite(self, notes: Path) -> None:
        """Somebody has locked the file for longer than the store waits."""
        path = f"{notes}.sqlite"
        environment = {"STORE_TIMEOUT": "0.2", **self.OPTIONS}
        with flask(notes, f"sqlite:{path}", 4, **environment) as server:
            assert_handled_once(server, notes, locked(path))
            assert_remembered(server, notes)

    def test_valkey(self, notes: Path, tmp_path: Path) -> None:
        """A server that writes down what it knows was killed."""
        kept = ("--appendonly", "yes", "--appendfsync", "always", "--dir", str(tmp_path))
        with Killable(*kept) as store, starlette(notes, store.url, 4, **self.OPTIONS) as server:
            assert_handled_once(server, notes, store.killed())
            assert_remembered(server, notes)

    def test_valkey_that_keeps_nothing(self, notes: Path) -> None:
        """One that has forgotten all: what was taken before the kill is handled once more."""
        with Killable() as store, starlette(notes, store.url, 4, **self.OPTIONS) as server:
            assert_handled_once(server, notes, store.killed())
            assert resend(server, range(DELIVERIES)) == {200}

        twice = [number for number, times in ended(notes).items() if times > 1]
        tell(sent_again=DELIVERIES, twice=len(twice))
        assert DELIVERIES / 10 < len(twice) < DELIVERIES

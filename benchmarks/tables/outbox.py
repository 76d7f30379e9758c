"""What an outbox costs: CPU time for each delivery, latency, memory, and publishing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from typing import Any

import redis
from rq import Queue
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from tests.databases import mariadb, postgresql
from tests.frappe_bench import valkey
from tests.loopback import served

from benchmarks.apps.outbox_programs import BODY, ENDPOINTS, SECRET, outbox_at
from benchmarks.comparison import Table
from benchmarks.guard import WrongVerdict
from benchmarks.measuring import FULL, Effort, Ratio, interleave
from benchmarks.traffic import WHSEC
from frappe_hooksig.outbox import Outbox, Worker
from frappe_hooksig.testing import FakeReceiver

TEXT = """\
*Deliveries*: the CPU time of the sending processes for one message of 1 KiB, over loopback to a
receiver in another process, without that of their start: a `Worker` that drains an outbox with a
row for each attempt, a loop around one `Sender`, and Celery (prefork, two children) and RQ (its
usual worker) on Valkey, with one task for each message that calls `Sender.send()` and keeps no log.
*Latency*: from the commit to the receiver, while nothing else is to be sent. *Memory*: the most
that a worker's process had while it drained that many messages. *Publish*: a transaction with
`publish()`, beside one with the bare `INSERT` of the same row."""

_PROGRAM = (sys.executable, "-m", "benchmarks.apps.outbox_programs")
_INSERT = """\
INSERT INTO hooksig_messages (
    id, tenant, event_type, lane, idempotency_key, payload, payload_hash, is_json, size,
    created_at, is_routed
) VALUES (:id, '', 'bench', NULL, NULL, :payload, '', 0, :size, :now, 0)"""


@dataclass(frozen=True)
class Place:
    """Where an outbox is.

    Attributes:
        name: What the table calls it.
        address: The path of a file, or a URL.
        connect: Opens a caller's connection, which `publish()` takes.
        execute: Runs the bare INSERT in such a connection.
    """

    name: str
    address: str
    connect: Callable[[], Any]
    execute: Callable[[Any, dict[str, Any]], object]

    def filled(self, url: str, count: int) -> Outbox:
        """Return the outbox with so many messages that are to be sent."""
        outbox = outbox_at(self.address)
        outbox.migrate()
        for endpoint in outbox.endpoints():
            outbox.delete_endpoint(endpoint.id)
        for number in range(ENDPOINTS):
            outbox.add_endpoint(url, secret_from=f"env:{SECRET}", event_types=[f"e{number}"])
        with closing(self.connect()) as connection:
            for number in range(count):
                outbox.publish(connection, f"e{number % ENDPOINTS}", BODY)
            connection.commit()
        return outbox


def measure(effort: Effort) -> Table:
    """Return the table."""
    os.environ[SECRET] = WHSEC
    is_full = effort is FULL
    table = Table(
        title="Outbox",
        text=TEXT,
        columns=("", "ours", "beside", "ratio", "target", "met"),
    )
    with ExitStack() as stack:
        url = f"http://127.0.0.1:{stack.enter_context(_sink())}/hook"
        places = [*_places(stack)]
        _deliveries(table, url, places, 4000 if is_full else 400)
        for place in places[:2]:
            _latency(table, place, 200 if is_full else 30)
        for place in places:
            _memory(table, url, place, 100_000 if is_full else 3000)
        for place in places:
            _publish(table, place, 30 if is_full else 10)
    return table


@contextmanager
def _sink() -> Generator[int]:
    with served([sys.executable, "-m", "benchmarks.apps.sink"]) as server:
        yield server.port


def _places(stack: ExitStack) -> Iterator[Place]:
    folder = Path(stack.enter_context(TemporaryDirectory()))
    path = str(folder / "outbox.db")
    yield Place("SQLite", path, partial(sqlite3.connect, path), _execute)
    socket = stack.enter_context(postgresql())["HOST"]
    yield _at("PostgreSQL", f"postgresql+psycopg://postgres@/postgres?host={socket}")
    if shutil.which("mariadbd"):
        socket = stack.enter_context(mariadb())["HOST"]
        yield _at("MariaDB", f"mariadb+pymysql://root@/test?unix_socket={socket}")


def _execute(connection: sqlite3.Connection, row: dict[str, Any]) -> None:
    connection.execute(_INSERT, row)


def _at(name: str, url: str) -> Place:
    engine = create_engine(url)
    statement = text(_INSERT)
    return Place(name, url, partial(Session, engine), lambda s, row: s.execute(statement, row))


def _deliveries(table: Table, url: str, places: list[Place], count: int) -> None:
    """Compare CPU time for each delivery."""
    bare = _reported("loop", url, str(count)).seconds / count * 1e6
    ours, *others = [_drained(url, place, count).seconds / count * 1e6 for place in places]
    with valkey() as broker:
        os.environ["HOOKSIG_BENCH_BROKER"] = broker
        celery = _celery(url, broker, count // 2)
        rq = _rq(url, broker, count // 20)
    per_second = f"{1e6 / ours:,.0f} per CPU-second"
    for name, theirs, target in (
        ("a loop of `Sender`", bare, 0.5),
        ("Celery", celery, 3),
        ("RQ", rq, 10),
    ):
        ratio = theirs / ours
        table.lines.append(
            (
                f"deliveries, SQLite, beside {name}",
                per_second,
                f"{1e6 / theirs:,.0f}",
                f"{ratio:.2f}",
                f"≥ {target:g}",
                table.verdict(ratio, target, at_least=True),
            )
        )
    for place, cpu in zip(places[1:], others, strict=True):
        shown = f"{1e6 / cpu:,.0f} per CPU-second"
        table.lines.append((f"deliveries, {place.name}", shown, "", f"{bare / cpu:.2f}", "", ""))


@dataclass(frozen=True)
class _Report:
    """What a program says of itself: its CPU time in seconds, and the most memory it had in MiB."""

    seconds: float
    memory: float


def _drained(url: str, place: Place, count: int) -> _Report:
    """Let a worker drain so many messages."""
    place.filled(url, count)
    return _reported("worker", url, place.address)


def _reported(*arguments: str) -> _Report:
    done = subprocess.run([*_PROGRAM, *arguments], check=True, capture_output=True, text=True)
    seconds, memory = done.stdout.split()
    return _Report(float(seconds), int(memory) / 1024)


def _run(command: list[str]) -> float:
    """Run a program, and return the CPU time of it and its children, in seconds."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        return _waited(process)


def _waited(process: subprocess.Popen[Any]) -> float:
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _celery(url: str, broker: str, count: int) -> float:
    def run(number: int) -> float:
        from benchmarks.apps.celery_app import task

        for each in range(number):
            task.delay(url, f"msg_{each}")
        command = [sys.executable, "-m", "celery", "-A", "benchmarks.apps.celery_app", "worker"]
        command += ["--concurrency=2", "--loglevel=WARNING"]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as worker:
            time.sleep(3)  # it has started, whatever the number is
            client: Any = redis.Redis.from_url(broker)  # pyright: ignore[reportUnknownMemberType]
            while client.llen("celery") or client.hlen("unacked"):
                time.sleep(0.1)
            worker.terminate()
            return _waited(worker)

    return (run(count) - run(0)) / count * 1e6


def _rq(url: str, broker: str, count: int) -> float:
    def run(number: int) -> float:
        with closing(redis.Redis.from_url(broker)) as client:  # pyright: ignore[reportUnknownMemberType]
            queue: Any = Queue(connection=client)
            for each in range(number):
                queue.enqueue("benchmarks.apps.outbox_programs.send", url, f"msg_{each}")
        # Each job has a process of its own, which has imported nothing if the worker has not.
        code = "import benchmarks.apps.outbox_programs; from rq.cli import main; main()"
        return _run([sys.executable, "-c", code, "worker", "--burst", "--quiet", "--url", broker])

    return (run(count) - run(0)) / count * 1e6


def _latency(table: Table, place: Place, count: int) -> None:
    """Measure the time from commit to receiver, with a worker here and in another process."""
    with FakeReceiver([200]) as receiver:
        outbox = place.filled(receiver.url, 0)
        with Worker(outbox):
            here = _latencies(place, outbox, receiver, count)
        command = [*_PROGRAM, "waiting-worker", receiver.url, place.address]
        with subprocess.Popen(command) as process:
            try:
                there = _latencies(place, outbox, receiver, count)
            finally:
                process.terminate()
    for name, found, targets in (("this process", here, (15, 50)), ("another", there, (100, None))):
        for part, value, target in zip(("p50", "p99"), found, targets, strict=True):
            table.lines.append(
                (
                    f"latency {part}, {place.name}, worker in {name}",
                    f"{value:.1f} ms",
                    "",
                    "",
                    "" if target is None else f"≤ {target} ms",
                    table.verdict(value, target),
                )
            )


def _latencies(
    place: Place, outbox: Outbox, receiver: FakeReceiver, count: int
) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    found: list[float] = []
    with closing(place.connect()) as connection:
        for number in range(count + 1):
            before = len(receiver.requests)
            outbox.publish(connection, "e0", BODY)
            connection.commit()
            committed = time.time()
            deadline = time.monotonic() + 30
            while len(receiver.requests) == before:
                if time.monotonic() > deadline:
                    msg = f"outbox: a message did not arrive ({place.name})"
                    raise WrongVerdict(msg)
                time.sleep(0.0005)
            if number:  # the worker has started then
                found.append((receiver.requests[-1].at - committed) * 1000)
            time.sleep(0.03)
    return median(found), quantiles(found, n=100)[-1]


def _memory(table: Table, url: str, place: Place, count: int) -> None:
    """Measure the most memory that a worker takes."""
    few, many = (_drained(url, place, each).memory for each in (100, count))
    is_sqlite = place.name == "SQLite"
    value, target = (many, 60) if is_sqlite else (many - few, 20)
    shown = f"{many:.0f} MiB" if is_sqlite else f"{many - few:+.1f} MiB"
    title = f"memory, {place.name}, {count:,} due"
    verdict = table.verdict(value, target)
    table.lines.append((title, shown, f"{few:.0f} MiB with 100", "", f"≤ {target} MiB", verdict))


def _publish(table: Table, place: Place, rounds: int) -> None:
    """Compare publishing with the bare INSERT, each in a transaction."""
    outbox = place.filled("http://127.0.0.1:9/", 0)
    with closing(place.connect()) as connection:

        def publish() -> None:
            outbox.publish(connection, "bench", BODY)
            connection.commit()

        def insert() -> None:
            now = time.time_ns()
            row = {"id": f"msg_{now}", "payload": BODY, "size": len(BODY), "now": now // 1_000_000}
            place.execute(connection, row)
            connection.commit()

        laps = [partial(_lap, publish), partial(_lap, insert)]
        interleave(laps, 2)
        ours, theirs = interleave(laps, rounds)
    ratio = Ratio.of(ours, theirs).median
    table.lines.append(
        (
            f"publish, {place.name}",
            f"{median(ours):.0f} µs",
            f"{median(theirs):.0f} µs",
            f"{ratio:.2f}",
            "≤ 1.3",
            table.verdict(ratio, 1.3),
        )
    )


def _lap(call: Callable[[], None]) -> float:
    start = time.perf_counter_ns()
    for _ in range(_IN_A_LAP):
        call()
    return (time.perf_counter_ns() - start) / _IN_A_LAP / 1000


_IN_A_LAP = 50

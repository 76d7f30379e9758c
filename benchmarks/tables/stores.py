"""How fast stores remember deliveries, beside the bare operation underneath."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Lock
from time import perf_counter_ns, time
from typing import TypeAlias

import redis
from tests.frappe_bench import valkey

from benchmarks.comparison import Table
from benchmarks.measuring import FEWEST_ROUNDS, LAP_NS, Effort, Ratio, calibrated, interleave
from frappe_hooksig.integrations.redis import RedisStore
from frappe_hooksig.replay import MemoryStore, SQLiteStore, Store

# So short that claims end while others are made: to remove them is part of the time.
LEASE = 0.01  # seconds
TOKEN = "0" * 32

TEXT = """\
The time of `store.claim()` for a new delivery, and of the bare operation underneath: for memory, a
locked `entries[key] = token` if there is none, in a new dict for each lap; for SQLite, an `INSERT`
of the same row into a file of its own with the same settings, on the disk when it returns; for
Valkey, over loopback, `client.set(key, token, nx=True, px=...)`. Claims end after 10 ms: to remove
those that have ended is part of our time. *Handled* are deliveries that one thread claims and
completes."""

#: Takes a key that was not used before.
_Operation: TypeAlias = Callable[[str], object]


@dataclass(frozen=True)
class Pair:
    """A store, and what it stands on.

    Attributes:
        title: What the table calls it.
        store: The store.
        bare: Returns the operation underneath, for one lap.
        target: The largest ratio of the times that is aimed at.
    """

    title: str
    store: Store
    bare: Callable[[], _Operation]
    target: float


def measure(effort: Effort) -> Table:
    """Return the table."""
    table = Table(
        title="Stores",
        text=TEXT,
        columns=(
            *("", "claim, µs", "bare, µs", "ratio", "half of rounds", "target", "met"),
            "handled per second",
        ),
    )
    for opened in (in_memory(), in_sqlite(), in_valkey()):
        with opened as pair:
            claims, bare, handled = _times(pair, effort)
        ratio = Ratio.of(claims, bare)
        table.lines.append(
            (
                pair.title,
                f"{median(claims):.2f}",
                f"{median(bare):.2f}",
                f"{ratio.median:.2f}",
                ratio.quartiles,
                f"≤ {pair.target:.2f}",
                table.verdict(ratio.median, pair.target),
                f"{1e6 / median(handled):,.0f}",
            )
        )
    return table


@contextmanager
def in_memory() -> Generator[Pair]:
    """Compare with a dict."""

    def bare() -> _Operation:
        entries: dict[str, str] = {}
        lock = Lock()

        def put(key: str) -> None:
            with lock:
                if key not in entries:
                    entries[key] = TOKEN

        return put

    yield Pair("memory", MemoryStore(1_000_000), bare, 3)


@contextmanager
def in_sqlite() -> Generator[Pair]:
    """Compare with an insert."""
    with TemporaryDirectory() as folder:
        path = Path(folder, "bare.sqlite")
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "CREATE TABLE deliveries (key TEXT PRIMARY KEY, token TEXT, ends REAL NOT NULL)"
                " WITHOUT ROWID"
            )

            def insert(key: str) -> None:
                row = (key, TOKEN, time() + LEASE)
                connection.execute("INSERT INTO deliveries VALUES (?, ?, ?)", row)

            yield Pair("SQLite", SQLiteStore(Path(folder, "store.sqlite")), lambda: insert, 1.5)


@contextmanager
def in_valkey() -> Generator[Pair]:
    """Compare with one command."""
    with valkey() as url, closing(redis.Redis(port=int(url.rpartition(":")[2]))) as client:
        milliseconds = round(LEASE * 1000)

        def put(key: str) -> None:
            client.set(key, TOKEN, nx=True, px=milliseconds)

        yield Pair("Valkey", RedisStore(client), lambda: put, 1.2)


def _times(pair: Pair, effort: Effort) -> list[list[float]]:
    """Return the times of claims, of the operation underneath, and of claims with completion."""
    store = pair.store
    keys = map("{:064x}".format, count())

    def claim(key: str) -> None:
        store.claim(key, TOKEN, LEASE)

    def handle(key: str) -> None:
        store.claim(key, TOKEN, 60)
        store.complete(key, TOKEN, LEASE)

    operations = (lambda: claim, pair.bare, lambda: handle)
    laps = [calibrated(partial(_timed, operation, keys)) for operation in operations]
    rounds = max(FEWEST_ROUNDS, round(effort.seconds * 1e9 / LAP_NS / len(laps)))
    return interleave(laps, rounds)


def _timed(new: Callable[[], _Operation], keys: Iterator[str], times: int) -> int:
    operation, batch = new(), list(islice(keys, times))
    start = perf_counter_ns()
    for key in batch:
        operation(key)
    return perf_counter_ns() - start

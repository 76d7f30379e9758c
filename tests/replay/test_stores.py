"""Stores: the protocol that all of them keep, and what is special about those of the core."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, ClassVar

import pytest

from frappe_hooksig import ConfigurationError, StoreError
from frappe_hooksig.replay import MemoryStore, SQLiteStore, State, Store

NEW, IN_FLIGHT, DONE = State


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class StoreCases:
    """What every store does. A class for each inherits these, with a fixture `store`.

    Attributes:
        wait: Lets so many seconds pass for the store.
    """

    wait: Callable[[float], None]

    def test_claim(self, store: Store) -> None:
        """A delivery is whose claim came first; another delivery is another's."""
        assert isinstance(store, Store)
        assert store.claim("a", "1", 4) is NEW
        assert store.claim("a", "2", 4) is IN_FLIGHT
        assert store.claim("a", "1", 4) is IN_FLIGHT
        assert store.claim("b", "3", 4) is NEW

    def test_complete(self, store: Store) -> None:
        """What was handled stays so, for as long as was said."""
        store.claim("a", "1", 4)

        assert store.complete("a", "1", 60)
        assert store.claim("a", "2", 4) is DONE
        self.wait(59)
        assert store.claim("a", "2", 4) is DONE
        self.wait(2)
        assert store.claim("a", "2", 4) is NEW

    def test_release(self, store: Store) -> None:
        """What was given up is the next one's."""
        store.claim("a", "1", 4)

        assert store.release("a", "1")
        assert store.claim("a", "2", 4) is NEW
        assert not store.release("a", "1")
        assert store.claim("a", "3", 4) is IN_FLIGHT

    def test_lease(self, store: Store) -> None:
        """A claim ends by itself, unless it is renewed."""
        store.claim("a", "1", 4)
        self.wait(3)
        assert store.renew("a", "1", 4)
        self.wait(3)
        assert store.claim("a", "2", 4) is IN_FLIGHT
        self.wait(2)
        assert store.claim("a", "2", 4) is NEW

    @pytest.mark.parametrize("taken_over", [False, True])
    @pytest.mark.parametrize("call", ["renew", "complete", "release"])
    def test_late(self, store: Any, call: str, taken_over: bool) -> None:  # noqa: FBT001
        """Who comes after the lease has ended changes nothing, for nobody."""
        store.claim("a", "1", 4)
        self.wait(5)
        if taken_over:
            assert store.claim("a", "2", 4) is NEW
        args = ("a", "1") if call == "release" else ("a", "1", 60)

        assert getattr(store, call)(*args) is False
        assert store.claim("a", "3", 4) is (IN_FLIGHT if taken_over else NEW)

    @pytest.mark.parametrize("call", ["renew", "complete", "release"])
    def test_not_the_holder(self, store: Any, call: str) -> None:
        """Nobody settles another's claim, nor what is not claimed, nor what is done."""
        args = () if call == "release" else (60,)
        store.claim("a", "1", 4)

        assert getattr(store, call)("a", "2", *args) is False
        assert store.claim("a", "3", 4) is IN_FLIGHT
        assert store.complete("a", "1", 60)
        assert getattr(store, call)("a", "1", *args) is False
        assert store.claim("a", "3", 4) is DONE
        assert getattr(store, call)("b", "1", *args) is False

    def test_threads(self, store: Store) -> None:
        """Of many who claim one delivery at once, one gets it."""
        start = threading.Barrier(8)

        def claim(number: int) -> list[State]:
            start.wait()
            return [store.claim(f"key {n}", f"token {number}", 4) for n in range(20)]

        with ThreadPoolExecutor(8) as pool:
            by_thread = list(pool.map(claim, range(8)))

        for states in zip(*by_thread, strict=True):
            assert sorted(state.name for state in states) == ["IN_FLIGHT"] * 7 + ["NEW"]


class TestMemoryStore(StoreCases):
    """In memory."""

    @pytest.fixture
    def store(self) -> MemoryStore:
        clock = Clock()
        self.wait = lambda seconds: setattr(clock, "now", clock.now + seconds)
        return MemoryStore(clock=clock)

    def test_full(self) -> None:
        """What is full takes nothing new, and forgets nothing before its time."""
        clock = Clock()
        store = MemoryStore(2, clock=clock)
        store.claim("a", "1", 4)
        store.claim("b", "2", 4)
        store.complete("a", "1", 60)

        with pytest.raises(StoreError, match="full: it remembers 2 deliveries"):
            store.claim("c", "3", 4)
        assert store.claim("a", "3", 4) is DONE
        assert store.claim("b", "3", 4) is IN_FLIGHT
        clock.now += 5
        assert store.claim("c", "3", 4) is NEW
        assert store.claim("a", "4", 4) is DONE

    def test_forgets(self) -> None:
        """What has ended does not stay, however much comes."""
        clock = Clock()
        store = MemoryStore(clock=clock)
        for number in range(10_000):
            clock.now += 1
            store.claim(str(number), "token", 4)
            store.renew(str(number), "token", 4)
            if number % 2:
                store.complete(str(number), "token", 60)

        assert len(store) < 100

    def test_forgets_in_steps(self) -> None:
        """However much has ended at once, no claim takes long."""
        clock = Clock()
        store = MemoryStore(clock=clock)
        for number in range(200):
            store.claim(str(number), "token", 4)
        clock.now += 5

        sizes: list[int] = []
        for number in range(4):
            store.claim(f"later {number}", "token", 4)
            sizes.append(len(store))
        assert sizes == [137, 74, 11, 4]

    def test_no_size(self) -> None:
        """A store has room for one at least."""
        with pytest.raises(ConfigurationError, match="1 or more"):
            MemoryStore(0)


class TestSQLiteStore(StoreCases):
    """In a file."""

    PATH: ClassVar[str] = "deliveries.sqlite"

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def store(self, tmp_path: Path, clock: Clock) -> SQLiteStore:
        self.wait = lambda seconds: setattr(clock, "now", clock.now + seconds)
        return SQLiteStore(tmp_path / self.PATH, clock=clock, timeout=5)

    def test_another_process(self, store: SQLiteStore, tmp_path: Path, clock: Clock) -> None:
        """What one has written, the other reads."""
        other = SQLiteStore(tmp_path / self.PATH, clock=clock)

        assert store.claim("a", "1", 4) is NEW
        assert other.claim("a", "2", 4) is IN_FLIGHT
        assert other.complete("a", "1", 60)
        assert store.claim("a", "2", 4) is DONE

    def test_forgets(self, store: SQLiteStore, tmp_path: Path, clock: Clock) -> None:
        """What has ended does not stay."""
        for number in range(500):
            clock.now += 1
            store.claim(str(number), "token", 4)

        with sqlite3.connect(tmp_path / self.PATH) as connection:
            (left,) = connection.execute("SELECT COUNT(*) FROM deliveries").fetchone()
        connection.close()
        assert left < 40

    def test_full(self, tmp_path: Path) -> None:
        """A file that may not grow takes nothing new, and forgets nothing."""
        store = SQLiteStore(tmp_path / self.PATH, max_bytes=50_000)

        def fill() -> None:
            for number in range(10_000):
                store.claim(f"{number:>64}", "token", 60)

        with pytest.raises(StoreError, match=rf"{self.PATH} failed: database or disk is full"):
            fill()
        assert store.claim(f"{0:>64}", "other", 60) is IN_FLIGHT

    def test_full_of_what_has_ended(self, tmp_path: Path, clock: Clock) -> None:
        """It does not stay full."""
        store = SQLiteStore(tmp_path / self.PATH, max_bytes=50_000, clock=clock)
        taken = refused = 0
        for number in range(500):
            clock.now += 0.001
            try:
                store.claim(f"{number * 7919 % 10_000:>64}", "token" * 6, 60)
                taken += 1
            except StoreError:
                refused += 1
        assert refused > taken
        clock.now += 61

        for number in range(taken // 2):
            clock.now += 0.001
            assert store.claim(f"{number * 7919 % 10_000:>60}", "token" * 6, 60) is NEW

    def test_full_of_what_is_being_handled(self, tmp_path: Path, clock: Clock) -> None:
        """What was claimed while there was room can be renewed, and completed."""
        store = SQLiteStore(tmp_path / self.PATH, max_bytes=50_000, clock=clock)
        keys: list[str] = []
        with suppress(StoreError):
            for number in range(10_000):
                clock.now += 0.001
                store.claim(key := f"{number * 7919 % 10_000:>64}", "token", 60)
                keys.append(key)

        for seconds in (60, 61):
            for key in keys:
                clock.now += 0.001
                assert store.renew(key, "token", seconds)
        assert all(store.complete(key, "token", 60) for key in keys)
        with pytest.raises(StoreError, match="full"):
            store.claim("x" * 20_000, "token", 60)

    @pytest.mark.parametrize("max_bytes", [0, 1, 4095])
    def test_bound_below_a_page(self, tmp_path: Path, max_bytes: int) -> None:
        """A bound that is too small for anything is one nevertheless."""
        store = SQLiteStore(tmp_path / self.PATH, max_bytes=max_bytes)

        with pytest.raises(StoreError, match="full"):
            store.claim("x" * 20_000, "token", 60)

    def test_no_log_beside_it(self, tmp_path: Path) -> None:
        """What stands in the way of its log is named at once."""
        (tmp_path / f"{self.PATH}-journal").mkdir()
        store = SQLiteStore(tmp_path / self.PATH, timeout=60)

        with pytest.raises(StoreError, match="unable to open database file"):
            store.claim("a", "1", 4)

    @pytest.mark.parametrize(("timeout", "is_waited_for"), [(20, True), (0.1, False)])
    def test_locked_at_its_first_use(
        self,
        tmp_path: Path,
        timeout: float,
        is_waited_for: bool,  # noqa: FBT001
    ) -> None:
        """Many processes that start at once may be at it, so that each waits for the others."""
        path = tmp_path / self.PATH
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("CREATE TABLE something (a)")
            other.execute("BEGIN IMMEDIATE")  # for which SQLite does not wait here
            store = SQLiteStore(path, timeout=timeout)
            with ThreadPoolExecutor(1) as pool:
                claimed = pool.submit(store.claim, "a", "1", 4)
                if is_waited_for:
                    assert not wait([claimed], timeout=0.2).done
                    other.execute("COMMIT")
                    assert claimed.result() is NEW
                else:
                    with pytest.raises(StoreError, match="database is locked"):
                        claimed.result()

    def test_locked(self, tmp_path: Path) -> None:
        """Who writes for too long is not waited for."""
        store = SQLiteStore(tmp_path / self.PATH, timeout=0.05)
        store.claim("a", "1", 60)
        other = sqlite3.connect(tmp_path / self.PATH, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        for call in (
            lambda: store.claim("b", "1", 60),
            lambda: store.complete("a", "1", 60),
            lambda: store.renew("a", "1", 60),
            lambda: store.release("a", "1"),
        ):
            with pytest.raises(StoreError, match="database is locked"):
                call()
        other.execute("ROLLBACK")
        other.close()
        assert store.complete("a", "1", 60)

    @pytest.mark.parametrize("path", [":memory:", "", Path(":memory:")])
    def test_no_file(self, path: str | Path) -> None:
        """What each thread would have for itself is refused."""
        with pytest.raises(ConfigurationError, match=r"pass a file, or use MemoryStore\(\)"):
            SQLiteStore(path)

    def test_another_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The file stays the same for threads that come after the process has gone elsewhere."""
        monkeypatch.chdir(tmp_path)
        store = SQLiteStore(self.PATH)
        monkeypatch.chdir("/")

        assert store.claim("a", "1", 4) is NEW
        assert (tmp_path / self.PATH).exists()

    def test_no_folder(self, tmp_path: Path) -> None:
        """A path where nothing can be written is named."""
        store = SQLiteStore(tmp_path / "missing" / self.PATH)

        with pytest.raises(StoreError, match=r"missing/deliveries\.sqlite failed: unable to open"):
            store.claim("a", "1", 4)

    def test_no_database(self, tmp_path: Path) -> None:
        """A file of another kind is left as it is."""
        path = tmp_path / self.PATH
        path.write_text("something else " * 100)

        with pytest.raises(StoreError, match="not a database"):
            SQLiteStore(path).claim("a", "1", 4)
        assert path.read_text().startswith("something else")

"""The stores of the core: what all stores do, and what is special about these."""

from __future__ import annotations

import gc
import json
import os
import sqlite3
import stat
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from secrets import token_hex
from threading import Event, Thread
from types import SimpleNamespace
from typing import Any, cast

import pytest

from frappe_hooksig import ConfigurationError, StoreError
from frappe_hooksig.replay import (
    MemoryStore,
    MemoryStoreWarning,
    SQLiteStore,
    State,
    Store,
    _memory,
    _sqlite,
    _workers,
)
from frappe_hooksig.testing import SharedStoreConformance, StoreConformance

NEW, IN_FLIGHT, DONE = State
WARNING = (
    "MemoryStore is used by several processes, and each of them handles the same delivery: "
    "use SQLiteStore(path), which they share"
)
# What two children and their parent are told by a store that was made, and maybe used, before.
FORKS = """
import json, logging, multiprocessing, sys, warnings
from frappe_hooksig.replay import MemoryStore

def use(times=2):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for number in range(times):
            store.claim(f"{number}", "1", 60)
    return [x for each in caught for x in (each.category.__name__, str(each.message))] + log

log = []
logging.getLogger("frappe_hooksig").addHandler(handler := logging.Handler())
handler.emit = lambda record: log.append(record.getMessage())
forked, used = map(int, sys.stdin.read())
store = MemoryStore()
parent = use() if used else []
results = multiprocessing.get_context("fork").SimpleQueue()
children = []
for _ in range(2 * forked):
    child = multiprocessing.get_context("fork").Process(target=lambda: results.put(use()))
    child.start()
    child.join()
    children.append(results.get())
print(json.dumps({"children": children, "parent": parent}))
"""


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class TestMemoryStore(StoreConformance):
    """In memory."""

    @contextmanager
    def open_store(self) -> Iterator[MemoryStore]:
        self.clock = Clock()
        yield MemoryStore(clock=self.clock)

    def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds

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
            store.renew([(str(number), "token")], 4)
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

    @pytest.mark.parametrize(("forked", "used"), [(True, False), (True, True), (False, True)])
    def test_fork(self, *, forked: bool, used: bool) -> None:
        """A process with entries of its own says so, once; a single one does not."""
        script, chosen = [sys.executable, "-c", FORKS], f"{forked:d}{used:d}"
        run = subprocess.run(script, input=chosen, capture_output=True, text=True, check=True)
        warned = ["MemoryStoreWarning", WARNING, WARNING] if forked else []

        assert json.loads(run.stdout) == {"children": [warned] * 2 * forked, "parent": []}
        assert run.stderr == ""

    def test_uwsgi(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The first worker of uWSGI may be the parent of the others."""
        monkeypatch.setattr(_memory, "_warned", set[int]())
        monkeypatch.setitem(sys.modules, "uwsgi", cast("Any", SimpleNamespace(numproc=2)))

        with pytest.warns(MemoryStoreWarning, match="used by several processes"):
            MemoryStore().claim("a", "1", 4)
        MemoryStore().claim("a", "1", 4)

    @pytest.mark.parametrize("was_forked", [False, True])
    def test_no_linux(self, monkeypatch: pytest.MonkeyPatch, *, was_forked: bool) -> None:
        """Where processes cannot be looked at, a fork decides."""
        monkeypatch.setattr(_workers, "_PROC", Path("/nowhere"))

        assert _workers.is_one_of_several(was_forked=was_forked) is was_forked

    def test_no_size(self) -> None:
        """A store has room for one at least."""
        with pytest.raises(ConfigurationError, match="1 or more"):
            MemoryStore(0)


PATH = "deliveries.sqlite"


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 400 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


class TestSQLiteStore(SharedStoreConformance):
    """In a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path: Path, clock: Clock) -> None:
        self.folder = tmp_path
        self.clock = clock

    @contextmanager
    def open_store(self) -> Iterator[SQLiteStore]:
        yield SQLiteStore(self.folder / PATH, clock=self.clock, timeout=20)

    @contextmanager
    def open_unreachable_store(self) -> Iterator[SQLiteStore]:
        yield SQLiteStore(self.folder / "missing" / PATH)

    def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> SQLiteStore:
    return SQLiteStore(tmp_path / PATH, clock=clock, timeout=20)


def check_clock_put_back(store: Store, clock: Clock) -> None:
    """Put back the clock of a store, and look at a claim, a renewed one and a handled delivery."""
    for key in ("renewed", "claimed", "handled"):
        store.claim(key, "1", 4)
    store.complete("handled", "1", 60)
    clock.now -= 3600

    def states() -> list[State]:
        return [store.claim(key, "2", 4) for key in ("renewed", "claimed", "handled")]

    assert states() == [IN_FLIGHT, IN_FLIGHT, DONE]
    clock.now += 3
    assert states() == [IN_FLIGHT, IN_FLIGHT, DONE]
    assert store.renew([("renewed", "1")], 4) == [True]
    clock.now += 1.1
    assert states() == [IN_FLIGHT, NEW, DONE]
    clock.now += 1.9
    assert store.claim("renewed", "2", 4) is IN_FLIGHT
    clock.now += 1.1
    assert store.claim("renewed", "2", 4) is NEW
    assert store.claim("handled", "2", 4) is DONE
    clock.now += 53
    assert store.claim("handled", "2", 4) is NEW


class TestFile:
    """What is special about a file."""

    def test_clock_put_back(self, store: SQLiteStore, clock: Clock) -> None:
        """A claim and a handled delivery last no longer than was said, from the next look on."""
        check_clock_put_back(store, clock)

    def test_clock_put_back_while_locked(self, tmp_path: Path, clock: Clock) -> None:
        """What another process's write delays is done at the next look."""
        store = SQLiteStore(tmp_path / PATH, clock=clock, timeout=0.01)
        store.claim("a", "1", 4)
        clock.now -= 3600
        with closing(sqlite3.connect(tmp_path / PATH, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="locked"):
                store.claim("a", "2", 4)
        assert store.claim("a", "2", 4) is IN_FLIGHT
        clock.now += 4
        assert store.claim("a", "2", 4) is NEW

    def test_full_disk(self, small_disk: Path) -> None:
        """What was claimed can be renewed, completed and released, and nothing else."""
        store = SQLiteStore(small_disk / PATH)
        keys: list[str] = []

        def claim_all() -> None:
            while True:
                store.claim(key := token_hex(32), key, 600)
                keys.append(key)

        with pytest.raises(StoreError, match=f"{PATH} failed: database or disk is full"):
            claim_all()
        fill(small_disk / "other")

        assert len(keys) > 500
        assert store.renew([(key, key) for key in keys], 600) == [True] * len(keys)
        assert all(store.complete(key, key, 600) for key in keys[:-9])
        assert all(store.release(key, key) for key in keys[-9:])
        os.truncate(small_disk / f"{PATH}-spare", 0)  # as if completing had needed all of it
        fill(small_disk / "more")
        with pytest.raises(StoreError, match=f"{PATH} failed: .*No space left on device"):
            store.claim("late", "1", 600)
        assert store.renew([("late", "1"), ("later", "1")], 600) == [False, False]

    def test_full_disk_with_room_again(self, small_disk: Path) -> None:
        """Once there is room, new deliveries are accepted again; nothing was forgotten."""
        store = SQLiteStore(small_disk / PATH)
        other = small_disk / "other"
        other.write_bytes(bytes(100_000))
        with pytest.raises(StoreError, match="full"):
            deque((store.claim(f"{number:>64}", "token", 600) for number in count()), 0)
        assert store.complete(f"{0:>64}", "token", 600)
        other.unlink()

        assert store.claim("late", "1", 600) is NEW
        assert store.claim(f"{0:>64}", "token", 600) is DONE
        assert store.claim(f"{1:>64}", "token", 600) is IN_FLIGHT

    def test_no_space_at_all(self, small_disk: Path) -> None:
        """A claim that not even the spare file can complete is an error, as any other one."""
        store = SQLiteStore(small_disk / PATH)
        store.claim("a", "1", 600)
        (small_disk / f"{PATH}-spare").unlink()
        fill(small_disk / "other")

        with pytest.raises(StoreError, match="full"):
            store.complete("a", "1", 600)

    def test_one_commit(self, store: SQLiteStore, tmp_path: Path) -> None:
        """All claims are renewed in one transaction."""
        for number in range(50):
            store.claim(str(number), "1", 60)
        log = tmp_path / f"{PATH}-wal"
        size = log.stat().st_size
        store.renew([(str(number), "1") for number in range(50)], 60)

        assert log.stat().st_size - size < 10 * 4200

    def test_forgets(self, store: SQLiteStore, tmp_path: Path, clock: Clock) -> None:
        """What has ended does not stay."""
        for number in range(500):
            clock.now += 1
            store.claim(str(number), "token", 4)

        with sqlite3.connect(tmp_path / PATH) as connection:
            (left,) = connection.execute("SELECT COUNT(*) FROM deliveries").fetchone()
        connection.close()
        assert left < 40

    def test_forgets_another_time(self, store: SQLiteStore, tmp_path: Path, clock: Clock) -> None:
        """What cannot be removed stays, and the claim is good."""
        store.claim("first", "token", 4)
        with closing(sqlite3.connect(tmp_path / PATH)) as connection:
            connection.execute(
                "CREATE TRIGGER keep BEFORE DELETE ON deliveries "
                "BEGIN SELECT RAISE(ABORT, 'nothing is deleted'); END"
            )
        for number in range(40):
            clock.now += 5
            assert store.claim(str(number), "token", 4) is NEW

    def test_full(self, tmp_path: Path) -> None:
        """A file that may not grow takes nothing new, and forgets nothing."""
        store = SQLiteStore(tmp_path / PATH, max_bytes=50_000)

        def fill() -> None:
            for number in range(10_000):
                store.claim(f"{number:>64}", "token", 60)

        with pytest.raises(StoreError, match=rf"{PATH} failed: database or disk is full"):
            fill()
        assert store.claim(f"{0:>64}", "other", 60) is IN_FLIGHT

    def test_full_of_what_has_ended(self, tmp_path: Path, clock: Clock) -> None:
        """It does not stay full."""
        store = SQLiteStore(tmp_path / PATH, max_bytes=50_000, clock=clock)
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
        store = SQLiteStore(tmp_path / PATH, max_bytes=50_000, clock=clock)
        keys: list[str] = []
        with suppress(StoreError):
            for number in range(10_000):
                clock.now += 0.001
                store.claim(key := f"{number * 7919 % 10_000:>64}", "token", 60)
                keys.append(key)

        for seconds in (60, 61):
            for key in keys:
                clock.now += 0.001
                assert store.renew([(key, "token")], seconds) == [True]
        assert all(store.complete(key, "token", 60) for key in keys)
        with pytest.raises(StoreError, match="full"):
            store.claim("x" * 20_000, "token", 60)

    @pytest.mark.parametrize("max_bytes", [0, 1, 4095])
    def test_bound_below_a_page(self, tmp_path: Path, max_bytes: int) -> None:
        """A bound that is too small for anything is one nevertheless."""
        store = SQLiteStore(tmp_path / PATH, max_bytes=max_bytes)

        with pytest.raises(StoreError, match="full"):
            store.claim("x" * 20_000, "token", 60)

    def test_no_log_beside_it(self, tmp_path: Path) -> None:
        """What stands in the way of its log is named at once."""
        (tmp_path / f"{PATH}-journal").mkdir()
        store = SQLiteStore(tmp_path / PATH, timeout=60)

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
        path = tmp_path / PATH
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
        store = SQLiteStore(tmp_path / PATH, timeout=0.05)
        store.claim("a", "1", 60)
        other = sqlite3.connect(tmp_path / PATH, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        for call in (
            lambda: store.claim("b", "1", 60),
            lambda: store.complete("a", "1", 60),
            lambda: store.renew([("a", "1")], 60),
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
        store = SQLiteStore(PATH)
        monkeypatch.chdir("/")

        assert store.claim("a", "1", 4) is NEW
        assert (tmp_path / PATH).exists()

    def test_no_folder(self, tmp_path: Path) -> None:
        """A path where nothing can be written is named."""
        store = SQLiteStore(tmp_path / "missing" / PATH)

        with pytest.raises(StoreError, match=r"missing/deliveries\.sqlite failed: unable to open"):
            store.claim("a", "1", 4)

    def test_no_database(self, tmp_path: Path) -> None:
        """A file of another kind is left as it is."""
        path = tmp_path / PATH
        path.write_text("something else " * 100)

        with pytest.raises(StoreError, match="not a database"):
            SQLiteStore(path).claim("a", "1", 4)
        assert path.read_text().startswith("something else")

    def test_spare_of_another_user(
        self, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A spare file that cannot be written is an error of the store."""
        store.claim("a", "1", 60)

        def fail(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        def full(*_: object) -> int:
            msg = "database or disk is full"
            raise sqlite3.OperationalError(msg)

        monkeypatch.setattr(_sqlite, "_write", full)
        monkeypatch.setattr(os, "truncate", fail)
        with pytest.raises(StoreError, match="Permission denied"):
            store.complete("a", "1", 60)

    def test_mode_of_the_spare(self, store: SQLiteStore, tmp_path: Path) -> None:
        """Who may write the file may write the spare file."""
        (tmp_path / PATH).touch()
        (tmp_path / PATH).chmod(0o666)
        store.claim("a", "1", 60)

        assert stat.S_IMODE((tmp_path / f"{PATH}-spare").stat().st_mode) == 0o666

    def test_spare_is_kept(self, small_disk: Path) -> None:
        """What is left of the spare file stays if there is no room for the rest."""
        store = SQLiteStore(small_disk / PATH)
        store.claim("a", "1", 600)
        spare = small_disk / f"{PATH}-spare"
        kept = spare.read_bytes()[:50_000]
        os.truncate(spare, len(kept))
        fill(small_disk / "other")
        os.truncate(small_disk / "other", (small_disk / "other").stat().st_size - 8192)

        with pytest.raises(StoreError, match="No space left"):
            store.claim("b", "1", 600)
        assert spare.read_bytes() == kept
        (small_disk / "other").unlink()
        assert store.claim("b", "1", 600) is NEW
        assert spare.read_bytes()[: len(kept)] == kept
        assert spare.stat().st_size == 128 * 1024

    def test_spare_is_a_link(self, store: SQLiteStore, tmp_path: Path) -> None:
        """No other file is written."""
        (tmp_path / "other").touch()
        (tmp_path / f"{PATH}-spare").symlink_to(tmp_path / "other")

        with pytest.raises(StoreError, match="symbolic links"):
            store.claim("a", "1", 60)
        assert (tmp_path / "other").read_bytes() == b""

    def test_spare_is_a_pipe(self, store: SQLiteStore, tmp_path: Path) -> None:
        """No pipe is waited for, or written."""
        os.mkfifo(tmp_path / f"{PATH}-spare")

        with pytest.raises(StoreError, match="No such device"):
            store.claim("a", "1", 60)
        reader = os.open(tmp_path / f"{PATH}-spare", os.O_RDONLY | os.O_NONBLOCK)
        with pytest.raises(StoreError, match="not a regular file"):
            store.claim("a", "1", 60)
        os.close(reader)


CLAIM = """
import sys
from frappe_hooksig.replay import SQLiteStore
print(SQLiteStore(sys.argv[1], clock=lambda: 1e6, timeout=20).claim("c", "2", 60).name)
"""


class TestFork:
    """A process that has used a store forks."""

    def test_completed_in_the_child(self, store: SQLiteStore, tmp_path: Path) -> None:
        """What the child completed stays, whoever else comes and goes."""
        store.claim("a", "1", 60)
        process = get_context("fork")
        results, go_on = process.SimpleQueue(), process.Event()

        def work() -> None:
            store.claim("b", "1", 60)
            results.put("ready")
            go_on.wait(60)
            results.put([store.claim("c", "1", 60).name, store.complete("c", "1", 600)])
            run = [sys.executable, "-c", CLAIM, str(tmp_path / PATH)]
            results.put(subprocess.run(run, capture_output=True, text=True, check=True).stdout)

        child = process.Process(target=work)
        child.start()
        assert results.get() == "ready"
        del store._pool  # noqa: SLF001  # the parent's connections are closed
        gc.collect()
        run = [sys.executable, "-c", CLAIM.replace('"c"', '"z"'), str(tmp_path / PATH)]
        subprocess.run(run, check=True, capture_output=True)
        go_on.set()

        assert results.get() == ["NEW", True]
        assert results.get() == "DONE\n"
        child.join()

    def test_while_threads_write(self, tmp_path: Path) -> None:
        """No child is locked out, and no thread of the parent."""
        store = SQLiteStore(tmp_path / PATH, timeout=20)
        stop = Event()

        def write(name: int) -> int:
            for number in count():
                store.claim(f"{name} {number}", "1", 60)
                if stop.is_set():
                    return number
            raise AssertionError

        process = get_context("fork")
        results = process.SimpleQueue()
        with ThreadPoolExecutor(2) as pool:
            writers = [pool.submit(write, name) for name in range(2)]
            try:
                for number in range(8):
                    child = process.Process(
                        target=lambda key: results.put(store.claim(key, "1", 60).name),
                        args=(f"child {number}",),
                    )
                    child.start()
                    child.join()
                    assert results.get() == "NEW"
            finally:
                stop.set()
        assert all(writer.result() for writer in writers)

    def test_during_a_call(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A child that has a connection of its parent says so; its parent goes on."""
        monkeypatch.setattr(_sqlite, "_WAIT", 0.05)
        in_call, go_on = Event(), Event()

        def clock() -> float:
            in_call.set()
            go_on.wait(60)
            return 1_000_000.0

        store = SQLiteStore(tmp_path / PATH, clock=clock)
        thread = Thread(target=store.claim, args=("a", "1", 60))
        thread.start()
        in_call.wait(60)
        process = get_context("fork")
        results = process.SimpleQueue()

        def work() -> None:
            try:
                store.claim("b", "1", 60)
            except StoreError as error:
                results.put(str(error))

        child = process.Process(target=work)
        child.start()
        child.join()
        go_on.set()
        thread.join()

        assert results.get().endswith("fork before the first use")
        assert store.claim("a", "2", 60) is IN_FLIGHT

    def test_call_during_a_fork(self, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """A call waits for the fork, and not for ever."""
        monkeypatch.setattr(_sqlite, "_WAIT", 0.05)
        monkeypatch.setattr(_sqlite, "_forks", [None])

        with pytest.raises(StoreError, match="is being forked"):
            store.claim("a", "1", 60)

    def test_dropped_before_a_fork(self, store: SQLiteStore, tmp_path: Path) -> None:
        """A store that nobody has any more leaves no connection open."""
        dropped = SQLiteStore(tmp_path / PATH)
        dropped.claim("a", "1", 60)
        del dropped

        assert not (tmp_path / f"{PATH}-wal").exists()
        assert store.claim("b", "1", 60) is NEW

    def test_no_forks(self, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing can fork, nothing has to be watched."""
        monkeypatch.delattr(os, "register_at_fork")
        watch = _sqlite._watch_forks.__wrapped__  # noqa: SLF001
        monkeypatch.setattr(_sqlite, "_watch_forks", watch)

        assert store.claim("a", "1", 60) is NEW

"""Tests for stores: what every store has to do."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
    nullcontext,
)
from secrets import token_hex
from typing import Any, ClassVar, TypeVar

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay._protocol import AsyncStore, State, Store

_Result = TypeVar("_Result")

_AT_ONCE = 8  # threads or processes
_KEYS = 20  # that each of them claims
_CLAIMS = 100  # that are renewed in one call
_PATIENCE = 30  # seconds

# Keys that a store can confuse: by case, spaces, patterns, quotes, escapes, length or a prefix.
_ODD_KEYS = (
    *("a", "A", "a ", " a", "aa", "a*", "a?", "a%", "a_", "[a]", "{a}", "{a}b", "a:b", "a/b"),
    *("a'", 'a"', "a\\", "a;--", "a\\n", "%s", "{0}", "$a", "..", "~", "None", "0", "00", "1e0"),
    *("k" * 99, "k" * 99 + "l", "k" * 99 + "m"),
)


class _Conformance:
    """The tests, for stores of both kinds."""

    #: The lease of the claims in the tests, in seconds. A slow store needs a longer one.
    lease: ClassVar[float] = 1

    def let_pass(self, seconds: float) -> None:
        """Let some time pass for the store. Overwrite it if the store has a clock to set."""
        time.sleep(seconds)

    def test_claim(self) -> None:
        """One caller claims a delivery; the others learn that it is in flight."""
        with self._opened() as store:
            _expect("claim() of a new delivery", self._claim(store, "a", "1"), State.NEW)
            _expect("a second claim()", self._claim(store, "a", "2"), State.IN_FLIGHT)
            _expect("claim() with the same token", self._claim(store, "a", "1"), State.IN_FLIGHT)
            _expect("claim() of another delivery", self._claim(store, "b", "3"), State.NEW)

    def test_complete(self) -> None:
        """A handled delivery is done until its retention ends, whatever its lease was."""
        with self._opened() as store:
            self._claim(store, "a", "1")
            _expect("complete()", store.complete("a", "1", 3 * self.lease), expected=True)
            _expect("claim() of a handled delivery", self._claim(store, "a", "2"), State.DONE)
            self.let_pass(2 * self.lease)
            _expect("claim() within the retention", self._claim(store, "a", "2"), State.DONE)
            self.let_pass(2 * self.lease)
            _expect("claim() after the retention", self._claim(store, "a", "2"), State.NEW)

    def test_short_retention(self) -> None:
        """The retention replaces the lease, even if the lease is longer."""
        with self._opened() as store:
            store.claim("a", "1", 3 * self.lease)
            _expect("complete()", store.complete("a", "1", self.lease), expected=True)
            self.let_pass(1.5 * self.lease)
            _expect("claim() after the retention", self._claim(store, "a", "2"), State.NEW)

    def test_release(self) -> None:
        """A released delivery can be claimed at once."""
        with self._opened() as store:
            self._claim(store, "a", "1")
            _expect("release()", store.release("a", "1"), expected=True)
            _expect("claim() after release()", self._claim(store, "a", "2"), State.NEW)
            _expect("a second release()", store.release("a", "1"), expected=False)
            _expect("claim() after that", self._claim(store, "a", "3"), State.IN_FLIGHT)

    def test_lease_ends(self) -> None:
        """A claim that is not renewed ends by itself."""
        with self._opened() as store:
            self._claim(store, "a", "1")
            self.let_pass(self.lease / 2)
            _expect("claim() within the lease", self._claim(store, "a", "2"), State.IN_FLIGHT)
            self.let_pass(self.lease)
            _expect("claim() after the lease", self._claim(store, "a", "2"), State.NEW)
            _expect("claim() after that", self._claim(store, "a", "3"), State.IN_FLIGHT)

    def test_renewed_lease(self) -> None:
        """A renewed lease ends its full time after the last renewal, and no later."""
        with self._opened() as store:
            self._claim(store, "a", "1")
            self.let_pass(0.6 * self.lease)
            for _ in range(3):
                _expect("renew()", _renew(store, self.lease, ("a", "1")), [True])
            self.let_pass(0.6 * self.lease)
            _expect("claim() after renew()", self._claim(store, "a", "2"), State.IN_FLIGHT)
            self.let_pass(0.8 * self.lease)
            _expect("claim() after the lease", self._claim(store, "a", "2"), State.NEW)

    def test_renew_many(self) -> None:
        """One call renews many claims, and tells which of them are lost."""
        with self._opened() as store:
            claims = [(f"key {number}", token_hex(16)) for number in range(_CLAIMS)]
            for key, token in claims:
                store.claim(key, token, 3 * self.lease)
            for key in ("completed", "released", "another's", "ended"):
                self._claim(store, key, f"of {key}")
            store.complete("completed", "of completed", 10 * self.lease)
            store.release("released", "of released")
            self.let_pass(1.5 * self.lease)
            self._claim(store, "another's", "other")
            lost = [(key, f"of {key}") for key in ("completed", "released", "another's", "ended")]
            lost += [("never claimed", "1"), (claims[0][0], claims[1][1])]
            mixed = [*claims[:7], *lost, *claims[7:]]
            expected = [True] * 7 + [False] * len(lost) + [True] * (_CLAIMS - 7)

            _expect("renew() of many claims", _renew(store, 4 * self.lease, *mixed), expected)
            _expect("renew() of lost claims", _renew(store, self.lease, *lost), [False] * len(lost))
            self.let_pass(2 * self.lease)
            found = Counter(store.claim(key, "late", self.lease) for key, _ in claims)
            _expect("claim() of renewed ones", found, Counter({State.IN_FLIGHT: _CLAIMS}))
            for key in ("released", "another's", "ended", "never claimed"):
                _expect(f"claim() of {key}", self._claim(store, key, "late"), State.NEW)

    def test_late(self) -> None:
        """After its lease has ended, a caller changes nothing."""
        with self._opened() as store:
            for name, _ in self._changes():
                self._claim(store, f"{name} a", "1")
                self._claim(store, f"{name} b", "1")
            self.let_pass(1.5 * self.lease)
            for name, call in self._changes():
                late = call(store, f"{name} a", "1")
                _expect(f"{name}() after the lease", late, expected=False)
                _expect("claim() after that", self._claim(store, f"{name} a", "2"), State.NEW)
                self._claim(store, f"{name} b", "2")
                late = call(store, f"{name} b", "1")
                _expect(f"{name}() after somebody else's claim()", late, expected=False)
                state = self._claim(store, f"{name} b", "3")
                _expect("claim() after that", state, State.IN_FLIGHT)

    def test_another_token(self) -> None:
        """Nobody changes another's claim, a handled delivery, or one that nobody claimed."""
        with self._opened() as store:
            for name, call in self._changes():
                store.claim(name, "1", 10 * self.lease)
                _expect(f"{name}() with another token", call(store, name, "2"), expected=False)
                state = self._claim(store, name, "3")
                _expect(f"claim() after {name}() with another token", state, State.IN_FLIGHT)
                _expect("complete()", store.complete(name, "1", 10 * self.lease), expected=True)
                _expect(f"{name}() after complete()", call(store, name, "1"), expected=False)
                state = self._claim(store, name, "3")
                _expect(f"claim() after {name}() after complete()", state, State.DONE)
                missing = call(store, f"{name} b", "1")
                _expect(f"{name}() without claim()", missing, expected=False)
                state = self._claim(store, f"{name} b", "1")
                _expect(f"claim() after {name}() without claim()", state, State.NEW)

    def test_odd_keys(self) -> None:
        """Any key of up to 100 printable ASCII characters is like no other key."""
        with self._opened() as store:
            tokens = {key: token_hex(16) for key in _ODD_KEYS}
            states = {
                key: store.claim(key, token, 10 * self.lease) for key, token in tokens.items()
            }
            _expect("claim()", states, dict.fromkeys(_ODD_KEYS, State.NEW))
            renewed = _renew(store, 10 * self.lease, *tokens.items())
            _expect("renew()", renewed, [True] * len(_ODD_KEYS))
            for key in _ODD_KEYS[::2]:
                completed = store.complete(key, tokens[key], 60)
                _expect(f"complete() of {key!r}", completed, expected=True)
            for key in _ODD_KEYS[1::2]:
                _expect(f"release() of {key!r}", store.release(key, tokens[key]), expected=True)
            states = {key: self._claim(store, key, "late") for key in _ODD_KEYS}
            expected = dict.fromkeys(_ODD_KEYS[::2], State.DONE)
            expected |= dict.fromkeys(_ODD_KEYS[1::2], State.NEW)
            _expect("claim()", states, expected)

    def test_any_thread(self) -> None:
        """A claim belongs to its token, not to the thread that made it."""
        with self._opened() as store, ThreadPoolExecutor(1) as other:
            self._claim(store, "a", "1")
            self._claim(store, "b", "1")
            renewed = other.submit(_renew, store, self.lease, ("a", "1")).result(_PATIENCE)
            _expect("renew() in another thread", renewed, [True])
            completed = other.submit(store.complete, "a", "1", 60).result(_PATIENCE)
            _expect("complete() in another thread", completed, expected=True)
            released = other.submit(store.release, "b", "1").result(_PATIENCE)
            _expect("release() in another thread", released, expected=True)

    def test_threads(self) -> None:
        """Of many threads that claim a delivery at once, one gets it, whether it is new or not."""
        with self._opened() as store:
            self._claim_at_once(store, "new")
            for number in range(_KEYS):
                store.claim(f"ended {number}", "1", self.lease)
            self.let_pass(1.5 * self.lease)
            self._claim_at_once(store, "ended")
            for number in range(_KEYS):
                store.claim(f"settled {number}", "1", 10 * self.lease)
            by_thread = _at_once(lambda thread: _settle(store, thread, 10 * self.lease))
            for winners in zip(*by_thread, strict=True):
                _expect("complete() and release() at once", winners.count(True), 1)

    def test_unreachable(self) -> None:
        """A store that cannot reach its data raises `StoreError`."""
        with self._opened_unreachable() as store:
            if store is None:
                return
            calls: list[tuple[str, Callable[[Store], object]]] = [
                ("claim", lambda store: self._claim(store, "a", "1")),
                ("renew", lambda store: store.renew([("a", "1")], self.lease)),
                ("complete", lambda store: store.complete("a", "1", self.lease)),
                ("release", lambda store: store.release("a", "1")),
            ]
            for name, call in calls:
                _expect(f"{name}() of an unreachable store", _error_of(call, store), StoreError)

    def _opened(self) -> AbstractContextManager[Store]:
        """Open the store, for callers that do not await."""
        raise NotImplementedError

    def _opened_unreachable(self) -> AbstractContextManager[Store | None]:
        """Open the unreachable store, if there is one."""
        raise NotImplementedError

    def _claim(self, store: Store, key: str, token: str) -> State:
        return store.claim(key, token, self.lease)

    def _changes(self) -> Sequence[tuple[str, Callable[[Store, str, str], bool]]]:
        """Return the methods that change a claim, by name."""
        return (
            ("renew", lambda store, key, token: _renew(store, self.lease, (key, token))[0]),
            ("complete", lambda store, key, token: store.complete(key, token, self.lease)),
            ("release", lambda store, key, token: store.release(key, token)),
        )

    def _claim_at_once(self, store: Store, kind: str) -> None:
        by_thread = _at_once(lambda thread: _claim_all(store, kind, thread, 10 * self.lease))
        for number, states in enumerate(zip(*by_thread, strict=True)):
            _expect_one(f"claim() of {kind} {number} by {_AT_ONCE} threads", states)


class _SharedConformance(_Conformance):
    """What is added for a store that several processes share."""

    def test_processes(self) -> None:
        """Of many processes that claim a delivery at once, one gets it."""
        forking = multiprocessing.get_context("fork")
        start = forking.Barrier(_AT_ONCE)
        results: Any = forking.SimpleQueue()

        def claim(number: int) -> None:
            with self._used_in_a_fork(store) as own:
                start.wait(_PATIENCE)
                results.put(_claim_all(own, "key", number, 10 * self.lease))

        with self._opened() as store:
            processes = [forking.Process(target=claim, args=(n,)) for n in range(_AT_ONCE)]
            with warnings.catch_warnings():
                # From Python 3.12 on, of a fork while there are threads, such as pytest-xdist's.
                warnings.simplefilter("ignore", DeprecationWarning)
                for process in processes:
                    process.start()
            for process in processes:
                process.join(_PATIENCE)
            codes = [process.exitcode for process in processes]
            _expect("exit codes of the processes", codes, [0] * _AT_ONCE)
            by_process = [results.get() for _ in processes]
            for number, states in enumerate(zip(*by_process, strict=True)):
                _expect_one(f"claim() of key {number} by {_AT_ONCE} processes", states)
            state = self._claim(store, "key 0", "late")
            _expect("claim() by the process that forked them", state, State.IN_FLIGHT)

    def _used_in_a_fork(self, store: Store) -> AbstractContextManager[Store]:
        """Return a context manager whose value is the store to use in a forked process."""
        raise NotImplementedError


class StoreConformance(_Conformance):
    """Tests that every store has to pass.

    Inherit it in a test class, and define `open_store()`. In pytest, the name of the class begins
    with `Test`; in unittest, the class also inherits `unittest.TestCase`.

    Attributes:
        lease: The lease of the claims in the tests, in seconds: 1 by default. A slow store needs a
            longer one.
    """

    def open_store(self) -> AbstractContextManager[Store]:
        """Return a context manager whose value is the store, without any deliveries."""
        raise NotImplementedError

    def open_unreachable_store(self) -> AbstractContextManager[Store] | None:
        """Return a context manager whose value is a store that cannot reach its data.

        Without it, `test_unreachable()` has nothing to test.
        """
        return None

    def _opened(self) -> AbstractContextManager[Store]:
        return self.open_store()

    def _opened_unreachable(self) -> AbstractContextManager[Store | None]:
        return self.open_unreachable_store() or nullcontext()


class SharedStoreConformance(StoreConformance, _SharedConformance):
    """The tests of `StoreConformance`, and one of a store that several processes share.

    The processes are forked. Each uses the store that was opened before the fork, like the workers
    of a server that loads the app first.
    """

    def _used_in_a_fork(self, store: Store) -> AbstractContextManager[Store]:
        return nullcontext(store)


class AsyncStoreConformance(_Conformance):
    """The tests of `StoreConformance`, for an `AsyncStore`.

    All coroutines of a test run on one event loop.

    Attributes:
        lease: As in `StoreConformance`.
    """

    def open_store(self) -> AbstractAsyncContextManager[AsyncStore]:
        """Return an async context manager whose value is the store, without any deliveries."""
        raise NotImplementedError

    def open_unreachable_store(self) -> AbstractAsyncContextManager[AsyncStore] | None:
        """See `StoreConformance.open_unreachable_store()`."""
        return None

    def _opened(self) -> AbstractContextManager[Store]:
        return _on_a_loop(self.open_store())

    def _opened_unreachable(self) -> AbstractContextManager[Store | None]:
        opened = self.open_unreachable_store()
        return _on_a_loop(opened) if opened else nullcontext()


class SharedAsyncStoreConformance(AsyncStoreConformance, _SharedConformance):
    """The tests of `AsyncStoreConformance`, and one of a store that several processes share.

    The processes are forked, and each opens the store once more. So `open_store()` must leave the
    deliveries as they are: remove those of an earlier test elsewhere.
    """

    def _used_in_a_fork(self, store: Store) -> AbstractContextManager[Store]:  # noqa: ARG002
        return self._opened()  # the event loop of `store` does not run in a forked process


class _Awaited:
    """An `AsyncStore` for callers in other threads than that of its event loop."""

    def __init__(self, store: AsyncStore, loop: asyncio.AbstractEventLoop) -> None:
        self._store = store
        self._loop = loop

    def claim(self, key: str, token: str, lease: float) -> State:
        return self._result(self._store.claim(key, token, lease))

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return self._result(self._store.renew(claims, lease))

    def complete(self, key: str, token: str, retention: float) -> bool:
        return self._result(self._store.complete(key, token, retention))

    def release(self, key: str, token: str) -> bool:
        return self._result(self._store.release(key, token))

    def _result(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(_PATIENCE)


@contextmanager
def _on_a_loop(opened: AbstractAsyncContextManager[AsyncStore]) -> Generator[_Awaited]:
    """Enter a context manager on an event loop in a thread, until the block ends."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(_PATIENCE)

    try:
        store = run(opened.__aenter__())
        try:
            yield _Awaited(store, loop)
        finally:
            run(opened.__aexit__(None, None, None))
            run(loop.shutdown_asyncgens())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _renew(store: Store, lease: float, *claims: tuple[str, str]) -> list[bool]:
    return list(store.renew(claims, lease))


def _claim_all(store: Store, kind: str, number: int, lease: float) -> list[State]:
    return [store.claim(f"{kind} {n}", f"token {number} {n}", lease) for n in range(_KEYS)]


def _settle(store: Store, number: int, retention: float) -> list[bool]:
    """Complete all claims, or release them, as another thread does at the same time."""
    keys = [f"settled {n}" for n in range(_KEYS)]
    if number % 2:
        return [store.complete(key, "1", retention) for key in keys]
    return [store.release(key, "1") for key in keys]


def _at_once(action: Callable[[int], _Result]) -> list[_Result]:
    """Run an action in several threads that begin at the same time."""
    start = threading.Barrier(_AT_ONCE)

    def run(number: int) -> _Result:
        start.wait(_PATIENCE)
        return action(number)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(run, range(_AT_ONCE)))


def _error_of(call: Callable[[Store], object], store: Store) -> object:
    """Return the class of the exception that a call raises, or what it returns."""
    try:
        return call(store)
    except Exception as error:  # noqa: BLE001  # the caller judges it
        return type(error)


def _expect_one(what: str, states: Sequence[State]) -> None:
    """Fail unless one of several callers has claimed the delivery."""
    expected = Counter({State.NEW: 1, State.IN_FLIGHT: len(states) - 1})
    _expect(what, Counter(states), expected)


def _expect(what: str, found: object, expected: object) -> None:
    """Fail unless a call had the expected result. Not `assert`, which `python -O` removes."""
    # A result that only equals True or a State would be taken for something else.
    if found != expected or (isinstance(expected, bool | State) and found is not expected):
        msg = f"{what}: expected {expected}, not {found}"
        raise AssertionError(msg)

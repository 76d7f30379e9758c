"""The tests for stores: they pass for a right store, and find each planted mistake."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import unittest
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from typing import Any, ClassVar

import pytest

from frappe_hooksig import StoreError
from frappe_hooksig.replay import State, Store
from frappe_hooksig.testing import AsyncStoreConformance, StoreConformance
from frappe_hooksig.testing._stores import _Conformance, _SharedConformance

NEW, IN_FLIGHT, DONE = State


class Right:
    """A store without mistakes, from which each wrong one differs in one thing."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lock: AbstractContextManager[Any] = threading.Lock()
        self.rows: dict[str, tuple[str | None, float]] = {}

    def claim(self, key: str, token: str, lease: float) -> State:
        with self.lock:
            if (row := self.row_of(key)) is not None:
                return DONE if row[0] is None else IN_FLIGHT
            self.put(key, token, lease)
            return NEW

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        return [self.change(key, token, token, lease) for key, token in claims]

    def complete(self, key: str, token: str, retention: float) -> bool:
        return self.change(key, token, None, retention)

    def release(self, key: str, token: str) -> bool:
        return self.change(key, token, "", 0)

    def change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        with self.lock:
            row = self.row_of(key)
            if row is None or row[0] != token:
                return False
            self.put(key, to, seconds)
            return True

    def row_of(self, key: str) -> tuple[str | None, float] | None:
        row = self.rows.get(key)
        return row if row and row[1] > self.now else None

    def put(self, key: str, token: str | None, seconds: float) -> None:
        self.rows[key] = (token, self.now + seconds)


class Slow(dict[str, Any]):
    """Rows that are further away, so that threads come in between."""

    def get(self, key: str, default: Any = None) -> Any:
        row = super().get(key, default)
        time.sleep(0.0001)
        return row


class NotAtomic(Right):
    def __init__(self) -> None:
        super().__init__()
        self.lock = nullcontext()
        self.rows = Slow()


class TakesOverNotAtomically(Right):
    """What is new is atomic."""

    def claim(self, key: str, token: str, lease: float) -> State:
        if key in self.rows and self.row_of(key) is None:
            time.sleep(0.001)
            self.put(key, token, lease)
            return NEW
        return super().claim(key, token, lease)


class SettlesNotAtomically(Right):
    def change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        row = self.row_of(key)
        time.sleep(0.001)
        if row is None or row[0] != token:
            return False
        self.put(key, to, seconds)
        return True


class ClaimsAgainWithTheSameToken(Right):
    def claim(self, key: str, token: str, lease: float) -> State:
        row = self.row_of(key)
        return NEW if row and row[0] == token else super().claim(key, token, lease)


class TakesAnyToken(Right):
    def change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        row = self.row_of(key)
        return super().change(key, (row and row[0]) or token, to, seconds)


class ReleasesWhatIsDone(Right):
    def release(self, key: str, token: str) -> bool:
        row = self.row_of(key)
        if row and row[0] is None:
            del self.rows[key]
        return super().release(key, token)


class CompletesTwice(Right):
    def complete(self, key: str, token: str, retention: float) -> bool:
        row = self.row_of(key)
        return bool(row and row[0] is None) or super().complete(key, token, retention)


class CompletesWhatNobodyClaimed(Right):
    def complete(self, key: str, token: str, retention: float) -> bool:
        if self.row_of(key) is None:
            self.put(key, None, retention)
        return super().complete(key, token, retention)


class IgnoresLeases(Right):
    def row_of(self, key: str) -> tuple[str | None, float] | None:
        row = self.rows.get(key)
        return row if row and (row[0] is not None or row[1] > self.now) else None


class IgnoresRetention(Right):
    def row_of(self, key: str) -> tuple[str | None, float] | None:
        row = self.rows.get(key)
        return row if row and (row[0] is None or row[1] > self.now) else None


class KeepsTheLease(Right):
    """The retention does not replace it."""

    def complete(self, key: str, token: str, retention: float) -> bool:
        row = self.row_of(key)
        left = row[1] - self.now if row else 0
        return super().complete(key, token, max(retention, left))


class ForgetsWithTheLease(Right):
    def complete(self, key: str, token: str, retention: float) -> bool:
        row = self.row_of(key)
        left = row[1] - self.now if row else 0
        return super().complete(key, token, min(retention, left))


class AcceptsLateChanges(Right):
    def change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        row = self.rows.get(key)
        if row is not None and row[0] == token != "":
            self.put(key, to, seconds)
            return True
        return super().change(key, token, to, seconds)


class RevivesLeases(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        for key, token in claims:
            if self.row_of(key) is None:
                self.put(key, token, lease)
        return super().renew(claims, lease)


class AddsToLeases(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        left = [(self.rows[key][1] - self.now) if key in self.rows else 0 for key, _ in claims]
        return [
            super(AddsToLeases, self).renew([claim], lease + max(0, more))[0]
            for claim, more in zip(claims, left, strict=True)
        ]


class RenewsNothing(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        return super().renew(claims, 0.0001 * lease)


class RenewsTheFirst(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        return [*super().renew(claims[:1], lease), *(True for _ in claims[1:])]


class StopsAtALostOne(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        results: list[bool] = []
        for claim in claims:
            results += super().renew([claim], lease) if all(results) else [False]
        return results


class AnswersOnce(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        return [all(super().renew(claims, lease))]


class AnswersInAnotherOrder(Right):
    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        return sorted(super().renew(claims, lease))


class AnswersByKey(Right):
    """The same key with another token gets the answer of the first one."""

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[Any]:
        renewed = dict(zip([key for key, _ in claims], super().renew(claims, lease), strict=True))
        return [renewed[key] for key, _ in claims]


class AnswersWithNumbers(Right):
    def complete(self, key: str, token: str, retention: float) -> Any:
        return int(super().complete(key, token, retention))


class AnswersWithTexts(Right):
    def claim(self, key: str, token: str, lease: float) -> Any:
        return super().claim(key, token, lease).value


class HasOtherKeys(Right):
    """A database that compares text in its own way, or a folder of files."""

    def of(self, key: str) -> str:
        raise NotImplementedError

    def row_of(self, key: str) -> tuple[str | None, float] | None:
        return super().row_of(self.of(key))

    def put(self, key: str, token: str | None, seconds: float) -> None:
        super().put(self.of(key), token, seconds)


class IgnoresCase(HasOtherKeys):
    def of(self, key: str) -> str:
        return key.lower()


class IgnoresSpaces(HasOtherKeys):
    def of(self, key: str) -> str:
        return key.rstrip()


class CutsKeys(HasOtherKeys):
    def of(self, key: str) -> str:
        return key[:99]


class LosesOddKeys(HasOtherKeys):
    def of(self, key: str) -> str:
        return "".join(filter(str.isalnum, key))


class BelongsToItsThread(Right):
    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def claim(self, key: str, token: str, lease: float) -> State:
        vars(self.local)[token] = key
        return super().claim(key, token, lease)

    def change(self, key: str, token: str, to: str | None, seconds: float) -> bool:
        if token not in vars(self.local):
            return False
        return super().change(key, token, to, seconds)


WRONG: dict[type[Right], str] = {
    NotAtomic: "test_threads",
    TakesOverNotAtomically: "test_threads",
    SettlesNotAtomically: "test_threads",
    ClaimsAgainWithTheSameToken: "test_claim",
    TakesAnyToken: "test_another_token",
    ReleasesWhatIsDone: "test_another_token",
    CompletesTwice: "test_another_token",
    CompletesWhatNobodyClaimed: "test_another_token",
    IgnoresLeases: "test_lease_ends",
    IgnoresRetention: "test_complete",
    KeepsTheLease: "test_short_retention",
    ForgetsWithTheLease: "test_complete",
    AcceptsLateChanges: "test_late",
    RevivesLeases: "test_late",
    AddsToLeases: "test_renewed_lease",
    RenewsNothing: "test_renewed_lease",
    RenewsTheFirst: "test_renew_many",
    StopsAtALostOne: "test_renew_many",
    AnswersOnce: "test_renew_many",
    AnswersInAnotherOrder: "test_renew_many",
    AnswersByKey: "test_renew_many",
    AnswersWithNumbers: "test_complete",
    AnswersWithTexts: "test_claim",
    IgnoresCase: "test_odd_keys",
    IgnoresSpaces: "test_odd_keys",
    CutsKeys: "test_odd_keys",
    LosesOddKeys: "test_odd_keys",
    BelongsToItsThread: "test_any_thread",
}


class OfOneProcess(StoreConformance):
    """The tests for a store of the given kind, with a clock that is set by hand."""

    def __init__(self, kind: type[Right]) -> None:
        self.kind = kind

    @contextmanager
    def open_store(self) -> Iterator[Store]:
        self.store = self.kind()
        yield self.store

    def let_pass(self, seconds: float) -> None:
        self.store.now += seconds


TESTS = sorted(name for name in vars(_Conformance) if name.startswith("test_"))


def failures(cases: Any) -> set[str]:
    """Return the tests that fail."""
    failed: set[str] = set()
    for name in TESTS:
        try:
            getattr(cases, name)()
        except AssertionError:  # noqa: PERF203  # they are few
            failed.add(name)
    return failed


def test_right() -> None:
    """Nothing is wrong with a right store."""
    assert failures(OfOneProcess(Right)) == set()


@pytest.mark.parametrize(("kind", "name"), WRONG.items(), ids=[kind.__name__ for kind in WRONG])
def test_wrong(kind: type[Right], name: str) -> None:
    """Each mistake is found, by the test that is about it."""
    assert name in failures(OfOneProcess(kind))


def test_each_test_finds_something() -> None:
    """No test is without a mistake that it finds: the other two have theirs below."""
    named = {"test_release", "test_unreachable"}

    assert {*WRONG.values(), *named} == set(TESTS)


def test_release() -> None:
    """A release that does nothing is found."""

    class ReleasesNothing(Right):
        def release(self, key: str, token: str) -> bool:
            row = self.row_of(key)
            return bool(row and row[0] == token)

    assert "test_release" in failures(OfOneProcess(ReleasesNothing))


class Away(Right):
    """A store whose server is away, which it tells in the driver's own words."""

    error: ClassVar[type[Exception]] = OSError

    def claim(self, *_args: object) -> State:
        raise self.error

    def renew(self, *_args: object) -> Sequence[Any]:
        raise self.error

    def complete(self, *_args: object) -> bool:
        raise self.error

    def release(self, *_args: object) -> bool:
        raise self.error


class Explains(Away):
    error = StoreError


class Pretends(Right):
    """It is not there, and does as if."""


@pytest.mark.parametrize(
    ("away", "found"),
    [(Explains, set()), (Away, {"test_unreachable"}), (Pretends, {"test_unreachable"})],
)
def test_unreachable(away: type[Right], found: set[str]) -> None:
    """Another error than `StoreError`, or none, is found."""

    class Cases(OfOneProcess):
        def open_unreachable_store(self) -> AbstractContextManager[Store]:
            return nullcontext(away())

    assert failures(Cases(Right)) == found


def test_message() -> None:
    """A failure names the call, what it should have returned, and what it did."""
    with pytest.raises(AssertionError) as caught:
        OfOneProcess(AnswersWithTexts).test_claim()

    assert str(caught.value) == "claim() of a new delivery: expected State.NEW, not new"


class Awaited:
    """A store for asyncio; a mistake in it is one of the store underneath."""

    def __init__(self, store: Right) -> None:
        self._store = store

    async def claim(self, key: str, token: str, lease: float) -> State:
        return self._store.claim(key, token, lease)

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        return self._store.renew(claims, lease)

    async def complete(self, key: str, token: str, retention: float) -> bool:
        return self._store.complete(key, token, retention)

    async def release(self, key: str, token: str) -> bool:
        return self._store.release(key, token)


class OfOneLoop(AsyncStoreConformance):
    def __init__(self, kind: type[Right], away: type[Right] | None = None) -> None:
        self.kind = kind
        self.away = away

    @asynccontextmanager
    async def open_store(self) -> AsyncIterator[Awaited]:
        self.store = self.kind()
        yield Awaited(self.store)

    def open_unreachable_store(self) -> Any:
        return self._open_away(self.away) if self.away else super().open_unreachable_store()

    @asynccontextmanager
    async def _open_away(self, away: type[Right]) -> AsyncIterator[Awaited]:
        yield Awaited(away())

    def let_pass(self, seconds: float) -> None:
        self.store.now += seconds


@pytest.mark.parametrize("kind", [Right, AnswersWithTexts, IgnoresCase])
def test_async(kind: type[Right]) -> None:
    """Stores for asyncio pass or fail the same tests."""
    assert failures(OfOneLoop(kind)) == failures(OfOneProcess(kind))


@pytest.mark.parametrize(("away", "found"), [(Explains, set()), (Away, {"test_unreachable"})])
def test_async_unreachable(away: type[Right], found: set[str]) -> None:
    """Another error than `StoreError` is found there, too."""
    assert failures(OfOneLoop(Right, away)) == found


class OfOneProcessEach(OfOneProcess, _SharedConformance):
    """A store in memory is none for several processes."""

    def _used_in_a_fork(self, store: Store) -> AbstractContextManager[Store]:
        return nullcontext(store)


def test_processes() -> None:
    """A store that each process has for itself is found."""
    with pytest.raises(AssertionError, match=r"key 0 by 8 processes: expected Counter.*NEW.*: 1"):
        OfOneProcessEach(Right).test_processes()


def test_process_that_fails() -> None:
    """A process that cannot use the store is found."""
    with pytest.raises(AssertionError, match=r"exit codes of the processes: .*, not \[1, 1, 1"):
        OfOneProcessEach(Away).test_processes()


@pytest.mark.parametrize("kind", [StoreConformance, AsyncStoreConformance])
def test_what_is_to_be_defined(kind: Any) -> None:
    """Without `open_store()` there is nothing to test, which is said at once."""
    with pytest.raises(TypeError, match=r"abstract.* ('open_store'|open_store)"):
        kind()


def test_time() -> None:
    """Unless it is told otherwise, it waits."""
    begun = time.monotonic()
    StoreConformance.let_pass(OfOneProcess(Right), 0.05)

    assert time.monotonic() - begun >= 0.05


class UnderUnittest(StoreConformance, unittest.TestCase):
    @contextmanager
    def open_store(self) -> Iterator[Store]:
        self.store = Right()
        yield self.store

    def let_pass(self, seconds: float) -> None:
        self.store.now += seconds


def test_unittest() -> None:
    """It runs in unittest, too."""
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(UnderUnittest).run(result)

    assert (result.testsRun, result.wasSuccessful()) == (len(TESTS), True)


def test_import() -> None:
    """To import it takes no pytest, and no part that tests of a store do not need."""
    code = (
        "import sys, frappe_hooksig.testing;"
        "print([name for name in ('pytest', 'unittest', 'frappe_hooksig.verify') "
        "if name in sys.modules])"
    )

    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"

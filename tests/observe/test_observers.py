"""Observers cannot change a response, whatever they do."""

# ruff: noqa: SLF001  # which thread calls an observer is nobody's business but ours

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, Queue
from threading import Thread
from typing import Any, cast

import pytest

from frappe_hooksig import ConfigurationError, sign_payload
from frappe_hooksig.observe import Capture, Event, _threads, log
from frappe_hooksig.providers import FRAPPE
from frappe_hooksig.replay import MemoryStore
from frappe_hooksig.replay._callers import BLOCKING, Awaiting, Blocking
from frappe_hooksig.replay._steps import run, run_async
from frappe_hooksig.testing import redeliver, signed_request
from tests.receivers import Incoming, Plain, make_receiver
from tests.testing.routes import route, site

__all__ = ["route", "site"]  # fixtures

SECRET = "Qv3r0mZ8tYp5Lk2Xw9Bc7Nd4"
BODY = b'{"order": "SO-00001"}'
SIGNED = [*sign_payload(BODY, SECRET).headers.items()]
ORDER = signed_request(FRAPPE, {"name": "SO-00001"}, SECRET)


def handle(observe: Any, headers: Sequence[tuple[str, str]] = SIGNED, **options: Any) -> Any:
    """Run a request through a route; return its response."""
    receiver = make_receiver(FRAPPE, secret=SECRET, observe=observe, **options)
    return run(receiver.handle(BLOCKING, Incoming(headers, BODY), "view", lambda: 200))


@pytest.fixture
def blocked() -> Iterator[threading.Event]:
    """An event that a blocking observer waits for, until the test is over."""
    go_on = threading.Event()
    yield go_on
    go_on.set()


def wait_until(is_done: Callable[[], bool]) -> None:
    """Wait for what another thread does, which may be late on a busy machine."""
    deadline = time.monotonic() + 60
    while not is_done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def fail(_event: Event) -> None:
    raise ZeroDivisionError


def leave(_event: Event) -> None:
    sys.exit(1)


@pytest.mark.parametrize("observer", [fail, leave])
def test_raises(route: Any, caplog: pytest.LogCaptureFixture, observer: Any) -> None:
    """An observer that raises changes no response, and the next event finds it again."""
    expected, seen = route(FRAPPE, secret=SECRET)(ORDER), list[Event]()
    send = route(FRAPPE, secret=SECRET, observe=[observer, seen.append])

    assert [send(ORDER), send(ORDER)] == [expected, expected]
    assert [event.kind for event in seen] == ["accepted", "handled"] * 2
    complaints = [each for each in caplog.messages if each.startswith("the observer ")]
    assert len(complaints) == 4
    assert complaints[0].startswith(f"the observer {observer.__name__} failed: ")


def test_blocks(route: Any, blocked: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that blocks delays one response for a moment, and changes none."""
    monkeypatch.setattr(_threads, "_PATIENCE", 0.01)
    expected, seen = route(FRAPPE, secret=SECRET)(ORDER), list[Event]()

    def block(event: Event) -> None:
        blocked.wait(60)
        seen.append(event)

    send = route(FRAPPE, secret=SECRET, observe=block)
    assert redeliver(send, ORDER, times=3) == [expected] * 3
    assert not seen
    blocked.set()
    deadline = time.monotonic() + 60
    while len(seen) < 6 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [event.kind for event in seen] == ["accepted", "handled"] * 3


def test_late(blocked: threading.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is behind, no response waits for it; once it has caught up, they do again."""
    waits: list[int] = []

    class Counted(Blocking):
        """Counts how often a response waits."""

        def wait(self, calls: Any, seconds: float) -> None:
            waits.append(len(calls))
            super().wait(calls, seconds)

    monkeypatch.setattr(_threads, "_PATIENCE", 0.01)
    seen: list[Event] = []

    def block(event: Event) -> None:
        blocked.wait(60)
        seen.append(event)

    receiver = make_receiver(FRAPPE, secret=SECRET, observe=block)

    def send() -> None:
        run(receiver.handle(Counted(), Incoming([], BODY), "view", lambda: 200))

    send()
    send()
    assert waits == [1]
    blocked.set()
    deadline = time.monotonic() + 60
    while len(waits) == 1:
        assert time.monotonic() < deadline
        send()


def test_left_out(
    blocked: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an observer has no room for is left out, and the log says how much."""
    monkeypatch.setattr(_threads, "_PATIENCE", 0.01)
    monkeypatch.setattr(_threads, "_BACKLOG", 3)
    seen: list[Event] = []

    def block(event: Event) -> None:
        seen.append(event)
        blocked.wait(60)

    receiver = make_receiver(FRAPPE, secret=SECRET, observe=block)
    for _ in range(10):
        run(receiver.handle(BLOCKING, Incoming([], BODY), "view", lambda: 200))
    blocked.set()
    deadline = time.monotonic() + 60
    while "and got" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)

    found = re.search(r"block was busy, and got (\d+) events less", caplog.text)
    assert found is not None
    assert len(seen) + int(found[1]) == 10
    assert len(seen) in {3, 4}  # one at work, and three that wait


@pytest.mark.parametrize("observe", [None, "log", [None], {"log": log}, [log, 3]])
def test_no_function(observe: Any) -> None:
    """What cannot be called is refused at the start."""
    with pytest.raises(ConfigurationError, match=r"^observe= must be a function that takes an ev"):
        make_receiver(FRAPPE, secret=SECRET, observe=observe)


class Async:
    """An observer that would be awaited."""

    async def __call__(self, _event: Event) -> None:
        """Do nothing."""


async def awaited(_event: Event) -> None:
    pass


@pytest.mark.parametrize("observer", [awaited, Async()])
def test_async(observer: Any) -> None:
    """So is an async function, which nothing would await."""
    with pytest.raises(ConfigurationError, match="not an async function"):
        make_receiver(FRAPPE, secret=SECRET, observe=observer)


def test_class() -> None:
    """So is a class, of which somebody forgot to make one."""
    with pytest.raises(ConfigurationError, match="not the class Capture"):
        make_receiver(FRAPPE, secret=SECRET, observe=Capture)


def test_coroutine(caplog: pytest.LogCaptureFixture) -> None:
    """A function that only returns a coroutine is seen when it is called."""
    handle(lambda event: awaited(event), [])  # noqa: PLW0108

    assert "<lambda> returned a coroutine, which nothing awaits" in caplog.text


@pytest.mark.parametrize(("observe", "lines"), [([], 0), ((log,), 1), ([log, print], 1)])
def test_log_is_the_default(caplog: pytest.LogCaptureFixture, observe: Any, lines: int) -> None:
    """It is replaced unless it is listed."""
    handle(observe, [])

    assert len(caplog.messages) == lines


def test_log_that_ends_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of the log that exits does not end the thread of an observer."""
    seen: list[Event] = []

    def observe(event: Event) -> None:
        seen.append(event)
        raise ZeroDivisionError

    monkeypatch.setattr(_threads._log, "error", sys.exit)  # pyright: ignore[reportPrivateUsage]
    for _ in range(3):
        handle(observe, [])
    assert len(seen) == 3


def test_log_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """A filter of the app that raises changes no response either."""

    def raises(_record: logging.LogRecord) -> bool:
        raise ZeroDivisionError

    logger = logging.getLogger("frappe_hooksig")
    logger.addFilter(raises)
    try:
        answer = handle([log, fail], [])
    finally:
        logger.removeFilter(raises)

    assert answer.status == 401
    assert not caplog.messages


def test_exception_without_a_status() -> None:
    """Where a framework has no status for an exception, nor has the event."""
    seen: list[Event] = []
    receiver = make_receiver(FRAPPE, secret=SECRET, observe=seen.append)

    with pytest.raises(ZeroDivisionError):
        run(receiver.handle(BLOCKING, Incoming(SIGNED, BODY), "view", lambda: 1 // 0))
    assert [(event.kind, event.status) for event in seen] == [("accepted", None), ("failed", None)]


def test_event_that_cannot_be_made(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a request shows no endpoint, nobody is told of it, and its response is as it was."""

    def fail_to(*_: object) -> str:
        raise ZeroDivisionError

    seen: list[Event] = []
    monkeypatch.setattr(Plain, "endpoint_of", fail_to)

    assert handle([log, seen.append]) == 200
    assert handle([log, seen.append], []).status == 401
    assert not seen
    assert caplog.messages == ["observers were not told of a request: ZeroDivisionError"] * 3


def test_no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no thread can be started, the response is the same, and later ones are told."""
    seen: list[Event] = []
    receiver = make_receiver(FRAPPE, secret=SECRET, observe=seen.append)

    def send() -> Any:
        return run(receiver.handle(BLOCKING, Incoming([], BODY), "view", lambda: 200))

    def refuse(_thread: Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(_threads, "_BACKLOG", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Thread, "start", refuse)
        assert send().status == 401
    assert not seen
    assert send().status == 401
    assert len(seen) == 1


class TestThread:
    """The thread of an observer."""

    @staticmethod
    def worker(observer: Any) -> Any:
        return _threads._Worker.of(observer, os.getpid())  # pyright: ignore[reportPrivateUsage]

    @staticmethod
    def running(observer: Any) -> int:
        """Count the threads of an observer. Those of other tests may end at any time."""
        return sum(observer.__qualname__ in each.name for each in threading.enumerate())

    def test_shared(self) -> None:
        """Several routes with one observer share its thread."""
        seen: list[int] = []

        def observe_shared(_event: Event) -> None:
            seen.append(threading.get_ident())

        for number in range(1, 6):
            handle(observe_shared, [])
            wait_until(partial(lambda number: len(seen) == number, number))
        assert len(set(seen)) == 1
        assert self.running(observe_shared) == 1
        assert self.worker(observe_shared) is self.worker(observe_shared)

    def test_started_once(self) -> None:
        """Of two requests that come first at the same time, one starts it; nobody waits."""

        def observe_first(_event: Event) -> None:
            """Nothing."""

        worker = self.worker(observe_first)
        with worker._starting:
            worker._start()
        assert self.running(observe_first) == 0
        for _ in range(2):
            worker._start()
        assert self.running(observe_first) == 1

    def test_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It ends when it has nothing to do, and the next event starts another one."""
        monkeypatch.setattr(_threads, "_IDLE", 0.01)
        seen: list[Event] = []

        def observe_and_go(event: Event) -> None:
            seen.append(event)

        for number in range(1, 4):
            handle(observe_and_go, [])
            wait_until(partial(lambda number: len(seen) == number, number))
            wait_until(lambda: not self.running(observe_and_go))

    def test_event_while_its_start_is_locked(self) -> None:
        """A thread that ends, and cannot start the next one, leaves that to who is at it."""
        seen: list[str] = []
        worker = self.worker(seen.append)

        class Lock:
            """A lock; the thread ends just before it is released."""

            inner = threading.Lock()

            def acquire(self, *, blocking: bool) -> bool:
                return self.inner.acquire(blocking=blocking)

            def release(self) -> None:
                if worker._thread is ending and not worker._calls.empty():
                    worker._thread = None
                    worker._start()
                self.inner.release()

        ending = worker._thread = Thread()
        worker._starting = Lock()
        worker.tell("event", None)[1].result(60)
        assert seen == ["event"]

    def test_event_while_it_ends(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An event that comes when it is about to end is not forgotten."""
        monkeypatch.setattr(_threads, "_IDLE", 0.01)
        seen: list[Event] = []
        worker = self.worker(seen.append)

        class Slow(Queue[Any]):
            """A queue that gets something after it was found to be empty."""

            def get(self, block: bool = True, timeout: float | None = None) -> Any:  # noqa: FBT001, FBT002
                try:
                    return super().get(block, timeout)
                except Empty:
                    if not seen:
                        self.put((lambda: seen.append(cast("Any", None)), Future()))
                    raise

        worker._calls = Slow()
        worker._start()
        deadline = time.monotonic() + 60
        while not seen:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def test_forks(self) -> None:
        """In a process that an observer forks, it ends."""
        reads, writes = os.pipe()

        def fork(_event: Event) -> None:
            if not os.fork():
                os.close(reads)  # the other end is closed when the process has ended

        handle(fork, [])
        os.close(writes)
        assert os.read(reads, 1) == b""
        os.close(reads)


def test_fork() -> None:
    """A forked process has threads of its own."""
    seen: list[Event] = []
    receiver = make_receiver(FRAPPE, secret=SECRET, observe=seen.append)

    def send() -> None:
        run(receiver.handle(BLOCKING, Incoming([], BODY), "view", lambda: 200))

    send()
    child = os.fork()
    if not child:
        status = 1
        try:
            send()
            status = 0 if len(seen) == 2 else 2
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("headers", "kinds"),
    [([], ["refused"]), (SIGNED, ["accepted", "handled"])],
    ids=["refused", "after the handler"],
)
def test_cancelled(headers: Any, kinds: list[str]) -> None:
    """A request can be cancelled while it waits for an observer. If it was handled, it was so."""
    begun, go_on = threading.Event(), threading.Event()
    seen: list[str] = []

    def block(event: Event) -> None:
        seen.append(event.kind)
        if event.kind == kinds[-1]:
            begun.set()
            go_on.wait(60)

    receiver = make_receiver(FRAPPE, secret=SECRET, observe=block)

    async def cancel() -> None:
        io = Awaiting(asyncio.to_thread)
        flow = receiver.handle(io, Incoming(headers, BODY), "view", lambda: 200)
        task = asyncio.create_task(run_async(flow))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(cancel())
    finally:
        go_on.set()
    assert seen == kinds


def test_other_loop() -> None:
    """Under an event loop that is not asyncio's, nobody waits for an observer."""
    seen: list[Event] = []
    receiver = make_receiver(FRAPPE, secret=SECRET, observe=seen.append)
    flow = run_async(receiver.handle(Awaiting(asyncio.to_thread), Incoming([], BODY), "view", int))

    with pytest.raises(StopIteration) as end:
        flow.send(None)
    assert end.value.value.status == 401


def test_one_at_a_time() -> None:
    """An observer needs no lock, and has the events of a request in their order."""
    seen: list[str] = []
    at_work: list[Event] = []

    def observe(event: Event) -> None:
        at_work.append(event)
        assert len(at_work) == 1
        seen.append(event.kind)
        at_work.clear()

    receiver = make_receiver(FRAPPE, secret=SECRET, observe=observe)

    def send() -> None:
        run(receiver.handle(BLOCKING, Incoming(SIGNED, BODY), "view", lambda: 200))

    def send_many() -> None:
        for _ in range(10):
            send()

    threads = [Thread(target=send_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen.count("accepted"), seen.count("handled")) == (80, 80)


@pytest.mark.parametrize(
    "name", ["X-\x1b[31mRed", "X-" + "a" * 500, "X-\r\nwebhook refused", "X-é\u2028"]
)
def test_hostile_names(name: str) -> None:
    """The name of a header begins no line, controls no terminal, and has an end."""
    seen: list[Event] = []
    handle(seen.append, [(name, "1")] * 300)

    (event,) = seen
    assert len(event.header_names) == 100
    for shown in event.header_names:
        assert shown.isascii()
        assert shown.isprintable()
        assert len(shown) < 200


class TestLostLease:
    """A handler that outlives its lease."""

    @pytest.mark.parametrize("status", [200, 500])
    def test_told(self, status: int) -> None:
        """Its observers are told; the response is that of the handler."""
        seen: list[Event] = []
        now = [0.0]
        store = MemoryStore(clock=lambda: now[0])
        receiver = make_receiver(FRAPPE, secret=SECRET, store=store, observe=seen.append)

        def late() -> int:
            now[0] += 3600
            return status

        incoming = Incoming(SIGNED, BODY)
        assert run(receiver.handle(BLOCKING, incoming, "view", late)) == status
        kinds = [event.kind for event in seen]
        assert kinds == ["accepted", "lease-lost", "handled" if status == 200 else "failed"]
        assert seen[1].message == "the lease had already ended"

    def test_not_told(self) -> None:
        """Without observers there is nobody to tell."""
        now = [0.0]
        store = MemoryStore(clock=lambda: now[0])
        receiver = make_receiver(FRAPPE, secret=SECRET, store=store)

        def late() -> int:
            now[0] += 3600
            return 200

        assert run(receiver.handle(BLOCKING, Incoming(SIGNED, BODY), "view", late)) == 200


def test_partial_has_a_name(caplog: pytest.LogCaptureFixture) -> None:
    """A callable without a name of its own is called by its type."""
    handle(partial(fail), [])

    assert "the observer partial failed" in caplog.text

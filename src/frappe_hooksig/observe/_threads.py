"""Call observers in threads of their own, so that none of them can change what they observe."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from concurrent import futures
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from inspect import iscoroutine, iscoroutinefunction
from queue import Empty, Full, Queue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeAlias
from weakref import WeakValueDictionary

from frappe_hooksig.exceptions import ConfigurationError, HooksigError
from frappe_hooksig.observe._attempt_event import AttemptEvent
from frappe_hooksig.observe._event import Event
from frappe_hooksig.observe._log import log
from frappe_hooksig.observe._outbox_event import OutboxEvent
from frappe_hooksig.observe._raw import RawObserver, RawRequest

if TYPE_CHECKING:
    from frappe_hooksig.replay._callers import Awaiting, Blocking
    from frappe_hooksig.replay._steps import Steps

_log = logging.getLogger("frappe_hooksig")

# How long a response waits for its observers, in seconds. A test then sees the event as soon as the
# response. An observer that takes longer delays one response, and no other until it has caught up.
_PATIENCE = 0.25

# How many events may wait for an observer.
_BACKLOG = 1000

# How long a thread without events waits before it ends, in seconds.
_IDLE = 10


#: An observer of requests, of attempts or of an outbox.
_AnyObserver: TypeAlias = Callable[[Any], object]


class Observers:
    """The observers of one route, of one sender, or of an outbox.

    `log` is called in the thread of a request or an attempt, like any other line of the log. Each
    other observer has a thread of its own. So it cannot raise in a request, write into its
    transaction, or keep an event loop busy.

    Args:
        observe: An observer, or several.

    Attributes:
        has_log: Whether `log` is among them.
        sees_all: Whether there are others besides `log`.
        raw: Those that see raw requests.

    Raises:
        ConfigurationError: One of them cannot be called, or is an async function.
    """

    __slots__ = ("_others", "_workers", "has_log", "raw", "sees_all")

    def __init__(self, observe: _AnyObserver | Sequence[_AnyObserver]) -> None:
        several = [observe] if callable(observe) else observe
        if not isinstance(several, list | tuple):
            raise _no_observer(observe)
        for each in several:
            if not callable(each) or isinstance(each, type) or _is_async(each):
                raise _no_observer(each)
        self.has_log = log in several
        self._others = [each for each in several if each is not log]
        self.sees_all = bool(self._others)
        self.raw = [each for each in self._others if isinstance(each, RawObserver)]
        self._workers: dict[int, list[_Worker]] = {}

    def refuse_raw(self, whose: str) -> None:
        """Refuse observers of raw requests, where nothing is received.

        Args:
            whose: What they are given to, such as `a Sender`.

        Raises:
            ConfigurationError: There is one.
        """
        for each in self.raw:
            name = type(each).__name__
            msg = f"observe= of {whose} takes no {name}, which is for requests that are received"
            raise ConfigurationError(msg)

    def tell(
        self, event: Event | AttemptEvent | OutboxEvent, request: RawRequest | None = None
    ) -> list[Told]:
        """Have all observers but `log` called; return the calls that a response may wait for."""
        # A forked process has no threads of its parent, and each thread is made when it is needed:
        # gevent replaces threads after the import.
        process = os.getpid()
        workers = self._workers.get(process)
        if workers is None:
            several = [_Worker.of(observer, process) for observer in self._others]
            workers = self._workers.setdefault(process, several)
        return [told for worker in workers if (told := worker.tell(event, request)) is not None]

    @staticmethod
    def wait(io: Blocking | Awaiting, told: Sequence[Told]) -> Steps[None]:
        """Wait for observers in the flow of a request, but not for long."""
        if told:
            yield partial(io.wait, [done for _, done in told], _PATIENCE)
        _note_late(told)

    @staticmethod
    def wait_here(told: Sequence[Told]) -> None:
        """Wait for observers in this thread, but not for long."""
        futures.wait([done for _, done in told], _PATIENCE)
        _note_late(told)


class _Worker:
    """Calls one observer in a thread of one process, one event after the other.

    Args:
        observer: The observer.
        process: The id of the process.

    Attributes:
        is_late: Whether the observer took too long, and still has events before it.
    """

    def __init__(self, observer: _AnyObserver, process: int) -> None:
        self._observer = observer
        self._process = process
        backlog = observer.backlog if isinstance(observer, RawObserver) else _BACKLOG
        self._calls: Queue[tuple[Callable[[], object], Future[None]]] = Queue(backlog)
        self._thread: Thread | None = None
        self._starting = Lock()
        self._left_out = 0
        self.is_late = False

    @classmethod
    def of(cls, observer: _AnyObserver, process: int) -> _Worker:
        """Return the worker of an observer, which several routes may share."""
        key = (process, id(observer))  # which nobody else has, because the worker keeps it alive
        return _workers.get(key) or _workers.setdefault(key, cls(observer, process))

    def tell(
        self, event: Event | AttemptEvent | OutboxEvent, request: RawRequest | None
    ) -> Told | None:
        """Have the observer called; return the call, unless nobody should wait for it."""
        observer = self._observer
        if not isinstance(observer, RawObserver):
            return self._call(partial(observer, event), is_awaited=True)
        if request is None or not isinstance(event, Event):
            return None
        if len(request.body) > observer.max_body:
            return None
        take = observer._take  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        return self._call(partial(take, event, request), is_awaited=observer.is_awaited)

    def _call(self, call: Callable[[], object], *, is_awaited: bool) -> Told | None:
        done: Future[None] = Future()
        try:
            self._start()
            self._calls.put_nowait((call, done))
            self._start()  # it may have ended meanwhile
        except (Full, RuntimeError):  # the latter if no thread can be started
            self._left_out += 1
            return None
        return (self, done) if is_awaited and not self.is_late else None

    def _start(self) -> None:
        """Start the thread, unless it runs, or another request is starting it.

        Nobody waits for the lock: with gevent, its owner would never go on. So its owner looks
        again: a thread that has just ended could not start the next one.
        """
        is_needed = True
        while is_needed and self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    name = f"frappe_hooksig {_name_of(self._observer)}"
                    # It is noted first: at its end, it notes that there is none.
                    self._thread = Thread(target=self._run, name=name, daemon=True)
                    self._thread.start()
            except BaseException:
                self._thread = None
                raise
            finally:
                self._starting.release()
            is_needed = self._is_waited_for()

    def _is_waited_for(self) -> bool:
        return self._thread is None and not self._calls.empty()

    def _run(self) -> None:
        while True:
            try:
                call, done = self._calls.get(timeout=_IDLE)
            except Empty:
                self._thread = None
                if not self._calls.empty():
                    self._start()
                return
            self._make(call)
            if os.getpid() != self._process:  # pragma: no cover  # an observer has forked
                return
            del call  # it has the request
            done.set_result(None)
            if self._calls.empty():
                self.is_late = False
                left_out, self._left_out = self._left_out, 0
                if left_out:
                    self._complain("was busy, and got %d events less", left_out)

    def _make(self, call: Callable[[], object]) -> None:
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001  # SystemExit must not end the thread
            is_ours = isinstance(self._observer, RawObserver)
            is_explained = isinstance(error, HooksigError | OSError)
            # Without a traceback of ours: error reporters show its frames, with the raw request.
            traceback = None if is_ours or isinstance(error, HooksigError) else error
            shown = type(error).__name__ if is_ours and not is_explained else error
            self._complain("failed: %s", shown, exc_info=traceback)
            return
        if iscoroutine(result):
            result.close()
            self._complain("returned a coroutine, which nothing awaits")

    def _complain(self, text: str, *args: Any, **options: Any) -> None:
        with suppress(BaseException):  # a filter of the log must not end the thread
            _log.error(f"the observer %s {text}", _name_of(self._observer), *args, **options)


# The workers in use, by the process and the observer. A worker is forgotten when its routes are.
_workers: WeakValueDictionary[tuple[int, int], _Worker] = WeakValueDictionary()

#: A call of an observer that is on its way, and its worker.
Told = tuple[_Worker, Future[None]]


def _note_late(told: Sequence[Told]) -> None:
    for worker, done in told:
        if not done.done():
            worker.is_late = True


def _name_of(observer: object) -> str:
    return str(getattr(observer, "__qualname__", type(observer).__name__))


def _is_async(observer: Any) -> bool:
    return iscoroutinefunction(observer) or iscoroutinefunction(type(observer).__call__)


def _no_observer(given: object) -> ConfigurationError:
    what = f"a {type(given).__name__}"
    if callable(given):
        what = f"the class {given.__name__}" if isinstance(given, type) else "an async function"
    msg = f"observe= must be a function that takes an event, or a list of such, not {what}"
    return ConfigurationError(msg)

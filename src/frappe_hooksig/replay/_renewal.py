"""Renew the leases of one store: in a thread of its own, or in a task of the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from math import inf
from threading import Condition, Thread, current_thread
from typing import Any, Generic, Protocol, TypeVar, cast
from weakref import WeakValueDictionary

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay._protocol import AsyncStore, Store
from frappe_hooksig.replay._steps import Steps, run, run_async, without_stop_iteration

_log = logging.getLogger("frappe_hooksig")

# How long a thread without leases waits before it ends.
_IDLE = 10  # seconds

# Once a lease is due, those that are due within this share of their time are renewed with it. So
# claims that came one after the other share one call, even if the store takes long for each.
_EARLY = 1 / 6

# How many threads call a blocking store for the requests of event loops. These calls are short.
_CALLERS = 4

_AnyStore = TypeVar("_AnyStore", Store, AsyncStore)


class Renewable(Protocol):
    """A lease, as its renewer sees it.

    Attributes:
        key: The key of the delivery.
        token: The token of the claim.
        seconds: How long the lease lasts after it was renewed.
        due: When the next renewal is due, by the monotonic clock.
    """

    key: str
    token: str
    seconds: float
    due: float

    def put_off(self, now: float) -> None:
        """Schedule the next renewal."""

    def renewed(self, asked: float) -> None:
        """Note that the lease was renewed. `asked` is when the store was asked to."""

    def lost(self) -> None:
        """Note that the lease has ended."""


class LeaseRenewer(ABC, Generic[_AnyStore]):
    """Renews leases of one store, as long as there are any. All that are due share one call.

    Args:
        store: The store.
    """

    def __init__(self, store: _AnyStore) -> None:
        self._store: _AnyStore = store
        self._leases: set[Renewable] = set()
        self._wakes_at = inf  # by the monotonic clock

    @abstractmethod
    def add(self, lease: Renewable) -> None:
        """Start to renew a lease.

        Raises:
            RuntimeError: Nothing can renew it, because no thread can be started.
        """

    def remove(self, lease: Renewable) -> None:
        """Stop renewing a lease. It then ends by itself."""
        self._leases.discard(lease)

    @abstractmethod
    def _wait(self) -> Any:
        """Wait until a lease may be due. Return, or let the caller await, whether to end."""

    def _renewing(self) -> Steps[None]:
        while True:
            now = time.monotonic()
            due: defaultdict[float, list[Renewable]] = defaultdict(list)
            leases_now = tuple(self._leases)  # other threads change the set meanwhile
            if any(lease.due <= now for lease in leases_now):
                for lease in leases_now:
                    if lease.due <= now + lease.seconds * _EARLY:
                        lease.put_off(now)
                        due[lease.seconds].append(lease)
            for seconds, leases in due.items():
                yield from self._renew(leases, seconds)
            if not due and (yield self._wait):
                return

    def _renew(self, leases: Sequence[Renewable], seconds: float) -> Steps[None]:
        claims = [(lease.key, lease.token) for lease in leases]
        asked = time.monotonic()
        try:
            held = yield partial(self._store.renew, claims, seconds)
            for lease, is_held in zip(leases, held, strict=True):
                if is_held:
                    lease.renewed(asked)
                else:
                    lease.lost()
                    self.remove(lease)
        except Exception as error:  # noqa: BLE001  # the next attempt may succeed
            unexplained = None if isinstance(error, StoreError) else error
            message = "leases of deliveries were not renewed: %s"
            with suppress(Exception):  # a filter of the log must not end the renewals
                _log.warning(message, error, exc_info=unexplained)


class StoreThreads(LeaseRenewer[Store]):
    """The threads of one blocking store in one process.

    One thread renews leases. A few others call the store for the requests of event loops. Nothing
    else runs in these threads, so no handler can keep them busy.
    """

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self._changed = Condition()
        self._thread: Thread | None = None
        self._callers: ThreadPoolExecutor | None = None
        self._pause = inf  # a third of the shortest lease so far
        self._last_used = 0.0

    @classmethod
    def of(cls, store: Store) -> StoreThreads:
        """Return the threads of a store in this process. A forked process has threads of its own.

        They are made when they are needed, never at import: gevent replaces locks and threads
        later than that.
        """
        key = (cls, os.getpid(), id(store))
        return cast("StoreThreads", _renewers.get(key) or _renewers.setdefault(key, cls(store)))

    def add(self, lease: Renewable) -> None:
        """See `LeaseRenewer.add()`."""
        self._leases.add(lease)
        with self._changed:
            self._pause = min(self._pause, lease.due - time.monotonic())
            if self._thread is None:
                self._start(lease)
            elif lease.due < self._wakes_at:
                self._changed.notify()

    def _start(self, lease: Renewable) -> None:
        thread = Thread(target=self._run, name="frappe_hooksig leases", daemon=True)
        self._last_used = time.monotonic()
        try:
            thread.start()
        except BaseException:
            self.remove(lease)
            raise
        self._thread = thread

    def _run(self) -> None:
        try:
            run(self._renewing())
        finally:  # also after an error such as SystemExit, so that the next claim starts a thread
            with self._changed:
                if self._thread is current_thread():
                    self._thread = None

    def _wait(self) -> bool:
        with self._changed:
            now = time.monotonic()
            if self._leases:
                self._last_used = now
            elif now - self._last_used > _IDLE:
                self._thread = None  # in here, so that no lease is added meanwhile
                return True
            # Wake up before any later lease can be due, so that add() need not wake the thread.
            soonest = min((lease.due for lease in tuple(self._leases)), default=inf)
            self._wakes_at = min(soonest, now + min(self._pause, _IDLE))
            self._changed.wait(max(0, self._wakes_at - now))
            return False

    async def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call a method of the store in one of its threads.

        Raises:
            StoreError: No thread can be started.
        """
        with self._changed:
            if self._callers is None:
                self._callers = ThreadPoolExecutor(_CALLERS, "frappe_hooksig store")
        try:
            future = self._callers.submit(without_stop_iteration, function, *args)
        except RuntimeError as error:  # too many threads, or the process is exiting
            msg = f"the store cannot be called: {error}"
            raise StoreError(msg) from error
        return await asyncio.wrap_future(future)


class LoopTask(LeaseRenewer[AsyncStore]):
    """A task of one event loop that renews leases of one async store."""

    def __init__(self, store: AsyncStore) -> None:
        super().__init__(store)
        self._loop = asyncio.get_running_loop()  # kept alive, so no other loop has its id
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of(cls, store: AsyncStore) -> LoopTask:
        """Return the renewer of a store in the running event loop."""
        key = (cls, id(asyncio.get_running_loop()), id(store))
        return cast("LoopTask", _renewers.get(key) or _renewers.setdefault(key, cls(store)))

    def add(self, lease: Renewable) -> None:
        """See `LeaseRenewer.add()`."""
        self._leases.add(lease)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(run_async(self._renewing()))
        elif lease.due < self._wakes_at:
            self._changed.set()

    async def _wait(self) -> bool:
        if not self._leases:
            return True
        self._changed.clear()
        self._wakes_at = min(lease.due for lease in self._leases)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), self._wakes_at - time.monotonic())
        return False


# The renewers in use, by the process or the event loop and by the store. A renewer keeps loop and
# store alive, so no other one has their ids. It is forgotten when its thread or task has ended and
# no claim is left.
_renewers: WeakValueDictionary[tuple[type, int, int], LeaseRenewer[Any]] = WeakValueDictionary()

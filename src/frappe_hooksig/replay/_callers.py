"""Call a store from sync or from async code, so that no claim is left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent import futures
from contextlib import suppress
from inspect import iscoroutinefunction
from typing import Any, TypeAlias, TypeVar, cast

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.replay._protocol import AsyncStore, Store
from frappe_hooksig.replay._renewal import LeaseRenewer, LoopTask, StoreThreads
from frappe_hooksig.replay._steps import Steps, run, run_async

_T = TypeVar("_T")


def _call(function: Callable[..., _T], *args: Any) -> _T:
    return function(*args)


class SyncCaller:
    """Calls a blocking store in the thread of the request.

    Attributes:
        call: Calls a method of the store.
        renewer: Renews the leases of the store.
    """

    __slots__ = ("renewer",)

    def __init__(self, store: Store) -> None:
        self.renewer: LeaseRenewer[Any] = StoreThreads.of(store)

    call = staticmethod(_call)

    def finish(self, steps: Steps[_T], undo: Callable[[], Steps[Any]] | None = None) -> _T:
        """Finish a flow.

        Args:
            steps: The flow.
            undo: Returns the flow that undoes it. It runs if the request was interrupted, because
                then nobody receives the result.
        """
        try:
            return run(steps)
        except Exception:
            raise
        except BaseException:  # such as a timeout of gevent, or a signal
            if undo is not None:
                run(undo())
            raise


class AsyncCaller:
    """Calls a store for the requests of the running event loop.

    Attributes:
        call: Calls a method of the store. Await the result.
        renewer: Renews the leases of the store.
    """

    __slots__ = ("call", "renewer")

    def __init__(self, renewer: LeaseRenewer[Any], call: Callable[..., Awaitable[Any]]) -> None:
        self.renewer = renewer
        self.call = call

    @classmethod
    def of(cls, store: Store | AsyncStore) -> AsyncCaller:
        """Return the caller of a store of either kind."""
        if is_async(store):
            return cls(LoopTask.of(cast("AsyncStore", store)), _call)
        threads = StoreThreads.of(cast("Store", store))
        return cls(threads, threads.call)

    async def finish(self, steps: Steps[_T], undo: Callable[[], Steps[Any]] | None = None) -> _T:
        """Finish a flow, even if the request is cancelled meanwhile. See `SyncCaller.finish()`."""
        return await run_to_the_end(steps, undo)


#: Calls a store from sync or from async code.
Caller: TypeAlias = SyncCaller | AsyncCaller


async def run_to_the_end(steps: Steps[_T], undo: Callable[[], Steps[Any]] | None = None) -> _T:
    """Make the calls of a flow like `run_async()`, even if the request is cancelled meanwhile.

    Cancelling a request also cancels everything that it awaits.

    Args:
        steps: The flow.
        undo: As for `SyncCaller.finish()`.
    """
    task = _start(run_async(steps))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if undo is not None:
            _start(_undone(task, undo))
        raise


async def _undone(task: asyncio.Task[Any], undo: Callable[[], Steps[Any]]) -> None:
    with suppress(Exception):
        await task
    await run_async(undo())


def _start(coroutine: Any) -> asyncio.Task[Any]:
    task: asyncio.Task[Any] = asyncio.create_task(coroutine)
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


# Keeps the tasks alive, because an event loop has only weak references to them.
_running: set[asyncio.Task[Any]] = set()


class Blocking:
    """Makes the calls of a flow in the thread of its request."""

    #: Calls a function that may block.
    call = staticmethod(_call)

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds."""
        time.sleep(seconds)  # looked up now, because gevent may have replaced it

    def wait(self, calls: Sequence[futures.Future[Any]], seconds: float) -> None:
        """Wait until calls in other threads are done, but not for longer than some seconds."""
        futures.wait(calls, seconds)

    def caller_of(self, store: Store | AsyncStore) -> Caller:
        """Return the caller of a store.

        Raises:
            ConfigurationError: The store is for asyncio.
        """
        if is_async(store):
            msg = "store= is an async store, which this view cannot await"
            raise ConfigurationError(msg)
        return SyncCaller(cast("Store", store))


class Awaiting:
    """Makes the calls of a flow so that the event loop can await them.

    Args:
        in_thread: Calls a function with its arguments in a thread, where it may block.
    """

    sleep = staticmethod(asyncio.sleep)

    def __init__(self, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self.call = in_thread

    async def wait(self, calls: Sequence[futures.Future[Any]], seconds: float) -> None:
        """See `Blocking.wait()`."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another kind of loop, such as Trio's: do without
            return
        waiting = [asyncio.wrap_future(call, loop=loop) for call in calls]
        await asyncio.wait(waiting, timeout=seconds)

    def caller_of(self, store: Store | AsyncStore) -> Caller:
        """See `Blocking.caller_of()`."""
        return AsyncCaller.of(store)


BLOCKING = Blocking()


def is_async(store: object) -> bool:
    """Whether the methods of a store are awaited."""
    return iscoroutinefunction(cast("Any", store).claim)

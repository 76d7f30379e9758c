"""Keeping claims while their handlers run: one thread for a process, one task for an event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from secrets import token_hex
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay import AsyncStore, State, Store

if TYPE_CHECKING:
    from typing_extensions import Self

_AnyStore = TypeVar("_AnyStore")

_log = logging.getLogger("frappe_hooksig")

# A lease is renewed when a third of it is over: two attempts may fail before it ends.
_SHARE = 3

# For so long a thread without work waits for some before it ends.
_IDLE = 60  # seconds


class _Claim(Generic[_AnyStore]):
    """A claim on a delivery, to be renewed from time to time.

    Attributes:
        due: When next, by the monotonic clock.
    """

    __slots__ = ("_keep", "_key", "_lease", "_store", "_token", "due")

    def __init__(self, store: _AnyStore, key: str, lease: float, keep: float) -> None:
        self._store = store
        self._key = key
        self._lease = lease
        self._keep = keep
        self._token = token_hex(16)
        self.due = 0.0

    def put_off(self, now: float) -> None:
        """Let it be due once more of the lease is over."""
        self.due = now + self._lease / _SHARE


class Held(_Claim[Store]):
    """A claim that is kept while a handler runs, and then settled."""

    __slots__ = ()

    def claim(self) -> State:
        """Claim it.

        Raises:
            StoreError: The store cannot tell.
        """
        state = self._store.claim(self._key, self._token, self._lease)
        if state is State.NEW:
            _keeper.add(self)
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Release it if the handler did not come to its end."""
        if error is not None:
            self.release()

    def settle(self, status: int) -> bool:
        """Complete it if the handler's answer is a 2xx, else release it.

        Returns:
            Whether it was still held.
        """
        return self.complete() if status in range(200, 300) else self.release()

    def complete(self) -> bool:
        """Remember that it was handled; return whether it was still held."""
        self.rest()
        return _told(lambda: self._store.complete(self._key, self._token, self._keep), "completed")

    def release(self) -> bool:
        """Give it up, so that the next attempt is handled; return whether it was still held."""
        self.rest()
        return _told(lambda: self._store.release(self._key, self._token), "released")

    def rest(self) -> None:
        """Have it renewed no more: it ends when its lease does."""
        _keeper.remove(self)

    def renew(self) -> bool:
        """Renew it now; return whether it was still held. For the keeper.

        Raises:
            StoreError: The store cannot tell.
        """
        return self._store.renew(self._key, self._token, self._lease)


def _told(action: Callable[[], bool], what: str) -> bool:
    """Do it; log what stands in the way, as the handler has run and its answer is to go out."""
    try:
        held = action()
    except StoreError as error:
        _log.error("a delivery was not %s: %s", what, error)  # it says all
        return False
    if not held:
        _log.warning("a delivery was not %s: its lease had ended before", what)
    return held


class Keeper:
    """Renews claims, in a thread of its own that runs while there are any."""

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):  # not on Windows, which has no forks either
            os.register_at_fork(after_in_child=self._reset)  # a thread stays with its process

    def _reset(self) -> None:
        self._changed = Condition()
        self._held: set[Held] = set()
        self._thread: Thread | None = None

    def add(self, held: Held) -> None:
        """Renew a claim from now on."""
        with self._changed:
            held.put_off(time.monotonic())
            self._held.add(held)
            if self._thread is None:
                thread = Thread(target=self._run, name="frappe_hooksig", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # there are too many, or the process is ending
                    _log.warning("a delivery will not be renewed: %s", error)
                else:
                    self._thread = thread
            self._changed.notify()

    def remove(self, held: Held) -> None:
        """Renew it no more."""
        with self._changed:
            self._held.discard(held)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._held:
                    if not self._changed.wait(_IDLE):
                        self._thread = None
                        return
                now = time.monotonic()
                due = [held for held in self._held if held.due <= now]
                if not due:
                    self._changed.wait(min(held.due for held in self._held) - now)
                    continue
                for held in due:
                    held.put_off(now)
            for held in due:
                self._renew(held)

    def _renew(self, held: Held) -> None:
        try:
            is_held = held.renew()
        except Exception as error:  # noqa: BLE001  # the next store may be a better one
            _not_renewed(error)
        else:
            if not is_held:
                self.remove(held)


def _not_renewed(error: Exception) -> None:
    unexplained = None if isinstance(error, StoreError) else error
    _log.warning("a delivery was not renewed: %s", error, exc_info=unexplained)


_keeper = Keeper()


class AsyncHeld(_Claim[AsyncStore]):
    """`Held` for a store that has to be awaited."""

    __slots__ = ("_is_settled",)

    def __init__(self, store: AsyncStore, key: str, lease: float, keep: float) -> None:
        super().__init__(store, key, lease, keep)
        self._is_settled = False

    async def claim(self) -> State:
        """Do what `Held.claim()` does.

        Raises:
            StoreError: The store cannot tell.
        """
        state = await self._store.claim(self._key, self._token, self._lease)
        if state is State.NEW:
            AsyncKeeper.of_loop().add(self)
        return state

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Release it if the handler did not come to its end, being cancelled included."""
        if error is not None and not self._is_settled:
            await self.release()

    async def settle(self, status: int) -> bool:
        """Do what `Held.settle()` does."""
        return await (self.complete() if status in range(200, 300) else self.release())

    async def complete(self) -> bool:
        """Do what `Held.complete()` does."""
        return await self._settled(
            _told_later(self._store.complete(self._key, self._token, self._keep), "completed")
        )

    async def release(self) -> bool:
        """Do what `Held.release()` does."""
        return await self._settled(
            _told_later(self._store.release(self._key, self._token), "released")
        )

    async def _settled(self, telling: Coroutine[Any, Any, bool]) -> bool:
        """Tell the store, although the request may be cancelled, which ends whatever it awaits.

        What was handled was handled, even if its sender has hung up just then.
        """
        self.rest()
        self._is_settled = True
        told = asyncio.create_task(telling)
        _telling.add(told)
        told.add_done_callback(_telling.discard)
        return await asyncio.shield(told)

    def rest(self) -> None:
        """Do what `Held.rest()` does."""
        AsyncKeeper.of_loop().remove(self)

    async def renew(self) -> bool:
        """Do what `Held.renew()` does.

        Raises:
            StoreError: The store cannot tell.
        """
        return await self._store.renew(self._key, self._token, self._lease)


async def _told_later(action: Awaitable[bool], what: str) -> bool:
    try:
        held = await action
    except StoreError as error:
        _log.error("a delivery was not %s: %s", what, error)  # it says all
        return False
    if not held:
        _log.warning("a delivery was not %s: its lease had ended before", what)
    return held


class AsyncKeeper:
    """Renews claims, in a task of its event loop that runs while there are any."""

    def __init__(self) -> None:
        self._held: set[AsyncHeld] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def of_loop() -> AsyncKeeper:
        """Return the one of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in _keepers:
            _keepers[loop] = AsyncKeeper()
        return _keepers[loop]

    def add(self, held: AsyncHeld) -> None:
        """Renew a claim from now on."""
        held.put_off(time.monotonic())
        self._held.add(held)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def remove(self, held: AsyncHeld) -> None:
        """Renew it no more."""
        self._held.discard(held)

    async def _run(self) -> None:
        try:
            await self._keep_renewing()
        finally:
            # The task, and what it waits for, hold the loop, which would never be collected.
            _keepers.pop(asyncio.get_running_loop(), None)

    async def _keep_renewing(self) -> None:
        while self._held:
            now = time.monotonic()
            due = [held for held in self._held if held.due <= now]
            if not due:
                self._changed.clear()
                with suppress(asyncio.TimeoutError):
                    soonest = min(held.due for held in self._held)
                    await asyncio.wait_for(self._changed.wait(), soonest - now)
                continue
            for held in due:
                held.put_off(now)
            for held in due:
                await self._renew(held)

    async def _renew(self, held: AsyncHeld) -> None:
        try:
            is_held = await held.renew()
        except Exception as error:  # noqa: BLE001  # as in Keeper
            _not_renewed(error)
        else:
            if not is_held:
                self.remove(held)


# An event loop holds its tasks weakly.
_telling: set[asyncio.Task[bool]] = set()
_keepers: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncKeeper] = WeakKeyDictionary()

"""Renew the leases of claims, with one thread per process or one task per event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from contextlib import suppress
from threading import Condition, Thread
from typing import Protocol
from weakref import WeakKeyDictionary

from frappe_hooksig.exceptions import StoreError

_log = logging.getLogger("frappe_hooksig")

# How long an idle thread waits before it ends.
_IDLE = 60  # seconds


class _Lease(Protocol):
    """A lease that has to be renewed at `due`, by the monotonic clock."""

    due: float

    def put_off(self, now: float) -> None: ...


class Renewable(_Lease, Protocol):
    """A claim, as `LeaseRenewer` sees it."""

    def renew(self) -> bool: ...


class AsyncRenewable(_Lease, Protocol):
    """A claim, as `AsyncLeaseRenewer` sees it."""

    async def renew(self) -> bool: ...


class LeaseRenewer:
    """Renews leases in a background thread, which runs while there are claims."""

    def __init__(self) -> None:
        self._reset()
        if hasattr(os, "register_at_fork"):  # not on Windows, which cannot fork
            os.register_at_fork(after_in_child=self._reset)  # a fork does not copy threads

    def _reset(self) -> None:
        self._changed = Condition()
        self._claims: set[Renewable] = set()
        self._thread: Thread | None = None

    def add(self, claim: Renewable) -> None:
        """Start to renew a claim."""
        with self._changed:
            claim.put_off(time.monotonic())
            self._claims.add(claim)
            if self._thread is None:
                thread = Thread(target=self._run, name="frappe_hooksig", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # too many threads, or the process is exiting
                    _log.warning("the lease of a delivery will not be renewed: %s", error)
                else:
                    self._thread = thread
            self._changed.notify()

    def remove(self, claim: Renewable) -> None:
        """Stop renewing a claim."""
        with self._changed:
            self._claims.discard(claim)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._claims:
                    if not self._changed.wait(_IDLE):
                        self._thread = None
                        return
                now = time.monotonic()
                due = [claim for claim in self._claims if claim.due <= now]
                if not due:
                    self._changed.wait(min(claim.due for claim in self._claims) - now)
                    continue
                for claim in due:
                    claim.put_off(now)
            for claim in due:
                self._renew(claim)

    def _renew(self, claim: Renewable) -> None:
        try:
            is_held = claim.renew()
        except Exception as error:  # noqa: BLE001  # the other claims must still be renewed
            _not_renewed(error)
        else:
            if not is_held:
                self.remove(claim)


def _not_renewed(error: Exception) -> None:
    unexplained = None if isinstance(error, StoreError) else error
    _log.warning("the lease of a delivery was not renewed: %s", error, exc_info=unexplained)


_renewer = LeaseRenewer()


def lease_renewer() -> LeaseRenewer:
    """Return the lease renewer of this process."""
    return _renewer


class AsyncLeaseRenewer:
    """Renews leases in a task of its event loop, which runs while there are claims."""

    def __init__(self) -> None:
        self._claims: set[AsyncRenewable] = set()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def of_loop() -> AsyncLeaseRenewer:
        """Return the lease renewer of the running event loop."""
        loop = asyncio.get_running_loop()
        if loop not in _renewers:
            _renewers[loop] = AsyncLeaseRenewer()
        return _renewers[loop]

    def add(self, claim: AsyncRenewable) -> None:
        """Start to renew a claim."""
        claim.put_off(time.monotonic())
        self._claims.add(claim)
        self._changed.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    def remove(self, claim: AsyncRenewable) -> None:
        """Stop renewing a claim."""
        self._claims.discard(claim)

    async def _run(self) -> None:
        try:
            await self._keep_renewing()
        finally:
            # The task refers to the loop. Without this, the loop would never be garbage-collected.
            _renewers.pop(asyncio.get_running_loop(), None)

    async def _keep_renewing(self) -> None:
        while self._claims:
            now = time.monotonic()
            due = [claim for claim in self._claims if claim.due <= now]
            if not due:
                self._changed.clear()
                with suppress(asyncio.TimeoutError):
                    soonest = min(claim.due for claim in self._claims)
                    await asyncio.wait_for(self._changed.wait(), soonest - now)
                continue
            for claim in due:
                claim.put_off(now)
            for claim in due:
                await self._renew(claim)

    async def _renew(self, claim: AsyncRenewable) -> None:
        try:
            is_held = await claim.renew()
        except Exception as error:  # noqa: BLE001  # the other claims must still be renewed
            _not_renewed(error)
        else:
            if not is_held:
                self.remove(claim)


_renewers: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncLeaseRenewer] = WeakKeyDictionary()

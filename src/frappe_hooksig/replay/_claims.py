"""Claims on deliveries: renewed while a handler runs, then completed or released."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from frappe_hooksig.exceptions import StoreError
from frappe_hooksig.replay._protocol import AsyncStore, State, Store
from frappe_hooksig.replay._renewal import AsyncLeaseRenewer, lease_renewer

if TYPE_CHECKING:
    from typing_extensions import Self

_AnyStore = TypeVar("_AnyStore")

_log = logging.getLogger("frappe_hooksig")

# A lease is renewed after a third of its time, so that two renewals may fail before it ends.
_SHARE = 3


class _Lease(Generic[_AnyStore]):
    """A lease on a delivery, which a lease renewer extends.

    Attributes:
        due: When the next renewal is due, by the monotonic clock.
    """

    __slots__ = ("_key", "_lease", "_retention", "_store", "_token", "due")

    def __init__(self, store: _AnyStore, key: str, lease: float, retention: float) -> None:
        self._store = store
        self._key = key
        self._lease = lease
        self._retention = retention
        self._token = token_hex(16)
        self.due = 0.0

    def put_off(self, now: float) -> None:
        """Schedule the next renewal: a third of the lease from now."""
        self.due = now + self._lease / _SHARE


class Claim(_Lease[Store]):
    """A claim on a delivery: renewed while the handler runs, then completed or released."""

    __slots__ = ()

    @property
    def store(self) -> Store:
        """The store with the claim."""
        return self._store

    def claim(self) -> State:
        """Claim the delivery. If it is new, renew the lease from now on.

        Raises:
            StoreError: The store is full or cannot be reached.
        """
        state = self._store.claim(self._key, self._token, self._lease)
        if state is State.NEW:
            lease_renewer().add(self)
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Release the claim if the handler raised."""
        if error is not None:
            self.release()

    def settle(self, status: int) -> bool:
        """Complete the claim if the response is a 2xx, else release it.

        Args:
            status: The HTTP status of the handler's response.

        Returns:
            Whether the lease was still running.
        """
        return self.complete() if status in range(200, 300) else self.release()

    def complete(self) -> bool:
        """Record that the delivery was handled; return whether the lease was still running."""
        self.rest()
        return _told(
            lambda: self._store.complete(self._key, self._token, self._retention), "completed"
        )

    def release(self) -> bool:
        """Let the next attempt be handled; return whether the lease was still running."""
        self.rest()
        return _told(lambda: self._store.release(self._key, self._token), "released")

    def rest(self) -> None:
        """Stop renewing the lease. The claim then ends when its lease ends."""
        lease_renewer().remove(self)

    def renew(self) -> bool:
        """Renew the lease, for the lease renewer; return whether it was still running.

        Raises:
            StoreError: The store is full or cannot be reached.
        """
        return self._store.renew(self._key, self._token, self._lease)


def _told(action: Callable[[], bool], what: str) -> bool:
    """Run a store's action. Log an error instead of raising it: the response must go out."""
    try:
        held = action()
    except StoreError as error:
        _log.error("a delivery was not %s: %s", what, error)  # a traceback would add nothing
        return False
    if not held:
        _log.warning("a delivery was not %s: its lease had already ended", what)
    return held


class AsyncClaim(_Lease[AsyncStore]):
    """`Claim` for a store whose methods are awaited."""

    __slots__ = ("_is_settled",)

    def __init__(self, store: AsyncStore, key: str, lease: float, retention: float) -> None:
        super().__init__(store, key, lease, retention)
        self._is_settled = False

    async def claim(self) -> State:
        """See `Claim.claim()`.

        Raises:
            StoreError: The store is full or cannot be reached.
        """
        state = await self._store.claim(self._key, self._token, self._lease)
        if state is State.NEW:
            AsyncLeaseRenewer.of_loop().add(self)
        return state

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Release the claim if the handler raised or was cancelled."""
        if error is not None and not self._is_settled:
            await self.release()

    async def settle(self, status: int) -> bool:
        """See `Claim.settle()`."""
        return await (self.complete() if status in range(200, 300) else self.release())

    async def complete(self) -> bool:
        """See `Claim.complete()`."""
        return await self._settled(
            _told_later(self._store.complete(self._key, self._token, self._retention), "completed")
        )

    async def release(self) -> bool:
        """See `Claim.release()`."""
        return await self._settled(
            _told_later(self._store.release(self._key, self._token), "released")
        )

    async def _settled(self, telling: Coroutine[Any, Any, bool]) -> bool:
        """Update the store, even if the request is cancelled meanwhile.

        Cancelling a request also cancels everything that it awaits. But the delivery was handled,
        even if the sender has just disconnected.
        """
        self.rest()
        self._is_settled = True
        told = asyncio.create_task(telling)
        _telling.add(told)
        told.add_done_callback(_telling.discard)
        return await asyncio.shield(told)

    def rest(self) -> None:
        """See `Claim.rest()`."""
        AsyncLeaseRenewer.of_loop().remove(self)

    async def renew(self) -> bool:
        """See `Claim.renew()`.

        Raises:
            StoreError: The store is full or cannot be reached.
        """
        return await self._store.renew(self._key, self._token, self._lease)


async def _told_later(action: Awaitable[bool], what: str) -> bool:
    try:
        held = await action
    except StoreError as error:
        _log.error("a delivery was not %s: %s", what, error)  # a traceback would add nothing
        return False
    if not held:
        _log.warning("a delivery was not %s: its lease had already ended", what)
    return held


# Keeps the tasks alive, because an event loop has only weak references to them.
_telling: set[asyncio.Task[bool]] = set()

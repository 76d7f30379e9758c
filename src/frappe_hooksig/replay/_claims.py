"""Claims on deliveries: kept while their handlers run, then completed or released."""

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

# A lease is renewed when a third of it is over: two attempts may fail before it ends.
_SHARE = 3


class _Lease(Generic[_AnyStore]):
    """A lease on a delivery, to be renewed from time to time.

    Attributes:
        due: When next, by the monotonic clock.
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
        """Let it be due once more of the lease is over."""
        self.due = now + self._lease / _SHARE


class Claim(_Lease[Store]):
    """A claim that is kept while a handler runs, and then settled."""

    __slots__ = ()

    @property
    def store(self) -> Store:
        """The store that has it."""
        return self._store

    def claim(self) -> State:
        """Claim it.

        Raises:
            StoreError: The store cannot tell.
        """
        state = self._store.claim(self._key, self._token, self._lease)
        if state is State.NEW:
            lease_renewer().add(self)
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Release it if the handler did not come to its end."""
        if error is not None:
            self.release()

    def settle(self, status: int) -> bool:
        """Complete it if the handler's response is a 2xx, else release it.

        Returns:
            Whether it was still held.
        """
        return self.complete() if status in range(200, 300) else self.release()

    def complete(self) -> bool:
        """Remember that it was handled; return whether it was still held."""
        self.rest()
        return _told(
            lambda: self._store.complete(self._key, self._token, self._retention), "completed"
        )

    def release(self) -> bool:
        """Give it up, so that the next attempt is handled; return whether it was still held."""
        self.rest()
        return _told(lambda: self._store.release(self._key, self._token), "released")

    def rest(self) -> None:
        """Have it renewed no more: it ends when its lease does."""
        lease_renewer().remove(self)

    def renew(self) -> bool:
        """Renew it now; return whether it was still held. For the lease renewer.

        Raises:
            StoreError: The store cannot tell.
        """
        return self._store.renew(self._key, self._token, self._lease)


def _told(action: Callable[[], bool], what: str) -> bool:
    """Do it; log what stands in the way, as the handler has run and its response is to go out."""
    try:
        held = action()
    except StoreError as error:
        _log.error("a delivery was not %s: %s", what, error)  # it says all
        return False
    if not held:
        _log.warning("a delivery was not %s: its lease had ended before", what)
    return held


class AsyncClaim(_Lease[AsyncStore]):
    """`Claim` for a store that has to be awaited."""

    __slots__ = ("_is_settled",)

    def __init__(self, store: AsyncStore, key: str, lease: float, retention: float) -> None:
        super().__init__(store, key, lease, retention)
        self._is_settled = False

    async def claim(self) -> State:
        """See `Claim.claim()`.

        Raises:
            StoreError: The store cannot tell.
        """
        state = await self._store.claim(self._key, self._token, self._lease)
        if state is State.NEW:
            AsyncLeaseRenewer.of_loop().add(self)
        return state

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        """Release it if the handler did not come to its end, being cancelled included."""
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
        """See `Claim.rest()`."""
        AsyncLeaseRenewer.of_loop().remove(self)

    async def renew(self) -> bool:
        """See `Claim.renew()`.

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


# An event loop holds its tasks weakly.
_telling: set[asyncio.Task[bool]] = set()

"""Letting each delivery be handled once: which store, which key, for how long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from inspect import iscoroutinefunction
from math import inf
from typing import TYPE_CHECKING, Any, Literal, cast

from frappe_hooksig.answers import Answer, duplicate, in_flight, unavailable
from frappe_hooksig.delivery import Delivery, digest_of
from frappe_hooksig.exceptions import ConfigurationError, StoreError
from frappe_hooksig.replay import AsyncStore, State, Store
from frappe_hooksig.replay.keeper import AsyncHeld, Held

if TYPE_CHECKING:
    from frappe_hooksig.scheme import Scheme

# How long a repeat of what is being handled waits, and how often it looks. Frappe's sender gives up
# after 5 s without an answer, and does not come a fourth time.
_PATIENCE = 3  # seconds
_LOOKS_EVERY = 0.1  # seconds

# Where the sender tries again in minutes and not in seconds, it does not matter much.
_LONGEST_LEASE = 30  # seconds


class Once:
    """What one route needs to handle each delivery once.

    Args:
        store: Where deliveries are remembered.
        limits: Whose deliveries, and how far from now each scheme's may have been signed, in
            seconds, either way; None if that is not known.
        lease: After how many seconds a claim ends whose process has died.
        keep: For how many seconds a delivery that was handled is remembered.
        tenant: Tells those apart who have this route in common; gets the framework's request.
        on_store_error: What becomes of a delivery if the store cannot tell.

    Raises:
        ConfigurationError: An option is missing, or contradicts the scheme.
    """

    def __init__(
        self,
        store: Store | AsyncStore,
        limits: Sequence[tuple[Scheme, float | None]],
        *,
        lease: float | None = None,
        keep: float | None = None,
        tenant: Callable[[Any], str] | None = None,
        on_store_error: Literal["refuse", "accept"] = "refuse",
    ) -> None:
        self._store = store
        # Not the one of a request: a stranger could choose it, and have one delivery handled twice.
        self._names = " ".join(scheme.name for scheme, _ in limits).encode()
        self._lease = min(_checked_lease(scheme, lease) for scheme, _ in limits)
        self._keep = max(_checked_keep(scheme, tolerance, keep) for scheme, tolerance in limits)
        self._tenant = tenant
        if on_store_error not in {"refuse", "accept"}:
            msg = 'on_store_error= is "refuse" or "accept"'
            raise ConfigurationError(msg)
        self._accepts_without = on_store_error == "accept"

    @property
    def store(self) -> Store | AsyncStore:
        """Where deliveries are remembered."""
        return self._store

    @property
    def is_async(self) -> bool:
        """Whether the store has to be awaited."""
        return iscoroutinefunction(self._store.claim)

    def claim(self, request: object, endpoint: str, delivery: Delivery) -> Held | Answer | None:
        """Claim a verified delivery for the handler.

        Args:
            request: The framework's request, for `tenant`.
            endpoint: Tells the routes of an app apart.
            delivery: What was verified.

        Returns:
            The claim, to be settled when the handler has run; the answer to a delivery that is not
            to be handled; or None if it is to be handled although the store cannot tell.
        """
        store = cast("Store", self._store)
        held = Held(store, self._key(request, endpoint, delivery), self._lease, self._keep)
        deadline = time.monotonic() + _PATIENCE
        try:
            while (state := held.claim()) is State.IN_FLIGHT:
                if time.monotonic() > deadline:
                    return in_flight()
                time.sleep(_LOOKS_EVERY)
        except StoreError as error:
            return self._without_store(error)
        return held if state is State.NEW else _known(state)

    async def claim_async(
        self,
        request: object,
        endpoint: str,
        delivery: Delivery,
        in_thread: Callable[..., Awaitable[Any]],
    ) -> AsyncHeld | Answer | None:
        """Do what `claim()` does, and wait for the store.

        Args:
            request: As for `claim()`.
            endpoint: As for `claim()`.
            delivery: As for `claim()`.
            in_thread: Calls a function with its arguments where it may block.
        """
        if self.is_async:
            store = cast("AsyncStore", self._store)
        else:
            store = _InThread(cast("Store", self._store), in_thread)
        held = AsyncHeld(store, self._key(request, endpoint, delivery), self._lease, self._keep)
        deadline = time.monotonic() + _PATIENCE
        try:
            while (state := await held.claim()) is State.IN_FLIGHT:
                if time.monotonic() > deadline:
                    return in_flight()
                await asyncio.sleep(_LOOKS_EVERY)
        except StoreError as error:
            return self._without_store(error)
        return held if state is State.NEW else _known(state)

    def _key(self, request: object, endpoint: str, delivery: Delivery) -> str:
        tenant = "" if self._tenant is None else self._tenant(request)
        return digest_of(self._names, endpoint.encode(), tenant.encode(), delivery.key.encode())

    def _without_store(self, error: StoreError) -> Answer | None:
        answer = unavailable(error)
        return None if self._accepts_without else answer


def _known(state: object) -> Answer:
    """Return the answer to what was handled; what a store has not said so of, would be lost by it.

    Raises:
        TypeError: The store says something else, as one of somebody's own may.
    """
    if state is not State.DONE:
        msg = f"a store's claim() returns a State, not {state!r}"
        raise TypeError(msg)
    return duplicate()


class _InThread:
    """A store that blocks, awaited."""

    def __init__(self, store: Store, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._store = store
        self._in_thread = in_thread

    async def claim(self, key: str, token: str, lease: float) -> State:
        state: State = await self._in_thread(self._store.claim, key, token, lease)
        return state

    async def renew(self, key: str, token: str, lease: float) -> bool:
        return bool(await self._in_thread(self._store.renew, key, token, lease))

    async def complete(self, key: str, token: str, keep: float) -> bool:
        return bool(await self._in_thread(self._store.complete, key, token, keep))

    async def release(self, key: str, token: str) -> bool:
        return bool(await self._in_thread(self._store.release, key, token))


def _checked_lease(scheme: Scheme, lease: float | None) -> float:
    """Return how long a claim lasts: the sender has to come again after its end."""
    schedule = sum(scheme.retry_delays) or inf
    if lease is None:
        return min(0.8 * schedule, _LONGEST_LEASE)  # four fifths of Frappe's 5 s
    if not 0 < lease < schedule:
        msg = f"lease={lease:g} is no number of seconds"
        if schedule < inf:
            msg += f" below {schedule:g}, in which the sender makes all of its attempts"
        raise ConfigurationError(msg)
    return lease


def _checked_keep(scheme: Scheme, tolerance: float | None, keep: float | None) -> float:
    """Return how long a handled delivery is remembered: at least while it could come again."""
    least = max(scheme.retry_horizon, 2 * (tolerance or 0))
    if keep is None:
        return least
    if not 0 < keep < inf or (tolerance is not None and keep < least):
        msg = (
            f"keep={keep:g} is too short, or endless: a request of scheme {scheme.name!r} can come "
            f"again for {least:g} seconds"
        )
        raise ConfigurationError(msg)
    return keep

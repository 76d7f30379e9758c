"""Claim a verified delivery for a route: its key, lease, retention and waiting time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, Any, cast

from frappe_hooksig._overriding import innermost, overriding
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.replay._callers import Awaiting, Blocking, is_async
from frappe_hooksig.replay._claims import Lease
from frappe_hooksig.replay._deduplicator import Deduplicator, is_store, require_store
from frappe_hooksig.replay._protocol import AsyncStore, State, Store
from frappe_hooksig.replay._steps import Steps

if TYPE_CHECKING:
    from frappe_hooksig.delivery import Delivery
    from frappe_hooksig.scheme import Scheme

# How long a repeat waits for a delivery in flight, and how often it asks the store. Frappe's sender
# gives up after 5 s without a response, and makes no fourth attempt.
_PATIENCE = 3  # seconds
_LOOKS_EVERY = 0.1  # seconds

# The default for senders that retry after minutes, not seconds. A short lease helps little there.
_LONGEST_LEASE = 30  # seconds


class Deduplication:
    """Applies a `Deduplicator` to one route.

    Args:
        deduplicator: The store and its options.
        limits: The schemes of the route, each with its tolerance: how far from now a request may
            have been signed, in seconds, or None if that is unknown.

    Attributes:
        accepts_without_store: Whether a delivery is handled if the store fails.
        is_async: Whether the store is for asyncio. False if a function returns the store for each
            request.

    Raises:
        ConfigurationError: An option contradicts a scheme.
    """

    def __init__(
        self, deduplicator: Deduplicator, limits: Sequence[tuple[Scheme, float | None]]
    ) -> None:
        store = deduplicator.store
        self._store: Any = store if is_store(store) else None
        self._store_of: Any = None if is_store(store) else store
        # The key contains the names of all schemes, not the one that the request selects. Otherwise
        # an attacker could select another scheme, and have a delivery handled twice.
        self._names = " ".join(scheme.name for scheme, _ in limits)
        lease, retention = deduplicator.lease, deduplicator.retention
        self._lease = min(_checked_lease(scheme, lease) for scheme, _ in limits)
        self._retention = max(
            _checked_retention(scheme, tolerance, retention) for scheme, tolerance in limits
        )
        self._tenant = deduplicator.tenant
        self.accepts_without_store = deduplicator.on_store_error == "accept"
        self.is_async = self._store is not None and is_async(self._store)

    def claim(
        self, io: Blocking | Awaiting, request: object, endpoint: str, delivery: Delivery
    ) -> Steps[Lease | State]:
        """Claim a verified delivery for the handler.

        Args:
            io: Makes the calls.
            request: The framework's request, for the functions `tenant` and `store`.
            endpoint: Identifies the route within the app.
            delivery: The verified delivery.

        Returns:
            The lease, which the caller settles after the handler; or `State.DONE` or
            `State.IN_FLIGHT`.

        Raises:
            StoreError: The store is full or cannot be reached, or the lease cannot be renewed.
            ConfigurationError: The store is for asyncio, and the caller is not.
        """
        store = self._of_request(request)
        key = self._key(request, endpoint, delivery)
        lease = Lease(store, io.caller_of(store), key, self._lease, self._retention)
        deadline = time.monotonic() + _PATIENCE
        while (state := (yield from lease.claim())) is State.IN_FLIGHT:
            if time.monotonic() > deadline:
                break
            yield partial(io.sleep, _LOOKS_EVERY)
        return lease if state is State.NEW else _known(state)

    def _of_request(self, request: object) -> Store | AsyncStore:
        other: Store | AsyncStore | None = innermost("store") if overriding else None
        if other is not None:
            return other
        if self._store_of is None:
            return cast("Store | AsyncStore", self._store)
        store: Store | AsyncStore = self._store_of(request)
        require_store(store)
        return store

    def _key(self, request: object, endpoint: str, delivery: Delivery) -> str:
        tenant = "" if self._tenant is None else self._tenant(request)
        if not isinstance(tenant, str):
            msg = (
                f"tenant= returned {type(tenant).__name__}, not a str: two senders could share the "
                "keys of their deliveries"
            )
            raise ConfigurationError(msg)
        # repr() marks where each text ends. That of a subclass of str could be the same for all.
        parts = repr((self._names, endpoint, str.__str__(tenant), delivery.dedup_key))
        return sha256(parts.encode("utf-8", "surrogatepass")).hexdigest()


def _known(state: object) -> State:
    """Check and return the state of a delivery that is not new.

    Only `State.DONE` counts as handled; anything else would lose the delivery.

    Raises:
        TypeError: The store returned something else, as a custom store may.
    """
    if not isinstance(state, State):
        msg = f"a store's claim() must return a State, not {state!r}"
        raise TypeError(msg)
    return state


def _checked_lease(scheme: Scheme, lease: float | None) -> float:
    """Return the lease, in seconds. It must end before the sender's last attempt."""
    schedule = sum(scheme.retry_delays) or inf
    if lease is None:
        return min(0.8 * schedule, _LONGEST_LEASE)  # four fifths of Frappe's 5 s
    if lease >= schedule:
        msg = (
            f"lease={lease:g} is too long: it must be below the {schedule:g} seconds in which "
            f"the sender makes all its attempts (scheme {scheme.name!r})"
        )
        raise ConfigurationError(msg)
    return lease


def _checked_retention(scheme: Scheme, tolerance: float | None, retention: float | None) -> float:
    """Return the retention, in seconds. It must last as long as the delivery can be repeated."""
    least = max(scheme.retry_horizon, 2 * (tolerance or 0))
    if retention is None:
        return least
    if tolerance is not None and retention < least:
        msg = (
            f"retention={retention:g} is too short: a request of scheme {scheme.name!r} can be "
            f"repeated for {least:g} seconds"
        )
        raise ConfigurationError(msg)
    return retention

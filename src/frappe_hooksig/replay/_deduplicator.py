"""`Deduplicator`: a store with the options of how a route uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import isclass
from math import inf
from typing import Any, Literal, TypeAlias

from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.replay._protocol import AsyncStore, Store

#: A store, or a function of the framework's request that returns one.
StoreSource: TypeAlias = "Store | AsyncStore | Callable[[Any], Store | AsyncStore]"


@dataclass(frozen=True, slots=True)
class Deduplicator:
    """A store with options, for `store=`. Without options, pass the store itself.

    Attributes:
        store: Where deliveries are remembered; or a function of the framework's request that
            returns the store.
        lease: After how many seconds a delivery whose process has died may be handled by another.
            By default 4 for Frappe, else 30.
        retention: For how many seconds a handled delivery is remembered. By default for as long as
            it can come again: the sender's retries, and twice the tolerance.
        tenant: A function of the framework's request that tells the senders of one route apart.
            Needed if `secret` is a function.
        on_store_error: What happens if the store fails: "refuse" answers 503, "accept" handles the
            delivery although it may be a repeat.

    Raises:
        ConfigurationError: An option has no such value.
    """

    store: StoreSource
    lease: float | None = None
    retention: float | None = None
    tenant: Callable[[Any], str] | None = None
    on_store_error: Literal["refuse", "accept"] = "refuse"

    def __post_init__(self) -> None:
        if not callable(self.store) or isclass(self.store):
            require_store(self.store)
        for name in ("lease", "retention"):
            seconds = getattr(self, name)
            if seconds is not None and not (_is_number(seconds) and 0 < seconds < inf):
                msg = f"{name}= is a positive number of seconds"
                raise ConfigurationError(msg)
        if self.tenant is not None and not callable(self.tenant):
            msg = "tenant= is a function of the request that returns a str"
            raise ConfigurationError(msg)
        if self.on_store_error not in {"refuse", "accept"}:
            msg = 'on_store_error= is "refuse" or "accept"'
            raise ConfigurationError(msg)


def deduplicator_of(given: Store | AsyncStore | Deduplicator) -> Deduplicator:
    """Return what `store=` was given as a `Deduplicator`.

    Raises:
        ConfigurationError: It is neither a store nor a `Deduplicator`.
    """
    if isinstance(given, Deduplicator):
        return given
    require_store(given)
    return Deduplicator(given)


def require_store(store: object) -> None:
    """Refuse what is not a store, and say what to pass instead.

    Raises:
        ConfigurationError: It is something else.
    """
    if isclass(store):
        msg = f"store= is the class {store.__name__}: pass a store, {store.__name__}(...)"
        raise ConfigurationError(msg)
    if not is_store(store):
        hint = (
            "a function goes into Deduplicator(...)"
            if callable(store)
            else 'such as SQLiteStore("deliveries.sqlite")'
        )
        msg = f"store= is {type(store).__name__}, not a store: {hint}"
        raise ConfigurationError(msg)


def is_store(value: object) -> bool:
    """Whether a value has a store's methods."""
    return isinstance(value, Store)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""`Deduplicator`: a store, and the options with which a route uses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from inspect import isclass, iscoroutinefunction
from typing import Any, Literal, TypeAlias, cast

from frappe_hooksig._secret_checks import masked_unless
from frappe_hooksig.exceptions import ConfigurationError
from frappe_hooksig.replay._protocol import AsyncStore, Store

#: A store, or a function of the framework's request that returns one.
StoreSource: TypeAlias = "Store | AsyncStore | Callable[[Any], Store | AsyncStore]"

_LONGEST = 100 * 365 * 24 * 60 * 60  # seconds
_METHODS = ("claim", "renew", "complete", "release")


@dataclass(frozen=True, slots=True, init=False)
class Deduplicator:
    """Makes a route handle each delivery once. Pass it, or just a store, as `store=`.

    Attributes:
        store: The store that remembers deliveries, or a function of the framework's request that
            returns one.
        lease: Seconds after which a claim ends if its process has died. Then another process may
            handle the delivery. By default 4 for Frappe, else 30.
        retention: Seconds for which a handled delivery is remembered. By default as long as the
            delivery can be repeated: by the sender's retries, or within twice the tolerance.
        tenant: A function of the framework's request that returns a name for its sender. With it,
            senders that share a route never share a key. Required if `secret` is a function.
        on_store_error: What to do if the store fails. "refuse" responds with 503. "accept" handles
            the delivery, although it may be a repeat.

    Raises:
        ConfigurationError: An option has an invalid value.
    """

    store: StoreSource
    lease: float | None = None
    retention: float | None = None
    tenant: Callable[[Any], str] | None = None
    on_store_error: Literal["refuse", "accept"] = "refuse"

    def __init__(
        self,
        store: StoreSource,
        lease: float | None = None,
        retention: float | None = None,
        tenant: Callable[[Any], str] | None = None,
        on_store_error: Literal["refuse", "accept"] = "refuse",
    ) -> None:
        if isinstance(store, str):  # such as redis://:password@host, which no frame may show
            store = cast("StoreSource", masked_unless((), store))
        given = (store, lease, retention, tenant, on_store_error)
        for field, value in zip(fields(self), given, strict=True):
            object.__setattr__(self, field.name, value)
        self._check()

    def _check(self) -> None:
        if not callable(self.store) or isclass(self.store):
            require_store(self.store)
        for name in ("lease", "retention"):
            seconds = getattr(self, name)
            if seconds is not None and not (_is_number(seconds) and 0 < seconds <= _LONGEST):
                msg = f"{name}= must be a positive number of seconds, at most {_LONGEST}"
                raise ConfigurationError(msg)
        if self.tenant is not None and not callable(self.tenant):
            msg = "tenant= must be a function of the request that returns a str"
            raise ConfigurationError(msg)
        for name in ("store", "tenant"):
            if iscoroutinefunction(getattr(self, name)):
                msg = f"{name}= must be a plain function of the request, not an async one"
                raise ConfigurationError(msg)
        if self.on_store_error not in ("refuse", "accept"):  # a list has no hash
            msg = 'on_store_error= must be "refuse" or "accept"'
            raise ConfigurationError(msg)


def deduplicator_of(given: Store | AsyncStore | Deduplicator) -> Deduplicator:
    """Return the value of `store=` as a `Deduplicator`.

    Raises:
        ConfigurationError: The value is neither a store nor a `Deduplicator`.
    """
    if isinstance(given, Deduplicator):
        return given
    require_store(given)
    return Deduplicator(given)


def require_store(store: object) -> None:
    """Refuse a value that is not a store. The error names what to pass instead.

    Raises:
        ConfigurationError: The value is not a store.
    """
    if isclass(store):
        msg = f"store= is the class {store.__name__}: pass a store, {store.__name__}(...)"
        raise ConfigurationError(msg)
    if not is_store(store):
        hint = (
            "pass a function inside Deduplicator(...)"
            if callable(store)
            else 'pass one, such as SQLiteStore("deliveries.sqlite")'
        )
        msg = f"store= is of type {type(store).__name__}, not a store: {hint}"
        raise ConfigurationError(msg)


def is_store(value: object) -> bool:
    """Whether a value has the methods of a store.

    Not isinstance(): from Python 3.12 on it overlooks methods that `__getattr__` delegates.
    """
    return all(callable(getattr(value, name, None)) for name in _METHODS)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

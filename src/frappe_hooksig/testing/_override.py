"""Replace what all routes of an app use, for one test."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from frappe_hooksig.replay import AsyncStore, Store
from frappe_hooksig.replay._deduplication import overriding
from frappe_hooksig.replay._deduplicator import require_store


@contextmanager
def override(*, store: Store | AsyncStore) -> Generator[None]:
    """Let every route that has a store use another one, in all threads of this process.

    Two tests that send the same body then do not meet in one store, although the app has fixed its
    store when it was imported.

    >>> from frappe_hooksig.replay import MemoryStore
    >>> with override(store=MemoryStore()):
    ...     pass  # send requests with the framework's test client

    Args:
        store: The store. A new `MemoryStore()` is forgotten after the test.

    Raises:
        ConfigurationError: It is not a store.
    """
    require_store(store)
    overriding.append(store)
    try:
        yield
    finally:
        last = max(i for i, each in enumerate(overriding) if each is store)  # not an equal one
        del overriding[last]

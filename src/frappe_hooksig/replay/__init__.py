"""Handle each delivery once: stores that remember deliveries, and the options of a route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frappe_hooksig.replay._claims import Claim
from frappe_hooksig.replay._deduplicator import Deduplicator
from frappe_hooksig.replay._memory import MemoryStore, MemoryStoreWarning
from frappe_hooksig.replay._protocol import AsyncStore, State, Store

if TYPE_CHECKING:
    from frappe_hooksig.replay._sqlite import SQLiteStore

__all__ = [
    "AsyncStore",
    "Claim",
    "Deduplicator",
    "MemoryStore",
    "MemoryStoreWarning",
    "SQLiteStore",
    "State",
    "Store",
]


if not TYPE_CHECKING:  # hidden, because type checkers would then accept any name in this module

    def __getattr__(name: str) -> object:
        """Import `SQLiteStore` on first use, because not every Python has SQLite."""
        if name == "SQLiteStore":
            from frappe_hooksig.replay._sqlite import SQLiteStore

            return SQLiteStore
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)

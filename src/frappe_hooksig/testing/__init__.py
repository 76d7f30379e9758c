"""Test what you build on this package. The tests run in pytest and in unittest."""

from __future__ import annotations

from frappe_hooksig.testing._override import override
from frappe_hooksig.testing._stores import (
    AsyncStoreConformance,
    SharedAsyncStoreConformance,
    SharedStoreConformance,
    StoreConformance,
)

__all__ = [
    "AsyncStoreConformance",
    "SharedAsyncStoreConformance",
    "SharedStoreConformance",
    "StoreConformance",
    "override",
]

"""The conformance of `DjangoStore`, for each database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from frappe_hooksig.integrations.django import DjangoStore
from frappe_hooksig.testing import SharedStoreConformance
from tests.replay.test_stores import Clock


class DjangoStoreCases(SharedStoreConformance):
    """The tests. A class for each database inherits them.

    Attributes:
        DATABASE: The alias of the database.
        ELSEWHERE: The settings of a database that cannot be reached.
        settings: The settings of the database.
        clock: The clock of the stores.
    """

    DATABASE: ClassVar[str]
    ELSEWHERE: ClassVar[dict[str, str]]
    settings: dict[str, Any]
    clock: Clock

    @contextmanager
    def open_store(self) -> Iterator[DjangoStore]:
        store = DjangoStore(self.DATABASE, clock=self.clock)
        yield store
        store.close()

    @contextmanager
    def open_unreachable_store(self) -> Iterator[DjangoStore]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.ELSEWHERE.items():
                patch.setitem(self.settings, name, value)
            yield DjangoStore(self.DATABASE, clock=self.clock)

    def let_pass(self, seconds: float) -> None:
        self.clock.now += seconds

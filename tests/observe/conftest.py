"""What all tests of observers use."""

from __future__ import annotations

import pytest

from frappe_hooksig.observe import _threads


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for observers as long as it takes: other tests keep the machine busy."""
    monkeypatch.setattr(_threads, "_PATIENCE", 60)

"""What all tests of observers use."""

from __future__ import annotations

import pytest

from frappe_hooksig.integrations import _observers


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for observers as long as it takes: other tests keep the machine busy."""
    monkeypatch.setattr(_observers, "_PATIENCE", 60)

"""A number on a terminal, while long work goes on."""

from __future__ import annotations

import sys
from contextlib import suppress
from io import StringIO

import pytest

from frappe_hooksig.cli._progress import progress


class Terminal(StringIO):
    """A standard error that is a terminal."""

    def isatty(self) -> bool:
        """Be one."""
        return True


class GoneTerminal(Terminal):
    """A terminal that was closed."""

    def write(self, _text: str) -> int:
        """Fail."""
        raise OSError


def test_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers stand in one line, which is empty in the end, also after an error."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    with suppress(KeyboardInterrupt), progress("deliveries") as show:
        show(500)
        show(1000)
        raise KeyboardInterrupt

    assert terminal.getvalue() == "\r\x1b[K500 deliveries\r\x1b[K1000 deliveries\r\x1b[K"


@pytest.mark.parametrize("stream", [None, StringIO(), GoneTerminal()])
def test_elsewhere(stream: StringIO | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal, or once it is closed, nothing is shown, and nothing fails."""
    monkeypatch.setattr(sys, "stderr", stream)

    with progress("deliveries") as show:
        show(500)

    assert stream is None or stream.getvalue() == ""

"""Show on a terminal how far long work is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import TextIO

_TO_START = "\r\x1b[K"  # of a line that is empty then


@contextmanager
def progress(what: str) -> Generator[Callable[[int], object]]:
    """Give a function that shows a number in one line of standard error.

    If that is no terminal, the function does nothing. When the block ends, the line is removed.

    Args:
        what: What is counted.
    """
    terminal = sys.stderr
    if terminal is None or not terminal.isatty():
        yield lambda _count: None
        return
    try:
        yield lambda count: _write(terminal, f"{_TO_START}{count} {what}")
    finally:
        _write(terminal, _TO_START)


def _write(terminal: TextIO, text: str) -> None:
    with suppress(OSError):  # a terminal that was closed must not stop the work
        terminal.write(text)
        terminal.flush()

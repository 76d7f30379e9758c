"""The exit statuses of the command, and the error for wrong use."""

from __future__ import annotations

from typing import Final

DONE: Final = 0  # verified, if that was asked
REFUSED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130  # 128 and the number of SIGINT, as shells have it


class WrongUse(Exception):
    """The command cannot do what it was asked to: exit status 2."""

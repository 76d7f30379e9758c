"""The exit statuses of the command, and the error for wrong use."""

from __future__ import annotations

from typing import Final

DONE: Final = 0  # for `verify`: the request is verified
REFUSED: Final = 1  # for `explain`: a cause is proved
USAGE: Final = 2
UNEXPLAINED: Final = 3  # for `explain`: no cause is proved
UNREACHABLE: Final = 3  # for `trigger` and `send`: there was no response, or nothing may be sent
INTERRUPTED: Final = 130  # 128 plus the number of SIGINT, as in shells


class WrongUse(Exception):
    """The arguments or files are wrong, so the command cannot run: exit status 2."""

"""The time that an attempt may take, from the look-up of a name to the last byte of the answer."""

from __future__ import annotations

import time


class Deadline:
    """A number of seconds from now on, which all steps of an attempt share.

    Args:
        seconds: How many.
    """

    __slots__ = ("_end",)

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Return how many seconds are left.

        Raises:
            TimeoutError: No time is left.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

"""A Random that is quick, because what is fuzzed is quick too."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

_T = TypeVar("_T")


class Dice(Random):
    """Draws the same for the same seed on every Python."""

    def below(self, limit: int) -> int:
        """Return a whole number from 0 to the one before the limit."""
        return int(self.random() * limit)

    def pick(self, several: Sequence[_T]) -> _T:
        """Return one of several."""
        return several[int(self.random() * len(several))]

    def chance(self, share: float) -> bool:
        """Return whether something that happens so often happens now."""
        return self.random() < share

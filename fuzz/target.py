"""What can be fuzzed: something that makes cases from dice, and judges each alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from fuzz.dice import Dice

ACCEPTED = "accepted"


class Escape(Exception):
    """Something happened that the package promises never happens."""


class Target(ABC):
    """One part of the package.

    A case is drawn before the package sees it, so that a later fix does not change what is drawn;
    it holds all that its judgement depends on, and its repr() is a Python expression.
    """

    name: str

    @abstractmethod
    def cases(self, dice: Dice) -> Iterator[Any]:
        """Yield cases without end."""

    @abstractmethod
    def judge(self, case: Any) -> str:
        """Return `accepted`, or why it was refused.

        Raises:
            Escape: What happened must not happen. Any other exception is an escape too.
        """

    def setting(self, case: Any) -> str:  # noqa: ARG002
        """Return what one has to know beside the case to repeat it by hand."""
        return ""

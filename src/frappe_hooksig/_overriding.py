"""What `frappe_hooksig.testing.override()` has put in the place of what an app uses."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from frappe_hooksig._secret_checks import Origin
    from frappe_hooksig.replay._protocol import AsyncStore, Store
    from frappe_hooksig.secret import Secret


class Override:
    """One block of `override()`. None is for what it does not replace.

    Attributes:
        secrets: The secrets of all routes, and where they come from, for messages.
        store: The store of all routes that have one.
        clock: The clock of all routes.
    """

    __slots__ = ("clock", "secrets", "store")

    def __init__(
        self,
        secrets: tuple[Sequence[Secret], Origin] | None,
        store: Store | AsyncStore | None,
        clock: Callable[[], float] | None,
    ) -> None:
        self.secrets = secrets
        self.store = store
        self.clock = clock


#: The blocks that are entered now, in all threads of this process; the innermost is the last.
overriding: list[Override] = []


def innermost(name: Literal["secrets", "store", "clock"]) -> Any:
    """Return what the innermost block that replaces something puts in its place, or None."""
    found = (getattr(each, name) for each in overriding[::-1])
    return next((each for each in found if each is not None), None)


def current_clock() -> Callable[[], float]:
    """Return the clock with which routes compare timestamps now, if they have none of their own."""
    return innermost("clock") or time.time

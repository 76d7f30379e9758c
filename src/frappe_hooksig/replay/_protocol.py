"""The protocol of all stores: what is remembered of deliveries, so that each is handled once.

Nothing here is called before a delivery is verified.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol, runtime_checkable


class State(Enum):
    """What a store says to a claim."""

    #: Nobody has claimed it, so it is the caller's until the lease ends.
    NEW = "new"
    #: Somebody else has claimed it, and that lease has not ended yet.
    IN_FLIGHT = "in-flight"
    #: It was handled.
    DONE = "done"


@runtime_checkable
class Store(Protocol):
    """Remembers which deliveries are being handled and which were.

    Every method is atomic, for all threads, processes and hosts that share the store. A claim
    belongs to its token: with another token, or once the lease has ended, a method changes nothing
    and returns False. So a caller that comes late, after somebody else has taken over, does no
    harm.

    A method raises `StoreError` if the store is full or cannot be reached.
    """

    def claim(self, key: str, token: str, lease: float) -> State:
        """Claim a delivery, if nobody has it.

        Args:
            key: Tells deliveries apart: up to 100 printable ASCII characters.
            token: Tells claims apart: never used before.
            lease: After how many seconds the claim ends by itself.
        """
        ...

    def renew(self, key: str, token: str, lease: float) -> bool:
        """Let the lease end so many seconds from now; return whether the claim still held."""
        ...

    def complete(self, key: str, token: str, retention: float) -> bool:
        """Remember for so many seconds that it was handled; return whether the claim still held."""
        ...

    def release(self, key: str, token: str) -> bool:
        """Give the claim up, so that somebody else may have it; return whether it still held."""
        ...


@runtime_checkable
class AsyncStore(Protocol):
    """`Store` for asyncio: its methods are awaited."""

    async def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`."""
        ...

    async def renew(self, key: str, token: str, lease: float) -> bool:
        """See `Store.renew()`."""
        ...

    async def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`."""
        ...

    async def release(self, key: str, token: str) -> bool:
        """See `Store.release()`."""
        ...

"""The protocol of all stores, which remember deliveries so that each is handled once.

These methods are called only for verified deliveries.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Protocol, runtime_checkable


class State(Enum):
    """A store's answer to a claim."""

    #: Nobody had claimed the delivery. Now the caller has claimed it, until the lease ends.
    NEW = "new"
    #: Another caller has claimed the delivery, and that lease has not ended yet.
    IN_FLIGHT = "in-flight"
    #: The delivery was handled.
    DONE = "done"


@runtime_checkable
class Store(Protocol):
    """Remembers which deliveries are being handled, and which were handled.

    Every method is atomic, for all threads, processes and hosts that share the store. A claim
    belongs to its token. With another token, or after the lease has ended, a method changes nothing
    and returns False. So a slow caller does no harm after another one has claimed the delivery.

    A method raises `StoreError` if the store is full or cannot be reached.
    """

    def claim(self, key: str, token: str, lease: float) -> State:
        """Claim a delivery, unless it is claimed already or was handled.

        Args:
            key: Identifies the delivery: up to 100 printable ASCII characters.
            token: Identifies the claim: up to 32 printable ASCII characters, never used before.
            lease: Seconds after which the claim ends by itself.
        """
        ...

    def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        """Let the leases of several claims end `lease` seconds from now.

        The process calls this from a thread of its own, for all its claims at once. It must not
        wait for anything that the other methods occupy, such as a connection of a limited pool.

        Args:
            claims: The key and the token of each claim; at least one.
            lease: As for `claim()`.

        Returns:
            For each claim, whether its lease was still running.
        """
        ...

    def complete(self, key: str, token: str, retention: float) -> bool:
        """Record the delivery as handled for `retention` seconds.

        Returns:
            Whether the lease was still running.
        """
        ...

    def release(self, key: str, token: str) -> bool:
        """Delete the claim, so that another caller can claim the delivery.

        Returns:
            Whether the lease was still running.
        """
        ...


@runtime_checkable
class AsyncStore(Protocol):
    """`Store` for asyncio: its methods are awaited."""

    async def claim(self, key: str, token: str, lease: float) -> State:
        """See `Store.claim()`."""
        ...

    async def renew(self, claims: Sequence[tuple[str, str]], lease: float) -> Sequence[bool]:
        """See `Store.renew()`."""
        ...

    async def complete(self, key: str, token: str, retention: float) -> bool:
        """See `Store.complete()`."""
        ...

    async def release(self, key: str, token: str) -> bool:
        """See `Store.release()`."""
        ...

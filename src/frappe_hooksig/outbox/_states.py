"""The states of a delivery and of an endpoint."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal, TypeAlias

#: Whether an endpoint gets deliveries. One that is not active collects them.
EndpointState: TypeAlias = Literal["active", "paused", "disabled"]


class DeliveryState(IntEnum):
    """What is to become of a delivery, or what became of it."""

    #: It waits for the one before it in its lane.
    WAITING = 0
    #: It is to be sent, now or later.
    DUE = 1
    #: A process is sending it.
    CLAIMED = 2
    #: The receiver has it.
    DELIVERED = 3
    #: It is given up: a dead letter. Somebody can send it again.
    DEAD = 4
    #: Its endpoint was deleted before it was delivered.
    CANCELLED = 5

    @property
    def is_final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self >= DeliveryState.DELIVERED

    def __str__(self) -> str:
        return self.name.lower()

"""`OutboxEvent`: what somebody should know of an outbox."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

#: What has happened in an outbox.
OutboxKind: TypeAlias = Literal[
    "paused", "disabled", "failing", "recovered", "dead-letter", "set-aside", "lost", "unconfirmed"
]


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboxEvent:
    """What somebody should know of an outbox. It has no payload, no header and no URL.

    Attributes:
        kind: `paused` or `disabled`: an endpoint gets nothing until somebody resumes it; `failing`:
            several attempts in a row have failed, and it gets one at a time; `recovered`: an
            attempt arrived after that; `dead-letter`: a delivery is given up; `set-aside`: a
            delivery failed for so long that those after it are sent before it; `lost`: a process
            ended while it was sending, and its deliveries are sent again; `unconfirmed`: this is
            another installation than before, so nothing is sent.
        endpoint_id: The id of the endpoint; empty if it is about several.
        message_id: The id of the message; empty if it is about several.
        reason: A code.
        message: A sentence for your log.
    """

    kind: OutboxKind
    endpoint_id: str = ""
    message_id: str = ""
    reason: str = ""
    message: str = ""


#: A function that gets each event of an outbox.
OutboxObserver: TypeAlias = Callable[[OutboxEvent], object]
